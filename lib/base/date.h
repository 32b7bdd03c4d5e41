#ifndef FLAGTALLY_DATE_H
#define FLAGTALLY_DATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Dates and times.  An instant is in seconds since 1970-01-01T00:00:00Z, an
 * hour or a day in hours or days since then; all can be negative.
 */

/**
 * date_parse(text, length, instant, why):
 * Parse an RFC 3339 date-time with any offset.  Fractions of any length are
 * truncated.  A leap second (23:59:60 UTC on the last day of June or December)
 * counts as the second before it.  Return 0, or -1 with the reason as a static
 * text in ${why}.
 */
int date_parse(const char * text, size_t length, int64_t * instant,
    const char ** why);

/* Length of YYYY-MM-DDTHH. */
#define DATE_HOUR_LENGTH 13

/* The hour of the previous date-time; all zero: none. */
struct date_memo {
	char hour[DATE_HOUR_LENGTH];
	int64_t instant;
};

/**
 * date_parse_next(memo, text, length, instant, why):
 * As date_parse, but faster if the hour equals the previous one's, as it does
 * for most date-times of a body.
 */
int date_parse_next(struct date_memo * memo, const char * text, size_t length,
    int64_t * instant, const char ** why);

/**
 * date_hour(instant):
 * date_day(instant):
 * Return the hour or day of the instant.
 */
int64_t date_hour(int64_t instant);
int64_t date_day(int64_t instant);

#define DATE_TEXT_MAX 32

/**
 * date_format_hour(out, hour):
 * date_format_day(out, day):
 * Write the UTC name of an hour, 2026-11-23T09, or of a day, 2026-11-23.  A
 * year beyond 9999 has five digits; the year before 0 is -0001.  Return the
 * length.
 */
size_t date_format_hour(char out[DATE_TEXT_MAX], int64_t hour);
size_t date_format_day(char out[DATE_TEXT_MAX], int64_t day);

#endif
