#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/crashpoint.h"
#include "lib/base/log.h"
#include "lib/commit/store.h"
#include "lib/tally/tally_codec.h"

/*
 * The decision is Redis in the time that is usual for it, else the spool: a
 * sender that waits for an answer loses what it cannot send meanwhile.  Once
 * Redis has failed, nothing waits for it any more until replay finds that it is
 * back.
 */

/* The part of a request's time that is left for the spool, and attempts. */
#define SPOOL_TIME_MAX 700
#define SPOOL_TRIES 3

static bool
append(struct store * durable, struct spool_record * record)
{
	enum spool_result result;
	int tries = SPOOL_TRIES;

	/* A disk that stalls under another process may get over it. */
	do
		result = spool_append(durable->spool, record);
	while (result == SPOOL_FAILED && --tries > 0 &&
	    clock_remaining(durable->deadline) > SPOOL_TIME_MAX);
	if (result != SPOOL_DONE)
		return (false);
	stats_add(durable->stats,
	    (enum stats_counter)(STATS_SPOOLED_TALLY + record->kind), 1);
	return (true);
}

/* The spool takes what Redis refuses for good. */
static bool
set_aside(void * context, const void * bytes, size_t length,
    const char * reason)
{
	struct store * durable = context;
	struct spool_record record = { .kind = SPOOL_ASIDE,
	    .since = clock_now_ms(), .reason = reason, .bytes = bytes,
	    .length = length };

	return (durable->spool != NULL && append(durable, &record));
}

/* Put what waits in durable->bytes into the spool. */
static bool
spool_bytes(struct store * durable, enum spool_kind kind,
    uint64_t counters)
{
	struct spool_record record = { .kind = kind, .reason = "",
	    .since = clock_now_ms(), .counters = counters,
	    .bytes = durable->bytes.bytes,
	    .length = durable->bytes.length };

	CRASH_POINT("commit-spool");
	if (!append(durable, &record))
		return (false);
	CRASH_POINT("commit-spooled");
	return (true);
}

static bool
spool_tally(struct store * durable, const struct tally * tally)
{

	buffer_clear(&durable->bytes);
	tally_codec_encode(&durable->bytes, tally);
	return (spool_bytes(durable, SPOOL_TALLY, tally->counters));
}

/*
 * Redis may have applied the calls that are left or not, so they go to the
 * spool with their identity, and this writer ends with them: none of its calls
 * comes after those.
 */
static bool
spool_calls(struct store * durable)
{

	buffer_clear(&durable->bytes);
	sink_left(durable->sink, &durable->bytes);
	if (!spool_bytes(durable, SPOOL_CALLS, 0))
		return (false);
	sink_new_writer(durable->sink);
	return (true);
}

void
store_init(struct store * durable, bool spool_first, struct sink * sink,
    struct spool * spool, struct replay * replay, struct stats * stats)
{

	memset(durable, 0, sizeof(*durable));
	durable->spool_first = spool_first;
	durable->sink = sink;
	durable->spool = spool;
	durable->replay = replay;
	durable->stats = stats;
	sink_on_refusal(sink, set_aside, durable);
}

bool
store_make(struct store * durable, struct tally * tally, int64_t deadline)
{
	enum sink_result result;

	durable->left = false;
	durable->deadline = deadline;
	CRASH_POINT("commit-begin");
	if (durable->spool != NULL &&
	    (durable->spool_first ||
	    !replay_redis_serves(durable->replay)) &&
	    spool_tally(durable, tally))
		return (true);
	/* If the spool is full or broken Redis is the last resort. */
	sink_hasten(durable->sink, durable->spool != NULL &&
	    replay_redis_serves(durable->replay));
	result = sink_commit(durable->sink, tally, durable->spool == NULL ?
	    deadline : deadline - SPOOL_TIME_MAX);
	if (result == SINK_APPLIED) {
		CRASH_POINT("commit-applied");
		stats_add(durable->stats, STATS_COUNTERS_APPLIED,
		    tally->counters);
		return (true);
	}
	durable->left = result == SINK_UNKNOWN;
	if (durable->spool == NULL)
		return (false);
	if (replay_redis_serves(durable->replay))
		log_warning("Redis did not take a group in time, so it goes to "
		    "the spool: %s", sink_reason(durable->sink));
	replay_redis_lost(durable->replay);
	CRASH_POINT("commit-lost");
	if (result == SINK_UNSENT)
		return (spool_tally(durable, tally));
	durable->left = !spool_calls(durable);
	return (!durable->left);
}

void
store_free(struct store * durable)
{

	sink_free(durable->sink);
	spool_free(durable->spool);
	buffer_free(&durable->bytes);
}
