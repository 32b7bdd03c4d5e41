#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/base/alloc.h"
#include "lib/base/blocking.h"
#include "lib/base/clock.h"
#include "lib/base/crashpoint.h"
#include "lib/base/log.h"
#include "lib/commit/commit.h"
#include "lib/commit/store.h"
#include "lib/commit/verdict.h"
#include "lib/redis/footprint.h"

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

/* Milliseconds between two looks at a body that another process is counting. */
#define HELD_INTERVAL 10

/* Memory that the committer keeps from group to group. */
#define KEEP_BYTES ((size_t)1024 * 1024)

struct committer {
	pthread_t thread;
	pthread_mutex_t lock;		/* Guards the queue and answered. */
	pthread_cond_t work;
	pthread_cond_t answer;		/* For those who wait for it. */
	pthread_cond_t room;		/* With ack=memory: for more. */
	struct commit_ticket * first;
	struct commit_ticket ** end;
	struct commit_ticket * held;	/* Of bodies that are being counted. */
	int64_t look_again;		/* When these get their turn. */
	bool stopping;
	int64_t latest;			/* No deadline is later. */
	struct commit_settings settings;
	commit_done * done;
	void * context;
	struct sink * sink;		/* As durable has it. */
	struct store durable;
	struct arena * arena;		/* Of a group that is merged. */

	/* With ack=memory: */
	struct tally * gathered;	/* What has been answered, */
	struct arena * gathering;	/* where it lives, */
	struct arena * spare;
	size_t cost;			/* Of what is gathered, or more. */
	int64_t next_flush;
	bool unfinished;		/* The sink has calls left. */
};

/* Tell those who wait for it. */
static void
tell(void * context, struct commit_ticket * tickets)
{
	struct committer * committer = context;
	struct commit_ticket * ticket, * next;

	pthread_mutex_lock(&committer->lock);
	for (ticket = tickets; ticket != NULL; ticket = next) {
		next = ticket->next;
		ticket->answered = true;
	}
	pthread_cond_broadcast(&committer->answer);
	pthread_mutex_unlock(&committer->lock);
}

/* How much a tally, or a group, may take. */
static size_t
memory_limit(const struct committer * committer)
{
	size_t limit = sink_settings_of(committer->sink)->limit_memory;

	if (limit == 0)
		limit = SIZE_MAX;
	return (committer->settings.large != NULL &&
	    limit > COMMIT_SMALL_MAX ? COMMIT_SMALL_MAX : limit);
}

/*
 * Take the next group off the queue, and those for whom it is too ${late}.  At
 * least one ticket is taken, however large, if any is there in time.
 */
static struct commit_ticket *
take_group(struct committer * committer, struct commit_ticket ** late)
{
	struct commit_ticket * group = NULL;
	struct commit_ticket ** end = &group;
	int64_t now = clock_monotonic();
	size_t limit = memory_limit(committer);
	size_t counters = 0;
	size_t count = 0;
	size_t cost = 0;

	while (committer->first != NULL) {
		struct commit_ticket * ticket = committer->first;

		if (ticket->deadline <= now) {
			committer->first = ticket->next;
			ticket->result = COMMIT_UNAVAILABLE;
			ticket->next = *late;
			*late = ticket;
			continue;
		}
		counters += ticket->tally->counters;
		cost += ticket->cost;
		if (count > 0 && (counters > GROUP_COUNTERS_MAX ||
		    cost > limit || count == GROUP_TALLIES_MAX))
			break;
		committer->first = ticket->next;
		ticket->next = NULL;
		*end = ticket;
		end = &ticket->next;
		count++;
	}
	if (committer->first == NULL)
		committer->end = &committer->first;
	return (group);
}

/* Repeats (repeats.h) */

/* Put the tickets that were held first in the queue.  The caller holds the
 * lock. */
static void
requeue_held(struct committer * committer)
{
	struct commit_ticket ** end = &committer->held;

	while (*end != NULL)
		end = &(*end)->next;
	if (committer->first == NULL)
		committer->end = end;
	*end = committer->first;
	committer->first = committer->held;
	committer->held = NULL;
}

static enum repeats_state
claim(struct committer * committer, const struct commit_ticket * ticket)
{

	return (ticket->digest == NULL ? REPEATS_NEW :
	    repeats_claim(committer->settings.repeats, ticket->digest));
}

/*
 * Claim the bodies of a group, and return those that are to be counted.  Those
 * that are ${counted} already only need their answer.  Those that are being
 * counted are held until they are settled: in this group, by another committer
 * or by another process.
 */
