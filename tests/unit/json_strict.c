#include "lib/json/json_strict.h"
#include "tests/unit/tap.h"

#define NONE UINT64_MAX

struct row {
	const char * text;
	size_t length;
	uint64_t offset;		/* Of the fault; NONE: there is none. */
	size_t least, most;		/* Bytes that may be handed on. */
};

/* A text without a NUL in it. */
#define FINE(text) { text, sizeof(text) - 1, NONE, 0, 0 }
#define FAULT(text, offset, least, most) \
	{ text, sizeof(text) - 1, offset, least, most }

static const struct row rows[] = {
	FINE(""), FINE(" "), FINE("{}"), FINE("\"\\u0041\""),
	FINE(" \t\r\n[1, 2]"), FINE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
	FINE("\"a\0b\""), FINE("\0"),
	/* surrogates in pairs */
	FINE("\"\\ud83d\\ude00\""), FINE("\"\\uD83D\\uDE00\""),
	FINE("\"\\ud800\\udc00\""), FINE("\"\\udbff\\udfff\""),
	FINE("\"\\ud800\\udc00\\ud800\\udc00\""),
	FINE("\"x\\ud800\\udc00y\\udbFF\\uDFffz\""),
	/* code units beside the surrogates */
	FINE("\"\\ud7ff\""), FINE("\"\\ue000\""), FINE("\"\\ud7ff\\ue000\""),
	FINE("\"\\u0000\\uffff\\ufffe\\ufeff\""),
	/* what only looks like an escape of a surrogate */
	FINE("\"\\\\ud800\""), FINE("\"\\\\udc00\""), FINE("\"ud800\""),
	FINE("\"\\\\\\\\ud800x\""), FINE("\"\\\\\\u0041ud800\""),
	/* yajl says what is wrong with these */
	FINE("\"\\u\""), FINE("\"\\u12\""), FINE("\"\\uzzzz\""),
	FINE("\"\\ud8\""), FINE("\"\\ud80g\""), FINE("\"\\x\""),
	FINE("\"\\Ud800\""), FINE("\"\\"), FINE("\"\\u"), FINE("\"\\ud800"),
	FINE("\"\\ud800\\"), FINE("\"\\ud800\\u"), FINE("\"\\ud800\\udc0"),
	/* bytes that begin a byte-order mark, but not the text */
	FINE("\"\xef\xbb\xbf\""), FINE(" \xef"), FINE("\"\xfe\xff\""),
	FINE("\xee"), FINE("\xef"), FINE("\xfd"), FINE("\x80"),
	/* byte-order marks of UTF-16 and UTF-32 */
	FAULT("\xfe\xff\0{", 0, 0, 0), FAULT("\xff\xfe{\0", 0, 0, 0),
	FAULT("\xff\xfe\0\0", 0, 0, 0),
	/* white space that is none */
	FAULT("\f{}", 0, 0, 0), FAULT("\v{}", 0, 0, 0),
	FAULT(" \f{}", 1, 1, 1), FAULT("{}\v", 2, 2, 2),
	FAULT("{\n\v}", 2, 2, 2), FAULT("\"a\fb\"", 2, 2, 2),
	FAULT("\"a\vb\f\"", 2, 2, 2), FAULT("\"a\fb\v\"", 2, 2, 2),
	FAULT("\"\\u0041\f\"", 7, 7, 7), FAULT("\"\\n\v\"", 3, 3, 3),
	/* lone surrogates: the fault is where the escape begins */
	FAULT("\"\\udc00\"", 1, 2, 6), FAULT("\"\\uDFFF\"", 1, 2, 6),
	FAULT("\"\\ud800\"", 1, 7, 7), FAULT("\"\\udbffx\"", 1, 7, 7),
	FAULT("\"\\ud800x\\udc00\"", 1, 7, 7), FAULT("\"ab\\uD800 ", 3, 9, 9),
	FAULT("\"\\ud800\\n\"", 1, 8, 8), FAULT("\"\\ud800\\\\udc00", 1, 8, 8),
	FAULT("\"\\ud800\\\"", 1, 8, 8), FAULT("\"\\ud800\f", 1, 7, 7),
	FAULT("\"\\ud800\\u0041\"", 1, 9, 12),
	FAULT("\"\\ud800\\ud800\"", 1, 9, 12),
	FAULT("\"\\ud800\\ue000\"", 1, 9, 12),
	FAULT("\"\\ud800\\ud7ff\"", 1, 9, 12),
	FAULT("\"\\ud800\\ud800\\udc00\"", 1, 9, 12),
	FAULT("\"\\ud800\\udc00\\udc00\"", 13, 14, 18),
	FAULT("\"\\udc00\\ud800\"", 1, 2, 6),
	FAULT("\"\\ud800\\udc00\\ud800\"", 13, 19, 19),
	FAULT("[\"\\u0041\",\"\\udfff\"]", 11, 12, 16),
	FAULT("\"\\\\\\udc00\"", 3, 4, 8),
};

