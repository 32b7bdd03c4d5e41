#include <inttypes.h>
#include <time.h>

#include "lib/base/date.h"
#include "tests/unit/tap.h"

/* The text as the reader gets it: without a NUL after it. */
static int
parse(const char * text, size_t length, int64_t * instant, const char ** why)
{
	char * copy = tap_copy(text, length);
	int result = date_parse(copy, length, instant, why);

	free(copy);
	return (result);
}

/* RFC 3339, section 5.6, and its examples in section 5.8. */
static const struct {
	const char * text;
	int64_t instant;
} valid[] = {
	{ "1970-01-01T00:00:00Z", 0 },
	{ "1970-01-01T00:00:00z", 0 },
	{ "1970-01-01t00:00:00Z", 0 },
	{ "1970-01-01T00:00:00+00:00", 0 },
	{ "1970-01-01T00:00:00-00:00", 0 },
	{ "1970-01-01T00:00:01Z", 1 },
	{ "1969-12-31T23:59:59Z", -1 },
	{ "1985-04-12T23:20:50.52Z", 482196050 },
	{ "1996-12-19T16:39:57-08:00", 851042397 },
	{ "1937-01-01T12:00:27.87+00:20", -1041337173 },
	{ "2026-11-23T09:59:59Z", 1795427999 },
	{ "2026-11-23T10:00:00Z", 1795428000 },
	/* 32 and 64 bits */
	{ "2038-01-19T03:14:07Z", 2147483647 },
	{ "2038-01-19T03:14:08Z", 2147483648 },
	{ "1901-12-13T20:45:51Z", -2147483649 },
	{ "2106-02-07T06:28:16Z", 4294967296 },
	/* the first and the last year */
	{ "0000-01-01T00:00:00Z", -62167219200 },
	{ "0000-02-29T00:00:00Z", -62162121600 },
	{ "0000-03-01T00:00:00Z", -62162035200 },
	{ "0000-12-31T23:59:59Z", -62135596801 },
	{ "0001-01-01T00:00:00Z", -62135596800 },
	{ "0000-01-01T00:00:00+23:59", -62167305540 },
	{ "9999-12-31T23:59:59Z", 253402300799 },
	{ "9999-12-31T23:59:59-23:59", 253402387139 },
	{ "9999-12-31T23:59:59.999999999999Z", 253402300799 },
	/* leap years */
	{ "2024-02-29T00:00:00Z", 1709164800 },
	{ "2000-02-29T23:59:59Z", 951868799 },
	{ "1600-02-29T00:00:00Z", -11670998400 },
	{ "2100-02-28T23:59:59Z", 4107542399 },
	{ "2100-03-01T00:00:00Z", 4107542400 },
	{ "2400-02-29T00:00:00Z", 13574563200 },
	/* offsets that lead to another day, month or year */
	{ "2026-01-01T00:30:00+01:00", 1767223800 },
	{ "2025-12-31T23:30:00-01:00", 1767227400 },
	{ "2024-03-01T00:00:00+00:01", 1709251140 },
	{ "2024-02-29T23:59:00-00:01", 1709251200 },
	{ "1970-01-01T23:59:00+23:59", 0 },
	{ "1969-12-31T00:01:00-23:59", 0 },
	{ "1970-01-01T05:45:00+05:45", 0 },
	{ "1970-01-01T00:59:00+00:59", 0 },
	/* fractions are cut off, before 1970 too */
	{ "1970-01-01T00:00:00.0Z", 0 },
	{ "1970-01-01T00:00:00.9Z", 0 },
	{ "1970-01-01T00:00:00.999999999999999999999999999999Z", 0 },
	{ "1969-12-31T23:59:59.5Z", -1 },
	{ "1969-12-31T23:59:59.999-00:00", -1 },
	{ "1970-01-01T00:00:00.000000001+00:01", -60 },
	/* leap seconds */
	{ "2016-12-31T23:59:60Z", 1483228799 },
	{ "2016-12-31T23:59:60.999Z", 1483228799 },
	{ "2015-06-30T23:59:60Z", 1435708799 },
	{ "1990-12-31T23:59:60Z", 662687999 },
	{ "1990-12-31T15:59:60-08:00", 662687999 },
	{ "2017-01-01T05:29:60+05:30", 1483228799 },
	{ "2017-01-01T05:29:60.25+05:30", 1483228799 },
	{ "2015-07-01T00:00:60+00:01", 1435708799 },
	{ "2016-12-31T00:00:60-23:59", 1483228799 },
	{ "2017-01-01T23:58:60+23:59", 1483228799 },
};

