#ifndef FLAGTALLY_CAPS_H
#define FLAGTALLY_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/redis/contract.h"
#include "lib/redis/session.h"
#include "lib/tally/tally.h"

/*
 * Redis has a list of applications, one of environments with impact metrics,
 * and one of tokens that were seen, each with a cap.  Redis is asked about a
 * new member of a list before that counts.
 */
struct caps;

/**
 * caps_create(settings, session):
 * Return caps that ask Redis over ${session}.  ${settings} and ${session} must
 * outlive them.
 */
struct caps * caps_create(const struct sink_settings * settings,
    struct session * session);

/**
 * caps_ask(caps, tally, deadline):
 * Find out which nodes of ${tally} are within the caps, mark the rest as
 * dropped, and count it in the tally's dropped.  Return false if Redis did not
 * answer by ${deadline}.
 */
bool caps_ask(struct caps * caps, struct tally * tally,
    int64_t deadline);

/**
 * caps_free(caps):
 * Free the caps.
 */
void caps_free(struct caps * caps);

#endif
