#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/log.h"
#include "lib/report/exposition.h"
#include "lib/report/exposition_text.h"
#include "lib/report/reader.h"

/*
 * Redis is first asked how many samples each application and each metric has.
 * From this follows the share of each environment: limit_scrape is divided
 * equally, and what an environment does not need is divided among the others.
 * Only what has a place in its environment's share is read then, one
 * environment after the other, so that one whose replies are too large or take
 * too much time is left out alone.
 *
 * The text of each is kept until all are read, as a family's samples must not
 * be apart.  If all texts take too much memory, the environment with most of
 * them gives its largest one up.
 */

/* An environment's part of what is written. */
struct share {
	struct text environment;
	struct item * items;		/* In the order of asking. */
	struct item ** end;
	size_t wanted;			/* Samples, as Redis says. */
	size_t samples;			/* That it can still have, */
	size_t bytes;			/* Of the texts of its items. */
};

/* An application with its counts of today, or an impact metric. */
struct item {
	struct share * share;
	struct item * next;
	const struct report_application * application;	/* Or NULL, then */
	struct impact_metric * metric;			/* this. */
	size_t samples;			/* As Redis says. */
	char * texts[2];		/* Evaluations and variants, or the
					 * metric's samples. */
	size_t lengths[2];
	bool left_out;			/* At least one sample was. */
};

enum reason { REASON_LIMIT, REASON_MEMORY, REASON_FAILED, REASON_COUNT };

struct exposer {
	struct reader reader;
	struct results one;		/* Of the item that is being read. */
	struct report_applications applications;
	struct report_impact impact;
	struct item * items;		/* Of applications, then of metrics. */
	size_t count;
	struct share * shares;
	struct share ** order;		/* Those that want least first. */
	size_t share_count;
	size_t spare;			/* Samples that no share needs. */
	size_t bytes;			/* Of all texts. */
	size_t left_out[REASON_COUNT];	/* Items. */
	char first[REASON_COUNT][300];	/* Name of the first one. */
	char failure[400];		/* The first REASON_FAILED. */
};

/* What is left out */

static void
omit_item(struct exposer * exposer, struct item * item, enum reason reason)
{
	struct text name = item->application != NULL ?
	    item->application->name : item->metric->name;
	struct text environment = item->share->environment;

	if (item->left_out)
		return;
	item->left_out = true;
	if (exposer->left_out[reason]++ == 0)
		snprintf(exposer->first[reason], sizeof(exposer->first[0]),
		    "%.*s of %.*s", (int)(name.length < 100 ? name.length :
		    100), name.bytes, (int)(environment.length < 100 ?
		    environment.length : 100), environment.bytes);
}

/* Log what is left out.  Return whether there is anything. */
static bool
report_left_out(struct exposer * exposer)
{
	const char * const reasons[REASON_COUNT] = {
		[REASON_LIMIT] = "limit_scrape is reached",
		[REASON_MEMORY] = "it takes too much memory",
		[REASON_FAILED] = exposer->failure,
	};
	static struct log_limit limits[REASON_COUNT + 1];
	const struct reader_missing * missing = &exposer->reader.missing;
	size_t i;
	bool any = missing->count > 0;

	/* Names that are not in the lists cannot be told. */
	if (exposer->reader.results.full &&
	    exposer->left_out[REASON_MEMORY]++ == 0)
		strcpy(exposer->first[REASON_MEMORY], "some names");
	if (missing->count > 0)
		log_limited(&limits[REASON_COUNT], LOG_LEVEL_WARNING,
		    "the usage lacks %.*s and %zu others: %s",
		    (int)missing->names[0].length, missing->names[0].bytes,
		    missing->count - 1, missing->why);
	for (i = 0; i < REASON_COUNT; i++)
		if (exposer->left_out[i] > 0) {
			log_limited(&limits[i], LOG_LEVEL_WARNING,
			    "the usage lacks %s and %zu others: %s",
			    exposer->first[i], exposer->left_out[i] - 1,
			    reasons[i]);
			any = true;
		}
	return (any);
}

