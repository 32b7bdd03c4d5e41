#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/escape.h"
#include "lib/base/log.h"
#include "lib/base/shmfile.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

#define BOUNDS_MAX 16
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Otherwise a process that is killed in an addition would leave a lock held. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics need a lock");

struct histogram {
	_Atomic uint64_t buckets[BOUNDS_MAX + 1];	/* Not cumulative. */
	_Atomic uint64_t sum;
};

struct totals {
	_Atomic uint64_t counters[STATS_COUNTER_COUNT];
	_Atomic uint64_t gauges[STATS_GAUGE_COUNT];
	struct histogram histograms[STATS_HISTOGRAM_COUNT];
};

struct stats {
	struct totals * totals;
	bool shared;			/* Mapped from a file, not malloc'd. */
	char * path;
	uint64_t layout;
	int descriptor;			/* Of the file; -1: none is shared. */
};

/* The metrics */

/* Consecutive counters of one name, distinguished by a label. */
struct family {
	const char * name;
	const char * help;
	enum stats_counter first;
	size_t count;
	const char * label;		/* NULL: there is only one. */
	const char * const * values;
};

static const char * const codes[] = {
	"200", "202", "204", "400", "403", "404", "405", "413", "415", "503",
};
static const char * const limits[] = {
	[FAULT_LIMIT_CGI_PARAMS - 1] = "cgi_params",
	[FAULT_LIMIT_BODY - 1] = "body",
	[FAULT_LIMIT_INFLATED - 1] = "inflated",
	[FAULT_LIMIT_RATIO - 1] = "ratio",
	[FAULT_LIMIT_MEMORY - 1] = "memory",
	[FAULT_LIMIT_COUNTERS - 1] = "counters",
	[FAULT_LIMIT_DEPTH - 1] = "depth",
	[FAULT_LIMIT_NAME - 1] = "name",
	[FAULT_LIMIT_TIME - 1] = "time",
};
static const char * const drops[] = {
	[DROP_ENVIRONMENT] = "environment",
	[DROP_NAME] = "name",
	[DROP_NULL] = "null",
	[DROP_INVALID] = "invalid",
	[DROP_TYPE] = "type",
	[DROP_OVERFLOW] = "overflow",
	[DROP_LABELS] = "labels",
	[DROP_STRATEGIES] = "strategies",
	[DROP_PROJECTS] = "projects",
	[DROP_CONNECT_VIA] = "connect_via",
	[DROP_TOKENS] = "tokens",
	[DROP_REGISTRATIONS] = "registrations",
	[DROP_FEATURES] = "features",
	[DROP_VARIANTS] = "variants",
	[DROP_OUT_OF_RANGE] = "out_of_range_buckets",
	[DROP_APPLICATIONS] = "applications",
	[DROP_ENVIRONMENTS] = "environments",
	[DROP_INSTANCES] = "instances",
	[DROP_SERIES] = "series",
	[DROP_SEEN_TOKENS] = "seen_tokens",
	[DROP_EDGES] = "edges",
};
static const char * const errors[] = {
	"connection", "timeout", "refused", "transient", "script",
};
static const char * const states[] = {
	[SPOOL_QUEUED] = "queued",
	[SPOOL_IN_DOUBT] = "in-doubt",
	[SPOOL_QUARANTINED] = "quarantined",
};

static const char * const lookups[] = {
	"cached", "asked", "stale", "failed",
};

_Static_assert(COUNT_OF(codes) == STATS_REJECTED - STATS_REQUESTS_200,
    "each status has its code");
_Static_assert(COUNT_OF(limits) == FAULT_LIMIT_COUNT - 1 &&
    COUNT_OF(limits) == STATS_BODY_BYTES - STATS_REJECTED,
    "each enum fault_limit has its name");
_Static_assert(COUNT_OF(drops) == DROP_COUNT,
    "each enum tally_drop has its name");
_Static_assert(COUNT_OF(errors) ==
    STATS_SPOOLED_QUEUED - STATS_REDIS_CONNECTION, "each error has its kind");
