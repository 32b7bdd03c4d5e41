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
 * A group is appended to the journal as it is, since responses wait for it.
 * spool_fold moves it to the cells, a row for each counter, where equal ones
 * add up.  spool_take and spool_change turn cells into calls, which have an
 * identity and can be sent.  lib/README.md has the whole design.
 *
 * A spool belongs to one thread; each thread and process opens its own.
 */
struct spool;

enum spool_state {
	SPOOL_QUEUED,		/* Never sent: journal and cells. */
	SPOOL_IN_DOUBT,		/* Calls: Redis may have applied them. */
	SPOOL_QUARANTINED,	/* Calls that Redis rejected permanently. */
	SPOOL_STATE_COUNT,
};

enum spool_result {
	SPOOL_DONE,
	SPOOL_FULL,		/* The limit, or the disk, is reached. */
	SPOOL_CHANGED,		/* Another process changed it first. */
	SPOOL_FAILED,		/* Not stored; the log says why. */
	SPOOL_UNKNOWN,		/* Stored or not: the disk fails. */
};

/* A call, or a row of another state's list. */
struct spool_call {
	int64_t id;			/* Never used again. */
	int64_t tag;			/* Of the cells that it was made from;
					 * 0: none. */
	int64_t since;			/* Milliseconds since 1970. */
	int64_t stored;			/* The same by Redis's clock, of a
					 * call; 0: unknown. */
	uint64_t counters;		/* Number of counters, roughly. */
	const char * reason;		/* Of a call in quarantine. */
	const void * bytes;
	size_t length;
};

struct spool_depth {
	uint64_t records;
	uint64_t bytes;
	int64_t oldest;			/* Its since; 0 if there is none. */
};

/* Cells that spool_take has read, for spool_change to remove. */
#define SPOOL_TAGS_MAX 128

struct spool_batch {
	int64_t generation;
	size_t count;
	struct {
		int64_t tag;
		struct tally_node * node;	/* The root: tokens. */
	} tags[SPOOL_TAGS_MAX];
	void * keys[SPOOL_TAGS_MAX];	/* Of the last cell of each. */
	int64_t after;			/* For the next spool_take. */
	bool more;			/* There was no room for all cells. */
};

/* Changes that are made in one transaction: all or none. */
struct spool_change {
	const int64_t * settled;	/* Calls to remove. */
	size_t settled_count;
	const struct spool_batch * taken;	/* Cells to remove, or NULL. */
	const struct spool_call * calls;	/* To add, in doubt. */
	size_t call_count;
	const struct spool_call * refused;	/* To add to quarantine. */
	size_t refused_count;
	int64_t released;		/* To remove from it; 0: none. */
};

/**
 * spool_open(path, limit, looks):
 * Return the spool in the file ${path}, which may grow to ${limit} bytes, with
 * SQLite's files beside it (at least 256 KiB are allowed).  Create the file
 * with mode 0600, and its directory with 0700 if only that is missing.  If the
 * file cannot be opened, log why; every use tries again, at most once a second.
 * If a spool turns out to be damaged, log an error, rename it to
 * ${path}.damaged-TIME, and go on with a new one.  A file that is no spool, or
 * one of another version, is an error, and stays as it is.  With ${looks}, the
 * spool can be read only, and no file is created, changed or renamed; this
 * process must not open it a second time.  The caller frees the spool.
 */
struct spool * spool_open(const char * path, uint64_t limit, bool looks);

/**
 * spool_append(spool, tally):
 * Append ${tally} to the journal.  Return SPOOL_DONE when it is on disk.
 */
enum spool_result spool_append(struct spool * spool,
    const struct tally * tally);

/**
 * spool_fold(spool, begin, more):
 * Move some of the journal to the cells, in one short transaction, and set
 * ${more} to whether records are left.  With ${begin}, these are all that are
 * in the journal now; without it, only those that were there at the last
 * ${begin}.
 */
enum spool_result spool_fold(struct spool * spool, bool begin, bool * more);

/**
 * spool_take(spool, after, counters, tally, batch):
 * Read about ${counters} cells into ${tally}, which must be empty: those of
 * tags after ${after} (0: from the first on) that have no calls in the spool.
 * Change nothing.  Fill in ${batch}, which is valid as long as the tally; its
 * count is 0 if there are no such cells.
 */
enum spool_result spool_take(struct spool * spool, int64_t after,
    size_t counters, struct tally * tally, struct spool_batch * batch);

/**
 * spool_release(batch):
 * Free what a batch holds, and make it empty.
 */
void spool_release(struct spool_batch * batch);

/**
 * spool_change(spool, change):
 * Make a change, and sync it.  Return SPOOL_CHANGED, and change nothing, if
 * the cells of change->taken have changed since they were read, if
 * change->released does not exist, or if a call of change->settled does not,
 * and others are added in its place.
 */
enum spool_result spool_change(struct spool * spool,
    const struct spool_change * change);

/* Called with a call, which is valid until it returns; false means stop. */
typedef bool spool_visit(void * context, const struct spool_call * call);

/**
 * spool_read(spool, state, after, visit, context):
 * Pass the calls of a state with an id greater than ${after} to ${visit}, in
 * the order of their ids.  For SPOOL_QUEUED, pass a row for each tag and each
 * record of the journal, with a description as the reason.  ${visit} must not
 * use the spool.
 */
enum spool_result spool_read(struct spool * spool, enum spool_state state,
    int64_t after, spool_visit * visit, void * context);

/**
 * spool_depth(spool, depth):
 * Measure the depth of each state.  The records of SPOOL_QUEUED are those of
 * the journal and the tags that have cells, and its bytes all that calls do not
 * take.
 */
enum spool_result spool_depth(struct spool * spool,
    struct spool_depth depth[SPOOL_STATE_COUNT]);

/**
 * spool_is_full(spool, depth):
 * Return whether, with this ${depth}, there is no room for what spool_test
 * tries.
 */
bool spool_is_full(const struct spool * spool,
    const struct spool_depth depth[SPOOL_STATE_COUNT]);

/**
 * spool_test(spool):
 * Return what spool_append would return now for a group of 32 KiB.
 */
enum spool_result spool_test(struct spool * spool);

/**
 * spool_lock(spool):
 * Take the lease for fold and replay, which one process at a time can hold, and
 * which ends with that process.  Return true if this spool has the lease now,
 * or had it already.
 */
bool spool_lock(struct spool * spool);

/**
 * spool_unlock(spool):
 * Release the lease, if this spool has it.
 */
void spool_unlock(struct spool * spool);

/**
 * spool_why(spool):
 * Return the reason of the last failure, or "".
 */
const char * spool_why(const struct spool * spool);

/**
 * spool_free(spool):
 * Close the file, release the lease, and free the spool, which can be NULL.
 */
void spool_free(struct spool * spool);

#endif
