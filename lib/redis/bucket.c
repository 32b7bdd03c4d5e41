#include <stdbool.h>

#include "lib/redis/bucket.h"

#define HOUR 3600
#define DAY 86400

static int64_t
later(int64_t a, int64_t b)
{

	return (a > b ? a : b);
}

/*
 * A bucket whose retention is over already, or that begins more than a day
 * ahead, takes one of a number of places (see apply.lua): there are as many of
 * these as somebody makes up times.  What is far ahead would also stay until
 * then, so it goes by when it was written.
 */
static int64_t
expiry_of(const struct sink_settings * settings, int64_t start,
    int64_t seconds, int64_t retention, int64_t now)
{
	bool ahead = start > now + DAY;
	int64_t expire = retention + (ahead ? now :
	    later(start + seconds, now));

	return (settings->limit_out_of_range > 0 && (ahead ||
	    start + seconds + retention < now) ? -expire : expire);
}

static void
add_period(struct periods * periods, const struct sink_settings * settings,
    int64_t period, int64_t seconds, int64_t now)
{
	size_t i = periods->count++;
	int64_t retention = seconds == HOUR ? settings->retention_hourly :
	    settings->retention_daily;

	if (seconds == HOUR)
		date_format_hour(periods->name[i], period);
	else
		date_format_day(periods->name[i], period);
	periods->start[i] = period * seconds;
	periods->expire[i] = expiry_of(settings, period * seconds, seconds,
	    retention, now);
}

void
bucket_of(struct periods * periods, const struct sink_settings * settings,
    int64_t period, int64_t now)
{
	int64_t day = period;

	periods->count = 0;
	if (settings->retention_hourly > 0) {
		add_period(periods, settings, period, HOUR, now);
		day = date_day(period * HOUR);
	}
	if (settings->retention_daily > 0)
		add_period(periods, settings, day, DAY, now);
}

int64_t
bucket_retention(const struct sink_settings * settings)
{

	return (later(settings->retention_hourly, settings->retention_daily));
}