_Static_assert(COUNT_OF(states) == SPOOL_STATE_COUNT &&
    SPOOL_STATE_COUNT == STATS_REPLAYED - STATS_SPOOLED_QUEUED,
    "each enum spool_state has its name");
_Static_assert(COUNT_OF(lookups) ==
    STATS_REPEATED - STATS_TOKENS_CACHED, "each result has its name");

static const struct family families[] = {
	{ "flagtally_requests_total",
	  "Requests to report metrics, by the status of the response.",
	  STATS_REQUESTS_200, COUNT_OF(codes), "code", codes },
	{ "flagtally_rejected_total",
	  "Requests rejected for exceeding a limit, by the limit.",
	  STATS_REJECTED, COUNT_OF(limits), "limit", limits },
	{ "flagtally_request_body_bytes_total",
	  "Bytes of request bodies, as received.",
	  STATS_BODY_BYTES, 1, NULL, NULL },
	{ "flagtally_counters_applied_total",
	  "Counters of the groups that Redis has applied.",
	  STATS_COUNTERS_APPLIED, 1, NULL, NULL },
	{ "flagtally_dropped_total",
	  "Parts of valid bodies that were left out, by the reason.",
	  STATS_DROPPED, COUNT_OF(drops), "reason", drops },
	{ "flagtally_redis_errors_total",
	  "Failures of Redis: connection lost or failed, no reply in time, "
	  "rejected permanently, a transient error, scripts lost.",
	  STATS_REDIS_CONNECTION, COUNT_OF(errors), "kind", errors },
	{ "flagtally_spooled_total",
	  "Added to the spool: groups that were not sent, calls that Redis may "
	  "have applied, calls that it rejected.",
	  STATS_SPOOLED_QUEUED, COUNT_OF(states), "state", states },
	{ "flagtally_replayed_total",
	  "Calls of the spool that Redis has settled.",
	  STATS_REPLAYED, 1, NULL, NULL },
	{ "flagtally_token_lookups_total",
	  "Lookups for token_set, by the source of the result: cache, Redis, "
	  "cache while Redis is away, none.",
	  STATS_TOKENS_CACHED, COUNT_OF(lookups), "result", lookups },
	{ "flagtally_repeated_total",
	  "Bodies accepted but not counted, because they were counted before.",
	  STATS_REPEATED, 1, NULL, NULL },
	{ "flagtally_abandoned_total",
	  "Bodies not counted because the web server had closed the "
	  "connection.",
	  STATS_ABANDONED, 1, NULL, NULL },
};

/* Those without a name are written as part of another one. */
static const struct {
	const char * name;
	const char * help;
	unsigned int decimals;
} gauges[STATS_GAUGE_COUNT] = {
	[STATS_REDIS_DOWN] = { "flagtally_redis_up",
	    "1 unless Redis failed, or took no calls, when it was last used.",
	    0 },
	[STATS_REDIS_LAST_SUCCESS] = {
	    "flagtally_redis_last_success_timestamp_seconds",
	    "When Redis last took counts, 0 if never.", 3 },
	[STATS_SPOOL_RESULT] = { "flagtally_spool_up",
	    "1 unless the spool stored nothing when it was last used.", 0 },
};

/* Milliseconds after which failed calls say nothing about the next ones. */
#define CALLS_FAILED_MAX 60000

static const struct {
	const char * name;
	const char * help;
	unsigned int decimals;
	uint64_t bounds[BOUNDS_MAX];	/* Growing; 0 after the last one. */
} histograms[STATS_HISTOGRAM_COUNT] = {
	[STATS_PARSE_TIME] = { "flagtally_parse_seconds",
	    "Time to receive, parse and tally a body.", 6,
	    { 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
	      250000, 500000, 1000000, 2500000, 10000000, 30000000 } },
	[STATS_COMMIT_TIME] = { "flagtally_commit_seconds",
	    "Time to make a group durable.", 6,
	    { 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
	      250000, 500000, 1000000, 1500000, 2000000 } },
	[STATS_GROUP_REQUESTS] = { "flagtally_group_requests",
	    "Requests that were committed as one group.", 0,
	    { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000 } },
};

