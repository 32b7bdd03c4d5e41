#include <sched.h>
#include <stdlib.h>

#include "fcgi/pool.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"

/*
 * There are as many jobs as threads.  A thread that has none waits until one is
 * free, or is handed back and has to be concluded; since those that are being
 * committed have no thread, there is always one for them.
 *
 * Of the threads, only half as many wait for events as there are processors,
 * since what wakes up more of them than can run costs more than a small request
 * itself.  These are the active ones.  They serve what has arrived whole, which
 * is small, and submit it, and neither waits for anybody.  One that is about to
 * do what may take longer steps aside first, and another takes its place; and
 * who is found at it for a second has stepped aside as well.
 */

/* An active thread is found to be none after so many milliseconds. */
#define ACTIVE_TIME_MAX 900

/* So many answers that wait are worth one more thread. */
#define CONCLUDE_MANY 8

struct pool {
	pthread_mutex_t lock;		/* Guards what follows. */
	pthread_cond_t changed;		/* There may be something to do. */
	bool stopping;
	struct job * jobs;
	size_t count;			/* Of jobs, and of threads. */
	struct job * free;
	struct member * members;
	struct commit_ticket * answered;	/* Jobs to be concluded. */
	struct commit_ticket ** answered_end;
	size_t answered_count;
	long committing;		/* Jobs without a thread, but for a
					 * moment in which it may be less. */
	size_t waiting;			/* Threads without anything to do. */
	size_t polling;			/* Threads that wait for events. */
	size_t events;			/* That have come. */
	size_t active, active_max;
};

/* How many threads are to be active: the rest of the processors is for the web
 * server and Redis, as far as they are here. */
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

/* Have one more thread look for something to do. */
static void
wake_one(struct pool * pool)
{

	if (pool->waiting > 0)
		pthread_cond_signal(&pool->changed);
}

static void
make_passive(struct pool * pool, struct member * member)
{

	if (!member->active)
		return;
	member->active = false;
	pool->active--;
}

/* What comes next may take its time: another thread is to poll meanwhile. */
static void
replace_member(struct pool * pool, struct member * member)
{

	make_passive(pool, member);
	if (pool->free != NULL && pool->active < pool->active_max)
		wake_one(pool);
}

static void
give_back(struct pool * pool, struct member * member)
{

	if (member->job != NULL) {
		member->job->next = pool->free;
		pool->free = member->job;
		member->job = NULL;
	} else if (member->lent)
		pool->committing++;
	member->lent = false;
	make_passive(pool, member);
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
	/* Then there is nothing left to wait for. */
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

static enum duty
find_duty(struct pool * pool, struct member * member)
{

	if (pool->answered != NULL) {
		member->job = take_answered(pool);
		/* It may have to wait for its peer. */
		if (pool->active == 0 && pool->free != NULL)
			wake_one(pool);
		return (DUTY_CONCLUDE);
	}
	if (pool->stopping)
		return (pool->committing <= 0 ? DUTY_END : DUTY_NONE);
	if (pool->free == NULL || pool->active == pool->active_max)
		return (DUTY_NONE);
	member->job = take_free(pool);
	member->active = true;
	member->since = 0;
	pool->active++;
	pool->polling++;
	return (DUTY_POLL);
}

/* Everybody may call these. */

void
pool_join(struct pool * pool, struct member * member)
{

	pthread_mutex_lock(&pool->lock);
	member->next = pool->members;
	pool->members = member;
	pthread_mutex_unlock(&pool->lock);
}

enum duty
pool_next(struct pool * pool, struct member * member)
{
	enum duty duty;

	pthread_mutex_lock(&pool->lock);
	give_back(pool, member);
	while ((duty = find_duty(pool, member)) == DUTY_NONE) {
		pool->waiting++;
		pthread_cond_wait(&pool->changed, &pool->lock);
		pool->waiting--;
	}
	pthread_mutex_unlock(&pool->lock);
	return (duty);
}

void
pool_polled(struct pool * pool, struct member * member)
{
	int64_t now = clock_monotonic();

	pthread_mutex_lock(&pool->lock);
	pool->polling--;
	pool->events++;
	member->since = now;
	pthread_mutex_unlock(&pool->lock);
}

void
pool_step_aside(struct pool * pool, struct member * member)
{

	pthread_mutex_lock(&pool->lock);
	replace_member(pool, member);
	pthread_mutex_unlock(&pool->lock);
}

void
pool_lend(struct member * member)
{

	member->job = NULL;
	member->lent = true;
}

void
pool_take_back(void * context, struct commit_ticket * tickets)
{
	struct pool * pool = context;

	pthread_mutex_lock(&pool->lock);
	*pool->answered_end = tickets;
	for (; tickets != NULL; tickets = tickets->next) {
		pool->answered_end = &tickets->next;
		pool->answered_count++;
	}
	/* An active thread that does not poll looks here next. */
	if (pool->active == pool->polling)
		wake_one(pool);
	pthread_mutex_unlock(&pool->lock);
}

bool
pool_is_held(struct pool * pool)
{
	bool held;

	pthread_mutex_lock(&pool->lock);
	held = pool->polling == 0 &&
	    (pool->free == NULL || pool->waiting == 0);
	pthread_mutex_unlock(&pool->lock);
	return (held);
}

bool
pool_is_quiet(struct pool * pool, size_t * events)
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
pool_relieve(struct pool * pool, int64_t now)
{
	struct member * member;

	pthread_mutex_lock(&pool->lock);
	for (member = pool->members; member != NULL; member = member->next)
		if (member->active && member->since != 0 &&
		    now - member->since >= ACTIVE_TIME_MAX)
			replace_member(pool, member);
	/* Whoever was to look there may be held up. */
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
