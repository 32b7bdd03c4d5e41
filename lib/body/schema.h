#ifndef FLAGTALLY_SCHEMA_H
#define FLAGTALLY_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/json/json_rule.h"

/*
 * The schemas of bodies as data: which values are allowed where.  element.c
 * interprets values, once they have the right type.
 */

/* How element.c takes a value: the index into element_takes. */
enum schema_use {
	USE_NOTHING,		/* It only has to be of the right type. */
	USE_TEXT,		/* Keep it in the rule's slot. */
	USE_COUNT,		/* Likewise, an integer in 0..2^53-1. */
	USE_INTEGER,		/* Likewise, any integer, as its text. */
	USE_DATE_TEXT,		/* Likewise, a date-time, as its text. */
	USE_TIMESTAMP,		/* A metric's date-time. */
	USE_SDK_TYPE,		/* frontend or backend. */
	USE_IMPACT_TYPE,	/* counter, gauge or histogram. */
	USE_VARIANT,		/* The count of the variant named by the key. */
	USE_LABEL,		/* The value of the label named by the key. */
	USE_LIST_ITEM,		/* A string in the slot's list. */
	USE_NUMBER,		/* A sample's value or sum, or null. */
	USE_BOUND,		/* A bucket's le, or null. */
	USE_TOKEN,		/* A token that was seen. */
	USE_REPORT,		/* Keep it in the slot until the body ends. */
	USE_START,		/* When an SDK's bucket began. */
};

/* Where the text of a member is kept while its element is read. */
enum schema_slot {
	/* Of metrics and applications. */
	SLOT_APP_NAME,
	SLOT_ENVIRONMENT,
	SLOT_FEATURE_NAME,
	SLOT_METRIC_COUNT,		/* Slots that a metric uses. */
	SLOT_INSTANCE_ID = SLOT_METRIC_COUNT,
	SLOT_CONNECTION_ID,
	SLOT_INTERVAL,
	SLOT_STARTED,
	SLOT_SDK_VERSION,
	SLOT_SDK_TYPE,
	SLOT_SDK_FLAVOR,
	SLOT_SDK_FLAVOR_VERSION,
	SLOT_YGGDRASIL_VERSION,
	SLOT_PLATFORM_NAME,
	SLOT_PLATFORM_VERSION,
	SLOT_SPEC_VERSION,
	/* Of impact metrics. */
	SLOT_NAME,
	SLOT_HELP,
	/* Of the items of connectVia. */
	SLOT_VIA_APP_NAME,
	SLOT_VIA_INSTANCE_ID,
	SLOT_COUNT,
};

/* Lists of an element, and the counts of metrics, samples and buckets. */
enum schema_list {
	LIST_VARIANTS,
	LIST_METRIC_COUNT,		/* Lists that a metric uses. */
	LIST_STRATEGIES = LIST_METRIC_COUNT,
	LIST_PROJECTS,
	LIST_CONNECT_VIA,
	LIST_COUNT,
};

enum schema_count {
	COUNT_YES,
	COUNT_NO,
	COUNT_SAMPLE,
	COUNT_BUCKET,
	COUNT_COUNT,
};

/*
 * A sample is either of a counter or gauge, or of a histogram; until its
 * metric's type is known it can be both.
 */
enum schema_alternative {
	EITHER,
	NUMERIC,
	HISTOGRAM,
	ALTERNATIVE_COUNT,
};

/* The meaning of an object or array, for element_begin and element_end. */
enum schema_meaning {
	MEANS_NOTHING,
	MEANS_APPLICATION,
	MEANS_METRIC,
	MEANS_IMPACT,
	MEANS_SAMPLE,
	MEANS_BUCKET,
	MEANS_VIA,
	MEANS_STRATEGIES,
	MEANS_PROJECTS,
	MEANS_CONNECT_VIA,
	MEANS_TOGGLE,
	MEANS_REPORT,
};

/*
 * The rules of whole bodies: of Edge to client/metrics/bulk
 * (BatchMetricsRequestBody), and of SDKs to client/metrics and
 * frontend/client/metrics, and to client/register and frontend/client/register.
 */
extern const struct json_rule schema_bulk;
extern const struct json_rule schema_report;
extern const struct json_rule schema_register;

/* The rule of an ignored value. */
extern const struct json_rule schema_ignored;
extern const struct json_shape schema_any;

/*
 * The shapes of a sample.  Before the type of its metric is known (EITHER) it
 * can have the members of both alternatives, and required ones are checked
 * later (schema_sample_required).
 */
extern const struct json_shape schema_sample[ALTERNATIVE_COUNT];

/* Members that a sample must have, for each alternative. */
extern const uint32_t schema_sample_required[ALTERNATIVE_COUNT];

/**
 * schema_member(shape, name, length):
 * Return the index of the member of an object's shape with that name, or
 * shape->count if it has none.
 */
unsigned int schema_member(const struct json_shape * shape,
    const char * name, size_t length);

/**
 * schema_expected(rule):
 * Return what a rule accepts as a static text ("a string or null").
 */
const char * schema_expected(const struct json_rule * rule);

#endif
