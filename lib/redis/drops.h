#ifndef FLAGTALLY_DROPS_H
#define FLAGTALLY_DROPS_H

#include <stdint.h>

#include "lib/redis/pipeline.h"
#include "lib/redis/reply.h"

/**
 * drops_take(dropped, script, bytes, reply):
 * Add what the reply to a call of ${script}, SCRIPT_APPLY or SCRIPT_IMPACT,
 * whose RESP is ${bytes}, says was dropped to ${dropped}, by enum tally_drop,
 * unless that is NULL, and log it.
 */
void drops_take(uint64_t * dropped, enum call_script script,
    const char * bytes, const struct redis_reply * reply);

#endif
