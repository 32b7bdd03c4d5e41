#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/utf8.h"
#include "lib/report/exposition.h"
#include "lib/report/reader.h"
#include "lib/report/report.h"

#define EVALUATIONS "feature_flag_evaluations_total"
#define VARIANTS "feature_flag_variants_total"
#define TRUNCATED "feature_flag_scrape_truncated"

/* A sample of an impact metric, as flagtally(7) describes its field. */
struct impact_sample {
	struct text suffix;		/* Empty, _bucket, _sum or _count. */
	struct text labels;		/* But environment and le. */
	struct text le;			/* Of a bucket, else empty. */
	struct text value;
};

struct impact_metric {
	struct text environment, name, type, help;
	struct impact_sample * samples;
	size_t count;
};

struct exposer {
	struct exposition * exposition;
	struct reader reader;
	FILE * out;
	size_t samples;			/* Written so far. */
	bool truncated;
	struct impact_metric * metrics;
	size_t count;			/* Of metrics, */
	size_t room;			/* and how many there is memory for. */
	size_t first;			/* Of the pipeline. */
	struct text * environments;
	size_t environment_count;
};

/* Return true if one more sample can be written. */
static bool
has_sample(struct exposer * exposer)
{
	size_t limit = exposer->exposition->limit;

	if (limit > 0 && exposer->samples >= limit) {
		exposer->truncated = true;
		return (false);
	}
	exposer->samples++;
	return (true);
}

static void
write_label(FILE * out, const char * before, const char * name,
    struct text value)
{
	size_t i, size;
	uint32_t code;

	fprintf(out, "%s%s=\"", before, name);
	for (i = 0; i < value.length; i += size) {
		size = utf8_decode(value.bytes + i, value.length - i, &code);
		if (size == 0) {
			/* A text in this format is valid UTF-8. */
			fputs("\xef\xbf\xbd", out);
			size = 1;
		} else if (code == '\n')
			fputs("\\n", out);
		else {
			if (code == '\\' || code == '"')
				putc('\\', out);
			fwrite(value.bytes + i, 1, size, out);
		}
	}
	putc('"', out);
}

