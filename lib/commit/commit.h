#ifndef FLAGTALLY_COMMIT_H
#define FLAGTALLY_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/commit/repeats.h"
#include "lib/commit/replay.h"
#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"
#include "lib/tally/tally.h"

/*
 * Group commit.  One thread, the committer, owns the sink.  It takes all
 * tallies that wait, merges them into one, makes that one durable, and gives
 * all of them back with the result.  Meanwhile the next group gathers: load
 * makes groups larger, not slower.  A thread that has submitted a tally does
 * not wait; it can serve the next request.
 */
struct committer;

struct commit_settings {
	bool spool_first;	/* All tallies go to the spool. */
	struct stats * stats;
	bool once;		/* There is at most one commit. */
	struct repeats * repeats;/* NULL: do not recognize repeats. */
};

enum commit_result {
	COMMIT_DURABLE,		/* It counts as durable. */
	COMMIT_UNAVAILABLE,	/* It is not known to be durable. */
};

/* A tally on its way.  Its submitter sets the first three. */
struct commit_ticket {
	struct tally * tally;
	const unsigned char * digest;	/* Of the body, DIGEST_MAC_SIZE bytes;
					 * NULL: it is no repeat. */
	void * owner;			/* The submitter's context. */
	enum commit_result result;	/* Once it is answered. */
	const char * why;		/* Why it is unavailable; static. */

	/* For the committer alone, until then. */
	struct commit_ticket * next;
	int64_t deadline;
	bool answered;
};

/*
 * Called with a list of tickets that are answered, linked by next, in the
 * committer's thread.  The next group waits until it returns.
 */
typedef void commit_done(void * context, struct commit_ticket * tickets);

/* The most milliseconds until a ticket is answered. */
#define COMMIT_TIME_MAX 1800

/**
 * commit_start(settings, sink, spool, replay):
 * Start a committer, which owns ${sink} and ${spool} from now on.  ${replay},
 * which must outlive it, is NULL in a process that does not replay.  Return
 * NULL with errno if its thread cannot be created.
 */
struct committer * commit_start(const struct commit_settings * settings,
    struct sink * sink, struct spool * spool, struct replay * replay);

/**
 * commit_on_answer(committer, done, context):
 * Call ${done} with ${context} for all tickets that are submitted from now on;
 * no ticket may be under way.  Without this, use commit_wait.
 */
void commit_on_answer(struct committer * committer, commit_done * done,
    void * context);

/**
 * commit_submit(committer, ticket, spent):
 * Commit the tally of ${ticket} within COMMIT_TIME_MAX, less ${spent}, the
 * milliseconds that its request has already waited.  The caller owns the ticket
 * and its tally, and must not touch them until the ticket is answered; the
 * tally's dropped is complete then.  Any thread may call this.
 */
void commit_submit(struct committer * committer,
    struct commit_ticket * ticket, int64_t spent);

/**
 * commit_wait(committer, ticket):
 * Wait until a ticket is answered.
 */
void commit_wait(struct committer * committer,
    const struct commit_ticket * ticket);

/**
 * commit_hurry(committer):
 * The process is about to end: from now on, until commit_stop, all commits
 * together have COMMIT_TIME_MAX.
 */
void commit_hurry(struct committer * committer);

/**
 * commit_stop(committer):
 * Commit the tallies that wait, stop the thread, and free the committer, which
 * can be NULL, with its sink and spool.  No call of commit_submit may be under
 * way, and the function of commit_on_answer must still be callable.
 */
void commit_stop(struct committer * committer);

#endif
