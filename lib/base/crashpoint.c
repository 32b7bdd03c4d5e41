#include "lib/base/crashpoint.h"

#ifdef CRASH_POINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
crashpoint_reach(const char * name)
{
	static _Atomic long seen;
	const char * wanted = getenv("CRASH_AT");
	size_t length = strlen(name);
	long count = 1;

	if (wanted == NULL || strncmp(wanted, name, length) != 0 ||
	    (wanted[length] != '\0' && wanted[length] != ':'))
		return;
	if (wanted[length] == ':')
		count = strtol(wanted + length + 1, NULL, 10);
	if (++seen == count)
		kill(getpid(), SIGKILL);
}
#else
/* ISO C forbids an empty translation unit. */
typedef int crash_nothing;
#endif
