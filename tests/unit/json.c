#include <stdarg.h>

#include "lib/json/json.h"
#include "tests/unit/tap.h"

/*
 * What the reader says of a text is recorded as text: each event with the
 * offset and pointer that json_describe gives it, as in
 *
 *	{"a":[1]}	{@0 k"a"@1/a [@5/a #1@6/a/0 ]@5/a }@0
 *
 * and a fault at the end as !OFFSET POINTER, with its code before it: I for
 * invalid, T for too large.  Every text is read whole and in pieces of 1 to
 * 20 bytes, and all records must be the same.
 */
#define RECORD_MAX 16384
#define PIECE_MAX 20
#define DEPTH 8

struct record {
	struct json * json;
	struct fault * fault;
	int reject_at;			/* Event to reject; -1: none. */
	int events;
	size_t used;
	char text[RECORD_MAX];
};

__attribute__((format(printf, 2, 3)))
static void
add(struct record * record, const char * format, ...)
{
	size_t room = RECORD_MAX - record->used;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(record->text + record->used, room, format,
	    arguments);
	va_end(arguments);
	record->used += (size_t)length < room ? (size_t)length : room - 1;
}

static void
add_quoted(struct record * record, const char * text, size_t length)
{
	size_t i;

	add(record, "\"");
	for (i = 0; i < length && i < 200; i++)
		if (text[i] > 0x20 && text[i] < 0x7f && text[i] != '"')
			add(record, "%c", text[i]);
		else
			add(record, "\\x%02x", (unsigned char)text[i]);
	add(record, i < length ? "...%zu\"" : "\"", length);
}

__attribute__((format(printf, 4, 5)))
static void
describe(struct json * json, struct fault * fault, enum fault_code code,
    const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	json_describe(json, fault, code, format, arguments);
	va_end(arguments);
}

/* Add where the event is, and see whether it is the one to reject. */
static bool
event_done(struct record * record)
{
	struct fault here = { .code = FAULT_NONE };

	describe(record->json, &here, FAULT_INVALID, "%d", record->events);
	add(record, "@%llu%s ", (unsigned long long)here.offset,
	    here.pointer);
	if (record->events++ != record->reject_at)
		return (true);
	describe(record->json, record->fault, FAULT_TOO_LARGE, "event %d",
	    record->reject_at);
	return (false);
}

static bool
on_null(void * context)
{

	add(context, "null");
	return (event_done(context));
}

static bool
on_boolean(void * context, bool value)
{

	add(context, "%s", value ? "true" : "false");
	return (event_done(context));
}

static bool
on_number(void * context, const char * text, size_t length)
{

	if (length > 100)
		add(context, "#...%zu", length);
	else
		add(context, "#%.*s", (int)length, text);
	return (event_done(context));
}

static bool
on_string(void * context, const char * text, size_t length)
{

	add_quoted(context, text, length);
	return (event_done(context));
}

static bool
on_key(void * context, const char * text, size_t length)
{

	add(context, "k");
	add_quoted(context, text, length);
	return (event_done(context));
}

static bool
on_object_start(void * context)
{

	add(context, "{");
	return (event_done(context));
}

static bool
on_object_end(void * context)
{

	add(context, "}");
	return (event_done(context));
}

static bool
on_array_start(void * context)
{

	add(context, "[");
	return (event_done(context));
}

static bool
on_array_end(void * context)
{

	add(context, "]");
	return (event_done(context));
}

static const struct json_handler handler = {
	.null = on_null,
	.boolean = on_boolean,
	.number = on_number,
	.string = on_string,
	.key = on_key,
	.object_start = on_object_start,
	.object_end = on_object_end,
	.array_start = on_array_start,
	.array_end = on_array_end,
};

static const struct json_handler * reader = &handler;

/* Feed a text in pieces, each in memory of its own; 0 is a random size. */
static bool
feed(struct json * json, const char * text, size_t length, size_t piece)
{
	size_t done, size;

	for (done = 0; done < length; done += size) {
		char * copy;
		bool more;

		size = piece == 0 ? (size_t)random() % 12 : piece;
		if (size > length - done)
			size = length - done;
		copy = tap_copy(text + done, size);
		more = json_feed(json, copy, size);
		memset(copy, '?', size);
		free(copy);
		if (!more)
			return (false);
	}
	return (json_finish(json));
}

/* Read a text in pieces of one size into the record. */
static void
read_text(struct record * record, const char * text, size_t length,
    size_t piece, int reject_at, size_t depth)
{
	struct arena * arena = arena_create(0);
	struct fault fault = { .code = FAULT_NONE };
	bool result;

	record->fault = &fault;
	record->reject_at = reject_at;
	record->events = 0;
	record->used = 0;
	record->text[0] = '\0';
	record->json = json_create(arena, reader, record, depth, &fault);
	result = feed(record->json, text, length, piece);
	if (result != (fault.code == FAULT_NONE))
		add(record, "the result contradicts the fault");
	if (result && json_length(record->json) != length)
		add(record, "the length is wrong");
	if (fault.code != FAULT_NONE && fault.detail[0] == '\0')
		add(record, "no detail");
	if (fault.code != FAULT_NONE)
		add(record, "%c!%llu%s%s", fault.code == FAULT_INVALID ? 'I' :
		    fault.code == FAULT_TOO_LARGE ? 'T' : '?',
		    (unsigned long long)fault.offset,
		    fault.pointer[0] == '\0' ? "" : " ", fault.pointer);
	else if (record->used > 0)
		record->text[--record->used] = '\0';
	arena_free(arena);
}

/* The first piece size at which the record is another; 0: none. */
static size_t
piece_that_differs(const struct record * wanted, struct record * got,
    const char * text, size_t length, int reject_at, size_t depth)
{
	size_t piece;

	for (piece = 1; piece <= PIECE_MAX; piece++) {
		read_text(got, text, length, piece, reject_at, depth);
		if (strcmp(got->text, wanted->text) != 0)
			return (piece);
	}
	return (0);
}

static struct record whole, other;

static void
check(const char * text, size_t length, const char * wanted)
{
	size_t piece;

	read_text(&whole, text, length, length + 1, -1, DEPTH);
	is_text(whole.text, wanted, "%.60s", text);
	piece = piece_that_differs(&whole, &other, text, length, -1, DEPTH);
	is_text(piece == 0 ? whole.text : other.text, whole.text,
	    "%.60s in pieces, %zu", text, piece);
}

