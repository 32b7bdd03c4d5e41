#include <float.h>
#include <inttypes.h>
#include <math.h>

#include "lib/json/json.h"
#include "lib/base/number.h"
#include "tests/unit/tap.h"

#define MAX "9007199254740991"

/* A number too long to be written down: digits, zeros, digits. */
#define ZEROS_MAX 4000

static char *
with_zeros(char * out, const char * before, size_t zeros, const char * after)
{
	size_t length = strlen(before);

	memcpy(out, before, length);
	memset(out + length, '0', zeros);
	strcpy(out + length + zeros, after);
	return (out);
}

static const char *
read_count(const char * text, uint64_t * count)
{
	size_t length = strlen(text);
	char * copy = tap_copy(text, length);
	const char * why = number_count(copy, length, count);

	free(copy);
	return (why);
}

static bool
is_integer_text(const char * text)
{
	size_t length = strlen(text);
	char * copy = tap_copy(text, length);
	bool result = number_is_integer(copy, length);

	free(copy);
	return (result);
}

static const struct {
	const char * text;
	uint64_t count;
} counts[] = {
	{ "0", 0 }, { "1", 1 }, { "9", 9 }, { "10", 10 }, { "1000", 1000 },
	{ "-0", 0 }, { "-0.0", 0 }, { "-0e0", 0 }, { "-0E-5", 0 },
	{ "0.0", 0 }, { "0.000", 0 }, { "0e0", 0 }, { "0e5", 0 },
	{ "0e-5", 0 }, { "0E+400", 0 }, { "0e-400", 0 },
	{ "0e99999999999999999999999", 0 }, { "0e-99999999999999999999999", 0 },
	{ "0.0e99999999999999999999999", 0 },
	{ "1.0", 1 }, { "1.000000000000000000000000000000", 1 },
	{ "1e0", 1 }, { "1e-0", 1 }, { "1E+0", 1 }, { "1e00", 1 },
	{ "1e3", 1000 }, { "1E3", 1000 }, { "1e+3", 1000 },
	{ "1e0003", 1000 }, { "1e+0003", 1000 },
	{ "10e-1", 1 }, { "100e-2", 1 }, { "1000000e-6", 1 },
	{ "0.1e1", 1 }, { "0.001e3", 1 }, { "0.0010e3", 1 },
	{ "1.5e1", 15 }, { "12.50e1", 125 }, { "12.50e2", 1250 },
	{ "1.05e2", 105 }, { "10.5e1", 105 }, { "100.250e2", 10025 },
	{ "1050e-1", 105 }, { "20.0e-1", 2 }, { "20.00e-1", 2 },
	{ "1e15", 1000000000000000 },
	{ "999999999999999", 999999999999999 },
	{ "1000000000000000", 1000000000000000 },
	{ MAX, NUMBER_COUNT_MAX }, { MAX ".0", NUMBER_COUNT_MAX },
	{ MAX ".000000000000000000000000", NUMBER_COUNT_MAX },
	{ MAX "e0", NUMBER_COUNT_MAX }, { MAX "0e-1", NUMBER_COUNT_MAX },
	{ "9.007199254740991e15", NUMBER_COUNT_MAX },
	{ "0.9007199254740991e16", NUMBER_COUNT_MAX },
	{ "0.0000009007199254740991e22", NUMBER_COUNT_MAX },
	{ "900719925474099.1e1", NUMBER_COUNT_MAX },
	{ MAX "00000e-5", NUMBER_COUNT_MAX },
	{ "9007199254740990", 9007199254740990 },
	{ "900719925474099e1", 9007199254740990 },
};

static const char * const fractions[] = {
	"0.5", "-0.5", "1.5", "1e-1", "1E-1", "10e-2", "1.05e1", "0.1",
	"0.1e0", "-1e-1", "1.0000000000000000000001", "0.9999999999999999999",
	"1e-400", "1e-99999999999999999999999", "-1e-400",
	(MAX ".5"), "9007199254740990.9", "9007199254740991.1",
	"9007199254740992.5", "-9007199254740992.5", "123456e-7",
	"100000000000000000000000000000000.5",
	"1000000000000000000000000000000001e-1", "4.9e-324",
};

static const char * const integers_out_of_range[] = {
	"-1", "-1.0", "-10e-1", "-1e3", "-0.1e1", ("-" MAX),
	"9007199254740992", "9007199254740992.0", "9007199254740993",
	"9007199254740991e1", "9007199254740992e0", "90071992547409920e-1",
	"9.007199254740992e15", "9999999999999999", "10000000000000000",
	"1e16", "1e17", "10e15", "0.1e17", "18446744073709551615",
	"18446744073709551616", "18446744073709551617",
	"36893488147419103233", "9223372036854775808",
	"340282366920938463463374607431768211457", "1e400", "-1e400",
	"1e4294967296", "1e18446744073709551616",
	"1e18446744073709551617", "1e9223372036854775808",
	"1e99999999999999999999999", "1.5e99999999999999999999999",
};