static void
write_family(FILE * out, const char * name, const char * type,
    const char * help)
{

	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Evaluations */

static void
write_counter(struct exposer * exposer, FILE * out, const char * family,
    const struct report_application * application, struct text feature,
    const char * label, struct text value, uint64_t count)
{

	if (count == 0 || !has_sample(exposer))
		return;
	fputs(family, out);
	write_label(out, "{", "environment", application->environment);
	write_label(out, ",", "app_name", application->name);
	write_label(out, ",", "feature", feature);
	write_label(out, ",", label, value);
	fprintf(out, "} %" PRIu64 "\n", count);
}

static void
write_features_of(struct exposer * exposer, FILE * variants,
    const struct report_application * application,
    const struct report_features * features)
{
	static const struct text on = { "true", 4 };
	static const struct text off = { "false", 5 };
	const struct report_counter * variant;
	size_t i;

	for (i = 0; i < features->count; i++) {
		const struct report_feature * one = features->list[i];

		write_counter(exposer, exposer->out, EVALUATIONS, application,
		    one->name, "enabled", on, one->yes.total);
		write_counter(exposer, exposer->out, EVALUATIONS, application,
		    one->name, "enabled", off, one->no.total);
		for (variant = one->variants; variant != NULL;
		    variant = variant->next)
			write_counter(exposer, variants, VARIANTS, application,
			    one->name, "variant", variant->name,
			    variant->total);
	}
}

static struct redis *
connect_redis(const struct exposition * exposition)
{

	return (redis_create(exposition->redis, exposition->timeout,
	    "flagtally-usage"));
}

/* Read one application after the other, so that memory is that of one. */
static int
write_evaluations(struct exposer * exposer, FILE * variants,
    struct report * list, struct report * report, struct arena * arena)
{
	static const struct text all = { NULL, 0 };
	const struct report_span today = { false, date_day(clock_now()), 1 };
	struct report_applications applications;
	struct report_features features;
	struct report * failed = list;
	int status = report_applications(list, &all, &today, &applications);
	size_t i;

	write_family(exposer->out, EVALUATIONS, "counter", "Evaluations of a "
	    "feature flag since midnight UTC.");
	write_family(variants, VARIANTS, "counter", "Evaluations of a feature "
	    "flag that gave a variant, since midnight UTC.");
	for (i = 0; status == 0 && i < applications.count; i++) {
		const struct report_application * one = &applications.list[i];

		failed = report;
		status = report_features(report, &one->environment, &one->name,
		    &all, &today, &features);
		if (status == 0)
			write_features_of(exposer, variants, one, &features);
		arena_reset(arena);
	}
	if (status != 0)
		snprintf(exposer->exposition->error,
		    sizeof(exposer->exposition->error), "%s",
		    report_error(failed));
	return (status);
}

static int
expose_evaluations(struct exposer * exposer)
{
	const struct exposition * exposition = exposer->exposition;
	struct arena * arenas[2] = { arena_create(0), arena_create(0) };
	struct report * reports[2];
	char * variants = NULL;
	size_t length = 0;
	FILE * out = open_memstream(&variants, &length);
	int status;
	size_t i;

	if (out == NULL)
		abort();
	for (i = 0; i < 2; i++)
		reports[i] = report_create(exposition->prefix,
		    connect_redis(exposition), arenas[i]);
	status = write_evaluations(exposer, out, reports[0], reports[1],
	    arenas[1]);
	fclose(out);
	fwrite(variants, 1, length, exposer->out);
	free(variants);
	for (i = 0; i < 2; i++) {
		report_free(reports[i]);
		arena_free(arenas[i]);
	}
	return (status);
}

/* Impact metrics */

/* Return where a label's value, which begins after the quote, ends. */
static size_t
value_end(struct text labels, size_t at)
{

	while (at < labels.length && labels.bytes[at] != '"')
		at += labels.bytes[at] == '\\' ? 2 : 1;
	return (at < labels.length ? at : labels.length);
}

/* Move the labels but environment and le into the sample. */
static bool
split_labels(struct exposer * exposer, struct text labels,
    struct impact_sample * sample)
{
	char * kept = results_take(&exposer->reader.results,
	    labels.length + 1);
	size_t used = 0;
	size_t at = 0;

	if (kept == NULL)
		return (false);
	while (at < labels.length) {
		const char * equals = memchr(labels.bytes + at, '=',
		    labels.length - at);
		struct text name = { labels.bytes + at, 0 };
		size_t value, end;

		if (equals == NULL)
			break;
		name.length = (size_t)(equals - name.bytes);
		value = at + name.length + 2;
		end = value_end(labels, value);
		if (text_is(&name, "le"))
			sample->le = (struct text){ labels.bytes + value,
			    end - value };
		else if (!text_is(&name, "environment")) {
			if (used > 0)
				kept[used++] = ',';
			memcpy(kept + used, name.bytes, end + 1 - at);
			used += end + 1 - at;
		}
		/* Skip the quote and the comma. */
		at = end + 2;
	}
	sample->labels = (struct text){ kept, used };
	return (true);
}

static bool
take_sample(struct exposer * exposer, struct text field, struct text value,
    struct impact_sample * sample)
{
	struct results * results = &exposer->reader.results;
	struct text copy = results_copy(results, field);
	const char * brace;

	*sample = (struct impact_sample){ .value = results_copy(results,
	    value) };
	if (copy.bytes == NULL || sample->value.bytes == NULL)
		return (false);
	brace = memchr(copy.bytes, '{', copy.length);
	sample->suffix = (struct text){ copy.bytes, brace == NULL ?
	    copy.length : (size_t)(brace - copy.bytes) };
	sample->labels = (struct text){ "", 0 };
	return (brace == NULL || split_labels(exposer, (struct text){
	    brace + 1, copy.length - sample->suffix.length - 2 }, sample));
}

static void
take_metric(void * context, size_t number, const struct redis_reply * reply)
{
	struct exposer * exposer = context;
	struct results * results = &exposer->reader.results;
	struct impact_metric * metric =
	    &exposer->metrics[exposer->first + number];
	size_t i;

	if (!reader_is_list(&exposer->reader, reply))
		return;
	metric->samples = results_take(results, (reply->count / 2 + 1) *
	    sizeof(*metric->samples));
	for (i = 0; i + 1 < reply->count && metric->samples != NULL; i += 2) {
		struct text field = redis_text(reply, i);
		struct text value = redis_text(reply, i + 1);

		if (text_is(&field, "#type"))
			metric->type = results_copy(results, value);
		else if (text_is(&field, "#help"))
			metric->help = results_copy(results, value);
		else if (take_sample(exposer, field, value,
		    &metric->samples[metric->count]))
			metric->count++;
	}
}

static void
take_environments(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct exposer * exposer = context;
	struct results * results = &exposer->reader.results;
	size_t i;

	(void)number;
	if (!reader_is_list(&exposer->reader, reply))
		return;
	exposer->environments = results_take(results, (reply->count + 1) *
	    sizeof(*exposer->environments));
	for (i = 0; i < reply->count && exposer->environments != NULL; i += 2)
		exposer->environments[exposer->environment_count++] =
		    results_decode(results, redis_text(reply, i));
}

/* The names of an environment's metrics. */
static void
take_metric_names(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct exposer * exposer = context;
	struct results * results = &exposer->reader.results;
	size_t i;

	if (!reader_is_list(&exposer->reader, reply))
		return;
	if (exposer->count + reply->count > exposer->room) {
		size_t room = (exposer->count + reply->count) * 2;
		struct impact_metric * metrics = results_take(results,
		    room * sizeof(*metrics));

		if (metrics == NULL)
			return;
		if (exposer->count > 0)
			memcpy(metrics, exposer->metrics,
			    exposer->count * sizeof(*metrics));
		exposer->metrics = metrics;
		exposer->room = room;
	}
	for (i = 0; i < reply->count; i++)
		exposer->metrics[exposer->count++] = (struct impact_metric){
		    .environment = exposer->environments[exposer->first +
		    number], .name = results_copy(results,
		    redis_text(reply, i)) };
}

/* Read the names of all metrics, and then the metrics, in pipelines. */
static int
read_impact(struct exposer * exposer)
{
	static const struct text none = { NULL, 0 };
	struct reader * reader = &exposer->reader;
	char key[512];
	size_t at, i;

	reader_list(reader, "environments");
	reader_ask_scores(reader);
	if (reader_send(reader, take_environments, exposer) != 0)
		return (-1);
	for (at = 0; at < exposer->environment_count; at += i) {
		exposer->first = at;
		for (i = 0; i < REPORT_BATCH &&
		    at + i < exposer->environment_count; i++) {
			reader_tag(reader, exposer->environments[at + i], none,
			    "impact");
			reader_ask(reader, "SMEMBERS");
		}
		if (reader_send(reader, take_metric_names, exposer) != 0)
			return (-1);
	}
	for (at = 0; at < exposer->count; at += i) {
		exposer->first = at;
		for (i = 0; i < REPORT_BATCH && at + i < exposer->count; i++) {
			snprintf(key, sizeof(key), "impact:%.*s",
			    (int)exposer->metrics[at + i].name.length,
			    exposer->metrics[at + i].name.bytes);
			reader_tag(reader, exposer->metrics[at + i].environment,
			    none, key);
			reader_ask(reader, "HGETALL");
		}
		if (reader_send(reader, take_metric, exposer) != 0)
			return (-1);
	}
	return (0);
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
bound_of(const struct impact_sample * sample)
{
	char text[64] = "";

	if (sample->le.length == 0)
		return (INFINITY);
	memcpy(text, sample->le.bytes, sample->le.length < sizeof(text) - 1 ?
	    sample->le.length : sizeof(text) - 1);
	return (strtod(text, NULL));
}

/* By labels, a bucket before one with a larger bound, then _count and _sum. */
static int
compare_samples(const void * left, const void * right)
{
	const struct impact_sample * a = left;
	const struct impact_sample * b = right;
	int order = results_compare(a->labels, b->labels);

	if (order == 0 && bound_of(a) != bound_of(b))
		order = bound_of(a) < bound_of(b) ? -1 : 1;
	return (order != 0 ? order : results_compare(a->suffix, b->suffix));
}

static void
write_metric_of(struct exposer * exposer, const struct impact_metric * metric)
{
	FILE * out = exposer->out;
	size_t i;

	qsort(metric->samples, metric->count, sizeof(*metric->samples),
	    compare_samples);
	for (i = 0; i < metric->count; i++) {
		const struct impact_sample * sample = &metric->samples[i];

		if (!has_sample(exposer))
			return;
		fwrite(metric->name.bytes, 1, metric->name.length, out);
		fwrite(sample->suffix.bytes, 1, sample->suffix.length, out);
		write_label(out, "{", "environment", metric->environment);
		if (sample->labels.length > 0)
			putc(',', out);
		fwrite(sample->labels.bytes, 1, sample->labels.length, out);
		if (sample->le.length > 0)
			write_label(out, ",", "le", sample->le);
		fputs("} ", out);
		fwrite(sample->value.bytes, 1, sample->value.length, out);
		putc('\n', out);
	}
}

static void
write_impact_family(struct exposer * exposer,
    const struct impact_metric * metric)
{
	FILE * out = exposer->out;
	size_t i;

	fprintf(out, "# HELP %.*s ", (int)metric->name.length,
	    metric->name.bytes);
	for (i = 0; i < metric->help.length; i++)
		if (metric->help.bytes[i] == '\n')
			fputs("\\n", out);
		else {
			if (metric->help.bytes[i] == '\\')
				putc('\\', out);
			putc(metric->help.bytes[i], out);
		}
	fprintf(out, "\n# TYPE %.*s %.*s\n", (int)metric->name.length,
	    metric->name.bytes, (int)metric->type.length, metric->type.bytes);
}

/*
 * Return true if the metric cannot be written: it expired meanwhile, has one of
 * our own names, or its name has another type in another environment, which one
 * exposition cannot say.
 */
static bool
is_unusable(const struct impact_metric * metric,
    const struct impact_metric * family)
{

	return (metric->count == 0 || metric->type.bytes == NULL ||
	    text_is(&metric->name, EVALUATIONS) ||
	    text_is(&metric->name, VARIANTS) ||
	    text_is(&metric->name, TRUNCATED) ||
	    (family != NULL && results_same(family->name, metric->name) &&
	    !results_same(family->type, metric->type)));
}

static int
expose_impact(struct exposer * exposer)
{
	const struct impact_metric * family = NULL;
	size_t i;

	if (read_impact(exposer) != 0) {
		snprintf(exposer->exposition->error,
		    sizeof(exposer->exposition->error), "%s",
		    exposer->reader.error);
		return (-1);
	}
	if (exposer->count > 0)
		qsort(exposer->metrics, exposer->count,
		    sizeof(*exposer->metrics), compare_metrics);
	for (i = 0; i < exposer->count; i++) {
		const struct impact_metric * metric = &exposer->metrics[i];

		if (is_unusable(metric, family))
			continue;
		if (family == NULL || !results_same(family->name,
		    metric->name)) {
			write_impact_family(exposer, metric);
			family = metric;
		}
		write_metric_of(exposer, metric);
	}
	return (0);
}

int
exposition_write(struct exposition * exposition, FILE * out)
{
	struct exposer exposer = { .exposition = exposition, .out = out };
	struct arena * arena = arena_create(0);
	int status;

	exposition->error[0] = '\0';
	exposer.reader = (struct reader){ .prefix = exposition->prefix,
	    .redis = connect_redis(exposition),
	    .results = { arena, REPORT_MEMORY_MAX, false } };
	status = expose_evaluations(&exposer);
	if (status == 0)
		status = expose_impact(&exposer);
	write_family(out, TRUNCATED, "gauge", "Whether samples were left out "
	    "because of limit_scrape.");
	fprintf(out, TRUNCATED " %d\n", exposer.truncated);
	reader_close(&exposer.reader);
	arena_free(arena);
	return (status);
}
