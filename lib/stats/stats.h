#ifndef FLAGTALLY_STATS_H
#define FLAGTALLY_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/fault.h"
#include "lib/spool/spool.h"
#include "lib/tally/tally.h"

/*
 * Metrics of flagtally itself, in a file that all processes of a host map and
 * add to.  An addition is one atomic instruction, so no thread waits for
 * another, and it counts even if the process is killed right after it.  The
 * numbers need not survive a crash of the host.
 *
 * Any thread may call these functions.  With stats of NULL they do nothing, or
 * return 0.
 */
struct stats;

/* Numbers that only grow. */
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
	STATS_BODY_BYTES,		/* Of bodies, as received. */
	STATS_COUNTERS_APPLIED,		/* Of tallies that Redis applied. */
	STATS_DROPPED,			/* In the order of enum tally_drop. */
	STATS_DROPPED_LAST = STATS_DROPPED + DROP_COUNT - 1,
	STATS_REDIS_CONNECTION,		/* Lost, or could not connect. */
	STATS_REDIS_TIMEOUT,		/* No reply arrived in time. */
	STATS_REDIS_REFUSED,		/* A permanent error. */
	STATS_REDIS_TRANSIENT,		/* An error that may pass. */
	STATS_REDIS_SCRIPT,		/* Redis has lost the scripts. */
	STATS_SPOOLED_QUEUED,		/* In the order of enum spool_state. */
	STATS_SPOOLED_IN_DOUBT,
	STATS_SPOOLED_QUARANTINED,
	STATS_REPLAYED,			/* Calls of the spool. */
	STATS_TOKENS_CACHED,		/* Lookups: from the cache, */
	STATS_TOKENS_ASKED,		/* in Redis, */
	STATS_TOKENS_STALE,		/* stale, because Redis is away, */
	STATS_TOKENS_FAILED,		/* failed, because Redis is away. */
	STATS_REPEATED,			/* Bodies that were counted before. */
	STATS_ABANDONED,		/* Bodies whose sender was gone. */
	STATS_COUNTER_COUNT,
};

/* Numbers that are set. */
enum stats_gauge {
	STATS_REDIS_DOWN,		/* 0 or 1 */
	STATS_CALLS_FAILED,		/* When the latest calls did, by the
					 * monotonic clock; 0: they did not. */
	STATS_REDIS_LAST_SUCCESS,	/* Its time, ms since 1970. */
	STATS_SPOOL_RESULT,		/* Of its last use: a spool_result. */
	STATS_GAUGE_COUNT,
};

/* Distributions of observations. */
enum stats_histogram {
	STATS_PARSE_TIME,		/* Of a body, microseconds. */
	STATS_COMMIT_TIME,		/* Of a group, microseconds. */
	STATS_GROUP_REQUESTS,		/* In a group. */
	STATS_HISTOGRAM_COUNT,
};

/**
 * stats_open(path):
 * Return the stats in the file of ${path} and the current layout (shmfile.h),
 * which all processes with the same path share.  If the file cannot be used,
 * log why, and return stats of this process alone, as with a ${path} of NULL or
 * "".  The caller frees the stats.
 */
struct stats * stats_open(const char * path);

/**
 * stats_look(path):
 * Return the stats of stats_open, to read them only; NULL if there are none.
 */
struct stats * stats_look(const char * path);

/**
 * stats_renew(stats):
 * If the file was deleted, go on with a new one, in which all numbers are 0.
 * To be called now and then, by one thread.
 */
void stats_renew(struct stats * stats);

/**
 * stats_add(stats, counter, count):
 * Add ${count} to a counter.
 */
void stats_add(struct stats * stats, enum stats_counter counter,
    uint64_t count);

/**
 * stats_answered(stats, status):
 * Count a response with this status, if the status is in the list above.
 */
void stats_answered(struct stats * stats, int status);

/**
 * stats_reject(stats, limit):
 * Count a request that was rejected for exceeding ${limit}, unless that is
 * FAULT_LIMIT_NONE.
 */
void stats_reject(struct stats * stats, enum fault_limit limit);

/**
 * stats_dropped(stats, dropped):
 * Add a tally's numbers of dropped counters.
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

/*
 * What decides about the next request, for all processes.  Each of these facts
 * is set by what has failed, and ends with a success of the same kind alone: a
 * probe that Redis serves says nothing of the calls that it has put off.
 */

/**
 * stats_redis(stats, serves):
 * Note that Redis ${serves}, or is away or takes no changes.
 */
void stats_redis(struct stats * stats, bool serves);

/**
 * stats_calls(stats, taken):
 * Note that Redis has ${taken} calls with counts, or none of them.
 */
void stats_calls(struct stats * stats, bool taken);

/**
 * stats_redis_is_up(stats):
 * Return whether Redis serves and takes calls, as last known.  If no call was
 * tried for a minute since the last one failed, that is unknown.
 */
bool stats_redis_is_up(const struct stats * stats);

/**
 * stats_spool(stats, result):
 * Note the result of storing something in the spool.
 */
void stats_spool(struct stats * stats, enum spool_result result);

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
 * Append in that format the HELP and TYPE of a metric, whose ${help} must have
 * neither backslashes nor line breaks; and a sample with the label ${label}
 * (NULL: none), whose ${value} is escaped here.  The value of the sample is
 * ${number} / 10^${decimals}, with at most 9 decimals.
 */
void stats_write_metric(struct buffer * text, const char * name,
    const char * type, const char * help);
void stats_write_sample(struct buffer * text, const char * name,
    const char * label, const char * value, uint64_t number,
    unsigned int decimals);

/**
 * stats_free(stats):
 * Free the stats, which can be NULL.  Their file stays.
 */
void stats_free(struct stats * stats);

#endif