/* Scan in pieces.  Return the bytes that may be handed on. */
static size_t
scan(struct json_strict * strict, const struct row * row, size_t piece)
{
	size_t done = 0;

	json_strict_init(strict);
	strict->detail = NULL;
	while (done < row->length) {
		size_t length = row->length - done < piece ?
		    row->length - done : piece;
		char * bytes = tap_copy(row->text + done, length);
		size_t passed = json_strict_scan(strict,
		    (const unsigned char *)bytes, length);

		free(bytes);
		done += passed;
		if (passed < length)
			break;
	}
	return (done);
}

static void
test_row(size_t number)
{
	const struct row * row = &rows[number];
	struct json_strict strict;
	size_t whole = scan(&strict, row, row->length + 1);
	size_t piece;

	if (row->offset == NONE) {
		is_integer(whole, row->length, "row %zu passes", number);
		is_integer(strict.position, row->length,
		    "row %zu: the position", number);
	} else {
		ok(whole >= row->least && whole <= row->most,
		    "row %zu: %zu bytes may be handed on", number, whole);
		is_integer(strict.offset, row->offset,
		    "row %zu: the offset", number);
		ok(strict.detail != NULL && strict.detail[0] != '\0',
		    "row %zu: what is wrong", number);
	}
	for (piece = 1; piece <= 20; piece++) {
		size_t passed = scan(&strict, row, piece);

		if (passed != whole || (row->offset != NONE &&
		    (strict.offset != row->offset || strict.detail == NULL)))
			break;
	}
	is_integer(piece, 21, "row %zu: the same in pieces", number);
}

/* Texts of which only surrogates are at fault, and where each is certain. */
static const struct {
	const char * text;
	size_t places[4];
} forgiven[] = {
	{ "\"\\ud800\"", { 7 } },
	{ "\"\\ud800x\\udc00\"", { 7, 13 } },
	{ "\"\\ud800\\n\"", { 8 } },
	{ "\"\\ud800\\u0041\"", { 12 } },
	{ "\"\\ud800\\ud801\\udc01\"", { 12 } },
	{ "\"\\ud800\\ud801\"", { 12, 13 } },
	{ "\"\\udc00\\udc00\\ud83e\\udd8a\"", { 6, 12 } },
	{ "[\"\\udfff\",\"\\\\ud800\",\"\\ud800\"]", { 7, 27 } },
};

static void
test_forgive(void)
{
	size_t i, j;

	for (i = 0; i < sizeof(forgiven) / sizeof(forgiven[0]); i++) {
		const char * text = forgiven[i].text;
		size_t length = strlen(text), at = 0;
		struct json_strict strict;

		json_strict_init(&strict);
		for (j = 0; at < length; j++) {
			at += json_strict_scan(&strict,
			    (const unsigned char *)text + at, length - at);
			if (at == length)
				break;
			is_integer(at, forgiven[i].places[j],
			    "text %zu, fault %zu", i, j);
			if (j == 4 || !ok(json_strict_forgive(&strict),
			    "it is forgiven"))
				break;
		}
		is_integer(at, length, "all of text %zu is read", i);
		ok(j == 4 || forgiven[i].places[j] == 0,
		    "and no fault is missing");
	}
}

static void
test_unforgiven(void)
{
	static const char * const texts[] = { "\f", "[\v]", "\xff\xfe" };
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_strict strict;

		json_strict_init(&strict);
		ok(json_strict_scan(&strict, (const unsigned char *)texts[i],
		    strlen(texts[i])) < strlen(texts[i]) &&
		    !json_strict_forgive(&strict), "text %zu stays at fault",
		    i);
	}
}