static void
test_valid(void)
{
	size_t i;

	for (i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
		const char * why = NULL;
		int64_t instant = INT64_MIN;
		int result = parse(valid[i].text, strlen(valid[i].text),
		    &instant, &why);

		if (result != 0)
			ok(false, "%s: %s", valid[i].text, why);
		else
			is_integer(instant, valid[i].instant, "%s",
			    valid[i].text);
	}
}

static const char * const invalid[] = {
	"", "1", "Z", "2026", "2026-11-23", "2026-11-23T", "2026-11-23T09",
	"2026-11-23T09:00", "2026-11-23T09:00Z", "2026-11-23T09:00:0",
	"T09:00:00Z", "09:00:00Z", "1795424400", "1795424400000000000000000",
	/* no zone */
	"2026-11-23T09:00:00", "2026-11-23T09:00:00.5",
	/* separators */
	"2026-11-23 09:00:00Z", "2026-11-23_09:00:00Z",
	"2026/11/23T09:00:00Z", "2026-11-23T09.00.00Z",
	"2026-11:23T09:00:00Z", "2026-11-23T09-00:00Z",
	"20261123T090000Z0000", "2026-11-23TT9:00:00Z",
	"2026-W48-1T09:00:00Z", "2026-327T09:00:00ZZZ",
	/* white space and what follows */
	" 2026-11-23T09:00:00Z", "2026-11-23T09:00:00Z ",
	"2026-11-23T09:00:00 Z", "2026-11-23T09:00:00Z\n",
	"2026-11-23T09:00:00ZZ", "2026-11-23T09:00:00Z+00:00",
	"2026-11-23T09:00:00+00:00Z", "2026-11-23T09:00:00[UTC]",
	"2026-11-23T09:00:00+01:00[Europe/Paris]",
	/* signs and digits that are none */
	"+2026-11-23T09:00:00Z", "-2026-11-23T09:00:00Z",
	"+026-11-23T09:00:00Z", "-026-11-23T09:00:00Z",
	"2026-+1-23T09:00:00Z", "2026--1-23T09:00:00Z",
	"2026- 1-23T09:00:00Z", "2026-11-23T+9:00:00Z",
	"2026-11-23T-1:00:00Z", "2026-11-23T 9:00:00Z",
	"2026-11-23T09:-1:00Z", "2026-11-23T09:00:-1Z",
	"202a-11-23T09:00:00Z", "0x26-11-23T09:00:00Z",
	"2026-11-23T09:00:0/Z", "2026-11-23T09:00:0:Z",
	"10000-01-01T00:00:00Z", "12026-11-23T09:00:00Z",
	"\xd9\xa2\xd9\xa0-11-23T09:00:00Z",
	/* months and days */
	"2026-00-23T09:00:00Z", "2026-13-23T09:00:00Z",
	"2026-99-23T09:00:00Z", "2026-11-00T09:00:00Z",
	"2026-01-32T09:00:00Z", "2026-02-29T09:00:00Z",
	"2024-02-30T09:00:00Z", "2026-03-32T09:00:00Z",
	"2026-04-31T09:00:00Z", "2026-05-32T09:00:00Z",
	"2026-06-31T09:00:00Z", "2026-07-32T09:00:00Z",
	"2026-08-32T09:00:00Z", "2026-09-31T09:00:00Z",
	"2026-10-32T09:00:00Z", "2026-11-31T09:00:00Z",
	"2026-12-32T09:00:00Z", "2100-02-29T09:00:00Z",
	"1900-02-29T09:00:00Z", "2026-02-99T09:00:00Z",
	/* times */
	"2026-11-23T24:00:00Z", "2026-11-23T25:00:00Z",
	"2026-11-23T23:60:00Z", "2026-11-23T99:00:00Z",
	"2026-11-23T09:99:00Z", "2026-11-23T09:00:61Z",
	"2026-11-23T09:00:99Z",
	/* zones */
	"2026-11-23T09:00:00+", "2026-11-23T09:00:00-",
	"2026-11-23T09:00:00+1", "2026-11-23T09:00:00+01",
	"2026-11-23T09:00:00+01:", "2026-11-23T09:00:00+01:0",
	"2026-11-23T09:00:00+0100", "2026-11-23T09:00:00+01:000",
	"2026-11-23T09:00:00+01:00:00", "2026-11-23T09:00:00+24:00",
	"2026-11-23T09:00:00-24:00", "2026-11-23T09:00:00+00:60",
	"2026-11-23T09:00:00+99:99", "2026-11-23T09:00:00 01:00",
	"2026-11-23T09:00:00+-1:00", "2026-11-23T09:00:00+01:-1",
	"2026-11-23T09:00:00+01.00", "2026-11-23T09:00:00UTC",
	"2026-11-23T09:00:00GMT", "2026-11-23T09:00:00J",
	("2026-11-23T09:00:00\xe2\x88\x92" "01:00"),
	/* fractions */
	"2026-11-23T09:00:00.Z", "2026-11-23T09:00:00.",
	"2026-11-23T09:00:00,5Z",
	"2026-11-23T09:00:00.+01:00", "2026-11-23T09:00:00..5Z",
	"2026-11-23T09:00:00.5.5Z", "2026-11-23T09:00:00.5aZ",
	"2026-11-23T09:00:00.-5Z", "2026-11-23T09:00:00.5e3Z",
	"2026-11-23T09:00.5Z",
	/* leap seconds where UTC has none */
	"2016-12-31T23:58:60Z", "2016-12-31T22:59:60Z",
	"2016-12-30T23:59:60Z", "2016-11-30T23:59:60Z",
	"2016-03-31T23:59:60Z", "2016-09-30T23:59:60Z",
	"2017-01-01T00:00:60Z", "2016-12-31T23:59:60+01:00",
	"2016-12-31T23:59:60-08:00", "2015-06-30T23:59:60+00:01",
	"2015-06-29T23:59:60Z", "2015-07-31T23:59:60Z",
	"2015-06-30T23:59:61Z", "2016-12-31T23:60:60Z",
	"2016-12-31T24:59:60Z",
};

