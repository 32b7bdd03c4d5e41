#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/commit.h"
#include "lib/cost.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/verdict.h"

/*
 * A group is closed when the committer is free to take it (take_group): there
 * is no waiting for more, because while one group is on its way to Redis the
 * next one gathers by itself.  It is also bounded, so that one group's time in
 * Redis stays well within the time in which its requests must be answered, and
 * that it takes no more memory than a request may.
 */
#define GROUP_COUNTERS_MAX 100000

/* Sums of so many bodies stay below 2^63. */
#define GROUP_TALLIES_MAX 1000

/* So many counters may gather in memory. */
#define MEMORY_COUNTERS_MAX 1000000

/* Milliseconds between two looks at a Redis that is away. */
#define PROBE_INTERVAL 1000

/* The part of a request's time that is left for the spool, and attempts. */
#define SPOOL_TIME_MAX 700
#define SPOOL_TRIES 3

/* Memory that the committer keeps from group to group. */
#define KEEP_BYTES ((size_t)1024 * 1024)

struct waiter {
	struct waiter * next;
	struct tally * tally;
	size_t cost;			/* Of the tally. */
	int64_t deadline;
	enum commit_result result;
	bool answered;
	pthread_cond_t wake;
};

struct committer {
	pthread_t thread;
	pthread_mutex_t lock;		/* Guards the queue and all waiters. */
	pthread_cond_t work;
	pthread_cond_t room;		/* With ack=memory: for more. */
	struct waiter * first;
	struct waiter ** end;
	bool stopping;
	int64_t latest;			/* No deadline is later. */
	struct commit_settings settings;
	struct sink * sink;
	struct spool * spool;		/* NULL: there is none. */
	struct replay * replay;		/* Likewise. */
	struct arena * arena;		/* Of a group that is merged. */
	struct buffer bytes;
	int64_t deadline;		/* Of the group at hand. */

	/* With ack=memory: */
	struct tally * gathered;	/* What has been answered, */
	struct arena * gathering;	/* where it lives, */
	struct arena * spare;
	size_t cost;			/* Of what is gathered, or more. */
	int64_t next_flush;
	bool left, unfinished;		/* The sink has calls left. */
};

static void
answer(struct waiter * waiter, enum commit_result result)
{

	waiter->result = result;
	waiter->answered = true;
	pthread_cond_signal(&waiter->wake);
}

/* How much a tally, or a group, may take. */
static size_t
memory_limit(const struct committer * committer)
{
	size_t limit = sink_settings_of(committer->sink)->limit_memory;

	return (limit == 0 ? SIZE_MAX : limit);
}

/*
 * Take the next group off the queue, and answer those for whom it is too late.
 * At least one tally is taken, however large, if any is there in time.
 */
static struct waiter *
take_group(struct committer * committer)
{
	struct waiter * group = NULL;
	struct waiter ** end = &group;
	int64_t now = clock_monotonic();
	size_t limit = memory_limit(committer);
	size_t counters = 0;
	size_t count = 0;
	size_t cost = 0;

	while (committer->first != NULL) {
		struct waiter * waiter = committer->first;

		counters += waiter->tally->counters;
		cost += waiter->cost;
		if (count > 0 && (counters > GROUP_COUNTERS_MAX ||
		    cost > limit || count == GROUP_TALLIES_MAX))
			break;
		committer->first = waiter->next;
		if (waiter->deadline <= now) {
			answer(waiter, COMMIT_UNAVAILABLE);
			continue;
		}
		waiter->next = NULL;
		*end = waiter;
		end = &waiter->next;
		count++;
	}
	if (committer->first == NULL)
		committer->end = &committer->first;
	return (group);
}

/* One tally that holds the whole group; of a group of one it is that one. */
static struct tally *
merge_group(struct committer * committer, struct waiter * group)
{
	struct tally * merged;

	if (group->next == NULL)
		return (group->tally);
	merged = tally_create(committer->arena);
	for (; group != NULL; group = group->next)
		tally_merge(merged, group->tally);
	return (merged);
}

static bool
append(struct committer * committer, struct spool_record * record)
{
	enum spool_result result;
	int tries = SPOOL_TRIES;

	/* A disk that stalls under another process may get over it. */
	do
		result = spool_append(committer->spool, record);
	while (result == SPOOL_FAILED && --tries > 0 &&
	    clock_remaining(committer->deadline) > SPOOL_TIME_MAX);
	if (result != SPOOL_DONE)
		return (false);
	stats_add(committer->settings.stats,
	    (enum stats_counter)(STATS_SPOOLED_TALLY + record->kind), 1);
	return (true);
}

