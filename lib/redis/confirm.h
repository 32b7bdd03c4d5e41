#ifndef FLAGTALLY_CONFIRM_H
#define FLAGTALLY_CONFIRM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"

struct redis_reply;

/*
 * Whether enough replicas have what a connection has written: WAIT, and WAITAOF
 * if they must have it in their append-only files, too.
 */
struct confirm {
	uint64_t replicas;		/* How many have to confirm. */
	bool aof;			/* In their files, and the master's. */
	bool unknown;			/* The server has no WAITAOF. */
};

#define CONFIRM_WHY_MAX 256

/**
 * confirm_request(confirm, limit, requests):
 * Append to ${requests} the commands that wait for replicas, together no longer
 * than ${limit} milliseconds, which is not 0.  Return how many there are.
 */
size_t confirm_request(const struct confirm * confirm, int64_t limit,
    struct buffer * requests);

/**
 * confirm_take(confirm, reply, why):
 * Take the reply to one of those commands.  Return true if it says that enough
 * replicas have everything, or return false with the reason in ${why}.
 */
bool confirm_take(struct confirm * confirm, const struct redis_reply * reply,
    char why[CONFIRM_WHY_MAX]);

#endif
