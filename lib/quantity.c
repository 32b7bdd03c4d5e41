#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/quantity.h"

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
	[QUANTITY_COUNT] = no_units,
	[QUANTITY_SIZE] = size_units,
	[QUANTITY_DURATION] = duration_units,
	[QUANTITY_MODE] = no_units,
};

const char *
quantity_parse(const char * text, enum quantity kind, uint64_t least,
    uint64_t most, uint64_t * number)
{
	const struct unit * unit = units[kind];
	char * end;

	if (!isdigit((unsigned char)text[0]))
		return ("is not a number");
	errno = 0;
	*number = strtoull(text, &end, kind == QUANTITY_MODE ? 8 : 10);
	while (unit->name != NULL && strcasecmp(unit->name, end) != 0)
		unit++;
	if (unit->name == NULL)
		return ("is not a number with a unit it may have");
	if (errno != 0 || *number > QUANTITY_MAX / unit->factor ||
	    *number * unit->factor < least || *number * unit->factor > most)
		return ("is out of range");
	*number *= unit->factor;
	return (NULL);
}
