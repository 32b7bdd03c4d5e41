#ifndef FLAGTALLY_IMPACT_WRITE_H
#define FLAGTALLY_IMPACT_WRITE_H

#include <stdio.h>

#include "lib/report/impact.h"
#include "lib/report/report_write.h"

/* Quantiles of a histogram that every form of a report has. */
#define IMPACT_WRITE_QUANTILES 3
extern const double impact_write_quantiles[IMPACT_WRITE_QUANTILES];

/**
 * impact_write_number(out, number):
 * Write a number with four significant digits, or a dash if it is NaN.
 */
void impact_write_number(FILE * out, double number);

/**
 * impact_write_csv(out, impact):
 * impact_write_json(out, scope, impact):
 * Write impact metrics as CSV, one row for each series, or as a JSON object,
 * which has also the buckets.
 */
void impact_write_csv(FILE * out, const struct report_impact * impact);
void impact_write_json(FILE * out, const struct report_scope * scope,
    const struct report_impact * impact);

#endif
