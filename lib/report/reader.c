#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/escape.h"
#include "lib/redis/session.h"
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
	reader->done = 0;
	reader->total = 0;
	cluster_begin(reader->cluster);
	reader->count = 0;
}

bool
reader_failed(struct reader * reader)
{

	if (reader->results.full)
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

static void
ask_with(struct reader * reader, const char * command, size_t arguments)
{

	reader->requests = cluster_request(reader->cluster, reader->key.bytes,
	    reader->key.length);
	buffer_array(reader->requests, 2 + arguments);
	buffer_text(reader->requests, command);
	buffer_string(reader->requests, reader->key.bytes,
	    reader->key.length);
	reader->count++;
}

void
reader_ask(struct reader * reader, const char * command)
{

	ask_with(reader, command, 0);
}

void
reader_ask_scores(struct reader * reader)
{

	ask_with(reader, "ZRANGE", 3);
	buffer_text(reader->requests, "0");
	buffer_text(reader->requests, "-1");
	buffer_text(reader->requests, "WITHSCORES");
}

void
reader_ask_below(struct reader * reader, int64_t limit)
{
	char text[32];

	snprintf(text, sizeof(text), "(%" PRId64, limit);
	ask_with(reader, "ZRANGEBYSCORE", 3);
	buffer_text(reader->requests, "-inf");
	buffer_text(reader->requests, text);
	buffer_text(reader->requests, "WITHSCORES");
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
reader_period(struct reader * reader, struct text environment,
    struct text application, const struct report_span * span, size_t period)
{
	char name[DATE_TEXT_MAX];

	reader_name_period(span, period, name);
	reader_tag(reader, environment, application, name);
	reader_ask(reader, "HGETALL");
}

/* The function that a pipeline's replies are for. */
struct recipient {
	struct reader * reader;
	redis_take * take;
	void * context;
};

static void
pass_reply(void * context, size_t number, const struct redis_reply * reply)
{
	struct recipient * recipient = context;
	struct reader * reader = recipient->reader;

	recipient->take(recipient->context, number, reply);
	reader->done++;
	if (reader->progress != NULL)
		reader->progress(reader->context, reader->done,
		    reader->total > reader->done ? reader->total :
		    reader->done);
}

static void
exchange_pipeline(struct reader * reader, struct recipient * recipient)
{
	int64_t deadline = clock_monotonic() + EXCHANGE_TIME_MAX;
	bool last = reader->deadline != 0 && reader->deadline < deadline;

	if (last)
		deadline = reader->deadline;
	if (cluster_connect(reader->cluster, deadline) == 0 &&
	    cluster_exchange(reader->cluster, false, deadline, pass_reply,
	    recipient) == 0)
		return;
	if (last && clock_monotonic() >= deadline)
		reader_fail(reader, "reading takes too long; ask for a "
		    "shorter span or for one application");
	reader_fail(reader, cluster_error(reader->cluster));
	reader->unreachable = true;
}

int
reader_send(struct reader * reader, redis_take * take, void * context)
{
	struct recipient recipient = { reader, take, context };

	if (reader->count > 0)
		exchange_pipeline(reader, &recipient);
	cluster_begin(reader->cluster);
	reader->count = 0;
	return (reader_failed(reader) ? -1 : 0);
}

bool
reader_is_list(struct reader * reader, const struct redis_reply * reply)
{

	if (reply->type == REDIS_ERROR && reader->error[0] == '\0') {
		const char * meaning = error_reply_meaning(&reply->error);
		char words[ERROR_REPLY_MAX];

		snprintf(reader->error, sizeof(reader->error), "%s%s%s",
		    error_reply_print(&reply->error, words), meaning == NULL ?
		    "" : ": ", meaning == NULL ? "" : meaning);
	} else if (reply->type != REDIS_TEXTS &&
	    !(reply->type == REDIS_ARRAY && reply->count == 0))
		reader_fail(reader, "Redis sent an unexpected reply");
	return (!reader_failed(reader));
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
}
