#ifndef FLAGTALLY_ELEMENT_H
#define FLAGTALLY_ELEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/date.h"
#include "lib/base/fault.h"
#include "lib/base/text.h"
#include "lib/body/schema.h"
#include "lib/tally/tally.h"

/*
 * One element of a body's arrays: an application, a metric, an impact metric
 * or a token.  Its members come in any order, so they are collected in a
 * scratch arena, and counted in the tally when the element ends.
 */

/* How the elements of a body are counted. */
struct element_settings {
	size_t limit_name;		/* Bytes of a text to keep. */
	size_t limit_counters;		/* Distinct ones; 0: no limit, as for
					 * all that follow. */
	size_t limit_memory;		/* Bytes for a body. */
	size_t limit_labels;		/* Of a sample. */
	size_t limit_list[LIST_COUNT];	/* Of a registration. */
	size_t limit_tokens;		/* Of seenTokens. */
	size_t limit_registration;	/* Bytes of one as JSON. */
	struct text environment;	/* That the token may report, or under
					 * which what names none counts. */
	bool any_environment;		/* It may report all. */
	bool by_hour;			/* Buckets are hours, else days. */
	bool skip_zeros;		/* Of impact metrics: an SDK is idle. */
	/* Values of an SDK's headers, by slot. */
	struct text sender[SLOT_COUNT];
};

/* An item of a list. */
struct element_item {
	struct element_item * next;
	struct text name;		/* Or the list's string. */
	struct text value;
	uint64_t count;
	double le;			/* Of a bucket. */
};

struct element_list {
	struct element_item * first;
	struct element_item ** end;	/* Where the next one is linked. */
	size_t count;
	bool present;			/* The body has it, perhaps empty. */
};

/* A sample of an impact metric. */
struct element_sample {
	struct element_sample * next;
	struct text labels;		/* As in Prometheus's text. */
	struct text environment;	/* Its label of that name. */
	struct element_list bounds;	/* le and count. */
	double value;
	double sum;
	uint64_t count;
	bool null[ALTERNATIVE_COUNT];	/* A number of it was null. */
	bool has_le;			/* It has a label le of its own. */
	bool crowded;			/* It has too many labels. */
	size_t left_out;		/* Labels that cannot be named. */
};

/* Why a value is not accepted; both texts are static. */
struct element_problem {
	enum fault_code code;
	enum fault_limit limit;		/* The limit that it exceeds, if any. */
	const char * what;		/* Follows its name: "must be ...". */
	const char * why;		/* More, or NULL. */
};

/* The most texts to borrow from the current piece of the body instead of
 * copying them. */
#define ELEMENT_BORROWED_MAX 64

struct element {
	struct arena * scratch;
	struct tally * tally;
	const struct element_settings * settings;

	struct text text[SLOT_COUNT];
	struct element_list list[LIST_COUNT];
	uint64_t count[COUNT_COUNT];
	struct text key;		/* The latest name in a map. */
	int64_t timestamp;

	/* An SDK's metrics: members that can be anywhere in the body, and
	 * count when it has ended. */
	struct text report[SLOT_COUNT];
	struct tally_node * bucket;	/* Without a place; NULL: no counts. */
	int64_t start;
	bool started;			/* The start is known. */

	size_t entries;			/* Items and samples of the element. */

	enum tally_type type;		/* Of an impact metric, */
	enum schema_alternative alternative;	/* EITHER: not known yet. */
	struct element_sample * first_sample;
	struct element_sample ** samples_end;
	struct element_sample * sample;
	struct element_list labels;	/* Of the sample being read. */
	size_t borrowed_before;		/* When that began. */
	struct text bound;		/* Of the bucket being read, */
	double le;			/* and its number. */
	struct element_memo * memo;	/* Of impact metrics, or NULL. */

	const char * piece;		/* Of the body, or NULL, */
	size_t piece_length;
	struct text * borrowed[ELEMENT_BORROWED_MAX];	/* the texts that we */
	size_t borrowed_count;				/* of it. */
	struct element_problem problem;	/* Of what was not taken. */
	struct date_memo date;
};

/**
 * element_create(arena, scratch, settings, tally):
 * Return an element reader in ${arena} that counts in ${tally}.  It resets
 * ${scratch} with each element.  The caller keeps everything but the reader.
 */
struct element * element_create(struct arena * arena, struct arena * scratch,
    const struct element_settings * settings, struct tally * tally);

/**
 * element_piece(element, text, length):
 * element_piece_done(element):
 * Begin and end a piece of the body, the next ${length} bytes: texts in it stay
 * where they are until the piece is done.
 */
