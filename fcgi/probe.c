#include "fcgi/probe.h"

void
probe_init(struct probe * probe, struct spool * spool, struct stats * stats,
    const struct auth * auth)
{

	pthread_mutex_init(&probe->lock, NULL);
	probe->spool = spool;
	probe->stats = stats;
	probe->auth = auth;
}

/*
 * While Redis is down, or the spool was when it was last used, test whether the
 * spool would take a group: that decides about the next request, too.
 */
static enum backstage_spool
test_spool(struct probe * probe, bool tries, struct backstage_state * state)
{
	enum spool_result result = probe->spool == NULL ? SPOOL_FAILED :
	    spool_depth(probe->spool, state->depth);
	bool failed = stats_get_gauge(probe->stats, STATS_SPOOL_DOWN) != 0;
	uint64_t used = 0;
	unsigned int i;

	state->has_depth = result == SPOOL_DONE;
	for (i = 0; i < SPOOL_STATE_COUNT; i++)
		used += state->depth[i].bytes;
	if (result == SPOOL_DONE && tries && !probe->looks &&
	    (failed || state->redis_down)) {
		result = spool_test(probe->spool);
		stats_spool(probe->stats, result == SPOOL_DONE);
	} else if (result == SPOOL_DONE && used > spool_room(probe->spool))
		result = SPOOL_FULL;
	else if (result == SPOOL_DONE && failed)
		result = SPOOL_FAILED;
	return (result == SPOOL_DONE ? BACKSTAGE_SPOOL_OK : result ==
	    SPOOL_FULL ? BACKSTAGE_SPOOL_FULL : BACKSTAGE_SPOOL_FAILED);
}

void
probe_state(void * context, bool tries, struct backstage_state * state)
{
	struct probe * probe = context;

	state->has_tokens = tries && probe->auth != NULL;
	if (state->has_tokens)
		state->tokens = auth_state(probe->auth);
	state->redis_down = !stats_redis_is_up(probe->stats);
	pthread_mutex_lock(&probe->lock);
	state->spool = test_spool(probe, tries, state);
	pthread_mutex_unlock(&probe->lock);
}

void
probe_free(struct probe * probe)
{

	spool_free(probe->spool);
	stats_free(probe->stats);
	pthread_mutex_destroy(&probe->lock);
}