/*
 * The layout is a digest of all names in their order, and of how many gauges
 * there are, so it changes with the lists above.  Then all counters
 * start again from 0, which Prometheus expects of a counter.
 */
static uint64_t
layout_of(void)
{
	static const unsigned char key[DIGEST_KEY_SIZE] = { 0 };
	struct buffer text = { NULL, 0, 0 };
	struct stats empty = {
	    .totals = alloc_zeroed(1, sizeof(struct totals)) };
	uint64_t layout;

	stats_write(&empty, &text);
	buffer_integer(&text, STATS_GAUGE_COUNT);
	layout = digest_keyed_hash(key, text.bytes, text.length);
	buffer_free(&text);
	free(empty.totals);
	return (layout);
}

struct stats *
stats_open(const char * path)
{
	struct stats * stats = alloc_zeroed(1, sizeof(*stats));

	if (path != NULL && *path != '\0') {
		stats->layout = layout_of();
		stats->totals = shmfile_open(path, stats->layout,
		    sizeof(*stats->totals), &stats->descriptor);
		stats->shared = stats->totals != NULL;
		stats->path = alloc_string(path);
		if (!stats->shared)
			log_warning("the statistics are of this process "
			    "alone, as %s cannot be used: %s", path,
			    errno == EEXIST ? "it is of another kind" :
			    strerror(errno));
	}
	if (!stats->shared) {
		stats->totals = alloc_zeroed(1, sizeof(*stats->totals));
		stats->descriptor = -1;
	}
	return (stats);
}

void
stats_renew(struct stats * stats)
{
	int descriptor;

	if (stats == NULL || stats->descriptor == -1 || shmfile_is_there(
	    stats->path, stats->layout, stats->descriptor))
		return;
	descriptor = shmfile_renew(stats->path, stats->layout, stats->totals,
	    sizeof(*stats->totals));
	if (descriptor == -1)
		return;
	close(stats->descriptor);
	stats->descriptor = descriptor;
}

struct stats *
stats_look(const char * path)
{
	struct totals * totals = shmfile_look(path, layout_of(),
	    sizeof(*totals));
	struct stats * stats;

	if (totals == NULL)
		return (NULL);
	stats = alloc_zeroed(1, sizeof(*stats));
	*stats = (struct stats){ .totals = totals, .shared = true,
	    .descriptor = -1 };
	return (stats);
}

void
stats_free(struct stats * stats)
{

	if (stats == NULL)
		return;
	if (stats->shared)
		shmfile_close(stats->totals, sizeof(*stats->totals));
	else
		free(stats->totals);
	if (stats->descriptor != -1)
		close(stats->descriptor);
	free(stats->path);
	free(stats);
}

/* The numbers */

static void
atomic_add(_Atomic uint64_t * number, uint64_t count)
{

	atomic_fetch_add_explicit(number, count, memory_order_relaxed);
}

static uint64_t
atomic_value(const _Atomic uint64_t * number)
{

	return (atomic_load_explicit(number, memory_order_relaxed));
}

void
stats_add(struct stats * stats, enum stats_counter counter, uint64_t count)
{

	if (stats != NULL)
		atomic_add(&stats->totals->counters[counter], count);
}

void
stats_answered(struct stats * stats, int status)
{
	size_t i;

	if (stats == NULL)
		return;
	for (i = 0; i < COUNT_OF(codes); i++)
		if (strtol(codes[i], NULL, 10) == status)
			stats_add(stats, (enum stats_counter)
			    (STATS_REQUESTS_200 + i), 1);
}

void
stats_reject(struct stats * stats, enum fault_limit limit)
{

	if (limit != FAULT_LIMIT_NONE)
		stats_add(stats, (enum stats_counter)(STATS_REJECTED + limit -
		    1), 1);
}

