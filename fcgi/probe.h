#ifndef FLAGTALLY_PROBE_H
#define FLAGTALLY_PROBE_H

#include <pthread.h>
#include <stdint.h>

#include "fcgi/auth.h"
#include "fcgi/backstage.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/* Looks up the state of Redis, the spool and the tokens for backstage. */
struct probe {
	pthread_mutex_t lock;		/* Guards the spool. */
	struct spool * spool;
	struct stats * stats;
	const struct auth * auth;	/* NULL: no tokens are checked. */
	bool looks;			/* Nothing is tried on the spool. */
};

/**
 * probe_init(probe, spool, stats, auth):
 * Initialize ${probe}, which owns ${spool} and ${stats} from now on; each of
 * them and of ${auth} can be NULL.
 */
void probe_init(struct probe * probe, struct spool * spool,
    struct stats * stats, const struct auth * auth);

/**
 * probe_state(context, tries, state):
 * Fill in the ${state} for the probe ${context}: a backstage_look.
 */
void probe_state(void * context, bool tries, struct backstage_state * state);

/**
 * probe_free(probe):
 * Free what the probe holds.
 */
void probe_free(struct probe * probe);

#endif
