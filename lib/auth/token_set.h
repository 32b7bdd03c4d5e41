#ifndef FLAGTALLY_TOKEN_SET_H
#define FLAGTALLY_TOKEN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/auth/token_file.h"
#include "lib/redis/cluster.h"
#include "lib/stats/stats.h"

/*
 * Tokens that another service issues and revokes: a set in Redis whose members
 * are SHA-256 digests of whole tokens, in lower-case hexadecimal digits, with
 * `frontend:` before those of frontend tokens.  The environment is in the
 * token's own text, which the digest covers.
 */
struct token_set;

/* The longest that a request waits for a lookup, in milliseconds. */
#define TOKEN_SET_TIME_MAX 1000

struct token_set_settings {
	const char * key;		/* Of the set. */
	int64_t ttl;			/* Milliseconds to cache a lookup, */
	int64_t stale;			/* and to use it while Redis cannot be
					 * reached. */
	const char * path;		/* The file that caches good tokens, or
					 * NULL: cache them in memory. */
	struct stats * stats;
	bool once;			/* There is only one request. */
};

/**
 * token_set_start(settings, cluster):
 * Return a set that looks tokens up over ${cluster}, which it owns from now on,
 * in a thread of its own (with once, in the caller's).  ${settings} is copied;
 * its strings must outlive the set.  Return NULL with errno if no thread can be
 * started.
 */
struct token_set * token_set_start(const struct token_set_settings * settings,
    struct cluster * cluster);

/**
 * token_set_check(set, token, length, kind, grant):
 * Look up a token, as token_file_check does, but return TOKEN_UNKNOWN for a
 * token of the other kind, and TOKEN_UNAVAILABLE if Redis gives no answer.  Any
 * thread may call this; it waits for at most TOKEN_SET_TIME_MAX.
 */
enum token_verdict token_set_check(struct token_set * set,
    const char * token, size_t length, enum token_kind kind,
    struct token_grant * grant);

enum token_set_state {
	TOKEN_SET_OK,
	TOKEN_SET_STALE,	/* Redis does not answer; cached tokens that
				 * are good for a while are. */
	TOKEN_SET_MISSING,	/* There is no set. */
	TOKEN_SET_FAILED,	/* There is no answer for any token. */
};

/**
 * token_set_state(set):
 * Have a token looked up, and return what that says of all others.  It waits
 * as long as token_set_check.
 */
enum token_set_state token_set_state(struct token_set * set);

/**
 * token_set_why(set):
 * With once: return why the last lookup had no answer.
 */
const char * token_set_why(const struct token_set * set);

/**
 * token_set_renew(set):
 * If the file that caches good tokens was deleted, go on with a new one.  To be
 * called now and then, by one thread; ${set} can be NULL.
 */
void token_set_renew(struct token_set * set);

/**
 * token_set_stop(set, deadline):
 * Stop the thread, close the connection and free the set, which can be NULL.
 * No thread may be in token_set_check.  Return false if the thread did not end
 * by ${deadline}; then nothing is freed.
 */
bool token_set_stop(struct token_set * set, int64_t deadline);

#endif
