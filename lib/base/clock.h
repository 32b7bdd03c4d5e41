#ifndef FLAGTALLY_CLOCK_H
#define FLAGTALLY_CLOCK_H

#include <stdint.h>

/**
 * clock_monotonic():
 * Return milliseconds since a fixed moment (CLOCK_MONOTONIC).  Deadlines are in
 * this unit.
 */
int64_t clock_monotonic(void);

/**
 * clock_microseconds():
 * Return microseconds since the same moment, to measure short times.
 */
int64_t clock_microseconds(void);

/**
 * clock_now():
 * Return seconds since 1970-01-01T00:00:00Z.
 */
int64_t clock_now(void);

/**
 * clock_now_ms():
 * Return milliseconds since 1970-01-01T00:00:00Z.
 */
int64_t clock_now_ms(void);

/**
 * clock_remaining(deadline):
 * Return how many milliseconds there are until ${deadline}, 0 if it has
 * passed; at most INT_MAX, so that poll can take it.
 */
int clock_remaining(int64_t deadline);


#endif
