#ifndef FLAGTALLY_REPORT_WRITE_H
#define FLAGTALLY_REPORT_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/date.h"
#include "lib/report/report.h"

/* Reports as CSV (RFC 4180) and JSON (RFC 8259). */

/* What has been accepted and is not in Redis yet. */
struct report_queued {
	bool known;
	uint64_t bytes;
	int64_t since;			/* In ms since 1970; 0: nothing. */
};

/* What a report is about.  Texts with NULL bytes mean all. */
struct report_scope {
	struct report_span span;
	struct text environment, application, feature;
	const struct report_queued * queued;
};

/**
 * report_write_period(span, period, out):
 * Write the name of a period of the span as a string.  Return its length.
 */
size_t report_write_period(const struct report_span * span, size_t period,
    char out[DATE_TEXT_MAX]);

/**
 * report_write_time(out, instant):
 * Write a time in seconds since 1970 to the minute, or a dash if it is 0.
 */
void report_write_time(FILE * out, int64_t instant);

/**
 * report_write_applications_csv(out, applications):
 * report_write_features_csv(out, scope, features):
 * Write a report as CSV with a header: a row for each application, or for each
 * counter and period that is not 0.  A name that a spreadsheet would take for a
 * formula has an apostrophe before it.
 */
void report_write_applications_csv(FILE * out,
    const struct report_applications * applications);
void report_write_features_csv(FILE * out, const struct report_scope * scope,
    const struct report_features * features);

/**
 * report_write_applications_json(out, scope, applications):
 * report_write_features_json(out, scope, features, sdks):
 * Write a report as a JSON object, in ASCII, with a newline.
 */
void report_write_applications_json(FILE * out,
    const struct report_scope * scope,
    const struct report_applications * applications);
void report_write_features_json(FILE * out, const struct report_scope * scope,
    const struct report_features * features, const struct report_sdk * sdks);

/**
 * report_write_stales_csv(out, stales):
 * report_write_stales_json(out, stales):
 * Write stale features, one in a row.
 */
void report_write_stales_csv(FILE * out, const struct report_stales * stales);
void report_write_stales_json(FILE * out, const struct report_stales * stales);

#endif
