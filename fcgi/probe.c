#include "fcgi/probe.h"

/* A spool counts as full when so much of a hundred is used. */
#define FULL_PERCENT 95

void
probe_init(struct probe * look, struct spool * spool, uint64_t limit,
    struct stats * stats)
{

	pthread_mutex_init(&look->lock, NULL);
	look->spool = spool;
	look->limit = limit;
	look->stats = stats;
}

static enum backstage_spool
look_at_spool(struct probe * look, struct backstage_state * state)
{
	uint64_t used = 0;
	unsigned int kind;

	if (look->spool == NULL)
		return (BACKSTAGE_SPOOL_NONE);
	for (kind = 0; kind < SPOOL_KIND_COUNT; kind++) {
		if (spool_depth(look->spool, (enum spool_kind)kind,
		    &state->depth[kind]) != SPOOL_DONE)
			return (BACKSTAGE_SPOOL_FAILED);
		used += state->depth[kind].bytes;
	}
	return (used > look->limit / 100 * FULL_PERCENT ?
	    BACKSTAGE_SPOOL_FULL : BACKSTAGE_SPOOL_OK);
}

void
probe_state(void * context, struct backstage_state * state)
{
	struct probe * look = context;

	pthread_mutex_lock(&look->lock);
	state->spool = look_at_spool(look, state);
	pthread_mutex_unlock(&look->lock);
	state->redis_down = stats_get_gauge(look->stats,
	    STATS_REDIS_DOWN) != 0;
}

void
probe_free(struct probe * look)
{

	spool_free(look->spool);
	stats_free(look->stats);
	pthread_mutex_destroy(&look->lock);
}
