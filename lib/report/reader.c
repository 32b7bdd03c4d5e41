#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/escape.h"
#include "lib/report/reader.h"

/* Milliseconds that one pipeline may take. */
#define EXCHANGE_TIME_MAX 10000

static void
reader_fail(struct reader * reader, const char * why)
{

	if (reader->error[0] == '\0')
		snprintf(reader->error, sizeof(reader->error), "%s", why);
}

void
reader_begin(struct reader * reader)
{

	reader->error[0] = '\0';
	reader->unreachable = false;
	reader->results.full = false;
	reader->deadline = reader->time_max == 0 ? 0 :
	    clock_monotonic() + reader->time_max;
	reader->partial = false;
	reader->missing = (struct reader_missing){ .count = 0 };
	reader->read = 0;
	reader->done = 0;
	reader->total = 0;
	buffer_clear(&reader->latest);
	buffer_clear(&reader->tags);
	cluster_pace(reader->cluster, READER_WINDOW);
	cluster_begin(reader->cluster);
	reader->count = 0;
}

bool
reader_failed(struct reader * reader)
{

	if (reader->results.full && !reader->cut)
		reader_fail(reader, "the result is too large; ask for a "
		    "shorter span or for one application");
	return (reader->error[0] != '\0');
}

static void
append_word(struct buffer * buffer, const char * word)
{

	buffer_append(buffer, word, strlen(word));
}

static void
append_encoded(struct buffer * buffer, struct text name)
{

	buffer->length += escape_percent(buffer_room(buffer,
	    ESCAPE_PERCENT_ROOM(name.length)), name.bytes, name.length);
}

void
reader_list(struct reader * reader, const char * key)
{

	buffer_clear(&reader->key);
	append_word(&reader->key, reader->prefix);
	append_word(&reader->key, ":");
	append_word(&reader->key, key);
}

void
reader_tag(struct reader * reader, struct text environment,
    struct text application, const char * key)
{

	buffer_clear(&reader->key);
	append_word(&reader->key, reader->prefix);
	append_word(&reader->key, ":{");
	append_encoded(&reader->key, environment);
	if (application.bytes != NULL) {
		append_word(&reader->key, ":");
		append_encoded(&reader->key, application);
	}
	append_word(&reader->key, "}:");
	append_word(&reader->key, key);
}

void
reader_extend(struct reader * reader, struct text text)
{

	buffer_append(&reader->key, text.bytes, text.length);
}

/* Exchanges */

/* Note the tag of a request that failed, once for all that are about it. */
static void
note_missing(struct reader * reader, const struct reader_request * request)
{
	struct reader_missing * missing = &reader->missing;
	struct text tag = { reader->tags.bytes + request->tag,
	    request->tag_length };
	struct text name;
	char * colon;

	if (missing->count > 0 && results_same(tag, (struct text){
	    reader->latest.bytes, reader->latest.length }))
		return;
	buffer_clear(&reader->latest);
	buffer_append(&reader->latest, tag.bytes, tag.length);
	if (missing->count++ >= READER_MISSING_NAMES)
		return;
	name = results_copy(&reader->results, tag);
	colon = name.bytes == NULL ? NULL : memchr(name.bytes, ':',
	    name.length);
	if (colon != NULL)
		*colon = '/';
	missing->names[missing->count - 1] = name;
}

/* A reply is an error: only that of one key, if the reader is partial. */
static void
take_error(struct reader * reader, struct reader_request * request,
    const struct error_reply * error)
{
	const char * meaning = error_reply_meaning(error);
	bool away = error->code == ERROR_AWAY;
	char words[ERROR_REPLY_MAX];
	char why[sizeof(reader->error)];

	snprintf(why, sizeof(why), "%s%s%s", error_reply_print(error, words),
	    meaning == NULL ? "" : ": ", meaning == NULL ? "" : meaning);
	request->failed = reader->partial;
	if (!reader->partial) {
		reader->unreachable = reader->unreachable ||
		    (reader->error[0] == '\0' && away);
		reader_fail(reader, why);
	} else if (reader->missing.why[0] == '\0') {
		memcpy(reader->missing.why, why, sizeof(why));
		reader->missing.away = away;
	}
}

static void
pass_reply(void * context, size_t number, const struct redis_reply * reply)
{
	struct reader * reader = context;
	struct reader_request * request = &reader->list[number];
	bool is_list = reply->type == REDIS_TEXTS ||
	    (reply->type == REDIS_ARRAY && reply->count == 0);

	request->answered = true;
	if (reply->type == REDIS_ERROR)
		take_error(reader, request, &reply->error);
	else if (request->is_size ? reply->type != REDIS_INTEGER : !is_list)
		reader_fail(reader, "Redis sent an unexpected reply");
	else if (!reader_failed(reader)) {
		reader->read += reader->partial;
		request->take(request->context, request->number, reply);
	}
	reader->done++;
	if (reader->progress != NULL)
		reader->progress(reader->context, reader->done,
		    reader->total > reader->done ? reader->total :
		    reader->done);
}

/*
 * A connection broke, so that some requests have no reply.  In a cluster they
 * are those of one master: note them, if others are still connected.
 */
static bool
lacks_some(struct reader * reader)
{
	size_t i;

	if (!reader->partial || cluster_is_one(reader->cluster) ||
	    !cluster_is_connected(reader->cluster))
		return (false);
	for (i = 0; i < reader->count; i++)
		if (!reader->list[i].answered)
			reader->list[i].failed = true;
	if (reader->missing.why[0] == '\0') {
		snprintf(reader->missing.why, sizeof(reader->missing.why),
		    "%s", cluster_error(reader->cluster));
		reader->missing.away = true;
	}
	return (true);
}

