#include "lib/base/log.h"
#include "lib/tally/tally_drop.h"

/* The most bytes of a name to log. */
#define LOG_NAME_MAX 512

static const char * const reasons[DROP_COUNT] = {
	[DROP_NAME] = "Prometheus allows no such name",
	[DROP_NULL] = "a number is null",
	[DROP_INVALID] = "a counter cannot fall",
	[DROP_TYPE] = "another metric has this name or a histogram's",
	[DROP_OVERFLOW] = "a sum is too large for a double",
	[DROP_LABELS] = "limit_labels is reached",
	[DROP_FEATURES] = "limit_features is reached",
	[DROP_VARIANTS] = "limit_variants is reached",
	[DROP_OUT_OF_RANGE] = "limit_out_of_range_buckets is reached",
	[DROP_APPLICATIONS] = "limit_apps is reached",
	[DROP_ENVIRONMENTS] = "limit_environments is reached",
	[DROP_INSTANCES] = "limit_instances is reached",
	[DROP_SERIES] = "limit_series is reached",
	[DROP_SEEN_TOKENS] = "limit_seen_tokens is reached",
	[DROP_EDGES] = "256 instances of Edge are kept",
};

/* Of all threads of the process. */
static struct log_limit limits[DROP_COUNT];

void
tally_drop_log(enum tally_drop drop, const char * name, size_t length,
    uint64_t count)
{
	uint64_t others;

	if (reasons[drop] == NULL)
		return;
	/* log_allowed counts one itself. */
	if (!log_allowed(&limits[drop], &others))
		limits[drop].suppressed += count - 1;
	else
		log_warning("%s: %.*s is dropped, and %llu others since the "
		    "last such line", reasons[drop],
		    (int)(length < LOG_NAME_MAX ? length : LOG_NAME_MAX),
		    name, (unsigned long long)(others + count - 1));
}
