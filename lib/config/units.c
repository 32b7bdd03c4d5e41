#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/config/units.h"

struct unit {
	const char * name;
	uint64_t factor;
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit size_units[] = {
	{ "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 },
	{ NULL, 0 },
};
static const struct unit duration_units[] = {
	{ "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
	{ "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};

static const struct unit * const units[] = {
	[UNITS_COUNT] = no_units,
	[UNITS_SIZE] = size_units,
	[UNITS_DURATION] = duration_units,
	[UNITS_MODE] = no_units,
};

const char *
units_parse(const char * text, enum quantity kind, uint64_t least,
    uint64_t most, uint64_t * number)
{
	const struct unit * unit = units[kind];
	char * end;

	if (!isdigit((unsigned char)text[0]))
		return ("is not a number");
	errno = 0;
	*number = strtoull(text, &end, kind == UNITS_MODE ? 8 : 10);
	while (unit->name != NULL && strcasecmp(unit->name, end) != 0)
		unit++;
	if (unit->name == NULL)
		return ("is not a number with a valid unit");
	if (errno != 0 || *number > UNITS_MAX / unit->factor ||
	    *number * unit->factor < least || *number * unit->factor > most)
		return ("is out of range");
	*number *= unit->factor;
	return (NULL);
}

const char *
units_format(char out[UNITS_TEXT_MAX], enum quantity kind,
    uint64_t number)
{
	const struct unit * best = NULL;
	const struct unit * unit;

	if (kind == UNITS_MODE) {
		snprintf(out, UNITS_TEXT_MAX, "%s%" PRIo64,
		    number == 0 ? "" : "0", number);
		return (out);
	}
	for (unit = units[kind]; unit->name != NULL; unit++)
		if (number % unit->factor == 0 && number > 0 &&
		    (best == NULL || unit->factor >= best->factor))
			best = unit;
	/* 0 needs no unit. */
	if (best == NULL)
		best = &no_units[0];
	snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 "%s",
	    number / best->factor, best->name);
	return (out);
}

const char *
units_range(char out[UNITS_TEXT_MAX], enum quantity kind,
    uint64_t least, uint64_t most)
{
	char first[UNITS_TEXT_MAX], last[UNITS_TEXT_MAX];

	units_format(first, kind, least);
	units_format(last, kind, most);
	if (most == UNITS_MAX)
		strcpy(last, "more");
	if (snprintf(out, UNITS_TEXT_MAX, "%s %s %s", first,
	    most == UNITS_MAX ? "or" : "to", last) >= UNITS_TEXT_MAX)
		abort();
	return (out);
}
