#ifndef FLAGTALLY_TESTS_FUZZ_MEMORY_H
#define FLAGTALLY_TESTS_FUZZ_MEMORY_H

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/**
 * memory_file(number, bytes, length):
 * Make /proc/self/fd/${number} a file in memory that holds these bytes.
 */
static inline void
memory_file(int number, const void * bytes, size_t length)
{
	int descriptor;

	if (fcntl(number, F_GETFD) == -1) {
		descriptor = memfd_create("fuzz", MFD_CLOEXEC);
		must(descriptor != -1 && dup2(descriptor, number) == number);
		close(descriptor);
	}
	must(ftruncate(number, 0) == 0);
	must(pwrite(number, bytes, length, 0) == (ssize_t)length);
}

/**
 * memory_sink():
 * Return a stream whose text goes nowhere, but is formatted.
 */
static inline FILE *
memory_sink(void)
{
	static FILE * sink;

	if (sink == NULL)
		sink = fopen("/dev/null", "we");
	must(sink != NULL);
	return (sink);
}

#endif
