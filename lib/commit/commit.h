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
 * tallies that wait, merges them into one, makes that one durable, and hands
 * all of them back with the result.  Meanwhile the next group gathers: load
 * makes groups larger, not slower.  A thread that has handed over a tally does
 * not wait; it can serve the next request.
 */
struct committer;

struct commit_settings {
	bool spool_first;	/* Answers wait for the spool, not for Redis. */
	struct stats * stats;
	bool once;		/* There will be one commit at most. */
	struct repeats * repeats;/* NULL: every body is a new one. */
};

enum commit_result {
	COMMIT_DURABLE,		/* It is, or counts as, durable. */
	COMMIT_UNAVAILABLE,	/* It is not, as far as is known. */
};

/* A tally on its way.  Its submitter sets the first three. */
struct commit_ticket {
	struct tally * tally;
	const unsigned char * digest;	/* Of the body, DIGEST_MAC_SIZE bytes;
					 * NULL: it is no repeat. */
	void * owner;			/* The submitter's, handed back. */
	enum commit_result result;	/* Once it is answered. */
	const char * why;		/* It is unavailable; a static text. */

	/* The committer's, until then. */
	struct commit_ticket * next;
	int64_t deadline;
	bool answered;
};

/*
 * What takes tickets that are answered: a list of them, linked by next.  It is
 * called by the committer's thread, and holds up the next group.
 */
typedef void commit_done(void * context, struct commit_ticket * tickets);

/* The longest that an answer takes, in milliseconds. */
#define COMMIT_TIME_MAX 1800

/**
 * commit_start(settings, sink, spool, replay):
 * Start a committer, which takes over ${sink} and ${spool}; ${replay}, which
 * must outlive it, is NULL in a process that does not replay.  Return NULL with
 * errno if its thread cannot be created.
 */
struct committer * commit_start(const struct commit_settings * settings,
    struct sink * sink, struct spool * spool, struct replay * replay);

/**
 * commit_on_answer(committer, done, context):
 * Have ${done} called with ${context} for all tickets that are submitted from
 * now on; nothing may be under way.  Without it commit_wait waits for them.
 */
void commit_on_answer(struct committer * committer, commit_done * done,
    void * context);

/**
 * commit_submit(committer, ticket, spent):
 * Commit the tally of ${ticket}, in COMMIT_TIME_MAX at most, less ${spent}, the
 * milliseconds that its request has waited for something else already.  The
 * ticket and its tally stay the caller's, and must stay as they are until the
 * ticket is handed back; the tally's dropped is complete then.  Any thread may
 * call this.
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
 * From now on, until commit_stop, everything that is committed has
 * COMMIT_TIME_MAX in all: the process is to end.
 */
void commit_hurry(struct committer * committer);

/**
 * commit_stop(committer):
 * Commit what waits, stop the thread, and free the committer with its sink and
 * spool.  No call of commit_submit may be under way, and what takes the
 * tickets must still be there.
 */
void commit_stop(struct committer * committer);

#endif