static void
test_invalid(void)
{
	size_t i;

	for (i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		const char * why = NULL;
		int64_t instant = 0;

		ok(parse(invalid[i], strlen(invalid[i]), &instant, &why) == -1
		    && why != NULL && why[0] != '\0', "\"%.40s\" is none",
		    invalid[i]);
	}
}

static void
test_bytes(void)
{
	static const char text[] = "2026-11-23T09:00:00.5+01:00";
	const size_t length = sizeof(text) - 1;
	char changed[sizeof(text)];
	unsigned int accepted = 0;
	size_t i;

	for (i = 0; i < length; i++) {
		const char * why;
		int64_t instant;

		accepted += parse(text, i, &instant, &why) == 0;
		memcpy(changed, text, sizeof(text));
		changed[i] = '\0';
		accepted += parse(changed, length, &instant, &why) == 0;
		changed[i] = (char)(text[i] | 0x80);
		accepted += parse(changed, length, &instant, &why) == 0;
	}
	is_integer(accepted, 0, "no part of a date-time is one, nor with a "
	    "NUL or a byte beyond ASCII in it");
}

static void
test_long_fraction(void)
{
	enum { DIGITS = 50000 };
	static char text[20 + DIGITS + 1];
	const char * why = NULL;
	int64_t instant = 0;

	memcpy(text, "1969-12-31T23:59:59.", 20);
	memset(text + 20, '9', DIGITS);
	ok(parse(text, sizeof(text) - 1, &instant, &why) == -1,
	    "50000 digits of a fraction without a zone");
	text[sizeof(text) - 1] = 'Z';
	ok(parse(text, sizeof(text), &instant, &why) == 0 && instant == -1,
	    "50000 digits of a fraction");
}

