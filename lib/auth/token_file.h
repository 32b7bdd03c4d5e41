#ifndef FLAGTALLY_TOKEN_FILE_H
#define FLAGTALLY_TOKEN_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/digest.h"

/*
 * The token file.  Only SHA-256 digests of its tokens are kept in memory.
 *
 * A line is `project:environment.secret`, or `sha256:HEX ENVIRONMENT` with the
 * digest of such a token, and then attributes `key=value`: `type` is one of
 * client (the default), backend, frontend, and admin.  # begins a comment.
 */
struct token_file;

/* Where a token may report; types backend and admin are the same as client. */
enum token_kind {
	TOKEN_CLIENT,		/* Paths for backend SDKs and Edge. */
	TOKEN_FRONTEND,		/* Paths for frontend SDKs. */
};

#define TOKEN_ENVIRONMENT_MAX 255

enum token_verdict {
	TOKEN_GRANTED,
	TOKEN_UNKNOWN,
	TOKEN_FORBIDDEN,	/* Known, but of the other kind. */
	TOKEN_UNAVAILABLE,	/* Cannot be decided now. */
};

/* The rights of a token. */
struct token_grant {
	unsigned char digest[DIGEST_SIZE];	/* Of the token; set by the
						 * caller. */
	bool any_environment;
	size_t environment_length;
	char environment[TOKEN_ENVIRONMENT_MAX + 1];
};

/**
 * token_file_open(path):
 * Return a store of the tokens in the file ${path}.  If the file is invalid or
 * unreadable, log why; until it is repaired, token_file_check returns
 * TOKEN_UNAVAILABLE.  The caller frees the store.
 */
struct token_file * token_file_open(const char * path);

/**
 * token_file_reload(store):
 * Read the file again.  If it is invalid or unreadable, log why and keep the
 * tokens as they were.  Any thread may call this.
 */
void token_file_reload(struct token_file * store);

/**
 * token_file_refresh(store, wait):
 * Read the file again if it has changed, and return true.  If another thread is
 * doing so, wait for it if ${wait} is set, else return false.  Any thread may
 * call this.
 */
bool token_file_refresh(struct token_file * store, bool wait);

/**
 * token_file_check(store, token, length, kind, grant):
 * Look up a token that must be of ${kind}.  If the result is TOKEN_GRANTED,
 * fill in ${grant}.  Any thread may call this.
 */
enum token_verdict token_file_check(struct token_file * store,
    const char * token, size_t length, enum token_kind kind,
    struct token_grant * grant);

/**
 * token_file_admit(store, token, length, kind, grant):
 * Like token_file_check, but read the file again first if it has changed.
 */
enum token_verdict token_file_admit(struct token_file * store,
    const char * token, size_t length, enum token_kind kind,
    struct token_grant * grant);

enum token_file_state {
	TOKEN_FILE_OK,
	TOKEN_FILE_EMPTY,	/* There is no token in it. */
	TOKEN_FILE_UNUSABLE,	/* It is invalid or unreadable, and no tokens
				 * are in force. */
};

/**
 * token_file_state(store):
 * Read the file again if it has changed, and return its state.
 */
enum token_file_state token_file_state(struct token_file * store);

/**
 * token_file_environment(token, length, size):
 * Return the environment in a token of the form `project:environment.secret`,
 * with its length in ${size}.  Return NULL if the token is of another form, or
 * its environment is longer than TOKEN_ENVIRONMENT_MAX.
 */
const char * token_file_environment(const char * token, size_t length,
    size_t * size);

/**
 * token_file_grant(grant, environment, length):
 * Let ${grant} allow reports for this environment, or for any if it is `*`.
 */
void token_file_grant(struct token_grant * grant, const char * environment,
    size_t length);

/**
 * token_file_free(store):
 * Free the store, which can be NULL.
 */
void token_file_free(struct token_file * store);

#endif
