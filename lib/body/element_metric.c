#include "lib/base/date.h"
#include "lib/body/element.h"

bool
element_has_counts(const struct element * element)
{

	return (element->count[COUNT_YES] > 0 || element->count[COUNT_NO] > 0 ||
	    element->list[LIST_VARIANTS].count > 0);
}

int64_t
element_period(const struct element * element, int64_t instant)
{

	return (element->settings->by_hour ? date_hour(instant) :
	    date_day(instant));
}

/* A part of the element may be counted already: reject the whole body. */
static bool
overflow(struct element * element)
{

	return (element_problem(element, FAULT_OVERFLOW,
	    "makes a sum of counts exceed 9007199254740991", NULL));
}

static bool
count_variants(struct element * element, struct tally_node * feature)
{
	const struct element_item * item = element->list[LIST_VARIANTS].first;

	for (; item != NULL; item = item->next) {
		struct tally_node * variant = tally_child(element->tally,
		    feature, TALLY_VARIANT, item->name.bytes,
		    item->name.length);

		if (!tally_add(element->tally, &variant->count, item->count))
			return (overflow(element));
	}
	return (true);
}

bool
element_feature_count(struct element * element, struct tally_node * feature)
{

	if (!tally_add(element->tally, &feature->yes,
	    element->count[COUNT_YES]) ||
	    !tally_add(element->tally, &feature->no,
	    element->count[COUNT_NO]))
		return (overflow(element));
	return (count_variants(element, feature) &&
	    element_within_limits(element));
}

bool
element_metric_count(struct element * element)
{
	const struct text * text = element->text;
	struct tally_node * feature;
	int64_t period;

	if (!element_may_report(element, &text[SLOT_ENVIRONMENT]))
		return (true);
	if (!element_has_counts(element))
		return (true);
	period = element_period(element, element->timestamp);
	feature = tally_feature(element->tally, &text[SLOT_ENVIRONMENT],
	    &text[SLOT_APP_NAME], period, &text[SLOT_FEATURE_NAME]);
	return (element_feature_count(element, feature));
}
