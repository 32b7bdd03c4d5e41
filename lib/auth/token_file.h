#ifndef FLAGTALLY_TOKEN_FILE_H
#define FLAGTALLY_TOKEN_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/digest.h"

/*
 * Who may come in: a file of tokens, of which only SHA-256 digests are kept.
 *
 * A line is `project:environment.secret`, or `sha256:HEX ENVIRONMENT` with the
 * digest of such a token, and then attributes `key=value`: `type` is one of
 * client (the default), backend, frontend and admin.  # begins a comment.
 */
struct token_file;

/* Where a token may report; backend and admin are as client. */
enum token_kind {
	TOKEN_CLIENT,		/* What is for backends, and bulk. */
	TOKEN_FRONTEND,		/* What is for frontends. */
};

#define TOKEN_ENVIRONMENT_MAX 255

enum token_verdict {
	TOKEN_GRANTED,
	TOKEN_UNKNOWN,
	TOKEN_FORBIDDEN,	/* Known, but of the other kind. */
	TOKEN_UNAVAILABLE,	/* No file could be read so far. */
};

/* What a token may do. */
struct token_grant {
	unsigned char digest[DIGEST_SIZE];	/* Of the token; the caller's
						 * to set. */
	bool any_environment;
	size_t environment_length;
	char environment[TOKEN_ENVIRONMENT_MAX + 1];
};

/**
 * token_file_open(path):
 * Return a store of the tokens in the file ${path}.  If the file is at fault
 * the log says so, and the store has no tokens until it has been mended.  The
 * caller frees the store.
 */
struct token_file * token_file_open(const char * path);

/**
 * token_file_reload(store):
 * Read the file again.  If it is at fault the log says so and the tokens stay
 * as they were.  Any thread may call this.
 */
void token_file_reload(struct token_file * store);

/**
 * token_file_refresh(store, wait):
 * Read the file again if it has changed.  If another thread is about to, wait
 * for it or return false, as ${wait} says.  Any thread may call this.
 */
bool token_file_refresh(struct token_file * store, bool wait);

/**
 * token_file_check(store, token, length, kind, grant):
 * Look up a token that must be of ${kind}.  If it is granted, ${grant} says
 * what it may do.  Any thread may call this.
 */
enum token_verdict token_file_check(struct token_file * store,
    const char * token, size_t length, enum token_kind kind,
    struct token_grant * grant);

/**
 * token_file_admit(store, token, length, kind, grant):
 * Do as token_file_check does, with the file as it is now.
 */
enum token_verdict token_file_admit(struct token_file * store,
    const char * token, size_t length, enum token_kind kind,
    struct token_grant * grant);

/**
 * token_file_environment(token, length, size):
 * Return where in a token of the form `project:environment.secret` the
 * environment stands, and its length in ${size}; NULL if the token is of
 * another form, or the environment longer than TOKEN_ENVIRONMENT_MAX.
 */
const char * token_file_environment(const char * token, size_t length,
    size_t * size);

/**
 * token_file_grant(grant, environment, length):
 * Make ${grant} say that this environment, or any if it is `*`, may be
 * reported.
 */
void token_file_grant(struct token_grant * grant, const char * environment,
    size_t length);

/**
 * token_file_free(store):
 * Free the store.
 */
void token_file_free(struct token_file * store);

#endif
