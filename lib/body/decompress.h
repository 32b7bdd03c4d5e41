#ifndef FLAGTALLY_DECOMPRESS_H
#define FLAGTALLY_DECOMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"

/* A stream that undoes a Content-Encoding, with zlib. */
struct decompress;

enum decompress_format {
	DECOMPRESS_GZIP,		/* RFC 1952, of one or more members. */
	DECOMPRESS_DEFLATE,	/* RFC 1950, or bare RFC 1951 as some send. */
};

/* Takes what has been unpacked; returns false to stop. */
typedef bool decompress_take(void * context, const void * bytes, size_t length);

/**
 * decompress_create(arena, format):
 * Return a new stream, whose memory is taken from ${arena} and goes with it.
 */
struct decompress * decompress_create(struct arena * arena,
    enum decompress_format format);

/**
 * decompress_feed(unpack, bytes, length, take, context):
 * Unpack the next ${length} bytes and hand what comes out to ${take}.  Return
 * NULL if all went well or ${take} returned false, otherwise what is wrong
 * with the stream, as a static text.
 */
const char * decompress_feed(struct decompress * unpack, const void * bytes,
    size_t length, decompress_take * take, void * context);

/**
 * decompress_position(unpack):
 * Return how many bytes have been unpacked: where something is wrong, if
 * anything is.
 */
uint64_t decompress_position(const struct decompress * unpack);

/**
 * decompress_complete(unpack):
 * Return whether the stream has come to its end, checksum included.
 */
bool decompress_complete(const struct decompress * unpack);

#endif
