#ifndef FLAGTALLY_REPEATS_H
#define FLAGTALLY_REPEATS_H

#include <stdbool.h>

#include "lib/base/digest.h"

/*
 * The bodies of the last minutes, so that a body that its sender repeats is
 * counted once.  A body is identified by a digest of its bytes, its sender's
 * connection id and its token.  All processes of a host share one table.
 */
struct repeats;

/* Milliseconds for which a body is kept, unless it is evicted. */
#define REPEATS_LIFETIME ((int64_t)10 * 60 * 1000)

/* The number of digests; later bodies evict the oldest. */
#define REPEATS_SIZE ((size_t)65536)

enum repeats_state {
	REPEATS_NEW,		/* The caller has to count it. */
	REPEATS_BUSY,		/* It is being counted. */
	REPEATS_COUNTED,
};

/**
 * repeats_open(path):
 * Return the table in the file of ${path} (shmfile.h), which all processes with
 * the same path share.  If the file cannot be used, log why, and return a table
 * of this process alone, as with a ${path} of NULL.  The caller closes it.
 */
struct repeats * repeats_open(const char * path);

/**
 * repeats_begin(repeats, mac):
 * Begin the digest of a body: feed ${mac} the body's token, connection id and
 * bytes.  Any thread may call this.
 */
void repeats_begin(struct repeats * repeats, struct digest_mac * mac);

/**
 * repeats_lock(repeats):
 * repeats_unlock(repeats):
 * Lock the table, for repeats_claim and repeats_settle, against all threads
 * and processes.  ${repeats} can be NULL.  If the table cannot be locked within
 * 100 milliseconds, all bodies are new, and none is stored.  If its file was
 * deleted, the table goes on in a new one; to notice that before another
 * process creates one, call both now and then.
 */
void repeats_lock(struct repeats * repeats);
void repeats_unlock(struct repeats * repeats);

/**
 * repeats_claim(repeats, digest):
 * Return the state of a body.  REPEATS_NEW means that the caller has claimed
 * it, and has to settle it.  The claim ends with this process.
 */
enum repeats_state repeats_claim(struct repeats * repeats,
    const unsigned char digest[DIGEST_MAC_SIZE]);

/**
 * repeats_settle(repeats, digest, counted):
 * End the caller's claim on a body, which was ${counted} or not; if not, a
 * repeat of it will be counted.
 */
void repeats_settle(struct repeats * repeats,
    const unsigned char digest[DIGEST_MAC_SIZE], bool counted);

/**
 * repeats_close(repeats):
 * Free the table, which can be NULL.  Its file stays.
 */
void repeats_close(struct repeats * repeats);

#endif
