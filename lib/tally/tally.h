#ifndef FLAGTALLY_TALLY_H
#define FLAGTALLY_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/number.h"
#include "lib/base/text.h"

/*
 * A tally holds the counts of a body, or of a group of bodies: a tree whose
 * leaves are counters.
 *
 *	root
 *	  environment
 *	    application			environment and appName
 *	      bucket			hour, or day where no hours are kept
 *	        feature			yes and no
 *	          variant		count
 *	      instance			a registration
 *	    metric			an impact metric: type and name
 *	      series			a label set: value, or sum and count
 *	        bound			a histogram's finite le: observations
 *					up to it and beyond the next lower
 *					bound of the same sample
 *	  token				SHA-256 of a token that was seen, and
 *					the environment of the sender
 *
 * A node exists only because something under it counts, or it is an
 * application that has been seen.  Children are in their order of arrival.
 */
enum tally_kind {
	TALLY_ROOT,
	TALLY_ENVIRONMENT,
	TALLY_APPLICATION,
	TALLY_BUCKET,
	TALLY_FEATURE,
	TALLY_VARIANT,
	TALLY_INSTANCE,
	TALLY_METRIC,
	TALLY_SERIES,
	TALLY_BOUND,
	TALLY_TOKEN,
};

enum tally_type {
	TALLY_COUNTER = 'c',
	TALLY_GAUGE = 'g',
	TALLY_HISTOGRAM = 'h',
};

/* The call of an application, environment or token that exceeds a cap. */
#define TALLY_DROPPED UINT32_MAX

struct tally_node {
	struct tally_node * parent;
	struct tally_node * next;		/* Its next sibling. */
	struct tally_node * first, * last;	/* Its children. */
	struct tally_node * merged_into;	/* By tally_merge. */
	uint64_t hash;			/* Of its name; 0: not computed yet. */
	const char * name;		/* Not NUL-terminated; see below. */
	size_t length;
	size_t children;
	enum tally_kind kind;
	uint32_t call;			/* The call to Redis that counts it,
					 * from 1 on; 0: none. */
	int64_t when;			/* Of what takes the latest value: see
					 * the tally's. */
	union {
		int64_t period;		/* Bucket: hours or days since 1970. */
		struct {		/* Feature. */
			uint64_t yes;
			uint64_t no;
		};
		struct {		/* Instance: JSON; metric: its help. */
			const char * text;
			size_t text_length;
		};
		struct {		/* Series; bound and variant: count. */
			double value;
			uint64_t count;
		};
	};
};

/* Why a part of a body was left out. */
enum tally_drop {
	DROP_ENVIRONMENT,	/* An environment that is not the token's. */
	DROP_NAME,		/* No Prometheus name can be made of it, or
				 * one that Prometheus reserves. */
	DROP_NULL,		/* An impact sample whose number is null. */
	DROP_INVALID,		/* An element that violates the schema, or a
				 * counter's sample below 0. */
	DROP_TYPE,		/* A sample whose metric clashes with another
				 * in type or name. */
	DROP_OVERFLOW,		/* A sum that is not finite. */
	DROP_LABELS,		/* A sample with too many labels. */
	DROP_STRATEGIES,	/* Too many of a registration. */
	DROP_PROJECTS,
	DROP_CONNECT_VIA,
	DROP_TOKENS,		/* Too many tokens that were seen. */
	DROP_REGISTRATIONS,	/* A registration that is too long. */
	DROP_FEATURES,		/* New beyond a cap in Redis. */
	DROP_VARIANTS,
	DROP_OUT_OF_RANGE,		/* Features of buckets that are late. */
	DROP_APPLICATIONS,
	DROP_ENVIRONMENTS,
	DROP_INSTANCES,
	DROP_SERIES,
	DROP_SEEN_TOKENS,
	DROP_EDGES,		/* An Edge's data, for that of another. */
	DROP_COUNT,
};

#define TALLY_RECENT 16

struct tally {
	struct arena * arena;
	struct tally_node * root;
	struct tally_node ** slots;	/* Open addressing, linear probing. */
	size_t slot_count;		/* A power of two, or 0. */
	size_t indexed;			/* Nodes in the slots. */
	size_t node_count;
	size_t counters;		/* Distinct ones: see tally_add_*. */
	size_t tokens;			/* Of them those that were seen. */
	/* Buckets that were used lately, by recent_slot() in tally.c. */
	struct tally_node * recent[TALLY_RECENT];
	uint64_t largest;		/* No count in it exceeds this. */
	int64_t when;			/* When what it holds was reported, in
					 * milliseconds since 1970. */
	uint64_t dropped[DROP_COUNT];
};

/**
 * tally_create(arena):
 * Return an empty tally in ${arena}, which is freed with it.
 */
struct tally * tally_create(struct arena * arena);

/**
 * tally_child(tally, parent, kind, name, length):
 * Return the child of ${parent} with this kind and name.  If it does not exist,
 * add it, with values of 0; the name is copied.
 */