struct row {
	const char * text;
	size_t length;
	const char * wanted;
};

#define ROW(text, wanted) { text, sizeof(text) - 1, wanted }

static const struct row valid[] = {
	ROW("null", "null@0"), ROW("true", "true@0"), ROW("false", "false@0"),
	ROW("0", "#0@0"), ROW("-0", "#-0@0"), ROW("12", "#12@0"),
	ROW("-0.0", "#-0.0@0"), ROW("1e400", "#1e400@0"),
	ROW("1.50E+10", "#1.50E+10@0"), ROW("1e-0", "#1e-0@0"),
	ROW("10e-1", "#10e-1@0"), ROW("0.1e1", "#0.1e1@0"),
	ROW("9007199254740993", "#9007199254740993@0"),
	ROW("184467440737095516161844674407370955161618446744073709551616",
	    "#184467440737095516161844674407370955161618446744073709551616@0"),
	ROW(" 1 ", "#1@1"), ROW("\n-1\r\n\t ", "#-1@1"), ROW("1 ", "#1@0"),
	ROW("\"\"", "\"\"@0"), ROW("\"a\"", "\"a\"@0"),
	ROW(" \"a\" ", "\"a\"@1"),
	ROW("[]", "[@0 ]@0"), ROW("{}", "{@0 }@0"),
	ROW(" [ ] ", "[@1 ]@1"), ROW("\t{\r\n}\t", "{@1 }@1"),
	ROW("[1]", "[@0 #1@1/0 ]@0"),
	ROW("[1,2,3]", "[@0 #1@1/0 #2@3/1 #3@5/2 ]@0"),
	ROW("[ -1.5e3 , null,true ,false]",
	    "[@0 #-1.5e3@2/0 null@11/1 true@16/2 false@22/3 ]@0"),
	ROW("[[],[[]],{}]",
	    "[@0 [@1/0 ]@1/0 [@4/1 [@5/1/0 ]@5/1/0 ]@4/1 {@9/2 }@9/2 ]@0"),
	ROW("{\"a\":1}", "{@0 k\"a\"@1/a #1@5/a }@0"),
	ROW("{ \"a\" : 1 , \"b\" : 2 }",
	    "{@0 k\"a\"@2/a #1@8/a k\"b\"@12/b #2@18/b }@0"),
	ROW("{\"a\":{\"b\":{\"c\":\"d\"}}}",
	    "{@0 k\"a\"@1/a {@5/a k\"b\"@6/a/b {@10/a/b k\"c\"@11/a/b/c "
	    "\"d\"@15/a/b/c }@10/a/b }@5/a }@0"),
	ROW("{\"a\":[{\"b\":[0,{}]}],\"c\":null}",
	    "{@0 k\"a\"@1/a [@5/a {@6/a/0 k\"b\"@7/a/0/b [@11/a/0/b "
	    "#0@12/a/0/b/0 {@14/a/0/b/1 }@14/a/0/b/1 ]@11/a/0/b }@6/a/0 "
	    "]@5/a k\"c\"@20/c null@24/c }@0"),
	ROW("{\"\":0}", "{@0 k\"\"@1/ #0@4/ }@0"),
	ROW("{\"\":{\"\":[]}}",
	    "{@0 k\"\"@1/ {@4/ k\"\"@5// [@8// ]@8// }@4/ }@0"),
	/* the same name again is for the schema to see */
	ROW("{\"a\":1,\"a\":2}",
	    "{@0 k\"a\"@1/a #1@5/a k\"a\"@7/a #2@11/a }@0"),
	/* RFC 6901, section 3 */
	ROW("{\"a/b\":[1],\"m~n\":0,\"~1\":0,\"/\":0}",
	    "{@0 k\"a/b\"@1/a~1b [@7/a~1b #1@8/a~1b/0 ]@7/a~1b "
	    "k\"m~n\"@11/m~0n #0@17/m~0n k\"~1\"@19/~01 #0@24/~01 "
	    "k\"/\"@26/~1 #0@30/~1 }@0"),
	/* escapes */
	ROW("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	    "\"\\x22\\/\\x08\\x0c\\x0a\\x0d\\x09\"@0"),
	ROW("[\"\\u0041\\u00e9\\u20AC\"]",
	    "[@0 \"A\\xc3\\xa9\\xe2\\x82\\xac\"@1/0 ]@0"),
	ROW("[\"\\ud83d\\ude00\",1]",
	    "[@0 \"\\xf0\\x9f\\x98\\x80\"@1/0 #1@16/1 ]@0"),
	ROW("\"\\ud800\\udc00\\uDBFF\\uDFFF\"",
	    "\"\\xf0\\x90\\x80\\x80\\xf4\\x8f\\xbf\\xbf\"@0"),
	ROW("\"\\u0000\"", "\"\\x00\"@0"),
	ROW("[\"a\\u0000b\",1]", "[@0 \"a\\x00b\"@1/0 #1@12/1 ]@0"),
	ROW("\"\\u001f\\u007f\\ud7ff\\ue000\\uffff\"",
	    "\"\\x1f\\x7f\\xed\\x9f\\xbf\\xee\\x80\\x80\\xef\\xbf\\xbf\"@0"),
	ROW("{\"\\u0061\\n\":[\"\\t\",2]}",
	    "{@0 k\"a\\x0a\"@1/a\n [@12/a\n \"\\x09\"@13/a\n/0 #2@18/a\n/1 "
	    "]@12/a\n }@0"),
	ROW("{\"\\u002f\\u007e\":1}", "{@0 k\"/~\"@1/~1~0 #1@16/~1~0 }@0"),
	/* UTF-8, and the shortest and longest of each length */
	ROW("\"\x7f\"", "\"\\x7f\"@0"),
	ROW("\"\xc2\x80\xdf\xbf\"", "\"\\xc2\\x80\\xdf\\xbf\"@0"),
	ROW("\"\xe0\xa0\x80\xef\xbf\xbf\"",
	    "\"\\xe0\\xa0\\x80\\xef\\xbf\\xbf\"@0"),
	ROW("\"\xed\x9f\xbf\xee\x80\x80\"",
	    "\"\\xed\\x9f\\xbf\\xee\\x80\\x80\"@0"),
	ROW("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
	    "\"\\xf0\\x90\\x80\\x80\\xf4\\x8f\\xbf\\xbf\"@0"),
	ROW("[\"\xef\xbb\xbf\"]", "[@0 \"\\xef\\xbb\\xbf\"@1/0 ]@0"),
	ROW("{\"\xc3\xa9\":0}", "{@0 k\"\\xc3\\xa9\"@1/\xc3\xa9 "
	    "#0@6/\xc3\xa9 }@0"),
	/* what stands between tokens inside strings */
	ROW("[\",: []{}\",\"\\\"\",1]",
	    "[@0 \",:\\x20[]{}\"@1/0 \"\\x22\"@11/1 #1@16/2 ]@0"),
	ROW("[1 ,\n\n 2\t,\r3]", "[@0 #1@1/0 #2@7/1 #3@11/2 ]@0"),
};

