#ifndef FLAGTALLY_SANDBOX_H
#define FLAGTALLY_SANDBOX_H

#include <stdbool.h>

/*
 * What the process gives up, so that whoever should get into it gets no
 * further.  None of it takes a privilege.
 */

enum sandbox_state {
	SANDBOX_ON,
	SANDBOX_UNAVAILABLE,	/* The build or the kernel has none. */
};

/**
 * sandbox_descriptors(keep):
 * Close all descriptors that were inherited, but for the standard ones and the
 * ${keep} that come after them.
 */
void sandbox_descriptors(unsigned int keep);

/**
 * sandbox_memory():
 * Have no core dump written, and nobody but root look into this process.
 */
void sandbox_memory(void);

/**
 * sandbox_enter(names):
 * Give up, in this thread and all that it will start, every system call that
 * the program does not need, and for good all privileges that a program which
 * is executed could bring.  No code can be loaded from then on; with ${names},
 * what it takes to resolve the names of hosts is loaded before.  If the filter
 * cannot be installed the log says why.
 */
enum sandbox_state sandbox_enter(bool names);

#endif
