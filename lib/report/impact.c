#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/report/impact.h"

struct impact_collector {
	struct reader * reader;
	struct report_impact * impact;
	size_t room;			/* Of the list. */
	struct text name;		/* NULL bytes: all. */
	struct text * environments;
	size_t environment_count;
};

/* Labels: name="value",name="value" with \\, \" and \n in values. */

/* Return where a label's value, which begins after the quote, ends. */
static size_t
value_end(struct text labels, size_t at)
{

	while (at < labels.length && labels.bytes[at] != '"')
		at += labels.bytes[at] == '\\' ? 2 : 1;
	return (at < labels.length ? at : labels.length);
}

/* Read the label at ${*at}, and move on to the next; false if there is none. */
static bool
next_label(struct text labels, size_t * at, struct text * name,
    struct text * value)
{
	const char * equals = *at >= labels.length ? NULL :
	    memchr(labels.bytes + *at, '=', labels.length - *at);
	size_t begin, end;

	if (equals == NULL || equals + 1 >= labels.bytes + labels.length)
		return (false);
	*name = (struct text){ labels.bytes + *at,
	    (size_t)(equals - labels.bytes) - *at };
	begin = *at + name->length + 2;
	end = value_end(labels, begin);
	*value = (struct text){ labels.bytes + begin, end - begin };
	/* Skip the quote and the comma. */
	*at = end + 2;
	return (true);
}

void
impact_labels(struct text labels, char * scratch, impact_label * label,
    void * context)
{
	struct text name, value;
	size_t at = 0;
	size_t i;

	while (next_label(labels, &at, &name, &value)) {
		size_t length = 0;

		for (i = 0; i < value.length; i++) {
			char c = value.bytes[i];

			if (c == '\\' && i + 1 < value.length)
				c = value.bytes[++i] == 'n' ? '\n' :
				    value.bytes[i];
			scratch[length++] = c;
		}
		label(context, name, (struct text){ scratch, length });
	}
}

/* Move the labels of a bucket but le, which is its bound, into the sample. */
static bool
split_labels(struct results * results, struct text labels,
    struct impact_sample * sample)
{
	char * kept = results_take(results, labels.length + 1);
	struct text name, value;
	size_t used = 0;
	size_t at = 0;

	if (kept == NULL)
		return (false);
	while (next_label(labels, &at, &name, &value)) {
		size_t length = name.length + value.length + strlen("=\"\"");

		if (text_is(&name, "le"))
			sample->le = value;
		else {
			if (used > 0)
				kept[used++] = ',';
			memcpy(kept + used, name.bytes, length);
			used += length;
		}
	}
	sample->labels = (struct text){ kept, used };
	return (true);
}

/* Replies */

static bool
take_sample(struct results * results, struct text field, struct text value,
    struct impact_sample * sample)
{
	struct text copy = results_copy(results, field);
	const char * brace;

	*sample = (struct impact_sample){ .value = results_copy(results,
	    value), .labels = { "", 0 } };
	if (copy.bytes == NULL || sample->value.bytes == NULL)
		return (false);
	brace = memchr(copy.bytes, '{', copy.length);
	sample->suffix = (struct text){ copy.bytes, brace == NULL ?
	    copy.length : (size_t)(brace - copy.bytes) };
	if (brace == NULL)
		return (true);
	/* flagtally ends labels with a brace. */
	if (copy.bytes[copy.length - 1] != '}' ||
	    copy.length < sample->suffix.length + 2)
		return (false);
	sample->labels = (struct text){ brace + 1,
	    copy.length - sample->suffix.length - 2 };
	return (!text_is(&sample->suffix, "_bucket") ||
	    split_labels(results, sample->labels, sample));
}

static void
take_environments(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct impact_collector * collector = context;
	struct results * results = &collector->reader->results;
	size_t i;

	(void)number;
	collector->environments = results_take(results, (reply->count + 1) *
	    sizeof(*collector->environments));
	for (i = 0; i < reply->count && collector->environments != NULL;
	    i += 2) {
		struct text name = results_decode(results,
		    reply_text(reply, i));

		if (name.bytes != NULL)
			collector->environments[
			    collector->environment_count++] = name;
	}
}