/* The spool takes what Redis refuses for good. */
static bool
set_aside(void * context, const void * bytes, size_t length,
    const char * reason)
{
	struct committer * committer = context;
	struct spool_record record = { .kind = SPOOL_ASIDE,
	    .since = clock_now_ms(), .reason = reason, .bytes = bytes,
	    .length = length };

	return (committer->spool != NULL && append(committer, &record));
}

/* Put what waits in committer->bytes into the spool. */
static bool
spool_bytes(struct committer * committer, enum spool_kind kind,
    uint64_t counters)
{
	struct spool_record record = { .kind = kind, .reason = "",
	    .since = clock_now_ms(), .counters = counters,
	    .bytes = committer->bytes.bytes,
	    .length = committer->bytes.length };

	CRASH_POINT("commit-spool");
	if (!append(committer, &record))
		return (false);
	CRASH_POINT("commit-spooled");
	replay_wake(committer->replay);
	return (true);
}

static bool
spool_tally(struct committer * committer, const struct tally * tally)
{

	buffer_clear(&committer->bytes);
	pack_tally(&committer->bytes, tally);
	return (spool_bytes(committer, SPOOL_TALLY, tally->counters));
}

/*
 * Redis may have applied the calls that are left or not, so they go to the
 * spool with their identity, and this writer ends with them: none of its calls
 * comes after those.
 */
static bool
spool_calls(struct committer * committer)
{

	buffer_clear(&committer->bytes);
	sink_left(committer->sink, &committer->bytes);
	if (!spool_bytes(committer, SPOOL_CALLS, 0))
		return (false);
	sink_new_writer(committer->sink);
	return (true);
}

/*
 * The decision: Redis in time, else the spool.  Once Redis has failed, nothing
 * waits for it any more until replay finds that it is back.
 */
static bool
make_durable(struct committer * committer, struct tally * tally,
    int64_t deadline)
{
	enum sink_result result;

	committer->left = false;
	committer->deadline = deadline;
	CRASH_POINT("commit-begin");
	if (committer->spool != NULL &&
	    (committer->settings.ack == COMMIT_ACK_SPOOL ||
	    !replay_redis_serves(committer->replay)) &&
	    spool_tally(committer, tally))
		return (true);
	/* If the spool is full or broken Redis is the last resort. */
	result = sink_commit(committer->sink, tally, committer->spool == NULL ?
	    deadline : deadline - SPOOL_TIME_MAX);
	if (result == SINK_APPLIED) {
		CRASH_POINT("commit-applied");
		stats_add(committer->settings.stats, STATS_COUNTERS_APPLIED,
		    tally->counters);
		return (true);
	}
	committer->left = result == SINK_UNKNOWN;
	if (committer->spool == NULL)
		return (false);
	if (replay_redis_serves(committer->replay))
		log_warning("Redis did not take a group in time, so it goes to "
		    "the spool: %s", sink_reason(committer->sink));
	replay_redis_lost(committer->replay);
	CRASH_POINT("commit-lost");
	if (result == SINK_UNSENT)
		return (spool_tally(committer, tally));
	committer->left = !spool_calls(committer);
	return (!committer->left);
}

static void
commit_group(struct committer * committer, struct waiter * group)
{
	struct stats * stats = committer->settings.stats;
	struct tally * tally = merge_group(committer, group);
	struct waiter * waiter, * next;
	int64_t began = clock_microseconds();
	uint64_t count = 0;
	bool durable;

	/* They stand in the order in which they came. */
	durable = make_durable(committer, tally, group->deadline);
	stats_observe(stats, STATS_COMMIT_TIME,
	    (uint64_t)(clock_microseconds() - began));
	/* Who is told that it failed sends it again. */
	if (durable)
		stats_dropped(stats, tally->dropped);
	pthread_mutex_lock(&committer->lock);
	for (waiter = group; waiter != NULL; waiter = next) {
		next = waiter->next;
		count++;
		answer(waiter, durable &&
		    verdict_stands(waiter->tally) ? COMMIT_DURABLE :
		    COMMIT_UNAVAILABLE);
	}
	pthread_mutex_unlock(&committer->lock);
	stats_observe(stats, STATS_GROUP_REQUESTS, count);
	arena_reset(committer->arena);
}

/* With ack=memory */

/* Return whether so much more may be gathered.  The caller holds the lock. */
static bool
has_room(struct committer * committer, size_t cost)
{
	size_t limit = memory_limit(committer);

	/* What came again and again was counted as often. */
	if (committer->cost + cost > limit)
		committer->cost = cost_of(committer->gathered,
		    sink_settings_of(committer->sink));
	if (committer->cost + cost > limit / 2 ||
	    arena_held(committer->gathering) > limit / 2)
		committer->next_flush = 0;
	return (committer->cost + cost <= limit &&
	    arena_held(committer->gathering) <= limit &&
	    committer->gathered->counters < MEMORY_COUNTERS_MAX);
}

