#ifndef FLAGTALLY_SERVER_H
#define FLAGTALLY_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/listen.h"
#include "fcgi/request.h"

/* The FastCGI server: threads that serve the requests of web servers. */
struct server;

/**
 * server_start(service, listen, threads):
 * Start ${threads} threads that serve requests from the sockets of ${listen};
 * both must outlive the server.  All signals must be blocked, and stay so, in
 * every thread.  Return NULL, after the log has said why, if that cannot be
 * done.
 */
struct server * server_start(const struct service * service,
    const struct listen * listen, size_t threads);

/**
 * server_tick(server):
 * To be called about once a second: break off requests whose head has been
 * arriving for longer than EXCHANGE_TIME_MAX.
 */
void server_tick(struct server * server);

/**
 * server_stop(server, deadline):
 * Accept nothing more and finish the requests in hand.  Requests that have not
 * arrived after SERVER_GRACE milliseconds are broken off.  Return true, with
 * the server freed, when all threads have ended; false if one has not by
 * ${deadline}, and then the server and what it uses must stay as they are.
 */
#define SERVER_GRACE 1000
bool server_stop(struct server * server, int64_t deadline);

#endif
