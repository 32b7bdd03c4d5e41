#ifndef FLAGTALLY_JSON_TOKEN_H
#define FLAGTALLY_JSON_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where the tokens of a JSON text begin.  Nobody needs it while all goes well,
 * so nobody keeps a book on it: the few bytes in question are looked at when
 * somebody asks.
 */
struct json_token {
	uint64_t start;			/* Of the latest token. */
	char first;			/* Its first byte. */
	unsigned int state;		/* See lexeme.c; 0 between tokens. */
	unsigned int left;		/* Bytes that a literal still lacks. */
	bool value;			/* It is a value, or ends one. */
	bool misplaced;			/* So was the one before. */
};

/**
 * json_token_read(token, text, position, length):
 * Go on over the next ${length} bytes of a text, the first of which stands at
 * ${position} of it; ${token} is zeroed where a token may begin.  Afterwards
 * it is about the latest token that has begun, of which every comma, colon and
 * bracket is one.  The text up to there must be right but for its last token;
 * what follows a value at once where a comma should be is the last.
 */
void json_token_read(struct json_token * token, const char * text,
    uint64_t position,
    size_t length);

/**
 * json_token_open(token):
 * Return whether the latest token has not ended; a number may always go on.
 */
bool json_token_open(const struct json_token * token);

#endif
