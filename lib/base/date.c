#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/date.h"
#include "lib/base/text.h"

/*
 * Days and civil dates are converted with Howard Hinnant's algorithms
 * ("chrono-Compatible Low-Level Date Algorithms"): a year begins in March, so
 * that the leap day is its last day, and an era of 400 years always has the
 * same number of days.
 */
#define ERA_YEARS 400
#define ERA_DAYS 146097
/* Days from 0000-03-01 to 1970-01-01. */
#define EPOCH_DAYS 719468

#define HOUR 3600
#define DAY 86400

struct civil {
	int64_t year;
	unsigned int month;		/* 1..12 */
	unsigned int day;		/* 1..31 */
};

static int64_t
floor_divide(int64_t a, int64_t b)
{

	return (a / b - (a % b < 0));
}

int64_t
date_hour(int64_t instant)
{

	return (floor_divide(instant, HOUR));
}

int64_t
date_day(int64_t instant)
{

	return (floor_divide(instant, DAY));
}

static int64_t
days_of(const struct civil * date)
{
	int64_t year = date->year - (date->month <= 2);
	int64_t era = floor_divide(year, ERA_YEARS);
	int64_t year_of_era = year - era * ERA_YEARS;
	int64_t month = date->month > 2 ? date->month - 3 : date->month + 9;
	int64_t day_of_year = (153 * month + 2) / 5 + date->day - 1;

	return (era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 -
	    year_of_era / 100 + day_of_year - EPOCH_DAYS);
}

static void
civil_of(struct civil * date, int64_t days)
{
	int64_t era, day_of_era, year_of_era, day_of_year, month;

	days += EPOCH_DAYS;
	era = floor_divide(days, ERA_DAYS);
	day_of_era = days - era * ERA_DAYS;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
	    day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 -
	    year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	date->day = (unsigned int)(day_of_year - (153 * month + 2) / 5 + 1);
	date->month = (unsigned int)(month < 10 ? month + 3 : month - 9);
	date->year = year_of_era + era * ERA_YEARS + (date->month <= 2);
}

static unsigned int
days_in_month(const struct civil * date)
{
	static const unsigned char days[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31,
	};
	bool leap = date->year % 4 == 0 &&
	    (date->year % 100 != 0 || date->year % 400 == 0);

	return (date->month == 2 && leap ? 29 : days[date->month - 1]);
}

/* Read two digits.  Return -1 if they are not both digits. */
static int
two_digits(const char * text)
{
	unsigned int tens = (unsigned int)text[0] - '0';
	unsigned int ones = (unsigned int)text[1] - '0';

	return (tens > 9 || ones > 9 ? -1 : (int)(tens * 10 + ones));
}

static const char *
read_date(const char * text, struct civil * date)
{
	int century = two_digits(text);
	int year = two_digits(text + 2);
	int month = two_digits(text + 5);
	int day = two_digits(text + 8);

	if (century < 0 || year < 0 || text[4] != '-' || month < 0 ||
	    text[7] != '-' || day < 0)
		return ("the date is not YYYY-MM-DD");
	if (month < 1 || month > 12)
		return ("there is no such month");
	date->year = century * 100 + year;
	date->month = (unsigned int)month;
	date->day = (unsigned int)day;
	if (day < 1 || date->day > days_in_month(date))
		return ("there is no such day");
	return (NULL);
}

/* Read a time of day; seconds can be 60. */
static const char *
read_time_of_day(const char * text, int * seconds)
{
	int hour = two_digits(text);
	int minute = two_digits(text + 3);
	int second = two_digits(text + 6);

	if (hour < 0 || text[2] != ':' || minute < 0 || text[5] != ':' ||
	    second < 0)
		return ("the time is not HH:MM:SS");
	if (hour > 23 || minute > 59 || second > 60)
		return ("there is no such time");
	*seconds = hour * HOUR + minute * 60 + second;
	return (NULL);
}

static const char *
read_offset(const char * text, size_t length, int * seconds)
{
	int hours, minutes;

	*seconds = 0;
	if (length == 0)
		return ("the zone is missing");
	if (length == 1 && (*text == 'Z' || *text == 'z'))
		return (NULL);
	if (length != 6 || (*text != '+' && *text != '-') || text[3] != ':')
		return ("the zone is neither Z nor +HH:MM");
	hours = two_digits(text + 1);
	minutes = two_digits(text + 4);
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return ("there is no such zone");
	*seconds = hours * HOUR + minutes * 60;
	if (*text == '-')
		*seconds = -*seconds;
	return (NULL);
}

