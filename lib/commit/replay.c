#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/crashpoint.h"
#include "lib/base/log.h"
#include "lib/commit/replay.h"
#include "lib/redis/commands.h"
#include "lib/tally/tally_codec.h"

/*
 * Exactly once, from the spool.  A record of the spool is either a tally that
 * was never sent, or calls that may have been applied.  Tallies become calls
 * in one transaction of the spool, which removes the tallies and adds the
 * calls with the identity of a new writer, before the first byte of them is
 * sent.  Calls are sent as they stand, again and again, until Redis has
 * answered each of them, and then the record is removed.  Whoever is killed
 * on the way leaves a record that the next one sends again: Redis knows the
 * calls by their identity (see sink.c), and does nothing twice.
 *
 * The writer of calls in the spool never makes another call, and Redis forgets
 * it only after COMMANDS_WRITER_LIFETIME.  Calls that are nearly as old are set
 * aside: nobody could say any more whether they have been applied.
 *
 * One process at a time replays, under a lease that dies with it.  It is not
 * what makes replay right (two that send the same calls do no harm), but it
 * keeps them out of each other's way.
 *
 * While Redis is away tallies gather.  Sixteen of one weight are merged into
 * one of the next weight, so that each is merged a few times only, and the
 * spool grows with the distinct counters in it and not with the time.
 */
#define MERGE_COUNT 16

/*
 * Of a piece: so many counters and records become calls at once.  A piece costs
 * two transactions of the spool and a call of Redis for each application, so it
 * has to be worth it: what has gathered since the last pass goes together, and
 * what comes during a pass waits for the next.
 */
#define PIECE_COUNTERS 5000
#define PIECE_RECORDS 1024

/* Of what is merged while Redis is away. */
#define MERGED_COUNTERS 1000000

/* Milliseconds between two looks at a Redis that is away. */
#define PROBE_INTERVAL 200

/* How long one sending may take, and what is good to do after it. */
#define SEND_TIME_MAX 1500
#define SETTLE_TIME_MAX 500

#define KEEP_BYTES ((size_t)256 * 1024)

/* One record that is being made ready, with its text. */
struct refusal {
	struct refusal * next;
	struct buffer bytes;
	char * reason;
};

/* What a replay works with; replay_all has one without a thread. */
struct worker {
	struct sink * sink;
	struct spool * spool;
	struct stats * stats;
	struct arena * arena;		/* For what is merged, */
	struct arena * scratch;		/* and for one tally of it. */
	size_t memory_max;		/* More is not merged at once. */
	struct buffer bytes;
	struct refusal * refusals;	/* Of the calls being sent. */
	uint64_t replayed;		/* Records. */
	uint64_t merged;		/* Tallies that were left unmerged. */
	uint64_t due;			/* Tallies of this pass still to go. */
};

struct replay {
	pthread_t thread;
	pthread_mutex_t lock;		/* Held to set stopping. */
	pthread_cond_t stop;
	_Atomic bool stopping;
	int64_t interval;
	_Atomic bool lost;
	struct worker worker;
};

/* Refusals */

static bool
keep_refused(void * context, const void * bytes, size_t length,
    const char * reason)
{
	struct worker * worker = context;
	struct refusal * refusal = alloc_zeroed(1, sizeof(*refusal));

	buffer_append(&refusal->bytes, bytes, length);
	refusal->reason = alloc_string(reason);
	refusal->next = worker->refusals;
	worker->refusals = refusal;
	return (true);
}

static void
drop_refusals(struct worker * worker)
{

	while (worker->refusals != NULL) {
		struct refusal * refusal = worker->refusals;

		worker->refusals = refusal->next;
		buffer_free(&refusal->bytes);
		free(refusal->reason);
		free(refusal);
	}
}

/* Remove a record that is done with, but for what Redis has refused of it. */
static enum spool_result
remove_record(struct worker * worker, int64_t id, int64_t since)
{
	const struct refusal * refusal;
	struct spool_record * records;
	enum spool_result result;
	size_t count = 0;

	for (refusal = worker->refusals; refusal != NULL;
	    refusal = refusal->next)
		count++;
	records = alloc_zeroed(count + 1, sizeof(*records));
	count = 0;
	for (refusal = worker->refusals; refusal != NULL;
	    refusal = refusal->next)
		records[count++] = (struct spool_record){
			.kind = SPOOL_ASIDE, .since = since,
			.reason = refusal->reason,
			.bytes = refusal->bytes.bytes,
			.length = refusal->bytes.length };
	result = spool_replace(worker->spool, &id, 1, records, count);
	if (result == SPOOL_DONE)
		stats_add(worker->stats, STATS_SPOOLED_ASIDE, count);
	drop_refusals(worker);
	free(records);
	return (result);
}

