#ifndef FLAGTALLY_SPOOL_H
#define FLAGTALLY_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"

/*
 * The spool: what has been accepted and is not in Redis yet, on disk, in an
 * SQLite database that all processes of a host share.  What it says it has
 * taken survives a crash of the host (synchronous=FULL).  A spool belongs to
 * one thread; other threads and processes open the same file for themselves.
 */
struct spool;

/* What a record is; its bytes are the caller's affair. */
enum spool_kind {
	SPOOL_TALLY,		/* Never sent: may be merged with others. */
	SPOOL_CALLS,		/* May have been applied: to be sent as is. */
	SPOOL_ASIDE,		/* Refused for good, with the reason. */
	SPOOL_KIND_COUNT,
};

enum spool_result {
	SPOOL_DONE,
	SPOOL_FULL,		/* The limit, or the disk, is reached. */
	SPOOL_CHANGED,		/* A record is gone: another was quicker. */
	SPOOL_FAILED,		/* It cannot be used now; the log says why. */
};

struct spool_record {
	int64_t id;			/* Grows from record to record. */
	enum spool_kind kind;
	int64_t since;			/* When it came, ms since 1970. */
	uint64_t counters;		/* In it, about. */
	uint64_t weight;		/* The caller's affair. */
	const char * reason;		/* Of SPOOL_ASIDE; otherwise "". */
	const void * bytes;
	size_t length;
};

struct spool_depth {
	uint64_t records;
	uint64_t bytes;			/* Of the records. */
	int64_t oldest;			/* Its since; 0 if there is none. */
};

/**
 * spool_open(path, limit):
 * Return the spool in the file ${path}, which may grow to ${limit} bytes (at
 * least 256 KiB are allowed).  The file is made with mode 0600 and its
 * directory, if it is missing and its parent is there, with 0700.  WAL mode is
 * used unless the file lies on a network file system.  If the file cannot be
 * opened the log says so once, and every use of the spool tries again (at most
 * once a second).  A file that turns out to be damaged is renamed to
 * ${path}.damaged-TIME with a loud log, never deleted, and work goes on with a
 * new one; a file that another process has renamed is noticed before the next
 * write.  The caller frees the spool.
 */
struct spool * spool_open(const char * path, uint64_t limit);

/**
 * spool_append(spool, record):
 * Add a record, of which all but the id is given.  SPOOL_DONE means that it is
 * on disk; ${record->id} is set then.
 */
enum spool_result spool_append(struct spool * spool,
    struct spool_record * record);

/**
 * spool_replace(spool, ids, count, records, record_count):
 * In one transaction remove the ${count} records ${ids} and add
 * ${record_count} records (which may be 0).  If one of those to be removed is
 * not there nothing is changed: SPOOL_CHANGED.
 */
enum spool_result spool_replace(struct spool * spool, const int64_t * ids,
    size_t count, struct spool_record * records, size_t record_count);

/* Takes a record, which is valid during the call; returns false to stop. */
typedef bool spool_take(void * context, const struct spool_record * record);

/**
 * spool_read(spool, kind, after, take, context):
 * Hand the records of one kind with an id greater than ${after} to ${take}, in
 * the order of their ids.  ${take} must not use the spool.
 */
enum spool_result spool_read(struct spool * spool, enum spool_kind kind,
    int64_t after, spool_take * take, void * context);

/**
 * spool_depth(spool, kind, depth):
 * Count the records of one kind.
 */
enum spool_result spool_depth(struct spool * spool, enum spool_kind kind,
    struct spool_depth * depth);

/**
 * spool_lock(spool):
 * Take the lease for replay, which one process at a time may hold and which
 * dies with its holder.  Return whether it was free, or held by this spool
 * already.
 */
bool spool_lock(struct spool * spool);

/**
 * spool_unlock(spool):
 * Give the lease back, if it is held.
 */
void spool_unlock(struct spool * spool);

/**
 * spool_free(spool):
 * Close the file, give the lease back, and free the spool.
 */
void spool_free(struct spool * spool);

#endif
