#ifndef FLAGTALLY_STORE_H
#define FLAGTALLY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/commit/replay.h"
#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"
#include "lib/tally/tally.h"

/* Makes a tally durable: in Redis, or else in the spool. */
struct store {
	bool spool_first;
	struct sink * sink;
	struct spool * spool;
	struct replay * replay;		/* NULL: this process has none. */
	struct stats * stats;
	int64_t deadline;		/* Of the current tally. */
	enum spool_result spooled;	/* The spool's latest result. */
};

enum store_result {
	STORE_DURABLE,
	STORE_MIXED,		/* A part is: see store_is_durable. */
	STORE_FAILED,		/* No part is known to be durable. */
};

/**
 * store_init(store, spool_first, sink, spool, replay, stats):
 * Initialize ${store}, which owns ${sink} and ${spool} from now on; ${replay}
 * is NULL in a process that does not replay.  With ${spool_first}, all tallies
 * go to the spool.
 */
void store_init(struct store * store, bool spool_first, struct sink * sink,
    struct spool * spool, struct replay * replay, struct stats * stats);

/**
 * store_make(store, tally, deadline):
 * Make a tally durable by ${deadline}.  Unless the result is STORE_DURABLE, log
 * why.
 */
enum store_result store_make(struct store * store, struct tally * tally,
    int64_t deadline);

/**
 * store_is_durable(store, tally):
 * After STORE_MIXED, while the sink has the calls: return whether ${tally},
 * which was stored alone or merged into a group, counts as durable.  If not,
 * its sender has to send it again.
 */
bool store_is_durable(const struct store * store, const struct tally * tally);

/**
 * store_why(store):
 * Return a static text, for the sender, with the reason why a tally is not
 * durable.
 */
const char * store_why(const struct store * store);

/**
 * store_free(store):
 * Free the sink and the spool.
 */
void store_free(struct store * store);

#endif