static void
test_counts(void)
{
	size_t i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint64_t count = 77;
		const char * why = read_count(counts[i].text, &count);

		ok(why == NULL && count == counts[i].count,
		    "%s counts %" PRIu64 "%s%s", counts[i].text, count,
		    why == NULL ? "" : " and ", why == NULL ? "" : why);
		ok(is_integer_text(counts[i].text), "%s is an integer",
		    counts[i].text);
	}
}

static void
test_no_counts(void)
{
	const size_t count = sizeof(integers_out_of_range) /
	    sizeof(integers_out_of_range[0]);
	uint64_t ignored;
	size_t i;

	for (i = 0; i < sizeof(fractions) / sizeof(fractions[0]); i++) {
		is_text(read_count(fractions[i], &ignored),
		    "is not an integer", "%s", fractions[i]);
		ok(!is_integer_text(fractions[i]), "%s is no integer",
		    fractions[i]);
	}
	for (i = 0; i < count; i++) {
		const char * text = integers_out_of_range[i];
		const char * why = read_count(text, &ignored);

		ok(why != NULL && strcmp(why, "is not an integer") != 0,
		    "%s is out of range", text);
		ok(is_integer_text(text), "%s is an integer", text);
	}
}

/* Whether a long text is the count 1 (1), out of range (2) or no integer. */
static void
test_long(void)
{
	static const struct {
		const char * before;
		size_t zeros;
		const char * after;
		int kind;
	} rows[] = {
		{ "1", 4000, "e-4000", 1 }, { "1", 4000, "e-4001", 3 },
		{ "1", 4000, "e-3980", 2 }, { "1", 4000, "", 2 },
		{ "1.", 4000, "", 1 }, { "1.", 4000, "1", 3 },
		{ "1.", 3999, "1e4000", 2 }, { "0.", 4000, "1e4001", 1 },
		{ "0.", 4000, "1e4000", 3 }, { "0.", 4000, "1e4017", 2 },
		{ "1", 3000, ".0e-3000", 1 }, { "1", 3000, ".1e-3000", 3 },
		{ "1e-", 4000, "", 1 }, { "1e", 4000, "", 1 },
		{ "1e+", 4000, "", 1 }, { "10e-", 4000, "1", 1 },
		{ "0.1e", 4000, "1", 1 }, { "1e-", 4000, "1", 3 },
		{ "1e", 4000, "16", 2 },
		{ "-1", 4000, "e-4000", 2 }, { "-1.", 4000, "1", 3 },
	};
	char text[ZEROS_MAX + 100];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t count = 0;
		const char * why = read_count(with_zeros(text, rows[i].before,
		    rows[i].zeros, rows[i].after), &count);
		int kind = why == NULL ? (count == 1 ? 1 : 0) :
		    strcmp(why, "is not an integer") == 0 ? 3 : 2;

		is_integer(kind, rows[i].kind, "%s and %zu zeros and %s",
		    rows[i].before, rows[i].zeros, rows[i].after);
		is_integer(is_integer_text(text), rows[i].kind != 3,
		    "is it an integer");
	}
}

/* Write an integer with its point moved and an exponent to match. */
static void
write_moved(char out[100], uint64_t value, int moved)
{

	if (moved > 0)
		snprintf(out, 100, "0.%0*d%020" PRIu64 "0e%d", moved, 0,
		    value, moved + 20);
	else
		snprintf(out, 100, "%" PRIu64 "%0*d.00e%d", value, 1 - moved,
		    0, moved - 1);
	if (value == 0 && moved <= 0)
		snprintf(out, 100, "0.00e%d", moved);
}

static void
test_moved(void)
{
	unsigned int wrong = 0;
	int i;

	for (i = 0; i < 50000; i++) {
		uint64_t value = ((uint64_t)random() << 31 |
		    (uint64_t)random()) >> random() % 62;
		uint64_t count = 0;
		char text[100];
		const char * why;

		write_moved(text, value, (int)(random() % 31) - 15);
		why = read_count(text, &count);
		if (value > NUMBER_COUNT_MAX)
			wrong += why == NULL;
		else
			wrong += why != NULL || count != value;
		wrong += !is_integer_text(text);
	}
	is_integer(wrong, 0, "the same integer in many forms");
}

