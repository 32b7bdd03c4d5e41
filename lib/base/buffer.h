#ifndef FLAGTALLY_BUFFER_H
#define FLAGTALLY_BUFFER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes that are appended to: requests to Redis in its protocol (RESP), which
 * is made of arrays of strings, and all else that grows.
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
 * Return a place for ${length} more bytes at the end; whoever writes them
 * adds what it wrote to buffer->length.
 */
char * buffer_room(struct buffer * buffer, size_t length);

/**
 * buffer_array(buffer, count):
 * Append the head of a RESP array of ${count} strings, which are to follow.
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
 * Forget the bytes; keep the memory unless it is much.
 */
void buffer_clear(struct buffer * buffer);

/**
 * buffer_free(buffer):
 * Free the memory and leave an empty buffer.
 */
void buffer_free(struct buffer * buffer);

#endif
