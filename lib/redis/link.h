#ifndef FLAGTALLY_LINK_H
#define FLAGTALLY_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/redis/address.h"
#include "lib/redis/reply.h"

/*
 * A connection to one server, with or without TLS, and the bytes of exchanges:
 * what they are about is the caller's.  Nothing waits beyond its deadline, and
 * whatever fails closes the connection.  It belongs to one thread.
 */
struct link;

/**
 * link_create(config):
 * Return a connection, which is not made yet, to the host or Unix socket of
 * ${config}, which must outlive it.
 */
struct link * link_create(const struct redis_address * config);

/**
 * link_set_server(link, host, port):
 * link_server(link):
 * Have link_open connect to this server from now on; return the server, which
 * has no host if none was set.
 */
void link_set_server(struct link * link, const char * host, int port);
const struct redis_node * link_server(const struct link * link);

/**
 * link_open(link, deadline):
 * link_secure(link, deadline):
 * Connect; then begin TLS if the configuration has it.  Return 0 or -1.
 */
int link_open(struct link * link, int64_t deadline);
int link_secure(struct link * link, int64_t deadline);

/**
 * link_pace(link, window):
 * Let at most ${window} requests of the next exchanges be unanswered at any
 * time, or all if it is 0.  This is called before link_append.
 */
void link_pace(struct link * link, size_t window);

/**
 * link_append(link, requests):
 * Add requests to those of the next exchange; ${requests} may be changed then.
 * Return 0 or -1.
 */
int link_append(struct link * link, const struct buffer * requests);

/**
 * link_send(link, count, take, context):
 * Begin an exchange: send as much of the requests, of which there are ${count},
 * as the server takes at once.  link_receive passes each reply to ${take}.
 * Return 0 or -1.
 */
int link_send(struct link * link, size_t count, redis_take * take,
    void * context);

/**
 * link_receive(list, count, deadline):
 * End the exchanges that link_send has begun on ${count} connections, which all
 * go on at the same time.  A connection that fails, or on which the replies do
 * not come by ${deadline}, is closed.
 */
void link_receive(struct link * const * list, size_t count, int64_t deadline);

/**
 * link_has_message(link):
 * Read what the server has sent without being asked, and return whether there
 * was anything.  This never waits.
 */
bool link_has_message(struct link * link);

/**
 * link_is_open(link):
 * Return whether the connection is open, as last known.
 */
bool link_is_open(const struct link * link);

/**
 * link_fail(link, late, format, ...):
 * Close the connection, with this text for link_error and ${late} for
 * link_timed_out.  Return -1.
 */
int link_fail(struct link * link, bool late, const char * format, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * link_error(link):
 * link_timed_out(link):
 * Return a text that says what went wrong last, and whether that was that no
 * answer came in time.
 */
const char * link_error(const struct link * link);
bool link_timed_out(const struct link * link);

/**
 * link_close(link):
 * Close the connection, unless it is closed.
 */
void link_close(struct link * link);

/**
 * link_free(link):
 * Close the connection and free it.
 */
void link_free(struct link * link);

#endif