/* The names of an environment's metrics. */
static void
take_names(void * context, size_t environment,
    const struct redis_reply * reply)
{
	struct impact_collector * collector = context;
	struct results * results = &collector->reader->results;
	struct report_impact * impact = collector->impact;
	size_t i;

	if (impact->count + reply->count > collector->room) {
		size_t room = (impact->count + reply->count) * 2;
		struct impact_metric * list = results_take(results,
		    room * sizeof(*list));

		if (list == NULL)
			return;
		if (impact->count > 0)
			memcpy(list, impact->list,
			    impact->count * sizeof(*list));
		impact->list = list;
		collector->room = room;
	}
	for (i = 0; i < reply->count; i++) {
		struct text name = reply_text(reply, i);

		if (collector->name.bytes != NULL &&
		    !results_same(name, collector->name))
			continue;
		name = results_copy(results, name);
		if (name.bytes == NULL)
			return;
		impact->list[impact->count++] = (struct impact_metric){
		    .environment = collector->environments[environment],
		    .name = name };
	}
}

static int
compare_metrics(const void * left, const void * right)
{
	const struct impact_metric * a = left;
	const struct impact_metric * b = right;
	int order = results_compare(a->name, b->name);

	return (order != 0 ? order :
	    results_compare(a->environment, b->environment));
}

static double
number_of(struct text text)
{
	char copy[64] = "";

	memcpy(copy, text.bytes, text.length < sizeof(copy) - 1 ?
	    text.length : sizeof(copy) - 1);
	return (strtod(copy, NULL));
}

double
impact_bound(const struct impact_sample * sample)
{

	return (sample->le.length == 0 ? INFINITY : number_of(sample->le));
}

double
impact_value(const struct impact_sample * sample)
{

	return (number_of(sample->value));
}

static int
compare_samples(const void * left, const void * right)
{
	const struct impact_sample * a = left;
	const struct impact_sample * b = right;
	int order = results_compare(a->labels, b->labels);

	if (order == 0 && impact_bound(a) != impact_bound(b))
		order = impact_bound(a) < impact_bound(b) ? -1 : 1;
	return (order != 0 ? order : results_compare(a->suffix, b->suffix));
}

/* Metrics */

/* List the one metric, without asking if it is one. */
static int
choose_metric(struct reader * reader, struct text environment,
    struct text name, struct report_impact * impact)
{

	impact->list = results_take(&reader->results, sizeof(*impact->list));
	if (impact->list != NULL)
		impact->list[impact->count++] = (struct impact_metric){
		    .environment = environment, .name = name };
	return (reader_flush(reader));
}

int
impact_list(struct reader * reader, struct text environment, struct text name,
    struct report_impact * impact)
{
	static const struct text none = { NULL, 0 };
	struct impact_collector collector = { .reader = reader,
	    .impact = impact, .name = name };
	size_t i;

	*impact = (struct report_impact){ NULL, 0 };
	if (environment.bytes != NULL && name.bytes != NULL)
		return (choose_metric(reader, environment, name, impact));
	if (environment.bytes != NULL) {
		collector.environments = &environment;
		collector.environment_count = 1;
	} else {
		reader_list(reader, "environments");
		reader_expect(reader, take_environments, &collector);
		reader_ask_scores(reader, 0);
		if (reader_flush(reader) != 0)
			return (-1);
	}
	reader->partial = true;
	reader_expect(reader, take_names, &collector);
	for (i = 0; i < collector.environment_count; i++) {
		reader_tag(reader, collector.environments[i], none, "impact");
		reader_ask(reader, i, "SMEMBERS");
	}
	return (reader_flush(reader));
}

void
impact_key(struct reader * reader, const struct impact_metric * metric)
{
	static const struct text none = { NULL, 0 };

	reader_tag(reader, metric->environment, none, "impact:");
	reader_extend(reader, metric->name);
}

void
impact_take(struct results * results, const struct redis_reply * reply,
    struct impact_metric * metric)
{
	size_t i;