/* Return true if so many samples of an item can be written. */
static bool
has_samples(struct exposer * exposer, struct item * item, size_t count)
{
	size_t * left = item->share->samples >= count ? &item->share->samples :
	    &exposer->spare;

	if (*left < count) {
		omit_item(exposer, item, REASON_LIMIT);
		return (false);
	}
	*left -= count;
	return (true);
}

/* Memory of texts */

static void
forget_texts(struct exposer * exposer, struct item * item)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		free(item->texts[i]);
		item->texts[i] = NULL;
		item->share->bytes -= item->lengths[i];
		exposer->bytes -= item->lengths[i];
		item->lengths[i] = 0;
	}
}

static struct item *
largest_item(struct exposer * exposer)
{
	struct share * share = &exposer->shares[0];
	struct item * largest, * item;
	size_t i;

	for (i = 1; i < exposer->share_count; i++)
		if (exposer->shares[i].bytes > share->bytes)
			share = &exposer->shares[i];
	largest = share->items;
	for (item = largest; item != NULL; item = item->next)
		if (item->lengths[0] + item->lengths[1] >
		    largest->lengths[0] + largest->lengths[1])
			largest = item;
	return (largest);
}

/* The texts of an item are complete: keep them as long as there is room. */
static void
keep_texts(struct exposer * exposer, struct item * item)
{
	size_t length = item->lengths[0] + item->lengths[1];

	item->share->bytes += length;
	exposer->bytes += length;
	while (exposer->bytes > REPORT_MEMORY_MAX) {
		struct item * largest = largest_item(exposer);

		forget_texts(exposer, largest);
		omit_item(exposer, largest, REASON_MEMORY);
	}
}

/* Texts of items */

static void
write_features_of(struct exposer * exposer, struct item * item,
    FILE * const out[2], const struct report_features * features)
{
	static const struct text on = { "true", 4 };
	static const struct text off = { "false", 5 };
	const struct report_counter * variant;
	size_t i;

	for (i = 0; i < features->count; i++) {
		const struct report_feature * one = features->list[i];

		if (one->yes.total > 0 && has_samples(exposer, item, 1))
			exposition_text_counter(out[0],
			    EXPOSITION_EVALUATIONS, item->application,
			    one->name, "enabled", on, one->yes.total);
		if (one->no.total > 0 && has_samples(exposer, item, 1))
			exposition_text_counter(out[0],
			    EXPOSITION_EVALUATIONS, item->application,
			    one->name, "enabled", off, one->no.total);
		for (variant = one->variants; variant != NULL;
		    variant = variant->next)
			if (variant->total > 0 &&
			    has_samples(exposer, item, 1))
				exposition_text_counter(out[1],
				    EXPOSITION_VARIANTS, item->application,
				    one->name, "variant", variant->name,
				    variant->total);
	}
}

static void
expose_application(struct exposer * exposer, struct item * item,
    FILE * const out[2], const struct redis_reply * reply)
{
	static const struct text all = { NULL, 0 };
	struct report_features list;
	struct features features;
	size_t i;

	features_init(&features, &exposer->one, 1, 0, all);
	for (i = 0; i + 1 < reply->count; i += 2)
		features_add(&features, reply_text(reply, i), 0, (uint64_t)
		    reader_number(reply_text(reply, i + 1)));
	features_list(&features, &list);
	/* The results of an application that is too large are incomplete. */
	if (!exposer->one.full)
		write_features_of(exposer, item, out, &list);
}

/* A series of a histogram is written whole or not at all. */
static void
expose_metric(struct exposer * exposer, struct item * item, FILE * out,
    const struct redis_reply * reply)
{
	struct impact_metric metric = *item->metric;
	struct impact_series series;
	size_t at = 0;

	impact_take(&exposer->one, reply, &metric);
	while (!exposer->one.full && impact_next(&metric, &at, &series))
		if (has_samples(exposer, item, series.count))
			exposition_text_series(out, &metric, &series);
	/* These are needed later. */
	item->metric->type = results_copy(&exposer->reader.results,
	    metric.type);
	item->metric->help = results_copy(&exposer->reader.results,
	    metric.help);
	exposer->one.full = exposer->one.full ||
	    item->metric->help.bytes == NULL;
}

