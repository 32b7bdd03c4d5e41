#ifndef FLAGTALLY_EXPOSITION_H
#define FLAGTALLY_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/redis/address.h"

/*
 * The counts as Prometheus's text (Prometheus, "Exposition formats", text-based
 * format 0.0.4): the evaluations of the current day of all applications, as
 * counters that begin anew at midnight UTC, and the impact metrics of all
 * environments.
 */
struct exposition {
	const char * prefix;		/* Of the keys in Redis. */
	const struct redis_address * redis;
	int64_t timeout;		/* Of a pipeline, in ms, */
	int64_t time_max;		/* and of all together. */
	size_t limit;			/* Samples; 0: no limit. */
	char error[400];		/* Set by exposition_write. */
};

/**
 * exposition_write(exposition, out):
 * Write the text to ${out}.  What exceeds the limit or the memory of a report,
 * or cannot be read while something else can, is left out: then the gauge
 * feature_flag_scrape_truncated is 1, and the log names the first of it.
 * Environments share the limit and the memory; room that one does not need is
 * the others'.  Return 0, or -1 with the error set; the text written so far is
 * then unusable.
 */
int exposition_write(struct exposition * exposition, FILE * out);

#endif
