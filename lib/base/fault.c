#include <stdio.h>
#include <string.h>

#include "lib/base/fault.h"
#include "lib/base/utf8.h"

void
fault_vset(struct fault * fault, enum fault_code code, uint64_t offset,
    const char * pointer, const char * format, va_list arguments)
{
	size_t length = strlen(pointer);

	if (fault->code != FAULT_NONE)
		return;
	fault->code = code;
	fault->offset = offset;
	if (length >= sizeof(fault->pointer)) {
		length = sizeof(fault->pointer) - 1;
		while (length > 0 && pointer[length] != '/')
			length--;
	}
	memcpy(fault->pointer, pointer, length);
	fault->pointer[length] = '\0';
	vsnprintf(fault->detail, sizeof(fault->detail), format, arguments);
	utf8_trim(fault->detail);
}

void
fault_set(struct fault * fault, enum fault_code code, uint64_t offset,
    const char * pointer, const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fault_vset(fault, code, offset, pointer, format, arguments);
	va_end(arguments);
}

const char *
fault_quote(char out[FAULT_QUOTE_MAX], const char * text, size_t length)
{
	static const char hex[] = "0123456789abcdef";
	/* The longest piece is \xHH; an ellipsis and a quote can follow. */
	const size_t room = FAULT_QUOTE_MAX - sizeof("...\"") - 4;
	size_t used = 0;
	size_t i;

	out[used++] = '"';
	for (i = 0; i < length && used <= room; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			out[used++] = (char)c;
			continue;
		}
		out[used++] = '\\';
		if (c == '"' || c == '\\') {
			out[used++] = (char)c;
			continue;
		}
		out[used++] = 'x';
		out[used++] = hex[c >> 4];
		out[used++] = hex[c & 15];
	}
	if (i < length) {
		memcpy(out + used, "...", 3);
		used += 3;
	}
	out[used++] = '"';
	out[used] = '\0';
	return (out);
}
