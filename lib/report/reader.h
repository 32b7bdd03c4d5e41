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
 * Requests in a pipeline at most: 48 hours of an application, and what there is
 * beside them, take one; with 90 days more it is three.  Of these Redis has so
 * many at a time, unless it is far away, so that it goes on counting meanwhile.
 */
#define REPORT_BATCH 52
#define READER_WINDOW 4
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

/* A request of the pipeline, and the function that its reply is for. */
struct reader_request {
	redis_take * take;
	void * context;
	size_t number;			/* The caller's. */
	bool is_size;			/* The reply is a number. */
	bool answered, failed;
	size_t tag, tag_length;		/* In reader->tags. */
};

/* Applications and environments that could not be read, while others could. */
#define READER_MISSING_NAMES 8
struct reader_missing {
	size_t count;
	struct text names[READER_MISSING_NAMES];	/* The first of them, as
					 * ENV/APP or ENV, percent-encoded. */
	bool away;			/* The first one's server is away. */
	char why[400];			/* What is wrong with the first one. */
};

/*
 * A connection that reads what flagtally has counted: builds keys, sends
 * commands in pipelines, and holds the results and the first error.
 */
struct reader {
	const char * prefix;
	struct cluster * cluster;
	struct results results;
	struct buffer * requests;	/* Of the next pipeline. */
	struct reader_request list[REPORT_BATCH];
	size_t count;			/* Requests in it. */
	redis_take * take;		/* Of the next request. */
	void * take_context;
	struct buffer key;		/* Of the next request. */
	struct buffer tags;		/* Of the pipeline's requests. */
	bool partial;			/* A key that cannot be read is noted in
					 * missing, and no error. */
	struct reader_missing missing;
	struct buffer latest;		/* The tag that was noted last. */
	size_t read;			/* Replies while it is partial. */
	bool cut;			/* Results that are full are cut, and no
					 * error. */
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
 * Begin a report, which is not partial: forget the error of the previous one.
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
 * reader_expect(reader, take, context):
 * The replies to the requests that follow are for ${take}.  Unless something
 * has failed, it is called for each of them, with the number that the request
 * was given: for all that are about one tag in their order, and for others in
 * any order, as they are from several servers of a cluster.
 */
void reader_expect(struct reader * reader, redis_take * take, void * context);

/**
 * reader_ask(reader, number, command):
 * reader_ask_scores(reader, number):
 * reader_ask_below(reader, number, limit):
 * Add a request about the key, whose reply is a list of strings: ${command};
 * all members of a sorted set with their scores; or those with a score below
 * ${limit}.  The pipeline is sent whenever it has REPORT_BATCH requests.
 */
void reader_ask(struct reader * reader, size_t number, const char * command);
void reader_ask_scores(struct reader * reader, size_t number);
void reader_ask_below(struct reader * reader, size_t number, int64_t limit);

/**
 * reader_ask_size(reader, number):
 * Add a request for how many fields the hash at the key has, whose reply is
 * that number.
 */
void reader_ask_size(struct reader * reader, size_t number);

/**
 * reader_ask_period(reader, number, environment, application, span, period):
 * Add a request for the bucket of a period of ${span}.
 */
void reader_ask_period(struct reader * reader, size_t number,
    struct text environment, struct text application,
    const struct report_span * span, size_t period);

/**
 * reader_flush(reader):
 * Send the requests that have not been sent.  Return 0 if all replies came
 * since the report began, or -1 with the error set.  While the reader is
 * partial, replies may be missing, as long as there is one.
 */
int reader_flush(struct reader * reader);

/**
 * reader_resume(reader):
 * Forget an error, and the requests that have no reply, and return true, unless
 * Redis cannot be reached any more.
 */
bool reader_resume(struct reader * reader);

/**
 * reader_name_period(span, period, out):
 * Write the name of a period of the span, as in keys, as a string.  Return its
 * length.
 */
size_t reader_name_period(const struct report_span * span, size_t period,
    char out[DATE_TEXT_MAX]);

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
