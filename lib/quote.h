#ifndef FLAGTALLY_QUOTE_H
#define FLAGTALLY_QUOTE_H

#include <stddef.h>

/* Room that quote_json needs for ${length} bytes. */
#define QUOTE_JSON_ROOM(length) ((length) * 6 + 2)

/**
 * quote_json(out, text, length):
 * Write the UTF-8 ${text} to ${out} as a JSON string (RFC 8259, section 7),
 * quotes included and with no more escapes than it takes, not NUL-terminated.
 * Return its length.
 */
size_t quote_json(char * out, const char * text, size_t length);

/* Room that quote_percent needs for ${length} bytes. */
#define QUOTE_PERCENT_ROOM(length) ((length) * 3)

/**
 * quote_percent(out, text, length):
 * Write ${text} to ${out} with every byte but A-Z a-z 0-9 . _ ~ - as %HH, in
 * upper case (RFC 3986, sections 2.1 and 2.3), not NUL-terminated.  Return its
 * length.
 */
size_t quote_percent(char * out, const char * text, size_t length);

#endif
