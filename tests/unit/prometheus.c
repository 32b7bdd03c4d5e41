#include "lib/body/prometheus.h"
#include "tests/unit/tap.h"

static const struct {
	const char * text;
	size_t length;
	const char * name;		/* NULL: there is none. */
} names[] = {
	{ "", 0, NULL },
	{ "a", 1, "a" },
	{ "_", 1, "_" },
	{ "Z9", 2, "Z9" },
	{ "abcxyzABCXYZ_0189", 17, "abcxyzABCXYZ_0189" },
	{ "0", 1, NULL }, { "9a", 2, NULL }, { "1_total", 7, NULL },
	{ "_1", 2, "_1" }, { "-1", 2, "_1" }, { " 1", 2, "_1" },
	{ "a-b.c/d e", 9, "a_b_c_d_e" },
	{ "a:b", 3, "a_b" },
	{ "@[`{/:", 6, "______" },
	{ "a\0b", 3, "a_b" }, { "\0", 1, "_" },
	{ "a\nb\x7f", 4, "a_b_" },
	/* one UTF-16 code unit each */
	{ "\xc2\x80", 2, "_" },
	{ "caf\xc3\xa9", 5, "caf_" },
	{ "\xc3\xa9" "1", 3, "_1" },
	{ "\xe2\x82\xac", 3, "_" },
	{ "\xef\xbf\xbf", 3, "_" },
	{ "\xd9\xa1", 2, "_" },
	{ "e\xcc\x81x", 4, "e_x" },
	/* two */
	{ "\xf0\x90\x80\x80", 4, "__" },
	{ "\xf0\x9f\x98\x80x", 5, "__x" },
	{ "\xf4\x8f\xbf\xbf", 4, "__" },
	{ "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 8, "____" },
	/* a joined emoji: 2 + 1 + 2 */
	{ "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", 11, "_____" },
};

static void
test_names(void)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char * text = tap_copy(names[i].text, names[i].length);
		char * out = tap_copy(text, names[i].length);
		size_t length = prometheus_name(out, text, names[i].length);

		if (names[i].name == NULL)
			is_integer(length, 0, "\"%s\" makes no name",
			    names[i].text);
		else
			is_bytes(out, length, names[i].name,
			    strlen(names[i].name), "the name of row %zu", i);
		is_bytes(text, names[i].length, names[i].text,
		    names[i].length, "row %zu is left as it was", i);
		free(text);
		free(out);
	}
}

/* All characters of one byte. */
static void
test_ascii(void)
{
	static const char letters[] = "0123456789_abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	unsigned int wrong = 0;
	char text[2] = "x";
	char out[2];
	int c;

	for (c = 0; c < 128; c++) {
		bool kept = c != 0 && strchr(letters, c) != NULL;

		text[1] = (char)c;
		wrong += prometheus_name(out, text, 2) != 2 ||
		    out[1] != (kept ? c : '_');
	}
	is_integer(wrong, 0, "letters, digits and _ are kept, all else is not");
}

#define LABELS_MAX 6

/* Each label is a name and a value; both may hold a NUL, so $ stands for it. */
static const struct {
	const char * name;
	const char * labels[2 * LABELS_MAX + 1];
	const char * wanted;
	size_t left_out;
} rows[] = {
	{ "none", { NULL }, "", 0 },
	{ "one", { "a", "b" }, "a=\"b\"", 0 },
	{ "an empty value", { "a", "" }, "", 0 },
	{ "empty values among others", { "c", "", "b", "1", "a", "" },
	  "b=\"1\"", 0 },
	{ "the last of one name is empty", { "a", "1", "b", "2", "a", "" },
	  "b=\"2\"", 0 },
	{ "the first of one name is empty", { "a", "", "a", "1" }, "a=\"1\"",
	  0 },
	{ "reserved names", { "__name__", "1", "_a", "2", "__", "3", "-_x",
	  "" }, "_a=\"2\"", 3 },
	{ "sorted", { "b", "1", "a", "2", "c", "3" },
	  "a=\"2\",b=\"1\",c=\"3\"", 0 },
	{ "sorted by bytes", { "b", "1", "B", "2", "_", "3", "aa", "4", "a",
	  "5", "a1", "6" }, "B=\"2\",_=\"3\",a=\"5\",a1=\"6\",aa=\"4\",b=\"1\"",
	  0 },
	{ "sorted by what the names become", { "a-z", "1", "aa", "2", "a.b",
	  "3" }, "a_b=\"3\",a_z=\"1\",aa=\"2\"", 0 },
	{ "the last of one name counts", { "a", "1", "a", "2", "a", "3" },
	  "a=\"3\"", 0 },
	{ "the last of what becomes one name counts", { "a.b", "1", "x", "9",
	  "a-b", "2", "a_b", "3", "a/b", "4" }, "a_b=\"4\",x=\"9\"", 0 },
	{ "the last counts when it stands first", { "b", "1", "a", "2", "b",
	  "3", "a", "4" }, "a=\"4\",b=\"3\"", 0 },
	{ "no names", { "", "1", "1", "2", "2x", "3" }, "", 3 },
	{ "no names among names", { "z", "0", "1", "2", "a", "3", "", "4",
	  "9", "5" }, "a=\"3\",z=\"0\"", 3 },
	{ "the same no name twice", { "1", "2", "1", "3" }, "", 2 },
	{ "escapes", { "a", "\"", "b", "\\", "c", "\n", "d", "\\n" },
	  "a=\"\\\"\",b=\"\\\\\",c=\"\\n\",d=\"\\\\n\"", 0 },
	{ "nothing but escapes", { "a", "\"\\\n\"\\\n" },
	  "a=\"\\\"\\\\\\n\\\"\\\\\\n\"", 0 },
	{ "no other escapes", { "a", "\t\r{},=/'\x7f" },
	  "a=\"\t\r{},=/'\x7f\"", 0 },
	{ "UTF-8 in a value", { "a", "\xc3\xa9\xf0\x9f\x98\x80" },
	  "a=\"\xc3\xa9\xf0\x9f\x98\x80\"", 0 },
	{ "UTF-8 in a name", { "\xc3\xa9", "1", "\xf0\x9f\x98\x80", "2" },
	  "_=\"1\"", 1 },
	{ "a NUL in name and value", { "a$b", "c$d" }, "a_b=\"c$d\"", 0 },
};