struct tally_node * tally_child(struct tally * tally,
    struct tally_node * parent, enum tally_kind kind, const void * name,
    size_t length);

/**
 * tally_application(tally, environment, application):
 * tally_bucket(tally, application, period):
 * Return the node of an application or of one of its buckets, added as by
 * tally_child.
 */
struct tally_node * tally_application(struct tally * tally,
    const struct text * environment, const struct text * application);
struct tally_node * tally_bucket(struct tally * tally,
    struct tally_node * application, int64_t period);

/**
 * tally_feature(tally, environment, application, period, feature):
 * Return the node of a feature in a bucket.
 */
struct tally_node * tally_feature(struct tally * tally,
    const struct text * environment, const struct text * application,
    int64_t period, const struct text * feature);

/**
 * tally_bucket_open(tally):
 * Return a bucket that has no place in the tree yet, for features whose
 * application and period are not known yet.
 */
struct tally_node * tally_bucket_open(struct tally * tally);

/**
 * tally_bucket_place(tally, bucket, application, period):
 * Put a bucket of tally_bucket_open in its place; the ${application} must not
 * have a bucket of that period.
 */
void tally_bucket_place(struct tally * tally, struct tally_node * bucket,
    struct tally_node * application, int64_t period);

/**
 * tally_add(tally, counter, count):
 * Add ${count} to ${*counter}, a counter of one of the tally's nodes, and
 * count the counter as a distinct one when it leaves 0.  Return false, with
 * nothing changed, if the sum would exceed NUMBER_COUNT_MAX.
 */
static inline bool
tally_add(struct tally * tally, uint64_t * counter, uint64_t count)
{

	if (count > NUMBER_COUNT_MAX - *counter)
		return (false);
	tally->counters += (size_t)(*counter == 0 && count > 0);
	*counter += count;
	return (true);
}

/**
 * tally_set_instance(tally, application, instance, json):
 * Record the latest registration of an instance; ${json} is copied.
 */
void tally_set_instance(struct tally * tally,
    struct tally_node * application, const struct text * instance,
    const struct text * json);

/**
 * tally_metric(tally, environment, type, name, help):
 * Return the node of an impact metric; ${help} is copied and replaces an
 * earlier one.
 */
struct tally_node * tally_metric(struct tally * tally,
    const struct text * environment, enum tally_type type,
    const struct text * name, const struct text * help);

/**
 * tally_metric_type(metric):
 * Return the type of an impact metric.
 */
enum tally_type tally_metric_type(const struct tally_node * metric);

/**
 * tally_metric_name(metric):
 * Return the name of an impact metric.
 */
struct text tally_metric_name(const struct tally_node * metric);

/**
 * tally_set_gauge(tally, series, value):
 * Set the value of a gauge's series.
 */
void tally_set_gauge(struct tally * tally, struct tally_node * series,
    double value);

/**
 * tally_series(tally, metric, labels):
 * tally_bound(tally, series, le):
 * Return the node of a series of an impact metric, or of a bucket of a
 * histogram's series; each is a distinct counter.
 */
struct tally_node * tally_series(struct tally * tally,
    struct tally_node * metric, const struct text * labels);
struct tally_node * tally_bound(struct tally * tally,
    struct tally_node * series, const struct text * le);

/**
 * tally_token(tally, name, length):
 * Record that a token was seen.  ${name} is its digest, followed by the
 * environment of the sender that has seen it.
 */
void tally_token(struct tally * tally, const void * name, size_t length);

/**
 * tally_is_counter(kind):
 * Return whether each node of this kind is one distinct counter; a feature can
 * be two, or none.
 */
bool tally_is_counter(enum tally_kind kind);

/**
 * tally_empty(tally):
 * Return whether the tally holds nothing at all to commit.
 */
bool tally_empty(const struct tally * tally);

/**
 * tally_merge(into, from):
 * Add all of ${from} to ${into}.  Counters add up, to 2^63-1, the largest
 * number of Redis.  Of two latest values, keep that of ${from}, so merge in the
 * order of arrival.  Names are not copied, so ${from} must outlive ${into};
 * each node of ${from} points to the one that it was merged into.
 */
void tally_merge(struct tally * into, struct tally * from);

/**
 * tally_put(tally, parent, from):
 * Add the values of ${from}, which need not be in a tree, to the child of
 * ${parent} with its kind and name, and return that child, which is added if it
 * does not exist.  Counts and latest values merge as in tally_merge, but a sum
 * ends at 2^63-1.  Name and text are copied; children of ${from} are ignored.
 */
struct tally_node * tally_put(struct tally * tally,
    struct tally_node * parent, const struct tally_node * from);

/**
 * tally_next(node):
 * Return the node after ${node} in preorder, NULL after the last one.
 */
struct tally_node * tally_next(const struct tally_node * node);

#endif
