#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/escape.h"
#include "lib/base/utf8.h"

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

static const char lower[] = "0123456789abcdef";

/* Write \uXXXX, and return its length. */
static size_t
write_unit(char * out, unsigned int unit)
{

	out[0] = '\\';
	out[1] = 'u';
	out[2] = lower[unit >> 12 & 15];
	out[3] = lower[unit >> 8 & 15];
	out[4] = lower[unit >> 4 & 15];
	out[5] = lower[unit & 15];
	return (6);
}

/* Write one ASCII character of a JSON string. */
static size_t
write_ascii(char * out, unsigned char c)
{
	char escape = short_escape(c);

	if (escape == '\0' && c < 0x20)
		return (write_unit(out, c));
	out[0] = escape == '\0' ? (char)c : '\\';
	out[1] = escape;
	return (escape == '\0' ? 1 : 2);
}

size_t
escape_json(char * out, const char * text, size_t length)
{
	size_t used = 0;
	size_t i;

	out[used++] = '"';
	for (i = 0; i < length; i++)
		used += write_ascii(out + used, (unsigned char)text[i]);
	out[used++] = '"';
	return (used);
}

size_t
escape_json_ascii(char * out, const char * text, size_t length)
{
	size_t used = 0;
	size_t i, size;
	uint32_t code;

	out[used++] = '"';
	for (i = 0; i < length; i += size) {
		size = utf8_decode(text + i, length - i, &code);
		if (size == 1 && code < 0x7f) {
			used += write_ascii(out + used, (unsigned char)code);
			continue;
		}
		if (size == 0) {
			size = 1;
			code = 0xfffd;
		}
		if (code > 0xffff) {
			used += write_unit(out + used,
			    0xd800 + ((code - 0x10000) >> 10));
			code = 0xdc00 + (code & 0x3ff);
		}
		used += write_unit(out + used, code);
	}
	out[used++] = '"';
	return (used);
}

size_t
escape_byte(char out[ESCAPE_BYTE_MAX], char byte)
{
	unsigned char c = (unsigned char)byte;

	if (c >= 0x20 && c < 0x7f && c != '\\') {
		out[0] = byte;
		return (1);
	}
	out[0] = '\\';
	out[1] = c == '\\' ? '\\' : 'x';
	if (c == '\\')
		return (2);
	out[2] = lower[c >> 4];
	out[3] = lower[c & 15];
	return (4);
}

void
escape_print(FILE * file, const char * text)
{
	char out[ESCAPE_BYTE_MAX];
	size_t length;

	for (; *text != '\0'; text++) {
		length = escape_byte(out, *text);
		fwrite(out, 1, length, file);
	}
}

static bool
is_label_special(char c)
{

	return (c == '\\' || c == '"' || c == '\n');
}

size_t
escape_label(char * out, const char * text, size_t length)
{
	size_t used = 0;
	size_t i;

	/* Copy the part before the first special byte at once: usually all. */
	while (used < length && !is_label_special(text[used]))
		used++;
	memcpy(out, text, used);
	for (i = used; i < length; i++) {
		if (is_label_special(text[i]))
			out[used++] = '\\';
		out[used++] = text[i] == '\n' ? 'n' : text[i];
	}
	return (used);
}

/* Return true if RFC 3986 calls the character unreserved. */
static bool
is_unreserved(unsigned char c)
{

	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '~' ||
	    c == '-');
}

size_t
escape_percent(char * out, const char * text, size_t length)
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

static int
hex_digit(char c)
{

	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

long
escape_percent_decode(char * text, size_t length)
{
	size_t used = 0;
	size_t i;

	for (i = 0; i < length; i++) {
		int high, low;

		if (text[i] != '%') {
			text[used++] = text[i];
			continue;
		}
		if (i + 2 >= length)
			return (-1);
		high = hex_digit(text[i + 1]);
		low = hex_digit(text[i + 2]);
		if (high < 0 || low < 0)
			return (-1);
		text[used++] = (char)(high << 4 | low);
		i += 2;
	}
	return ((long)used);
}

/* Copy and decode; NULL if that cannot be, or would hide a NUL. */
