#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/crashpoint.h"
#include "lib/base/thread.h"
#include "lib/commit/commit.h"
#include "lib/commit/store.h"

/*
 * A group is closed when the committer is free and has taken all that waits
 * (gather), because the next group gathers while one is on its way to Redis.
 * It is also bounded, so that its time in Redis stays well within the time in
 * which its requests must be answered, and its memory small.  Redis's time
 * depends on the distinct counters, so the bounds are on these: any number of
 * bodies with the same counters make one small group.  A tally that is larger
 * is a group of its own, and store.c sends it another way.
 */
#define GROUP_COUNTERS_MAX 10000
#define GROUP_NODES_MAX 40000

/* Few enough that the sums of the bodies stay below 2^63. */
#define GROUP_TALLIES_MAX 1000

/* Milliseconds between two looks at a body that another process is counting. */
#define HELD_INTERVAL 10

/*
 * A large group costs little more than a small one, so under load it pays to
 * wait for more: groups may take PACE_SHARE percent of the time, and the next
 * one is put off until they do (pace).  Time in which nothing was committed
 * counts, up to PACE_CREDIT, so groups that are few and far between never wait.
 * Nor does a group that nothing is expected to join: there seem to be as many
 * senders as the group before had tickets and found waiting when it ended.  The
 * wait is at most PACE_MAX, and at most as long as that group took.  All times
 * are in microseconds.
 */
#define PACE_SHARE 50
#define PACE_CREDIT 50000
#define PACE_MAX 20000

/* Memory that the committer keeps from group to group. */
#define KEEP_BYTES ((size_t)1024 * 1024)

/* Tickets that are committed together. */
struct group {
	struct commit_ticket * first;
	struct commit_ticket ** end;
	size_t count;
	struct tally * tally;		/* All of theirs. */
};

struct committer {
	pthread_t thread;
	pthread_mutex_t lock;		/* Guards the queue and answered. */
	pthread_cond_t work;
	pthread_cond_t answer;		/* For commit_wait. */
	struct commit_ticket * first;
	struct commit_ticket ** end;
	size_t waiting;			/* Tickets from first on. */
	size_t wanted;			/* To wake up the committer. */
	size_t expected;		/* That can be in the next group. */
	int64_t earliest;		/* When it is to begin. */
	struct commit_ticket * held;	/* Of bodies that are being counted. */
	int64_t look_again;		/* When these get their turn. */
	bool stopping;
	int64_t latest;			/* No deadline is later. */
	struct commit_settings settings;
	commit_done * done;
	void * context;
	struct sink * sink;		/* As the store has it. */
	struct replay * replay;
	struct store store;
	struct arena * arena;		/* Of a group that is merged. */
};

/* Wake up commit_wait. */
static void
wake_waiting(void * context, struct commit_ticket * tickets)
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

static void
fail_ticket(struct commit_ticket * ticket, const char * why)
{

	ticket->result = COMMIT_UNAVAILABLE;
	ticket->why = why;
}

/*
 * Take off the queue the tickets that certainly fit into a group, whatever
 * counters they share with it, and those for which it is too ${late}.  The
 * first ticket of a group fits, however large.  The caller holds the lock.
 */
static struct commit_ticket *
take_fitting(struct committer * committer, const struct group * group,
    struct commit_ticket ** late)
{
	struct commit_ticket * fitting = NULL;
	struct commit_ticket ** end = &fitting;
	int64_t now = clock_monotonic();
	size_t count = group->count;
	size_t counters = count == 0 ? 0 : group->tally->counters;
	size_t nodes = count == 0 ? 0 : group->tally->node_count;

	while (committer->first != NULL) {
		struct commit_ticket * ticket = committer->first;

		if (ticket->deadline <= now) {
			committer->first = ticket->next;
			committer->waiting--;
			fail_ticket(ticket, "the counts waited too long for "
			    "Redis and the spool");
			ticket->next = *late;
			*late = ticket;
			continue;
		}
		counters += ticket->tally->counters;
		nodes += ticket->tally->node_count;
		if (count > 0 && (counters > GROUP_COUNTERS_MAX ||
		    nodes > GROUP_NODES_MAX || count == GROUP_TALLIES_MAX))
			break;
		committer->first = ticket->next;
		committer->waiting--;
		ticket->next = NULL;
		*end = ticket;
		end = &ticket->next;
		count++;
	}
	if (committer->first == NULL)
		committer->end = &committer->first;
	return (fitting);
}

