#ifndef FLAGTALLY_COMMIT_H
#define FLAGTALLY_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/replay.h"
#include "lib/sink.h"
#include "lib/spool.h"
#include "lib/stats.h"
#include "lib/tally.h"

/*
 * Group commit.  One thread, the committer, owns the sink.  It takes all
 * tallies that wait, merges them into one, makes that one durable, and wakes
 * all who wait with the result.  Meanwhile the next group gathers: load makes
 * groups larger, not slower.
 */
struct committer;

/* What has to have happened before a request is answered. */
enum commit_ack {
	COMMIT_ACK_REDIS,	/* Redis has it, or else the spool. */
	COMMIT_ACK_SPOOL,	/* The spool has it. */
	COMMIT_ACK_MEMORY,	/* Nothing: it is in memory. */
};

struct commit_settings {
	enum commit_ack ack;
	int64_t interval;	/* With ack=memory: ms between two commits. */
	struct stats * stats;
	bool once;		/* There will be one commit at most. */
};

enum commit_result {
	COMMIT_DURABLE,		/* It is, or counts as, durable. */
	COMMIT_UNAVAILABLE,	/* It is not, as far as is known. */
	COMMIT_TOO_LARGE,	/* It would take more than limit_memory. */
};

/* The longest that commit_tally takes, in milliseconds. */
#define COMMIT_TIME_MAX 1800

/**
 * commit_start(settings, sink, spool, replay):
 * Start a committer, which takes over ${sink} and ${spool}; ${spool} is
 * NULL where there is none, and ${replay} where nobody replays.  ${replay}
 * must outlive it.
 * Return NULL with errno if its thread cannot be created.
 */
struct committer * commit_start(const struct commit_settings * settings,
    struct sink * sink, struct spool * spool, struct replay * replay);

/**
 * commit_tally(committer, tally, spent):
 * Commit a tally; wait for it for COMMIT_TIME_MAX at most, less ${spent}, the
 * milliseconds that its request has waited for something else already.  The
 * tally stays the caller's; its dropped is only then complete.  Any thread may
 * call this.
 */
enum commit_result commit_tally(struct committer * committer,
    struct tally * tally, int64_t spent);

/**
 * commit_hurry(committer):
 * From now on, until commit_stop, everything that is committed has
 * COMMIT_TIME_MAX in all: the process is to end.
 */
void commit_hurry(struct committer * committer);

/**
 * commit_stop(committer):
 * Commit what waits, stop the thread, and free the committer with its sink and
 * spool.  No other call may be under way that has not handed over its tally.
 */
void commit_stop(struct committer * committer);

#endif
