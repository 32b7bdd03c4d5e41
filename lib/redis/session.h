#ifndef FLAGTALLY_SESSION_H
#define FLAGTALLY_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/redis/cluster.h"
#include "lib/redis/redis.h"
#include "lib/stats/stats.h"

/*
 * Exchanges with Redis, one after the other, and four kinds of errors.  A
 * permanent error would come again (error_reply_is_permanent).  A script that
 * Redis has lost is loaded again at once.  LOADING, READONLY, OOM and the like
 * are errors of the server: it takes no calls, and is left alone for a while.
 * All other errors are those of one call, such as a missing right, or a key
 * that is on another node of a cluster: that call is put off, and all others go
 * on.
 */
#define SESSION_REASON_MAX 300

struct session {
	struct cluster * cluster;	/* One server, or several. */
	struct stats * stats;
	bool decides;			/* Its failures are those of counts:
					 * whether Redis serves is noted. */
	bool forgotten;			/* The server has lost a script. */
	bool broken;			/* The connection has failed once, */
	bool lost;			/* and nothing was answered since. */
	bool put_off;			/* A call of the last exchange was. */
	bool confirm;			/* Replicas are to confirm it. */
	bool unconfirmed;		/* They have not. */
	char why[SESSION_REASON_MAX];	/* The latest error that did. */
	bool hasty;			/* Wait no longer than is usual. */
	bool silent;			/* It was, since session_hasten. */
	int64_t usual_connect;		/* Microseconds that a connection */
	int64_t usual_answer;		/* and a piece of requests takes, with
					 * its answer; 0: unknown. */
	char trouble[SESSION_REASON_MAX]; /* A transient error, or "". */
};

/**
 * session_init(session, cluster, stats):
 * Make a session over ${cluster}, which it owns from now on, that counts errors
 * in ${stats} unless that is NULL.
 */
void session_init(struct session * session, struct cluster * cluster,
    struct stats * stats);

/**
 * session_hasten(session, hasty):
 * If ${hasty}, the caller has another place for counts that Redis does not take
 * at once: from now on session_reach returns false as soon as an attempt to
 * connect fails, the next one is not due, or Redis has been silent; and
 * connecting and exchanges give up after 20 times the usual time, but not
 * before 100 milliseconds.  The usual time is learned from successes; before
 * the first one, and without ${hasty}, only deadlines count.
 */
void session_hasten(struct session * session, bool hasty);

/**
 * session_reach(session, deadline):
 * Connect unless connected, with as many attempts as fit before ${deadline}.
 * Return whether the session is connected.
 */
bool session_reach(struct session * session, int64_t deadline);

/**
 * session_begin(session):
 * Begin an exchange.
 */
void session_begin(struct session * session);

/**
 * session_request(session, key, length):
 * Return the buffer to which the caller is to append the next request of the
 * exchange, as cluster_request.
 */
struct buffer * session_request(struct session * session, const char * key,
    size_t length);

/**
 * session_exchange(session, deadline, take, context):
 * Send the requests and pass each reply to ${take}, which has to call
 * session_note for transient errors, and session_doubt for a reply that does
 * not fit the request.  Return true if the server serves: all calls were
 * answered, and session->put_off is set if any of them was put off.  In a
 * cluster those of a master that is away are put off, as long as another one
 * serves.  Return false if the exchange has to be repeated.
 */
bool session_exchange(struct session * session, int64_t deadline,
    redis_take * take, void * context);

/**
 * session_note(session, reply):
 * Note a transient error, or that replicas have not confirmed the request.
 */
void session_note(struct session * session, const struct redis_reply * reply);

/**
 * session_doubt(session):
 * Note a reply that does not fit the request: this is another server, or the
 * reply is one to another request.
 */
void session_doubt(struct session * session);

/**
 * session_free(session):
 * Close the connection and free what the session holds.
 */
void session_free(struct session * session);

#endif
