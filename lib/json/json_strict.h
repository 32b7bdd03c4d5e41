#ifndef FLAGTALLY_JSON_STRICT_H
#define FLAGTALLY_JSON_STRICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Finds what yajl accepts although RFC 8259 (or I-JSON, RFC 7493, for
 * surrogates) forbids it, and what is visible only in the raw bytes: form feed
 * and vertical tab as white space, the byte-order marks of UTF-16, and escapes
 * of lone surrogates, which yajl silently replaces.
 *
 * The scanner need not know whether it is inside a string: raw control
 * characters are forbidden inside too, and yajl reports a backslash outside.
 */
struct json_strict {
	uint64_t position;	/* Bytes passed so far. */
	unsigned int state;
	unsigned int digits;	/* Hexadecimal digits seen of this escape. */
	unsigned int unit;	/* Their value: a UTF-16 code unit. */
	bool after_high;	/* The unit before was a high surrogate. */
	uint64_t escape;	/* Position of the backslash of this escape. */
	uint64_t high;		/* The same for the high surrogate. */
	/* Valid once json_strict_scan has stopped early: */
	uint64_t offset;	/* Offset of the invalid byte. */
	const char * detail;	/* What is wrong with it. */
};

/**
 * json_strict_init(strict):
 * Begin a new text.
 */
void json_strict_init(struct json_strict * strict);

/**
 * json_strict_scan(strict, text, length):
 * Read the next ${length} bytes.  Return how many of them to pass on: ${length}
 * if they are valid, otherwise the number of bytes before the one that proves
 * the error, with offset and detail set; the scanner is unusable
 * then, unless json_strict_forgive returns true.
 */
size_t json_strict_scan(struct json_strict * strict, const unsigned char * text,
    size_t length);

/**
 * json_strict_forgive(strict):
 * The scanner has stopped early.  Return true, and go on with the byte at
 * fault when the scanner is called next, if the fault is a lone surrogate;
 * all else cannot be forgiven.
 */
bool json_strict_forgive(struct json_strict * strict);

#endif
