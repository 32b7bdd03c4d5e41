#include <stdio.h>

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

/* Return why the spool cannot be used. */
static const char *
why_failed(const struct probe * probe, enum spool_result result)
{

	if (probe->spool == NULL)
		return ("this user cannot read it");
	if (spool_why(probe->spool)[0] != '\0')
		return (spool_why(probe->spool));
	return (result == SPOOL_FULL ? "it is full: spool_limit is reached, or "
	    "the disk" : "it stored nothing when it was last used");
}

/*
 * While Redis is down, or the spool was when it was last used, test whether the
 * spool would take a group: that decides about the next request, too.
 */
static enum backstage_spool
test_spool(struct probe * probe, bool tries, struct backstage_state * state)
{
	enum spool_result last = (enum spool_result)stats_get_gauge(
	    probe->stats, STATS_SPOOL_RESULT);
	enum spool_result result = probe->spool == NULL ? SPOOL_FAILED :
	    spool_depth(probe->spool, state->depth);

	state->has_depth = result == SPOOL_DONE;
	if (result == SPOOL_DONE && tries && !probe->looks &&
	    (last != SPOOL_DONE || state->redis_down)) {
		result = spool_test(probe->spool);
		stats_spool(probe->stats, result);
	} else if (result == SPOOL_DONE)
		result = spool_is_full(probe->spool, state->depth) ?
		    SPOOL_FULL : last;
	if (result != SPOOL_DONE)
		snprintf(state->spool_why, sizeof(state->spool_why), "%s",
		    why_failed(probe, result));
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
