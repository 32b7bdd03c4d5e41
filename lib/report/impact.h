#ifndef FLAGTALLY_IMPACT_H
#define FLAGTALLY_IMPACT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/report/reader.h"

/* A sample of an impact metric, as flagtally(7) describes its field. */
struct impact_sample {
	struct text suffix;		/* Empty, _bucket, _sum or _count. */
	struct text labels;		/* Escaped; without a bucket's le. */
	struct text le;			/* Of a bucket, else empty; it needs no
					 * escape. */
	struct text value;
};

struct impact_metric {
	struct text environment, name, type, help;
	struct impact_sample * samples;	/* By labels; of a histogram buckets
					 * by bound, _count, _sum. */
	size_t count;			/* Of impact_read never 0. */
};

struct report_impact {
	struct impact_metric * list;	/* By name and environment. */
	size_t count;
};

/* The samples of a metric that have the same labels. */
struct impact_series {
	const struct impact_sample * samples;
	size_t count;
	size_t buckets;			/* Samples at the front. */
	struct text value;		/* Of a counter or gauge, else empty. */
	struct text sum, observations;	/* Of a histogram, else empty. */
};

/**
 * impact_read(reader, environment, name, impact):
 * Read the impact metrics of ${environment} with ${name}; of all environments,
 * or with all names, if the bytes of these are NULL.  Some may be missing.
 * Return 0, or -1 with the reader's error set.
 */
int impact_read(struct reader * reader, struct text environment,
    struct text name, struct report_impact * impact);

/**
 * impact_list(reader, environment, name, impact):
 * Do so, but without types and samples, and by environment.  A metric that both
 * name is listed without asking if it exists.
 */
int impact_list(struct reader * reader, struct text environment,
    struct text name, struct report_impact * impact);

/**
 * impact_key(reader, metric):
 * Make the key of ${metric}, a hash, that of the reader's next request.
 */
void impact_key(struct reader * reader, const struct impact_metric * metric);

/**
 * impact_take(results, reply, metric):
 * Set the type, the help and the samples of ${metric} from all fields of its
 * hash.
 */
void impact_take(struct results * results, const struct redis_reply * reply,
    struct impact_metric * metric);

/**
 * impact_next(metric, at, series):
 * Set ${series} to the samples from number ${*at} on that have the same
 * labels, and ${*at} to the number of the first sample after them.  Return
 * false if there are none.
 */
bool impact_next(const struct impact_metric * metric, size_t * at,
    struct impact_series * series);

/**
 * impact_bound(sample):
 * impact_value(sample):
 * Return the upper bound of a bucket, and the value of a sample.
 */
double impact_bound(const struct impact_sample * sample);
double impact_value(const struct impact_sample * sample);

/**
 * impact_observations(series):
 * impact_sum(series):
 * Return how many observations a histogram's series has, and their sum.
 */
double impact_observations(const struct impact_series * series);
double impact_sum(const struct impact_series * series);

/**
 * impact_bucket(series, i):
 * Return how many observations bucket number ${i} has that the one before it
 * has not.
 */
double impact_bucket(const struct impact_series * series, size_t i);

/**
 * impact_quantile(series, quantile):
 * Return an estimate of a quantile of a histogram's series, as Prometheus's
 * histogram_quantile does: by linear interpolation within a bucket, and the
 * highest finite bound if it lies above that.  Return NaN if there is nothing
 * to estimate it from.
 */
double impact_quantile(const struct impact_series * series, double quantile);

/* Is called for each label of a series; the value is not escaped. */
typedef void impact_label(void * context, struct text name, struct text value);

/**
 * impact_labels(labels, scratch, label, context):
 * Call ${label} for each of the escaped labels.  ${scratch} has room for
 * labels.length bytes.
 */
void impact_labels(struct text labels, char * scratch, impact_label * label,
    void * context);

#endif
