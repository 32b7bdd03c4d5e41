#ifndef FLAGTALLY_MEMBERS_H
#define FLAGTALLY_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/text.h"

/* A member of a JSON object that a caller wants. */
struct members_wanted {
	const char * name;
	struct text value;		/* NULL bytes: there is none. */
};

/**
 * members_read(arena, json, members, count):
 * Set the values of ${count} members of the JSON object ${json}: of a string
 * its text, of a number its digits, copied into ${arena}; other values and
 * members of nested objects are skipped.  Return false if the JSON is invalid
 * or no object.
 */
bool members_read(struct arena * arena, struct text json,
    struct members_wanted * members, size_t count);

#endif