	metric->samples = results_take(results, (reply->count / 2 + 1) *
	    sizeof(*metric->samples));
	if (metric->samples == NULL)
		return;
	for (i = 0; i + 1 < reply->count; i += 2) {
		struct text field = reply_text(reply, i);
		struct text value = reply_text(reply, i + 1);

		if (text_is(&field, "#type"))
			metric->type = results_copy(results, value);
		else if (text_is(&field, "#help"))
			metric->help = results_copy(results, value);
		else if (take_sample(results, field, value,
		    &metric->samples[metric->count]))
			metric->count++;
	}
	qsort(metric->samples, metric->count, sizeof(*metric->samples),
	    compare_samples);
}

static void
take_metric(void * context, size_t number, const struct redis_reply * reply)
{
	struct impact_collector * collector = context;

	impact_take(&collector->reader->results, reply,
	    &collector->impact->list[number]);
}

/* Remove the metrics that expired meanwhile, or could not be read. */
static void
remove_empty(struct report_impact * impact)
{
	size_t kept = 0;
	size_t i;

	for (i = 0; i < impact->count; i++)
		if (impact->list[i].count > 0)
			impact->list[kept++] = impact->list[i];
	impact->count = kept;
}

int
impact_read(struct reader * reader, struct text environment,
    struct text name, struct report_impact * impact)
{
	struct impact_collector collector = { .reader = reader,
	    .impact = impact };
	size_t i;

	if (impact_list(reader, environment, name, impact) != 0)
		return (-1);
	reader->total = reader->done + impact->count;
	reader_expect(reader, take_metric, &collector);
	for (i = 0; i < impact->count; i++) {
		impact_key(reader, &impact->list[i]);
		reader_ask(reader, i, "HGETALL");
	}
	if (reader_flush(reader) != 0)
		return (-1);
	remove_empty(impact);
	if (impact->count > 0)
		qsort(impact->list, impact->count, sizeof(*impact->list),
		    compare_metrics);
	return (0);
}

/* Series */

bool
impact_next(const struct impact_metric * metric, size_t * at,
    struct impact_series * series)
{
	const struct impact_sample * first = metric->samples + *at;
	size_t i;

	if (*at >= metric->count)
		return (false);
	*series = (struct impact_series){ .samples = first,
	    .value = { "", 0 }, .sum = { "", 0 }, .observations = { "", 0 } };
	for (i = 0; *at < metric->count && results_same(first->labels,
	    first[i].labels); i++, (*at)++)
		if (text_is(&first[i].suffix, "_bucket"))
			series->buckets++;
		else if (text_is(&first[i].suffix, "_count"))
			series->observations = first[i].value;
		else if (text_is(&first[i].suffix, "_sum"))
			series->sum = first[i].value;
		else
			series->value = first[i].value;
	series->count = i;
	return (true);
}

double
impact_observations(const struct impact_series * series)
{

	return (number_of(series->observations));
}

double
impact_sum(const struct impact_series * series)
{

	return (number_of(series->sum));
}

double
impact_bucket(const struct impact_series * series, size_t i)
{

	return (impact_value(&series->samples[i]) - (i == 0 ? 0 :
	    impact_value(&series->samples[i - 1])));
}

double
impact_quantile(const struct impact_series * series, double quantile)
{
	const struct impact_sample * samples = series->samples;
	size_t last = series->buckets;
	double rank, above, below, share;
	size_t i = 0;

	if (last < 2 || impact_value(&samples[last - 1]) <= 0 ||
	    !isinf(impact_bound(&samples[last - 1])))
		return (NAN);
	rank = quantile * impact_value(&samples[last - 1]);
	while (i < last - 1 && impact_value(&samples[i]) < rank)
		i++;
	if (i == last - 1)
		return (impact_bound(&samples[last - 2]));
	above = impact_bound(&samples[i]);
	if (i == 0 && above <= 0)
		return (above);
	below = i == 0 ? 0 : impact_bound(&samples[i - 1]);
	share = (rank - (i == 0 ? 0 : impact_value(&samples[i - 1]))) /
	    impact_bucket(series, i);
	return (below + (above - below) * share);
}