static struct commit_ticket *
claim_group(struct committer * committer, struct commit_ticket * group,
    struct commit_ticket ** counted)
{
	struct commit_ticket * claimed = NULL, * held = NULL, * ticket;
	struct commit_ticket ** ends[] = {
		[REPEATS_NEW] = &claimed,
		[REPEATS_BUSY] = &held,
		[REPEATS_COUNTED] = counted,
	};

	repeats_lock(committer->settings.repeats);
	for (ticket = group; ticket != NULL; ticket = ticket->next) {
		enum repeats_state state = claim(committer, ticket);

		*ends[state] = ticket;
		ends[state] = &ticket->next;
		if (state != REPEATS_COUNTED)
			continue;
		ticket->result = COMMIT_DURABLE;
		stats_add(committer->settings.stats, STATS_REPEATED, 1);
	}
	repeats_unlock(committer->settings.repeats);
	*ends[REPEATS_NEW] = NULL;
	*ends[REPEATS_BUSY] = NULL;
	*ends[REPEATS_COUNTED] = NULL;
	pthread_mutex_lock(&committer->lock);
	committer->held = held;
	committer->look_again = clock_monotonic() + HELD_INTERVAL;
	pthread_mutex_unlock(&committer->lock);
	return (claimed);
}

/* A group has its result; those who repeat it need not wait any more. */
static void
settle_group(struct committer * committer, struct commit_ticket * group)
{
	struct repeats * repeats = committer->settings.repeats;
	struct commit_ticket * ticket;

	CRASH_POINT("commit-settle");
	repeats_lock(repeats);
	for (ticket = group; ticket != NULL; ticket = ticket->next)
		if (ticket->digest != NULL)
			repeats_settle(repeats, ticket->digest,
			    ticket->result == COMMIT_DURABLE);
	repeats_unlock(repeats);
	CRASH_POINT("commit-settled");
	pthread_mutex_lock(&committer->lock);
	committer->look_again = 0;
	pthread_mutex_unlock(&committer->lock);
}

/* One tally that holds the whole group; of a group of one it is that one. */
static struct tally *
merge_group(struct committer * committer, struct commit_ticket * group)
{
	struct tally * merged;

	if (group->next == NULL)
		return (group->tally);
	merged = tally_create(committer->arena);
	for (; group != NULL; group = group->next)
		tally_merge(merged, group->tally);
	return (merged);
}

