#ifndef FLAGTALLY_REPORT_TABLE_H
#define FLAGTALLY_REPORT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "fcgi/health.h"
#include "lib/report/report_write.h"

/*
 * Reports as tables on standard output, with aligned columns.  Everything in a
 * name that could disturb a terminal is escaped.
 */
struct report_table {
	const struct report_scope * scope;
	bool graphic;			/* Bars and sparklines. */
};

/**
 * report_table_applications(table, found):
 * report_table_features(table, found):
 * report_table_periods(table, feature):
 * report_table_stales(found):
 * report_table_sdks(found):
 * report_table_edges(found):
 * report_table_impact(table, found):
 * report_table_health(health):
 * Print a table: of applications, features, one feature by period with its
 * variants, stale features, SDKs, instances of Edge, impact metrics, or the
 * state of Redis, the spool and dropped counts.
 */
void report_table_applications(const struct report_table * table,
    const struct report_applications * found);
void report_table_features(const struct report_table * table,
    const struct report_features * found);
void report_table_periods(const struct report_table * table,
    const struct report_feature * feature);
void report_table_stales(const struct report_stales * found);
void report_table_sdks(const struct report_sdks * found);
void report_table_edges(const struct report_edges * found);
void report_table_impact(const struct report_table * table,
    const struct report_impact * found);
void report_table_health(const struct health * health);

/**
 * report_table_queued(out, queued):
 * Print a line if counts wait in the spool, or if that is unknown because it
 * cannot be read.
 */
void report_table_queued(FILE * out, const struct report_queued * queued);

#endif
