#include <zlib.h>

#include "lib/body/decompress.h"
#include "tests/unit/tap.h"

#define BITS_GZIP (15 + 16)
#define BITS_ZLIB 15
#define BITS_RAW (-15)

/* Bytes that grow, packed or unpacked. */
struct bytes {
	unsigned char * bytes;
	size_t length;
	int calls;
	int stop_at;			/* Call that says stop; 0: none. */
};

static bool
take(void * context, const void * bytes, size_t length)
{
	struct bytes * out = context;

	out->bytes = realloc(out->bytes, out->length + length + 1);
	memcpy(out->bytes + out->length, bytes, length);
	out->length += length;
	return (++out->calls != out->stop_at);
}

static void
append(struct bytes * to, const void * bytes, size_t length)
{

	(void)take(to, bytes, length);
}

/* Append a packed stream, with a header of all kinds if it is gzip's. */
static void
pack(struct bytes * to, int bits, int level, const void * text,
    size_t length, bool full_header)
{
	static unsigned char extra[] = "extra\0field";
	static unsigned char name[] = "name.json", comment[] = "a comment";
	gz_header header = {
		.extra = extra, .extra_len = sizeof(extra), .name = name,
		.comment = comment, .hcrc = 1, .os = 3,
	};
	z_stream zlib = { .next_in = NULL };
	size_t room = length + length / 100 + 1000;
	unsigned char * out = malloc(room);
	char * copy = tap_copy(text, length);

	if (deflateInit2(&zlib, level, Z_DEFLATED, bits, 8,
	    Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	if (full_header)
		deflateSetHeader(&zlib, &header);
	zlib.next_in = (Bytef *)copy;
	zlib.avail_in = (uInt)length;
	zlib.next_out = out;
	zlib.avail_out = (uInt)room;
	if (deflate(&zlib, Z_FINISH) != Z_STREAM_END)
		abort();
	append(to, out, room - zlib.avail_out);
	deflateEnd(&zlib);
	free(copy);
	free(out);
}

struct result {
	const char * why;
	bool complete;
};

/* Unpack in pieces of one size, each in memory of its own. */
static struct result
unpack(struct bytes * out, enum decompress_format format,
    const unsigned char * packed, size_t length, size_t piece)
{
	struct arena * arena = arena_create(0);
	struct decompress * stream = decompress_create(arena, format);
	struct result result = { NULL, false };
	size_t done = 0;

	out->length = 0;
	out->calls = 0;
	while (done < length && result.why == NULL &&
	    (out->stop_at == 0 || out->calls < out->stop_at)) {
		size_t size = length - done < piece ? length - done : piece;
		char * copy = tap_copy(packed + done, size);

		result.why = decompress_feed(stream, copy, size, take, out);
		free(copy);
		done += size;
	}
	result.complete = decompress_complete(stream);
	arena_free(arena);
	return (result);
}

/* Short streams are fed in pieces of all sizes, long ones in some. */
static size_t
next_size(size_t piece, size_t length)
{

	if (length < 1000 || piece >= length)
		return (piece + 1);
	return (piece * 7 < length ? piece * 7 : length);
}

/* At all piece sizes a stream must unpack to the text and be complete. */
static void
check(const char * name, enum decompress_format format,
    const struct bytes * packed, const void * text, size_t length)
{
	struct bytes out = { NULL, 0, 0, 0 };
	size_t piece = 1;

	for (; piece <= packed->length; piece = next_size(piece,
	    packed->length)) {
		struct result result = unpack(&out, format, packed->bytes,
		    packed->length, piece);

		if (result.why != NULL || !result.complete ||
		    out.length != length ||
		    (length > 0 && memcmp(out.bytes, text, length) != 0)) {
			ok(false, "%s in pieces of %zu: %s, %zu bytes", name,
			    piece, result.why == NULL ? "no fault" :
			    result.why, out.length);
			break;
		}
	}
	if (piece > packed->length)
		ok(true, "%s in pieces of many sizes", name);
	free(out.bytes);
}

/* Texts to pack: nothing, a byte, JSON, more than one window, noise. */
enum { TEXTS = 6, TEXT_MAX = 200000 };
static struct bytes texts[TEXTS];

static void
make_texts(void)
{
	static unsigned char text[TEXT_MAX];
	size_t i;

	append(&texts[1], "a", 1);
	append(&texts[2], "{\"appName\":\"a\",\"bucket\":{}}", 27);
	for (i = 0; i < TEXT_MAX; i++)
		text[i] = (unsigned char)("{\"feature\":12}, "[i % 16]);
	append(&texts[3], text, TEXT_MAX);
	for (i = 0; i < TEXT_MAX; i++)
		text[i] = (unsigned char)random();
	append(&texts[4], text, 40000);
	memset(text, 0, TEXT_MAX);
	append(&texts[5], text, TEXT_MAX);
}

static void
test_formats(void)
{
	static const struct {
		const char * name;
		enum decompress_format format;
		int bits;
		bool full_header;
	} formats[] = {
		{ "gzip", DECOMPRESS_GZIP, BITS_GZIP, false },
		{ "gzip with all of a header", DECOMPRESS_GZIP, BITS_GZIP, true },
		{ "zlib", DECOMPRESS_DEFLATE, BITS_ZLIB, false },
		{ "zlib with a small window", DECOMPRESS_DEFLATE, 9, false },
		{ "bare deflate", DECOMPRESS_DEFLATE, BITS_RAW, false },
	};
	static const int levels[] = { 0, 1, 6, 9 };
	char name[80];
	size_t i, text, level;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	for (text = 0; text < TEXTS; text++)
	for (level = 0; level < 4; level++) {
		struct bytes packed = { NULL, 0, 0, 0 };

		pack(&packed, formats[i].bits, levels[level],
		    texts[text].bytes, texts[text].length,
		    formats[i].full_header);
		snprintf(name, sizeof(name), "%s of %zu bytes, level %d",
		    formats[i].name, texts[text].length, levels[level]);
		check(name, formats[i].format, &packed, texts[text].bytes,
		    texts[text].length);
		free(packed.bytes);
	}
}

/* RFC 1952, section 2.2: a file is a series of members. */
static void
test_members(void)
{
	static const struct {
		const char * name;
		const char * members[5];
		const char * text;
	} rows[] = {
		{ "two members", { "ab", "cd", NULL }, "abcd" },
		{ "an empty one first", { "", "ab", NULL }, "ab" },
		{ "an empty one last", { "ab", "", NULL }, "ab" },
		{ "an empty one between", { "a", "", "b", NULL }, "ab" },
		{ "nothing but empty ones", { "", "", "", NULL }, "" },
		{ "four members", { "{", "\"a\":", "1", "}", NULL },
		  "{\"a\":1}" },
	};
	size_t i, member;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes packed = { NULL, 0, 0, 0 };

		for (member = 0; rows[i].members[member] != NULL; member++)
			pack(&packed, BITS_GZIP, 6, rows[i].members[member],
			    strlen(rows[i].members[member]), member % 2);
		check(rows[i].name, DECOMPRESS_GZIP, &packed, rows[i].text,
		    strlen(rows[i].text));
		free(packed.bytes);
	}
}

/* All that can be wrong with what was sent: it must be told or not complete. */
static bool
is_refused(enum decompress_format format, const unsigned char * packed,
    size_t length, size_t piece)
{
	struct bytes out = { NULL, 0, 0, 0 };
	struct result result = unpack(&out, format, packed, length, piece);

	free(out.bytes);
	return (result.why != NULL || !result.complete);
}

static size_t
count_accepted(enum decompress_format format, const unsigned char * packed,
    size_t length)
{
	static const size_t pieces[] = { 1, 2, 3, 7, SIZE_MAX };
	size_t accepted = 0;
	size_t i;

	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		accepted += !is_refused(format, packed, length, pieces[i]);
	return (accepted);
}

static const struct {
	const char * name;
	enum decompress_format format;
	int bits;
} kinds[] = {
	{ "gzip", DECOMPRESS_GZIP, BITS_GZIP },
	{ "zlib", DECOMPRESS_DEFLATE, BITS_ZLIB },
	{ "bare deflate", DECOMPRESS_DEFLATE, BITS_RAW },
};

static void
test_truncation(void)
{
	size_t i, text, length;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t accepted = 0;

		for (text = 0; text < 3; text++) {
			struct bytes packed = { NULL, 0, 0, 0 };

			pack(&packed, kinds[i].bits, 6, texts[text].bytes,
			    texts[text].length, i == 0 && text == 2);
			for (length = 0; length < packed.length; length++)
				accepted += count_accepted(kinds[i].format,
				    packed.bytes, length);
			free(packed.bytes);
		}
		is_integer(accepted, 0, "%s that is cut short anywhere",
		    kinds[i].name);
	}
}