/* Whether a leap second can precede ${instant}. */
static bool
leap_second_before(int64_t instant)
{
	struct civil date;

	if (instant % DAY != 0)
		return (false);
	civil_of(&date, date_day(instant));
	return (date.day == 1 && (date.month == 1 || date.month == 7));
}

/* Return whether eight bytes are digits: 3 above and less than 10 below. */
static bool
eight_digits(const char * text)
{
	uint64_t word;

	memcpy(&word, text, sizeof(word));
	return (((word & 0xf0f0f0f0f0f0f0f0) |
	    (((word + 0x0606060606060606) & 0xf0f0f0f0f0f0f0f0) >> 4)) ==
	    0x3333333333333333);
}

static size_t
fraction_length(const char * text, size_t length)
{
	size_t i = 1;

	if (length == 0 || text[0] != '.')
		return (0);
	while (i + 8 <= length && eight_digits(text + i))
		i += 8;
	while (i < length && text[i] >= '0' && text[i] <= '9')
		i++;
	return (i);
}

/* Lengths of YYYY-MM-DD and of YYYY-MM-DDTHH:MM:SS. */
#define DATE_LENGTH 10
#define TIME_LENGTH 19

int
date_parse(const char * text, size_t length, int64_t * instant,
    const char ** why)
{
	struct civil date;
	int seconds = 0, offset = 0;
	size_t fraction;

	*why = "it is too short";
	if (length < TIME_LENGTH)
		return (-1);
	if ((*why = read_date(text, &date)) != NULL)
		return (-1);
	*why = "there is no T between date and time";
	if (text[DATE_LENGTH] != 'T' && text[DATE_LENGTH] != 't')
		return (-1);
	if ((*why = read_time_of_day(text + DATE_LENGTH + 1, &seconds)) != NULL)
		return (-1);
	text += TIME_LENGTH;
	length -= TIME_LENGTH;
	fraction = fraction_length(text, length);
	*why = "the fraction has no digits";
	if (fraction == 1)
		return (-1);
	if ((*why = read_offset(text + fraction, length - fraction,
	    &offset)) != NULL)
		return (-1);
	*instant = days_of(&date) * DAY + seconds - offset;
	if (seconds % 60 == 0 && text[-2] == '6') {
		*why = "there is no leap second then";
		if (!leap_second_before(*instant))
			return (-1);
		--*instant;
	}
	return (0);
}

/* Read minute, second, fraction and Z; the hour is memoized. */
static bool
within_hour(const char * text, size_t length, int64_t * seconds)
{
	int minute, second;
	size_t fraction;

	if (length < TIME_LENGTH - DATE_HOUR_LENGTH || text[0] != ':' ||
	    text[3] != ':')
		return (false);
	minute = two_digits(text + 1);
	second = two_digits(text + 4);
	if (minute < 0 || minute > 59 || second < 0 || second > 59)
		return (false);
	text += TIME_LENGTH - DATE_HOUR_LENGTH;
	length -= TIME_LENGTH - DATE_HOUR_LENGTH;
	fraction = fraction_length(text, length);
	*seconds = minute * 60 + second;
	return (fraction != 1 && length == fraction + 1 &&
	    text[fraction] == 'Z');
}

int
date_parse_next(struct date_memo * memo, const char * text, size_t length,
    int64_t * instant, const char ** why)
{
	int64_t seconds;

	if (length > DATE_HOUR_LENGTH && memo->hour[0] != '\0' &&
	    text_same(text, memo->hour, DATE_HOUR_LENGTH) &&
	    within_hour(text + DATE_HOUR_LENGTH, length - DATE_HOUR_LENGTH,
	    &seconds)) {
		*instant = memo->instant + seconds;
		return (0);
	}
	if (date_parse(text, length, instant, why) != 0)
		return (-1);
	if (within_hour(text + DATE_HOUR_LENGTH, length - DATE_HOUR_LENGTH,
	    &seconds)) {
		memcpy(memo->hour, text, DATE_HOUR_LENGTH);
		memo->instant = *instant - seconds;
	}
	return (0);
}

size_t
date_format_day(char out[DATE_TEXT_MAX], int64_t day)
{
	struct civil date;

	civil_of(&date, day);
	return ((size_t)snprintf(out, DATE_TEXT_MAX, "%s%04lld-%02u-%02u",
	    date.year < 0 ? "-" : "",
	    (long long)(date.year < 0 ? -date.year : date.year),
	    date.month, date.day));
}

size_t
date_format_hour(char out[DATE_TEXT_MAX], int64_t hour)
{
	int64_t day = floor_divide(hour, 24);
	size_t length = date_format_day(out, day);

	return (length + (size_t)snprintf(out + length,
	    DATE_TEXT_MAX - length, "T%02u", (unsigned int)(hour - day * 24)));
}
