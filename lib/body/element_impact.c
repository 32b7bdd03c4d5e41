#include <math.h>
#include <string.h>

#include "lib/base/number.h"
#include "lib/body/element.h"
#include "lib/body/prometheus.h"

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
	if (sample->environment.bytes != NULL)
		return (sample->environment);
	return (text_of("default"));
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

static bool
add_histogram(struct element * element, struct tally_node * series,
    const struct element_sample * sample, struct element_problem * problem)
{
	const struct element_item * item = sample->bounds.first;

	series->value += sample->sum;
	if (!add_count(&series->count, sample->count, problem))
		return (false);
	for (; item != NULL; item = item->next) {
		struct tally_node * bound = tally_bound(element->tally,
		    series, &item->name);

		if (!add_count(&bound->count, item->count, problem))
			return (false);
	}
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
	else if (element->type == TALLY_COUNTER)
		series->value += sample->value;
	else if (!add_histogram(element, series, sample, problem))
		return (false);
	if (!isfinite(series->value))
		return (element_problem(problem, FAULT_OVERFLOW,
		    "makes a sum too large for a double", NULL));
	return (element_within_limits(element, problem));
}

bool
element_impact_count(struct element * element, struct element_problem * problem)
{
	const struct text * text = &element->text[SLOT_NAME];
	const struct element_sample * sample = element->first_sample;
	char * bytes = arena_take(element->scratch, text->length + 1);
	struct text name = { bytes, 0 };

	name.length = prometheus_name(bytes, text->bytes, text->length);
	if (name.length == 0) {
		element->tally->dropped[DROP_NAME]++;
		return (true);
	}
	for (; sample != NULL; sample = sample->next) {
		element->tally->dropped[DROP_NAME] += sample->left_out;
		if (sample->crowded ||
		    sample->labels.length > 4 * element->settings->limit_name)
			element->tally->dropped[DROP_LABELS]++;
		else if (sample->null[element->alternative])
			element->tally->dropped[DROP_NULL]++;
		else if (element->alternative == HISTOGRAM && sample->has_le)
			element->tally->dropped[DROP_NAME]++;
		else if (!count_sample(element, &name, sample, problem))
			return (false);
	}
	return (true);
}
