#ifndef FLAGTALLY_FOOTPRINT_H
#define FLAGTALLY_FOOTPRINT_H

#include <stddef.h>

#include "lib/redis/contract.h"
#include "lib/tally/tally.h"

/**
 * footprint_of(tally, settings):
 * Return how many bytes ${tally} takes at most on its way to Redis: its nodes
 * once more, as they are merged, and the calls that apply it.  A call repeats
 * the names of its application in each of its keys, so that may be many times
 * what the tally itself takes.
 */
size_t footprint_of(const struct tally * tally,
    const struct sink_settings * settings);

#endif