static void
test_doubles(void)
{
	static const struct {
		const char * text;
		double number;
		bool finite;
	} rows[] = {
		{ "0", 0, true }, { "-0", -0.0, true },
		{ "-0.0e0", -0.0, true }, { "0.1", 0.1, true },
		{ "-1.5e+10", -1.5e10, true }, { "1E3", 1000, true },
		{ "10e-1", 1, true }, { "1e308", 1e308, true },
		{ "1e309", 0, false }, { "1e400", 0, false },
		{ "-1e400", 0, false }, { "1e99999999999999999999", 0, false },
		{ "1.7976931348623157e308", DBL_MAX, true },
		{ "-1.7976931348623157e308", -DBL_MAX, true },
		{ "1.7976931348623158e308", DBL_MAX, true },
		{ "1.7976931348623159e308", 0, false },
		{ "17976931348623157e292", DBL_MAX, true },
		{ "2.2250738585072011e-308", 0x0.fffffffffffffp-1022, true },
		{ "2.2250738585072014e-308", DBL_MIN, true },
		{ "4.9e-324", 0x1p-1074, true }, { "5e-324", 0x1p-1074, true },
		{ "2.4e-324", 0, true }, { "2.5e-324", 0x1p-1074, true },
		{ "1e-400", 0, true }, { "-1e-400", -0.0, true },
		{ "9007199254740993", 9007199254740992.0, true },
		{ "9007199254740993.00000001", 9007199254740994.0, true },
		{ "18446744073709551616", 0x1p64, true },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t length = strlen(rows[i].text);
		char * copy = tap_copy(rows[i].text, length);
		double number = 5;

		is_integer(number_double(copy, length, &number),
		    rows[i].finite, "%s is a double", rows[i].text);
		if (rows[i].finite)
			is_bytes(&number, sizeof(number), &rows[i].number,
			    sizeof(number), "%s reads as %.17g", rows[i].text,
			    number);
		free(copy);
	}
}

static void
test_long_doubles(void)
{
	static char text[JSON_NUMBER_MAX + 1];
	double number = 0;

	memset(text, '9', JSON_NUMBER_MAX);
	ok(!number_double(text, JSON_NUMBER_MAX, &number),
	    "4096 digits are too large for a double");
	text[1] = '.';
	ok(number_double(text, JSON_NUMBER_MAX, &number) && number == 10.0,
	    "4096 characters are read to their end");
	memcpy(text + JSON_NUMBER_MAX - 5, "e-300", 5);
	ok(number_double(text, JSON_NUMBER_MAX, &number) && number == 1e-299,
	    "the exponent at the end of 4096 characters counts");
	ok(number_double("12345", 2, &number) && number == 12.0,
	    "no more than the length is read");
}

