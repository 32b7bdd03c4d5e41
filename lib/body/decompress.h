#ifndef FLAGTALLY_DECOMPRESS_H
#define FLAGTALLY_DECOMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"

/* Decompresses a body according to its Content-Encoding, with zlib. */
struct decompress;

enum decompress_format {
	DECOMPRESS_GZIP,		/* RFC 1952, one or more members. */
	DECOMPRESS_DEFLATE,	/* RFC 1950, or bare RFC 1951. */
};

/* Receives decompressed bytes; return false to stop. */
typedef bool decompress_take(void * context, const void * bytes, size_t length);

/**
 * decompress_create(arena, format):
 * Return a new stream that lives in ${arena}.
 */
struct decompress * decompress_create(struct arena * arena,
    enum decompress_format format);

/**
 * decompress_feed(unpack, bytes, length, take, context):
 * Decompress the next ${length} bytes and pass the result to ${take}.  Return
 * NULL on success or if ${take} returned false, otherwise the error in the
 * stream as a static text.
 */
const char * decompress_feed(struct decompress * unpack, const void * bytes,
    size_t length, decompress_take * take, void * context);

/**
 * decompress_position(unpack):
 * Return the number of bytes decompressed so far, which is the position of an
 * error.
 */
uint64_t decompress_position(const struct decompress * unpack);

/**
 * decompress_complete(unpack):
 * Return true if the stream is complete, checksum included.
 */
bool decompress_complete(const struct decompress * unpack);

#endif