static void
take_exposed(void * context, size_t number, const struct redis_reply * reply)
{
	struct exposer * exposer = context;
	struct item * item = &exposer->items[number];
	FILE * out[2];
	size_t i;

	for (i = 0; i < 2; i++) {
		out[i] = open_memstream(&item->texts[i], &item->lengths[i]);
		if (out[i] == NULL)
			abort();
	}
	exposer->one.full = false;
	if (item->application != NULL)
		expose_application(exposer, item, out, reply);
	else
		expose_metric(exposer, item, out[0], reply);
	for (i = 0; i < 2; i++)
		fclose(out[i]);
	if (exposer->one.full)
		omit_item(exposer, item, REASON_MEMORY);
	arena_reset(exposer->one.arena);
	keep_texts(exposer, item);
}

/* Shares */

static int
compare_environments(const void * left, const void * right)
{
	const struct share * a = left;
	const struct share * b = right;

	return (results_compare(a->environment, b->environment));
}

static struct text
environment_of(const struct item * item)
{

	return (item->application != NULL ? item->application->environment :
	    item->metric->environment);
}

/* Make a share for each environment, and give each item its own. */
static void
make_shares(struct exposer * exposer)
{
	size_t kept = 0;
	size_t i;

	exposer->shares = alloc_zeroed(exposer->count + 1,
	    sizeof(*exposer->shares));
	for (i = 0; i < exposer->count; i++)
		exposer->shares[i].environment =
		    environment_of(&exposer->items[i]);
	qsort(exposer->shares, exposer->count, sizeof(*exposer->shares),
	    compare_environments);
	for (i = 0; i < exposer->count; i++)
		if (kept == 0 || compare_environments(&exposer->shares[i],
		    &exposer->shares[kept - 1]) != 0)
			exposer->shares[kept++] = exposer->shares[i];
	exposer->share_count = kept;
	for (i = 0; i < kept; i++)
		exposer->shares[i].end = &exposer->shares[i].items;
	for (i = 0; i < exposer->count; i++) {
		struct item * item = &exposer->items[i];
		const struct share wanted = { .environment =
		    environment_of(item) };

		item->share = bsearch(&wanted, exposer->shares, kept,
		    sizeof(wanted), compare_environments);
		*item->share->end = item;
		item->share->end = &item->next;
	}
}

static void
take_size(void * context, size_t number, const struct redis_reply * reply)
{
	struct exposer * exposer = context;
	struct item * item = &exposer->items[number];
	size_t size = (size_t)reply->integers[0];

	/* Two fields of a metric are its type and its help. */
	item->samples = item->application != NULL ? size :
	    size < 2 ? 0 : size - 2;
	item->share->wanted += item->samples;
}

static int
compare_wanted(const void * left, const void * right)
{
	const struct share * a = *(struct share * const *)left;
	const struct share * b = *(struct share * const *)right;

	return ((a->wanted > b->wanted) - (a->wanted < b->wanted));
}

/* Divide the limit: those that want least come first, so that they leave what
 * they do not need to those that want more. */
static void
divide_limit(struct exposer * exposer, size_t limit)
{
	size_t count = exposer->share_count;
	struct share ** order = alloc_zeroed(count + 1, sizeof(*order));
	size_t i;

	for (i = 0; i < count; i++)
		order[i] = &exposer->shares[i];
	qsort(order, count, sizeof(*order), compare_wanted);
	exposer->order = order;
	exposer->spare = limit == 0 ? SIZE_MAX : limit;
	for (i = 0; i < count; i++) {
		size_t fair = exposer->spare / (count - i);

		order[i]->samples = order[i]->wanted < fair ?
		    order[i]->wanted : fair;
		exposer->spare -= order[i]->samples;
	}
}

/* Reading */

/* Make the key of an item that of the next request. */
static void
key_of_item(struct exposer * exposer, const struct item * item,
    const char * today)
{

	if (item->application != NULL)
		reader_tag(&exposer->reader, item->application->environment,
		    item->application->name, today);
	else
		impact_key(&exposer->reader, item->metric);
}

