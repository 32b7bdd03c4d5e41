#ifndef FLAGTALLY_CONN_H
#define FLAGTALLY_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/params.h"

/*
 * The idle connections, on which no request is under way, in one epoll
 * instance: new ones, those that the web server keeps open, those whose
 * parameters are still arriving, and those that linger until their peer closes
 * them.  None of them holds a thread.  Any thread may call these functions.
 */
struct conn;

/* The most idle connections.  To make room for another, the one that has
 * lingered longest is closed, or else the one that has waited longest. */
#define CONN_MAX 512

/* The most bytes of parameters that are held for them.  To make room, the
 * connection that has waited longest with parameters is closed. */
#define CONN_PARAMS_MAX ((size_t)8 * 1024 * 1024)

/*
 * The most lingering connections, and their time in milliseconds, in which a
 * peer can send the rest of a body and close its end.  A web server may pass on
 * a slow client's body for many seconds before it reads our response.
 */
#define CONN_LINGERING_MAX 256
#define CONN_LINGER_MAX 30000

/**
 * conn_create(epoll):
 * Return an empty set of connections, which adds its connections to ${epoll}.
 * The caller frees it.
 */
struct conn * conn_create(int epoll);

/**
 * conn_register(conn, descriptor):
 * Note that this descriptor is a new connection, whatever it was before.
 */
void conn_register(struct conn * conn, int descriptor);

/**
 * conn_wait(conn, descriptor, params):
 * Let a connection wait for its next request, or for the rest of ${params} if
 * that is not NULL.  The set owns both from now on.
 */
void conn_wait(struct conn * conn, int descriptor, struct params * params);

/**
 * conn_keep_alive(conn, descriptor):
 * Let a connection wait for another request, which may never come.
 */
void conn_keep_alive(struct conn * conn, int descriptor);

/**
 * conn_has_pending(conn):
 * Return whether a request is to be expected: there is a new connection, or
 * one whose parameters have begun to arrive.
 */
bool conn_has_pending(struct conn * conn);

/**
 * conn_linger(conn, descriptor, whole):
 * Close our end of a connection whose response has been sent.  Discard,
 * without a thread, what still arrives, until the peer closes its end, and for
 * at most CONN_LINGER_MAX.  Close the connection at once if the ${whole}
 * request was read, so that nothing more can arrive.
 */
void conn_linger(struct conn * conn, int descriptor, bool whole);

/**
 * conn_take(conn, descriptor, params):
 * Handle an event of the epoll instance for this descriptor.  Return true if
 * the connection was waiting for a request; the caller owns it from then on,
 * with its ${params}.  Return false if it lingers, or another thread has it.
 */
bool conn_take(struct conn * conn, int descriptor, struct params ** params);

/**
 * conn_close_oldest(conn):
 * Close the connection that has lingered longest, or else the one that has
 * waited longest.  Return false if there is none.
 */
bool conn_close_oldest(struct conn * conn);

/**
 * conn_expire(conn, time_max):
 * Close connections whose parameters have been arriving for longer than
 * ${time_max} milliseconds, and those that lingered for CONN_LINGER_MAX.
 */
void conn_expire(struct conn * conn, int64_t time_max);

/**
 * conn_stop(conn):
 * From now on, close connections instead of letting them wait.
 */
void conn_stop(struct conn * conn);

/**
 * conn_free(conn):
 * Close all connections of the set, and free it.  It can be NULL.
 */
void conn_free(struct conn * conn);

#endif
