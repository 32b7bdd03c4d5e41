#ifndef FLAGTALLY_BLOCKING_H
#define FLAGTALLY_BLOCKING_H

/*
 * A thread that serves others may want to know that it is about to wait for
 * something, so that another thread can take its place meanwhile.  Whoever
 * waits need not know what kind of thread it is in.
 */

/* It is called by the thread itself, and must not wait. */
typedef void blocking_hook(void * context);

/**
 * blocking_set(hook, context):
 * From now on this thread has ${hook} called with ${context} when it is about
 * to wait.
 */
void blocking_set(blocking_hook * hook, void * context);

/**
 * blocking_thread():
 * This thread is about to wait, or to do what takes its time.
 */
void blocking_thread(void);

#endif