static void
list_items(struct exposer * exposer)
{
	size_t applications = exposer->applications.count;
	size_t i;

	exposer->count = applications + exposer->impact.count;
	exposer->items = alloc_zeroed(exposer->count + 1,
	    sizeof(*exposer->items));
	for (i = 0; i < exposer->count; i++)
		if (i < applications)
			exposer->items[i].application =
			    &exposer->applications.list[i];
		else
			exposer->items[i].metric =
			    &exposer->impact.list[i - applications];
}

static int
read_sizes(struct exposer * exposer, const char * today)
{
	size_t i;

	reader_expect(&exposer->reader, take_size, exposer);
	for (i = 0; i < exposer->count; i++) {
		key_of_item(exposer, &exposer->items[i], today);
		reader_ask_size(&exposer->reader, i);
	}
	return (reader_flush(&exposer->reader));
}

/* Ask for the items of a share that have a place in it. */
static void
ask_share(struct exposer * exposer, const struct share * share,
    const char * today)
{
	size_t room = share->samples;
	struct item * item;

	for (item = share->items; item != NULL; item = item->next) {
		if (item->samples == 0)
			continue;
		if (room == 0) {
			omit_item(exposer, item, REASON_LIMIT);
			continue;
		}
		room -= item->samples < room ? item->samples : room;
		key_of_item(exposer, item, today);
		reader_ask(&exposer->reader, (size_t)(item - exposer->items),
		    "HGETALL");
	}
}

/* Leave the items of a share out that were not read because of an error. */
static void
omit_unread(struct exposer * exposer, const struct share * share)
{
	struct item * item;

	if (exposer->left_out[REASON_FAILED] == 0)
		memcpy(exposer->failure, exposer->reader.error,
		    sizeof(exposer->failure));
	for (item = share->items; item != NULL; item = item->next)
		if (item->samples > 0 && item->texts[0] == NULL)
			omit_item(exposer, item, REASON_FAILED);
}

/* Read each share by itself: one whose replies are too large, or take too much
 * time, is left out alone. */
static int
read_items(struct exposer * exposer, const char * today)
{
	size_t i;

	reader_expect(&exposer->reader, take_exposed, exposer);
	for (i = 0; i < exposer->share_count; i++) {
		ask_share(exposer, exposer->order[i], today);
		if (reader_flush(&exposer->reader) == 0)
			continue;
		omit_unread(exposer, exposer->order[i]);
		if (!reader_resume(&exposer->reader))
			return (-1);
	}
	return (0);
}

static int
read_exposed(struct exposer * exposer, size_t limit)
{
	static const struct text all = { NULL, 0 };
	const struct report_span day = { false, date_day(clock_now()), 1 };
	char today[DATE_TEXT_MAX];

	reader_name_period(&day, 0, today);
	exposer->reader.partial = exposer->reader.cut = true;
	if (applications_list(&exposer->reader, all,
	    &exposer->applications) != 0 ||
	    impact_list(&exposer->reader, all, all, &exposer->impact) != 0)
		return (-1);
	list_items(exposer);
	make_shares(exposer);
	if (read_sizes(exposer, today) != 0)
		return (-1);
	divide_limit(exposer, limit);
	return (read_items(exposer, today));
}

/* Writing */

/* Write a text, and free it: there is no room for all of them twice. */
static void
move_text(struct item * item, size_t text, FILE * out)
{

	if (item->texts[text] != NULL)
		fwrite(item->texts[text], 1, item->lengths[text], out);
	free(item->texts[text]);
	item->texts[text] = NULL;
}

static void
write_family_of(struct exposer * exposer, FILE * out, size_t text)
{
	size_t i;

	for (i = 0; i < exposer->applications.count; i++)
		move_text(&exposer->items[i], text, out);
}

static int
compare_items(const void * left, const void * right)
{
	const struct item * a = left;
	const struct item * b = right;
	int order = results_compare(a->metric->name, b->metric->name);

	return (order != 0 ? order : results_compare(a->metric->environment,
	    b->metric->environment));
}

/* Metrics, sorted by name. */
struct metrics {
	const struct item * list;
	size_t count;
};

