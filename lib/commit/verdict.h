#ifndef FLAGTALLY_VERDICT_H
#define FLAGTALLY_VERDICT_H

#include <stdbool.h>

#include "lib/tally/tally.h"

/**
 * verdict_stands(tally):
 * A tally has been committed, alone or merged into a group: return whether it
 * counts as durable, or its sender may try again.
 */
bool verdict_stands(const struct tally * tally);

#endif