/* Texts that are not JSON, or end too early. */
static const struct row invalid[] = {
	ROW("", "I!0"), ROW(" ", "I!1"), ROW("\n\n", "I!2"),
	ROW("[", "[@0 I!1 /0"), ROW("{", "{@0 I!1"),
	ROW("[1", "[@0 #1@1/0 I!2 /1"), ROW("[1,", "[@0 #1@1/0 I!3 /1"),
	ROW("{\"a\"", "{@0 k\"a\"@1/a I!4 /a"),
	ROW("{\"a\":", "{@0 k\"a\"@1/a I!5 /a"),
	ROW("{\"a\":1", "{@0 k\"a\"@1/a #1@5/a I!6"),
	ROW("{\"a\":1,", "{@0 k\"a\"@1/a #1@5/a I!7"),
	ROW("\"", "I!1"), ROW("\"abc", "I!4"), ROW("\"\\", "I!2"),
	ROW("\"\\u12", "I!5"), ROW("\"\\ud800", "I!7"), ROW("\"\\ud83d\\ude0",
	    "I!12"),
	ROW("n", "I!1"), ROW("nul", "I!3"), ROW("tru", "I!3"),
	ROW("fals", "I!4"), ROW("-", "I!1"), ROW("1.", "I!2"),
	ROW("1e", "I!2"), ROW("1e+", "I!3"), ROW("1E-", "I!3"),
	ROW("[[]", "[@0 [@1/0 ]@1/0 I!3 /1"),
	/* grammar */
	ROW("]", "I!0"), ROW("}", "I!0"), ROW(",", "I!0"), ROW(":", "I!0"),
	ROW("[,1]", "[@0 I!1 /0"), ROW("[1,]", "[@0 #1@1/0 I!3 /1"),
	ROW("[1,,2]", "[@0 #1@1/0 I!3 /1"), ROW("[}", "[@0 I!1 /0"),
	ROW("[1}", "[@0 #1@1/0 I!2 /1"), ROW("[1 2]", "[@0 #1@1/0 I!3 /1"),
	ROW("[1:2]", "[@0 #1@1/0 I!2 /1"),
	ROW("[\"a\" \"b\"]", "[@0 \"a\"@1/0 I!5 /1"),
	ROW("{]", "{@0 I!1"), ROW("{,}", "{@0 I!1"), ROW("{1:2}", "{@0 I!1"),
	ROW("{null:1}", "{@0 I!1"), ROW("{a:1}", "{@0 I!1"),
	ROW("{'a':1}", "{@0 I!1"), ROW("{[]:1}", "{@0 I!1"),
	ROW("{\"a\",1}", "{@0 k\"a\"@1/a I!4 /a"),
	ROW("{\"a\" 1}", "{@0 k\"a\"@1/a I!5 /a"),
	ROW("{\"a\"}", "{@0 k\"a\"@1/a I!4 /a"),
	ROW("{\"a\":}", "{@0 k\"a\"@1/a I!5 /a"),
	ROW("{\"a\":,}", "{@0 k\"a\"@1/a I!5 /a"),
	ROW("{\"a\"::1}", "{@0 k\"a\"@1/a I!5 /a"),
	ROW("{\"a\":1,}", "{@0 k\"a\"@1/a #1@5/a I!7"),
	ROW("{\"a\":1 \"b\":2}", "{@0 k\"a\"@1/a #1@5/a I!7"),
	ROW("{\"a\":1]", "{@0 k\"a\"@1/a #1@5/a I!6"),
	/* a token of several bytes where it cannot stand: its first byte */
	ROW("[1 234]", "[@0 #1@1/0 I!3 /1"),
	ROW("[true \"bcde\"]", "[@0 true@1/0 I!6 /1"),
	ROW("[\"a\" null]", "[@0 \"a\"@1/0 I!5 /1"),
	ROW("{1234:2}", "{@0 I!1"), ROW("{ true :1}", "{@0 I!2"),
	ROW("{\"a\" \"bcde\"}", "{@0 k\"a\"@1/a I!5 /a"),
	ROW("{\"a\" false}", "{@0 k\"a\"@1/a I!5 /a"),
	ROW("{\"a\":1 \"bcdefgh\":2}", "{@0 k\"a\"@1/a #1@5/a I!7"),
	ROW("{\"a\":\"x\" false}", "{@0 k\"a\"@1/a \"x\"@5/a I!9"),
	ROW("{\"a\":1 -12345}", "{@0 k\"a\"@1/a #1@5/a I!7"),
	/* words and numbers */
	ROW("TRUE", "I!0"), ROW("Null", "I!0"), ROW("NaN", "I!0"),
	ROW("Infinity", "I!0"), ROW("undefined", "I!0"), ROW("'a'", "I!0"),
	ROW("+1", "I!0"), ROW(".5", "I!0"), ROW("#1", "I!0"),
	ROW("nan", "I!1"), ROW("nulL", "I!3"), ROW("[trux]", "[@0 I!4 /0"),
	ROW("-a", "I!1"), ROW("--1", "I!1"), ROW("-.5", "I!1"),
	ROW("-Infinity", "I!1"), ROW("[1.]", "[@0 I!3 /0"),
	ROW("[1.e3]", "[@0 I!3 /0"), ROW("[1e]", "[@0 I!3 /0"),
	ROW("[1e+]", "[@0 I!4 /0"), ROW("[1ex]", "[@0 I!3 /0"),
	ROW("[-]", "[@0 I!2 /0"), ROW("[- 1]", "[@0 I!2 /0"),
	ROW("[01]", "[@0 #0@1/0 I!2 /1"), ROW("[-01]", "[@0 #-0@1/0 I!3 /1"),
	ROW("[0x10]", "[@0 #0@1/0 I!2 /1"), ROW("[1_0]", "[@0 #1@1/0 I!2 /1"),
	ROW("[1.2.3]", "[@0 #1.2@1/0 I!4 /1"), ROW("[1,.5]",
	    "[@0 #1@1/0 I!3 /1"),
	/* comments */
	ROW("/* */ 1", "I!0"), ROW("// x\n1", "I!0"),
	ROW("[1,/**/2]", "[@0 #1@1/0 I!3 /1"),
	/* control characters and escapes in strings */
	ROW("\"a\x01" "b\"", "I!2"), ROW("[\"\n\"]", "[@0 I!2 /0"),
	ROW("[\"a\tb\"]", "[@0 I!3 /0"), ROW("\"a\0b\"", "I!2"),
	ROW("\"\x1f\"", "I!1"), ROW("\"\\x\"", "I!2"), ROW("\"\\'\"", "I!2"),
	ROW("\"\\0\"", "I!2"), ROW("\"\\U0041\"", "I!2"),
	ROW("\"\\\n\"", "I!2"), ROW("\"\\u\"", "I!3"),
	ROW("\"\\u12g4\"", "I!5"), ROW("\"\\u 041\"", "I!3"),
	ROW("[1,\"\\u00-1\"]", "[@0 #1@1/0 I!8 /1"),
	/* surrogates, at their backslash */
	ROW("\"\\ud800\"", "I!1"), ROW("\"\\udc00\"", "I!1"),
	ROW("\"ab\\uDBFFx\"", "I!3"), ROW("\"\\ud800\\u0041\"", "I!1"),
	ROW("\"\\ud800\\ud800\"", "I!1"), ROW("\"\\ud800\\n\"", "I!1"),
	ROW("\"\\udc00\\ud800\"", "I!1"),
	ROW("\"\\ud800\\udc00\\udc00\"", "I!13"),
	ROW("{\"a\":[\"\\udfff\"]}", "{@0 k\"a\"@1/a [@5/a I!7 /a/0"),
	ROW("{\"\\ud83d\":1}", "{@0 I!2"),
};

