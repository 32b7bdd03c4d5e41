#ifndef FLAGTALLY_BUCKET_H
#define FLAGTALLY_BUCKET_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/date.h"
#include "lib/redis/contract.h"

/* The buckets of one bucket of a tally: an hour, its day, or both. */
struct periods {
	struct period {
		char name[DATE_TEXT_MAX];
		int64_t start;		/* In seconds since 1970. */
		int64_t length;		/* In seconds. */
		int64_t retention;	/* In seconds, from its end. */
	} list[2];
	size_t count;
};

/**
 * bucket_of(periods, settings, period):
 * Fill in the buckets of ${period}, an hour or, where no hours are kept, a day
 * since 1970: the finer one first.
 */
void bucket_of(struct periods * periods, const struct sink_settings * settings,
    int64_t period);

/**
 * bucket_retention(settings):
 * Return the longer retention.
 */
int64_t bucket_retention(const struct sink_settings * settings);

#endif
