#ifndef FLAGTALLY_JSON_STRICT_H
#define FLAGTALLY_JSON_STRICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What yajl lets pass and RFC 8259 (or I-JSON, RFC 7493, for surrogates) does
 * not, where it can be seen only in the bytes before yajl has decoded them:
 * form feed and vertical tab as white space, a byte-order mark, and escapes of
 * lone surrogates, which yajl turns into other characters without a word.
 *
 * None of them needs to know whether it stands inside a string: raw control
 * characters are forbidden inside too, and a backslash outside is an error
 * that yajl finds.
 */
struct json_strict {
	uint64_t position;	/* Bytes passed so far. */
	unsigned int state;
	unsigned int digits;	/* Hexadecimal digits seen of this escape. */
	unsigned int unit;	/* Their value: a UTF-16 code unit. */
	bool after_high;	/* The unit before was a high surrogate. */
	uint64_t escape;	/* Position of the backslash of this escape. */
	uint64_t high;		/* Likewise, of the high surrogate's. */
	/* Valid once json_strict_scan has stopped early: */
	uint64_t offset;	/* Position of the byte at fault. */
	const char * detail;	/* What is wrong with it. */
};

/**
 * json_strict_init(strict):
 * Begin a new text.
 */
void json_strict_init(struct json_strict * strict);

/**
 * json_strict_scan(strict, text, length):
 * Read the next ${length} bytes of the text.  Return how many of them may be
 * handed on: ${length} if nothing is wrong, otherwise the number of bytes
 * before the one at which the fault became certain, with offset and detail
 * set; the scanner is of no further use then.
 */
size_t json_strict_scan(struct json_strict * strict, const unsigned char * text,
    size_t length);

#endif
