#ifndef FLAGTALLY_FEATURES_H
#define FLAGTALLY_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#include "lib/report/results.h"

/* A counter over the periods of a span. */
struct report_counter {
	struct text name;		/* Of a variant; else empty. */
	uint64_t total;			/* Of the span. */
	uint64_t * counts;		/* Of each period, those of the recent
					 * hours behind; NULL: all 0. */
	struct report_counter * next;
};

struct report_feature {
	struct text name;
	int64_t seen;			/* Seconds since 1970; 0: unknown. */
	struct report_counter yes, no;
	struct report_counter * variants;	/* By name. */
};

struct report_features {
	struct report_feature ** list;	/* Most evaluations first. */
	size_t count;
};

/*
 * Collects the features of an application from the fields of its buckets.
 * Features are found by their encoded name and counters by their field, in one
 * hash table with linear probing: a name contains no colon, and a field does.
 */
struct features_entry;
struct features {
	struct results * results;
	size_t periods;			/* Of the span. */
	size_t more;			/* That no total includes. */
	struct text only;		/* Encoded; NULL bytes: all. */
	unsigned char key[16];		/* Of the hash. */
	struct features_entry * slots;
	size_t size;			/* A power of two, or 0. */
	size_t used;
	size_t count;			/* Entries that are features. */
};

/**
 * features_init(features, results, periods, more, only):
 * Begin a collection of ${periods} periods, and ${more} that do not count for
 * totals, that takes its memory from ${results}; when these are full, nothing
 * more is collected.  ${only} is the encoded name of the one feature to
 * collect, or has NULL bytes.
 */
void features_init(struct features * features, struct results * results,
    size_t periods, size_t more, struct text only);

/**
 * features_add(features, field, period, number):
 * Add ${number} to the counter of a field in a period.  Fields of unknown kinds
 * are skipped.
 */
void features_add(struct features * features, struct text field,
    size_t period, uint64_t number);

/**
 * features_seen(features, name, seen):
 * Record when the feature with this encoded name was last seen.
 */
void features_seen(struct features * features, struct text name,
    int64_t seen);

/**
 * features_list(features, list):
 * List all features, most evaluations first.  The list is empty if the results
 * are full.
 */
void features_list(const struct features * features,
    struct report_features * list);

#endif
