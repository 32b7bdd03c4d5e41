#ifndef FLAGTALLY_SESSION_H
#define FLAGTALLY_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/redis/redis.h"
#include "lib/stats/stats.h"

/*
 * The link between a sink and its Redis: one exchange after the other, and
 * what becomes of errors.  There are four kinds.  What Redis refuses for good
 * will be refused again whatever we do (session_refuses).  A script that Redis
 * has forgotten is loaded again at once.  LOADING, READONLY, OOM and the like
 * are the server's: it serves nobody, and is left alone for a while.  All other
 * errors are one call's: a missing right, a key that is in another node of a
 * cluster.  That call is put off, and the server serves all others.
 */
#define SESSION_REASON_MAX 300

struct session {
	struct redis * redis;
	struct stats * stats;
	struct buffer requests;		/* Of the exchange at hand. */
	bool forgotten;			/* A script is not known any more. */
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
 * session_init(session, redis, stats):
 * Make a session over ${redis}, which it owns from now on, that counts errors
 * in ${stats} unless that is NULL.
 */
void session_init(struct session * session, struct redis * redis,
    struct stats * stats);

/**
 * session_hasten(session, hasty):
 * There is another place for what Redis does not take at once, if ${hasty}.
 * From now on session_reach returns false as soon as an attempt to connect
 * fails, the next one is not due, or Redis has been silent; and connecting and
 * exchanges give up after 20 times the time that they usually take, but not
 * before 100 milliseconds.  What is usual is learned from all that succeeds;
 * before that, and without ${hasty}, only deadlines count.
 */
void session_hasten(struct session * session, bool hasty);

/**
 * session_reach(session, deadline):
 * Make the connection if it does not stand: what is in the way passes, or the
 * deadline does.  Return whether it stands.
 */
bool session_reach(struct session * session, int64_t deadline);

/**
 * session_begin(session):
 * Begin an exchange: the requests are to be appended to link->requests.
 */
void session_begin(struct session * session);

/**
 * session_exchange(session, count, deadline, take, context):
 * Send the ${count} requests and hand each reply to ${take}, which is to call
 * session_note for transient errors, and session_doubt for what is no
 * reply to the request.  Return true if the server serves: all calls were
 * answered, and session->put_off says whether one or more of them were put off.
 * Return false if the exchange has to be repeated.
 */
bool session_exchange(struct session * session, size_t count, int64_t deadline,
    redis_take * take, void * context);

/**
 * session_note(session, reply):
 * Note an error that may pass, or that replicas have not confirmed the request.
 */
void session_note(struct session * session, const struct redis_reply * reply);

/**
 * session_doubt(session):
 * Note a reply that Redis does not give to what was asked: this may be
 * another server, or its replies may be those to something else.
 */
void session_doubt(struct session * session);

/**
 * session_refuses(reply):
 * Return whether the error is one for good.
 */
bool session_refuses(const struct redis_reply * reply);

/**
 * session_free(session):
 * Close the connection and free what the link holds.
 */
void session_free(struct session * session);

#endif
