#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/redis/session.h"

void
session_init(struct session * link, struct redis * redis, struct stats * stats)
{

	memset(link, 0, sizeof(*link));
	link->redis = redis;
	link->stats = stats;
}

static void
count_failure(struct session * link)
{

	stats_add(link->stats, redis_timed_out(link->redis) ?
	    STATS_REDIS_TIMEOUT : STATS_REDIS_CONNECTION, 1);
	stats_redis(link->stats, false);
}

bool
session_reach(struct session * link, int64_t deadline)
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
session_begin(struct session * link)
{

	link->forgotten = false;
	link->trouble[0] = '\0';
	buffer_clear(&link->requests);
}

bool
session_exchange(struct session * link, size_t count, int64_t deadline,
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
session_note(struct session * link, const struct redis_reply * reply)
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
session_doubt(struct session * link)
{

	snprintf(link->trouble, sizeof(link->trouble),
	    "a reply that makes no sense");
}

bool
session_refuses(const struct redis_reply * reply)
{

	return (begins_with(reply, "REFUSED") ||
	    begins_with(reply, "WRONGTYPE"));
}

void
session_free(struct session * link)
{

	redis_free(link->redis);
	buffer_free(&link->requests);
}
