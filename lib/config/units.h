#ifndef FLAGTALLY_UNITS_H
#define FLAGTALLY_UNITS_H

#include <stdint.h>

/* Numbers with units, as a person writes them in a configuration. */
enum quantity {
	UNITS_COUNT,		/* No unit. */
	UNITS_SIZE,		/* Bytes: with K, M or G, 1024 and so on. */
	UNITS_DURATION,	/* Milliseconds: with ms, s, m, h or d; s. */
	UNITS_MODE,		/* Octal digits. */
};

/* No quantity is larger. */
#define UNITS_MAX ((uint64_t)1 << 52)

/**
 * units_parse(text, kind, least, most, number):
 * Read ${text} into ${number}, which must come to ${least} to ${most}.  Return
 * NULL, or what is wrong as a static text that follows its name.
 */
const char * units_parse(const char * text, enum quantity kind,
    uint64_t least, uint64_t most, uint64_t * number);

/* Size of the texts that follow, with their NUL. */
#define UNITS_TEXT_MAX 64

/**
 * units_format(out, kind, number):
 * Write a number to ${out} as a person would, in the largest unit in which it
 * is whole, so that units_parse reads the same, and return ${out}.
 */
const char * units_format(char out[UNITS_TEXT_MAX], enum quantity kind,
    uint64_t number);

/**
 * units_range(out, kind, least, most):
 * Write a range to ${out} for a person, and return ${out}.
 */
const char * units_range(char out[UNITS_TEXT_MAX], enum quantity kind,
    uint64_t least, uint64_t most);

#endif