/* White space, byte-order marks, UTF-8, and what follows the text. */
static const struct row strictness[] = {
	ROW("\f1", "I!0"), ROW("\v1", "I!0"), ROW("[\f]", "[@0 I!1 /0"),
	ROW("[1,\v2]", "[@0 #1@1/0 I!3 /1"), ROW("[]\f", "[@0 ]@0 I!2"),
	ROW("[]\v", "[@0 ]@0 I!2"), ROW("{\"a\"\f:1}",
	    "{@0 k\"a\"@1/a I!4 /a"),
	ROW("\"a\fb\"", "I!2"), ROW("\"\v\"", "I!1"),
	ROW("\xc2\xa0" "1", "I!0"), ROW("[\xe2\x80\xa8]", "[@0 I!1 /0"),
	ROW("\0" "1", "I!0"), ROW("[\0]", "[@0 I!1 /0"),
	ROW("\xef\xbb\xbf{}", "{@3 }@3"), ROW("\xef\xbb\xbf 1", "#1@4"),
	ROW("\xef\xbb\xbf", "I!3"), ROW("\xef\xbb", "I!2"),
	ROW("\xef\xbb{}", "I!0"), ROW("\xef", "I!1"), ROW("\xef[]", "I!0"),
	ROW("\xef\xbb\xbf\xef\xbb\xbf{}", "I!3"),
	ROW("\xef\xbb\xbf]", "I!3"), ROW("\xef\xbb\xbf\f{}", "I!3"),
	ROW("\xef\xbb\xbf\"\\ud800\"", "I!4"),
	ROW("\xff\xfe{\0}\0", "I!0"), ROW("\xfe\xff\0{\0}", "I!0"),
	ROW(" \xef\xbb\xbf{}", "I!1"), ROW("{}\xef\xbb\xbf", "{@0 }@0 I!2"),
	ROW("[\xff]", "[@0 I!1 /0"), ROW("[\x80]", "[@0 I!1 /0"),
	/* overlong forms */
	ROW("[1,\"\xc0\x80\"]", "[@0 #1@1/0 I!3 /1"),
	ROW("\"\xc0\xaf\"", "I!0"), ROW("\"\xc1\xbf\"", "I!0"),
	ROW("\"\xe0\x80\x80\"", "I!0"), ROW("\"\xe0\x9f\xbf\"", "I!0"),
	ROW("\"\xf0\x80\x80\x80\"", "I!0"), ROW("\"\xf0\x8f\xbf\xbf\"", "I!0"),
	/* surrogates, and beyond U+10FFFF */
	ROW("\"\xed\xa0\x80\"", "I!0"), ROW("\"\xed\xbf\xbf\"", "I!0"),
	ROW("\"\xed\xa0\xbd\xed\xb8\x80\"", "I!0"),
	ROW("\"\xf4\x90\x80\x80\"", "I!0"), ROW("\"\xf5\x80\x80\x80\"", "I!0"),
	ROW("\"\xf8\x88\x80\x80\x80\"", "I!0"), ROW("\"\xfe\"", "I!0"),
	ROW("\"\xff\"", "I!0"),
	/* too few bytes, or too many */
	ROW("\"\x80\"", "I!0"), ROW("\"\xbf\"", "I!0"), ROW("\"\xc3\"", "I!0"),
	ROW("\"\xc3x\"", "I!0"), ROW("\"\xe2\x82\"", "I!0"),
	ROW("\"\xf0\x9f\x98\"", "I!0"), ROW("\"\xc3\xa9\xa9\"", "I!0"),
	ROW("\"\xc3\\u0041\"", "I!0"), ROW("\"\xe2\\n\x82\xac\"", "I!0"),
	ROW("{\"a\":\"12345678\xc3\"}", "{@0 k\"a\"@1/a I!5 /a"),
	ROW("{\"\xc3\":1}", "{@0 I!1"),
	ROW("{\"a\":{\"b\xff\":1}}", "{@0 k\"a\"@1/a {@5/a I!6 /a"),
	/* what follows */
	ROW("{}{}", "{@0 }@0 I!2"), ROW("[] []", "[@0 ]@0 I!3"),
	ROW("1 2", "#1@0 I!2"), ROW("1,", "#1@0 I!1"), ROW("null1",
	    "null@0 I!4"),
	ROW("{} x", "{@0 }@0 I!3"), ROW("{}}", "{@0 }@0 I!2"),
	ROW("[]]", "[@0 ]@0 I!2"), ROW("[],", "[@0 ]@0 I!2"),
	ROW("[]:", "[@0 ]@0 I!2"), ROW("[]\0", "[@0 ]@0 I!2"),
	ROW("\"a\"\"b\"", "\"a\"@0 I!3"), ROW("{} \n\t\r/", "{@0 }@0 I!6"),
	ROW("[] \f", "[@0 ]@0 I!3"), ROW("[]\\", "[@0 ]@0 I!2"),
	ROW("[]\\ud800x", "[@0 ]@0 I!2"),
};

