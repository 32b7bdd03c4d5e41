#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/digest.h"
#include "lib/base/escape.h"
#include "lib/base/number.h"
#include "lib/redis/bucket.h"
#include "lib/redis/commands.h"

#define INSTANCES_MAX 100		/* Registrations in one call. */
#define AGE_MAX ((int64_t)24 * 3600 * 1000)	/* Of a gauge's value. */
#define MEMBERS_MAX 500			/* Members in one call. */

#define DAY 86400

/* A call ends after this many bytes, and a list of names likewise. */
#define BYTES_MAX ((size_t)128 * 1024)

/* Texts */

static void
append_text(struct buffer * buffer, const char * text)
{

	buffer_append(buffer, text, strlen(text));
}

static void
append_name(struct buffer * buffer, const char * name, size_t length)
{
	char * room = buffer_room(buffer, ESCAPE_PERCENT_ROOM(length));

	buffer->length += escape_percent(room, name, length);
}

static void
append_member(struct buffer * buffer, const struct tally_node * application)
{
	const struct tally_node * environment = application->parent;

	append_name(buffer, environment->name, environment->length);
	append_text(buffer, ":");
	append_name(buffer, application->name, application->length);
}

void
commands_member(struct buffer * text, const struct tally_node * application)
{

	buffer_clear(text);
	append_member(text, application);
}

void
commands_environment(struct buffer * text,
    const struct tally_node * environment)
{

	buffer_clear(text);
	append_name(text, environment->name, environment->length);
}

void
commands_token(struct buffer * text, const struct tally_node * token)
{
	char hex[2 * DIGEST_SIZE + 1];

	buffer_clear(text);
	digest_hex(hex, token->name, DIGEST_SIZE);
	append_text(text, hex);
}

/* The beginning of the keys of an application, `P:{env:app}`, or, without one,
 * of an environment. */
static void
write_tag(struct buffer * text, const struct sink_settings * settings,
    const struct tally_node * environment,
    const struct tally_node * application)
{

	buffer_clear(text);
	append_text(text, settings->prefix);
	append_text(text, ":{");
	if (application != NULL)
		append_member(text, application);
	else
		append_name(text, environment->name, environment->length);
	append_text(text, "}");
}

/* Add the beginning of every script call: the writer and its number. */
static void
add_identity(struct pipeline * pipeline, struct commands_writer * writer,
    const struct buffer * tag)
{

	pipeline_add_identity(pipeline, tag, writer->id, writer->slot++,
	    writer->number);
	pipeline_add_integer(pipeline, COMMANDS_WRITER_LIFETIME);
}

/* Applications */

/* Note which call counts what a node holds: the one that is being built. */
static void
note_call(const struct pipeline * pipeline, struct tally_node * node)
{

	node->call = (uint32_t)pipeline->count + 1;
}

/* How far an application has been encoded. */
struct cursor {
	struct tally_node * instance;
	struct tally_node * bucket;
	struct tally_node * feature;
	struct tally_node * variant;
	bool begun;			/* The feature's yes and no are done. */
};

static struct tally_node *
next_of_kind(struct tally_node * node, enum tally_kind kind)
{

	while (node != NULL && node->kind != kind)
		node = node->next;
	return (node);
}

static void
enter_feature(struct cursor * cursor, struct tally_node * feature)
{

	cursor->feature = feature;
	cursor->variant = feature == NULL ? NULL : feature->first;
	cursor->begun = false;
}

static void
enter_bucket(struct cursor * cursor, struct tally_node * bucket)
{

	cursor->bucket = bucket;
	enter_feature(cursor, bucket == NULL ? NULL : bucket->first);
}

/*
 * How long ago a registration was reported: the script subtracts it from
 * Redis's time.  It is a day at most, as a longer difference rather means that
 * our clock was set meanwhile.
 */
static int64_t
seconds_since(const struct commands_writer * writer, int64_t when)
{
	int64_t retention = bucket_retention(writer->settings);
	int64_t most = retention / 2 < DAY ? retention / 2 : DAY;
	int64_t age = writer->now - when / 1000;

	if (age < 0)
		return (0);
	return (age < most ? age : most);
}

