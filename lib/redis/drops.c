#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/redis/drops.h"
#include "lib/tally/tally_drop.h"

/* Kinds of drops that one script reports. */
#define DROPS_MAX 4

/* Read a string of RESP, and advance past it. */
static struct text
next_string(const char ** at)
{
	struct text string;

	string.length = strtoul(*at + 1, NULL, 10);
	string.bytes = strchr(*at, '\n') + 1;
	*at = string.bytes + string.length + 2;
	return (string);
}

/* Log the argument at ${place}, and whose it is. */
static void
log_argument(enum tally_drop drop, const char * bytes, int64_t place,
    uint64_t count)
{
	const char * at = strchr(bytes, '\n') + 1;
	int64_t strings = strtol(bytes + 1, NULL, 10);
	struct text key, argument = { "?", 1 };
	char name[512];
	int64_t keys, i;
	const char * end;

	next_string(&at);
	next_string(&at);
	keys = strtol(next_string(&at).bytes, NULL, 10);
	key = next_string(&at);
	/* A number that is no argument's is not the script's. */
	if (place >= 1 && place <= strings - 3 - keys)
		for (i = 1; i < keys + place; i++)
			argument = next_string(&at);
	end = memchr(key.bytes, '}', key.length);
	if (end != NULL)
		key.length = (size_t)(end - key.bytes) + 1;
	snprintf(name, sizeof(name), "%.*s of %.*s",
	    (int)(argument.length < 200 ? argument.length : 200),
	    argument.bytes, (int)(key.length < 200 ? key.length : 200),
	    key.bytes);
	tally_drop_log(drop, name, strlen(name), count);
}

void
drops_take(uint64_t * dropped, enum call_script script, const char * bytes,
    const struct redis_reply * reply)
{
	static const enum tally_drop drops_of[2][DROPS_MAX] = {
		{ DROP_FEATURES, DROP_INSTANCES, DROP_VARIANTS,
		    DROP_OUT_OF_RANGE },
		{ DROP_TYPE, DROP_SERIES, DROP_OVERFLOW },
	};
	const enum tally_drop * drops = drops_of[script != SCRIPT_APPLY];
	size_t i;

	/* Whether it had been done before, then a number and a place each. */
	for (i = 0; i < DROPS_MAX && 2 + 2 * i < reply->count; i++) {
		uint64_t count = (uint64_t)reply->integers[1 + 2 * i];

		if (count == 0)
			continue;
		if (dropped != NULL)
			dropped[drops[i]] += count;
		log_argument(drops[i], bytes, reply->integers[2 + 2 * i],
		    count);
	}
}
