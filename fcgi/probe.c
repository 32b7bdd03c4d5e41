#include "fcgi/probe.h"

/* A spool counts as full when so much of a hundred is used. */
#define FULL_PERCENT 95

void
probe_init(struct probe * probe, struct spool * spool, uint64_t limit,
    struct stats * stats)
{

	pthread_mutex_init(&probe->lock, NULL);
	probe->spool = spool;
	probe->limit = limit;
	probe->stats = stats;
}

static enum backstage_spool
look_at_spool(struct probe * probe, struct backstage_state * state)
{
	uint64_t used = 0;
	unsigned int kind;

	if (probe->spool == NULL)
		return (BACKSTAGE_SPOOL_NONE);
	for (kind = 0; kind < SPOOL_KIND_COUNT; kind++) {
		if (spool_depth(probe->spool, (enum spool_kind)kind,
		    &state->depth[kind]) != SPOOL_DONE)
			return (BACKSTAGE_SPOOL_FAILED);
		used += state->depth[kind].bytes;
	}
	return (used > probe->limit / 100 * FULL_PERCENT ?
	    BACKSTAGE_SPOOL_FULL : BACKSTAGE_SPOOL_OK);
}

void
probe_state(void * context, struct backstage_state * state)
{
	struct probe * probe = context;

	pthread_mutex_lock(&probe->lock);
	state->spool = look_at_spool(probe, state);
	pthread_mutex_unlock(&probe->lock);
	state->redis_down = stats_get_gauge(probe->stats,
	    STATS_REDIS_DOWN) != 0;
}

void
probe_free(struct probe * probe)
{

	spool_free(probe->spool);
	stats_free(probe->stats);
	pthread_mutex_destroy(&probe->lock);
}