static void
add_instances(struct pipeline * pipeline,
    const struct commands_writer * writer, struct cursor * cursor)
{
	struct tally_node * node = cursor->instance;
	size_t bytes = 0;
	size_t count;

	for (count = 0; node != NULL && count < INSTANCES_MAX &&
	    bytes < BYTES_MAX; count++) {
		bytes += node->length + node->text_length;
		node = next_of_kind(node->next, TALLY_INSTANCE);
	}
	pipeline_add_integer(pipeline, (int64_t)count);
	for (node = cursor->instance; node != NULL && count > 0; count--) {
		pipeline_add_name(pipeline, "", node->name, node->length);
		pipeline_add_bytes(pipeline, node->text, node->text_length);
		pipeline_add_integer(pipeline, seconds_since(writer,
		    node->when));
		note_call(pipeline, node);
		node = next_of_kind(node->next, TALLY_INSTANCE);
	}
	cursor->instance = node;
}

static void
add_count(struct pipeline * pipeline, const char * end, uint64_t count)
{

	pipeline_add_text(pipeline, end);
	pipeline_add_integer(pipeline, (int64_t)count);
}

/* Counters that a feature still has, up to ${room} and BYTES_MAX. */
static size_t
counters_left(const struct cursor * cursor, size_t room)
{
	const struct tally_node * variant = cursor->variant;
	size_t bytes = 0;
	size_t count = 0;

	if (!cursor->begun)
		count = (size_t)(cursor->feature->yes > 0) +
		    (size_t)(cursor->feature->no > 0);
	for (; variant != NULL && count < room && bytes < BYTES_MAX;
	    variant = variant->next) {
		bytes += variant->length;
		count++;
	}
	return (count);
}

/* Add a feature, or as much of it as there is room for. */
static size_t
add_feature(struct pipeline * pipeline, struct cursor * cursor, size_t room)
{
	struct tally_node * feature = cursor->feature;
	size_t count = counters_left(cursor, room);
	size_t left = count;

	pipeline_add_name(pipeline, "", feature->name, feature->length);
	pipeline_add_integer(pipeline, (int64_t)count);
	if (!cursor->begun && feature->yes > 0) {
		add_count(pipeline, "yes", feature->yes);
		left--;
	}
	if (!cursor->begun && feature->no > 0) {
		add_count(pipeline, "no", feature->no);
		left--;
	}
	if (!cursor->begun)
		note_call(pipeline, feature);
	cursor->begun = true;
	for (; left > 0; left--) {
		struct tally_node * variant = cursor->variant;

		pipeline_add_name(pipeline, "variant:", variant->name,
		    variant->length);
		pipeline_add_integer(pipeline, (int64_t)variant->count);
		note_call(pipeline, variant);
		cursor->variant = variant->next;
	}
	if (cursor->variant == NULL)
		enter_feature(cursor, feature->next);
	return (count);
}

/* Return whether apply.lua is to notify readers of changes. */
static bool
is_announced(const struct sink_settings * settings)
{

	return (settings->feed > 0 || settings->publish);
}

/* The cap of the feed, and the channel for changes. */
static void
add_feed(struct pipeline * pipeline, const struct sink_settings * settings)
{
	struct buffer channel = { NULL, 0, 0 };

	if (settings->publish) {
		append_text(&channel, settings->prefix);
		append_text(&channel, ":changes");
	}
	pipeline_add_integer(pipeline, (int64_t)settings->feed);
	pipeline_add_bytes(pipeline, channel.bytes, channel.length);
	buffer_free(&channel);
}

/* The fixed arguments of apply.lua, up to the instances. */
static void
begin_apply(struct pipeline * pipeline, struct commands_writer * writer,
    const struct buffer * tag, const struct tally_node * bucket)
{
	const struct sink_settings * settings = writer->settings;
	struct periods periods = { .count = 0 };
	size_t i;

	pipeline_begin(pipeline);
	add_identity(pipeline, writer, tag);
	pipeline_add_key(pipeline, tag, ":seen", "", 0);
	pipeline_add_key(pipeline, tag, ":instances", "", 0);
	pipeline_add_key(pipeline, tag, ":instances:seen", "", 0);
	pipeline_add_integer(pipeline, (int64_t)settings->limit_features);
	pipeline_add_integer(pipeline, (int64_t)settings->limit_variants);
	pipeline_add_integer(pipeline, (int64_t)settings->limit_out_of_range);
	pipeline_add_integer(pipeline, (int64_t)settings->limit_instances);
	pipeline_add_integer(pipeline, bucket_retention(settings));
	if (bucket != NULL)
		bucket_of(&periods, settings, bucket->period);
	if (bucket != NULL && is_announced(settings))
		add_feed(pipeline, settings);
	for (i = 0; i < periods.count; i++) {
		const struct period * period = &periods.list[i];

		pipeline_add_key(pipeline, tag, ":", period->name,
		    strlen(period->name));
		pipeline_add_integer(pipeline, period->start);
		pipeline_add_integer(pipeline, period->length);
		pipeline_add_integer(pipeline, period->retention);
	}
	pipeline_add_key(pipeline, tag, ":late", "", 0);
	/* The script knows it as the last key. */
	if (bucket != NULL && is_announced(settings))
		pipeline_add_key(pipeline, tag, ":feed", "", 0);
}

