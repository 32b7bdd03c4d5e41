#ifndef FLAGTALLY_REPEATS_H
#define FLAGTALLY_REPEATS_H

#include <stdbool.h>

#include "lib/base/digest.h"

/*
 * Bodies of the last minutes, so that one that its sender repeats is counted
 * once.  A body is known by a digest of its bytes, its sender's connection id
 * and its token.  All processes of a host share one table.
 */
struct repeats;

/* Milliseconds for which a body is remembered, if it is not pushed out. */
#define REPEATS_LIFETIME ((int64_t)10 * 60 * 1000)

/* How many bodies are remembered; later ones push out the oldest. */
#define REPEATS_SIZE ((size_t)65536)

enum repeats_state {
	REPEATS_NEW,		/* The caller is to count it. */
	REPEATS_BUSY,		/* It is being counted. */
	REPEATS_COUNTED,
};

/**
 * repeats_open(path):
 * Return the table in the file that is named after ${path} (shmfile.h), which
 * all processes share that give the same path.  If the file cannot be used the
 * log says why, and the table is that of this process alone; so it is without
 * a word if ${path} is NULL.  The caller closes it.
 */
struct repeats * repeats_open(const char * path);

/**
 * repeats_begin(repeats, mac):
 * Begin the digest of a body: feed ${mac} the body's token, connection id and
 * bytes.  Any thread may call this.
 */
void repeats_begin(const struct repeats * repeats, struct digest_mac * mac);

/**
 * repeats_lock(repeats):
 * repeats_unlock(repeats):
 * Lock the table, for repeats_claim and repeats_settle, against all threads
 * and processes.  ${repeats} may be NULL.  If the lock cannot be had within
 * 100 milliseconds the table stays unlocked: all bodies are new then, and
 * nothing is remembered.
 */
void repeats_lock(struct repeats * repeats);
void repeats_unlock(struct repeats * repeats);

/**
 * repeats_claim(repeats, digest):
 * Return the state of a body; REPEATS_NEW means that the caller has claimed
 * it, and is to settle it.  The claim ends with this process.
 */
enum repeats_state repeats_claim(struct repeats * repeats,
    const unsigned char digest[DIGEST_MAC_SIZE]);

/**
 * repeats_settle(repeats, digest, counted):
 * The caller has claimed this body, and has counted it, or has not: whoever
 * repeats it is to count it.
 */
void repeats_settle(struct repeats * repeats,
    const unsigned char digest[DIGEST_MAC_SIZE], bool counted);

/**
 * repeats_close(repeats):
 * Free the table, which may be NULL; a file stays.
 */
void repeats_close(struct repeats * repeats);

#endif