/* Return true if there is a histogram with this name. */
static bool
is_histogram(const struct metrics * metrics, struct text name)
{
	size_t low = 0;
	size_t high = metrics->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (results_compare(metrics->list[middle].metric->name,
		    name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < metrics->count &&
	    results_same(metrics->list[low].metric->name, name); low++)
		if (text_is(&metrics->list[low].metric->type, "histogram"))
			return (true);
	return (false);
}

/*
 * Return true if a metric has the name of a histogram's samples.  Within
 * one environment the scripts prevent this.
 */
static bool
is_part_of_histogram(const struct metrics * metrics, struct text name)
{
	static const char * const endings[] = { "_bucket", "_count", "_sum" };
	size_t i;

	for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t length = strlen(endings[i]);

		if (name.length > length && memcmp(name.bytes + name.length -
		    length, endings[i], length) == 0 && is_histogram(metrics,
		    (struct text){ name.bytes, name.length - length }))
			return (true);
	}
	return (false);
}

/*
 * Return true if the metric cannot be written: it has one of our own names, or
 * its name has another type in another environment, which one exposition cannot
 * express.
 */
static bool
is_unusable(const struct metrics * metrics, const struct impact_metric * metric,
    const struct impact_metric * family)
{

	return (text_is(&metric->name, EXPOSITION_EVALUATIONS) ||
	    text_is(&metric->name, EXPOSITION_VARIANTS) ||
	    text_is(&metric->name, EXPOSITION_TRUNCATED) ||
	    (family != NULL && results_same(family->name, metric->name) &&
	    !results_same(family->type, metric->type)) ||
	    is_part_of_histogram(metrics, metric->name));
}

static void
write_impact(struct exposer * exposer, FILE * out)
{
	struct item * list = exposer->items + exposer->applications.count;
	const struct metrics metrics = { list, exposer->impact.count };
	const struct impact_metric * family = NULL;
	size_t i;

	if (metrics.count > 0)
		qsort(list, metrics.count, sizeof(*list), compare_items);
	for (i = 0; i < metrics.count; i++) {
		const struct impact_metric * metric = list[i].metric;

		if (list[i].lengths[0] == 0 || metric->type.length == 0 ||
		    is_unusable(&metrics, metric, family))
			continue;
		if (family == NULL || !results_same(family->name,
		    metric->name)) {
			exposition_text_metric(out, metric);
			family = metric;
		}
		move_text(&list[i], 0, out);
	}
}

static void
write_all(struct exposer * exposer, FILE * out)
{

	exposition_text_family(out, EXPOSITION_EVALUATIONS, "counter",
	    "Evaluations of a feature flag since midnight UTC.");
	write_family_of(exposer, out, 0);
	exposition_text_family(out, EXPOSITION_VARIANTS, "counter",
	    "Evaluations of a feature flag that gave a variant, since "
	    "midnight UTC.");
	write_family_of(exposer, out, 1);
	write_impact(exposer, out);
	exposition_text_family(out, EXPOSITION_TRUNCATED, "gauge",
	    "Whether something was left out; the log says what.");
	fprintf(out, EXPOSITION_TRUNCATED " %d\n", report_left_out(exposer));
}

static void
free_items(struct exposer * exposer)
{
	size_t i;

	for (i = 0; i < exposer->count; i++) {
		free(exposer->items[i].texts[0]);
		free(exposer->items[i].texts[1]);
	}
	free(exposer->items);
	free(exposer->shares);
	free(exposer->order);
}

int
exposition_write(struct exposition * exposition, FILE * out)
{
	struct exposer exposer = { .reader = { .prefix = exposition->prefix,
	    .cluster = cluster_create(exposition->redis, exposition->timeout,
	    "flagtally-usage"), .time_max = exposition->time_max,
	    .results = { arena_create(0), REPORT_MEMORY_MAX, false } },
	    .one = { arena_create(0), REPORT_MEMORY_MAX, false } };
	int status;

	reader_begin(&exposer.reader);
	status = read_exposed(&exposer, exposition->limit);
	if (status == 0)
		write_all(&exposer, out);
	snprintf(exposition->error, sizeof(exposition->error), "%s",
	    exposer.reader.error);
	reader_close(&exposer.reader);
	free_items(&exposer);
	arena_free(exposer.reader.results.arena);
	arena_free(exposer.one.arena);
	return (status);
}
