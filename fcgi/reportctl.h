#ifndef FLAGTALLY_REPORTCTL_H
#define FLAGTALLY_REPORTCTL_H

#include <stdbool.h>
#include <stdint.h>

#include "fcgi/health.h"
#include "lib/redis/cluster.h"

/* The option --report: counts on the command line. */
struct reportctl_options {
	const char * target;	/* ENV[/APP[/FEATURE]], or ENV[/METRIC],
				 * percent-encoded where a name contains / or %;
				 * NULL: everything. */
	const char * since;	/* A day, an hour, or an age; NULL: default. */
	const char * until;	/* Likewise, inclusive. */
	const char * by;	/* "hour" or "day"; NULL: day. */
	const char * format;	/* "table", "csv" or "json"; NULL: table. */
	const char * show;	/* "counts", "sdks", "impact", "edges" or
				 * "health"; NULL: counts. */
	const char * stale;	/* An age: report stale features; or NULL. */
	const char * below;	/* [NAME:]VERSION: report SDKs below it; or
				 * NULL. */
	const char * top;	/* A number of features; NULL: all. */
};

/**
 * reportctl_run(options, prefix, cluster, source):
 * Print a report over ${cluster}, which it frees, and about ${source}.  On a
 * terminal, standard error shows the progress.  Return the status to exit
 * with: 0, 1 if the report failed, 64 for a wrong option, or 75 if Redis is
 * out of reach.  Nothing is printed to standard output unless the report is
 * complete.
 */
int reportctl_run(const struct reportctl_options * options,
    const char * prefix, struct cluster * cluster,
    const struct health_source * source);

#endif