static void
test_text(void)
{
	static const struct {
		double number;
		const char * text;
	} rows[] = {
		{ 0, "0" }, { -0.0, "0" }, { 1, "1" }, { -1, "-1" },
		{ 1000000, "1000000" }, { 1e15, "1000000000000000" },
		{ 9007199254740991.0, MAX }, { -9007199254740991.0, "-" MAX },
		{ 9007199254740992.0, "9007199254740992" },
		{ -9007199254740992.0, "-9007199254740992" },
		{ 1e16, "1e+16" }, { 123456789012345678.0,
		    "1.2345678901234568e+17" },
		{ 0.5, "0.5" }, { 0.1, "0.1" }, { -0.1, "-0.1" },
		{ 0.1 + 0.2, "0.30000000000000004" },
		{ 1.0 / 3, "0.3333333333333333" }, { 1e-5, "1e-05" },
		{ 0.0001, "0.0001" }, { 1.5, "1.5" }, { 2.5e-8, "2.5e-08" },
		{ 123456.789, "123456.789" }, { 1e300, "1e+300" },
		{ DBL_MAX, "1.7976931348623157e+308" },
		{ -DBL_MAX, "-1.7976931348623157e+308" },
		{ DBL_MIN, "2.2250738585072014e-308" },
		{ -DBL_MIN, "-2.2250738585072014e-308" },
		{ 0x1p-1074, "4.94065645841247e-324" },
		{ 5e-324, "4.94065645841247e-324" },
		{ 2251799813685248.5, "2251799813685248.5" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[NUMBER_TEXT_MAX];
		size_t length = number_text(out, rows[i].number);

		is_bytes(out, length, rows[i].text, strlen(rows[i].text),
		    "the text of %.17g", rows[i].number);
	}
}

/* Whether ${out} is what the header says for a number that is no integer. */
static bool
text_is_canonical(const char * out, size_t length, double number)
{
	int precision;
	char wanted[64] = "";

	for (precision = 15; precision <= 17; precision++) {
		snprintf(wanted, sizeof(wanted), "%.*g", precision, number);
		if (strtod(wanted, NULL) == number)
			break;
	}
	return (strlen(wanted) == length && memcmp(out, wanted, length) == 0);
}

static void
test_random_text(void)
{
	unsigned int wrong = 0;
	int i;

	for (i = 0; i < 100000; i++) {
		uint64_t bits = (uint64_t)random() << 62 ^
		    (uint64_t)random() << 31 ^ (uint64_t)random();
		char out[NUMBER_TEXT_MAX];
		double number, back;
		size_t length;

		memcpy(&number, &bits, sizeof(number));
		if (!isfinite(number))
			continue;
		length = number_text(out, number);
		wrong += length >= NUMBER_TEXT_MAX ||
		    !number_double(out, length, &back) || back != number;
		if (number != trunc(number) || fabs(number) >= 0x1p53)
			wrong += !text_is_canonical(out, length, number);
	}
	is_integer(wrong, 0, "random doubles read back as they were");
}

/* Write digits / 10^places as a decimal; places is less than the digits. */
static size_t
write_decimal(char out[NUMBER_TEXT_MAX], uint64_t digits, int places)
{
	uint64_t power = 1;
	int i;

	for (i = 0; i < places; i++)
		power *= 10;
	return ((size_t)(places == 0 ?
	    snprintf(out, NUMBER_TEXT_MAX, "%" PRIu64, digits) :
	    snprintf(out, NUMBER_TEXT_MAX, "%" PRIu64 ".%0*" PRIu64,
	    digits / power, places, digits % power)));
}

/* Numbers of 16 to 19 digits, and many just between two doubles. */
static void
test_random_decimals(void)
{
	unsigned int wrong = 0;
	int i;

	for (i = 0; i < 200000; i++) {
		uint64_t digits = (uint64_t)random() << 32 ^
		    (uint64_t)random() << 1;
		int places = (int)(random() % 19);
		char out[NUMBER_TEXT_MAX];
		double number;
		size_t length;

		if (i % 2 == 0) {
			digits = (digits >> 10 | (uint64_t)1 << 53) + 1;
			digits |= 1;
			places = 0;
			if (i % 4 == 0) {
				digits = digits * 5;
				places = 1;
			}
		}
		length = write_decimal(out, digits, places);
		wrong += !number_double(out, length, &number) ||
		    number != strtod(out, NULL);
	}
	is_integer(wrong, 0, "random decimals read as strtod reads them");
}

/* The canonical form is that of the double, which strtod reads. */
static bool
is_canonical(const char * text)
{
	char wanted[NUMBER_TEXT_MAX], got[NUMBER_TEXT_MAX];
	char * copy = tap_copy(text, strlen(text));
	size_t length = number_canonical(got, copy, strlen(text));
	double number = 0;
	bool finite = number_double(copy, strlen(text), &number);
	double slow = strtod(text, NULL);
	size_t expected = finite ? number_text(wanted, slow) : 0;

	free(copy);
	return (finite == isfinite(slow) && (!finite ||
	    memcmp(&number, &slow, sizeof(slow)) == 0) &&
	    length == expected && memcmp(got, wanted, length) == 0);
}

static void
test_canonical(void)
{
	static const char * const texts[] = {
		"0", "-0", "0.0", "-0.000", "1.0", "100", "-100.50", "0.005",
		"0.0001", "0.00010", "0.00009999", "0.0000100", "1e3", "1e-7",
		"999999999999999", "9999999999999999", "0.1", "1.5e0",
		"123456789012345.0", "12345678901234.5", "0.123456789012345",
		"0.000123456789012345", "1e999", "-1e999", "5e-324",
		"9007199254740993", "0.10000000000000001",
	};
	int i, wrong = 0;
	size_t row;

	for (row = 0; row < sizeof(texts) / sizeof(texts[0]); row++)
		ok(is_canonical(texts[row]), "the form of %s", texts[row]);
	for (i = 0; i < 200000; i++) {
		char text[64];
		long before = random() % 4 == 0 ? 0 : random();
		int used = snprintf(text, sizeof(text), "%s%ld",
		    random() % 4 == 0 ? "-" : "", before >> random() % 31);

		if (random() % 4 != 0)
			used += snprintf(text + used, sizeof(text) -
			    (size_t)used, ".%0*ld", (int)(random() % 8),
			    random() >> random() % 31);
		if (random() % 3 == 0)
			snprintf(text + used, sizeof(text) - (size_t)used,
			    strchr(text, '.') == NULL ? "0" : "00");
		wrong += !is_canonical(text);
	}
	is_integer(wrong, 0, "random numbers have their canonical form");
}

int
main(void)
{

	tap_seed();
	test_counts();
	test_no_counts();
	test_long();
	test_moved();
	test_doubles();
	test_long_doubles();
	test_text();
	test_random_text();
	test_random_decimals();
	test_canonical();
	return (tap_done());
}
