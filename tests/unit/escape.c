#include <stdint.h>

#include "lib/base/escape.h"
#include "tests/unit/tap.h"

typedef size_t quote(char * out, const char * text, size_t length);

struct row {
	const char * text;
	size_t length;
	const char * wanted;
};

static const struct row json_rows[] = {
	{ "", 0, "\"\"" },
	{ "abc", 3, "\"abc\"" },
	{ "a/b", 3, "\"a/b\"" },
	{ "\"\\", 2, "\"\\\"\\\\\"" },
	{ "\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"" },
	{ "\0", 1, "\"\\u0000\"" },
	{ "a\0b", 3, "\"a\\u0000b\"" },
	{ "\x01\x07\x0b\x0e\x1f", 5,
	  "\"\\u0001\\u0007\\u000b\\u000e\\u001f\"" },
	{ " \x7f", 2, "\" \x7f\"" },
	{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9,
	  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ "\xe2\x80\xa8", 3, "\"\xe2\x80\xa8\"" },
	{ "\\u0000", 6, "\"\\\\u0000\"" },
};

static const struct row ascii_rows[] = {
	{ "", 0, "\"\"" },
	{ "a/b ~", 5, "\"a/b ~\"" },
	{ "\"\\\b\f\n\r\t", 7, "\"\\\"\\\\\\b\\f\\n\\r\\t\"" },
	{ "\0\x1b\x7f", 3, "\"\\u0000\\u001b\\u007f\"" },
	{ "\xc2\x80\xc2\x9b\xdf\xbf", 6, "\"\\u0080\\u009b\\u07ff\"" },
	{ "\xe2\x80\xa8\xe2\x80\xae", 6, "\"\\u2028\\u202e\"" },
	{ "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf", 8,
	  "\"\\ud83d\\ude00\\udbff\\udfff\"" },
	/* what is not UTF-8 */
	{ "\x80" "a\xff", 3, "\"\\ufffda\\ufffd\"" },
	{ "\xc3", 1, "\"\\ufffd\"" }, { "\xc3" "a", 2, "\"\\ufffda\"" },
	{ "\xe2\x80", 2, "\"\\ufffd\\ufffd\"" },
	{ "\xf0\x9f\x98", 3, "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\xc0\x80", 2, "\"\\ufffd\\ufffd\"" },
	{ "\xe0\x9f\xbf", 3, "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
	{ "\xf8\x88\x80\x80\x80", 5,
	  "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"" },
};

static const struct row percent_rows[] = {
	{ "", 0, "" },
	{ "aZ09._~-", 8, "aZ09._~-" },
	{ "a:b", 3, "a%3Ab" },
	{ "{}", 2, "%7B%7D" },
	{ "%41", 3, "%2541" },
	{ "\0", 1, "%00" },
	{ " +/?#[]@!$&'()*,;=", 18,
	  "%20%2B%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2C%3B%3D" },
	{ "\xc3\xa9\xff\x7f\x80", 5, "%C3%A9%FF%7F%80" },
	{ "\r\n\"\\^`|<>", 9, "%0D%0A%22%5C%5E%60%7C%3C%3E" },
};

static void
test_rows(const char * name, quote * function, size_t room_factor,
    size_t room_more, const struct row * rows, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		size_t room = rows[i].length * room_factor + room_more;
		char * text = tap_copy(rows[i].text, rows[i].length);
		char * out = malloc(room == 0 ? 1 : room);
		size_t used = function(out, text, rows[i].length);

		ok(used <= room, "%s, row %zu: it has room", name, i);
		is_bytes(out, used, rows[i].wanted, strlen(rows[i].wanted),
		    "%s, row %zu", name, i);
		free(text);
		free(out);
	}
}

static void
test_room(void)
{

	is_integer(ESCAPE_JSON_ROOM(0), 2, "room for an empty JSON string");
	is_integer(ESCAPE_JSON_ROOM(2 + 3), 32, "room for a JSON string");
	is_integer(ESCAPE_PERCENT_ROOM(0), 0, "room for no bytes in percent");
	is_integer(ESCAPE_PERCENT_ROOM(2 + 3), 15, "room for bytes in percent");
}

/* Each byte alone, in room that ends where its memory does. */
static void
test_every_byte(void)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-._~";
	static const char shorts[] = "\"\\\b\f\n\r\t";
	unsigned int wrong_json = 0, wrong_percent = 0;
	char wanted[16];
	int c;

	for (c = 0; c < 256; c++) {
		char byte = (char)c;
		char * out = malloc(ESCAPE_JSON_ROOM(1));
		size_t length = escape_json(out, &byte, 1);
		size_t expected = c != 0 && strchr(shorts, c) != NULL ? 4 :
		    c < 0x20 ? 8 : 3;

		wrong_json += length != expected ||
		    (length == 3 && out[1] != byte) ||
		    (length > 3 && out[1] != '\\');
		free(out);
		out = malloc(ESCAPE_PERCENT_ROOM(1));
		length = escape_percent(out, &byte, 1);
		if (c != 0 && strchr(unreserved, c) != NULL)
			snprintf(wanted, sizeof(wanted), "%c", c);
		else
			snprintf(wanted, sizeof(wanted), "%%%02X", c);
		wrong_percent += length != strlen(wanted) ||
		    memcmp(out, wanted, length) != 0;
		free(out);
	}
	is_integer(wrong_json, 0, "each byte in a JSON string");
	is_integer(wrong_percent, 0, "each byte in percent-encoding");
}

/* Each character of Unicode, of which the surrogates are none. */
static void
test_every_character(void)
{
	char text[4], out[ESCAPE_JSON_ROOM(4)], wanted[32];
	uint32_t code;
	size_t wrong = 0, length;

	for (code = 0x80; code < 0x110000; code++) {
		if (code < 0x800) {
			text[0] = (char)(0xc0 | code >> 6);
			length = 2;
		} else if (code < 0x10000) {
			text[0] = (char)(0xe0 | code >> 12);
			text[1] = (char)(0x80 | (code >> 6 & 63));
			length = 3;
		} else {
			text[0] = (char)(0xf0 | code >> 18);
			text[1] = (char)(0x80 | (code >> 12 & 63));
			text[2] = (char)(0x80 | (code >> 6 & 63));
			length = 4;
		}
		text[length - 1] = (char)(0x80 | (code & 63));
		if (code >= 0xd800 && code < 0xe000)
			strcpy(wanted, "\"\\ufffd\\ufffd\\ufffd\"");
		else if (code < 0x10000)
			snprintf(wanted, sizeof(wanted), "\"\\u%04x\"", code);
		else
			snprintf(wanted, sizeof(wanted), "\"\\u%04x\\u%04x\"",
			    0xd7c0 + (code >> 10), 0xdc00 | (code & 0x3ff));
		length = escape_json_ascii(out, text, length);
		if (length != strlen(wanted))
			wrong++;
		else
			wrong += memcmp(out, wanted, length) != 0;
	}
	is_integer(wrong, 0, "each character in ASCII");
}

static void
test_lines(void)
{
	char out[ESCAPE_BYTE_MAX], wanted[8];
	char * text;
	size_t size, wrong = 0;
	FILE * file;
	int c;

	for (c = 0; c < 256; c++) {
		size_t length = escape_byte(out, (char)c);

		if (c == '\\')
			strcpy(wanted, "\\\\");
		else
			snprintf(wanted, sizeof(wanted), c >= 0x20 && c < 0x7f ?
			    "%c" : "\\x%02x", c);
		wrong += length != strlen(wanted) ||
		    memcmp(out, wanted, length) != 0;
	}
	is_integer(wrong, 0, "each byte in a line");
	file = open_memstream(&text, &size);
	escape_print(file, "a\n\x1b[2J\\x0a\xc3\xa9");
	fclose(file);
	is_text(text, "a\\x0a\\x1b[2J\\\\x0a\\xc3\\xa9", "a line");
	free(text);
}

static void
test_long(void)
{
	enum { LENGTH = 70000 };
	char * text = malloc(LENGTH);
	char * out = malloc(ESCAPE_JSON_ROOM((size_t)LENGTH));

	memset(text, 0x1f, LENGTH);
	is_integer(escape_json(out, text, LENGTH), 6 * LENGTH + 2,
	    "70000 control characters in a JSON string");
	ok(out[0] == '"' && memcmp(out + 6 * LENGTH - 5, "\\u001f\"", 7) == 0,
	    "and the last of them");
	is_integer(escape_percent(out, text, LENGTH), 3 * LENGTH,
	    "70000 control characters in percent-encoding");
	ok(memcmp(out + 3 * LENGTH - 3, "%1F", 3) == 0,
	    "and the last of them");
	free(text);
	free(out);
}

int
main(void)
{

	test_rows("JSON", escape_json, 6, 2, json_rows,
	    sizeof(json_rows) / sizeof(json_rows[0]));
	test_rows("ASCII", escape_json_ascii, 6, 2, ascii_rows,
	    sizeof(ascii_rows) / sizeof(ascii_rows[0]));
	test_rows("percent", escape_percent, 3, 0, percent_rows,
	    sizeof(percent_rows) / sizeof(percent_rows[0]));
	test_room();
	test_every_byte();
	test_every_character();
	test_lines();
	test_long();
	return (tap_done());
}
