#include <sched.h>
#include <stdlib.h>

#include "fcgi/pool.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"

/*
 * There are as many jobs as threads.  A thread without a job waits until one is
 * free, or comes back from the committer and has to be concluded.  A job that
 * is being committed has no thread, so there is always a thread to conclude it.
 *
 * At most half as many threads as there are processors are active at a time:
 * waking up more threads than can run costs more than a small request itself.
 * An active thread waits for an event, serves requests that have arrived whole,
 * and submits them; none of this blocks.  Before a thread blocks it releases
 * its active slot, and another thread takes the slot.  pool_reclaim_slots takes
 * it from a thread that has been busy for a second.
 */

/* Milliseconds after which a busy thread loses its slot. */
#define ACTIVE_TIME_MAX 900

/* Wake one more thread for each this many jobs to be concluded. */
#define CONCLUDE_MANY 8

struct pool {
	pthread_mutex_t lock;		/* Guards what follows. */
	pthread_cond_t changed;		/* There may be something to do. */
	bool stopping;
	struct job * jobs;
	size_t count;			/* Of jobs, and of threads. */
	struct job * free;
	struct worker * workers;
	struct commit_ticket * answered;	/* Jobs to be concluded. */
	struct commit_ticket ** answered_end;
	size_t answered_count;
	long committing;		/* Detached jobs; too low, or even
					 * negative, until the worker that
					 * detached one calls pool_next. */
	size_t waiting;			/* Threads with nothing to do. */
	size_t polling;			/* Threads that wait for events. */
	size_t events;			/* Events so far. */
	size_t active, active_max;
};

/* The other half of the processors is for the web server and Redis, which may
 * be on this host. */
static size_t
active_max(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return (1);
	return (((size_t)CPU_COUNT(&set) + 1) / 2);
}

struct pool *
pool_create(size_t count)
{
	struct pool * pool = alloc_zeroed(1, sizeof(*pool));
	size_t i;

	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	pool->answered_end = &pool->answered;
	pool->active_max = active_max();
	pool->count = count;
	pool->jobs = alloc_zeroed(count, sizeof(*pool->jobs));
	for (i = 0; i < count; i++) {
		job_init(&pool->jobs[i]);
		pool->jobs[i].next = pool->free;
		pool->free = &pool->jobs[i];
	}
	return (pool);
}

/* The caller of these holds the lock. */

/* Have one more thread look for a task. */
static void
wake_one(struct pool * pool)
{

	if (pool->waiting > 0)
		pthread_cond_signal(&pool->changed);
}

static void
clear_active(struct pool * pool, struct worker * worker)
{

	if (!worker->active)
		return;
	worker->active = false;
	pool->active--;
}

/* The worker may block: let another thread poll meanwhile. */
static void
release_slot(struct pool * pool, struct worker * worker)
{

	clear_active(pool, worker);
	if (pool->free != NULL && pool->active < pool->active_max)
		wake_one(pool);
}

static void
return_job(struct pool * pool, struct worker * worker)
{

	if (worker->job != NULL) {
		worker->job->next = pool->free;
		pool->free = worker->job;
		worker->job = NULL;
	} else if (worker->detached)
		pool->committing++;
	worker->detached = false;
	clear_active(pool, worker);
}

static struct job *
take_answered(struct pool * pool)
{
	struct commit_ticket * ticket = pool->answered;

	pool->answered = ticket->next;
	if (pool->answered == NULL)
		pool->answered_end = &pool->answered;
	pool->answered_count--;
	pool->committing--;
	if (pool->answered_count >= CONCLUDE_MANY)
		wake_one(pool);
	/* The last job: all threads can exit. */
	if (pool->stopping && pool->committing <= 0)
		pthread_cond_broadcast(&pool->changed);
	return (ticket->owner);
}

static struct job *
take_free(struct pool * pool)
{
	struct job * job = pool->free;

	pool->free = job->next;
	return (job);
}

