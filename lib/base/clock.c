#include <limits.h>
#include <time.h>

#include "lib/base/clock.h"

int64_t
clock_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

int64_t
clock_microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

int64_t
clock_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

int64_t
clock_now(void)
{

	return (clock_now_ms() / 1000);
}

int
clock_remaining(int64_t deadline)
{
	int64_t remaining = deadline - clock_monotonic();

	if (remaining < 0)
		return (0);
	return (remaining > INT_MAX ? INT_MAX : (int)remaining);
}
