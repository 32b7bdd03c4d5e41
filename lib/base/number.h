#ifndef FLAGTALLY_NUMBER_H
#define FLAGTALLY_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Numbers in JSON's syntax (RFC 8259, section 6).  All functions take the text
 * of a valid number, not NUL-terminated.  They rely on the C locale: the
 * program never calls setlocale.
 */

/* Longest number that is read, in bytes. */
#define NUMBER_LENGTH_MAX ((size_t)4 * 1024)

/* The largest count: 2^53-1, the largest integer that every reader of JSON
 * keeps exactly (RFC 7493, section 2.2). */
#define NUMBER_COUNT_MAX ((uint64_t)9007199254740991)

/* Any form of a count, such as 1e3 or 100.0. */
const char * number_count_any(const char * text, size_t length,
    uint64_t * count);

/**
 * number_count(text, length, count):
 * Read an integer in 0..NUMBER_COUNT_MAX into ${count}.  1.0, 1e3 and 10e-1
 * are integers, as in JSON Schema.  Return NULL, or an error as a static text
 * that can follow the number's name ("is not an integer").
 */
static inline const char *
number_count(const char * text, size_t length, uint64_t * count)
{
	uint64_t value = 0;
	size_t i;

	/* Usually they are a few digits. */
	for (i = 0; i < length && length <= 15; i++) {
		unsigned int digit = (unsigned int)text[i] - '0';

		if (digit > 9)
			break;
		value = value * 10 + digit;
	}
	*count = value;
	return (i == length ? NULL : number_count_any(text, length, count));
}

/**
 * number_is_integer(text, length):
 * Return true if the number is an integer of any size.
 */
bool number_is_integer(const char * text, size_t length);

/**
 * number_double(text, length, number):
 * Read the double nearest to the number.  Return false if it is too large for
 * one.  ${length} is at most NUMBER_LENGTH_MAX.
 */
bool number_double(const char * text, size_t length, double * number);

#define NUMBER_TEXT_MAX 32

/**
 * number_text(out, number):
 * Write the finite ${number} in canonical form: an integer of magnitude below
 * 2^53 as plain digits, any other number as the first of %.15g, %.16g and %.17g
 * that reads back as the same double.  Return its length.
 */
size_t number_text(char out[NUMBER_TEXT_MAX], double number);

/**
 * number_canonical(out, text, length):
 * Write the canonical form of the double nearest to the number.  Return its
 * length, or 0 if the number is too large for a double.  ${length} is at most
 * NUMBER_LENGTH_MAX.
 */
size_t number_canonical(char out[NUMBER_TEXT_MAX], const char * text,
    size_t length);

#endif
