#ifndef FLAGTALLY_STATS_H
#define FLAGTALLY_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/fault.h"
#include "lib/tally/tally.h"

/*
 * What all processes of a host have done, in numbers: a file that each of them
 * maps and adds to.  An addition is one atomic instruction, so nobody waits
 * for anybody, and what was added is there whatever becomes of the process
 * that did it.  The numbers need not survive a crash of the host.
 *
 * All functions may be called by any thread, and do nothing, or return 0, if
 * stats is NULL.
 */
struct stats;

/* What only grows. */
enum stats_counter {
	STATS_REQUESTS_200,
	STATS_REQUESTS_202,
	STATS_REQUESTS_204,
	STATS_REQUESTS_400,
	STATS_REQUESTS_403,
	STATS_REQUESTS_404,
	STATS_REQUESTS_405,
	STATS_REQUESTS_413,
	STATS_REQUESTS_415,
	STATS_REQUESTS_503,
	STATS_REJECTED,			/* In the order of enum fault_limit,
					 * from the one after NONE. */
	STATS_REJECTED_LAST = STATS_REJECTED + FAULT_LIMIT_COUNT - 2,
	STATS_BODY_BYTES,		/* Of bodies, as they were received. */
	STATS_COUNTERS_APPLIED,		/* Of tallies that Redis has. */
	STATS_DROPPED,			/* In the order of enum tally_drop. */
	STATS_DROPPED_LAST = STATS_DROPPED + DROP_COUNT - 1,
	STATS_REDIS_CONNECTION,		/* It was lost, or not to be had. */
	STATS_REDIS_TIMEOUT,		/* No answer came in time. */
	STATS_REDIS_REFUSED,		/* An error that will come again. */
	STATS_REDIS_TRANSIENT,		/* An error that may pass. */
	STATS_REDIS_SCRIPT,		/* The scripts were forgotten. */
	STATS_SPOOLED_QUEUED,		/* In the order of enum spool_state. */
	STATS_SPOOLED_IN_DOUBT,
	STATS_SPOOLED_QUARANTINED,
	STATS_REPLAYED,			/* Calls of the spool. */
	STATS_TOKENS_CACHED,		/* Looked up: in what is remembered, */
	STATS_TOKENS_ASKED,		/* in Redis, */
	STATS_TOKENS_STALE,		/* good lately, as Redis is away, */
	STATS_TOKENS_FAILED,		/* not known, as Redis is away. */
	STATS_REPEATED,			/* Bodies that were counted before. */
	STATS_ABANDONED,		/* Bodies whose sender had gone. */
	STATS_COUNTER_COUNT,
};

/* What is set. */
enum stats_gauge {
	STATS_REDIS_DOWN,		/* 0 or 1 */
	STATS_REDIS_LAST_SUCCESS,	/* When it last was, ms since 1970. */
	STATS_GAUGE_COUNT,
};

/* What is observed one by one. */
enum stats_histogram {
	STATS_PARSE_TIME,		/* Of a body, microseconds. */
	STATS_COMMIT_TIME,		/* Of a group, microseconds. */
	STATS_GROUP_REQUESTS,		/* In a group. */
	STATS_HISTOGRAM_COUNT,
};

/**
 * stats_open(path):
 * Return the numbers in the file ${path}, which all processes share that give
 * the same path.  It is made, with mode 0600, if it is not there, and a new
 * one takes its place if it is empty, cut short, or of another layout; its
 * directory must be there.  What is no file of this kind is left alone.  If
 * the file cannot be used the log says why, and the numbers are those of this
 * process alone; so they are, without a word, if ${path} is NULL or "".  The
 * file must not be cut while a process uses it.  The caller frees the stats.
 */
struct stats * stats_open(const char * path);

/**
 * stats_add(stats, counter, count):
 * Add ${count} to a counter.
 */
void stats_add(struct stats * stats, enum stats_counter counter,
    uint64_t count);

/**
 * stats_answered(stats, status):
 * Count a request that was answered with this status.  One that is not in the
 * list above is not counted.
 */
void stats_answered(struct stats * stats, int status);

/**
 * stats_reject(stats, limit):
 * Count a request that was turned away because it is beyond a limit; nothing if
 * that is FAULT_LIMIT_NONE.
 */
void stats_reject(struct stats * stats, enum fault_limit limit);

/**
 * stats_dropped(stats, dropped):
 * Add what a tally has dropped.
 */
void stats_dropped(struct stats * stats, const uint64_t dropped[DROP_COUNT]);

/**
 * stats_observe(stats, histogram, value):
 * Add one observation to a histogram, in its unit.
 */
void stats_observe(struct stats * stats, enum stats_histogram histogram,
    uint64_t value);

/**
 * stats_set(stats, gauge, value):
 * Set a gauge.
 */
void stats_set(struct stats * stats, enum stats_gauge gauge, uint64_t value);

/**
 * stats_redis(stats, serves):
 * Set what all processes know of Redis: it has just done what it was asked to,
 * or has just failed to.
 */
void stats_redis(struct stats * stats, bool serves);

/**
 * stats_get(stats, counter):
 * stats_get_gauge(stats, gauge):
 * Return a number.
 */
uint64_t stats_get(const struct stats * stats, enum stats_counter counter);
uint64_t stats_get_gauge(const struct stats * stats, enum stats_gauge gauge);

/**
 * stats_drop_name(drop):
 * Return the name of a reason why counters are dropped.
 */
const char * stats_drop_name(enum tally_drop drop);

/**
 * stats_write(stats, text):
 * Append all numbers in Prometheus's text format, version 0.0.4.
 */
void stats_write(const struct stats * stats, struct buffer * text);

/**
 * stats_write_metric(text, name, type, help):
 * stats_write_sample(text, name, label, value, number, decimals):
 * Append in that format the head of a metric, whose help has neither a
 * backslash nor a line break in it, and then one of its samples: ${label}, or
 * NULL if it has none, is the name of its label, ${value} the label's value,
 * which is escaped, and the sample's value is ${number} / 10^${decimals}; there
 * are 9 decimals at most.
 */
void stats_write_metric(struct buffer * text, const char * name,
    const char * type, const char * help);
void stats_write_sample(struct buffer * text, const char * name,
    const char * label, const char * value, uint64_t number,
    unsigned int decimals);

/**
 * stats_free(stats):
 * Free the stats; the file stays.
 */
void stats_free(struct stats * stats);

#endif