/* The caller holds the lock. */
static bool
wait_for_room(struct committer * committer, const struct tally * tally,
    size_t cost)
{
	int64_t deadline = clock_monotonic() + COMMIT_TIME_MAX;
	struct timespec until = { .tv_sec = deadline / 1000,
	    .tv_nsec = deadline % 1000 * 1000000 };

	while (!has_room(committer, cost) ||
	    !tally_may_merge(committer->gathered, tally)) {
		committer->next_flush = 0;
		pthread_cond_signal(&committer->work);
		if (pthread_cond_timedwait(&committer->room,
		    &committer->lock, &until) != 0)
			return (false);
	}
	return (true);
}

/* Take a tally into memory, if there is room. */
static enum commit_result
gather(struct committer * committer, struct tally * tally, size_t cost)
{
	bool room;

	pthread_mutex_lock(&committer->lock);
	room = wait_for_room(committer, tally, cost);
	if (room) {
		if (tally_empty(committer->gathered))
			committer->next_flush = clock_monotonic() +
			    committer->settings.interval;
		tally_absorb(committer->gathered, tally);
		committer->cost += cost;
	}
	pthread_cond_signal(&committer->work);
	pthread_mutex_unlock(&committer->lock);
	return (room ? COMMIT_DURABLE : COMMIT_UNAVAILABLE);
}

/* What is gathered from now on goes elsewhere.  The caller holds the lock. */
static struct tally *
take_gathered(struct committer * committer)
{
	struct tally * tally = committer->gathered;
	struct arena * arena = committer->gathering;

	committer->gathering = committer->spare;
	committer->spare = arena;
	committer->gathered = tally_create(committer->gathering);
	committer->cost = 0;
	pthread_cond_broadcast(&committer->room);
	return (tally);
}

/*
 * Make what has been gathered durable.  Return false if that has to be tried
 * again: without a spool, all that is left is to keep it.
 */
static bool
flush(struct committer * committer, int64_t deadline)
{
	struct tally * tally;
	bool done = true;

	if (committer->unfinished) {
		if (sink_send(committer->sink, deadline) != SINK_APPLIED)
			return (false);
		committer->unfinished = false;
	}
	pthread_mutex_lock(&committer->lock);
	tally = take_gathered(committer);
	pthread_mutex_unlock(&committer->lock);
	if (!make_durable(committer, tally, deadline)) {
		committer->unfinished = committer->left;
		done = committer->unfinished;
	}
	if (done)
		stats_dropped(committer->settings.stats, tally->dropped);
	else {
		pthread_mutex_lock(&committer->lock);
		tally_absorb(committer->gathered, tally);
		committer->cost = cost_of(committer->gathered,
		    sink_settings_of(committer->sink));
		pthread_mutex_unlock(&committer->lock);
	}
	arena_reset(committer->spare);
	return (done && !committer->unfinished);
}

static void
flush_gathered(struct committer * committer)
{
	int64_t deadline = clock_monotonic() + COMMIT_TIME_MAX;
	int64_t interval = committer->settings.interval;
	bool flushed;

	if (deadline > committer->latest)
		deadline = committer->latest;
	/* Who needs room meanwhile wants it sooner. */
	committer->next_flush = clock_monotonic() + interval;
	pthread_mutex_unlock(&committer->lock);
	flushed = flush(committer, deadline);
	if (!flushed)
		log_warning("what is in memory cannot be committed now");
	pthread_mutex_lock(&committer->lock);
	if (flushed)
		return;
	committer->next_flush = clock_monotonic() + interval;
	if (committer->stopping)
		committer->latest = 0;
}

static bool
has_gathered(const struct committer * committer)
{

	return (committer->unfinished || (committer->gathered != NULL &&
	    !tally_empty(committer->gathered)));
}

/* With nobody who replays, it is the committer who sees that Redis is back,
 * so that those learn it who ask backstage before they send requests. */
static bool
has_to_probe(const struct committer * committer)
{

	return (committer->replay == NULL && !committer->settings.once &&
	    !has_gathered(committer) && stats_get_gauge(
	    committer->settings.stats, STATS_REDIS_DOWN) != 0);
}

/* The caller holds the lock. */
static void
wait_for_work(struct committer * committer)
{
	bool probes = has_to_probe(committer);
	int64_t until = probes ? clock_monotonic() + PROBE_INTERVAL :
	    committer->next_flush;
	struct timespec limit = { .tv_sec = until / 1000,
	    .tv_nsec = until % 1000 * 1000000 };
	int error = 0;

	if (has_gathered(committer) || probes)
		error = pthread_cond_timedwait(&committer->work,
		    &committer->lock, &limit);
	else
		pthread_cond_wait(&committer->work, &committer->lock);
	if (probes && error == ETIMEDOUT) {
		pthread_mutex_unlock(&committer->lock);
		sink_probe(committer->sink, clock_monotonic() +
		    PROBE_INTERVAL);
		pthread_mutex_lock(&committer->lock);
	}
}