/* A second member that is cut; the cut at its start makes a whole file. */
static void
test_truncated_member(void)
{
	struct bytes packed = { NULL, 0, 0, 0 };
	size_t first, length, accepted = 0;

	pack(&packed, BITS_GZIP, 6, "first", 5, false);
	first = packed.length;
	pack(&packed, BITS_GZIP, 6, "second", 6, true);
	ok(!is_refused(DECOMPRESS_GZIP, packed.bytes, first, 3),
	    "the first member alone is whole");
	for (length = first + 1; length < packed.length; length++)
		accepted += count_accepted(DECOMPRESS_GZIP, packed.bytes, length);
	is_integer(accepted, 0, "a second member that is cut short anywhere");
	free(packed.bytes);
}

static void
test_trailing(void)
{
	static const struct {
		const char * bytes;
		size_t length;
	} rows[] = {
		{ "\0", 1 }, { "x", 1 }, { "\n", 1 }, { "\x1f", 1 },
		{ "\x1f\x8b", 2 }, { "\x1f\x8c", 2 }, { "\0\0\0\0\0\0\0\0", 8 },
		{ "garbage that is longer", 22 }, { "{}", 2 },
		{ "\x78\x9c\x03\0\0\0\0\x01", 8 }, { "\x03\0", 2 },
	};
	size_t i, row;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		struct bytes packed = { NULL, 0, 0, 0 };

		pack(&packed, kinds[i].bits, 6, "{}", 2, false);
		append(&packed, rows[row].bytes, rows[row].length);
		is_integer(count_accepted(kinds[i].format, packed.bytes,
		    packed.length), 0, "%s and what follows, row %zu",
		    kinds[i].name, row);
		free(packed.bytes);
	}
}

