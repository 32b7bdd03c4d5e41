#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/thread.h"

static _Thread_local thread_hook * block_hook;
static _Thread_local void * block_context;

static struct timespec
timespec_of(int64_t milliseconds)
{
	struct timespec time = { .tv_sec = milliseconds / 1000,
	    .tv_nsec = milliseconds % 1000 * 1000000 };

	return (time);
}

void
thread_init_condition(pthread_cond_t * condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

bool
thread_wait(pthread_cond_t * condition, pthread_mutex_t * lock,
    int64_t deadline)
{
	struct timespec limit = timespec_of(deadline);

	return (pthread_cond_timedwait(condition, lock, &limit) != ETIMEDOUT);
}

bool
thread_join(pthread_t thread, pthread_cond_t * condition,
    pthread_mutex_t * lock, const bool * ended, int64_t deadline)
{
	bool done;

	/* pthread_timedjoin_np goes by the time of day, which may be set. */
	pthread_mutex_lock(lock);
	while (!*ended && thread_wait(condition, lock, deadline))
		continue;
	done = *ended;
	pthread_mutex_unlock(lock);
	if (done)
		pthread_join(thread, NULL);
	else
		pthread_detach(thread);
	return (done);
}

void
thread_set_hook(thread_hook * hook, void * context)
{

	block_hook = hook;
	block_context = context;
}

void
thread_will_block(void)
{

	if (block_hook != NULL)
		block_hook(block_context);
}
