#ifndef FLAGTALLY_UNITS_H
#define FLAGTALLY_UNITS_H

#include <stdint.h>

/* Numbers with units, as written in a configuration. */
enum quantity {
	UNITS_COUNT,		/* No unit. */
	UNITS_SIZE,		/* Bytes: with K, M or G, 1024 and so on. */
	UNITS_DURATION,	/* Milliseconds: with ms, s, m, h or d; s. */
	UNITS_MODE,		/* Octal digits. */
};

/* The largest quantity. */
#define UNITS_MAX ((uint64_t)1 << 52)

/**
 * units_parse(text, kind, least, most, number):
 * Parse ${text} into ${number}, from ${least} to ${most}.  Return NULL, or the
 * error as a static text that can follow the key's name.
 */
const char * units_parse(const char * text, enum quantity kind,
    uint64_t least, uint64_t most, uint64_t * number);

/* Size of the texts that follow, with their NUL. */
#define UNITS_TEXT_MAX 64

/**
 * units_format(out, kind, number):
 * Write a number to ${out} in the largest unit that keeps it an integer, as
 * units_parse reads it, and return ${out}.
 */
const char * units_format(char out[UNITS_TEXT_MAX], enum quantity kind,
    uint64_t number);

/**
 * units_range(out, kind, least, most):
 * Write a range to ${out} for an error message, and return ${out}.
 */
const char * units_range(char out[UNITS_TEXT_MAX], enum quantity kind,
    uint64_t least, uint64_t most);

#endif
