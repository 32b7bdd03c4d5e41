#ifndef FLAGTALLY_BUFFER_H
#define FLAGTALLY_BUFFER_H

#include <stddef.h>
#include <stdint.h>

/*
 * A growing byte array.  It can append Redis's protocol (RESP), in which a
 * request is an array of bulk strings.
 */
struct buffer {
	char * bytes;
	size_t length;
	size_t size;
};

/**
 * buffer_append(buffer, bytes, length):
 * Append bytes.  Abort if there is no memory.
 */
void buffer_append(struct buffer * buffer, const void * bytes,
    size_t length);

/**
 * buffer_room(buffer, length):
 * Return space for ${length} more bytes at the end.  The caller writes there
 * and adds the number of bytes written to buffer->length.
 */
char * buffer_room(struct buffer * buffer, size_t length);

/**
 * buffer_array(buffer, count):
 * Append the header of a RESP array of ${count} strings, to be appended next.
 */
void buffer_array(struct buffer * buffer, size_t count);

/**
 * buffer_string(buffer, bytes, length):
 * buffer_text(buffer, text):
 * buffer_integer(buffer, integer):
 * Append a RESP bulk string of these bytes, this C string, this integer.
 */
void buffer_string(struct buffer * buffer, const void * bytes,
    size_t length);
void buffer_text(struct buffer * buffer, const char * text);
void buffer_integer(struct buffer * buffer, int64_t integer);

/**
 * buffer_clear(buffer):
 * Empty the buffer.  Keep its memory unless that is large.
 */
void buffer_clear(struct buffer * buffer);

/**
 * buffer_free(buffer):
 * Free the memory and leave an empty buffer.
 */
void buffer_free(struct buffer * buffer);

#endif
