#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/number.h"
#include "lib/body/element.h"
#include "lib/body/prometheus.h"
#include "lib/tally/tally_drop.h"

/* A bucket of a histogram's sample. */
struct bucket {
	double le;
	const struct element_item * item;
};

bool
element_impact_take_type(struct element * element,
    const struct json_rule * rule, unsigned int type, const char * text,
    size_t length,
    struct element_problem * problem)
{
	struct text name = { text, length };

	(void)rule;
	(void)type;
	element->alternative = NUMERIC;
	if (text_is(&name, "counter"))
		element->type = TALLY_COUNTER;
	else if (text_is(&name, "gauge"))
		element->type = TALLY_GAUGE;
	else if (text_is(&name, "histogram")) {
		element->type = TALLY_HISTOGRAM;
		element->alternative = HISTOGRAM;
	} else
		return (element_problem(problem, FAULT_INVALID, "must be "
		    "\"counter\", \"gauge\" or \"histogram\"", NULL));
	return (true);
}

void
element_impact_sample_begin(struct element * element)
{
	struct element_sample * sample = arena_take(element->scratch,
	    sizeof(*sample));

	memset(sample, 0, sizeof(*sample));
	sample->bounds.end = &sample->bounds.first;
	*element->samples_end = sample;
	element->samples_end = &sample->next;
	element->sample = sample;
	element->entries++;
}

void
element_impact_bucket_end(struct element * element)
{
	struct element_item * item = element_append(element,
	    &element->sample->bounds);

	item->name = element->bound;
	item->count = element->count[COUNT_BUCKET];
}

void
element_impact_sample_end(struct element * element)
{
	struct element_sample * sample = element->sample;
	const struct element_item * item;
	size_t count = element->labels.count;
	struct prometheus_label * labels = arena_take(element->scratch,
	    count * sizeof(*labels) + 1);
	size_t i = 0;

	sample->count = element->count[COUNT_SAMPLE];
	for (item = element->labels.first; item != NULL; item = item->next) {
		if (text_is(&item->name, "environment"))
			element_share(element, &sample->environment,
			    &item->value);
		labels[i].name = item->name.bytes;
		labels[i].name_length = item->name.length;
		labels[i].value = item->value.bytes;
		labels[i++].value_length = item->value.length;
	}
	sample->labels.bytes = prometheus_labels(element->scratch, labels,
	    count, &sample->labels.length, &sample->left_out);
	sample->has_le = prometheus_has_label(labels, count, "le");
}

/* The environment under which a sample counts. */
static struct text
sample_environment(const struct element * element,
    const struct element_sample * sample)
{

	if (!element->settings->any_environment)
		return (element->settings->environment);
	if (sample->environment.length > 0)
		return (sample->environment);
	return (element->settings->environment);
}

static bool
add_count(uint64_t * counter, uint64_t count,
    struct element_problem * problem)
{

	if (count > NUMBER_COUNT_MAX - *counter)
		return (element_problem(problem, FAULT_OVERFLOW, "makes a sum "
		    "of counts exceed 9007199254740991", NULL));
	*counter += count;
	return (true);
}

/* Add to a sum that must stay finite. */
static bool
add_double(double * sum, double number, struct element_problem * problem)
{

	if (!isfinite(*sum + number))
		return (element_problem(problem, FAULT_OVERFLOW,
		    "makes a sum too large for a double", NULL));
	*sum += number;
	return (true);
}

static int
order_buckets(const void * a, const void * b)
{
	const struct bucket * x = a, * y = b;

	return ((x->le > y->le) - (x->le < y->le));
}

/* Return the sample's buckets by their bounds, without that of +Inf: it would
 * hold all observations, and these are counted already. */
static struct bucket *
sort_buckets(struct element * element, const struct element_sample * sample,
    size_t * count)
{
	struct bucket * buckets = arena_take(element->scratch,
	    sample->bounds.count * sizeof(*buckets) + 1);
	const struct element_item * item = sample->bounds.first;

	for (*count = 0; item != NULL; item = item->next) {
		if (text_is(&item->name, "+Inf"))
			continue;
		buckets[*count].item = item;
		number_double(item->name.bytes, item->name.length,
		    &buckets[(*count)++].le);
	}
	qsort(buckets, *count, sizeof(*buckets), order_buckets);
	return (buckets);
}

/*
 * Count for each bound the observations that are beyond the sample's next lower
 * one: these may be added up whatever bounds other samples have.  A sample may
 * be at odds with itself, as when it was taken while its sender counted.  So a
 * bucket holds at least as many as any lower one, and at most as many as there
 * are observations.
 */
