#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/body/decompress.h"

#define OUTPUT_SIZE 16384

/* zlib's windowBits for each kind of stream. */
#define BITS_GZIP (15 + 16)
#define BITS_ZLIB 15
#define BITS_RAW (-15)

struct decompress {
	z_stream zlib;
	enum decompress_format format;
	unsigned char first[2];		/* To detect the format. */
	size_t seen;			/* Bytes so far, up to 2. */
	bool ended;			/* A stream or member ended. */
	bool stopped;			/* take returned false. */
	uint64_t before;		/* Of previous members. */
	unsigned char output[OUTPUT_SIZE];
};

static voidpf
zlib_take(voidpf arena, uInt count, uInt size)
{

	return (arena_take(arena, (size_t)count * size));
}

static void
zlib_give_back(voidpf arena, voidpf piece)
{

	/* The arena frees everything when it is reset. */
	(void)arena;
	(void)piece;
}

struct decompress *
decompress_create(struct arena * arena, enum decompress_format format)
{
	struct decompress * unpack = arena_take(arena, sizeof(*unpack));

	memset(unpack, 0, sizeof(*unpack));
	unpack->format = format;
	unpack->zlib.zalloc = zlib_take;
	unpack->zlib.zfree = zlib_give_back;
	unpack->zlib.opaque = arena;
	return (unpack);
}

/*
 * "deflate" means the zlib format, but some clients send bare deflate.  The low
 * bits of a zlib header's first byte are 8, and the header is a multiple of 31
 * (RFC 1950, section 2.2).
 */
static int
window_bits(const struct decompress * unpack)
{
	unsigned int header = (unsigned int)unpack->first[0] << 8 |
	    unpack->first[1];

	if (unpack->format == DECOMPRESS_GZIP)
		return (BITS_GZIP);
	if ((unpack->first[0] & 0x0f) == 8 && header % 31 == 0)
		return (BITS_ZLIB);
	return (BITS_RAW);
}

/* Pass on the decompressed bytes, if any. */
static bool
hand_on(struct decompress * unpack, decompress_take * take, void * context)
{
	z_stream * zlib = &unpack->zlib;
	size_t produced = OUTPUT_SIZE - zlib->avail_out;

	zlib->next_out = unpack->output;
	zlib->avail_out = OUTPUT_SIZE;
	unpack->stopped = produced > 0 &&
	    !take(context, unpack->output, produced);
	return (!unpack->stopped);
}

/*
 * Output is passed on only when the buffer is full or the input is used up:
 * gzip members of one byte each would otherwise make pieces of one byte, in
 * which the JSON reader takes quadratic time for a long string.
 */
static const char *
unpack_bytes(struct decompress * unpack, const unsigned char * bytes,
    size_t length, decompress_take * take, void * context)
{
	z_stream * zlib = &unpack->zlib;
	bool damaged, full;
	int status;

	/* zlib does not modify its input. */
	zlib->next_in = (z_const Bytef *)(uintptr_t)bytes;
	zlib->avail_in = (uInt)length;
	zlib->next_out = unpack->output;
	zlib->avail_out = OUTPUT_SIZE;
	do {
		if (unpack->ended) {
			if (zlib->avail_in == 0)
				break;
			if (unpack->format != DECOMPRESS_GZIP)
				return (hand_on(unpack, take, context) ?
				    "something follows the compressed body" :
				    NULL);
			unpack->before += zlib->total_in;
			if (inflateReset(zlib) != Z_OK)
				abort();
			unpack->ended = false;
		}
		status = inflate(zlib, Z_NO_FLUSH);
		unpack->ended = status == Z_STREAM_END;
		damaged = status != Z_OK && status != Z_STREAM_END &&
		    status != Z_BUF_ERROR;
		full = zlib->avail_out == 0;
		/* Also the bytes before the damage: the first fault wins. */
		if ((damaged || full) && !hand_on(unpack, take, context))
			return (NULL);
		if (damaged)
			return ("the compressed body is damaged");
	} while (zlib->avail_in > 0 || full);
	hand_on(unpack, take, context);
	return (NULL);
}

const char *
decompress_feed(struct decompress * unpack, const void * bytes, size_t length,
    decompress_take * take, void * context)
{
	const unsigned char * next = bytes;
	const char * why;

	if (unpack->seen < sizeof(unpack->first)) {
		while (length > 0 && unpack->seen < sizeof(unpack->first)) {
			unpack->first[unpack->seen++] = *next++;
			length--;
		}
		if (unpack->seen < sizeof(unpack->first))
			return (NULL);
		if (inflateInit2(&unpack->zlib, window_bits(unpack)) != Z_OK)
			abort();
		why = unpack_bytes(unpack, unpack->first,
		    sizeof(unpack->first), take, context);
		if (why != NULL)
			return (why);
	}
	if (length == 0 || unpack->stopped)
		return (NULL);
	return (unpack_bytes(unpack, next, length, take, context));
}

uint64_t
decompress_position(const struct decompress * unpack)
{
	/* The low bits of data_type say how many bits inflate read ahead. */
	uint64_t ahead = (uint64_t)(unpack->zlib.data_type & 63) / 8;

	return (unpack->before + unpack->zlib.total_in - ahead);
}

bool
decompress_complete(const struct decompress * unpack)
{

	return (unpack->ended);
}