static int
days_in(int year, int month)
{
	static const int days[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31,
	};
	bool leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);

	return (days[month - 1] + (month == 2 && leap));
}

/* Whether a day is read and written as it should; ${number} counts days. */
static bool
day_is_right(int year, int month, int day, int64_t number)
{
	char text[80], out[DATE_TEXT_MAX];
	const char * why;
	int64_t instant = 0;

	snprintf(text, sizeof(text), "%04d-%02d-%02dT12:34:56Z", year, month,
	    day);
	return (parse(text, strlen(text), &instant, &why) == 0 &&
	    instant == number * 86400 + 45296 &&
	    date_format_day(out, number) == 10 && memcmp(out, text, 10) == 0);
}

static bool
day_is_refused(int year, int month, int day)
{
	char text[80];
	const char * why;
	int64_t instant;

	snprintf(text, sizeof(text), "%04d-%02d-%02dT12:34:56Z", year, month,
	    day);
	return (parse(text, strlen(text), &instant, &why) != 0);
}

/* Walk all years of RFC 3339 with a calendar of our own. */
static void
test_every_day(void)
{
	unsigned int wrong = 0, accepted = 0;
	int64_t number = -719528;
	int year, month, day;

	for (year = 0; year <= 9999; year++)
	for (month = 1; month <= 12; month++) {
		int days = days_in(year, month);

		for (day = 1; day <= days; day++, number++)
			/* All days of some years, the edges of all. */
			if (year % 20 == 0 || day == 1 || day == days)
				wrong += !day_is_right(year, month, day,
				    number);
		accepted += !day_is_refused(year, month, days + 1);
	}
	is_integer(number, 2932897, "the walk ends after 9999-12-31");
	is_integer(wrong, 0, "all days are read and written");
	is_integer(accepted, 0, "no month has a day more");
}

/* Write an instant as the C library sees it; false beyond RFC 3339's years. */
static bool
write_local(char text[160], int64_t instant, int offset)
{
	time_t local = instant + offset * 60;
	struct tm tm;

	gmtime_r(&local, &tm);
	snprintf(text, 160, "%04d-%02d-%02dT%02d:%02d:%02d.%ld%c%02d:%02d",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, random(), offset < 0 ? '-' : '+',
	    abs(offset) / 60, abs(offset) % 60);
	return (tm.tm_year + 1900 >= 0 && tm.tm_year + 1900 <= 9999);
}

static void
test_random(void)
{
	unsigned int wrong = 0;
	int i;

	for (i = 0; i < 100000; i++) {
		/* Some 7900 years around 1970. */
		int64_t instant = ((int64_t)random() - ((int64_t)1 << 30)) *
		    116 + random() % 116;
		char text[160], hour[DATE_TEXT_MAX];
		const char * why;
		int64_t got = INT64_MIN;

		if (write_local(text, instant, (int)(random() % 2879) - 1439))
			wrong += parse(text, strlen(text), &got, &why) != 0 ||
			    got != instant;
		if (write_local(text, instant, 0))
			wrong += date_format_hour(hour, date_hour(instant)) !=
			    13 || memcmp(hour, text, 13) != 0;
	}
	is_integer(wrong, 0, "random instants are as in the C library");
}

