#include <stdbool.h>
#include <string.h>

#include "lib/quote.h"

static char
short_escape(unsigned char c)
{

	switch (c) {
	case '"':
		return ('"');
	case '\\':
		return ('\\');
	case '\b':
		return ('b');
	case '\f':
		return ('f');
	case '\n':
		return ('n');
	case '\r':
		return ('r');
	case '\t':
		return ('t');
	default:
		return ('\0');
	}
}

size_t
quote_json(char * out, const char * text, size_t length)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0;
	size_t i;

	out[used++] = '"';
	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		char escape = short_escape(c);

		if (escape != '\0') {
			out[used++] = '\\';
			out[used++] = escape;
		} else if (c < 0x20) {
			memcpy(out + used, "\\u00", 4);
			used += 4;
			out[used++] = hex[c >> 4];
			out[used++] = hex[c & 15];
		} else
			out[used++] = text[i];
	}
	out[used++] = '"';
	return (used);
}

/* What RFC 3986 calls unreserved. */
static bool
is_unreserved(unsigned char c)
{

	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '~' ||
	    c == '-');
}

size_t
quote_percent(char * out, const char * text, size_t length)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t used = 0;
	size_t i;

	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (is_unreserved(c)) {
			out[used++] = text[i];
			continue;
		}
		out[used++] = '%';
		out[used++] = hex[c >> 4];
		out[used++] = hex[c & 15];
	}
	return (used);
}
