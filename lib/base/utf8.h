#ifndef FLAGTALLY_UTF8_H
#define FLAGTALLY_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* UTF-8 (RFC 3629), by libunistring. */

/**
 * utf8_is_valid(text, length):
 * Return true if ${length} bytes are valid UTF-8.
 */
bool utf8_is_valid(const char * text, size_t length);

/**
 * utf8_decode(text, length, code):
 * Decode the first character of a text that is not empty into ${code}.  Return
 * its length in bytes, or 0 if the text does not begin with a valid character.
 */
size_t utf8_decode(const char * text, size_t length, uint32_t * code);

/**
 * utf8_printable(text, length, width):
 * Return the length in bytes of the first character of a text that is not
 * empty, with the number of columns that it takes in ${width}, if it is
 * harmless on a terminal.  Return 0 if it is a control or formatting character
 * (such as one that changes the direction of the text), or no valid UTF-8.
 */
size_t utf8_printable(const char * text, size_t length, int * width);

/**
 * utf8_trim(text):
 * Remove an incomplete character from the end of a string that was truncated.
 */
void utf8_trim(char * text);

#endif
