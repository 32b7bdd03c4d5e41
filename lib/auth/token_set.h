#ifndef FLAGTALLY_TOKEN_SET_H
#define FLAGTALLY_TOKEN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/auth/token_file.h"
#include "lib/redis/redis.h"
#include "lib/stats/stats.h"

/*
 * Tokens that another service issues and revokes: a set in Redis whose members
 * are SHA-256 digests of whole tokens, in lower-case hexadecimal digits, with
 * `frontend:` before those of frontend tokens.  The environment is in the
 * token's own text, which the digest covers.
 */
struct token_set;

/* The longest that a request waits for an answer, in milliseconds. */
#define TOKEN_SET_TIME_MAX 1000

struct token_set_settings {
	const char * key;		/* Of the set. */
	int64_t refresh;		/* So long, in milliseconds, is an
					 * answer good, */
	int64_t grace;			/* and so long while Redis is away. */
	const char * path;		/* Where good tokens are remembered, or
					 * NULL: in this process. */
	struct stats * stats;
	bool once;			/* There will be but one request. */
};

/**
 * token_set_start(settings, redis):
 * Return an issuer that asks over ${redis}, which it takes over, in a thread
 * of its own (with once, in the caller's).  ${settings} is copied, what it
 * points to must stay.  Return NULL with errno if there is no thread.
 */
struct token_set * token_set_start(const struct token_set_settings * settings,
    struct redis * redis);

/**
 * token_set_check(issuer, token, length, kind, grant):
 * Look up a token, as token_file_check does, though one of the other kind is
 * TOKEN_UNKNOWN; it is TOKEN_UNAVAILABLE if that
 * cannot be found out now.  Any thread may call this; it waits for
 * TOKEN_SET_TIME_MAX at most.
 */
enum token_verdict token_set_check(struct token_set * issuer,
    const char * token, size_t length, enum token_kind kind,
    struct token_grant * grant);

/**
 * token_set_stop(issuer, deadline):
 * Stop asking and free the issuer, which may be NULL, with its connection.  No
 * thread may be in token_set_check.  Return false if its thread did not end by
 * ${deadline}; then it goes on using what it has until the process ends.
 */
bool token_set_stop(struct token_set * issuer, int64_t deadline);

#endif
