#ifndef FLAGTALLY_STORE_H
#define FLAGTALLY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/commit/replay.h"
#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"
#include "lib/tally/tally.h"

/* Where a tally goes so that it is durable: into Redis, or into the spool. */
struct store {
	bool spool_first;
	struct sink * sink;
	struct spool * spool;
	struct replay * replay;		/* NULL: this process has none. */
	struct stats * stats;
	int64_t deadline;		/* Of the tally at hand. */
	enum spool_result spooled;	/* What the spool said last. */
	bool usable;			/* The spool was, when last used. */
	bool plain_failed;		/* A plain command is nowhere. */
};

enum store_result {
	STORE_DURABLE,
	STORE_MIXED,		/* Some is: see the nodes' fates. */
	STORE_FAILED,		/* Nothing is, as far as is known. */
};

/**
 * store_init(store, spool_first, sink, spool, replay, stats):
 * Take over ${sink} and ${spool}; ${replay} is NULL in a process that does not
 * replay.  With ${spool_first} nothing waits for Redis.
 */
void store_init(struct store * store, bool spool_first, struct sink * sink,
    struct spool * spool, struct replay * replay, struct stats * stats);

/**
 * store_make(store, tally, deadline):
 * Make a tally durable by ${deadline}, and set the fates of its nodes.  Return
 * what became of it; unless that is STORE_DURABLE, log why.
 */
enum store_result store_make(struct store * store, struct tally * tally,
    int64_t deadline);

/**
 * store_stands(store, tally):
 * After STORE_MIXED: return whether ${tally}, which was made durable alone or
 * merged into a group, counts as durable.  If not, its sender has to try again.
 */
bool store_stands(const struct store * store, const struct tally * tally);

/**
 * store_why(store):
 * Return a static text that says, for a sender, why a tally is not durable.
 */
const char * store_why(const struct store * store);

/**
 * store_free(store):
 * Free what it has taken over.
 */
void store_free(struct store * store);

#endif
