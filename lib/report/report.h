#ifndef FLAGTALLY_REPORT_H
#define FLAGTALLY_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/text.h"
#include "lib/redis/redis.h"
#include "lib/report/features.h"

/*
 * Reads the counts back from Redis, as flagtally(7) describes them.  A report
 * needs only the rights of a reader, sends its commands in pipelines of
 * REPORT_BATCH, and holds at most REPORT_MEMORY_MAX bytes of results.  All
 * results live in the arena given to report_create.  A report belongs to one
 * thread.
 *
 * Every function that reads returns 0, or -1 with report_error saying why:
 * Redis is out of reach, refuses a command, or the result is too large.  A
 * result is complete or not returned at all.
 */
struct report;

#define REPORT_BATCH 64
#define REPORT_MEMORY_MAX ((size_t)64 * 1024 * 1024)
#define REPORT_PERIODS_MAX 3700

/* Consecutive hours or days. */
struct report_span {
	bool by_hour;
	int64_t first;			/* Hours or days since 1970. */
	size_t count;			/* At most REPORT_PERIODS_MAX. */
};

struct report_application {
	struct text environment, name;
	int64_t seen;			/* Seconds since 1970. */
	uint64_t yes, no;		/* In the span. */
	uint64_t * evaluations;		/* Of each period. */
};

struct report_applications {
	struct report_application * list;	/* By environment and name. */
	size_t count;
};

struct report_stale {
	struct text environment, application, feature;
	int64_t seen;			/* Seconds since 1970. */
};

struct report_stales {
	struct report_stale * list;	/* Longest unused first. */
	size_t count;
};

struct report_sdk {
	struct text version;		/* As `name:version`; may be empty. */
	size_t instances;
	struct report_sdk * next;
};

/**
 * report_create(prefix, redis, arena):
 * Return a report that reads the keys under ${prefix} over ${redis}, which it
 * owns from now on.  ${arena} and ${prefix} must outlive it.
 */
struct report * report_create(const char * prefix, struct redis * redis,
    struct arena * arena);

/**
 * report_applications(report, environment, span, applications):
 * Read the applications of ${environment}, or all if its bytes are NULL, with
 * their evaluations in ${span}.
 */
int report_applications(struct report * report,
    const struct text * environment, const struct report_span * span,
    struct report_applications * applications);

/**
 * report_features(report, environment, application, feature, span, features):
 * Read the counts of an application in ${span}: of ${feature}, or of all
 * features if its bytes are NULL.  Features that were seen before the span but
 * not in it are listed too, without counts.
 */
int report_features(struct report * report, const struct text * environment,
    const struct text * application, const struct text * feature,
    const struct report_span * span, struct report_features * features);

/**
 * report_stale(report, environment, application, before, stales):
 * Read the features that were last evaluated before ${before}, in seconds since
 * 1970, of one application, or, if the bytes of ${application} or also of
 * ${environment} are NULL, of an environment or of all.
 */
int report_stale(struct report * report, const struct text * environment,
    const struct text * application, int64_t before,
    struct report_stales * stales);

/**
 * report_sdks(report, environment, application, sdks):
 * Read how many registered instances of an application use which SDK, into a
 * list sorted by version.
 */
int report_sdks(struct report * report, const struct text * environment,
    const struct text * application, struct report_sdk ** sdks);

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
 * report_free(report):
 * Close the connection and free the report.  The results stay in the arena.
 */
void report_free(struct report * report);

#endif
