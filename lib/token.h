#ifndef FLAGTALLY_TOKEN_H
#define FLAGTALLY_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Who may come in: a file of tokens, of which only SHA-256 digests are kept.
 *
 * A line is `project:environment.secret`, or `sha256:HEX ENVIRONMENT` with the
 * digest of such a token, and then attributes `key=value`: `type` is one of
 * client (if it is not said), backend, frontend and admin.  # begins a comment.
 */
struct token_store;

#define TOKEN_ENVIRONMENT_MAX 255

enum token_verdict {
	TOKEN_GRANTED,
	TOKEN_UNKNOWN,
	TOKEN_FORBIDDEN,	/* Known, but of a type that may not report. */
	TOKEN_UNAVAILABLE,	/* No file could be read so far. */
};

/* What a token may do. */
struct token_grant {
	bool any_environment;
	size_t environment_length;
	char environment[TOKEN_ENVIRONMENT_MAX + 1];
};

/**
 * token_store_open(path):
 * Return a store of the tokens in the file ${path}.  If the file is at fault
 * the log says so, and the store has no tokens until it has been mended.  The
 * caller frees the store.
 */
struct token_store * token_store_open(const char * path);

/**
 * token_store_reload(store):
 * Read the file again.  If it is at fault the log says so and the tokens stay
 * as they were.  Any thread may call this.
 */
void token_store_reload(struct token_store * store);

/**
 * token_store_refresh(store):
 * Read the file again if it has changed; looks at most once a second.  Any
 * thread may call this.
 */
void token_store_refresh(struct token_store * store);

/**
 * token_check(store, token, length, grant):
 * Look up a token.  If it is granted, ${grant} says what it may do.  Any
 * thread may call this.
 */
enum token_verdict token_check(struct token_store * store,
    const char * token, size_t length, struct token_grant * grant);

/**
 * token_store_free(store):
 * Free the store.
 */
void token_store_free(struct token_store * store);

#endif
