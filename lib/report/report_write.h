#ifndef FLAGTALLY_REPORT_WRITE_H
#define FLAGTALLY_REPORT_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/date.h"
#include "lib/report/report.h"

/* Reports as CSV (RFC 4180) and JSON (RFC 8259). */

/* Counts that are accepted and not in Redis yet. */
struct report_queued {
	bool known;
	bool failed;			/* The spool cannot be read. */
	uint64_t bytes;
	int64_t since;			/* In ms since 1970; 0: nothing. */
};

/* The subject of a report.  Texts with NULL bytes mean all. */
struct report_scope {
	struct report_span span;
	struct text environment, application, feature;
	const struct report_queued * queued;
	const struct reader_missing * missing;
};

/**
 * report_write_csv(out, text):
 * Write a field in quotes.  A text that a spreadsheet would take for a formula
 * gets an apostrophe before it.
 */
void report_write_csv(FILE * out, struct text text);

/**
 * report_write_json(out, text):
 * Write a string in quotes, in ASCII.
 */
void report_write_json(FILE * out, struct text text);

/**
 * report_write_time(out, instant):
 * Write a time in seconds since 1970 to the minute, or a dash if it is 0.
 */
void report_write_time(FILE * out, int64_t instant);

/**
 * report_write_missing(out, missing):
 * report_write_missing_json(out, missing):
 * Write which applications or environments a report lacks, and why, as a
 * sentence in ASCII; or as the member `missing` of a JSON object, with a comma
 * before it, which is null if it lacks none.
 */
void report_write_missing(FILE * out, const struct reader_missing * missing);
void report_write_missing_json(FILE * out,
    const struct reader_missing * missing);

/**
 * report_write_applications_csv(out, applications):
 * report_write_features_csv(out, scope, features):
 * Write a report as CSV with a header: a row for each application, or for each
 * counter and period that is not 0.  Counts that could not be read are empty.
 */
void report_write_applications_csv(FILE * out,
    const struct report_applications * applications);
void report_write_features_csv(FILE * out, const struct report_scope * scope,
    const struct report_features * features);

/**
 * report_write_applications_json(out, scope, applications):
 * report_write_features_json(out, scope, features, sdks):
 * Write a report as a JSON object, in ASCII, with a newline.  Counts that could
 * not be read are null.
 */
void report_write_applications_json(FILE * out,
    const struct report_scope * scope,
    const struct report_applications * applications);
void report_write_features_json(FILE * out, const struct report_scope * scope,
    const struct report_features * features, const struct report_sdks * sdks);

/**
 * report_write_stales_csv(out, stales):
 * report_write_stales_json(out, scope, stales):
 * Write stale features, one in a row.
 */
void report_write_stales_csv(FILE * out, const struct report_stales * stales);
void report_write_stales_json(FILE * out, const struct report_scope * scope,
    const struct report_stales * stales);

/**
 * report_write_sdks_csv(out, sdks):
 * report_write_sdks_json(out, scope, sdks):
 * report_write_edges_csv(out, edges):
 * report_write_edges_json(out, edges):
 * Write SDKs, or instances of Edge, one in a row.  The JSON of an Edge has all
 * that it reported.
 */
void report_write_sdks_csv(FILE * out, const struct report_sdks * sdks);
void report_write_sdks_json(FILE * out, const struct report_scope * scope,
    const struct report_sdks * sdks);
void report_write_edges_csv(FILE * out, const struct report_edges * edges);
void report_write_edges_json(FILE * out, const struct report_edges * edges);

#endif
