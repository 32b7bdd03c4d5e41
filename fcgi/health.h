#ifndef FLAGTALLY_HEALTH_H
#define FLAGTALLY_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fcgi/backstage.h"
#include "lib/report/report_write.h"

/* The state of Redis, the spool and dropped counts, as a report. */

/* Where it is looked up. */
struct health_source {
	backstage_look * probe;
	void * context;			/* Of probe. */
	const struct stats * stats;	/* NULL: unknown. */
	bool has_spool;			/* One is configured. */
};

struct health {
	const struct stats * stats;	/* NULL: unknown. */
	bool has_spool;			/* There should be one. */
	struct backstage_state state;
	int64_t read_time;		/* Of reading from Redis, in ms. */
	const char * read_error;	/* "": it worked. */
};

/**
 * health_queued(source, queued):
 * Set ${queued} to the counts that are accepted and not in Redis.
 */
void health_queued(const struct health_source * source,
    struct report_queued * queued);

/**
 * health_read(source, report, health):
 * Look up the state, and try to read from Redis with ${report}, which must
 * outlive the result.
 */
void health_read(const struct health_source * source, struct report * report,
    struct health * health);

/* A number or a word about a part ("redis", "tokens", "spool",
 * "dropped"). */
typedef void health_visit(void * context, const char * part,
    const char * name, const char * value, bool is_number);

/**
 * health_each(health, visit, context):
 * Call ${visit} for each value that is known; those of a part follow each
 * other.
 */
void health_each(const struct health * health, health_visit * visit,
    void * context);

/**
 * health_is_time(name):
 * Return true if the value of that name is a time in seconds since 1970.
 */
bool health_is_time(const char * name);

/**
 * health_write_csv(out, health):
 * health_write_json(out, health):
 * Write all values, as CSV with a header or as a JSON object.
 */
void health_write_csv(FILE * out, const struct health * health);
void health_write_json(FILE * out, const struct health * health);

#endif