static void
exchange_pipeline(struct reader * reader)
{
	int64_t deadline = clock_monotonic() + EXCHANGE_TIME_MAX;
	bool last = reader->deadline != 0 && reader->deadline < deadline;

	if (last)
		deadline = reader->deadline;
	/* 1: the requests to masters that are away got an error each. */
	if (cluster_connect(reader->cluster, deadline) == 0 &&
	    cluster_exchange(reader->cluster, false, deadline, pass_reply,
	    reader) >= 0)
		return;
	if (last && clock_monotonic() >= deadline)
		reader_fail(reader, "reading takes too long; ask for a "
		    "shorter span or for one application");
	else if (lacks_some(reader))
		return;
	reader_fail(reader, cluster_error(reader->cluster));
	reader->unreachable = true;
}

/* Send the requests of the pipeline, and begin the next one. */
static void
send_requests(struct reader * reader)
{
	size_t i;

	if (reader->count > 0 && !reader_failed(reader))
		exchange_pipeline(reader);
	for (i = 0; i < reader->count; i++)
		if (reader->list[i].failed)
			note_missing(reader, &reader->list[i]);
	cluster_begin(reader->cluster);
	buffer_clear(&reader->tags);
	reader->count = 0;
}

/* Requests */

/* The part of the key that is in braces, or all of it after the prefix. */
static struct text
tag_of_key(const struct reader * reader)
{
	struct text key = { reader->key.bytes, reader->key.length };
	size_t skip = strlen(reader->prefix) + strlen(":");
	const char * end;

	key = (struct text){ key.bytes + skip, key.length - skip };
	end = key.bytes[0] == '{' ? memchr(key.bytes, '}', key.length) : NULL;
	return (end == NULL ? key : (struct text){ key.bytes + 1,
	    (size_t)(end - key.bytes) - 1 });
}

void
reader_expect(struct reader * reader, redis_take * take, void * context)
{

	reader->take = take;
	reader->take_context = context;
}

/* Begin a request about the key. */
static struct reader_request *
begin_request(struct reader * reader, size_t number, const char * command,
    size_t arguments)
{
	struct reader_request * request;
	struct text tag = tag_of_key(reader);

	if (reader->count == REPORT_BATCH)
		send_requests(reader);
	request = &reader->list[reader->count++];
	*request = (struct reader_request){ .take = reader->take,
	    .context = reader->take_context, .number = number,
	    .tag = reader->tags.length, .tag_length = tag.length };
	buffer_append(&reader->tags, tag.bytes, tag.length);
	reader->requests = cluster_request(reader->cluster, reader->key.bytes,
	    reader->key.length);
	buffer_array(reader->requests, 2 + arguments);
	buffer_text(reader->requests, command);
	buffer_string(reader->requests, reader->key.bytes,
	    reader->key.length);
	return (request);
}

void
reader_ask(struct reader * reader, size_t number, const char * command)
{

	begin_request(reader, number, command, 0);
}

void
reader_ask_scores(struct reader * reader, size_t number)
{

	begin_request(reader, number, "ZRANGE", 3);
	buffer_text(reader->requests, "0");
	buffer_text(reader->requests, "-1");
	buffer_text(reader->requests, "WITHSCORES");
}

void
reader_ask_below(struct reader * reader, size_t number, int64_t limit)
{
	char text[32];

	snprintf(text, sizeof(text), "(%" PRId64, limit);
	begin_request(reader, number, "ZRANGEBYSCORE", 3);
	buffer_text(reader->requests, "-inf");
	buffer_text(reader->requests, text);
	buffer_text(reader->requests, "WITHSCORES");
}

void
reader_ask_size(struct reader * reader, size_t number)
{

	begin_request(reader, number, "HLEN", 0)->is_size = true;
}

size_t
reader_name_period(const struct report_span * span, size_t period,
    char out[DATE_TEXT_MAX])
{
	int64_t at = span->first + (int64_t)period;
	size_t length = span->by_hour ? date_format_hour(out, at) :
	    date_format_day(out, at);

	out[length] = '\0';
	return (length);
}

void
reader_ask_period(struct reader * reader, size_t number,
    struct text environment, struct text application,
    const struct report_span * span, size_t period)
{
	char name[DATE_TEXT_MAX];

	reader_name_period(span, period, name);
	reader_tag(reader, environment, application, name);
	reader_ask(reader, number, "HGETALL");
}

int
reader_flush(struct reader * reader)
{

	send_requests(reader);
	if (reader->missing.count > 0 && reader->read == 0) {
		reader_fail(reader, reader->missing.why);
		reader->unreachable = reader->missing.away;
	}
	return (reader_failed(reader) ? -1 : 0);
}

bool
reader_resume(struct reader * reader)
{
	int64_t now = clock_monotonic();
	bool over = reader->deadline != 0 && now >= reader->deadline;

	if (!over && cluster_connect(reader->cluster,
	    now + EXCHANGE_TIME_MAX) != 0)
		return (false);
	reader->error[0] = '\0';
	reader->unreachable = false;
	return (true);
}

int64_t
reader_number(struct text text)
{
	char copy[64];
	double number;

	if (text.length >= sizeof(copy))
		return (0);
	memcpy(copy, text.bytes, text.length);
	copy[text.length] = '\0';
	if (memchr(copy, '.', text.length) == NULL &&
	    memchr(copy, 'e', text.length) == NULL)
		return (strtoll(copy, NULL, 10));
	/* A score can be a double. */
	number = strtod(copy, NULL);
	return (number > -9e18 && number < 9e18 ? (int64_t)number : 0);
}

void
reader_close(struct reader * reader)
{

	cluster_free(reader->cluster);
	buffer_free(&reader->key);
	buffer_free(&reader->tags);
	buffer_free(&reader->latest);
}
