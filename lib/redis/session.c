#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/redis/session.h"

void
session_init(struct session * session, struct redis * redis,
    struct stats * stats)
{

	memset(session, 0, sizeof(*session));
	session->redis = redis;
	session->stats = stats;
}

static void
count_failure(struct session * session)
{

	stats_add(session->stats, redis_timed_out(session->redis) ?
	    STATS_REDIS_TIMEOUT : STATS_REDIS_CONNECTION, 1);
	stats_redis(session->stats, false);
}

bool
session_reach(struct session * session, int64_t deadline)
{

	while (redis_connect(session->redis, deadline) != 0) {
		count_failure(session);
		if (redis_next_attempt(session->redis) >= deadline ||
		    clock_remaining(deadline) == 0)
			return (false);
	}
	return (true);
}

void
session_begin(struct session * session)
{

	session->forgotten = false;
	session->trouble[0] = '\0';
	buffer_clear(&session->requests);
}

bool
session_exchange(struct session * session, size_t count, int64_t deadline,
    redis_take * take, void * context)
{

	if (redis_exchange(session->redis, &session->requests, count, deadline,
	    take, context) != 0) {
		log_warning("lost Redis: %s", redis_error(session->redis));
		session->broken = true;
		count_failure(session);
		return (false);
	}
	if (session->forgotten) {
		stats_add(session->stats, STATS_REDIS_SCRIPT, 1);
		redis_load(session->redis, deadline);
		return (false);
	}
	if (session->trouble[0] != '\0') {
		/* Perhaps another server answers to the name by now. */
		redis_back_off(session->redis, session->trouble);
		stats_add(session->stats, STATS_REDIS_TRANSIENT, 1);
		stats_redis(session->stats, false);
		return (false);
	}
	redis_serves(session->redis);
	stats_redis(session->stats, true);
	return (true);
}

static bool
begins_with(const struct redis_reply * reply, const char * word)
{

	return (reply->length >= strlen(word) &&
	    memcmp(reply->text, word, strlen(word)) == 0);
}

void
session_note(struct session * session, const struct redis_reply * reply)
{
	size_t length = reply->length < sizeof(session->trouble) ?
	    reply->length : sizeof(session->trouble) - 1;

	if (begins_with(reply, "NOSCRIPT")) {
		session->forgotten = true;
		return;
	}
	memcpy(session->trouble, reply->text, length);
	session->trouble[length] = '\0';
}

void
session_doubt(struct session * session)
{

	snprintf(session->trouble, sizeof(session->trouble),
	    "a reply that makes no sense");
}

bool
session_refuses(const struct redis_reply * reply)
{

	return (begins_with(reply, "REFUSED") ||
	    begins_with(reply, "WRONGTYPE"));
}

void
session_free(struct session * session)
{

	redis_free(session->redis);
	buffer_free(&session->requests);
}
