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
 * makes groups larger, not slower.  Nobody has to wait for it: a thread that
 * has handed over a tally can serve the next request.
 *
 * What is large keeps Redis for some milliseconds, and goes to a committer of
 * its own.  The calls of two connections take turns in Redis, so what is small
 * is not behind a large group there, and whoever sends large bodies delays none
 * but those who do so too.  Of each it is the memory that counts (cost.h); a
 * group of what is not large has less of it than others may.
 */
#define COMMIT_LARGE ((size_t)256 * 1024)
#define COMMIT_SMALL_MAX ((size_t)4 * 1024 * 1024)

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
	struct committer * large;/* Takes what is large; NULL: nobody. */
	struct repeats * repeats;/* NULL: every body is a new one. */
};

enum commit_result {
	COMMIT_DURABLE,		/* It is, or counts as, durable. */
	COMMIT_UNAVAILABLE,	/* It is not, as far as is known. */
	COMMIT_TOO_LARGE,	/* It would take more than limit_memory. */
};

/* A tally on its way.  Whoever submits it sets the first three. */
struct commit_ticket {
	struct tally * tally;
	const unsigned char * digest;	/* Of the body, DIGEST_MAC_SIZE bytes;
					 * NULL: it is no repeat. */
	void * owner;			/* For whom the answer is for. */
	enum commit_result result;	/* Once it is answered. */

	/* The committer's, until then. */
	struct commit_ticket * next;
	size_t cost;			/* Of the tally. */
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
 * Start a committer, which takes over ${sink}, ${spool} and the one for what is
 * large; ${spool} is NULL where there is none, and ${replay} where nobody
 * replays.  ${replay} must outlive it.
 * Return NULL with errno if its thread cannot be created.
 */
struct committer * commit_start(const struct commit_settings * settings,
    struct sink * sink, struct spool * spool, struct replay * replay);

/**
 * commit_on_answer(committer, done, context):
 * Have ${done} called with ${context} for all tickets that are submitted from
 * now on, also by two threads at once if there is one for what is large;
 * nothing may be under way.  Without it, and without such a one, commit_wait
 * waits for them.
 */
void commit_on_answer(struct committer * committer, commit_done * done,
    void * context);

/**
 * commit_submit(committer, ticket, spent):
 * Commit the tally of ${ticket}, in COMMIT_TIME_MAX at most, less ${spent}, the
 * milliseconds that its request has waited for something else already.
 * Return true if the ticket was taken: it and its tally must stay as they are
 * until it is handed back.  Otherwise it is answered already.  In any case both
 * stay the caller's, and the tally's dropped is complete when it is answered.
 * Any thread may call this; with ack=memory it may wait for room.
 */
bool commit_submit(struct committer * committer,
    struct commit_ticket * ticket, int64_t spent);

/**
 * commit_wait(committer, ticket):
 * Wait until a ticket that was taken is answered.
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
