#ifndef FLAGTALLY_SANDBOX_H
#define FLAGTALLY_SANDBOX_H

#include <stdbool.h>

/*
 * Restricts this process, so that an intruder gains little from it.  None of
 * these functions needs a privilege.
 */

enum sandbox_state {
	SANDBOX_ON,
	SANDBOX_UNAVAILABLE,	/* Not in this build or kernel. */
};

/**
 * sandbox_descriptors(keep):
 * Close all inherited descriptors except the standard ones and the ${keep} that
 * follow them.
 */
void sandbox_descriptors(unsigned int keep);

/**
 * sandbox_memory():
 * Disable core dumps, and access to this process's memory by all but root.
 */
void sandbox_memory(void);

/**
 * sandbox_enter(names):
 * Give up, in this thread and all that it will start, every system call that
 * the program does not need, and the right to gain privileges by executing a
 * program.  No code can be loaded afterwards; with ${names}, load the modules
 * that resolve host names before.  If the filter cannot be installed, log why.
 */
enum sandbox_state sandbox_enter(bool names);

#endif