static void
test_rows(const struct row * rows, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		check(rows[i].text, rows[i].length, rows[i].wanted);
}

/* Whether the details say of well-known faults what they are. */
static void
test_details(void)
{
	static const struct {
		const char * text;
		const char * word;
	} rows[] = {
		{ "", "empty" }, { "[1", "early" }, { "\f", "form feed" },
		{ "[\v]", "vertical tab" }, { "\xef\xbb\xbf", "empty" },
		{ "\xef\xbb\xbf[", "early" }, { "\xef\xbb", "early" },
		{ "\xef\xbb[]", "byte-order" }, { "\xff\xfe", "UTF-16" },
		{ "{}{}", "follows" }, { "\"\xc0\x80\"", "UTF-8" },
		{ "\"\\ud800\"", "surrogate" }, { "\"\\udc00\"", "surrogate" },
		{ "[[[[[[[[[", "deep" }, { "// x", "comment" },
		{ "{\"a\" 1}", "colon" }, { "[1 2]", "comma" },
		{ "{1:2}", "name" }, { "\"\\x\"", "escape" },
		{ "\"\n\"", "control" },
	};
	struct arena * arena = arena_create(0);
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault fault = { .code = FAULT_NONE };

		whole.fault = &fault;
		whole.used = 0;
		whole.reject_at = -1;
		whole.json = json_create(arena, &handler, &whole, DEPTH,
		    &fault);
		feed(whole.json, rows[i].text, strlen(rows[i].text), 1000);
		ok(strstr(fault.detail, rows[i].word) != NULL,
		    "\"%s\": \"%s\" has \"%s\"", rows[i].text, fault.detail,
		    rows[i].word);
	}
	arena_free(arena);
}

/* Reject each event of a text in turn: the fault is where the event is. */
static void
test_reject(void)
{
	static const char text[] = " { \"a/b\" : [ null , true, -1.5e3 ,"
	    " \"x\\ny\" , { \"\\u0063\" : false } ] , \"d\" : 0 } ";
	struct record all;
	int event, events;
	char * part, * rest;

	read_text(&all, text, sizeof(text) - 1, 1000, -1, DEPTH);
	events = all.events;
	is_integer(events, 15, "the events of the text");
	part = strtok_r(all.text, " ", &rest);
	for (event = 0; event < events; event++) {
		const char * at = strrchr(part, '@');
		char wanted[100];
		size_t piece;

		read_text(&whole, text, sizeof(text) - 1, 1000, event, DEPTH);
		snprintf(wanted, sizeof(wanted), "T!%.*s%s%s",
		    (int)strcspn(at + 1, "/"), at + 1,
		    strchr(at, '/') == NULL ? "" : " ",
		    strchr(at, '/') == NULL ? "" : strchr(at, '/'));
		is_text(strstr(whole.text, "T!"), wanted,
		    "event %d is rejected", event);
		is_integer(whole.events, event + 1,
		    "event %d is the last one", event);
		piece = piece_that_differs(&whole, &other, text,
		    sizeof(text) - 1, event, DEPTH);
		is_integer(piece, 0, "event %d is rejected in pieces", event);
		part = strtok_r(NULL, " ", &rest);
	}
}

/* ${depth} containers in each other, of brackets and braces in turn or not. */
static size_t
nest(char * text, size_t depth, bool objects)
{
	size_t used = 0;
	size_t i;

	for (i = 0; i < depth; i++)
		used += (size_t)sprintf(text + used, objects ? "{\"k\":" :
		    "[");
	if (objects)
		text[used++] = '0';
	for (i = 0; i < depth; i++)
		text[used++] = objects ? '}' : ']';
	return (used);
}

static void
test_depth(void)
{
	static const size_t limits[] = { 1, 2, 7, 64, 1000 };
	static char text[10000];
	size_t i;
	int objects;

	for (i = 0; i < 2 * sizeof(limits) / sizeof(limits[0]); i++) {
		size_t limit = limits[i / 2];
		char wanted[40];
		size_t length;

		objects = i % 2;
		length = nest(text, limit, objects);
		read_text(&whole, text, length, 10000, -1, limit);
		ok(strchr(whole.text, '!') == NULL, "a depth of %zu", limit);
		length = nest(text, limit + 1, objects);
		snprintf(wanted, sizeof(wanted), "I!%zu",
		    objects ? 5 * limit : limit);
		read_text(&whole, text, length, 10000, -1, limit);
		ok(strstr(whole.text, wanted) != NULL || limit == 1000,
		    "a depth of %zu is one too many, at %s", limit + 1,
		    wanted);
		is_integer(piece_that_differs(&whole, &other, text, length,
		    -1, limit), 0, "a depth of %zu in pieces", limit + 1);
	}
	read_text(&whole, "null", 4, 1, -1, 0);
	is_text(whole.text, "null@0", "a depth of 0 has room for a scalar");
	read_text(&whole, "[]", 2, 1, -1, 0);
	is_text(whole.text, "I!0", "but not for an array");
}

