#ifndef FLAGTALLY_READER_H
#define FLAGTALLY_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/date.h"
#include "lib/redis/cluster.h"
#include "lib/report/results.h"

/*
 * Requests in a pipeline at most.  Redis executes them without serving others
 * in between, so more of them would delay the counting.  90 days take two
 * pipelines.
 */
#define REPORT_BATCH 48
#define REPORT_MEMORY_MAX ((size_t)64 * 1024 * 1024)
#define REPORT_PERIODS_MAX 3700

/* Consecutive hours or days. */
struct report_span {
	bool by_hour;
	int64_t first;			/* Hours or days since 1970. */
	size_t count;			/* At most REPORT_PERIODS_MAX. */
};

/*
 * Is called for each reply; ${total} is the number that is expected so far.
 */
typedef void report_progress(void * context, size_t done, size_t total);

/*
 * A connection that reads what flagtally has counted: builds keys, sends
 * commands in pipelines, and holds the results and the first error.
 */
struct reader {
	const char * prefix;
	struct cluster * cluster;
	struct results results;
	struct buffer * requests;	/* Of the next pipeline. */
	size_t count;			/* Requests in it. */
	struct buffer key;		/* Of the next request. */
	int64_t time_max;		/* Of a report, in ms; 0: no limit. */
	int64_t deadline;		/* Of the current one, or 0. */
	report_progress * progress;	/* Or NULL. */
	void * context;			/* Of progress. */
	size_t done, total;		/* Replies of the current report. */
	char error[400];		/* "": none. */
	bool unreachable;		/* Redis could not be reached. */
};

/**
 * reader_begin(reader):
 * Begin a report: forget the error of the previous one.
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
 * reader_extend(reader, text):
 * Make `P:key`, or `P:{ENV:APP}:key`, or `P:{ENV}:key` if the bytes of
 * ${application} are NULL, the key of the next request; or append ${text} to
 * that key.
 */
void reader_list(struct reader * reader, const char * key);
void reader_tag(struct reader * reader, struct text environment,
    struct text application, const char * key);
void reader_extend(struct reader * reader, struct text text);

/**
 * reader_period(reader, environment, application, span, period):
 * Add a request for the bucket of a period of ${span} to the pipeline.
 */
void reader_period(struct reader * reader, struct text environment,
    struct text application, const struct report_span * span, size_t period);

/**
 * reader_name_period(span, period, out):
 * Write the name of a period of the span, as in keys, as a string.  Return its
 * length.
 */
size_t reader_name_period(const struct report_span * span, size_t period,
    char out[DATE_TEXT_MAX]);

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
 * Send the pipeline and pass each reply to ${take}: all that are about one tag
 * in their order, and others in any order, as they are from several servers of
 * a cluster.  Return 0, or -1 with the error set.  Nothing is sent if the
 * pipeline is empty.
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
