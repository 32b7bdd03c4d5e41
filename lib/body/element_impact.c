#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/number.h"
#include "lib/body/element.h"
#include "lib/body/prometheus.h"
#include "lib/tally/tally_drop.h"

/*
 * Samples of one application have the same labels in one metric after another,
 * and histograms the same bounds.  So a body caches some label sets as they
 * arrived, with the resulting text, and the bounds of one histogram.  A place
 * is not reused while a sample of the current metric uses its text.
 */
#define MEMO_LABELS 32
#define MEMO_BYTES 384
#define MEMO_PAIRS 8
#define MEMO_BOUNDS 24
#define MEMO_RAW 24

struct memo_labels {
	uint64_t metric;		/* Latest to use it; 0: it is free. */
	size_t count;
	struct prometheus_label raw[MEMO_PAIRS];
	struct text labels;
	struct text environment;
	size_t left_out;
	bool has_le;
	char bytes[MEMO_BYTES];		/* Of all these texts. */
};

struct memo_bound {
	uint64_t metric;
	size_t raw_length;
	char raw[MEMO_RAW];
	struct text text;
	char bytes[NUMBER_TEXT_MAX];
	double le;
};

struct element_memo {
	uint64_t metric;		/* The current one's number, from 2. */
	struct memo_labels labels[MEMO_LABELS];
	struct memo_bound bounds[MEMO_BOUNDS];
};

void
element_impact_begin(struct element * element)
{

	element->alternative = EITHER;
	element->first_sample = NULL;
	element->samples_end = &element->first_sample;
	if (element->memo == NULL) {
		element->memo = arena_take(element->tally->arena,
		    sizeof(*element->memo));
		memset(element->memo, 0, sizeof(*element->memo));
		element->memo->metric = 1;
	}
	element->memo->metric++;
}

