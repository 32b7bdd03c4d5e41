#include "lib/base/fault.h"
#include "tests/unit/tap.h"

static void
test_first_wins(void)
{
	struct fault fault = { .code = FAULT_NONE };

	fault_set(&fault, FAULT_INVALID, 17, "/a/0", "is %d of %s", 3, "x");
	is_integer(fault.code, FAULT_INVALID, "the code");
	is_integer(fault.offset, 17, "the offset");
	is_text(fault.pointer, "/a/0", "the pointer");
	is_text(fault.detail, "is 3 of x", "the detail");
	fault_set(&fault, FAULT_TOO_LARGE, 4, "/b", "later");
	is_integer(fault.code, FAULT_INVALID, "the first code stays");
	is_integer(fault.offset, 17, "the first offset stays");
	is_text(fault.pointer, "/a/0", "the first pointer stays");
	is_text(fault.detail, "is 3 of x", "the first detail stays");
}

static void
test_values(void)
{
	static const struct {
		enum fault_code code;
		uint64_t offset;
		const char * pointer;
		const char * detail;
	} rows[] = {
		{ FAULT_INVALID, 0, "", "" },
		{ FAULT_TOO_LARGE, UINT64_MAX, "/", "%s %d %n" },
		{ FAULT_INCOMPLETE, 4294967296, "//~0~1", "text" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault fault;

		memset(&fault, 0xff, sizeof(fault));
		fault.code = FAULT_NONE;
		fault_set(&fault, rows[i].code, rows[i].offset,
		    rows[i].pointer, "%s", rows[i].detail);
		is_integer(fault.code, rows[i].code, "code %zu", i);
		ok(fault.offset == rows[i].offset, "offset %zu", i);
		is_text(fault.pointer, rows[i].pointer, "pointer %zu", i);
		is_text(fault.detail, rows[i].detail, "detail %zu", i);
	}
}

/* Members of a pointer: how many, and the length of each with its slash. */
static char *
make_pointer(char * out, size_t count, size_t length)
{
	size_t i;

	memset(out, 'm', count * length);
	for (i = 0; i < count; i++)
		out[i * length] = '/';
	out[count * length] = '\0';
	return (out);
}

static void
test_pointer_cut(void)
{
	static const struct {
		size_t count, length;	/* Members, bytes of each. */
		size_t wanted;		/* Length that is left. */
	} rows[] = {
		{ 1, 511, 511 }, { 1, 512, 0 }, { 1, 513, 0 }, { 1, 2000, 0 },
		{ 511, 1, 511 }, { 512, 1, 511 }, { 2000, 1, 511 },
		{ 7, 73, 511 }, { 8, 73, 511 }, { 20, 73, 511 },
		{ 5, 100, 500 }, { 6, 100, 500 }, { 51, 10, 510 },
		{ 52, 10, 510 }, { 2, 256, 256 }, { 2, 255, 510 },
		{ 3, 255, 510 },
	};
	char pointer[2100];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault fault = { .code = FAULT_NONE };

		make_pointer(pointer, rows[i].count, rows[i].length);
		fault_set(&fault, FAULT_INVALID, 0, pointer, "x");
		pointer[rows[i].wanted] = '\0';
		is_text(fault.pointer, pointer,
		    "a pointer of %zu members of %zu bytes is cut to %zu",
		    rows[i].count, rows[i].length, rows[i].wanted);
	}
}

static void
test_detail_cut(void)
{
	static const struct {
		size_t fill;
		const char * end;
		size_t wanted;		/* Length that is left. */
	} rows[] = {
		{ 254, "", 254 }, { 255, "", 255 }, { 256, "", 255 },
		{ 1000, "", 255 },
		{ 253, "\xc3\xa9", 255 },
		{ 254, "\xc3\xa9", 254 },
		{ 255, "\xc3\xa9", 255 },
		{ 252, "\xe2\x82\xac", 255 },
		{ 253, "\xe2\x82\xac", 253 },
		{ 254, "\xe2\x82\xac", 254 },
		{ 251, "\xf0\x9f\x98\x80", 255 },
		{ 252, "\xf0\x9f\x98\x80", 252 },
		{ 253, "\xf0\x9f\x98\x80", 253 },
		{ 254, "\xf0\x9f\x98\x80", 254 },
		{ 252, "\xc3\xa9\xc3\xa9", 254 },
	};
	char detail[1100];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault fault = { .code = FAULT_NONE };

		memset(detail, 'd', rows[i].fill);
		strcpy(detail + rows[i].fill, rows[i].end);
		fault_set(&fault, FAULT_INVALID, 0, "", "%s", detail);
		is_bytes(fault.detail, strlen(fault.detail), detail,
		    rows[i].wanted, "a detail of %zu bytes and %zu more",
		    rows[i].fill, strlen(rows[i].end));
	}
}

