#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/commit.h"
#include "lib/log.h"

/*
 * A group is closed when the committer is free to take it (take_group): there
 * is no waiting for more, because while one group is on its way to Redis the
 * next one gathers by itself.  It is also bounded, so that one group's time in
 * Redis stays well within the time in which its requests must be answered.
 */
#define GROUP_COUNTERS_MAX 100000

/* Memory that the committer keeps from group to group. */
#define KEEP_BYTES ((size_t)1024 * 1024)

struct waiter {
	struct waiter * next;
	struct tally * tally;
	int64_t deadline;
	enum commit_result result;
	bool answered;
	pthread_cond_t wake;
};

struct committer {
	pthread_t thread;
	pthread_mutex_t lock;		/* Guards the queue and all waiters. */
	pthread_cond_t work;
	struct waiter * first;
	struct waiter ** end;
	bool stopping;
	int64_t latest;			/* No deadline is later. */
	struct sink * sink;
	struct arena * arena;		/* Of a group that is merged. */
};

static void
answer(struct waiter * waiter, enum commit_result result)
{

	waiter->result = result;
	waiter->answered = true;
	pthread_cond_signal(&waiter->wake);
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
	size_t counters = 0;
	size_t count = 0;

	while (committer->first != NULL) {
		struct waiter * waiter = committer->first;

		counters += waiter->tally->counters;
		if (count > 0 && (counters > GROUP_COUNTERS_MAX ||
		    count == TALLY_MERGE_MAX))
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

/* What became of the parts of one tally. */
struct parts {
	size_t applied;
	size_t refused;
};

static void
count_part(struct parts * parts, const struct tally_node * node)
{

	/* A node that was merged has its fate in the group's tally. */
	if (node->group != NULL)
		node = node->group;
	if (node->fate == FATE_REFUSED || node->fate == FATE_MIXED)
		parts->refused++;
	if (node->fate != FATE_REFUSED)
		parts->applied++;
}

/*
 * Redis refused parts of the group for good.  A tally of which nothing was
 * applied has failed, and its sender may try again.  If a part was applied,
 * trying again would count that part twice, so it stands, and what was refused
 * is lost; the log has said why.
 */
static enum commit_result
judge(const struct tally * tally)
{
	const struct tally_node * environment, * node;
	struct parts parts = { 0, 0 };

	for (environment = tally->root->first; environment != NULL;
	    environment = environment->next) {
		bool impact = false;

		for (node = environment->first; node != NULL;
		    node = node->next) {
			impact = impact || node->kind == TALLY_METRIC;
			if (node->kind == TALLY_APPLICATION)
				count_part(&parts, node);
		}
		if (impact)
			count_part(&parts, environment);
	}
	if (parts.refused == 0)
		return (COMMIT_DURABLE);
	if (parts.applied == 0)
		return (COMMIT_UNAVAILABLE);
	log_error("%zu of %zu parts of a body are lost: Redis refused them",
	    parts.refused, parts.refused + parts.applied);
	return (COMMIT_DURABLE);
}

static void
commit_group(struct committer * committer, struct waiter * group)
{
	struct waiter * waiter, * next;
	int64_t deadline = group->deadline;
	enum sink_result result;

	/* They stand in the order in which they came. */
	result = sink_commit(committer->sink, merge_group(committer, group),
	    deadline);
	pthread_mutex_lock(&committer->lock);
	for (waiter = group; waiter != NULL; waiter = next) {
		next = waiter->next;
		answer(waiter, result == SINK_APPLIED ?
		    judge(waiter->tally) : COMMIT_UNAVAILABLE);
	}
	pthread_mutex_unlock(&committer->lock);
	arena_reset(committer->arena);
}

static void *
run(void * context)
{
	struct committer * committer = context;
	struct waiter * group;

	pthread_mutex_lock(&committer->lock);
	while (!committer->stopping || committer->first != NULL) {
		if (committer->first == NULL) {
			pthread_cond_wait(&committer->work,
			    &committer->lock);
			continue;
		}
		group = take_group(committer);
		pthread_mutex_unlock(&committer->lock);
		if (group != NULL)
			commit_group(committer, group);
		pthread_mutex_lock(&committer->lock);
	}
	pthread_mutex_unlock(&committer->lock);
	return (NULL);
}

struct committer *
commit_start(struct sink * sink)
{
	struct committer * committer = alloc_zeroed(1, sizeof(*committer));

	pthread_mutex_init(&committer->lock, NULL);
	pthread_cond_init(&committer->work, NULL);
	committer->end = &committer->first;
	committer->latest = INT64_MAX;
	committer->sink = sink;
	committer->arena = arena_create(KEEP_BYTES);
	errno = pthread_create(&committer->thread, NULL, run, committer);
	if (errno == 0)
		return (committer);
	arena_free(committer->arena);
	free(committer);
	return (NULL);
}

enum commit_result
commit_tally(struct committer * committer, struct tally * tally)
{
	struct waiter waiter = { .tally = tally };

	waiter.deadline = clock_monotonic() + COMMIT_TIME_MAX;
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
	sink_free(committer->sink);
	arena_free(committer->arena);
	pthread_mutex_destroy(&committer->lock);
	pthread_cond_destroy(&committer->work);
	free(committer);
}
