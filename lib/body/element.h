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
	size_t limit_name;		/* Bytes of a text that is kept. */
	size_t limit_counters;		/* Distinct ones; 0: no limit, as for
					 * all that follow. */
	size_t limit_memory;		/* Bytes that a body may take. */
	size_t limit_labels;		/* Of a sample. */
	size_t limit_list[LIST_COUNT];	/* Of a registration. */
	size_t limit_tokens;		/* That have been seen. */
	size_t limit_registration;	/* Bytes of one as JSON. */
	struct text environment;	/* That the token may report, or under
					 * which what names none counts. */
	bool any_environment;		/* It may report all. */
	bool by_hour;			/* Buckets are hours, else days. */
	bool skip_zeros;		/* Of impact metrics: an SDK is idle. */
	/* What the request says of an SDK beside its body, by slot. */
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
	bool present;			/* It stands in the body, if empty. */
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

/* So many texts of a piece of the body are not copied while it is there. */
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

	/* Of an SDK's metrics: what comes anywhere in the body, and counts
	 * when it has ended. */
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

	const char * piece;		/* What is being read, or NULL, */
	size_t piece_length;
	struct text * borrowed[ELEMENT_BORROWED_MAX];	/* and what we have */
	size_t borrowed_count;				/* of it. */
	struct date_memo date;
};

/* Why a value is not taken; both texts are static. */
struct element_problem {
	enum fault_code code;
	enum fault_limit limit;		/* If it is beyond one. */
	const char * what;		/* Follows its name: "must be ...". */
	const char * why;		/* More, or NULL. */
};

/**
 * element_create(arena, scratch, settings, tally):
 * Return an element reader in ${arena} that counts in ${tally}.  It resets
 * ${scratch} with each element.  All but the reader stay the caller's.
 */
struct element * element_create(struct arena * arena, struct arena * scratch,
    const struct element_settings * settings, struct tally * tally);

/**
 * element_piece(element, text, length):
 * element_piece_done(element):
 * The next ${length} bytes of the body are read: texts that lie among them
 * stay where they are until the piece is done.
 */
void element_piece(struct element * element, const char * text,
    size_t length);
void element_piece_done(struct element * element);

/**
 * element_begin(element, meaning):
 * An object that means ${meaning} begins.
 */
void element_begin(struct element * element, enum schema_meaning meaning);

/**
 * element_key(element, rule, text, length, problem):
 * The name of the next value in a map, which is of ${rule}.  Return false, with
 * the problem, if it is not acceptable.
 */
bool element_key(struct element * element, const struct json_rule * rule,
    const char * text, size_t length, struct element_problem * problem);

/**
 * element_take(element, rule, type, text, length, problem):
 * Take a value of one of the types that ${rule} accepts; ${text} is that of a
 * string or number.  Return false, with the problem, if it is not acceptable.
 */
bool element_take(struct element * element, const struct json_rule * rule,
    unsigned int type, const char * text, size_t length,
    struct element_problem * problem);

/**
 * element_end(element, meaning, problem):
 * The object ends and has all its members: count it.  Return false, with the
 * problem, if it cannot be counted.
 */
bool element_end(struct element * element, enum schema_meaning meaning,
    struct element_problem * problem);

/* For the files that do the work of one kind of element each. */

/**
 * element_problem(problem, code, what, why):
 * Fill in ${problem} and return false.
 */
bool element_problem(struct element_problem * problem, enum fault_code code,
    const char * what, const char * why);

/**
 * element_beyond(problem, code, limit, what):
 * Fill in ${problem}, which is that something is beyond a limit, and return
 * false.
 */
bool element_beyond(struct element_problem * problem, enum fault_code code,
    enum fault_limit limit, const char * what);

/**
 * element_append(element, list):
 * Append an empty item to a list and return it.
 */
struct element_item * element_append(struct element * element,
    struct element_list * list);

/**
 * element_share(element, kept, from):
 * Keep a text that the element keeps already in a second place.
 */
void element_share(struct element * element, struct text * kept,
    const struct text * from);

/**
 * element_within_limits(element, problem):
 * Return whether neither the tally's counters nor the entries of the element
 * exceed their limit, nor the memory that both take; otherwise fill in the
 * problem.
 */
bool element_within_limits(const struct element * element,
    struct element_problem * problem);

/**
 * element_has_room(element, size, problem):
 * Return whether the element may take ${size} bytes of memory; otherwise fill
 * in the problem.
 */
bool element_has_room(const struct element * element, size_t size,
    struct element_problem * problem);

/**
 * element_may_report(element, environment):
 * Return whether the token covers this environment; if not, count the entry
 * as dropped.
 */
bool element_may_report(struct element * element,
    const struct text * environment);

/**
 * element_clear(element):
 * Forget the texts and lists of the element before.
 */
void element_clear(struct element * element);

/**
 * element_take_report(element, rule, type, text, length, problem):
 * element_take_start(element, rule, type, text, length, problem):
 * Take a member of an SDK's metrics, or the start of their bucket; see
 * element_take.
 */
bool element_take_report(struct element * element,
    const struct json_rule * rule, unsigned int type, const char * text,
    size_t length, struct element_problem * problem);
bool element_take_start(struct element * element,
    const struct json_rule * rule, unsigned int type, const char * text,
    size_t length, struct element_problem * problem);

/**
 * element_toggle_count(element, problem):
 * element_report_count(element, problem):
 * Count a toggle of an SDK's metrics, and all of them when the body has ended.
 */
bool element_toggle_count(struct element * element,
    struct element_problem * problem);
bool element_report_count(struct element * element,
    struct element_problem * problem);

/**
 * element_has_counts(element):
 * Return whether a metric or toggle counts anything.
 */
bool element_has_counts(const struct element * element);

/**
 * element_period(element, instant):
 * Return the period of buckets in which an instant is.
 */
int64_t element_period(const struct element * element, int64_t instant);

/**
 * element_feature_count(element, feature, problem):
 * Add yes, no and variants of the element to a feature.
 */
bool element_feature_count(struct element * element,
    struct tally_node * feature, struct element_problem * problem);

/**
 * element_metric_count(element, problem):
 * Count a metric.
 */
bool element_metric_count(struct element * element,
    struct element_problem * problem);

/**
 * element_application_count(element, problem):
 * Count an application: its registration as JSON.
 */
bool element_application_count(struct element * element,
    struct element_problem * problem);

/**
 * element_take_number_text(element, kept, text, length, problem):
 * Keep the canonical text of a number.
 */
bool element_take_number_text(struct element * element, struct text * kept,
    const char * text, size_t length, struct element_problem * problem);

/**
 * element_impact_take_bound(element, rule, type, text, length, problem):
 * Take a bucket's bound; see element_take.
 */
bool element_impact_take_bound(struct element * element,
    const struct json_rule * rule, unsigned int type, const char * text,
    size_t length, struct element_problem * problem);

/**
 * element_impact_begin(element):
 * Begin an impact metric.
 */
void element_impact_begin(struct element * element);

/**
 * element_impact_take_type(element, rule, type, text, length, problem):
 * Take the type of an impact metric; see element_take.
 */
bool element_impact_take_type(struct element * element,
    const struct json_rule * rule, unsigned int type, const char * text,
    size_t length, struct element_problem * problem);

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
 * element_impact_count(element, problem):
 * Count an impact metric with all its samples.
 */
bool element_impact_count(struct element * element,
    struct element_problem * problem);

#endif
