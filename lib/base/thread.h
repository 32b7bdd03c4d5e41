#ifndef FLAGTALLY_THREAD_H
#define FLAGTALLY_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What pthreads leave out: waiting and joining until a deadline on the clock of
 * clock_monotonic, and a hook that runs before a thread blocks.
 */

/**
 * thread_init_condition(condition):
 * Make a condition variable that thread_wait can wait for.  The caller destroys
 * it with pthread_cond_destroy.
 */
void thread_init_condition(pthread_cond_t * condition);

/**
 * thread_wait(condition, lock, deadline):
 * Wait for ${condition}, releasing ${lock} meanwhile, as pthread_cond_timedwait
 * does.  Return false once ${deadline} has passed.
 */
bool thread_wait(pthread_cond_t * condition, pthread_mutex_t * lock,
    int64_t deadline);

/**
 * thread_join(thread, condition, lock, ended, deadline):
 * Wait for the end of ${thread}, which sets ${ended} and signals ${condition}
 * under ${lock} as the last thing that it does.  Return false if ${deadline}
 * passes first: the thread is then detached, and continues.
 */
bool thread_join(pthread_t thread, pthread_cond_t * condition,
    pthread_mutex_t * lock, const bool * ended, int64_t deadline);

/* Called in a thread that is about to block; must not block itself. */
typedef void thread_hook(void * context);

/**
 * thread_set_hook(hook, context):
 * Call ${hook} with ${context} each time before this thread blocks, so that a
 * pool can let another thread take its place meanwhile.
 */
void thread_set_hook(thread_hook * hook, void * context);

/**
 * thread_will_block():
 * Announce that this thread is about to block, or to work for long.  Code that
 * calls this need not know in which kind of thread it runs.
 */
void thread_will_block(void);

#endif
