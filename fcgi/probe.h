#ifndef FLAGTALLY_PROBE_H
#define FLAGTALLY_PROBE_H

#include <pthread.h>
#include <stdint.h>

#include "fcgi/backstage.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/* Looks up the state of Redis and the spool for backstage. */
struct probe {
	pthread_mutex_t lock;		/* Guards the spool. */
	struct spool * spool;
	struct stats * stats;
	bool looks;			/* Nothing is tried on the spool. */
};

/**
 * probe_init(probe, spool, stats):
 * Initialize ${probe}, which owns ${spool} and ${stats} from now on; each can
 * be NULL.
 */
void probe_init(struct probe * probe, struct spool * spool,
    struct stats * stats);

/**
 * probe_state(context, state):
 * Fill in the ${state} for the probe ${context}: a backstage_look.
 */
void probe_state(void * context, struct backstage_state * state);

/**
 * probe_free(probe):
 * Free what the probe holds.
 */
void probe_free(struct probe * probe);

#endif
