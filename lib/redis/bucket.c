#include "lib/redis/bucket.h"

#define HOUR 3600
#define DAY 86400

void
bucket_of(struct periods * periods, const struct sink_settings * settings,
    int64_t period)
{
	struct period * list = periods->list;
	int64_t day = period;
	size_t count = 0;

	if (settings->retention_hourly > 0) {
		date_format_hour(list[count].name, period);
		list[count].start = period * HOUR;
		list[count].length = HOUR;
		list[count++].retention = settings->retention_hourly;
		day = date_day(period * HOUR);
	}
	if (settings->retention_daily > 0) {
		date_format_day(list[count].name, day);
		list[count].start = day * DAY;
		list[count].length = DAY;
		list[count++].retention = settings->retention_daily;
	}
	periods->count = count;
}

int64_t
bucket_retention(const struct sink_settings * settings)
{

	return (settings->retention_hourly > settings->retention_daily ?
	    settings->retention_hourly : settings->retention_daily);
}
