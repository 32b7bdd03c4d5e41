#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/escape.h"
#include "lib/base/utf8.h"
#include "lib/report/applications.h"
#include "lib/report/exposition.h"
#include "lib/report/features.h"
#include "lib/report/impact.h"
#include "lib/report/reader.h"

#define EVALUATIONS "feature_flag_evaluations_total"
#define VARIANTS "feature_flag_variants_total"
#define TRUNCATED "feature_flag_scrape_truncated"

struct exposer {
	struct exposition * exposition;
	struct reader reader;
	FILE * out;
	size_t samples;			/* Written so far. */
	bool truncated;
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
	char escaped[ESCAPE_LABEL_ROOM(4)];
	size_t i, size, length;
	uint32_t code;

	fprintf(out, "%s%s=\"", before, name);
	for (i = 0; i < value.length; i += size) {
		size = utf8_decode(value.bytes + i, value.length - i, &code);
		if (size > 0) {
			length = escape_label(escaped, value.bytes + i, size);
			fwrite(escaped, 1, length, out);
		} else {
			/* A text in this format is valid UTF-8. */
			fputs("\xef\xbf\xbd", out);
			size = 1;
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

/* The buckets of today, while they come in. */
struct today {
	struct exposer * exposer;
	struct report_applications applications;
	size_t first;			/* Application of the first reply. */
	struct results results;		/* Of one application. */
	FILE * variants;
};

/* Write one application after the other, so that memory is that of one. */
static void
take_today(void * context, size_t number, const struct redis_reply * reply)
{
	static const struct text all = { NULL, 0 };
	struct today * today = context;
	struct report_features list;
	struct features features;
	size_t i;

	if (!reader_is_list(&today->exposer->reader, reply))
		return;
	features_init(&features, &today->results, 1, 0, all);
	for (i = 0; i + 1 < reply->count; i += 2)
		features_add(&features, reply_text(reply, i), 0, (uint64_t)
		    reader_number(reply_text(reply, i + 1)));
	features_list(&features, &list);
	/* The results of an application that is too large are incomplete. */
	if (today->results.full)
		today->exposer->reader.results.full = true;
	else
		write_features_of(today->exposer, today->variants,
		    &today->applications.list[today->first + number], &list);
	arena_reset(today->results.arena);
}

static int
read_today(struct exposer * exposer, struct today * today)
{
	static const struct text all = { NULL, 0 };
	const struct report_span span = { false, date_day(clock_now()), 1 };
	struct reader * reader = &exposer->reader;
	const struct report_applications * found = &today->applications;
	size_t i;

	if (applications_list(reader, all, &today->applications) != 0)
		return (-1);
	for (i = 0; i < found->count; i++) {
		reader_period(reader, found->list[i].environment,
		    found->list[i].name, &span, 0);
		if ((i + 1) % REPORT_BATCH != 0 && i + 1 < found->count)
			continue;
		if (reader_send(reader, take_today, today) != 0)
			return (-1);
		today->first = i + 1;
	}
	return (0);
}

static int
expose_evaluations(struct exposer * exposer)
{
	char * variants = NULL;
	size_t length = 0;
	FILE * out = open_memstream(&variants, &length);
	struct today today = { .exposer = exposer, .variants = out,
	    .results = { arena_create(0), REPORT_MEMORY_MAX, false } };
	int status;

	if (out == NULL)
		abort();
	write_family(exposer->out, EVALUATIONS, "counter", "Evaluations of a "
	    "feature flag since midnight UTC.");
	write_family(out, VARIANTS, "counter", "Evaluations of a feature "
	    "flag that gave a variant, since midnight UTC.");
	status = read_today(exposer, &today);
	fclose(out);
	fwrite(variants, 1, length, exposer->out);
	free(variants);
	arena_free(today.results.arena);
	return (status);
}

/* Impact metrics */

static void
write_metric_of(struct exposer * exposer, const struct impact_metric * metric)
{
	FILE * out = exposer->out;
	size_t i;

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

/* Return true if there is a histogram with this name. */
static bool
is_histogram(const struct report_impact * impact, struct text name)
{
	size_t low = 0;
	size_t high = impact->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (results_compare(impact->list[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < impact->count &&
	    results_same(impact->list[low].name, name); low++)
		if (text_is(&impact->list[low].type, "histogram"))
			return (true);
	return (false);
}

/*
 * Return true if a metric has the name of a histogram's samples.  Within
 * one environment the scripts prevent this.
 */
static bool
is_part_of_histogram(const struct report_impact * impact, struct text name)
{
	static const char * const endings[] = { "_bucket", "_count", "_sum" };
	size_t i;

	for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t length = strlen(endings[i]);

		if (name.length > length && memcmp(name.bytes + name.length -
		    length, endings[i], length) == 0 && is_histogram(impact,
		    (struct text){ name.bytes, name.length - length }))
			return (true);
	}
	return (false);
}

/*
 * Return true if the metric cannot be written: it expired meanwhile, has one of
 * our own names, or its name has another type in another environment, which one
 * exposition cannot express.
 */
static bool
is_unusable(const struct report_impact * impact,
    const struct impact_metric * metric, const struct impact_metric * family)
{

	return (metric->count == 0 || metric->type.bytes == NULL ||
	    text_is(&metric->name, EVALUATIONS) ||
	    text_is(&metric->name, VARIANTS) ||
	    text_is(&metric->name, TRUNCATED) ||
	    (family != NULL && results_same(family->name, metric->name) &&
	    !results_same(family->type, metric->type)) ||
	    is_part_of_histogram(impact, metric->name));
}

static int
expose_impact(struct exposer * exposer)
{
	static const struct text all = { NULL, 0 };
	const struct impact_metric * family = NULL;
	struct report_impact impact;
	size_t i;

	if (impact_read(&exposer->reader, all, all, &impact) != 0)
		return (-1);
	for (i = 0; i < impact.count; i++) {
		const struct impact_metric * metric = &impact.list[i];

		if (is_unusable(&impact, metric, family))
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

	exposer.reader = (struct reader){ .prefix = exposition->prefix,
	    .cluster = cluster_create(exposition->redis, exposition->timeout,
	    "flagtally-usage"), .time_max = exposition->time_max,
	    .results = { arena, REPORT_MEMORY_MAX, false } };
	reader_begin(&exposer.reader);
	status = expose_evaluations(&exposer);
	if (status == 0)
		status = expose_impact(&exposer);
	write_family(out, TRUNCATED, "gauge", "Whether samples were left out "
	    "because of limit_scrape.");
	fprintf(out, TRUNCATED " %d\n", exposer.truncated);
	snprintf(exposition->error, sizeof(exposition->error), "%s",
	    exposer.reader.error);
	reader_close(&exposer.reader);
	arena_free(arena);
	return (status);
}
