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
 * what becomes of errors.  There are three kinds.  What Redis refuses for good
 * will be refused again whatever we do (link_refuses).  A script that Redis
 * has forgotten is loaded again at once.  All others (LOADING, READONLY, OOM,
 * ...) may pass, and Redis is left alone for a while.
 */
#define LINK_REASON_MAX 300

struct link {
	struct redis * redis;
	struct stats * stats;
	struct buffer requests;		/* Of the exchange at hand. */
	bool forgotten;			/* A script is not known any more. */
	bool broken;			/* The connection has failed once. */
	char trouble[LINK_REASON_MAX];	/* An error that may pass, or "". */
};

/**
 * link_init(link, redis, stats):
 * Make a link over ${redis}, which it takes over, that counts errors in
 * ${stats}.
 */
void link_init(struct link * link, struct redis * redis,
    struct stats * stats);

/**
 * link_reach(link, deadline):
 * Make the connection if it does not stand: what is in the way passes, or the
 * deadline does.  Return whether it stands.
 */
bool link_reach(struct link * link, int64_t deadline);

/**
 * link_begin(link):
 * Begin an exchange: the requests are to be appended to link->requests.
 */
void link_begin(struct link * link);

/**
 * link_exchange(link, count, deadline, take, context):
 * Send the ${count} requests and hand each reply to ${take}, which is to call
 * link_note for errors that are not for good, and link_doubt for what is no
 * reply to the request.  Return true if all was answered and nothing was
 * noted; false if it has to be tried again.
 */
bool link_exchange(struct link * link, size_t count, int64_t deadline,
    redis_take * take, void * context);

/**
 * link_note(link, reply):
 * Note an error that may pass.
 */
void link_note(struct link * link, const struct redis_reply * reply);

/**
 * link_doubt(link):
 * Note a reply that Redis does not give to what was asked: this may be
 * another server, or its replies may be those to something else.
 */
void link_doubt(struct link * link);

/**
 * link_refuses(reply):
 * Return whether the error is one for good.
 */
bool link_refuses(const struct redis_reply * reply);

/**
 * link_free(link):
 * Close the connection and free what the link holds.
 */
void link_free(struct link * link);

#endif
