#include <time.h>

#include "lib/base/date.h"
#include "tests/fuzz/fuzz.h"

/*
 * Date-times of RFC 3339 against a slow reading of the grammar, with timegm
 * for the calendar; and the names of hours and days against gmtime.
 */
static bool
number(const char ** at, const char * end, size_t count, int * out)
{

	for (*out = 0; count > 0; count--, ++*at) {
		if (*at == end || **at < '0' || **at > '9')
			return (false);
		*out = *out * 10 + **at - '0';
	}
	return (true);
}

static bool
mark(const char ** at, const char * end, const char * any)
{

	if (*at == end || **at == '\0' || strchr(any, **at) == NULL)
		return (false);
	++*at;
	return (true);
}

static bool
zone(const char ** at, const char * end, int * offset)
{
	int sign, hours, minutes;

	*offset = 0;
	if (mark(at, end, "Zz"))
		return (true);
	if (*at == end)
		return (false);
	sign = **at == '-' ? -60 : 60;
	if (!mark(at, end, "+-") || !number(at, end, 2, &hours) ||
	    !mark(at, end, ":") || !number(at, end, 2, &minutes) ||
	    hours > 23 || minutes > 59)
		return (false);
	*offset = sign * (hours * 60 + minutes);
	return (true);
}

static bool
fraction(const char ** at, const char * end)
{
	const char * first;

	if (!mark(at, end, "."))
		return (true);
	for (first = *at; *at < end && **at >= '0' && **at <= '9';)
		++*at;
	return (*at > first);
}

/* A date that timegm leaves as it is is one. */
static bool
is_date(const struct tm * wanted, int64_t * instant)
{
	struct tm date = { .tm_year = wanted->tm_year,
	    .tm_mon = wanted->tm_mon, .tm_mday = wanted->tm_mday };

	*instant = timegm(&date);
	return (date.tm_year == wanted->tm_year &&
	    date.tm_mon == wanted->tm_mon && date.tm_mday == wanted->tm_mday);
}

static bool
leap_second(int64_t * instant)
{
	time_t next = (time_t)*instant;
	struct tm date;

	gmtime_r(&next, &date);
	--*instant;
	return (date.tm_hour == 0 && date.tm_min == 0 && date.tm_sec == 0 &&
	    date.tm_mday == 1 && (date.tm_mon == 0 || date.tm_mon == 6));
}

static bool
slow_parse(const char * at, size_t length, int64_t * instant)
{
	const char * end = at + length;
	struct tm date = { 0 };
	int offset;

	if (!number(&at, end, 4, &date.tm_year) || !mark(&at, end, "-") ||
	    !number(&at, end, 2, &date.tm_mon) || !mark(&at, end, "-") ||
	    !number(&at, end, 2, &date.tm_mday) || !mark(&at, end, "Tt") ||
	    !number(&at, end, 2, &date.tm_hour) || !mark(&at, end, ":") ||
	    !number(&at, end, 2, &date.tm_min) || !mark(&at, end, ":") ||
	    !number(&at, end, 2, &date.tm_sec) || !fraction(&at, end) ||
	    !zone(&at, end, &offset) || at != end)
		return (false);
	date.tm_year -= 1900;
	date.tm_mon--;
	if (date.tm_hour > 23 || date.tm_min > 59 || date.tm_sec > 60 ||
	    !is_date(&date, instant))
		return (false);
	*instant += date.tm_hour * 3600 + date.tm_min * 60 + date.tm_sec -
	    offset;
	return (date.tm_sec < 60 || leap_second(instant));
}

static void
check_names(int64_t instant)
{
	char got[DATE_TEXT_MAX], wanted[DATE_TEXT_MAX * 2];
	time_t time = (time_t)instant;
	struct tm date;

	gmtime_r(&time, &date);
	if (date.tm_year + 1900 < 0)
		return;
	snprintf(wanted, sizeof(wanted), "%04d-%02d-%02dT%02d",
	    date.tm_year + 1900, date.tm_mon + 1, date.tm_mday,
	    date.tm_hour);
	must(date_format_hour(got, date_hour(instant)) == strlen(wanted));
	must(strcmp(got, wanted) == 0);
	wanted[strlen(wanted) - 3] = '\0';
	must(date_format_day(got, date_day(instant)) == strlen(wanted));
	must(strcmp(got, wanted) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	char * text = fuzz_exact(bytes, length);
	const char * why = NULL;
	int64_t instant = 0, wanted = 0, any = 0;
	struct date_memo memo = { .instant = 0 };
	unsigned int i;
	int result = date_parse(text, length, &instant, &why);

	must((result == 0) == slow_parse(text, length, &wanted));
	for (i = 0; i < 2; i++)
		must(date_parse_next(&memo, text, length, &any, &why) ==
		    result && (result != 0 || any == instant));
	if (result == 0) {
		must(instant == wanted);
		check_names(instant);
	} else
		must(why != NULL && *why != '\0');
	if (length >= sizeof(any)) {
		memcpy(&any, bytes, sizeof(any));
		check_names(any % ((int64_t)1 << 37));
	}
	free(text);
	return (0);
}
