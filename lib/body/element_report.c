#include <string.h>

#include "lib/base/date.h"
#include "lib/base/number.h"
#include "lib/body/element.h"

/*
 * An SDK's metrics: one application and one bucket, whose members can be in any
 * order.  The JavaScript SDK names the application last, and only the habit of
 * most SDKs puts the start before the toggles.  So toggles are counted in a
 * bucket without a place in the tally, which gets its place when the body has
 * ended: a body takes no more memory than its counters, whatever its order.
 */

/* From here on a number is in milliseconds, and a date of 1973 in those. */
#define MILLISECONDS_FROM 1e11

/* No year beyond 9999, as in a date-time. */
#define SECONDS_MAX 253402300799.0

bool
element_take_report(void * context, const struct json_rule * rule,
    unsigned int type, const char * text, size_t length)
{
	struct element * element = context;
	struct text * kept = &element->report[rule->slot];

	(void)type;
	if (length > element->settings->limit_name)
		return (element_beyond(element, FAULT_INVALID,
		    FAULT_LIMIT_NAME,
		    "is longer than limit_name"));
	kept->bytes = arena_copy(element->tally->arena, text, length);
	kept->length = length;
	return (true);
}

static bool
start_of_number(const char * text, size_t length, int64_t * instant)
{
	double number;

	if (!number_double(text, length, &number) || number < 0)
		return (false);
	if (number >= MILLISECONDS_FROM)
		number /= 1000;
	if (number > SECONDS_MAX)
		return (false);
	*instant = (int64_t)number;
	return (true);
}

/* A date-time without a zone is in UTC, as it is for Unleash. */
static bool
start_without_zone(const char * text, size_t length, int64_t * instant)
{
	char zoned[64];
	const char * why;

	if (length >= sizeof(zoned))
		return (false);
	memcpy(zoned, text, length);
	zoned[length] = 'Z';
	return (date_parse(zoned, length + 1, instant, &why) == 0);
}

bool
element_take_start(void * context, const struct json_rule * rule,
    unsigned int type, const char * text, size_t length)
{
	struct element * element = context;
	const char * why = NULL;

	(void)rule;
	element->started = type == JSON_NUMBER ?
	    start_of_number(text, length, &element->start) :
	    date_parse(text, length, &element->start, &why) == 0 ||
	    start_without_zone(text, length, &element->start);
	return (element->started || element_problem(element, FAULT_INVALID,
	    "is not a date-time of RFC 3339", why));
}

bool
element_toggle_count(struct element * element)
{
	const struct text * name = &element->text[SLOT_FEATURE_NAME];

	if (!element_has_counts(element))
		return (true);
	if (element->bucket == NULL)
		element->bucket = tally_bucket_open(element->tally);
	return (element_feature_count(element, tally_child(element->tally,
	    element->bucket, TALLY_FEATURE, name->bytes, name->length)));
}

/*
 * An SDK in a browser does not register.  Its instance is taken from its
 * metrics and the headers beside them.
 */
static bool
count_instance(struct element * element)
{
	const struct text * sender = element->settings->sender;

	if (!text_is(&sender[SLOT_SDK_TYPE], "frontend") ||
	    sender[SLOT_SDK_VERSION].bytes == NULL ||
	    element->report[SLOT_INSTANCE_ID].bytes == NULL)
		return (true);
	element_clear(element);
	memcpy(element->text, element->report, sizeof(element->report));
	return (element_application_count(element));
}

bool
element_report_count(struct element * element)
{
	const struct text * name = &element->report[SLOT_APP_NAME];
	struct tally_node * application;

	/* An invalid one was left out. */
	if (name->bytes == NULL)
		return (true);
	application = tally_application(element->tally,
	    &element->settings->environment, name);
	if (element->bucket != NULL && element->started)
		tally_bucket_place(element->tally, element->bucket,
		    application, element_period(element, element->start));
	return (count_instance(element));
}
