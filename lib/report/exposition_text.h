#ifndef FLAGTALLY_EXPOSITION_TEXT_H
#define FLAGTALLY_EXPOSITION_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include "lib/report/applications.h"
#include "lib/report/features.h"
#include "lib/report/impact.h"

/* Samples in Prometheus's text format (see exposition.h). */

/* Names of the families that are not of impact metrics. */
#define EXPOSITION_EVALUATIONS "feature_flag_evaluations_total"
#define EXPOSITION_VARIANTS "feature_flag_variants_total"
#define EXPOSITION_TRUNCATED "feature_flag_scrape_truncated"

/**
 * exposition_text_family(out, name, type, help):
 * exposition_text_metric(out, metric):
 * Write the lines with which a family begins: one of the above, whose ${help}
 * needs no escape, or an impact metric's.
 */
void exposition_text_family(FILE * out, const char * name, const char * type,
    const char * help);
void exposition_text_metric(FILE * out, const struct impact_metric * metric);

/**
 * exposition_text_counter(out, family, application, feature, label, value,
 *     count):
 * Write the sample of a feature's counter, with ${label} beside those that all
 * have.
 */
void exposition_text_counter(FILE * out, const char * family,
    const struct report_application * application, struct text feature,
    const char * label, struct text value, uint64_t count);

/**
 * exposition_text_series(out, metric, series):
 * Write all samples of a series of ${metric}.
 */
void exposition_text_series(FILE * out, const struct impact_metric * metric,
    const struct impact_series * series);

#endif
