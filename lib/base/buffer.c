#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buffer.h"

/* An empty buffer keeps at most this much memory. */
#define KEEP_MAX ((size_t)256 * 1024)

char *
buffer_room(struct buffer * buffer, size_t length)
{
	size_t size = buffer->size == 0 ? 256 : buffer->size;

	if (length > SIZE_MAX / 4 - buffer->length)
		abort();
	while (size - buffer->length < length)
		size *= 2;
	if (size != buffer->size) {
		buffer->bytes = alloc_resize(buffer->bytes, size, 1);
		buffer->size = size;
	}
	return (buffer->bytes + buffer->length);
}

void
buffer_append(struct buffer * buffer, const void * bytes, size_t length)
{

	if (length == 0)
		return;
	memcpy(buffer_room(buffer, length), bytes, length);
	buffer->length += length;
}

/* Append a RESP header: type, number, CRLF. */
static void
append_head(struct buffer * buffer, char type, size_t number)
{
	char * room = buffer_room(buffer, 24);
	char digits[24];
	size_t i = sizeof(digits);
	size_t length;

	do
		digits[--i] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	length = sizeof(digits) - i;
	room[0] = type;
	memcpy(room + 1, digits + i, length);
	memcpy(room + 1 + length, "\r\n", 2);
	buffer->length += length + 3;
}

void
buffer_array(struct buffer * buffer, size_t count)
{

	append_head(buffer, '*', count);
}

void
buffer_string(struct buffer * buffer, const void * bytes, size_t length)
{

	append_head(buffer, '$', length);
	buffer_append(buffer, bytes, length);
	buffer_append(buffer, "\r\n", 2);
}

void
buffer_text(struct buffer * buffer, const char * text)
{

	buffer_string(buffer, text, strlen(text));
}

void
buffer_integer(struct buffer * buffer, int64_t integer)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRId64, integer);

	buffer_string(buffer, digits, (size_t)length);
}

void
buffer_clear(struct buffer * buffer)
{

	buffer->length = 0;
	if (buffer->size > KEEP_MAX)
		buffer_free(buffer);
}

void
buffer_free(struct buffer * buffer)
{

	free(buffer->bytes);
	memset(buffer, 0, sizeof(*buffer));
}
