#ifndef FLAGTALLY_REPORTCTL_H
#define FLAGTALLY_REPORTCTL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/redis/redis.h"
#include "lib/report/report_write.h"

/* The option --report: counts on the command line. */
struct reportctl_options {
	const char * target;	/* ENV[/APP[/FEATURE]], percent-encoded where
				 * a name contains / or %; NULL: everything. */
	const char * since;	/* A day, an hour, or an age; NULL: default. */
	const char * until;	/* Likewise, inclusive. */
	const char * by;	/* "hour" or "day"; NULL: day. */
	const char * format;	/* "table", "csv" or "json"; NULL: table. */
	const char * stale;	/* An age; NULL: report counts. */
};

/**
 * reportctl_run(options, prefix, redis, queued):
 * Print a report over ${redis}, which it frees.  Return the status to exit
 * with: 0, 1 if the report failed, 64 for a wrong option, or 75 if Redis is
 * out of reach.  Nothing is printed to standard output unless the report is
 * complete.
 */
int reportctl_run(const struct reportctl_options * options,
    const char * prefix, struct redis * redis,
    const struct report_queued * queued);

#endif
