#ifndef FLAGTALLY_CONN_H
#define FLAGTALLY_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/params.h"

/*
 * The connections on which no request is under way, in one epoll instance: new
 * ones, those that the web server keeps for later, those whose request is still
 * arriving, and those that are left for their peer to close.  None of them
 * holds a thread.  Any thread may call these functions.
 */
struct conn;

/* Connections that wait at most; of more, the one that lingers longest is
 * closed, or else the one that waits longest. */
#define CONN_MAX 512

/* Bytes of heads that are kept for them at most; likewise. */
#define CONN_HEADS_MAX ((size_t)8 * 1024 * 1024)

/*
 * Connections that linger at most, and the milliseconds that each may: a peer
 * has this time to send the rest of a body and to close its end.  A web server
 * may pass a slow client's body on for longer than a few seconds before it
 * looks for our answer.
 */
#define CONN_LINGERING_MAX 256
#define CONN_LINGER_MAX 30000

/**
 * conn_create(epoll):
 * Return an empty set of connections, which ${epoll} is to tell of.  The
 * caller frees it.
 */
struct conn * conn_create(int epoll);

/**
 * conn_register(conn, descriptor):
 * This descriptor is a new connection, whatever it was before.
 */
void conn_register(struct conn * conn, int descriptor);

/**
 * conn_park(conn, descriptor, params):
 * Let a connection wait for its next request, of which ${params}, or NULL, has
 * been collected.  The set takes both over.
 */
void conn_park(struct conn * conn, int descriptor, struct params * params);

/**
 * conn_keep(conn, descriptor):
 * Likewise, after a request: its peer keeps it, and perhaps for nothing.
 */
void conn_keep(struct conn * conn, int descriptor);

/**
 * conn_expects(conn):
 * Return whether a request is on its way: a connection waits that is new, or
 * whose head has begun.
 */
bool conn_expects(struct conn * conn);

/**
 * conn_leave(conn, descriptor, whole):
 * Close our end of a connection whose answer has been sent, and discard what
 * still arrives, without a thread, until the peer closes its end, for
 * CONN_LINGER_MAX at most.  Close it at once if the request was ${whole}, so
 * that nothing more of it can arrive.
 */
void conn_leave(struct conn * conn, int descriptor, bool whole);

/**
 * conn_claim(conn, descriptor, params):
 * The epoll instance has told of this descriptor.  Return true if it waits for
 * a request; it is the caller's then, with its ${params}.  Otherwise it is of
 * no use, or another thread's by now.
 */
bool conn_claim(struct conn * conn, int descriptor, struct params ** params);

/**
 * conn_close_oldest(conn):
 * Close the connection that has lingered longest, or else the one that has
 * waited longest.  Return false if there is none.
 */
bool conn_close_oldest(struct conn * conn);

/**
 * conn_expire(conn, time_max):
 * Close connections whose head has been arriving for longer than ${time_max}
 * milliseconds, and those that had their time to close.
 */
void conn_expire(struct conn * conn, int64_t time_max);

/**
 * conn_stop(conn):
 * Close whatever is to wait from now on.
 */
void conn_stop(struct conn * conn);

/**
 * conn_free(conn):
 * Close all connections that wait, and free the set.
 */
void conn_free(struct conn * conn);

#endif