void
stats_dropped(struct stats * stats, const uint64_t dropped[DROP_COUNT])
{
	size_t i;

	if (stats == NULL)
		return;
	for (i = 0; i < DROP_COUNT; i++)
		if (dropped[i] > 0)
			atomic_add(&stats->totals->counters[STATS_DROPPED + i],
			    dropped[i]);
}

static size_t
bound_count(enum stats_histogram histogram)
{
	size_t count = 0;

	while (count < BOUNDS_MAX && histograms[histogram].bounds[count] > 0)
		count++;
	return (count);
}

void
stats_observe(struct stats * stats, enum stats_histogram histogram,
    uint64_t value)
{
	size_t count = bound_count(histogram);
	struct histogram * numbers;
	size_t i = 0;

	if (stats == NULL)
		return;
	numbers = &stats->totals->histograms[histogram];
	while (i < count && value > histograms[histogram].bounds[i])
		i++;
	atomic_add(&numbers->buckets[i], 1);
	atomic_add(&numbers->sum, value);
}

void
stats_set(struct stats * stats, enum stats_gauge gauge, uint64_t value)
{

	if (stats != NULL)
		atomic_store_explicit(&stats->totals->gauges[gauge], value,
		    memory_order_relaxed);
}

void
stats_redis(struct stats * stats, bool serves)
{

	stats_set(stats, STATS_REDIS_DOWN, !serves);
}

void
stats_calls(struct stats * stats, bool taken)
{

	if (taken)
		stats_set(stats, STATS_REDIS_LAST_SUCCESS,
		    (uint64_t)clock_now_ms());
	stats_set(stats, STATS_CALLS_FAILED, taken ? 0 :
	    (uint64_t)clock_monotonic());
}

bool
stats_redis_is_up(const struct stats * stats)
{
	uint64_t failed = stats_get_gauge(stats, STATS_CALLS_FAILED);
	uint64_t now = (uint64_t)clock_monotonic();

	return (stats_get_gauge(stats, STATS_REDIS_DOWN) == 0 &&
	    (failed == 0 || failed > now || now - failed > CALLS_FAILED_MAX));
}

void
stats_spool(struct stats * stats, enum spool_result result)
{

	stats_set(stats, STATS_SPOOL_RESULT, (uint64_t)result);
}

const char *
stats_drop_name(enum tally_drop drop)
{

	return (drops[drop]);
}

uint64_t
stats_get(const struct stats * stats, enum stats_counter counter)
{

	return (stats == NULL ? 0 :
	    atomic_value(&stats->totals->counters[counter]));
}

uint64_t
stats_get_gauge(const struct stats * stats, enum stats_gauge gauge)
{

	return (stats == NULL ? 0 :
	    atomic_value(&stats->totals->gauges[gauge]));
}

/* The text */

static void
append_metric_text(struct buffer * text, const char * string)
{

	buffer_append(text, string, strlen(string));
}

void
stats_write_metric(struct buffer * text, const char * name,
    const char * type, const char * help)
{

	append_metric_text(text, "# HELP ");
	append_metric_text(text, name);
	append_metric_text(text, " ");
	append_metric_text(text, help);
	append_metric_text(text, "\n# TYPE ");
	append_metric_text(text, name);
	append_metric_text(text, " ");
	append_metric_text(text, type);
	append_metric_text(text, "\n");
}


/* The longest number is one of 64 bits with a point in it. */
#define NUMBER_SIZE 32

/* Write ${number} / 10^${decimals} without zeros at its end. */
static const char *
format_number(char out[NUMBER_SIZE], uint64_t number, unsigned int decimals)
{
	uint64_t divisor = 1;
	int length;

	while (decimals > 0 && number % 10 == 0) {
		number /= 10;
		decimals--;
	}
	if (decimals == 0) {
		snprintf(out, NUMBER_SIZE, "%" PRIu64, number);
		return (out);
	}
	for (length = 0; length < (int)decimals; length++)
		divisor *= 10;
	snprintf(out, NUMBER_SIZE, "%" PRIu64 ".%0*" PRIu64,
	    number / divisor, (int)decimals, number % divisor);
	return (out);
}

