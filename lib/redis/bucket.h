#ifndef FLAGTALLY_BUCKET_H
#define FLAGTALLY_BUCKET_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/date.h"
#include "lib/redis/contract.h"

/* The buckets of one bucket of a tally: an hour, its day, or both. */
struct periods {
	char name[2][DATE_TEXT_MAX];
	int64_t expire[2];		/* Negative if it takes a place. */
	int64_t start[2];
	size_t count;
};

/**
 * bucket_of(periods, settings, period, now):
 * Fill in the buckets that there are of ${period}, an hour or, where no hours
 * are kept, a day since 1970: their names, when they begin and, if they are
 * written at ${now}, expire, in seconds.
 */
void bucket_of(struct periods * periods, const struct sink_settings * settings,
    int64_t period, int64_t now);

/**
 * bucket_retention(settings):
 * Return the longer retention.
 */
int64_t bucket_retention(const struct sink_settings * settings);

#endif