bool
element_impact_take_type(void * context, const struct json_rule * rule,
    unsigned int type, const char * text, size_t length)
{
	struct element * element = context;
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
		return (element_problem(element, FAULT_INVALID, "must be "
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
	element->borrowed_before = element->borrowed_count;
}

static bool
read_bound(struct element * element, const char * text, size_t length)
{

	return (number_double(text, length, &element->le) ?
	    element_take_number_text(element, &element->bound, text, length) :
	    element_problem(element, FAULT_INVALID,
	    "is too large for a double", NULL));
}

/* Take a bound that is a number, which is mostly that of the bucket with the
 * same place in the sample before. */
static bool
take_finite(struct element * element, const char * text, size_t length)
{
	size_t place = element->sample->bounds.count;
	struct memo_bound * memo;

	if (place >= MEMO_BOUNDS || length > MEMO_RAW)
		return (read_bound(element, text, length));
	memo = &element->memo->bounds[place];
	if (memo->raw_length == length &&
	    text_same(memo->raw, text, length)) {
		element->bound = memo->text;
		element->le = memo->le;
		memo->metric = element->memo->metric;
		return (true);
	}
	if (!read_bound(element, text, length))
		return (false);
	if (memo->metric == element->memo->metric)
		return (true);
	memcpy(memo->raw, text, length);
	memo->raw_length = length;
	memcpy(memo->bytes, element->bound.bytes, element->bound.length);
	memo->text.bytes = memo->bytes;
	memo->text.length = element->bound.length;
	memo->le = element->le;
	return (true);
}

bool
element_impact_take_bound(void * context, const struct json_rule * rule,
    unsigned int type, const char * text, size_t length)
{
	struct element * element = context;
	struct text bound = { text, length };

	(void)rule;
	if (type == JSON_NUMBER)
		return (take_finite(element, text, length));
	if (type == JSON_NULL)
		element->sample->null[HISTOGRAM] = true;
	else if (!text_is(&bound, "+Inf"))
		return (element_problem(element, FAULT_INVALID,
		    "must be a number or \"+Inf\"", NULL));
	element->bound = text_of("+Inf");
	element->le = INFINITY;
	return (true);
}

void
element_impact_bucket_end(struct element * element)
{
	struct element_item * item = element_append(element,
	    &element->sample->bounds);

	item->name = element->bound;
	item->le = element->le;
	item->count = element->count[COUNT_BUCKET];
}

/* The last four bytes of a text as a number, or all of fewer. */
static uint32_t
tail_of(const struct text * text)
{
	size_t i = text->length < 4 ? 0 : text->length - 4;
	uint32_t tail = 0;

	for (; i < text->length; i++)
		tail = tail << 8 | (unsigned char)text->bytes[i];
	return (tail);
}

/* Return where the labels of a sample are remembered, if they are.  Label sets
 * differ in their values, and these at their ends, mostly. */
static struct memo_labels *
memo_place(const struct element * element)
{
	const struct element_item * item = element->labels.first;
	uint32_t hash = 0;

	for (; item != NULL; item = item->next)
		hash = (hash ^ tail_of(&item->value)) * 0x9e3779b1u;
	return (&element->memo->labels[hash >> 16 & (MEMO_LABELS - 1)]);
}

static bool
same_text(const char * kept, size_t length, const struct text * text)
{

	return (length == text->length &&
	    text_same(kept, text->bytes, length));
}

static bool
is_remembered(const struct element * element, const struct memo_labels * memo)
{
	const struct prometheus_label * raw = memo->raw;
	const struct element_item * item = element->labels.first;

	if (memo->metric == 0 || memo->count != element->labels.count)
		return (false);
	for (; item != NULL; item = item->next, raw++)
		if (!same_text(raw->value, raw->value_length, &item->value) ||
		    !same_text(raw->name, raw->name_length, &item->name))
			return (false);
	return (true);
}

static const char *
memo_text(char ** end, const char * bytes, size_t length)
{
	char * text = *end;

	if (length > 0)
		memcpy(text, bytes, length);
	*end += length;
	return (text);
}

static void
remember(const struct element * element, struct memo_labels * memo)
{
	const struct element_sample * sample = element->sample;
	const struct element_item * item = element->labels.first;
	struct prometheus_label * raw = memo->raw;
	size_t size = sample->labels.length + sample->environment.length;
	char * end = memo->bytes;

	for (; item != NULL; item = item->next)
		size += item->name.length + item->value.length;
	if (memo->metric == element->memo->metric || size > MEMO_BYTES ||
	    element->labels.count > MEMO_PAIRS)
		return;
	for (item = element->labels.first; item != NULL; item = item->next) {
		raw->name = memo_text(&end, item->name.bytes,
		    item->name.length);
		raw->name_length = item->name.length;
		raw->value = memo_text(&end, item->value.bytes,
		    item->value.length);
		raw++->value_length = item->value.length;
	}
	memo->labels.bytes = memo_text(&end, sample->labels.bytes,
	    sample->labels.length);
	memo->labels.length = sample->labels.length;
	memo->environment.bytes = sample->environment.bytes == NULL ? NULL :
	    memo_text(&end, sample->environment.bytes,
	    sample->environment.length);
	memo->environment.length = sample->environment.length;
	memo->left_out = sample->left_out;
	memo->has_le = sample->has_le;
	memo->count = element->labels.count;
	/* No sample of the current metric uses it yet. */
	memo->metric = element->memo->metric - 1;
}

/* Make the labels of a sample those of Prometheus. */
static void
name_labels_of(struct element * element)
{
	struct element_sample * sample = element->sample;
	const struct element_item * item;
	size_t count = element->labels.count;
	struct prometheus_label * labels = arena_take(element->scratch,
	    count * sizeof(*labels) + 1);
	size_t i = 0;

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

void
element_impact_sample_end(struct element * element)
{
	struct element_sample * sample = element->sample;
	struct memo_labels * memo = memo_place(element);

	sample->count = element->count[COUNT_SAMPLE];
	if (is_remembered(element, memo)) {
		sample->labels = memo->labels;
		sample->environment = memo->environment;
		sample->left_out = memo->left_out;
		sample->has_le = memo->has_le;
		memo->metric = element->memo->metric;
		/* The sample's own texts are needed no longer. */
		if (element->borrowed_count > element->borrowed_before)
			element->borrowed_count = element->borrowed_before;
	} else {
		name_labels_of(element);
		remember(element, memo);
	}
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
add_to_count(struct element * element, uint64_t * counter, uint64_t count)
{

	if (count > NUMBER_COUNT_MAX - *counter)
		return (element_problem(element, FAULT_OVERFLOW, "makes a sum "
		    "of counts exceed 9007199254740991", NULL));
	*counter += count;
	return (true);
}

/* Add to a sum that must stay finite. */
static bool
add_to_sum(struct element * element, double * sum, double number)
{

	if (!isfinite(*sum + number))
		return (element_problem(element, FAULT_OVERFLOW,
		    "makes a sum too large for a double", NULL));
	*sum += number;
	return (true);
}

static int
order_buckets(const void * a, const void * b)
{
	const struct element_item * const * x = a, * const * y = b;

	return (((*x)->le > (*y)->le) - ((*x)->le < (*y)->le));
}

/* Return the sample's buckets, sorted by bounds, without +Inf, which counts
 * all observations. */
static const struct element_item **
sort_buckets(struct element * element, const struct element_sample * sample,
    size_t * count)
{
	const struct element_item ** buckets = arena_take(element->scratch,
	    sample->bounds.count * sizeof(*buckets) + 1);
	const struct element_item * item = sample->bounds.first;
	bool sorted = true;

	for (*count = 0; item != NULL; item = item->next) {
		if (isinf(item->le))
			continue;
		sorted = sorted && (*count == 0 ||
		    buckets[*count - 1]->le <= item->le);
		buckets[(*count)++] = item;
	}
	if (!sorted)
		qsort(buckets, *count, sizeof(*buckets), order_buckets);
	return (buckets);
}

/*
 * Count for each bound the observations above the sample's next lower bound:
 * these can be added up whatever bounds other samples have.  A sample can
 * contradict itself, if its sender counted while it took the sample.  So a
 * bucket is taken to hold at least as many as any lower one, and at most as
 * many as there are observations.
 */
static void
add_buckets(struct element * element, struct tally_node * series,
    const struct element_sample * sample)
{
	size_t count, i;
	const struct element_item ** buckets = sort_buckets(element, sample,
	    &count);
	uint64_t reached = 0;

	for (i = 0; i < count; i++) {
		struct tally_node * bound = tally_bound(element->tally,
		    series, &buckets[i]->name);
		uint64_t below = buckets[i]->count < sample->count ?
		    buckets[i]->count : sample->count;

		if (below > reached) {
			bound->count += below - reached;
			reached = below;
		}
	}
}

static bool
add_histogram(struct element * element, struct tally_node * series,
    const struct element_sample * sample)
{

	if (!add_to_sum(element, &series->value, sample->sum) ||
	    !add_to_count(element, &series->count, sample->count))
		return (false);
	add_buckets(element, series, sample);
	return (true);
}

/* Return the metric that a sample is of; ${latest} is that of the sample before
 * or NULL. */
static struct tally_node *
sample_metric(struct element * element, const struct text * name,
    const struct element_sample * sample, struct tally_node * latest)
{
	struct text environment = sample_environment(element, sample);

	if (latest != NULL && same_text(latest->parent->name,
	    latest->parent->length, &environment))
		return (latest);
	return (tally_metric(element->tally, &environment, element->type,
	    name, &element->text[SLOT_HELP]));
}

static bool
count_sample(struct element * element, struct tally_node * metric,
    const struct element_sample * sample)
{
	struct tally_node * series = tally_series(element->tally, metric,
	    &sample->labels);

	if (element->type == TALLY_GAUGE)
		tally_set_gauge(element->tally, series, sample->value);
	else if (element->type == TALLY_COUNTER) {
		if (!add_to_sum(element, &series->value, sample->value))
			return (false);
	} else if (!add_histogram(element, series, sample))
		return (false);
	return (element_within_limits(element));
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
 * An SDK sends a zero without labels for each metric without events since its
 * last post.  That adds nothing to an existing counter or histogram, and must
 * not create a series.  A real measurement has at least the label appName, so a
 * gauge without labels is none.
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
element_impact_count(struct element * element)
{
	const struct text * text = &element->text[SLOT_NAME];
	const struct element_sample * sample;
	struct tally_node * metric = NULL;
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
	    sample = sample->next) {
		if (is_idle(element, sample) ||
		    !sample_counts(element, &name, sample))
			continue;
		metric = sample_metric(element, &name, sample, metric);
		if (!count_sample(element, metric, sample))
			return (false);
	}
	return (true);
}