/* Calls */

/* A record that is being worked on. */
struct found {
	struct worker * worker;
	int64_t id;			/* 0: there is none. */
	int64_t since;
	uint64_t counters;
	const char * why;		/* It cannot be used. */
};

static bool
take_calls(void * context, const struct spool_record * record)
{
	struct found * found = context;

	found->id = record->id;
	found->since = record->since;
	found->counters = record->counters;
	found->why = sink_load(found->worker->sink, record->bytes,
	    record->length);
	if (found->why == NULL && clock_now_ms() - record->since >
	    (COMMANDS_WRITER_LIFETIME - INT64_C(24) * 3600) * 1000)
		found->why = REPLAY_TOO_OLD;
	if (found->why != NULL)
		keep_refused(found->worker, record->bytes, record->length,
		    found->why);
	return (false);
}

/*
 * Send the oldest calls.  Return REPLAY_DONE when there are none, REPLAY_BUSY
 * when there may be more.
 */
static enum replay_result
replay_calls(struct worker * worker)
{
	struct found found = { .worker = worker };
	enum spool_result result;

	drop_refusals(worker);
	if (spool_read(worker->spool, SPOOL_CALLS, 0, take_calls, &found) !=
	    SPOOL_DONE)
		return (REPLAY_NO_SPOOL);
	if (found.id == 0)
		return (REPLAY_DONE);
	if (found.why != NULL)
		log_error("calls in the spool are set aside: %s", found.why);
	else if (sink_send(worker->sink, clock_monotonic() +
	    SEND_TIME_MAX) != SINK_APPLIED)
		return (REPLAY_NO_REDIS);
	CRASH_POINT("replay-sent");
	result = remove_record(worker, found.id, found.since);
	CRASH_POINT("replay-removed");
	if (found.why == NULL && result == SPOOL_DONE)
		sink_settled(worker->sink, clock_monotonic() + SETTLE_TIME_MAX);
	if (result != SPOOL_DONE && result != SPOOL_CHANGED)
		return (REPLAY_NO_SPOOL);
	if (found.why == NULL) {
		stats_add(worker->stats, STATS_COUNTERS_APPLIED,
		    found.counters);
		stats_add(worker->stats, STATS_REPLAYED, 1);
	}
	worker->replayed++;
	return (REPLAY_BUSY);
}

/* Tallies */

/* Tallies that are being merged. */
struct gathering {
	struct worker * worker;
	struct tally * merged;
	uint64_t weight;		/* Only of this one, */
	bool any_weight;		/* or of any. */
	size_t counters_max;
	size_t records_max;
	int64_t since;			/* Of the oldest. */
	size_t count;
	int64_t ids[PIECE_RECORDS];
	const char * why;		/* The last one is damaged. */
};

/* Return whether so much is being merged that it has to do. */
static bool
is_full(const struct worker * worker)
{

	return (arena_held(worker->arena) >= worker->memory_max);
}

static bool
take_tally(void * context, const struct spool_record * record)
{
	struct gathering * gathering = context;
	struct worker * worker = gathering->worker;
	struct tally * tally;

	if (!gathering->any_weight && record->weight != gathering->weight)
		return (true);
	arena_reset(worker->scratch);
	tally = tally_create(worker->scratch);
	gathering->why = tally_codec_decode(tally, record->bytes,
	    record->length);
	if (gathering->why != NULL) {
		/* It is set aside, and comes alone. */
		if (gathering->count == 0)
			keep_refused(worker, record->bytes, record->length,
			    gathering->why);
		else
			return (false);
	} else if (!tally_may_merge(gathering->merged, tally))
		return (false);
	else
		tally_absorb(gathering->merged, tally);
	if (gathering->count == 0)
		gathering->since = record->since;
	gathering->ids[gathering->count++] = record->id;
	return (gathering->why == NULL &&
	    gathering->count < gathering->records_max && !is_full(worker) &&
	    gathering->merged->counters < gathering->counters_max);
}

static enum spool_result
gather(struct worker * worker, struct gathering * gathering)
{

	arena_reset(worker->arena);
	drop_refusals(worker);
	gathering->worker = worker;
	gathering->count = 0;
	gathering->why = NULL;
	gathering->merged = tally_create(worker->arena);
	return (spool_read(worker->spool, SPOOL_TALLY, 0, take_tally,
	    gathering));
}

/* A damaged tally cannot be sent; it is kept for whoever can mend it. */
static enum spool_result
set_aside(struct worker * worker, struct gathering * gathering)
{

	log_error("a tally in the spool is set aside: %s",
	    worker->refusals->reason);
	return (remove_record(worker, gathering->ids[0], gathering->since));
}