/* A string, key or number of some length, in pieces of some size. */
static void
check_long(const char * name, const char * before, const char * unit,
    size_t count, const char * after, const char * wanted)
{
	static const size_t pieces[] = { 500000, 65536, 8191, 5000 };
	size_t unit_length = strlen(unit);
	char * text = malloc(strlen(before) + count * unit_length +
	    strlen(after) + 1);
	size_t used = strlen(before);
	size_t i;

	memcpy(text, before, used);
	for (i = 0; i < count; i++, used += unit_length)
		memcpy(text + used, unit, unit_length);
	strcpy(text + used, after);
	used += strlen(after);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		read_text(&whole, text, used, pieces[i], -1, DEPTH);
		is_text(whole.text, wanted, "%s, in pieces of %zu", name,
		    pieces[i]);
	}
	free(text);
}

#define A200 A50 A50 A50 A50
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void
test_long(void)
{
	static const char max[] = "\"" A200 "...65536\"@1/0 ";
	char wanted[1000];

	snprintf(wanted, sizeof(wanted), "[@0 %s#1@65540/1 ]@0", max);
	check_long("a string of 64 KiB", "[\"", "a", 65536, "\",1]", wanted);
	check_long("one byte more", "[\"", "a", 65537, "\",1]", "[@0 I!1 /0");
	snprintf(wanted, sizeof(wanted), "[@0 %s#1@393220/1 ]@0", max);
	check_long("64 KiB of escapes", "[\"", "\\u0061", 65536, "\",1]",
	    wanted);
	check_long("one escape more", "[\"", "\\u0061", 65537, "\",1]",
	    "[@0 I!1 /0");
	check_long("64 KiB and one in UTF-8", "[\"a", "\xc3\xa9", 32768,
	    "\"]", "[@0 I!1 /0");
	snprintf(wanted, sizeof(wanted),
	    "{@0 k\"" A200 "...65536\"@1 #1@65540 }@0");
	check_long("a name of 64 KiB", "{\"", "a", 65536, "\":1}", wanted);
	check_long("a name of one byte more", "{\"", "a", 65537, "\":1}",
	    "{@0 I!1");
	check_long("a number of 4 KiB", "[", "1", 4096, "]",
	    "[@0 #...4096@1/0 ]@0");
	check_long("a number of one byte more", "[", "1", 4097, "]",
	    "[@0 I!1 /0");
	check_long("a number of 4 KiB alone", "-", "1", 4095, "",
	    "#...4096@0");
	check_long("white space without end", "[", " ", 300000, "1]",
	    "[@0 #1@300001/0 ]@0");
	check_long("trailing white space without end", "[]", "\n", 300000, "x",
	    "[@0 ]@0 I!300002");
}

/* Of what is too long and wrong, too, the same is said in all pieces. */
static void
test_long_and_wrong(void)
{
	static const struct {
		const char * name;
		const char * before;
		const char * unit;
		size_t most;		/* Units before it is too long. */
		const char * after;
		const char * wrong;
		const char * tedious;	/* What is said beyond that. */
	} rows[] = {
		{ "a control character in a string", "[\"", "a", 393217,
		  "\x01\"]", "[@0 I!393219 /0", "[@0 I!1 /0" },
		{ "an unknown escape in a string", "[\"", "a", 393216,
		  "\\q\"]", "[@0 I!393219 /0", "[@0 I!1 /0" },
		{ "a surrogate in a string", "[\"", "a", 393211,
		  "\\ud800x\"]", "[@0 I!393213 /0", "[@0 I!1 /0" },
		{ "a vertical tab in a string", "[\"", "a", 393217,
		  "\v\"]", "[@0 I!393219 /0", "[@0 I!1 /0" },
		{ "a control character in a name", "{\"", "a", 393217,
		  "\x01\":1}", "{@0 I!393219", "{@0 I!1" },
		{ "a number without an exponent", "[", "1", 393217,
		  "e]", "[@0 I!393219 /0", "[@0 I!1 /0" },
		{ "a string in place of a colon", "{\"a\" \"", "a", 393217,
		  "\":1}", "{@0 k\"a\"@1/a I!5 /a",
		  "{@0 k\"a\"@1/a I!5 /a" },
		{ "a number in place of a colon", "{\"a\" ", "1", 393218,
		  "}", "{@0 k\"a\"@1/a I!5 /a", "{@0 k\"a\"@1/a I!5 /a" },
		{ "a long number and a vertical tab", "[", "1", 393218,
		  "\v]", "[@0 I!393219 /0", "[@0 I!1 /0" },
	};
	char name[100];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(name, sizeof(name), "%s, just", rows[i].name);
		check_long(name, rows[i].before, rows[i].unit, rows[i].most,
		    rows[i].after, rows[i].wrong);
		snprintf(name, sizeof(name), "%s, too long", rows[i].name);
		check_long(name, rows[i].before, rows[i].unit,
		    rows[i].most + 1, rows[i].after, rows[i].tedious);
		snprintf(name, sizeof(name), "%s, far too long",
		    rows[i].name);
		check_long(name, rows[i].before, rows[i].unit,
		    rows[i].most + 70000, rows[i].after, rows[i].tedious);
	}
}

/* A token that never ends is rejected before it has taken much memory. */
static void
test_endless(void)
{
	static const struct {
		const char * name;
		const char * before;
		const char * unit;
	} rows[] = {
		{ "string", "[\"", "aaaaaaaa" },
		{ "string of escapes", "[\"", "\\u0061\\n" },
		{ "name", "{\"", "aaaaaaaa" },
		{ "number", "[1", "11111111" },
		{ "fraction", "[1.", "11111111" },
	};
	char piece[4096];
	size_t i, j;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena * arena = arena_create(0);
		struct fault fault = { .code = FAULT_NONE };

		for (j = 0; j < sizeof(piece); j += 8)
			memcpy(piece + j, rows[i].unit, 8);
		whole.used = 0;
		whole.fault = &fault;
		whole.reject_at = -1;
		whole.json = json_create(arena, &handler, &whole, DEPTH,
		    &fault);
		json_feed(whole.json, rows[i].before, strlen(rows[i].before));
		for (j = 0; j < 1024; j++)
			if (!json_feed(whole.json, piece, sizeof(piece)))
				break;
		ok(j < 200 && fault.code == FAULT_INVALID && fault.offset == 1,
		    "an endless %s is rejected after %zu pieces: %s",
		    rows[i].name, j, fault.detail);
		arena_free(arena);
	}
}