static enum task
find_task(struct pool * pool, struct worker * worker)
{

	if (pool->answered != NULL) {
		worker->job = take_answered(pool);
		/* It may block on its peer, so keep one thread polling. */
		if (pool->active == 0 && pool->free != NULL)
			wake_one(pool);
		return (TASK_CONCLUDE);
	}
	if (pool->stopping)
		return (pool->committing <= 0 ? TASK_EXIT : TASK_NONE);
	if (pool->free == NULL || pool->active == pool->active_max)
		return (TASK_NONE);
	worker->job = take_free(pool);
	worker->active = true;
	worker->since = 0;
	pool->active++;
	pool->polling++;
	return (TASK_POLL);
}

/* The caller of these does not hold the lock. */

void
pool_join(struct pool * pool, struct worker * worker)
{

	pthread_mutex_lock(&pool->lock);
	worker->next = pool->workers;
	pool->workers = worker;
	pthread_mutex_unlock(&pool->lock);
}

enum task
pool_next(struct pool * pool, struct worker * worker)
{
	enum task task;

	pthread_mutex_lock(&pool->lock);
	return_job(pool, worker);
	while ((task = find_task(pool, worker)) == TASK_NONE) {
		pool->waiting++;
		pthread_cond_wait(&pool->changed, &pool->lock);
		pool->waiting--;
	}
	pthread_mutex_unlock(&pool->lock);
	return (task);
}

void
pool_note_event(struct pool * pool, struct worker * worker)
{
	int64_t now = clock_monotonic();

	pthread_mutex_lock(&pool->lock);
	pool->polling--;
	pool->events++;
	worker->since = now;
	pthread_mutex_unlock(&pool->lock);
}

void
pool_release_slot(struct pool * pool, struct worker * worker)
{

	pthread_mutex_lock(&pool->lock);
	release_slot(pool, worker);
	pthread_mutex_unlock(&pool->lock);
}

void
pool_detach_job(struct worker * worker)
{

	worker->job = NULL;
	worker->detached = true;
}

void
pool_complete_jobs(void * context, struct commit_ticket * tickets)
{
	struct pool * pool = context;

	pthread_mutex_lock(&pool->lock);
	*pool->answered_end = tickets;
	for (; tickets != NULL; tickets = tickets->next) {
		pool->answered_end = &tickets->next;
		pool->answered_count++;
	}
	/* An active thread that does not poll will find them anyway. */
	if (pool->active == pool->polling)
		wake_one(pool);
	pthread_mutex_unlock(&pool->lock);
}

bool
pool_is_saturated(struct pool * pool)
{
	bool held;

	pthread_mutex_lock(&pool->lock);
	held = pool->polling == 0 &&
	    (pool->free == NULL || pool->waiting == 0);
	pthread_mutex_unlock(&pool->lock);
	return (held);
}

bool
pool_is_idle(struct pool * pool, size_t * events)
{
	bool quiet;

	pthread_mutex_lock(&pool->lock);
	quiet = pool->answered == NULL && pool->committing <= 0 &&
	    pool->waiting + pool->polling == pool->count;
	*events = pool->events;
	pthread_mutex_unlock(&pool->lock);
	return (quiet);
}

void
pool_reclaim_slots(struct pool * pool, int64_t now)
{
	struct worker * worker;

	pthread_mutex_lock(&pool->lock);
	for (worker = pool->workers; worker != NULL; worker = worker->next)
		if (worker->active && worker->since != 0 &&
		    now - worker->since >= ACTIVE_TIME_MAX)
			release_slot(pool, worker);
	/* The thread that was to conclude them may be blocked. */
	if (pool->answered != NULL)
		wake_one(pool);
	pthread_mutex_unlock(&pool->lock);
}

void
pool_break_off(struct pool * pool, int64_t now, int64_t time_max)
{
	size_t i;

	for (i = 0; i < pool->count; i++)
		job_break_off(&pool->jobs[i], now, time_max);
}

void
pool_stop(struct pool * pool)
{

	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}

void
pool_free(struct pool * pool)
{
	size_t i;

	if (pool == NULL)
		return;
	for (i = 0; i < pool->count; i++)
		job_free(&pool->jobs[i]);
	free(pool->jobs);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->changed);
	free(pool);
}