/*
 * Return whether the committer has to go on: it is not to stop, or it has
 * something left and time for it.
 */
static bool
goes_on(const struct committer * committer)
{

	return (!committer->stopping || committer->first != NULL ||
	    (has_gathered(committer) &&
	    clock_remaining(committer->latest) > 0));
}

static void *
run(void * context)
{
	struct committer * committer = context;
	struct waiter * group;

	pthread_mutex_lock(&committer->lock);
	while (goes_on(committer)) {
		if (committer->first != NULL) {
			group = take_group(committer);
			pthread_mutex_unlock(&committer->lock);
			if (group != NULL)
				commit_group(committer, group);
			pthread_mutex_lock(&committer->lock);
		} else if (has_gathered(committer) && (committer->stopping ||
		    clock_remaining(committer->next_flush) == 0))
			flush_gathered(committer);
		else
			wait_for_work(committer);
	}
	if (has_gathered(committer))
		log_error("counts in memory are lost: they could not be "
		    "committed before the end");
	pthread_mutex_unlock(&committer->lock);
	return (NULL);
}

struct committer *
commit_start(const struct commit_settings * settings, struct sink * sink,
    struct spool * spool, struct replay * replay)
{
	struct committer * committer = alloc_zeroed(1, sizeof(*committer));
	pthread_condattr_t attributes;

	pthread_mutex_init(&committer->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&committer->work, &attributes);
	pthread_cond_init(&committer->room, &attributes);
	pthread_condattr_destroy(&attributes);
	committer->end = &committer->first;
	committer->latest = INT64_MAX;
	committer->settings = *settings;
	committer->sink = sink;
	committer->spool = spool;
	committer->replay = replay;
	sink_on_refusal(sink, set_aside, committer);
	committer->arena = arena_create(KEEP_BYTES);
	if (settings->ack == COMMIT_ACK_MEMORY) {
		committer->gathering = arena_create(KEEP_BYTES);
		committer->spare = arena_create(KEEP_BYTES);
		committer->gathered = tally_create(committer->gathering);
	}
	errno = pthread_create(&committer->thread, NULL, run, committer);
	if (errno == 0)
		return (committer);
	arena_free(committer->arena);
	free(committer);
	return (NULL);
}

enum commit_result
commit_tally(struct committer * committer, struct tally * tally,
    int64_t spent)
{
	struct waiter waiter = { .tally = tally, .cost = cost_of(tally,
	    sink_settings_of(committer->sink)) };

	if (waiter.cost > memory_limit(committer))
		return (COMMIT_TOO_LARGE);
	if (committer->settings.ack == COMMIT_ACK_MEMORY)
		return (gather(committer, tally, waiter.cost));
	waiter.deadline = clock_monotonic() + COMMIT_TIME_MAX - spent;
	pthread_cond_init(&waiter.wake, NULL);
	pthread_mutex_lock(&committer->lock);
	if (waiter.deadline > committer->latest)
		waiter.deadline = committer->latest;
	*committer->end = &waiter;
	committer->end = &waiter.next;
	pthread_cond_signal(&committer->work);
	while (!waiter.answered)
		pthread_cond_wait(&waiter.wake, &committer->lock);
	pthread_mutex_unlock(&committer->lock);
	pthread_cond_destroy(&waiter.wake);
	return (waiter.result);
}

void
commit_hurry(struct committer * committer)
{

	pthread_mutex_lock(&committer->lock);
	committer->latest = clock_monotonic() + COMMIT_TIME_MAX;
	pthread_mutex_unlock(&committer->lock);
}

void
commit_stop(struct committer * committer)
{

	if (committer == NULL)
		return;
	pthread_mutex_lock(&committer->lock);
	committer->stopping = true;
	pthread_cond_signal(&committer->work);
	pthread_mutex_unlock(&committer->lock);
	pthread_join(committer->thread, NULL);
	if (committer->settings.once)
		sink_retire(committer->sink, clock_monotonic() + 100);
	sink_free(committer->sink);
	spool_free(committer->spool);
	buffer_free(&committer->bytes);
	arena_free(committer->arena);
	arena_free(committer->gathering);
	arena_free(committer->spare);
	pthread_mutex_destroy(&committer->lock);
	pthread_cond_destroy(&committer->work);
	pthread_cond_destroy(&committer->room);
	free(committer);
}
