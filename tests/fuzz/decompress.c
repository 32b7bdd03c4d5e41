#include <zlib.h>

#include "lib/base/buffer.h"
#include "lib/body/decompress.h"
#include "tests/fuzz/fuzz.h"

/*
 * Compressed streams: the same must come out however the stream is cut, and
 * what the harness has compressed itself must come out as it was.
 */
#define OUT_MAX ((size_t)64 * 1024)

static bool
keep(void * context, const void * bytes, size_t length)
{
	struct buffer * out = context;

	/* A byte of each, as if it were used. */
	if (length > 0)
		must(((const char *)bytes)[0] == ((const char *)bytes)[0]);
	if (out->length + length > OUT_MAX)
		return (false);
	buffer_append(out, bytes, length);
	return (true);
}

/* Return what is wrong, or NULL, with what came out in ${out}. */
static const char *
unpack_all(struct arena * arena, enum decompress_format format,
    const uint8_t * bytes, size_t length, size_t piece, struct buffer * out,
    bool * complete)
{
	struct decompress * unpack = decompress_create(arena, format);
	const char * why = NULL;
	size_t at, size;

	for (at = 0; why == NULL && at < length; at += size) {
		char * copy;

		size = length - at < piece ? length - at : piece;
		copy = fuzz_exact(bytes + at, size);
		why = decompress_feed(unpack, copy, size, keep, out);
		free(copy);
		must(decompress_position(unpack) <= at + size);
		if (out->length >= OUT_MAX)
			break;
	}
	*complete = why == NULL && decompress_complete(unpack);
	arena_reset(arena);
	return (why);
}

static void
try_both(struct arena * arena, enum decompress_format format,
    const uint8_t * bytes, size_t length, size_t piece,
    const struct fuzz * wanted)
{
	struct buffer cut = { NULL, 0, 0 }, whole = { NULL, 0, 0 };
	bool cut_complete, whole_complete;
	size_t same;
	const char * cut_why = unpack_all(arena, format, bytes, length,
	    piece, &cut, &cut_complete);
	const char * whole_why = unpack_all(arena, format, bytes, length,
	    SIZE_MAX, &whole, &whole_complete);

	if (cut.length < OUT_MAX / 2 && whole.length < OUT_MAX / 2) {
		must((cut_why == NULL) == (whole_why == NULL));
		must(cut_complete == whole_complete);
		must(cut_why != NULL || cut.length == whole.length);
		same = cut.length < whole.length ? cut.length : whole.length;
		must(same == 0 || memcmp(cut.bytes, whole.bytes, same) == 0);
	}
	if (wanted != NULL)
		must(cut_complete && cut.length == wanted->length &&
		    (cut.length == 0 ||
		    memcmp(cut.bytes, wanted->bytes, cut.length) == 0));
	buffer_free(&cut);
	buffer_free(&whole);
}

/* Compress the input, and cut the stream short if the harness is told to. */
static void
try_own(struct arena * arena, const struct fuzz * fuzz, unsigned int choices,
    size_t piece)
{
	static const int windows[] = { 15 + 16, 15, -15 };
	unsigned int which = choices >> 2 & 3;
	uint8_t * out = NULL;
	z_stream zlib;
	size_t room;

	if (which == 3 || fuzz->length > OUT_MAX / 2)
		return;
	memset(&zlib, 0, sizeof(zlib));
	must(deflateInit2(&zlib, 1, Z_DEFLATED, windows[which], 5,
	    Z_DEFAULT_STRATEGY) == Z_OK);
	room = deflateBound(&zlib, fuzz->length) + 32;
	out = malloc(room);
	must(out != NULL);
	zlib.next_in = (uint8_t *)(uintptr_t)fuzz->bytes;
	zlib.avail_in = (unsigned int)fuzz->length;
	zlib.next_out = out;
	zlib.avail_out = (unsigned int)room;
	must(deflate(&zlib, Z_FINISH) == Z_STREAM_END);
	try_both(arena, which == 0 ? DECOMPRESS_GZIP : DECOMPRESS_DEFLATE, out,
	    zlib.total_out, piece, fuzz);
	try_both(arena, which == 0 ? DECOMPRESS_GZIP : DECOMPRESS_DEFLATE, out,
	    zlib.total_out - 1, piece, NULL);
	deflateEnd(&zlib);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	static struct arena * arena;
	struct fuzz fuzz = { bytes, length };
	unsigned int choices = fuzz_byte(&fuzz);
	size_t piece = 1 + fuzz_byte(&fuzz) % 64;

	if (arena == NULL)
		arena = arena_create(65536);
	if ((choices & 1) != 0)
		try_own(arena, &fuzz, choices, piece);
	else
		try_both(arena, (choices & 2) != 0 ? DECOMPRESS_GZIP :
		    DECOMPRESS_DEFLATE, fuzz.bytes, fuzz.length, piece, NULL);
	return (0);
}
