#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/digest.h"
#include "lib/base/escape.h"
#include "lib/redis/bucket.h"
#include "lib/redis/commands.h"

#define INSTANCES_MAX 100		/* Registrations in one call. */
#define MEMBERS_MAX 500			/* Members in one ZADD. */

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
	digest_hex(hex, token->name, token->length);
	append_text(text, hex);
}

void
commands_tag(struct buffer * text, const struct sink_settings * settings,
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

/* What every script call begins with: who writes, and how often by now. */
static void
add_identity(struct pipeline * pipeline, struct commands_writer * writer,
    const struct buffer * tag)
{

	pipeline_add_identity(pipeline, tag, writer->id, writer->slot++,
	    writer->sequence);
	pipeline_add_integer(pipeline, COMMANDS_WRITER_LIFETIME);
}

/* Applications */

/* How far an application has been encoded. */
struct cursor {
	const struct tally_node * instance;
	const struct tally_node * bucket;
	const struct tally_node * feature;
	const struct tally_node * variant;
	bool begun;			/* The feature's yes and no are done. */
};

static const struct tally_node *
next_of_kind(const struct tally_node * node, enum tally_kind kind)
{

	while (node != NULL && node->kind != kind)
		node = node->next;
	return (node);
}

static void
enter_feature(struct cursor * cursor, const struct tally_node * feature)
{

	cursor->feature = feature;
	cursor->variant = feature == NULL ? NULL : feature->first;
	cursor->begun = false;
}

static void
enter_bucket(struct cursor * cursor, const struct tally_node * bucket)
{

	cursor->bucket = bucket;
	enter_feature(cursor, bucket == NULL ? NULL : bucket->first);
}

static void
add_instances(struct pipeline * pipeline, struct cursor * cursor)
{
	const struct tally_node * node = cursor->instance;
	size_t count;

	for (count = 0; node != NULL && count < INSTANCES_MAX; count++)
		node = next_of_kind(node->next, TALLY_INSTANCE);
	pipeline_add_integer(pipeline, (int64_t)count);
	for (node = cursor->instance; node != NULL && count > 0; count--) {
		pipeline_add_name(pipeline, "", node->name, node->length);
		pipeline_add_bytes(pipeline, node->text, node->text_length);
		pipeline_add_integer(pipeline, node->when / 1000);
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

/* Counters that a feature still has, up to ${room}. */
static size_t
counters_left(const struct cursor * cursor, size_t room)
{
	const struct tally_node * variant = cursor->variant;
	size_t count = 0;

	if (!cursor->begun)
		count = (size_t)(cursor->feature->yes > 0) +
		    (size_t)(cursor->feature->no > 0);
	for (; variant != NULL && count < room; variant = variant->next)
		count++;
	return (count);
}

/* Add a feature, or as much of it as there is room for. */
static size_t
add_feature(struct pipeline * pipeline, struct cursor * cursor, size_t room)
{
	const struct tally_node * feature = cursor->feature;
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
	cursor->begun = true;
	for (; left > 0; left--) {
		const struct tally_node * variant = cursor->variant;

		pipeline_add_name(pipeline, "variant:", variant->name,
		    variant->length);
		pipeline_add_integer(pipeline, (int64_t)variant->count);
		cursor->variant = variant->next;
	}
	if (cursor->variant == NULL)
		enter_feature(cursor, feature->next);
	return (count);
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
	pipeline_add_integer(pipeline, writer->now);
	pipeline_add_integer(pipeline,
	    writer->now - bucket_retention(settings));
	if (bucket != NULL)
		bucket_of(&periods, settings, bucket->period, writer->now);
	/* Start of the finest bucket and of the coarsest; 0 for none. */
	pipeline_add_integer(pipeline, bucket == NULL ? 0 : periods.start[0]);
	pipeline_add_integer(pipeline, bucket == NULL ? 0 :
	    periods.start[periods.count - 1]);
	for (i = 0; i < periods.count; i++) {
		pipeline_add_key(pipeline, tag, ":", periods.name[i],
		    strlen(periods.name[i]));
		pipeline_add_integer(pipeline, periods.expire[i]);
	}
}

static void
encode_application(struct pipeline * pipeline, struct commands_writer * writer,
    const struct buffer * tag, struct tally_node * application)
{
	/* There are counts for one of them at least. */
	size_t periods = writer->settings->retention_hourly > 0 &&
	    writer->settings->retention_daily > 0 ? 2 : 1;
	struct cursor cursor = { .instance = NULL };
	size_t room;

	writer->slot = 0;
	cursor.instance = next_of_kind(application->first, TALLY_INSTANCE);
	enter_bucket(&cursor, next_of_kind(application->first,
	    TALLY_BUCKET));
	while (cursor.instance != NULL || cursor.bucket != NULL) {
		begin_apply(pipeline, writer, tag, cursor.bucket);
		add_instances(pipeline, &cursor);
		room = COMMANDS_INCREMENTS_MAX / periods;
		while (cursor.feature != NULL && room > 0) {
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

/* The fields of a series are what follows its name in Prometheus's text. */
static void
add_field(struct pipeline * pipeline, const char * what, const char * suffix,
    const struct tally_node * series, const struct tally_node * bound)
{
	struct buffer * text = &pipeline->text;

	pipeline_add_text(pipeline, what);
	buffer_clear(text);
	append_text(text, suffix);
	if (series->length > 0 || bound != NULL)
		append_text(text, "{");
	buffer_append(text, series->name, series->length);
	if (bound != NULL) {
		append_text(text, series->length > 0 ? ",le=\"" : "le=\"");
		buffer_append(text, bound->name, bound->length);
		append_text(text, "\"");
	}
	if (series->length > 0 || bound != NULL)
		append_text(text, "}");
	pipeline_add_bytes(pipeline, text->bytes, text->length);
}

static void
add_double(struct pipeline * pipeline, double number)
{
	char text[32];

	snprintf(text, sizeof(text), "%.17g", number);
	pipeline_add_text(pipeline, text);
}

/* A histogram's series has _sum, _count, and a _bucket for each bound. */
static size_t
series_fields(const struct tally_node * series)
{
	const struct tally_node * bound;
	size_t fields = 2;

	for (bound = series->first; bound != NULL; bound = bound->next)
		fields++;
	return (fields);
}

static void
add_histogram(struct pipeline * pipeline, const struct tally_node * series)
{
	const struct tally_node * bound;

	pipeline_add_integer(pipeline, (int64_t)series_fields(series));
	for (bound = series->first; bound != NULL; bound = bound->next) {
		add_field(pipeline, "count", "_bucket", series, bound);
		pipeline_add_integer(pipeline, (int64_t)bound->count);
	}
	add_field(pipeline, "add", "_sum", series, NULL);
	add_double(pipeline, series->value);
	add_field(pipeline, "count", "_count", series, NULL);
	pipeline_add_integer(pipeline, (int64_t)series->count);
}

static void
add_times_key(struct pipeline * pipeline, const struct buffer * tag,
    const struct text * name)
{
	struct buffer rest = { NULL, 0, 0 };

	append_text(&rest, ":impact:");
	buffer_append(&rest, name->bytes, name->length);
	buffer_append(&rest, "", 1);
	pipeline_add_key(pipeline, tag, rest.bytes, ":when", strlen(":when"));
	buffer_free(&rest);
}

/*
 * Add a metric's series from ${series} on, as many as there is room for.
 * Return the series to go on with, or NULL.
 */
static const struct tally_node *
add_metric(struct pipeline * pipeline, const struct buffer * tag,
    const struct tally_node * metric, const struct tally_node * series,
    size_t * room)
{
	static const char * const types[] = {
		[TALLY_COUNTER] = "counter", [TALLY_GAUGE] = "gauge",
		[TALLY_HISTOGRAM] = "histogram",
	};
	enum tally_type type = tally_metric_type(metric);
	struct text name = tally_metric_name(metric);
	const struct tally_node * end = series;
	int64_t count = 0;
	size_t left = *room;

	for (; end != NULL && left > 0; end = end->next, count++)
		left -= series_fields(end) < left ? series_fields(end) : left;
	*room = left;
	/* It is a Prometheus name: there is nothing to encode in it. */
	pipeline_add_bytes(pipeline, name.bytes, name.length);
	pipeline_add_key(pipeline, tag, ":impact:", name.bytes, name.length);
	if (type == TALLY_GAUGE)
		add_times_key(pipeline, tag, &name);
	pipeline_add_text(pipeline, types[type]);
	pipeline_add_bytes(pipeline, metric->text, metric->text_length);
	pipeline_add_integer(pipeline, count);
	for (; series != end; series = series->next) {
		if (type == TALLY_HISTOGRAM) {
			add_histogram(pipeline, series);
			continue;
		}
		pipeline_add_integer(pipeline, 1);
		add_field(pipeline, type == TALLY_GAUGE ? "set" : "add", "",
		    series, NULL);
		add_double(pipeline, series->value);
		if (type == TALLY_GAUGE)
			pipeline_add_integer(pipeline, series->when);
	}
	return (end);
}

static void
encode_impact(struct pipeline * pipeline, struct commands_writer * writer,
    const struct buffer * tag, struct tally_node * environment)
{
	const struct tally_node * metric = next_of_kind(environment->first,
	    TALLY_METRIC);
	const struct tally_node * series = metric->first;
	size_t room;

	writer->slot = 0;
	while (metric != NULL) {
		pipeline_begin(pipeline);
		add_identity(pipeline, writer, tag);
		pipeline_add_key(pipeline, tag, ":impact", "", 0);
		pipeline_add_integer(pipeline,
		    (int64_t)writer->settings->limit_series);
		room = COMMANDS_INCREMENTS_MAX;
		while (metric != NULL && room > 0) {
			series = add_metric(pipeline, tag, metric, series,
			    &room);
			if (series != NULL)
				continue;
			metric = next_of_kind(metric->next, TALLY_METRIC);
			series = metric == NULL ? NULL : metric->first;
		}
		pipeline_end(pipeline, SCRIPT_IMPACT, environment);
	}
}

/* What stands outside the tags: it may be repeated without harm. */

struct zadd {
	const char * key;
	size_t members;
};

static void
zadd_end(struct pipeline * pipeline, struct zadd * zadd)
{

	if (zadd->members > 0)
		pipeline_end(pipeline, SCRIPT_NONE, NULL);
	zadd->members = 0;
}

/* Make ready for the next member, which the caller adds. */
static void
zadd_next(struct pipeline * pipeline, const struct commands_writer * writer,
    struct zadd * zadd)
{

	if (zadd->members == MEMBERS_MAX)
		zadd_end(pipeline, zadd);
	if (zadd->members++ == 0) {
		pipeline_begin(pipeline);
		pipeline_add_text(pipeline, "ZADD");
		buffer_clear(&pipeline->text);
		append_text(&pipeline->text, writer->settings->prefix);
		append_text(&pipeline->text, zadd->key);
		pipeline_add_bytes(pipeline, pipeline->text.bytes,
		    pipeline->text.length);
		pipeline_add_text(pipeline, "GT");
	}
	pipeline_add_integer(pipeline, writer->now);
}

static void
encode_members(struct pipeline * pipeline,
    const struct commands_writer * writer,
    const struct tally_node * environment, struct zadd * zadd)
{
	const struct tally_node * node;

	for (node = next_of_kind(environment->first, TALLY_APPLICATION);
	    node != NULL; node = next_of_kind(node->next, TALLY_APPLICATION)) {
		if (node->fate == FATE_DROPPED)
			continue;
		zadd_next(pipeline, writer, zadd);
		commands_member(&pipeline->text, node);
		pipeline_add_bytes(pipeline, pipeline->text.bytes,
		    pipeline->text.length);
	}
}

static void
encode_token(struct pipeline * pipeline, const struct commands_writer * writer,
    const struct tally_node * token, struct zadd * zadd)
{

	if (token->fate == FATE_DROPPED)
		return;
	zadd_next(pipeline, writer, zadd);
	commands_token(&pipeline->text, token);
	pipeline_add_bytes(pipeline, pipeline->text.bytes,
	    pipeline->text.length);
}

/* Whether it has impact metrics that count. */
static bool
has_impact(const struct tally_node * environment)
{

	return (environment->fate != FATE_DROPPED &&
	    next_of_kind(environment->first, TALLY_METRIC) != NULL);
}

static void
encode_listed(struct pipeline * pipeline, const struct commands_writer * writer,
    const struct tally_node * environment, struct zadd * zadd)
{

	if (!has_impact(environment))
		return;
	zadd_next(pipeline, writer, zadd);
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
		    node->fate == FATE_DROPPED)
			continue;
		commands_tag(&tag, writer->settings, environment, node);
		encode_application(pipeline, writer, &tag, node);
	}
	if (has_impact(environment)) {
		commands_tag(&tag, writer->settings, environment, NULL);
		encode_impact(pipeline, writer, &tag, environment);
	}
	buffer_free(&tag);
}

void
commands_encode(struct pipeline * pipeline, struct commands_writer * writer,
    const struct tally * tally)
{
	struct zadd applications = { ":apps", 0 };
	struct zadd environments = { ":environments", 0 };
	struct zadd tokens = { ":tokens:seen", 0 };
	struct tally_node * node;

	pipeline_clear(pipeline);
	for (node = tally->root->first; node != NULL; node = node->next)
		if (node->kind == TALLY_ENVIRONMENT)
			encode_environment(pipeline, writer, node);
	for (node = tally->root->first; node != NULL; node = node->next)
		if (node->kind == TALLY_ENVIRONMENT)
			encode_members(pipeline, writer, node, &applications);
	zadd_end(pipeline, &applications);
	for (node = tally->root->first; node != NULL; node = node->next)
		if (node->kind == TALLY_ENVIRONMENT)
			encode_listed(pipeline, writer, node, &environments);
	zadd_end(pipeline, &environments);
	for (node = tally->root->first; node != NULL; node = node->next)
		if (node->kind == TALLY_TOKEN)
			encode_token(pipeline, writer, node, &tokens);
	zadd_end(pipeline, &tokens);
}
