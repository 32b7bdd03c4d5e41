#ifndef FLAGTALLY_SINK_H
#define FLAGTALLY_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/redis.h"
#include "lib/tally.h"

/*
 * The sink puts tallies into Redis: it knows the keys (version 1 of the
 * contract with readers, see README.md), and how a tally gets there exactly
 * once.  It belongs to one thread.
 */
struct sink;

struct sink_settings {
	const char * prefix;		/* Of every key. */
	int64_t retention_hour;		/* Seconds; 0: no such buckets. */
	int64_t retention_day;
	size_t limit_features;		/* Caps in Redis; 0: none. */
	size_t limit_applications;
	size_t limit_instances;
	size_t limit_series;
};

enum sink_result {
	SINK_APPLIED,		/* All is in Redis but for what is marked. */
	SINK_UNAVAILABLE,	/* Redis cannot be asked, or cannot now. */
};

/**
 * sink_create(settings, redis):
 * Return a sink that writes over ${redis}, which it takes over.  ${settings}
 * must outlive it.
 */
struct sink * sink_create(const struct sink_settings * settings,
    struct redis * redis);

/**
 * sink_commit(sink, tally, deadline):
 * Put ${tally} into Redis by ${deadline}.  Return SINK_APPLIED if all of it is
 * there exactly once, except for the applications and environments whose node
 * is marked as refused: Redis will never take what they hold (a key of another
 * type, say), nothing of that was applied, and the log says so.  What was
 * dropped on the way is added to the tally's dropped.  Return SINK_UNAVAILABLE
 * if that could not be done in time; of what was sent without an answer nobody
 * knows whether it was applied.
 */
enum sink_result sink_commit(struct sink * sink, struct tally * tally,
    int64_t deadline);

/**
 * sink_free(sink):
 * Free the sink and its connection.
 */
void sink_free(struct sink * sink);

#endif