/* Names that are too long for the pointer, or cannot stand in it. */
static void
test_pointers(void)
{
	static char text[10000];
	static char wanted[FAULT_POINTER_MAX * 2];
	size_t used = 0, i;
	const char * got;

	/* Members of 50 bytes and a slash; 10 of them fit. */
	for (i = 0; i < 12; i++)
		used += (size_t)sprintf(text + used, "{\"" A50 "\":");
	strcpy(text + used, "x");
	for (i = 0; i < 10; i++)
		strcpy(wanted + 51 * i, "/" A50);
	for (i = 1; i <= 1000; i = i * 3 + 1) {
		read_text(&whole, text, used + 1, i, -1, 100);
		got = strstr(whole.text, "I!");
		got = got == NULL ? NULL : strchr(got, '/');
		is_text(got, wanted, "a pointer is cut at the last member "
		    "that fits, in pieces of %zu", i);
	}
	/* A NUL would end the pointer, which is a C string. */
	check("{\"a\":{\"b\\u0000c\":{\"d\":x}}}", 27, "{@0 k\"a\"@1/a {@5/a "
	    "k\"b\\x00c\"@6/a {@17/a k\"d\"@18/a I!22 /a");
	used = (size_t)sprintf(text, "{\"a\":{\"" A200 A50 "\":[x]}}");
	for (i = 1; i <= 1000; i = i * 3 + 1) {
		read_text(&whole, text, used, i, -1, DEPTH);
		is_text(strstr(whole.text, "I!"), "I!260 /a",
		    "a long name cuts the pointer short, in pieces of %zu",
		    i);
	}
}

static void
test_lengths(void)
{
	struct arena * arena = arena_create(0);
	struct fault fault = { .code = FAULT_NONE };
	struct json * json;

	whole.used = 0;
	whole.reject_at = -1;
	whole.fault = &fault;
	json = whole.json = json_create(arena, &handler, &whole, DEPTH,
	    &fault);
	is_integer(json_length(json), 0, "nothing has been read");
	ok(json_feed(json, "", 0), "an empty piece at the start");
	ok(json_feed(json, " [1", 3), "a piece");
	is_integer(json_length(json), 3, "three bytes have been read");
	ok(json_feed(json, "", 0), "an empty piece inside a number");
	ok(json_feed(json, "2]", 2), "another piece");
	ok(json_feed(json, "", 0), "an empty piece after the end");
	ok(json_feed(json, " \n", 2), "white space after the end");
	is_integer(json_length(json), 7, "seven bytes have been read");
	ok(json_finish(json), "the text is whole");
	is_text(whole.text, "[@1 #12@2/0 ]@1 ", "its events");
	is_integer(fault.code, FAULT_NONE, "there is no fault");
	arena_free(arena);
}

/* A maker of random texts, which knows what their records are. */
struct maker {
	size_t length;
	char text[RECORD_MAX];
	struct record record;
};

static void
put(struct maker * maker, const char * bytes)
{

	maker->length += (size_t)sprintf(maker->text + maker->length, "%s",
	    bytes);
}

static void
put_space(struct maker * maker)
{
	static const char * const spaces[] = {
		"", "", "", "", " ", "\n", "\t ", "\r\n  ",
	};

	put(maker, spaces[random() % 8]);
}