static void
encode_application(struct pipeline * pipeline, struct commands_writer * writer,
    const struct buffer * tag, struct tally_node * application)
{
	/* There are counts for one of them at least. */
	size_t periods = writer->settings->retention_hourly > 0 &&
	    writer->settings->retention_daily > 0 ? 2 : 1;
	struct cursor cursor = { .instance = NULL };
	size_t room, before;

	writer->slot = 0;
	cursor.instance = next_of_kind(application->first, TALLY_INSTANCE);
	enter_bucket(&cursor, next_of_kind(application->first,
	    TALLY_BUCKET));
	while (cursor.instance != NULL || cursor.bucket != NULL) {
		begin_apply(pipeline, writer, tag, cursor.bucket);
		add_instances(pipeline, writer, &cursor);
		room = COMMANDS_INCREMENTS_MAX / periods;
		before = pipeline_building(pipeline);
		while (cursor.feature != NULL && room > 0 &&
		    pipeline_building(pipeline) - before < BYTES_MAX) {
			size_t used = add_feature(pipeline, &cursor, room);

			room -= used < room ? used : room;
		}
		pipeline_end(pipeline, SCRIPT_APPLY, application);
		if (cursor.bucket != NULL && cursor.feature == NULL)
			enter_bucket(&cursor, next_of_kind(
			    cursor.bucket->next, TALLY_BUCKET));
	}
}

/* Impact metrics */

static void
add_double(struct pipeline * pipeline, double number)
{
	char text[32];

	snprintf(text, sizeof(text), "%.17g", number);
	pipeline_add_text(pipeline, text);
}

/* Fields that a series has in Redis: a gauge's time is one, and a histogram's
 * series has _sum, _count, and a _bucket for each bound and for +Inf. */
static size_t
series_fields(enum tally_type type, const struct tally_node * series)
{

	if (type == TALLY_HISTOGRAM)
		return (series->children + 3);
	return (type == TALLY_GAUGE ? 2 : 1);
}

static int
compare_bounds(const void * a, const void * b)
{
	const struct tally_node * const * x = a, * const * y = b;
	double left = 0, right = 0;

	number_double((*x)->name, (*x)->length, &left);
	number_double((*y)->name, (*y)->length, &right);
	return ((left > right) - (left < right));
}

/* The tally has the observations between a bound and the one below it, and the
 * script takes all up to the bound. */
static void
add_bounds(struct pipeline * pipeline, const struct tally_node * series)
{
	const struct tally_node ** bounds = alloc_zeroed(series->children + 1,
	    sizeof(*bounds));
	const struct tally_node * bound;
	uint64_t count = 0;
	size_t i = 0;

	for (bound = series->first; bound != NULL; bound = bound->next)
		bounds[i++] = bound;
	qsort(bounds, series->children, sizeof(*bounds), compare_bounds);
	pipeline_add_integer(pipeline, (int64_t)series->children);
	for (i = 0; i < series->children; i++) {
		count += bounds[i]->count;
		pipeline_add_bytes(pipeline, bounds[i]->name,
		    bounds[i]->length);
		pipeline_add_integer(pipeline, (int64_t)count);
	}
	free(bounds);
}

/*
 * Milliseconds since a value was reported.  The script subtracts them from
 * Redis's time, so that it does not matter whether our clock is right.  At most
 * a day: a longer difference is rather that our clock was set meanwhile.
 */
static int64_t
milliseconds_since(const struct commands_writer * writer, int64_t when)
{
	int64_t age = writer->now * 1000 - when;

	if (age < 0)
		return (0);
	return (age < AGE_MAX ? age : AGE_MAX);
}

static void
add_series(struct pipeline * pipeline, const struct commands_writer * writer,
    enum tally_type type, struct tally_node * series)
{

