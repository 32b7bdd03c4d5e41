/*
 * A library to preload: the time of day is shifted by as many seconds as the
 * file that SHIFTED_CLOCK names holds as a binary number.  A test can change
 * them while the process runs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t zero;
static const volatile int64_t * shift = &zero;

__attribute__((constructor))
static void
open_shift(void)
{
	const char * path = getenv("SHIFTED_CLOCK");
	int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void * memory = file == -1 ? MAP_FAILED : mmap(NULL, sizeof(*shift),
	    PROT_READ, MAP_SHARED, file, 0);

	if (memory != MAP_FAILED)
		shift = memory;
	if (file != -1)
		close(file);
}

int
clock_gettime(clockid_t clock, struct timespec * now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);

	if (result == 0 && (clock == CLOCK_REALTIME ||
	    clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += *shift;
	return (result);
}

int
gettimeofday(struct timeval * restrict now, void * restrict zone)
{
	struct timespec exact;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &exact);
	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	return (0);
}

time_t
time(time_t * now)
{
	struct timespec exact;

	clock_gettime(CLOCK_REALTIME, &exact);
	if (now != NULL)
		*now = exact.tv_sec;
	return (exact.tv_sec);
}