void
stats_write_sample(struct buffer * text, const char * name,
    const char * label, const char * value, uint64_t number,
    unsigned int decimals)
{
	char digits[NUMBER_SIZE];
	size_t length;

	append_metric_text(text, name);
	if (label != NULL && value != NULL) {
		append_metric_text(text, "{");
		append_metric_text(text, label);
		append_metric_text(text, "=\"");
		length = strlen(value);
		text->length += escape_label(buffer_room(text,
		    ESCAPE_LABEL_ROOM(length)), value, length);
		append_metric_text(text, "\"}");
	}
	append_metric_text(text, " ");
	append_metric_text(text, format_number(digits, number, decimals));
	append_metric_text(text, "\n");
}

static void
write_counters(const struct family * family, const struct totals * totals,
    struct buffer * text)
{
	size_t i;

	stats_write_metric(text, family->name, "counter", family->help);
	for (i = 0; i < family->count; i++)
		stats_write_sample(text, family->name, family->label,
		    family->label == NULL ? NULL : family->values[i],
		    atomic_value(&totals->counters[family->first + i]), 0);
}

/* Write a sample of a histogram, under its name and an ending. */
static void
write_part(struct buffer * text, const char * name, const char * ending,
    const char * bound, uint64_t number, unsigned int decimals)
{
	char whole[100];

	snprintf(whole, sizeof(whole), "%s%s", name, ending);
	stats_write_sample(text, whole, bound == NULL ? NULL : "le", bound,
	    number, decimals);
}

static void
write_observations(enum stats_histogram histogram, const struct totals * totals,
    struct buffer * text)
{
	const struct histogram * numbers = &totals->histograms[histogram];
	const char * name = histograms[histogram].name;
	unsigned int decimals = histograms[histogram].decimals;
	size_t count = bound_count(histogram);
	uint64_t total = 0;
	char bound[NUMBER_SIZE];
	size_t i;

	stats_write_metric(text, name, "histogram",
	    histograms[histogram].help);
	for (i = 0; i < count; i++) {
		total += atomic_value(&numbers->buckets[i]);
		write_part(text, name, "_bucket", format_number(bound,
		    histograms[histogram].bounds[i], decimals), total, 0);
	}
	/* The same number for both: other threads may add meanwhile. */
	total += atomic_value(&numbers->buckets[count]);
	write_part(text, name, "_bucket", "+Inf", total, 0);
	write_part(text, name, "_sum", NULL, atomic_value(&numbers->sum),
	    decimals);
	write_part(text, name, "_count", NULL, total, 0);
}

/* Return the value of a gauge as it is written. */
static uint64_t
shown_gauge(const struct stats * stats, enum stats_gauge gauge)
{

	if (gauge == STATS_REDIS_DOWN)
		return (stats_redis_is_up(stats));
	if (gauge == STATS_SPOOL_RESULT)
		return (stats_get_gauge(stats, gauge) == SPOOL_DONE);
	return (stats_get_gauge(stats, gauge));
}

void
stats_write(const struct stats * stats, struct buffer * text)
{
	size_t i;

	if (stats == NULL)
		return;
	for (i = 0; i < COUNT_OF(families); i++)
		write_counters(&families[i], stats->totals, text);
	for (i = 0; i < STATS_GAUGE_COUNT; i++) {
		if (gauges[i].name == NULL)
			continue;
		stats_write_metric(text, gauges[i].name, "gauge",
		    gauges[i].help);
		stats_write_sample(text, gauges[i].name, NULL, NULL,
		    shown_gauge(stats, (enum stats_gauge)i),
		    gauges[i].decimals);
	}
	for (i = 0; i < STATS_HISTOGRAM_COUNT; i++)
		write_observations((enum stats_histogram)i, stats->totals,
		    text);
}