static void
test_periods(void)
{
	static const struct {
		int64_t instant, hour, day;
	} rows[] = {
		{ 0, 0, 0 }, { 1, 0, 0 }, { 3599, 0, 0 }, { 3600, 1, 0 },
		{ 86399, 23, 0 }, { 86400, 24, 1 },
		{ -1, -1, -1 }, { -3600, -1, -1 }, { -3601, -2, -1 },
		{ -86400, -24, -1 }, { -86401, -25, -2 },
		{ 1795427999, 498729, 20780 }, { 1795428000, 498730, 20780 },
		{ -62167219200, -17268672, -719528 },
		{ 253402300799, 70389527, 2932896 },
		{ INT64_MAX, 2562047788015215, 106751991167300 },
		{ INT64_MIN, -2562047788015216, -106751991167301 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		is_integer(date_hour(rows[i].instant), rows[i].hour,
		    "the hour of %" PRId64, rows[i].instant);
		is_integer(date_day(rows[i].instant), rows[i].day,
		    "the day of %" PRId64, rows[i].instant);
	}
}

static void
test_format(void)
{
	static const struct {
		int64_t hour;
		const char * text;
	} rows[] = {
		{ 0, "1970-01-01T00" }, { 23, "1970-01-01T23" },
		{ 24, "1970-01-02T00" }, { -1, "1969-12-31T23" },
		{ -24, "1969-12-31T00" }, { -25, "1969-12-30T23" },
		{ 498729, "2026-11-23T09" },
		{ 11016 * 24 + 23, "2000-02-29T23" },
		{ 70389527, "9999-12-31T23" }, { 70389528, "10000-01-01T00" },
		{ -17268672, "0000-01-01T00" }, { -17268673, "-0001-12-31T23" },
		{ -17259888 - 1, "0000-12-31T23" },
		{ -17268672 - 8760, "-0001-01-01T00" },
		{ 2562047788015215, "292277026596-12-04T15" },
		{ -2562047788015216, "-292277022657-01-27T08" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t day = rows[i].hour / 24 - (rows[i].hour % 24 < 0);
		size_t length = strlen(rows[i].text);
		char out[DATE_TEXT_MAX];

		memset(out, '#', sizeof(out));
		is_integer(date_format_hour(out, rows[i].hour), length,
		    "the length of %s", rows[i].text);
		is_text(out, rows[i].text, "the hour %" PRId64, rows[i].hour);
		memset(out, '#', sizeof(out));
		is_integer(date_format_day(out, day), length - 3,
		    "the length of the day of %s", rows[i].text);
		is_bytes(out, strlen(out), rows[i].text, length - 3,
		    "the day %" PRId64, day);
	}
}

/* What was read before must make no difference. */
static void
test_memo(void)
{
	static const char * const parts[][5] = {
		{ "2026-11-23T09", "2026-11-23T10", "2026-12-31T23",
		    "2016-06-30t23", "0000-01-01T00" },
		{ ":00", ":59", ":60", ":5x", "-07" },
		{ ":00", ":59", ":60", ":1", "" },
		{ "", ".5", ".", ".123456789", ".12345678901234567x" },
		{ "Z", "z", "+00:00", "-01:00", "" },
	};
	struct date_memo memo = { .instant = 0 };
	int i, wrong = 0, valid_ones = 0;

	for (i = 0; i < 100000; i++) {
		char text[100] = "";
		int64_t instant = 1, other = 1;
		const char * why = NULL;
		char * copy;
		int part, result, wanted;

		for (part = 0; part < 5; part++)
			strcat(text, parts[part][random() % 5]);
		wanted = parse(text, strlen(text), &instant, &why);
		copy = tap_copy(text, strlen(text));
		result = date_parse_next(&memo, copy, strlen(text), &other,
		    &why);
		free(copy);
		valid_ones += result == 0;
		wrong += result != wanted ||
		    (result == 0 && instant != other);
	}
	is_integer(wrong, 0, "the hour before makes no difference");
	ok(valid_ones > 5000, "%d of them are dates", valid_ones);
}

/* What is remembered before there is anything. */
static void
test_empty_memo(void)
{
	char text[] = "?????????????:59:59.1Z";
	struct date_memo memo = { .instant = 0 };
	const char * why = NULL;
	int64_t instant;

	memset(text, 0, DATE_HOUR_LENGTH);
	is_integer(date_parse_next(&memo, text, sizeof(text) - 1, &instant,
	    &why), -1, "NULs are not the hour that is not there yet");
}

int
main(void)
{

	tap_seed();
	test_valid();
	test_invalid();
	test_bytes();
	test_long_fraction();
	test_every_day();
	test_random();
	test_memo();
	test_periods();
	test_format();
	test_empty_memo();
	return (tap_done());
}