void element_piece(struct element * element, const char * text,
    size_t length);
void element_piece_done(struct element * element);

/**
 * element_begin(context, meaning):
 * Begin an object or array that means ${meaning}; ${context} is an element.
 */
json_begin element_begin;

/**
 * element_take_name(context, rule, text, length):
 * Take the name of the next value in a map, which has ${rule}; ${context} is an
 * element.  Return false, with the problem in it, if the name is not
 * acceptable.
 */
json_take_name element_take_name;

/* The functions that take a value, by its rule's use.  Their context is an
 * element; they return false, with the problem in it, if the value is not
 * acceptable. */
extern json_take * const element_takes[];

/**
 * element_end(context, meaning):
 * End an object that has all its members, and count it.  Return false, with the
 * problem in the element, if it cannot be counted.
 */
json_end element_end;

/* For element_*.c, each of which counts one kind of element. */

/**
 * element_problem(element, code, what, why):
 * Record the problem in ${element} and return false.
 */
bool element_problem(struct element * element, enum fault_code code,
    const char * what, const char * why);

/**
 * element_beyond(element, code, limit, what):
 * Record in ${element} that ${what} exceeds a limit, and return false.
 */
bool element_beyond(struct element * element, enum fault_code code,
    enum fault_limit limit, const char * what);

/**
 * element_append(element, list):
 * Append an empty item to a list and return it.
 */
struct element_item * element_append(struct element * element,
    struct element_list * list);

/**
 * element_share(element, kept, from):
 * Keep a text of the element in a second place, too.
 */
void element_share(struct element * element, struct text * kept,
    const struct text * from);

/**
 * element_within_limits(element):
 * Return whether neither the tally's counters nor the entries of the element
 * exceed their limit, nor the memory that both take; otherwise record the
 * problem.
 */
bool element_within_limits(struct element * element);

/**
 * element_has_room(element, size):
 * Return whether the element can take ${size} more bytes of memory; otherwise
 * record the problem.
 */
bool element_has_room(struct element * element, size_t size);

/**
 * element_may_report(element, environment):
 * Return whether the token covers this environment; if not, count the entry
 * as dropped.
 */
bool element_may_report(struct element * element,
    const struct text * environment);

/**
 * element_clear(element):
 * Clear the texts and lists of the previous element.
 */
void element_clear(struct element * element);

/**
 * element_take_report(context, rule, type, text, length):
 * element_take_start(context, rule, type, text, length):
 * Take a member of an SDK's metrics, or the start of their bucket; see
 * element_takes.
 */
json_take element_take_report;
json_take element_take_start;

/**
 * element_toggle_count(element):
 * element_report_count(element):
 * Count a toggle of an SDK's metrics, and all of them when the body has ended.
 */
bool element_toggle_count(struct element * element);
bool element_report_count(struct element * element);

/**
 * element_has_counts(element):
 * Return whether a metric or toggle counts anything.
 */
bool element_has_counts(const struct element * element);

/**
 * element_period(element, instant):
 * Return the period of the bucket that an instant belongs to.
 */
int64_t element_period(const struct element * element, int64_t instant);

/**
 * element_feature_count(element, feature):
 * Add yes, no and variants of the element to a feature.
 */
bool element_feature_count(struct element * element,
    struct tally_node * feature);

/**
 * element_metric_count(element):
 * Count a metric.
 */
bool element_metric_count(struct element * element);

/**
 * element_application_count(element):
 * Count an application: its registration as JSON.
 */
bool element_application_count(struct element * element);

/**
 * element_take_number_text(element, kept, text, length):
 * Keep the canonical text of a number.
 */
bool element_take_number_text(struct element * element, struct text * kept,
    const char * text, size_t length);

/**
 * element_impact_take_bound(context, rule, type, text, length):
 * element_impact_take_type(context, rule, type, text, length):
 * Take a bucket's bound, or the type of an impact metric; see element_takes.
 */
json_take element_impact_take_bound;
json_take element_impact_take_type;

/**
 * element_impact_begin(element):
 * Begin an impact metric.
 */
void element_impact_begin(struct element * element);

/**
 * element_impact_sample_begin(element):
 * element_impact_sample_end(element):
 * element_impact_bucket_end(element):
 * Begin and end a sample, and end a bucket of one.
 */
void element_impact_sample_begin(struct element * element);
void element_impact_sample_end(struct element * element);
void element_impact_bucket_end(struct element * element);

/**
 * element_impact_count(element):
 * Count an impact metric with all its samples.
 */
bool element_impact_count(struct element * element);

#endif