/* Merge tickets into a group; the tally of a single one is the group's. */
static void
join_group(struct committer * committer, struct group * group,
    struct commit_ticket * tickets)
{
	struct tally * single;

	if (tickets == NULL)
		return;
	if (group->count == 0)
		group->end = &group->first;
	*group->end = tickets;
	for (; tickets != NULL; tickets = tickets->next) {
		if (++group->count == 1) {
			group->tally = tickets->tally;
			group->end = &tickets->next;
			continue;
		}
		if (group->count == 2) {
			single = group->tally;
			group->tally = tally_create(committer->arena);
			tally_merge(group->tally, single);
		}
		tally_merge(group->tally, tickets->tally);
		group->end = &tickets->next;
	}
}

/* Repeats (repeats.h) */

/* Put the tickets that were held first in the queue.  The caller holds the
 * lock. */
static void
requeue_held(struct committer * committer)
{
	struct commit_ticket ** end = &committer->held;

	for (; *end != NULL; end = &(*end)->next)
		committer->waiting++;
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
 * Claim the bodies of tickets, and return those that are to be counted.  Those
 * that are ${counted} already only need their answer.  Those that are being
 * counted are held until they are settled: in this group or by another process.
 */
static struct commit_ticket *
claim_bodies(struct committer * committer, struct commit_ticket * tickets,
    struct commit_ticket ** counted)
{
	struct commit_ticket * claimed = NULL, * held = NULL, * ticket;
	struct commit_ticket ** ends[] = {
		[REPEATS_NEW] = &claimed,
		[REPEATS_BUSY] = &held,
		[REPEATS_COUNTED] = counted,
	};

	repeats_lock(committer->settings.repeats);
	for (ticket = tickets; ticket != NULL; ticket = ticket->next) {
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
	*ends[REPEATS_COUNTED] = NULL;
	pthread_mutex_lock(&committer->lock);
	*ends[REPEATS_BUSY] = committer->held;
	committer->held = held;
	committer->look_again = clock_monotonic() + HELD_INTERVAL;
	pthread_mutex_unlock(&committer->lock);
	return (claimed);
}

/* A group has its result; requests that repeat it need no longer wait. */
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

/* Each body gets the result of its own calls. */
static void
conclude_ticket(struct committer * committer, struct commit_ticket * ticket,
    enum store_result result)
{

	if (result == STORE_DURABLE || (result == STORE_MIXED &&
	    store_is_durable(&committer->store, ticket->tally)))
		ticket->result = COMMIT_DURABLE;
	else
		fail_ticket(ticket, store_why(&committer->store));
}

static void
commit_group(struct committer * committer, struct group * group)
{
	struct stats * stats = committer->settings.stats;
	struct tally * tally = group->tally;
	struct commit_ticket * ticket;
	int64_t began = clock_microseconds();
	enum store_result result;

	replay_live(committer->replay);
	/* They are in the order in which they came. */
	result = store_make(&committer->store, tally, group->first->deadline);
	stats_observe(stats, STATS_COMMIT_TIME,
	    (uint64_t)(clock_microseconds() - began));
	/* A sender whose body failed sends it again. */
	if (result != STORE_FAILED)
		stats_dropped(stats, tally->dropped);
	for (ticket = group->first; ticket != NULL; ticket = ticket->next)
		conclude_ticket(committer, ticket, result);
	stats_observe(stats, STATS_GROUP_REQUESTS, group->count);
	settle_group(committer, group->first);
	committer->done(committer->context, group->first);
	if (!committer->settings.once)
		sink_clear(committer->sink);
	arena_reset(committer->arena);
}

/*
 * Gather a group of the tallies that wait, and of those that arrive while it is
 * merged.  The caller holds the lock.
 */
static void
gather(struct committer * committer, struct group * group)
{
	struct commit_ticket * tickets;

	do {
		struct commit_ticket * late = NULL;
		struct commit_ticket * counted = NULL;

		tickets = take_fitting(committer, group, &late);
		pthread_mutex_unlock(&committer->lock);
		if (late != NULL)
			committer->done(committer->context, late);
		if (tickets != NULL)
			join_group(committer, group, claim_bodies(committer,
			    tickets, &counted));
		CRASH_POINT("commit-claimed");
		if (counted != NULL)
			committer->done(committer->context, counted);
		pthread_mutex_lock(&committer->lock);
	} while (tickets != NULL && committer->first != NULL);
}

/* Decide when the group is to begin that follows one which began at ${began}
 * and ends now.  The caller holds the lock. */
static void
pace(struct committer * committer, const struct group * group, int64_t began)
{
	int64_t now = clock_microseconds();
	int64_t taken = now - began;
	int64_t latest = now + (taken < PACE_MAX ? taken : PACE_MAX);

	if (committer->earliest < began - PACE_CREDIT)
		committer->earliest = began - PACE_CREDIT;
	committer->earliest += taken * 100 / PACE_SHARE;
	if (committer->earliest > latest)
		committer->earliest = latest;
	/* With ack = spool a group costs its senders no work of Redis. */
	committer->expected = committer->settings.spool_first ? 0 :
	    group->count + committer->waiting;
}

/* Return whether the next group is to wait.  The caller holds the lock. */
static bool
is_paced(const struct committer * committer)
{

	return (committer->waiting < committer->expected &&
	    committer->held == NULL && !committer->stopping &&
	    clock_remaining(committer->earliest / 1000) > 0);
}

/* Commit what waits.  The caller holds the lock. */
static void
serve_queue(struct committer * committer)
{
	struct group group = { .count = 0 };
	int64_t began = clock_microseconds();
	bool full;

	requeue_held(committer);
	gather(committer, &group);
	full = committer->first != NULL;
	pthread_mutex_unlock(&committer->lock);
	if (group.count > 0)
		commit_group(committer, &group);
	pthread_mutex_lock(&committer->lock);
	pace(committer, &group, began);
	/* Tickets that did not fit have waited enough. */
	if (full)
		committer->expected = 0;
}

/* Wait for the tickets that the next group is to have, or for its time.  The
 * caller holds the lock. */
static void
wait_for_more(struct committer * committer)
{

	committer->wanted = committer->expected;
	thread_wait(&committer->work, &committer->lock,
	    committer->earliest / 1000);
}

/* Nothing waits but what is held.  The caller holds the lock. */
static void
wait_for_work(struct committer * committer)
{

	committer->wanted = 1;
	if (committer->held == NULL)
		pthread_cond_wait(&committer->work, &committer->lock);
	else if (clock_remaining(committer->look_again) == 0 ||
	    !thread_wait(&committer->work, &committer->lock,
	    committer->look_again))
		serve_queue(committer);
}

static void *
commit_thread(void * context)
{
	struct committer * committer = context;

	pthread_mutex_lock(&committer->lock);
	while (!committer->stopping || committer->first != NULL ||
	    committer->held != NULL) {
		/* That depends on the time, so it is asked only once. */
		if (is_paced(committer))
			wait_for_more(committer);
		else if (committer->first != NULL)
			serve_queue(committer);
		else
			wait_for_work(committer);
	}
	pthread_mutex_unlock(&committer->lock);
	return (NULL);
}

struct committer *
commit_start(const struct commit_settings * settings, struct sink * sink,
    struct spool * spool, struct replay * replay)
{
	struct committer * committer = alloc_zeroed(1, sizeof(*committer));

	pthread_mutex_init(&committer->lock, NULL);
	thread_init_condition(&committer->work);
	pthread_cond_init(&committer->answer, NULL);
	committer->end = &committer->first;
	committer->done = wake_waiting;
	committer->context = committer;
	committer->latest = INT64_MAX;
	committer->settings = *settings;
	committer->sink = sink;
	committer->replay = replay;
	store_init(&committer->store, settings->spool_first, sink, spool,
	    replay, settings->stats);
	committer->arena = arena_create(KEEP_BYTES);
	errno = pthread_create(&committer->thread, NULL, commit_thread,
	    committer);
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
}

void
commit_submit(struct committer * committer, struct commit_ticket * ticket,
    int64_t spent)
{
	ticket->answered = false;
	ticket->next = NULL;
	ticket->deadline = clock_monotonic() + COMMIT_TIME_MAX - spent;
	pthread_mutex_lock(&committer->lock);
	if (ticket->deadline > committer->latest)
		ticket->deadline = committer->latest;
	*committer->end = ticket;
	committer->end = &ticket->next;
	if (++committer->waiting >= committer->wanted)
		pthread_cond_signal(&committer->work);
	pthread_mutex_unlock(&committer->lock);
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
	store_free(&committer->store);
	arena_free(committer->arena);
	pthread_mutex_destroy(&committer->lock);
	pthread_cond_destroy(&committer->work);
	pthread_cond_destroy(&committer->answer);
	free(committer);
}
