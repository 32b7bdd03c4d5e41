#ifndef FLAGTALLY_TALLY_DROP_H
#define FLAGTALLY_TALLY_DROP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/tally/tally.h"

/**
 * tally_drop_log(drop, name, length, count):
 * Log why ${count} counters, or other parts of a body, were dropped; ${name} is
 * the first one.  There is at most one line a minute for each reason, with the
 * number of drops since the previous line.  Reasons without a line are ignored.
 */
void tally_drop_log(enum tally_drop drop, const char * name, size_t length,
    uint64_t count);

#endif
