#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/redis/session.h"
#include "lib/base/log.h"

void
link_init(struct link * link, struct redis * redis, struct stats * stats)
{

	memset(link, 0, sizeof(*link));
	link->redis = redis;
	link->stats = stats;
}

static void
count_failure(struct link * link)
{

	stats_add(link->stats, redis_timed_out(link->redis) ?
	    STATS_REDIS_TIMEOUT : STATS_REDIS_CONNECTION, 1);
	stats_redis(link->stats, false);
}

bool
link_reach(struct link * link, int64_t deadline)
{

	while (redis_connect(link->redis, deadline) != 0) {
		count_failure(link);
		if (redis_next_attempt(link->redis) >= deadline ||
		    clock_remaining(deadline) == 0)
			return (false);
	}
	return (true);
}

void
link_begin(struct link * link)
{

	link->forgotten = false;
	link->trouble[0] = '\0';
	buffer_clear(&link->requests);
}

bool
link_exchange(struct link * link, size_t count, int64_t deadline,
    redis_take * take, void * context)
{

	if (redis_exchange(link->redis, &link->requests, count, deadline,
	    take, context) != 0) {
		log_warning("lost Redis: %s", redis_error(link->redis));
		link->broken = true;
		count_failure(link);
		return (false);
	}
	if (link->forgotten) {
		stats_add(link->stats, STATS_REDIS_SCRIPT, 1);
		redis_load(link->redis, deadline);
		return (false);
	}
	if (link->trouble[0] != '\0') {
		/* Perhaps another server answers to the name by now. */
		redis_back_off(link->redis, link->trouble);
		stats_add(link->stats, STATS_REDIS_PASSING, 1);
		stats_redis(link->stats, false);
		return (false);
	}
	redis_serves(link->redis);
	stats_redis(link->stats, true);
	return (true);
}

static bool
begins_with(const struct redis_reply * reply, const char * word)
{

	return (reply->length >= strlen(word) &&
	    memcmp(reply->text, word, strlen(word)) == 0);
}

void
link_note(struct link * link, const struct redis_reply * reply)
{
	size_t length = reply->length < sizeof(link->trouble) ?
	    reply->length : sizeof(link->trouble) - 1;

	if (begins_with(reply, "NOSCRIPT")) {
		link->forgotten = true;
		return;
	}
	memcpy(link->trouble, reply->text, length);
	link->trouble[length] = '\0';
}

void
link_doubt(struct link * link)
{

	snprintf(link->trouble, sizeof(link->trouble),
	    "a reply that makes no sense");
}

bool
link_refuses(const struct redis_reply * reply)
{

	return (begins_with(reply, "REFUSED") ||
	    begins_with(reply, "WRONGTYPE"));
}

void
link_free(struct link * link)
{

	redis_free(link->redis);
	buffer_free(&link->requests);
}