static void
test_quote(void)
{
	static const struct {
		const char * text;
		size_t length;
		const char * wanted;
	} rows[] = {
		{ "", 0, "\"\"" },
		{ "abc", 3, "\"abc\"" },
		{ " ~!", 3, "\" ~!\"" },
		{ "\0", 1, "\"\\x00\"" },
		{ "a\nb\r", 4, "\"a\\x0ab\\x0d\"" },
		{ "\x1f\x7f\x80\xff", 4, "\"\\x1f\\x7f\\x80\\xff\"" },
		{ "\xc3\xa9", 2, "\"\\xc3\\xa9\"" },
		{ "%s%n", 4, "\"%s%n\"" },
	};
	char out[FAULT_QUOTE_MAX];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char * text = tap_copy(rows[i].text, rows[i].length);

		ok(fault_quote(out, text, rows[i].length) == out,
		    "quoting returns the text");
		is_text(out, rows[i].wanted, "quoted, row %zu", i);
		free(text);
	}
}

/* How many bytes a quoted text stands for; -1 if they are not its first. */
static int
unquote(const char * quoted, const char * end, const char * text)
{
	int count = 0;

	for (; quoted < end; count++) {
		unsigned int c = (unsigned char)*quoted++;

		if (c < 0x20 || c > 0x7e || c == '"')
			return (-1);
		if (c == '\\' && *quoted == 'x') {
			if (sscanf(quoted + 1, "%2x", &c) != 1)
				return (-1);
			quoted += 3;
		} else if (c == '\\')
			c = (unsigned char)*quoted++;
		if (c != (unsigned char)text[count])
			return (-1);
	}
	return (quoted == end ? count : -1);
}

static bool
quote_is_right(const char * text, size_t length)
{
	char out[FAULT_QUOTE_MAX + 8];
	char * copy = tap_copy(text, length);
	size_t used;
	int whole, cut = -1;

	memset(out, '#', sizeof(out));
	fault_quote(out, copy, length);
	free(copy);
	used = strnlen(out, sizeof(out));
	if (used >= FAULT_QUOTE_MAX || used < 2 || out[0] != '"' ||
	    out[used - 1] != '"' || out[FAULT_QUOTE_MAX] != '#')
		return (false);
	whole = unquote(out + 1, out + used - 1, text);
	if (whole >= 0 && (size_t)whole == length)
		return (true);
	/* It had to be cut: at least half of the room is then used. */
	if (used > 5 && memcmp(out + used - 4, "...", 3) == 0)
		cut = unquote(out + 1, out + used - 4, text);
	return (cut >= 0 && (size_t)cut < length &&
	    used > FAULT_QUOTE_MAX / 2);
}

static void
test_quote_cut(void)
{
	static const struct {
		const char * name;
		unsigned char c;
	} rows[] = {
		{ "letters", 'a' }, { "quotes", '"' }, { "backslashes", '\\' },
		{ "NULs", 0 }, { "bytes beyond ASCII", 0xe9 },
	};
	char text[300];
	size_t i, length;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(text, rows[i].c, sizeof(text));
		for (length = 0; length < sizeof(text); length++)
			if (!quote_is_right(text, length))
				break;
		is_integer(length, sizeof(text), "%s of all lengths",
		    rows[i].name);
	}
	for (i = 0; i < 20000; i++) {
		length = (size_t)random() % 100;
		for (size_t j = 0; j < length; j++)
			text[j] = (char)(random() % 2 == 0 ? random() :
			    ' ' + random() % 95);
		if (!quote_is_right(text, length))
			break;
	}
	is_integer(i, 20000, "random bytes");
}

int
main(void)
{

	tap_seed();
	test_first_wins();
	test_values();
	test_pointer_cut();
	test_detail_cut();
	test_quote();
	test_quote_cut();
	return (tap_done());
}
