#ifndef FLAGTALLY_BLOCKING_H
#define FLAGTALLY_BLOCKING_H

/*
 * A hook that runs before a thread blocks, so that a pool can let another
 * thread take its place meanwhile.  Code that blocks need not know in which
 * kind of thread it runs.
 */

/* Runs in the thread itself, and must not block. */
typedef void blocking_hook(void * context);

/**
 * blocking_set(hook, context):
 * Call ${hook} with ${context} each time before this thread blocks.
 */
void blocking_set(blocking_hook * hook, void * context);

/**
 * blocking_thread():
 * Announce that this thread is about to block or to work for long.
 */
void blocking_thread(void);

#endif
