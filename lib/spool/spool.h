#ifndef FLAGTALLY_SPOOL_H
#define FLAGTALLY_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/tally/tally.h"

/*
 * The spool holds counts that are accepted and not in Redis yet: an SQLite
 * database on disk that all processes of a host share.  Its tables are the
 * states of a count on its way:
 *
 *	journal -> cells -> calls -> (in Redis)
 *	                      \-> quarantine
 *
 * A group is appended to the journal as it is, since answers wait for it.
 * spool_fold moves it to the cells, a row for each counter, where equal ones
 * add up.  spool_take and spool_change turn cells into calls, which have an
 * identity and may be sent.  See lib/README.md for the whole.
 *
 * A spool belongs to one thread; each thread and process opens its own.
 */
struct spool;

enum spool_state {
	SPOOL_QUEUED,		/* Never sent: journal and cells. */
	SPOOL_IN_DOUBT,		/* Calls: Redis may have applied them. */
	SPOOL_QUARANTINED,	/* Calls that Redis refused for good. */
	SPOOL_STATE_COUNT,
};

enum spool_result {
	SPOOL_DONE,
	SPOOL_FULL,		/* The limit, or the disk, is reached. */
	SPOOL_CHANGED,		/* Another process was quicker. */
	SPOOL_FAILED,		/* Not stored; the log says why. */
	SPOOL_UNKNOWN,		/* Stored or not: the disk fails. */
};

/* A call, or what is listed for another state. */
struct spool_call {
	int64_t id;			/* Never given to another. */
	int64_t tag;			/* Of cells it was made of; 0: none. */
	int64_t since;			/* Milliseconds since 1970. */
	int64_t stored;			/* The same by Redis's clock, of a
					 * call; 0: unknown. */
	uint64_t counters;		/* That it applies, about. */
	const char * reason;		/* Of a call in quarantine. */
	const void * bytes;
	size_t length;
};

struct spool_depth {
	uint64_t records;
	uint64_t bytes;
	int64_t oldest;			/* Its since; 0 if there is none. */
};

/* Cells that spool_take has read: what is to be removed with them. */
#define SPOOL_TAGS_MAX 128

struct spool_batch {
	int64_t generation;
	size_t count;
	struct {
		int64_t tag;
		struct tally_node * node;	/* The root: tokens. */
	} tags[SPOOL_TAGS_MAX];
	void * keys[SPOOL_TAGS_MAX];	/* Of the last cell of each. */
	int64_t after;			/* Where the next one goes on. */
	bool more;			/* It ended for want of room. */
};

/* Changes that belong together: all of them are made, or none. */
struct spool_change {
	const int64_t * settled;	/* Calls to remove. */
	size_t settled_count;
	const struct spool_batch * taken;	/* Cells to remove, or NULL. */
	const struct spool_call * calls;	/* To add, in doubt. */
	size_t call_count;
	const struct spool_call * refused;	/* To add to quarantine. */
	size_t refused_count;
	int64_t released;		/* To remove from it; 0: none. */
	bool lazy;			/* Losing it in a crash does no harm. */
};

/**
 * spool_open(path, limit, looks):
 * Return the spool in the file ${path}, which may grow to ${limit} bytes with
 * what SQLite keeps beside it (at least 256 KiB are allowed).  The file is
 * created with mode 0600 and its directory, if it is missing and its parent is
 * there, with 0700; with ${looks} nothing is created or renamed.  If the file
 * cannot be opened the log says so, and every use tries again (at most once a
 * second).  A spool that turns out to be damaged is renamed to
 * ${path}.damaged-TIME with a loud log, and work goes on with a new one; a file
 * that is no spool, or one of another version, is an error and left alone.  The
 * caller frees the spool.
 */
struct spool * spool_open(const char * path, uint64_t limit, bool looks);

/**
 * spool_append(spool, tally):
 * Append ${tally} to the journal.  SPOOL_DONE means that it is on disk.
 */
enum spool_result spool_append(struct spool * spool,
    const struct tally * tally);

/**
 * spool_fold(spool, begin, more):
 * Move some of the journal to the cells, in one short transaction; set
 * ${more} to whether something is left to do.  With ${begin} that is all which
 * is in the journal now, and without it only what was there then.
 */
enum spool_result spool_fold(struct spool * spool, bool begin, bool * more);

/**
 * spool_take(spool, after, counters, tally, batch):
 * Read cells into ${tally}, which is empty: of tags after ${after} (0: the
 * first) that have no calls in the spool, and of about ${counters} counters.
 * Nothing is changed.  ${batch} says what was read; it lives as long as the
 * tally, and its count is 0 if there is nothing.
 */
enum spool_result spool_take(struct spool * spool, int64_t after,
    size_t counters, struct tally * tally, struct spool_batch * batch);

/**
 * spool_release(batch):
 * Free what a batch holds, and leave it empty.
 */
void spool_release(struct spool_batch * batch);

/**
 * spool_change(spool, change):
 * Make a change.  SPOOL_CHANGED, with nothing changed, if the cells of
 * change->taken are not as they were read, or change->released is not there.
 */
enum spool_result spool_change(struct spool * spool,
    const struct spool_change * change);

/* Takes a call, which is valid during the call; returns false to stop. */
typedef bool spool_visit(void * context, const struct spool_call * call);

/**
 * spool_read(spool, state, after, visit, context):
 * Hand the calls of a state with an id greater than ${after} to ${visit}, in
 * the order of their ids; of SPOOL_QUEUED a line for each tag and record of the
 * journal, with a reason that says what it is.  ${visit} must not use the
 * spool.
 */
enum spool_result spool_read(struct spool * spool, enum spool_state state,
    int64_t after, spool_visit * visit, void * context);

/**
 * spool_depth(spool, depth):
 * Measure what is there of each state.  The records of SPOOL_QUEUED are those
 * of the journal and the tags that have cells, its bytes all that calls do not
 * take.
 */
enum spool_result spool_depth(struct spool * spool,
    struct spool_depth depth[SPOOL_STATE_COUNT]);

/**
 * spool_room(spool):
 * Return the bytes of all states together with which the spool is full.
 */
uint64_t spool_room(const struct spool * spool);

/**
 * spool_test(spool):
 * Return what spool_append would, now, for a group of some size.
 */
enum spool_result spool_test(struct spool * spool);

/**
 * spool_lock(spool):
 * Take the lease for fold and replay, which one process at a time may hold and
 * which dies with its holder.  Return whether it was free, or held by this
 * spool already.
 */
bool spool_lock(struct spool * spool);

/**
 * spool_unlock(spool):
 * Give the lease back, if it is held.
 */
void spool_unlock(struct spool * spool);

/**
 * spool_why(spool):
 * Return why a use of the spool failed last, or "".
 */
const char * spool_why(const struct spool * spool);

/**
 * spool_free(spool):
 * Close the file, give the lease back, and free the spool.
 */
void spool_free(struct spool * spool);

#endif