static char *
with_nul(const char * text)
{
	size_t length = strlen(text);
	char * copy = tap_copy(text, length);
	size_t i;

	for (i = 0; i < length; i++)
		if (copy[i] == '$')
			copy[i] = '\0';
	return (copy);
}

static void
test_labels_row(size_t row)
{
	struct arena * arena = arena_create(0);
	struct prometheus_label labels[LABELS_MAX];
	char * copies[2 * LABELS_MAX];
	size_t count = 0, length = 99, left_out = 99, i;
	char * wanted = with_nul(rows[row].wanted);
	const char * got;

	for (i = 0; rows[row].labels[i] != NULL; i++)
		copies[i] = with_nul(rows[row].labels[i]);
	for (count = 0; count < i / 2; count++) {
		labels[count].name = copies[2 * count];
		labels[count].name_length = strlen(rows[row].labels[2 * count]);
		labels[count].value = copies[2 * count + 1];
		labels[count].value_length =
		    strlen(rows[row].labels[2 * count + 1]);
	}
	got = prometheus_labels(arena, labels, count, &length, &left_out);
	is_bytes(got, length, wanted, strlen(rows[row].wanted), "labels: %s",
	    rows[row].name);
	is_integer(left_out, rows[row].left_out, "left out: %s",
	    rows[row].name);
	free(wanted);
	while (i-- > 0)
		free(copies[i]);
	arena_free(arena);
}

static void
test_has_label(void)
{
	struct arena * arena = arena_create(0);
	struct prometheus_label labels[] = {
		{ "quantile", 8, "0", 1 }, { "l.e", 3, "1", 1 },
		{ "9le", 3, "1", 1 }, { "lex", 3, "2", 1 },
		{ "empty", 5, "", 0 },
	};
	size_t length, left_out;

	prometheus_labels(arena, labels, 5, &length, &left_out);
	ok(prometheus_has_label(labels, 5, "l_e"), "a name as it has become");
	ok(prometheus_has_label(labels, 5, "quantile"), "another");
	ok(prometheus_has_label(labels, 5, "lex"), "a third");
	ok(!prometheus_has_label(labels, 5, "l.e"), "not as it was");
	ok(!prometheus_has_label(labels, 5, "le"), "not a part of one");
	ok(!prometheus_has_label(labels, 5, "lexx"), "not one with more");
	ok(!prometheus_has_label(labels, 5, "9le"), "not one left out");
	ok(!prometheus_has_label(labels, 5, "empty"), "not one without value");
	ok(!prometheus_has_label(labels, 0, "lex"), "none of none");
	arena_free(arena);
}

/* Enough labels to need each step of a sort; each name twice. */
static void
test_many(void)
{
	enum { NAMES = 500 };
	static struct prometheus_label labels[2 * NAMES];
	static char texts[2 * NAMES][8];
	static char wanted[NAMES * 16];
	struct arena * arena = arena_create(0);
	size_t length = 0, left_out = 1, used = 0, i;
	const char * got;

	for (i = 0; i < 2 * NAMES; i++) {
		/* 7 and 500 have no common divisor. */
		snprintf(texts[i], sizeof(texts[i]), "n%03d",
		    (int)(i * 7 % NAMES));
		labels[i] = (struct prometheus_label){ texts[i], 4,
		    i < NAMES ? "old" : texts[i], i < NAMES ? 3 : 4 };
	}
	for (i = 0; i < NAMES; i++)
		used += (size_t)snprintf(wanted + used, sizeof(wanted) - used,
		    "%sn%03zu=\"n%03zu\"", i == 0 ? "" : ",", i, i);
	got = prometheus_labels(arena, labels, 2 * NAMES, &length, &left_out);
	is_bytes(got, length, wanted, used, "a thousand labels");
	is_integer(left_out, 0, "of which none is left out");
	arena_free(arena);
}

int
main(void)
{
	size_t i;

	test_names();
	test_ascii();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		test_labels_row(i);
	test_has_label();
	test_many();
	return (tap_done());
}
