#ifndef FLAGTALLY_CONTRACT_H
#define FLAGTALLY_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stats;

/* The keys of Redis: their prefix, retention, and caps. */
struct sink_settings {
	struct stats * stats;		/* NULL: count nothing. */
	const char * prefix;		/* Of every key. */
	int64_t retention_hourly;	/* Seconds; 0: no such buckets. */
	int64_t retention_daily;
	size_t limit_features;		/* Caps in Redis; 0: none. */
	size_t limit_variants;
	size_t limit_out_of_range;
	size_t limit_applications;
	size_t limit_environments;
	size_t limit_seen_tokens;
	size_t limit_instances;
	size_t limit_series;
	size_t feed;			/* Entries of a feed; 0: none. */
	bool publish;			/* To the channel P:changes. */
};

#endif