/* Give the oldest tallies an identity: from now on they are calls. */
static enum replay_result
prepare_tallies(struct worker * worker)
{
	struct gathering gathering = { .any_weight = true,
	    .counters_max = PIECE_COUNTERS,
	    .records_max = worker->due < PIECE_RECORDS ?
	    (size_t)worker->due : PIECE_RECORDS };
	struct spool_record record = { .kind = SPOOL_CALLS, .reason = "" };
	enum spool_result result;
	size_t calls;

	if (worker->due == 0)
		return (REPLAY_DONE);
	result = gather(worker, &gathering);
	if (result != SPOOL_DONE)
		return (REPLAY_NO_SPOOL);
	if (gathering.count == 0)
		return (REPLAY_DONE);
	if (worker->refusals != NULL)
		result = set_aside(worker, &gathering);
	else {
		if (!sink_prepare(worker->sink, gathering.merged,
		    clock_monotonic() + SEND_TIME_MAX))
			return (REPLAY_NO_REDIS);
		stats_dropped(worker->stats, gathering.merged->dropped);
		buffer_clear(&worker->bytes);
		/* There are none if all was beyond a cap. */
		calls = sink_left(worker->sink, &worker->bytes) > 0;
		record.since = clock_now_ms();
		record.counters = gathering.merged->counters;
		record.bytes = worker->bytes.bytes;
		record.length = worker->bytes.length;
		CRASH_POINT("replay-prepared");
		result = spool_replace(worker->spool, gathering.ids,
		    gathering.count, &record, calls);
		CRASH_POINT("replay-stored");
	}
	worker->replayed += gathering.count;
	worker->due -= gathering.count;
	return (result == SPOOL_DONE || result == SPOOL_CHANGED ?
	    REPLAY_BUSY : REPLAY_NO_SPOOL);
}

/* Replay a little.  Return REPLAY_BUSY when there may be more. */
static enum replay_result
replay_piece(struct worker * worker)
{
	enum replay_result result = replay_calls(worker);

	if (result == REPLAY_DONE)
		result = prepare_tallies(worker);
	return (result);
}

/* Return whether enough tallies have come since they were merged last. */
static bool
are_many(struct worker * worker)
{
	struct spool_depth depth;

	if (spool_depth(worker->spool, SPOOL_TALLY, &depth) != SPOOL_DONE)
		return (false);
	if (depth.records < worker->merged)
		worker->merged = depth.records;
	return (depth.records >= worker->merged + MERGE_COUNT);
}

/*
 * Merge tallies of one weight, the lightest that are many.  Return whether
 * there may be more.
 */
static bool
merge_some(struct worker * worker)
{
	struct gathering gathering = { .counters_max = MERGED_COUNTERS,
	    .records_max = MERGE_COUNT };
	struct spool_record record = { .kind = SPOOL_TALLY, .reason = "" };
	struct spool_depth depth;

	for (; gathering.weight < 8; gathering.weight++) {
		if (gather(worker, &gathering) != SPOOL_DONE ||
		    worker->refusals != NULL)
			return (false);
		/* Large ones are merged as far as memory goes. */
		if (gathering.count < MERGE_COUNT &&
		    (gathering.count < 2 || !is_full(worker)))
			continue;
		buffer_clear(&worker->bytes);
		tally_codec_encode(&worker->bytes, gathering.merged);
		record.since = gathering.since;
		record.counters = gathering.merged->counters;
		record.weight = gathering.weight +
		    (gathering.count == MERGE_COUNT);
		record.bytes = worker->bytes.bytes;
		record.length = worker->bytes.length;
		CRASH_POINT("replay-merge");
		return (spool_replace(worker->spool, gathering.ids,
		    gathering.count, &record, 1) == SPOOL_DONE);
	}
	if (spool_depth(worker->spool, SPOOL_TALLY, &depth) == SPOOL_DONE)
		worker->merged = depth.records;
	return (false);
}

/* The thread */

static void
worker_init(struct worker * worker, struct sink * sink, struct spool * spool,
    struct stats * stats)
{

	memset(worker, 0, sizeof(*worker));
	worker->sink = sink;
	worker->spool = spool;
	worker->stats = stats;
	worker->arena = arena_create(KEEP_BYTES);
	worker->scratch = arena_create(KEEP_BYTES);
	worker->memory_max = sink_settings_of(sink)->limit_memory;
	if (worker->memory_max == 0)
		worker->memory_max = SIZE_MAX;
	sink_on_refusal(sink, keep_refused, worker);
}

