#ifndef FLAGTALLY_ESCAPE_H
#define FLAGTALLY_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

/* Room that escape_json needs for ${length} bytes. */
#define ESCAPE_JSON_ROOM(length) ((length) * 6 + 2)

/**
 * escape_json(out, text, length):
 * Write the UTF-8 ${text} to ${out} as a JSON string (RFC 8259, section 7),
 * in quotes and with the fewest escapes, not NUL-terminated.
 * Return its length.
 */
size_t escape_json(char * out, const char * text, size_t length);

/**
 * escape_json_ascii(out, text, length):
 * As escape_json, but escape everything except printable ASCII, so that the
 * text is harmless on a terminal.  A byte that is not valid UTF-8 becomes
 * U+FFFD.
 */
size_t escape_json_ascii(char * out, const char * text, size_t length);

/* Room that escape_byte needs. */
#define ESCAPE_BYTE_MAX 4

/**
 * escape_byte(out, byte):
 * Write a byte to ${out} for a log or a terminal: as \xHH unless it is
 * printable ASCII, and a backslash doubled.  Return the length.
 */
size_t escape_byte(char out[ESCAPE_BYTE_MAX], char byte);

/**
 * escape_print(file, text):
 * Write the string to ${file}, each byte as escape_byte does.
 */
void escape_print(FILE * file, const char * text);

/* Room that escape_label needs for ${length} bytes. */
#define ESCAPE_LABEL_ROOM(length) ((length) * 2)

/**
 * escape_label(out, text, length):
 * Write ${text} to ${out} as the value of a label in Prometheus's text format,
 * with backslash, quote and newline escaped, not NUL-terminated.  Return its
 * length.
 */
size_t escape_label(char * out, const char * text, size_t length);

/* Room that escape_percent needs for ${length} bytes. */
#define ESCAPE_PERCENT_ROOM(length) ((length) * 3)

/**
 * escape_percent(out, text, length):
 * Write ${text} to ${out} with every byte but A-Z a-z 0-9 . _ ~ - as %HH, in
 * upper case (RFC 3986, sections 2.1 and 2.3), not NUL-terminated.  Return its
 * length.
 */
size_t escape_percent(char * out, const char * text, size_t length);

/**
 * escape_percent_decode(text, length):
 * Undo percent-encoding in place.  Return the new length, or -1 if a % is not
 * followed by two hexadecimal digits.
 */
long escape_percent_decode(char * text, size_t length);

#endif
