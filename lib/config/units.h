#ifndef FLAGTALLY_UNITS_H
#define FLAGTALLY_UNITS_H

#include <stdint.h>

/* Numbers with units, as a person writes them in a configuration. */
enum quantity {
	QUANTITY_COUNT,		/* No unit. */
	QUANTITY_SIZE,		/* Bytes: with K, M or G, 1024 and so on. */
	QUANTITY_DURATION,	/* Milliseconds: with ms, s, m, h or d; s. */
	QUANTITY_MODE,		/* Octal digits. */
};

/* No quantity is larger. */
#define QUANTITY_MAX ((uint64_t)1 << 52)

/**
 * quantity_parse(text, kind, least, most, number):
 * Read ${text} into ${number}, which must come to ${least} to ${most}.  Return
 * NULL, or what is wrong as a static text that follows its name.
 */
const char * quantity_parse(const char * text, enum quantity kind,
    uint64_t least, uint64_t most, uint64_t * number);

/* Size of the texts that follow, with their NUL. */
#define QUANTITY_TEXT_MAX 64

/**
 * quantity_format(out, kind, number):
 * Write a number to ${out} as a person would, in the largest unit in which it
 * is whole, so that quantity_parse reads the same, and return ${out}.
 */
const char * quantity_format(char out[QUANTITY_TEXT_MAX], enum quantity kind,
    uint64_t number);

/**
 * quantity_range(out, kind, least, most):
 * Write a range to ${out} for a person, and return ${out}.
 */
const char * quantity_range(char out[QUANTITY_TEXT_MAX], enum quantity kind,
    uint64_t least, uint64_t most);

#endif
