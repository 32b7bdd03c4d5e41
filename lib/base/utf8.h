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
 * utf8_trim(text):
 * Remove an incomplete character from the end of a string that was truncated.
 */
void utf8_trim(char * text);

#endif