/* A fault far behind: each position around the width of a word or a page. */
static void
test_positions(void)
{
	static char text[9000];
	static const size_t places[] = {
		1, 7, 8, 15, 16, 31, 32, 63, 64, 4095, 4096, 4097, 8191, 8192,
	};
	static const char faults[] = "\f\v";
	struct json_strict strict;
	size_t i, wrong = 0;

	for (i = 0; i < 2 * sizeof(places) / sizeof(places[0]); i++) {
		struct row row = { text, sizeof(text), places[i / 2], 0, 0 };

		memset(text, 'x', sizeof(text));
		text[row.offset] = faults[i % 2];
		text[row.offset + 1] = faults[1 - i % 2];
		wrong += scan(&strict, &row, sizeof(text)) != row.offset ||
		    strict.offset != row.offset;
		wrong += scan(&strict, &row, 13) != row.offset ||
		    strict.offset != row.offset;
	}
	is_integer(wrong, 0, "a fault is found wherever it stands");
}

static void
test_empty_pieces(void)
{
	static const unsigned char mark[] = { 0xff, 0xfe };
	static const unsigned char text[] = "\"\\ud800";
	struct json_strict strict;

	json_strict_init(&strict);
	is_integer(json_strict_scan(&strict, mark, 0), 0, "an empty piece passes");
	is_integer(json_strict_scan(&strict, mark, 2), 0,
	    "a byte-order mark after an empty piece does not");
	json_strict_init(&strict);
	is_integer(json_strict_scan(&strict, text, 7), 7, "a high surrogate");
	is_integer(json_strict_scan(&strict, text, 0), 0, "an empty piece");
	is_integer(json_strict_scan(&strict, (const unsigned char *)"x", 1), 0,
	    "and no low one");
	is_integer(strict.offset, 1, "is found at the high one");
}

/* A simple reading of the same rules, over a text all of whose bytes are in. */
static uint64_t
fault_of(const unsigned char * text, size_t length)
{
	size_t i = 0;
	long high = -1;

	while (i < length) {
		unsigned int unit = 0;
		int digits = 0;

		if (high >= 0 && (text[i] != '\\' ||
		    (i + 1 < length && text[i + 1] != 'u')))
			return ((uint64_t)high);
		if (text[i] == '\f' || text[i] == '\v')
			return (i);
		if (text[i] != '\\') {
			i++;
			continue;
		}
		if (i + 1 >= length || text[i + 1] != 'u') {
			i += 2;
			continue;
		}
		if (i + 6 > length || sscanf((const char *)text + i + 2,
		    "%4x%n", &unit, &digits) != 1)
			return (NONE);
		if (high >= 0 && (unit < 0xdc00 || unit > 0xdfff))
			return ((uint64_t)high);
		if (high < 0 && unit >= 0xdc00 && unit <= 0xdfff)
			return (i);
		high = unit >= 0xd800 && unit <= 0xdbff ? (long)i : -1;
		i += 6;
	}
	return (NONE);
}

static void
test_random(void)
{
	static const char * const bits[] = {
		"\\ud800", "\\udbff", "\\udc00", "\\uDFFF", "\\u0041",
		"\\\\", "\\n", "x", "\\ud834\\udd1e", "u", "\f", " ",
	};
	unsigned int wrong = 0;
	int i, j;

	for (i = 0; i < 50000; i++) {
		char text[100] = "\"";
		struct row row = { text, 0, 0, 0, 0 };
		struct json_strict strict;
		size_t passed;

		for (j = (int)(random() % 8); j >= 0; j--)
			strcat(text, bits[(size_t)random() %
			    (sizeof(bits) / sizeof(bits[0]))]);
		row.length = strlen(text);
		row.offset = fault_of((const unsigned char *)text, row.length);
		passed = scan(&strict, &row, 1 + (size_t)random() % 10);
		if (row.offset == NONE)
			wrong += passed != row.length;
		else
			wrong += passed == row.length ||
			    strict.offset != row.offset;
	}
	is_integer(wrong, 0, "random escapes are as a simple reading says");
}

int
main(void)
{
	size_t i;

	tap_seed();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		test_row(i);
	test_positions();
	test_empty_pieces();
	test_random();
	test_forgive();
	test_unforgiven();
	return (tap_done());
}
