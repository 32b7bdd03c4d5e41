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
	struct pool * crew = alloc_zeroed(1, sizeof(*crew));
	size_t i;

	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->changed, NULL);
	crew->answered_end = &crew->answered;
	crew->active_max = active_max();
	crew->count = count;
	crew->jobs = alloc_zeroed(count, sizeof(*crew->jobs));
	for (i = 0; i < count; i++) {
		job_init(&crew->jobs[i]);
		crew->jobs[i].next = crew->free;
		crew->free = &crew->jobs[i];
	}
	return (crew);
}

/* The caller of these holds the lock. */

/* Have one more thread look for something to do. */
static void
wake_one(struct pool * crew)
{

	if (crew->waiting > 0)
		pthread_cond_signal(&crew->changed);
}

static void
make_passive(struct pool * crew, struct member * member)
{

	if (!member->active)
		return;
	member->active = false;
	crew->active--;
}

/* What comes next may take its time: another thread is to poll meanwhile. */
static void
replace_member(struct pool * crew, struct member * member)
{

	make_passive(crew, member);
	if (crew->free != NULL && crew->active < crew->active_max)
		wake_one(crew);
}

static void
give_back(struct pool * crew, struct member * member)
{

	if (member->job != NULL) {
		member->job->next = crew->free;
		crew->free = member->job;
		member->job = NULL;
	} else if (member->lent)
		crew->committing++;
	member->lent = false;
	make_passive(crew, member);
}

static struct job *
take_answered(struct pool * crew)
{
	struct commit_ticket * ticket = crew->answered;

	crew->answered = ticket->next;
	if (crew->answered == NULL)
		crew->answered_end = &crew->answered;
	crew->answered_count--;
	crew->committing--;
	if (crew->answered_count >= CONCLUDE_MANY)
		wake_one(crew);
	/* Then there is nothing left to wait for. */
	if (crew->stopping && crew->committing <= 0)
		pthread_cond_broadcast(&crew->changed);
	return (ticket->owner);
}

static struct job *
take_free(struct pool * crew)
{
	struct job * job = crew->free;

	crew->free = job->next;
	return (job);
}

static enum duty
find_duty(struct pool * crew, struct member * member)
{

	if (crew->answered != NULL) {
		member->job = take_answered(crew);
		/* It may have to wait for its peer. */
		if (crew->active == 0 && crew->free != NULL)
			wake_one(crew);
		return (DUTY_CONCLUDE);
	}
	if (crew->stopping)
		return (crew->committing <= 0 ? DUTY_END : DUTY_NONE);
	if (crew->free == NULL || crew->active == crew->active_max)
		return (DUTY_NONE);
	member->job = take_free(crew);
	member->active = true;
	member->since = 0;
	crew->active++;
	crew->polling++;
	return (DUTY_POLL);
}

/* Everybody may call these. */

void
pool_join(struct pool * crew, struct member * member)
{

	pthread_mutex_lock(&crew->lock);
	member->next = crew->members;
	crew->members = member;
	pthread_mutex_unlock(&crew->lock);
}

enum duty
pool_next(struct pool * crew, struct member * member)
{
	enum duty duty;

	pthread_mutex_lock(&crew->lock);
	give_back(crew, member);
	while ((duty = find_duty(crew, member)) == DUTY_NONE) {
		crew->waiting++;
		pthread_cond_wait(&crew->changed, &crew->lock);
		crew->waiting--;
	}
	pthread_mutex_unlock(&crew->lock);
	return (duty);
}

void
pool_polled(struct pool * crew, struct member * member)
{
	int64_t now = clock_monotonic();

	pthread_mutex_lock(&crew->lock);
	crew->polling--;
	crew->events++;
	member->since = now;
	pthread_mutex_unlock(&crew->lock);
}

void
pool_step_aside(struct pool * crew, struct member * member)
{

	pthread_mutex_lock(&crew->lock);
	replace_member(crew, member);
	pthread_mutex_unlock(&crew->lock);
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
	struct pool * crew = context;

	pthread_mutex_lock(&crew->lock);
	*crew->answered_end = tickets;
	for (; tickets != NULL; tickets = tickets->next) {
		crew->answered_end = &tickets->next;
		crew->answered_count++;
	}
	/* An active thread that does not poll looks here next. */
	if (crew->active == crew->polling)
		wake_one(crew);
	pthread_mutex_unlock(&crew->lock);
}

bool
pool_is_held(struct pool * crew)
{
	bool held;

	pthread_mutex_lock(&crew->lock);
	held = crew->polling == 0 &&
	    (crew->free == NULL || crew->waiting == 0);
	pthread_mutex_unlock(&crew->lock);
	return (held);
}

bool
pool_is_quiet(struct pool * crew, size_t * events)
{
	bool quiet;

	pthread_mutex_lock(&crew->lock);
	quiet = crew->answered == NULL && crew->committing <= 0 &&
	    crew->waiting + crew->polling == crew->count;
	*events = crew->events;
	pthread_mutex_unlock(&crew->lock);
	return (quiet);
}

void
pool_relieve(struct pool * crew, int64_t now)
{
	struct member * member;

	pthread_mutex_lock(&crew->lock);
	for (member = crew->members; member != NULL; member = member->next)
		if (member->active && member->since != 0 &&
		    now - member->since >= ACTIVE_TIME_MAX)
			replace_member(crew, member);
	/* Whoever was to look there may be held up. */
	if (crew->answered != NULL)
		wake_one(crew);
	pthread_mutex_unlock(&crew->lock);
}

void
pool_break_off(struct pool * crew, int64_t now, int64_t time_max)
{
	size_t i;

	for (i = 0; i < crew->count; i++)
		job_break_off(&crew->jobs[i], now, time_max);
}

void
pool_stop(struct pool * crew)
{

	pthread_mutex_lock(&crew->lock);
	crew->stopping = true;
	pthread_cond_broadcast(&crew->changed);
	pthread_mutex_unlock(&crew->lock);
}

void
pool_free(struct pool * crew)
{
	size_t i;

	if (crew == NULL)
		return;
	for (i = 0; i < crew->count; i++)
		job_free(&crew->jobs[i]);
	free(crew->jobs);
	pthread_mutex_destroy(&crew->lock);
	pthread_cond_destroy(&crew->changed);
	free(crew);
}
