#ifndef FLAGTALLY_PROBE_H
#define FLAGTALLY_PROBE_H

#include <pthread.h>
#include <stdint.h>

#include "fcgi/backstage.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/* What backstage sees of Redis and the spool, looked up when it is asked. */
struct probe {
	pthread_mutex_t lock;		/* Guards the spool. */
	struct spool * spool;
	struct stats * stats;
};

/**
 * probe_init(probe, spool, stats):
 * Make ready to look at ${spool} and ${stats}; it takes over both.
 */
void probe_init(struct probe * probe, struct spool * spool,
    struct stats * stats);

/**
 * probe_state(context, state):
 * Fill in the state that the look ${context} finds; see fcgi/backstage.h.
 */
void probe_state(void * context, struct backstage_state * state);

/**
 * probe_free(probe):
 * Free what it holds.
 */
void probe_free(struct probe * probe);

#endif
