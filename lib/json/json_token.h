#ifndef FLAGTALLY_JSON_TOKEN_H
#define FLAGTALLY_JSON_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Finds where the tokens of a JSON text begin.  Token positions are needed only
 * for error reports, so they are not tracked; the last few bytes are rescanned
 * on demand.
 */
struct json_token {
	uint64_t start;			/* Of the latest token. */
	char first;			/* Its first byte. */
	unsigned int state;		/* Of json_token.c; 0: between. */
	unsigned int left;		/* Missing bytes of a literal. */
	bool value;			/* The token is or ends a value. */
	bool misplaced;			/* So did the previous token. */
};

/**
 * json_token_read(token, text, position, length):
 * Advance over the next ${length} bytes of a text, the first of which is at
 * offset ${position}.  ${token} is all zero where a token can begin.
 * Afterwards it describes the latest token that began; each comma, colon and
 * bracket is a token.  The text must be valid except for its last token.  A
 * value that follows another one without a comma counts as the last token.
 */
void json_token_read(struct json_token * token, const char * text,
    uint64_t position,
    size_t length);

/**
 * json_token_open(token):
 * Return true if the latest token has not ended.  A number can always go on.
 */
bool json_token_open(const struct json_token * token);

#endif