	note_call(pipeline, series);
	pipeline_add_bytes(pipeline, series->name, series->length);
	add_double(pipeline, series->value);
	if (type == TALLY_GAUGE)
		pipeline_add_integer(pipeline, milliseconds_since(writer,
		    series->when));
	if (type == TALLY_HISTOGRAM) {
		pipeline_add_integer(pipeline, (int64_t)series->count);
		add_bounds(pipeline, series);
	}
}

/* Add the key of an impact metric, with something after it. */
static void
add_metric_key(struct pipeline * pipeline, const struct buffer * tag,
    const struct text * name, const char * end)
{
	struct buffer rest = { NULL, 0, 0 };

	append_text(&rest, ":impact:");
	buffer_append(&rest, name->bytes, name->length);
	buffer_append(&rest, "", 1);
	pipeline_add_key(pipeline, tag, rest.bytes, end, strlen(end));
	buffer_free(&rest);
}

/* If a metric has a name that a histogram's samples might have, add the key of
 * that histogram. */
static void
add_base_key(struct pipeline * pipeline, const struct buffer * tag,
    const struct text * name)
{
	static const char * const endings[] = { "_count", "_sum", "_bucket" };
	size_t i;

	for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t length = strlen(endings[i]);
		struct text base = { name->bytes, name->length - length };

		if (name->length > length && memcmp(name->bytes + base.length,
		    endings[i], length) == 0)
			add_metric_key(pipeline, tag, &base, "");
	}
}

static void
add_metric_keys(struct pipeline * pipeline, const struct buffer * tag,
    enum tally_type type, const struct text * name)
{

	add_metric_key(pipeline, tag, name, "");
	if (type == TALLY_GAUGE)
		add_metric_key(pipeline, tag, name, ":when");
	if (type == TALLY_HISTOGRAM)
		add_metric_key(pipeline, tag, name, ":bounds");
	add_base_key(pipeline, tag, name);
}

/*
 * Add a metric's series from ${series} on, as many as there is room for.
 * Return the series to go on with, or NULL.
 */
static struct tally_node *
add_metric(struct pipeline * pipeline, const struct commands_writer * writer,
    const struct buffer * tag, const struct tally_node * metric,
    struct tally_node * series, size_t * room)
{
	static const char * const types[] = {
		[TALLY_COUNTER] = "counter", [TALLY_GAUGE] = "gauge",
		[TALLY_HISTOGRAM] = "histogram",
	};
	enum tally_type type = tally_metric_type(metric);
	struct text name = tally_metric_name(metric);
	struct tally_node * end = series;
	int64_t count = 0;
	size_t left = *room;

	for (; end != NULL && left > 0; end = end->next, count++)
		left -= series_fields(type, end) < left ?
		    series_fields(type, end) : left;
	*room = left;
	/* It is a Prometheus name: there is nothing to encode in it. */
	pipeline_add_bytes(pipeline, name.bytes, name.length);
	add_metric_keys(pipeline, tag, type, &name);
	pipeline_add_text(pipeline, types[type]);
	pipeline_add_bytes(pipeline, metric->text, metric->text_length);
	pipeline_add_integer(pipeline, count);
	for (; series != end; series = series->next)
		add_series(pipeline, writer, type, series);
	return (end);
}

/* Encode an environment's impact metrics: calls of impact.lua, each with as
 * many series as fit. */
static void
encode_impact(struct pipeline * pipeline, struct commands_writer * writer,
    const struct buffer * tag, struct tally_node * environment)
{
	struct tally_node * metric = next_of_kind(environment->first,
	    TALLY_METRIC);
	struct tally_node * series = metric->first;
	size_t room;

	writer->slot = 0;
	while (metric != NULL) {
		pipeline_begin(pipeline);
		add_identity(pipeline, writer, tag);
		pipeline_add_key(pipeline, tag, ":impact", "", 0);
		pipeline_add_key(pipeline, tag, ":sizes", "", 0);
		pipeline_add_integer(pipeline,
		    (int64_t)writer->settings->limit_series);
		pipeline_add_integer(pipeline,
		    bucket_retention(writer->settings));
		room = COMMANDS_INCREMENTS_MAX;
		while (metric != NULL && room > 0) {
			series = add_metric(pipeline, writer, tag, metric,
			    series, &room);
			if (series != NULL)
				continue;
			metric = next_of_kind(metric->next, TALLY_METRIC);
			series = metric == NULL ? NULL : metric->first;
		}
		pipeline_end(pipeline, SCRIPT_IMPACT, environment);
	}
}

