#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/crashpoint.h"
#include "lib/base/log.h"
#include "lib/commit/store.h"

/*
 * A group goes to Redis, or else to the spool:
 *  - to Redis, if that takes it in about its usual time (sink_hasten).  A
 *    sender that waits longer for its response loses later counts;
 *  - to the spool at once, after Redis has failed, until replay finds that it
 *    is back;
 *  - to the spool at once, if the group is large, so that small ones do not
 *    wait behind it in Redis.  Replay brings it to Redis call by call;
 *  - to Redis as a last resort, if the spool is full or fails.
 */
#define LARGE_COUNTERS 10000		/* Not in a CGI program. */
#define LARGE_NODES 40000

/* If the spool fails, the most counters of a large group to send to Redis. */
#define ALONE_COUNTERS_MAX 200000

/* Milliseconds of a request's time to leave for the spool, and attempts. */
#define SPOOL_TIME_MAX 700
#define SPOOL_TRIES 3

/* Try again: a disk that stalls under another process may recover. */
static bool
may_try_again(const struct store * store, int * tries)
{

	return (store->spooled == SPOOL_FAILED && --*tries > 0 &&
	    clock_remaining(store->deadline) > SPOOL_TIME_MAX);
}

static bool
spool_tally(struct store * store, const struct tally * tally)
{
	int tries = SPOOL_TRIES;

	CRASH_POINT("commit-spool");
	do
		store->spooled = spool_append(store->spool, tally);
	while (may_try_again(store, &tries));
	stats_spool(store->stats, store->spooled);
	if (store->spooled != SPOOL_DONE)
		return (false);
	CRASH_POINT("commit-spooled");
	stats_add(store->stats, STATS_SPOOLED_QUEUED, 1);
	return (true);
}

/* Store calls that Redis may have applied, and calls that it refused. */
static bool
spool_calls(struct store * store, struct spool_change * change)
{
	int tries = SPOOL_TRIES;

	if (change->call_count + change->refused_count == 0)
		return (true);
	CRASH_POINT("commit-spool");
	do
		store->spooled = spool_change(store->spool, change);
	while (may_try_again(store, &tries));
	stats_spool(store->stats, store->spooled);
	if (store->spooled != SPOOL_DONE)
		return (false);
	CRASH_POINT("commit-spooled");
	stats_add(store->stats, STATS_SPOOLED_IN_DOUBT, change->call_count);
	stats_add(store->stats, STATS_SPOOLED_QUARANTINED,
	    change->refused_count);
	return (true);
}

/*
 * Store the calls that Redis has not applied in the spool: open ones with their
 * identity, with which this writer ends.  Return whether all is durable.
 */
static bool
store_rest(struct store * store)
{
	struct sink * sink = store->sink;
	size_t count = sink_count(sink);
	struct spool_call * calls = alloc_zeroed(count + 1, sizeof(*calls));
	struct spool_call * refused = alloc_zeroed(count + 1, sizeof(*calls));
	struct spool_change change = { .calls = calls, .refused = refused };
	bool stored;
	size_t i;

	for (i = 0; i < count; i++) {
		const struct call * call = sink_call(sink, i);
		struct spool_call record = { .since = clock_now_ms(),
		    .stored = sink_time(sink, call),
		    .reason = call->reason, .bytes = sink_bytes(sink, call),
		    .length = call->length };

		if (call->outcome == CALL_REFUSED)
			refused[change.refused_count++] = record;
		else if (call->outcome != CALL_APPLIED)
			calls[change.call_count++] = record;
	}
	stored = spool_calls(store, &change);
	if (stored && change.call_count > 0)
		sink_new_writer(sink);
	free(calls);
	free(refused);
	return (stored);
}

static void
log_failure(struct store * store)
{
	static struct log_limit limit;
	uint64_t more;

	if (log_allowed(&limit, &more))
		log_error("neither Redis nor the spool takes counts, so "
		    "requests get 503 (%llu more since the last such line): "
		    "Redis: %s; spool: %s", (unsigned long long)more,
		    sink_reason(store->sink), spool_why(store->spool));
}

static bool
is_large(const struct tally * tally)
{

	return (tally->counters > LARGE_COUNTERS ||
	    tally->node_count > LARGE_NODES);
}

void
store_init(struct store * store, bool spool_first, struct sink * sink,
    struct spool * spool, struct replay * replay, struct stats * stats)
{

	memset(store, 0, sizeof(*store));
	store->spool_first = spool_first;
	store->sink = sink;
	store->spool = spool;
	store->replay = replay;
	store->stats = stats;
	if (spool_why(spool)[0] != '\0')
		stats_spool(stats, SPOOL_FAILED);
}

