#ifndef FLAGTALLY_CAPS_H
#define FLAGTALLY_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/redis/contract.h"
#include "lib/redis/session.h"
#include "lib/tally/tally.h"

/*
 * Of applications, of environments with impact metrics, and of tokens that
 * were seen, Redis has a list each, and each list has a cap.  What is new to
 * one is asked for before it counts.
 */
struct caps;

/**
 * caps_create(settings, session):
 * Return an admission that asks over ${session}.  Both must outlive it.
 */
struct caps * caps_create(const struct sink_settings * settings,
    struct session * session);

/**
 * caps_ask(caps, tally, deadline):
 * Find out what of ${tally} may be on the lists, and mark the rest as dropped
 * and count it in the tally's dropped.  Return false if Redis could not be
 * asked by ${deadline}.
 */
bool caps_ask(struct caps * caps, struct tally * tally,
    int64_t deadline);

/**
 * caps_free(caps):
 * Free an admission.
 */
void caps_free(struct caps * caps);

#endif