static void
worker_free(struct worker * worker)
{

	drop_refusals(worker);
	arena_free(worker->arena);
	arena_free(worker->scratch);
	buffer_free(&worker->bytes);
}

/*
 * Wait for the next pass, of which the last one ${began} then.  It comes after
 * the interval even if there is more to do: meanwhile more gathers that can be
 * merged.  Return false when there is to be none.
 */
static bool
wait_for_next(struct replay * replay, int64_t began)
{
	int64_t until = began + (replay->lost ? PROBE_INTERVAL :
	    replay->interval);
	struct timespec limit = clock_timespec(until);
	int error = 0;

	pthread_mutex_lock(&replay->lock);
	while (!replay->stopping && error == 0)
		error = pthread_cond_timedwait(&replay->stop, &replay->lock,
		    &limit);
	pthread_mutex_unlock(&replay->lock);
	return (!replay->stopping);
}

static void
look_for_redis(struct replay * replay)
{

	if (!replay->lost)
		return;
	if (sink_probe(replay->worker.sink, clock_monotonic() + 1000)) {
		replay->lost = false;
		log_info("Redis takes changes again");
	}
}

static void
replay_waiting(struct replay * replay)
{
	struct worker * worker = &replay->worker;
	enum replay_result result = REPLAY_BUSY;
	struct spool_depth depth;

	if (!spool_lock(worker->spool))
		return;
	if (spool_depth(worker->spool, SPOOL_TALLY, &depth) == SPOOL_DONE)
		worker->due = depth.records;
	while (result == REPLAY_BUSY && !replay->lost && !replay->stopping)
		result = replay_piece(worker);
	if (result == REPLAY_NO_REDIS)
		replay->lost = true;
	if (replay->lost && are_many(worker))
		while (!replay->stopping && merge_some(worker))
			continue;
	spool_unlock(worker->spool);
}

static void *
run(void * context)
{
	struct replay * replay = context;
	int64_t began;

	do {
		began = clock_monotonic();
		look_for_redis(replay);
		replay_waiting(replay);
	} while (wait_for_next(replay, began));
	return (NULL);
}

static void
destroy(struct replay * replay)
{

	worker_free(&replay->worker);
	sink_free(replay->worker.sink);
	spool_free(replay->worker.spool);
	pthread_mutex_destroy(&replay->lock);
	pthread_cond_destroy(&replay->stop);
	free(replay);
}

struct replay *
replay_start(struct sink * sink, struct spool * spool, struct stats * stats,
    int64_t interval)
{
	struct replay * replay = alloc_zeroed(1, sizeof(*replay));
	pthread_condattr_t attributes;
	int error;

	worker_init(&replay->worker, sink, spool, stats);
	replay->interval = interval;
	pthread_mutex_init(&replay->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&replay->stop, &attributes);
	pthread_condattr_destroy(&attributes);
	error = pthread_create(&replay->thread, NULL, run, replay);
	if (error == 0)
		return (replay);
	destroy(replay);
	errno = error;
	return (NULL);
}

void
replay_redis_lost(struct replay * replay)
{

	if (replay != NULL)
		replay->lost = true;
}

bool
replay_redis_serves(const struct replay * replay)
{

	return (replay == NULL || !replay->lost);
}

bool
replay_stop(struct replay * replay, int64_t deadline)
{
	/* Joining knows the time of day only. */
	struct timespec limit = clock_timespec(clock_now_ms() +
	    clock_remaining(deadline));

	if (replay == NULL)
		return (true);
	pthread_mutex_lock(&replay->lock);
	replay->stopping = true;
	pthread_cond_signal(&replay->stop);
	pthread_mutex_unlock(&replay->lock);
	if (pthread_timedjoin_np(replay->thread, NULL, &limit) != 0)
		return (false);
	destroy(replay);
	return (true);
}

enum replay_result
replay_all(struct sink * sink, struct spool * spool, struct stats * stats,
    replay_progress * progress, void * context)
{
	enum replay_result result = REPLAY_BUSY;
	struct spool_depth tallies, calls;
	struct worker worker;

	if (!spool_lock(spool))
		return (REPLAY_BUSY);
	worker_init(&worker, sink, spool, stats);
	worker.due = UINT64_MAX;
	while (result == REPLAY_BUSY) {
		result = replay_piece(&worker);
		if (progress != NULL &&
		    spool_depth(spool, SPOOL_TALLY, &tallies) == SPOOL_DONE &&
		    spool_depth(spool, SPOOL_CALLS, &calls) == SPOOL_DONE)
			progress(context, worker.replayed,
			    tallies.records + calls.records);
	}
	worker_free(&worker);
	spool_unlock(spool);
	return (result);
}