static enum store_result
store_in_redis(struct store * store, struct tally * tally, int64_t deadline)
{
	bool was_there = replay_redis_serves(store->replay);
	enum sink_result result;

	/* If the spool fails, waiting for Redis is the only chance. */
	sink_hasten(store->sink, was_there &&
	    stats_get_gauge(store->stats, STATS_SPOOL_RESULT) ==
	    SPOOL_DONE);
	result = sink_commit(store->sink, tally, deadline - SPOOL_TIME_MAX);
	if (result == SINK_APPLIED) {
		CRASH_POINT("commit-applied");
		replay_redis_took(store->replay);
		stats_add(store->stats, STATS_COUNTERS_APPLIED,
		    tally->counters);
		return (store_rest(store) ? STORE_DURABLE : STORE_MIXED);
	}
	if (!sink_put_off(store->sink))
		replay_redis_lost(store->replay);
	else
		was_there = false;
	CRASH_POINT("commit-lost");
	if (result == SINK_UNSENT ? spool_tally(store, tally) :
	    store_rest(store)) {
		if (was_there)
			replay_log_lost(sink_reason(store->sink));
		return (STORE_DURABLE);
	}
	return (result == SINK_UNSENT ? STORE_FAILED : STORE_MIXED);
}

enum store_result
store_make(struct store * store, struct tally * tally, int64_t deadline)
{
	enum store_result result;

	store->deadline = deadline;
	store->spooled = SPOOL_DONE;
	CRASH_POINT("commit-begin");
	if (store->spool_first ||
	    (is_large(tally) && store->replay != NULL) ||
	    !replay_redis_serves(store->replay)) {
		if (spool_tally(store, tally))
			return (STORE_DURABLE);
		/* If it may be in the spool, it must not go to Redis, too. */
		if (store->spooled == SPOOL_UNKNOWN ||
		    tally->counters > ALONE_COUNTERS_MAX) {
			log_failure(store);
			return (STORE_FAILED);
		}
	}
	result = store_in_redis(store, tally, deadline);
	if (result != STORE_DURABLE)
		log_failure(store);
	return (result);
}

/* Return whether a counter of a body is one of this node's. */
static bool
counts(const struct tally_node * node)
{

	return (node->kind == TALLY_FEATURE ? node->yes + node->no > 0 :
	    node->kind == TALLY_VARIANT || node->kind == TALLY_INSTANCE ||
	    node->kind == TALLY_SERIES);
}

/* Return whether Redis has all that may be repeated without harm. */
static bool
touches_applied(const struct store * store)
{
	size_t i;

	for (i = 0; i < sink_count(store->sink); i++) {
		const struct call * call = sink_call(store->sink, i);

		if (call->script == SCRIPT_TOUCH &&
		    call->outcome != CALL_APPLIED)
			return (false);
	}
	return (true);
}

/*
 * The spool has none of the calls.  A tally has failed if a part of it was
 * stored nowhere, or if all of it was refused.  If Redis refused one part for
 * good and applied another, sending the body again would count the second part
 * twice, and not help the first.
 */
bool
store_is_durable(const struct store * store, const struct tally * tally)
{
	const struct tally_node * node, * merged;
	size_t parts = 0, refused = 0;

	for (node = tally->root; node != NULL; node = tally_next(node)) {
		enum call_outcome outcome;

		/* A node that was merged has its call in the group's tally. */
		merged = node->merged_into == NULL ? node : node->merged_into;
		if (!counts(node) || merged->call == 0)
			continue;
		outcome = sink_call(store->sink, merged->call - 1)->outcome;
		if (outcome != CALL_APPLIED && outcome != CALL_REFUSED)
			return (false);
		parts++;
		refused += outcome == CALL_REFUSED;
	}
	if (parts == 0)
		return (touches_applied(store));
	if (refused == parts)
		return (false);
	if (refused > 0)
		log_error_limited("%zu of %zu parts of a body are lost: Redis "
		    "rejected them", refused, parts);
	return (true);
}

const char *
store_why(const struct store * store)
{

	switch (store->spooled) {
	case SPOOL_FULL:
		return ("Redis cannot take the counts now, and the spool is "
		    "full");
	case SPOOL_UNKNOWN:
		return ("the disk of the spool fails, and whether it holds "
		    "the counts is unknown");
	default:
		return ("Redis cannot take the counts now, and the spool "
		    "cannot be used");
	}
}

void
store_free(struct store * store)
{

	sink_free(store->sink);
	spool_free(store->spool);
}