/* Every bit of a gzip member or zlib stream is checked, but for a few. */
static void
test_damage(void)
{
	struct bytes packed = { NULL, 0, 0, 0 };
	struct bytes out = { NULL, 0, 0, 0 };
	size_t i, bit, wrong = 0;

	for (i = 0; i < 2; i++) {
		packed.length = 0;
		pack(&packed, kinds[i].bits, 6, texts[2].bytes,
		    texts[2].length, false);
		for (bit = 0; bit < packed.length * 8; bit++) {
			struct result result;

			packed.bytes[bit / 8] ^=
			    (unsigned char)(1u << bit % 8);
			result = unpack(&out, kinds[i].format, packed.bytes,
			    packed.length, SIZE_MAX);
			packed.bytes[bit / 8] ^=
			    (unsigned char)(1u << bit % 8);
			if (result.why == NULL && result.complete)
				wrong += out.length != texts[2].length ||
				    memcmp(out.bytes, texts[2].bytes,
				    out.length) != 0;
		}
	}
	is_integer(wrong, 0, "no bit can be changed so that another text "
	    "comes out");
	free(packed.bytes);
	free(out.bytes);
}

/* Streams that are wrong in one way; the checksums lie at the end. */
static void
test_checks(void)
{
	static const struct {
		const char * name;
		size_t kind;
		size_t from_end;
	} rows[] = {
		{ "gzip's CRC", 0, 8 }, { "gzip's CRC", 0, 5 },
		{ "gzip's length", 0, 4 }, { "gzip's length", 0, 1 },
		{ "zlib's checksum", 1, 4 }, { "zlib's checksum", 1, 1 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes packed = { NULL, 0, 0, 0 };

		pack(&packed, kinds[rows[i].kind].bits, 6, "{}", 2, false);
		packed.bytes[packed.length - rows[i].from_end] ^= 0x40;
		is_integer(count_accepted(kinds[rows[i].kind].format,
		    packed.bytes, packed.length), 0, "%s is wrong",
		    rows[i].name);
		free(packed.bytes);
	}
}

static void
test_other_formats(void)
{
	static const struct {
		const char * name;
		enum decompress_format format;
		const char * bytes;
		size_t length;
	} rows[] = {
		{ "JSON as gzip", DECOMPRESS_GZIP, "{\"a\":1}", 7 },
		{ "JSON as deflate", DECOMPRESS_DEFLATE, "{\"a\":1}", 7 },
		{ "zlib as gzip", DECOMPRESS_GZIP, "\x78\x9c\x03\0\0\0\0\x01", 8 },
		{ "bare deflate as gzip", DECOMPRESS_GZIP, "\x03\0", 2 },
		{ "gzip as deflate", DECOMPRESS_DEFLATE,
		  "\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20 },
		{ "gzip of another method", DECOMPRESS_GZIP,
		  "\x1f\x8b\x07\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20 },
		{ "gzip with reserved flags", DECOMPRESS_GZIP,
		  "\x1f\x8b\x08\x20\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20 },
		{ "zlib that needs a dictionary", DECOMPRESS_DEFLATE,
		  "\x78\xbb\0\0\0\x01\x03\0\0\0\0\x01", 12 },
		{ "zlib of another method", DECOMPRESS_DEFLATE,
		  "\x77\x85\x03\0\0\0\0\x01", 8 },
		{ "nothing as gzip", DECOMPRESS_GZIP, "", 0 },
		{ "nothing as deflate", DECOMPRESS_DEFLATE, "", 0 },
		{ "a byte as gzip", DECOMPRESS_GZIP, "\x1f", 1 },
		{ "a byte as deflate", DECOMPRESS_DEFLATE, "\x78", 1 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_integer(count_accepted(rows[i].format,
		    (const unsigned char *)rows[i].bytes, rows[i].length), 0,
		    "%s", rows[i].name);
}

/* Once the taker says stop it is not called again. */
static void
test_stop(void)
{
	size_t i, piece;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct bytes packed = { NULL, 0, 0, 0 };
		struct bytes out = { NULL, 0, 0, 1 };
		size_t wrong = 0;

		pack(&packed, kinds[i].bits, 9, "ab", 2, false);
		for (piece = 1; piece <= packed.length; piece++) {
			struct result result = unpack(&out, kinds[i].format,
			    packed.bytes, packed.length, piece);

			wrong += result.why != NULL || out.calls != 1;
		}
		is_integer(wrong, 0, "%s of two bytes can be stopped",
		    kinds[i].name);
		packed.length = 0;
		pack(&packed, kinds[i].bits, 9, texts[5].bytes,
		    texts[5].length, false);
		out.stop_at = 2;
		ok(unpack(&out, kinds[i].format, packed.bytes, packed.length,
		    SIZE_MAX).why == NULL && out.calls == 2 &&
		    out.length < texts[5].length,
		    "%s of many bytes can be stopped", kinds[i].name);
		free(packed.bytes);
		free(out.bytes);
	}
}

/* Two members, of which the taker wants but the first. */
/* What members hold is handed on together, and the taker can stop there. */
static void
test_many_members(void)
{
	struct bytes packed = { NULL, 0, 0, 0 };
	struct bytes out = { NULL, 0, 0, 0 };
	struct bytes text = { NULL, 0, 0, 0 };
	struct result result;
	size_t i;

	for (i = 0; i < 20000; i++) {
		char byte = (char)('a' + i % 26);

		pack(&packed, BITS_GZIP, 6, &byte, 1, false);
		append(&text, &byte, 1);
	}
	result = unpack(&out, DECOMPRESS_GZIP, packed.bytes, packed.length,
	    SIZE_MAX);
	ok(result.why == NULL && result.complete && out.length == text.length &&
	    memcmp(out.bytes, text.bytes, text.length) == 0,
	    "20,000 members of a byte each");
	ok(out.calls <= 3, "they are handed on in %d pieces", out.calls);
	out.stop_at = 1;
	result = unpack(&out, DECOMPRESS_GZIP, packed.bytes, packed.length,
	    SIZE_MAX);
	ok(result.why == NULL && out.calls == 1 && out.length < text.length,
	    "the taker can stop among them, after %zu", out.length);
	free(packed.bytes);
	free(text.bytes);
	free(out.bytes);
}

static void
test_empty_feeds(void)
{
	struct arena * arena = arena_create(0);
	struct bytes packed = { NULL, 0, 0, 0 };
	struct bytes out = { NULL, 0, 0, 0 };
	struct decompress * stream = decompress_create(arena, DECOMPRESS_GZIP);
	size_t i, faults = 0;

	pack(&packed, BITS_GZIP, 6, "text", 4, false);
	ok(!decompress_complete(stream), "a new stream is not complete");
	for (i = 0; i < packed.length; i++) {
		faults += decompress_feed(stream, packed.bytes + i, 0, take,
		    &out) != NULL;
		faults += decompress_complete(stream);
		faults += decompress_feed(stream, packed.bytes + i, 1, take,
		    &out) != NULL;
	}
	is_integer(faults, 0, "empty pieces between all bytes");
	ok(decompress_feed(stream, packed.bytes, 0, take, &out) == NULL &&
	    decompress_complete(stream), "and one at the end");
	is_bytes(out.bytes, out.length, "text", 4, "what came out");
	arena_free(arena);
	free(packed.bytes);
	free(out.bytes);
}

/* Where a fault is in what was sent, found in pieces of one size; or -1. */
static int64_t
fault_position(enum decompress_format format, const struct bytes * packed,
    size_t piece)
{
	struct arena * arena = arena_create(0);
	struct bytes out = { NULL, 0, 0, 0 };
	struct decompress * stream = decompress_create(arena, format);
	const char * why = NULL;
	int64_t position = -1;
	size_t done = 0, size;

	for (; done < packed->length && why == NULL; done += size) {
		size = packed->length - done < piece ?
		    packed->length - done : piece;
		why = decompress_feed(stream, packed->bytes + done, size, take,
		    &out);
	}
	if (why != NULL)
		position = (int64_t)decompress_position(stream);
	arena_free(arena);
	free(out.bytes);
	return (position);
}

/* A fault is found at the same place however the stream is cut. */
static void
test_fault_positions(void)
{
	size_t i, at, piece, wrong, faults;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct bytes packed = { NULL, 0, 0, 0 };

		pack(&packed, kinds[i].bits, 6, texts[2].bytes,
		    texts[2].length, false);
		append(&packed, "garbage", 7);
		for (at = wrong = faults = 0; at < packed.length; at++) {
			int64_t first;

			packed.bytes[at] ^= 0x81;
			first = fault_position(kinds[i].format, &packed,
			    SIZE_MAX);
			faults += first >= 0;
			wrong += first > (int64_t)packed.length;
			for (piece = 1; piece < 12; piece++)
				wrong += fault_position(kinds[i].format,
				    &packed, piece) != first;
			packed.bytes[at] ^= 0x81;
		}
		ok(faults > packed.length / 2, "%s: %zu faults",
		    kinds[i].name, faults);
		is_integer(wrong, 0, "%s: their places do not depend on the "
		    "pieces", kinds[i].name);
		free(packed.bytes);
	}
}

/* The position counts what was sent, over all members. */
static void
test_position(void)
{
	struct arena * arena = arena_create(0);
	struct bytes packed = { NULL, 0, 0, 0 };
	struct bytes out = { NULL, 0, 0, 0 };
	struct decompress * stream = decompress_create(arena, DECOMPRESS_GZIP);
	int64_t position;

	pack(&packed, BITS_GZIP, 6, texts[3].bytes, texts[3].length, false);
	pack(&packed, BITS_GZIP, 6, "more", 4, false);
	is_integer(decompress_position(stream), 0, "a new stream is at 0");
	ok(decompress_feed(stream, packed.bytes, packed.length, take, &out) ==
	    NULL && decompress_complete(stream), "two members are unpacked");
	is_integer(decompress_position(stream), packed.length,
	    "a complete stream is at its end");
	append(&packed, "garbage", 7);
	position = fault_position(DECOMPRESS_GZIP, &packed, SIZE_MAX);
	ok(position >= (int64_t)packed.length - 7 &&
	    position <= (int64_t)packed.length - 5,
	    "garbage behind two members is found where it begins");
	arena_free(arena);
	free(packed.bytes);
	free(out.bytes);
}

int
main(void)
{
	size_t i;

	tap_seed();
	make_texts();
	test_formats();
	test_members();
	test_truncation();
	test_truncated_member();
	test_trailing();
	test_damage();
	test_checks();
	test_other_formats();
	test_stop();
	test_many_members();
	test_empty_feeds();
	test_fault_positions();
	test_position();
	for (i = 0; i < TEXTS; i++)
		free(texts[i].bytes);
	return (tap_done());
}
