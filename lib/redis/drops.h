#ifndef FLAGTALLY_DROPS_H
#define FLAGTALLY_DROPS_H

#include <stdint.h>

#include "lib/redis/redis.h"

/**
 * drops_take(dropped, bytes, reply):
 * Add what the reply to a call of impact.lua, whose RESP is ${bytes}, says was
 * dropped to ${dropped}, by enum tally_drop, unless that is NULL, and log it.
 */
void drops_take(uint64_t * dropped, const char * bytes,
    const struct redis_reply * reply);

#endif
