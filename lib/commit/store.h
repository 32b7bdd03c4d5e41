#ifndef FLAGTALLY_STORE_H
#define FLAGTALLY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/commit/replay.h"
#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"
#include "lib/tally/tally.h"

/* Where a tally goes so that it is durable: into Redis, or into the spool. */
struct store {
	bool spool_first;
	struct sink * sink;
	struct spool * spool;		/* NULL: there is none. */
	struct replay * replay;		/* Likewise. */
	struct stats * stats;
	struct buffer bytes;
	int64_t deadline;		/* Of the tally at hand. */
	bool left;			/* The sink has calls of it left. */
};

/**
 * store_init(durable, spool_first, sink, spool, replay, stats):
 * Take over ${sink} and ${spool}; ${spool} is NULL where there is none, and
 * ${replay} where nobody replays.  With ${spool_first} nothing waits for Redis.
 */
void store_init(struct store * durable, bool spool_first,
    struct sink * sink, struct spool * spool, struct replay * replay,
    struct stats * stats);

/**
 * store_make(durable, tally, deadline):
 * Make a tally durable by ${deadline}.  Return false if it is not, as far as is
 * known; ${durable}->left then says whether the sink has calls of it left,
 * which Redis may have applied or not.
 */
bool store_make(struct store * durable, struct tally * tally,
    int64_t deadline);

/**
 * store_free(durable):
 * Free what it has taken over.
 */
void store_free(struct store * durable);

#endif
