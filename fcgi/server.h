#ifndef FLAGTALLY_SERVER_H
#define FLAGTALLY_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/listen.h"
#include "fcgi/request.h"

/* The FastCGI server: threads that serve the requests of web servers. */
struct server;

struct server_limits {
	size_t threads;
	size_t parameters;	/* Bytes of a request's parameters. */
	int64_t time_max;	/* Milliseconds for a request to arrive. */
};

/**
 * server_start(service, listen, limits):
 * Start the threads that serve requests from the sockets of ${listen}; it and
 * ${service} must outlive the server.  All signals must be blocked, and stay
 * so, in every thread.  Return NULL and log why if that fails.
 */
struct server * server_start(const struct service * service,
    const struct listen * listen, const struct server_limits * limits);

/**
 * server_tick(server):
 * Break off requests that are still arriving after their deadline or, while
 * others wait for a thread, after some seconds.  To be called about once a
 * second.
 */
void server_tick(struct server * server);

/**
 * server_stop(server, deadline):
 * Serve the connections that exist, for at most SERVER_DRAIN milliseconds, then
 * accept no more and finish the requests under way.  Break off requests that
 * have not arrived after SERVER_GRACE milliseconds.  Return true, with the
 * server freed, when all threads have ended.  Return false if a thread has not
 * ended by ${deadline}; then the server and all that it uses must stay.
 */
#define SERVER_DRAIN 300
#define SERVER_GRACE 1000
bool server_stop(struct server * server, int64_t deadline);

#endif