static void
add_buckets(struct element * element, struct tally_node * series,
    const struct element_sample * sample)
{
	size_t count, i;
	struct bucket * buckets = sort_buckets(element, sample, &count);
	uint64_t reached = 0;

	for (i = 0; i < count; i++) {
		struct tally_node * bound = tally_bound(element->tally,
		    series, &buckets[i].item->name);
		uint64_t below = buckets[i].item->count < sample->count ?
		    buckets[i].item->count : sample->count;

		if (below > reached) {
			bound->count += below - reached;
			reached = below;
		}
	}
}

static bool
add_histogram(struct element * element, struct tally_node * series,
    const struct element_sample * sample, struct element_problem * problem)
{

	if (!add_double(&series->value, sample->sum, problem) ||
	    !add_count(&series->count, sample->count, problem))
		return (false);
	add_buckets(element, series, sample);
	return (true);
}

static bool
count_sample(struct element * element, const struct text * name,
    const struct element_sample * sample, struct element_problem * problem)
{
	struct text environment = sample_environment(element, sample);
	struct tally_node * metric, * series;

	metric = tally_metric(element->tally, &environment, element->type,
	    name, &element->text[SLOT_HELP]);
	series = tally_series(element->tally, metric, &sample->labels);
	if (element->type == TALLY_GAUGE)
		tally_set_gauge(element->tally, series, sample->value);
	else if (element->type == TALLY_COUNTER) {
		if (!add_double(&series->value, sample->value, problem))
			return (false);
	} else if (!add_histogram(element, series, sample, problem))
		return (false);
	return (element_within_limits(element, problem));
}

/* Record that a part of a metric is dropped. */
static void
drop_part(struct element * element, enum tally_drop drop, const char * part,
    const struct text * metric, size_t count)
{
	char name[512];
	int length = snprintf(name, sizeof(name), "a %s of %.*s", part,
	    (int)(metric->length < 400 ? metric->length : 400),
	    metric->bytes);

	element->tally->dropped[drop] += count;
	tally_drop_log(drop, name, (size_t)length, count);
}

/* Return whether a sample counts; if not, record that it is dropped. */
static bool
sample_counts(struct element * element, const struct text * metric,
    const struct element_sample * sample)
{
	enum tally_drop drop;

	if (sample->left_out > 0)
		drop_part(element, DROP_NAME, "label", metric,
		    sample->left_out);
	if (sample->crowded ||
	    sample->labels.length > 4 * element->settings->limit_name)
		drop = DROP_LABELS;
	else if (sample->null[element->alternative])
		drop = DROP_NULL;
	else if (element->alternative == HISTOGRAM && sample->has_le)
		drop = DROP_NAME;
	else if (element->type == TALLY_COUNTER && sample->value < 0)
		drop = DROP_INVALID;
	else
		return (true);
	drop_part(element, drop, "sample", metric, 1);
	return (false);
}

/* Of a gauge's samples with the same labels the first one counts: Edge sends
 * the latest one first.  So they are set in reverse order. */
static void
reverse_samples(struct element * element)
{
	struct element_sample * sample = element->first_sample;
	struct element_sample * reversed = NULL;

	while (sample != NULL) {
		struct element_sample * next = sample->next;

		sample->next = reversed;
		reversed = sample;
		sample = next;
	}
	element->first_sample = reversed;
}

/*
 * An SDK sends a zero without labels for each metric of which nothing has
 * happened since its last post.  It adds nothing to a counter or histogram that
 * exists, and must not create a series that does not.  What it measures has at
 * least the label appName, so a gauge without labels is no measurement.
 */
static bool
is_idle(const struct element * element, const struct element_sample * sample)
{

	if (!element->settings->skip_zeros)
		return (false);
	if (element->type == TALLY_HISTOGRAM)
		return (sample->count == 0 && sample->sum == 0);
	return (sample->value == 0 && (element->type == TALLY_COUNTER ||
	    sample->labels.length == 0));
}

bool
element_impact_count(struct element * element, struct element_problem * problem)
{
	const struct text * text = &element->text[SLOT_NAME];
	const struct element_sample * sample;
	char * bytes = arena_take(element->scratch, text->length + 1);
	struct text name = { bytes, 0 };

	name.length = prometheus_name(bytes, text->bytes, text->length);
	if (name.length == 0) {
		element->tally->dropped[DROP_NAME]++;
		tally_drop_log(DROP_NAME, text->bytes, text->length, 1);
		return (true);
	}
	if (element->type == TALLY_GAUGE)
		reverse_samples(element);
	for (sample = element->first_sample; sample != NULL;
	    sample = sample->next)
		if (!is_idle(element, sample) &&
		    sample_counts(element, &name, sample) &&
		    !count_sample(element, &name, sample, problem))
			return (false);
	return (true);
}