static void
commit_group(struct committer * committer, struct commit_ticket * group)
{
	struct stats * stats = committer->settings.stats;
	struct tally * tally = merge_group(committer, group);
	struct commit_ticket * ticket;
	int64_t began = clock_microseconds();
	uint64_t count = 0;
	bool durable;

	/* They stand in the order in which they came. */
	durable = store_make(&committer->durable, tally,
	    group->deadline);
	stats_observe(stats, STATS_COMMIT_TIME,
	    (uint64_t)(clock_microseconds() - began));
	/* Who is told that it failed sends it again. */
	if (durable)
		stats_dropped(stats, tally->dropped);
	for (ticket = group; ticket != NULL; ticket = ticket->next) {
		ticket->result = durable && verdict_stands(ticket->tally) ?
		    COMMIT_DURABLE : COMMIT_UNAVAILABLE;
		count++;
	}
	stats_observe(stats, STATS_GROUP_REQUESTS, count);
	settle_group(committer, group);
	committer->done(committer->context, group);
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
		committer->cost = footprint_of(committer->gathered,
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
	struct timespec until = clock_timespec(deadline);

	while (!has_room(committer, cost) ||
	    !tally_may_merge(committer->gathered, tally)) {
		committer->next_flush = 0;
		pthread_cond_signal(&committer->work);
		blocking_thread();
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
	if (!store_make(&committer->durable, tally, deadline)) {
		committer->unfinished = committer->durable.left;
		done = committer->unfinished;
		sink_detach(committer->sink);
	}
	if (done)
		stats_dropped(committer->settings.stats, tally->dropped);
	else {
		pthread_mutex_lock(&committer->lock);
		tally_absorb(committer->gathered, tally);
		committer->cost = footprint_of(committer->gathered,
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

/* Return whether those that are held get another turn. */
static bool
has_to_look(const struct committer * committer)
{

	return (committer->held != NULL &&
	    clock_remaining(committer->look_again) == 0);
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

	return (committer->durable.replay == NULL &&
	    !committer->settings.once && !has_gathered(committer) &&
	    stats_get_gauge(committer->settings.stats,
	    STATS_REDIS_DOWN) != 0);
}

/* The caller holds the lock. */
static void
wait_for_work(struct committer * committer)
{
	bool probes = committer->held == NULL && has_to_probe(committer);
	int64_t until = probes ? clock_monotonic() + PROBE_INTERVAL :
	    committer->held != NULL ? committer->look_again :
	    committer->next_flush;
	struct timespec limit = clock_timespec(until);
	int error = 0;

	if (has_gathered(committer) || probes || committer->held != NULL)
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
	    committer->held != NULL ||
	    (has_gathered(committer) &&
	    clock_remaining(committer->latest) > 0));
}

/* Commit what waits.  The caller holds the lock. */
static void
serve_queue(struct committer * committer)
{
	struct commit_ticket * late = NULL;
	struct commit_ticket * counted = NULL;
	struct commit_ticket * group;

	requeue_held(committer);
	group = take_group(committer, &late);
	pthread_mutex_unlock(&committer->lock);
	if (late != NULL)
		committer->done(committer->context, late);
	group = claim_group(committer, group, &counted);
	CRASH_POINT("commit-claimed");
	if (counted != NULL)
		committer->done(committer->context, counted);
	if (group != NULL)
		commit_group(committer, group);
	pthread_mutex_lock(&committer->lock);
}

static void *
run(void * context)
{
	struct committer * committer = context;

	pthread_mutex_lock(&committer->lock);
	while (goes_on(committer)) {
		if (committer->first != NULL || has_to_look(committer))
			serve_queue(committer);
		else if (has_gathered(committer) && (committer->stopping ||
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
	pthread_cond_init(&committer->answer, NULL);
	committer->end = &committer->first;
	committer->done = tell;
	committer->context = committer;
	committer->latest = INT64_MAX;
	committer->settings = *settings;
	committer->sink = sink;
	store_init(&committer->durable, settings->ack == COMMIT_ACK_SPOOL,
	    sink, spool, replay, settings->stats);
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

void
commit_on_answer(struct committer * committer, commit_done * done,
    void * context)
{

	committer->done = done;
	committer->context = context;
	if (committer->settings.large != NULL)
		commit_on_answer(committer->settings.large, done, context);
}

bool
commit_submit(struct committer * committer, struct commit_ticket * ticket,
    int64_t spent)
{
	bool idle;

	ticket->cost = footprint_of(ticket->tally,
	    sink_settings_of(committer->sink));
	ticket->answered = false;
	ticket->next = NULL;
	if (committer->settings.large != NULL && ticket->cost > COMMIT_LARGE)
		committer = committer->settings.large;
	if (ticket->cost > memory_limit(committer)) {
		ticket->result = COMMIT_TOO_LARGE;
		return (false);
	}
	if (committer->settings.ack == COMMIT_ACK_MEMORY) {
		ticket->result = gather(committer, ticket->tally,
		    ticket->cost);
		return (false);
	}
	ticket->deadline = clock_monotonic() + COMMIT_TIME_MAX - spent;
	pthread_mutex_lock(&committer->lock);
	if (ticket->deadline > committer->latest)
		ticket->deadline = committer->latest;
	idle = committer->first == NULL;
	*committer->end = ticket;
	committer->end = &ticket->next;
	/* When there are more it looks by itself. */
	if (idle)
		pthread_cond_signal(&committer->work);
	pthread_mutex_unlock(&committer->lock);
	return (true);
}

void
commit_wait(struct committer * committer, const struct commit_ticket * ticket)
{

	pthread_mutex_lock(&committer->lock);
	while (!ticket->answered)
		pthread_cond_wait(&committer->answer, &committer->lock);
	pthread_mutex_unlock(&committer->lock);
}

void
commit_hurry(struct committer * committer)
{

	pthread_mutex_lock(&committer->lock);
	committer->latest = clock_monotonic() + COMMIT_TIME_MAX;
	pthread_mutex_unlock(&committer->lock);
	if (committer->settings.large != NULL)
		commit_hurry(committer->settings.large);
}

void
commit_stop(struct committer * committer)
{

	if (committer == NULL)
		return;
	commit_stop(committer->settings.large);
	pthread_mutex_lock(&committer->lock);
	committer->stopping = true;
	pthread_cond_signal(&committer->work);
	pthread_mutex_unlock(&committer->lock);
	pthread_join(committer->thread, NULL);
	if (committer->settings.once)
		sink_retire(committer->sink, clock_monotonic() + 100);
	store_free(&committer->durable);
	arena_free(committer->arena);
	arena_free(committer->gathering);
	arena_free(committer->spare);
	pthread_mutex_destroy(&committer->lock);
	pthread_cond_destroy(&committer->work);
	pthread_cond_destroy(&committer->answer);
	pthread_cond_destroy(&committer->room);
	free(committer);
}