/* Put a random string, and its decoded form into ${decoded}. */
static void
put_string(struct maker * maker, char * decoded)
{
	static const char * const bits[][2] = {
		{ "a", "a" }, { "~", "~" }, { "/", "/" }, { ",", "," },
		{ "\\n", "\n" }, { "\\\"", "\"" }, { "\\\\", "\\" },
		{ "\\u00e9", "\xc3\xa9" }, { "\xc3\xa9", "\xc3\xa9" },
		{ "\\ud83d\\ude00", "\xf0\x9f\x98\x80" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
		{ "]}", "]}" }, { "longer text", "longer text" },
	};
	int count = (int)(random() % 4);

	decoded[0] = '\0';
	put(maker, "\"");
	while (count-- > 0) {
		size_t bit = (size_t)random() % (sizeof(bits) /
		    sizeof(bits[0]));

		put(maker, bits[bit][0]);
		strcat(decoded, bits[bit][1]);
	}
	put(maker, "\"");
}

static void
put_scalar(struct maker * maker, const char * pointer)
{
	static const char * const words[] = {
		"null", "true", "false", "0", "-1", "12.50", "1e400", "-0",
		"123456789012345678901234567890",
	};
	size_t word = (size_t)random() % 12;
	size_t start = maker->length;
	char decoded[100];

	if (word < sizeof(words) / sizeof(words[0])) {
		put(maker, words[word]);
		add(&maker->record, "%s%s", word < 3 ? "" : "#", words[word]);
	} else {
		put_string(maker, decoded);
		add_quoted(&maker->record, decoded, strlen(decoded));
	}
	add(&maker->record, "@%zu%s ", start, pointer);
}

/* Put a member's name, and add it to the pointer. */
static void
put_name(struct maker * maker, char * pointer)
{
	size_t start = maker->length;
	char decoded[100];
	char * end = pointer + strlen(pointer);
	const char * c;

	put_string(maker, decoded);
	*end++ = '/';
	for (c = decoded; *c != '\0'; c++)
		if (*c == '~' || *c == '/') {
			*end++ = '~';
			*end++ = *c == '~' ? '0' : '1';
		} else
			*end++ = *c;
	*end = '\0';
	add(&maker->record, "k");
	add_quoted(&maker->record, decoded, strlen(decoded));
	add(&maker->record, "@%zu%s ", start, pointer);
	put_space(maker);
	put(maker, ":");
	put_space(maker);
}

static void
put_value(struct maker * maker, char * pointer, int depth)
{
	bool object = random() % 2 == 0;
	size_t end = strlen(pointer), start = maker->length;
	int count = (int)(random() % 4), i;

	if (depth == 0 || random() % 3 == 0 || maker->length > 2000) {
		put_scalar(maker, pointer);
		return;
	}
	put(maker, object ? "{" : "[");
	add(&maker->record, "%c@%zu%s ", object ? '{' : '[', start, pointer);
	for (i = 0; i < count; i++) {
		put_space(maker);
		if (object)
			put_name(maker, pointer);
		else
			sprintf(pointer + end, "/%d", i);
		put_value(maker, pointer, depth - 1);
		pointer[end] = '\0';
		put_space(maker);
		if (i + 1 < count)
			put(maker, ",");
	}
	put_space(maker);
	put(maker, object ? "}" : "]");
	add(&maker->record, "%c@%zu%s ", object ? '}' : ']', start, pointer);
}

static void
make(struct maker * maker)
{
	char pointer[2000] = "";

	maker->length = 0;
	maker->record.used = 0;
	maker->record.text[0] = '\0';
	put_space(maker);
	put_value(maker, pointer, 4);
	put_space(maker);
	if (maker->record.used > 0)
		maker->record.text[--maker->record.used] = '\0';
}

static struct maker maker;

static void
test_random(void)
{
	int i;

	for (i = 0; i < 3000; i++) {
		make(&maker);
		read_text(&whole, maker.text, maker.length, 5000, -1, DEPTH);
		read_text(&other, maker.text, maker.length, 0, -1, DEPTH);
		if (strcmp(whole.text, maker.record.text) != 0 ||
		    strcmp(other.text, maker.record.text) != 0)
			break;
	}
	if (i == 3000)
		ok(true, "random texts");
	else {
		is_text(whole.text, maker.record.text, "%s", maker.text);
		is_text(other.text, maker.record.text, "in pieces");
	}
}

/* Change a byte of the text: any, or one that separates. */
static void
mutate(char * text, size_t length)
{
	static const char bytes[] = "\"\\{}[]:,0-.eEu\n\f\x80\xc3\xff d8tfn";
	char * at = text + (size_t)random() % length;
	char * separator = strpbrk(at, ",:");

	if (separator != NULL && random() % 4 == 0)
		*separator = ' ';
	else
		*at = bytes[(size_t)random() % sizeof(bytes)];
}

/* Whatever is done to a text, it is read the same in pieces and whole. */
static void
test_mutations(void)
{
	int i, changes, faults = 0;

	for (i = 0; i < 10000; i++) {
		make(&maker);
		for (changes = (int)(random() % 3); changes >= 0; changes--)
			mutate(maker.text, maker.length);
		read_text(&whole, maker.text, maker.length, 5000, -1, DEPTH);
		read_text(&other, maker.text, maker.length, 0, -1, DEPTH);
		if (strcmp(whole.text, other.text) != 0)
			break;
		faults += strstr(whole.text, "I!") != NULL;
	}
	if (i == 10000)
		ok(faults > 5000, "texts with random faults, %d", faults);
	else
		is_text(other.text, whole.text, "%.*s", (int)maker.length,
		    maker.text);
}

/*
 * With a cursor: members of which the handler need not be told, whatever the
 * pieces.  The places of what it is told of stay the same.
 */
static const struct json_rule cursor_rules[] = {
	{ .name = { "a", 1 }, .quiet = JSON_NULL | JSON_STRING },
	{ .name = { "four", 4 }, .quiet = JSON_NUMBER },
	{ .name = { "member-of-16-byt", 16 }, .quiet = JSON_BOOLEAN },
	{ .name = { "member-of-more-bytes", 20 } },
	{ .name = { NULL, SIZE_MAX } },
};

static const struct json_rule any_rule;
static const struct json_shape cursor_shape = {
	.kind = SHAPE_OBJECT, .items = &any_rule, .expected = cursor_rules };

static bool
expect_members(void * context)
{
	struct record * record = context;

	json_open_as(record->json, &cursor_shape);
	return (on_object_start(context));
}

static const struct {
	const char * text;
	const char * record;
} cursor_rows[] = {
	{ "{\"a\":null,\"four\":4,\"member-of-16-byt\":true,"
	    "\"member-of-more-bytes\":null}", "{@0 null@66/member-of-more-bytes }@0" },
	{ "{\"a\":\"\\u00e9\",\"four\":null}", "{@0 null@21/four }@0" },
	{ "{\"a\":\"\xc3\xa9\", \"four\" : \"x\"}",
	    "{@0 \"x\"@20/four }@0" },
	{ "{\"a\":1,\"\\u0066our\":5}",
	    "{@0 #1@5/a }@0" },
	{ "{\"b\":1,\"a\":2,\"a\":3}",
	    "{@0 k\"b\"@1/b #1@5/b #2@11/a k\"a\"@13/a #3@17/a }@0" },
	{ "{\"a\":null,\"fouR\":1}",
	    "{@0 k\"fouR\"@10/fouR #1@17/fouR }@0" },
	{ "{\"a\":null,\"member-of-16-byT\":true}",
	    "{@0 k\"member-of-16-byT\"@10/member-of-16-byT "
	    "true@29/member-of-16-byT }@0" },
	{ "{\"a\":null,\"four\" 1}", "{@0 I!17 /four" },
	{ "{\"a\":null \"four\"}", "{@0 I!10" },
	{ "{\"a\":\"\xff\"}", "{@0 I!5 /a" },
	{ "{\"a\":[null,\"x\"]}", "{@0 [@5/a null@6/a/0 \"x\"@11/a/1 ]@5/a }@0" },
};

static void
test_cursor(void)
{
	struct json_handler expecting = handler;
	size_t i, piece;

	expecting.object_start = expect_members;
	reader = &expecting;
	for (i = 0; i < sizeof(cursor_rows) / sizeof(cursor_rows[0]); i++)
		for (piece = 1; piece <= PIECE_MAX; piece++) {
			read_text(&whole, cursor_rows[i].text,
			    strlen(cursor_rows[i].text), piece, -1, DEPTH);
			is_text(whole.text, cursor_rows[i].record,
			    "%s in pieces of %zu", cursor_rows[i].text, piece);
		}
	reader = &handler;
}

int
main(void)
{

	tap_seed();
	test_rows(valid, sizeof(valid) / sizeof(valid[0]));
	test_rows(invalid, sizeof(invalid) / sizeof(invalid[0]));
	test_rows(strictness, sizeof(strictness) / sizeof(strictness[0]));
	test_details();
	test_reject();
	test_depth();
	test_long();
	test_long_and_wrong();
	test_endless();
	test_pointers();
	test_lengths();
	test_random();
	test_mutations();
	test_cursor();
	return (tap_done());
}
