#ifndef FLAGTALLY_REPORT_H
#define FLAGTALLY_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/text.h"
#include "lib/redis/cluster.h"
#include "lib/report/applications.h"
#include "lib/report/edge_list.h"
#include "lib/report/features.h"
#include "lib/report/impact.h"
#include "lib/report/instances.h"
#include "lib/report/reader.h"

/*
 * Reads the counts back from Redis, as flagtally(7) describes them.  A report
 * needs only the rights of a reader, sends its commands in pipelines of
 * REPORT_BATCH, and holds at most REPORT_MEMORY_MAX bytes of results.  All
 * results live in the arena given to report_create.  A report belongs to one
 * thread.
 *
 * Every function that reads returns 0, or -1 with report_error saying why:
 * Redis is out of reach, refuses a command, or the result is too large.  A
 * result about one application is complete or not returned at all.  One about
 * several applications or environments lacks those that report_missing names,
 * and has at least one.  Texts of parameters whose bytes are NULL mean all.
 */
struct report;

struct report_stale {
	struct text environment, application, feature;
	int64_t seen;			/* Seconds since 1970. */
};

struct report_stales {
	struct report_stale * list;	/* Longest unused first. */
	size_t count;
};

/**
 * report_create(prefix, cluster, arena):
 * Return a report that reads the keys under ${prefix} over ${cluster}, which it
 * owns from now on.  ${arena} and ${prefix} must outlive it.
 */
struct report * report_create(const char * prefix, struct cluster * cluster,
    struct arena * arena);

/**
 * report_limit_time(report, time_max):
 * Have each function below fail if it takes longer than ${time_max} ms.
 */
void report_limit_time(struct report * report, int64_t time_max);

/**
 * report_watch(report, progress, context):
 * Have ${progress} called while a function below reads.
 */
void report_watch(struct report * report, report_progress * progress,
    void * context);

/**
 * report_applications(report, environment, span, applications):
 * Read the applications of ${environment} with their evaluations in ${span}.
 */
int report_applications(struct report * report,
    const struct text * environment, const struct report_span * span,
    struct report_applications * applications);

/**
 * report_features(report, environment, application, feature, span, recent,
 *     features, sdks):
 * Read the counts of an application's features in ${span}, and of the hours
 * ${recent}, unless it is NULL; these follow behind those of the span.
 * Features that were seen before the span but not in it are listed too, without
 * counts.  With ${sdks} that is not NULL, read in the same pipelines how many
 * registered instances use which SDK.
 */
int report_features(struct report * report, const struct text * environment,
    const struct text * application, const struct text * feature,
    const struct report_span * span, const struct report_span * recent,
    struct report_features * features, struct report_sdks * sdks);

/**
 * report_stale(report, environment, application, before, stales):
 * Read the features that were last evaluated before ${before}, in seconds since
 * 1970.
 */
int report_stale(struct report * report, const struct text * environment,
    const struct text * application, int64_t before,
    struct report_stales * stales);

/**
 * report_sdks(report, environment, application, below, sdks):
 * Read how many registered instances use which SDK; see instances_read for
 * ${below}.
 */
int report_sdks(struct report * report, const struct text * environment,
    const struct text * application, const struct text * below,
    struct report_sdks * sdks);

/**
 * report_impact(report, environment, name, impact):
 * Read the impact metrics with ${name}.
 */
int report_impact(struct report * report, const struct text * environment,
    const struct text * name, struct report_impact * impact);

/**
 * report_edges(report, edges):
 * Read the instances of Unleash Edge that have reported about themselves.
 */
int report_edges(struct report * report, struct report_edges * edges);

/**
 * report_probe(report):
 * Try to read from Redis.
 */
int report_probe(struct report * report);

/**
 * report_error(report):
 * Return why the last function failed.
 */
const char * report_error(const struct report * report);

/**
 * report_unreachable(report):
 * Return true if the last function failed because Redis is out of reach.
 */
bool report_unreachable(const struct report * report);

/**
 * report_missing(report):
 * Return what the result of the last function lacks.
 */
const struct reader_missing * report_missing(const struct report * report);

/**
 * report_free(report):
 * Close the connection and free the report.  The results stay in the arena.
 */
void report_free(struct report * report);

#endif