/*
 * The lists outside the tags hold when each member was last seen.  It may be
 * repeated without harm.
 */

struct touch {
	const char * key;		/* After the prefix. */
	size_t members;
};

static void
touch_end(struct pipeline * pipeline, struct touch * touch)
{

	if (touch->members > 0)
		pipeline_end(pipeline, SCRIPT_TOUCH, NULL);
	touch->members = 0;
}

/* Make ready for the next member, which the caller adds. */
static void
touch_next(struct pipeline * pipeline, const struct commands_writer * writer,
    struct touch * touch)
{
	struct buffer prefix = { NULL, 0, 0 };

	if (touch->members == MEMBERS_MAX)
		touch_end(pipeline, touch);
	if (touch->members++ > 0)
		return;
	pipeline_begin(pipeline);
	append_text(&prefix, writer->settings->prefix);
	pipeline_add_key(pipeline, &prefix, touch->key, "", 0);
	buffer_free(&prefix);
}

static void
encode_members(struct pipeline * pipeline,
    const struct commands_writer * writer,
    const struct tally_node * environment, struct touch * touch)
{
	const struct tally_node * node;

	for (node = next_of_kind(environment->first, TALLY_APPLICATION);
	    node != NULL; node = next_of_kind(node->next, TALLY_APPLICATION)) {
		if (node->call == TALLY_DROPPED)
			continue;
		touch_next(pipeline, writer, touch);
		commands_member(&pipeline->text, node);
		pipeline_add_bytes(pipeline, pipeline->text.bytes,
		    pipeline->text.length);
	}
}

static void
encode_token(struct pipeline * pipeline, const struct commands_writer * writer,
    const struct tally_node * token, struct touch * touch)
{

	if (token->call == TALLY_DROPPED)
		return;
	touch_next(pipeline, writer, touch);
	commands_token(&pipeline->text, token);
	pipeline_add_bytes(pipeline, pipeline->text.bytes,
	    pipeline->text.length);
}

/* Whether it has impact metrics that count. */
static bool
has_impact(const struct tally_node * environment)
{

	return (environment->call != TALLY_DROPPED &&
	    next_of_kind(environment->first, TALLY_METRIC) != NULL);
}

static void
encode_listed(struct pipeline * pipeline, const struct commands_writer * writer,
    const struct tally_node * environment, struct touch * touch)
{

	if (!has_impact(environment))
		return;
	touch_next(pipeline, writer, touch);
	commands_environment(&pipeline->text, environment);
	pipeline_add_bytes(pipeline, pipeline->text.bytes,
	    pipeline->text.length);
}

static void
encode_environment(struct pipeline * pipeline, struct commands_writer * writer,
    struct tally_node * environment)
{
	struct buffer tag = { NULL, 0, 0 };
	struct tally_node * node;

	for (node = environment->first; node != NULL; node = node->next) {
		if (node->kind != TALLY_APPLICATION ||
		    node->call == TALLY_DROPPED)
			continue;
		write_tag(&tag, writer->settings, environment, node);
		encode_application(pipeline, writer, &tag, node);
	}
	if (has_impact(environment)) {
		write_tag(&tag, writer->settings, environment, NULL);
		encode_impact(pipeline, writer, &tag, environment);
	}
	buffer_free(&tag);
}

void
commands_encode(struct pipeline * pipeline, struct commands_writer * writer,
    const struct tally * tally)
{
	struct touch applications = { ":apps", 0 };
	struct touch environments = { ":environments", 0 };
	struct touch tokens = { ":tokens:seen", 0 };
	struct tally_node * node;

	pipeline_clear(pipeline);
	for (node = tally->root->first; node != NULL; node = node->next)
		if (node->kind == TALLY_ENVIRONMENT)
			encode_environment(pipeline, writer, node);
	for (node = tally->root->first; node != NULL; node = node->next)
		if (node->kind == TALLY_ENVIRONMENT)
			encode_members(pipeline, writer, node, &applications);
	touch_end(pipeline, &applications);
	for (node = tally->root->first; node != NULL; node = node->next)
		if (node->kind == TALLY_ENVIRONMENT)
			encode_listed(pipeline, writer, node, &environments);
	touch_end(pipeline, &environments);
	for (node = tally->root->first; node != NULL; node = node->next)
		if (node->kind == TALLY_TOKEN)
			encode_token(pipeline, writer, node, &tokens);
	touch_end(pipeline, &tokens);
}
