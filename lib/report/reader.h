#ifndef FLAGTALLY_READER_H
#define FLAGTALLY_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/redis/redis.h"
#include "lib/report/results.h"

/*
 * A connection that reads what flagtally has counted: builds keys, sends
 * commands in pipelines, and holds the results and the first error.
 */
struct reader {
	const char * prefix;
	struct redis * redis;
	struct results results;
	struct buffer requests;		/* Of the next pipeline. */
	size_t count;			/* Requests in it. */
	struct buffer key;		/* Of the next request. */
	char error[400];		/* "": none. */
	bool unreachable;		/* Redis could not be reached. */
};

/**
 * reader_begin(reader):
 * Forget the error of the previous report.
 */
void reader_begin(struct reader * reader);

/**
 * reader_failed(reader):
 * Return true if there is an error; results that are full are one.
 */
bool reader_failed(struct reader * reader);

/**
 * reader_list(reader, key):
 * reader_tag(reader, environment, application, key):
 * Make `P:key`, or `P:{ENV:APP}:key`, or `P:{ENV}:key` if the bytes of
 * ${application} are NULL, the key of the next request.
 */
void reader_list(struct reader * reader, const char * key);
void reader_tag(struct reader * reader, struct text environment,
    struct text application, const char * key);

/**
 * reader_ask(reader, command):
 * reader_ask_scores(reader):
 * reader_ask_below(reader, limit):
 * Add a request about the key to the pipeline: ${command}; all members of a
 * sorted set with their scores; or those with a score below ${limit}.
 */
void reader_ask(struct reader * reader, const char * command);
void reader_ask_scores(struct reader * reader);
void reader_ask_below(struct reader * reader, int64_t limit);

/**
 * reader_send(reader, take, context):
 * Send the pipeline and pass each reply to ${take}.  Return 0, or -1 with the
 * error set.
 */
int reader_send(struct reader * reader, redis_take * take, void * context);

/**
 * reader_is_list(reader, reply):
 * Return true if a reply is a list of strings, perhaps empty, and nothing has
 * failed so far; otherwise set the error.
 */
bool reader_is_list(struct reader * reader, const struct redis_reply * reply);

/**
 * reader_number(text):
 * Return a number that Redis sent as a string, truncated to an integer.
 */
int64_t reader_number(struct text text);

/**
 * reader_close(reader):
 * Close the connection and free what the reader owns, but not the results.
 */
void reader_close(struct reader * reader);

#endif
