#ifndef FLAGTALLY_COMMIT_H
#define FLAGTALLY_COMMIT_H

#include <stdint.h>

#include "lib/sink.h"
#include "lib/tally.h"

/*
 * Group commit.  One thread, the committer, owns the sink.  It takes all
 * tallies that wait, merges them into one, puts that one into Redis, and wakes
 * all who wait with the result.  Meanwhile the next group gathers: load makes
 * groups larger, not slower.
 */
struct committer;

enum commit_result {
	COMMIT_DURABLE,		/* It is in Redis. */
	COMMIT_UNAVAILABLE,	/* It is not, as far as is known. */
};

/* The longest that commit_tally takes, in milliseconds. */
#define COMMIT_TIME_MAX 1800

/**
 * commit_start(sink):
 * Start a committer, which takes over ${sink}.  Return NULL with errno if its
 * thread cannot be created.
 */
struct committer * commit_start(struct sink * sink);

/**
 * commit_tally(committer, tally):
 * Commit a tally; wait for it for COMMIT_TIME_MAX at most.  The tally stays
 * the caller's; its dropped is only then complete.  Any thread may call this.
 */
enum commit_result commit_tally(struct committer * committer,
    struct tally * tally);

/**
 * commit_hurry(committer):
 * From now on, until commit_stop, everything that is committed has
 * COMMIT_TIME_MAX in all: the process is to end.
 */
void commit_hurry(struct committer * committer);

/**
 * commit_stop(committer):
 * Commit what waits, stop the thread, and free the committer and its sink.  No
 * other call may be under way that has not handed over its tally.
 */
void commit_stop(struct committer * committer);

#endif
