#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/redis/session.h"

/* What is unusual: this many times the usual time, and at least so many
 * milliseconds. */
#define PATIENCE 20
#define PATIENCE_MIN 100

/* Bytes of requests that take Redis about as long as an exchange as such. */
#define PIECE_BYTES 4096

/* The usual time is never more than this, in microseconds. */
#define USUAL_MAX 1000000

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

void
session_hasten(struct session * session, bool hasty)
{

	session->hasty = hasty;
	session->silent = false;
}

/*
 * Learn from a time.  A longer one counts for more, so that the estimate is
 * rather that of a bad moment than that of a good one.
 */
static void
learn(int64_t * usual, int64_t time)
{

	if (time > USUAL_MAX)
		time = USUAL_MAX;
	if (*usual == 0)
		*usual = time;
	else
		*usual += (time - *usual) / (time > *usual ? 4 : 16);
	/* 0 would be unknown. */
	if (*usual < 1)
		*usual = 1;
}

/* By when something is to be done that usually takes so many microseconds. */
static int64_t
patience(const struct session * session, int64_t usual, int64_t deadline)
{
	int64_t limit = usual * PATIENCE / 1000;

	if (!session->hasty || usual == 0)
		return (deadline);
	limit = clock_monotonic() + (limit > PATIENCE_MIN ? limit :
	    PATIENCE_MIN);
	return (limit < deadline ? limit : deadline);
}

/*
 * Redis was silent.  If it has become slow, and not gone, it is given more time
 * when it serves again.
 */
static void
note_silence(struct session * session, int64_t * usual)
{

	if (!redis_timed_out(session->redis))
		return;
	session->silent = true;
	*usual = *usual > USUAL_MAX / 2 ? USUAL_MAX : *usual * 2;
}

static bool
is_hopeless(const struct session * session)
{

	return (session->hasty && (session->silent ||
	    clock_remaining(redis_next_attempt(session->redis)) > 0));
}

bool
session_reach(struct session * session, int64_t deadline)
{
	int64_t began;

	if (redis_is_connected(session->redis))
		return (true);
	while (!is_hopeless(session)) {
		began = clock_microseconds();
		if (redis_connect(session->redis, patience(session,
		    session->usual_connect, deadline)) == 0) {
			learn(&session->usual_connect,
			    clock_microseconds() - began);
			/* Its log-in was answered. */
			if (session->usual_answer == 0)
				session->usual_answer = session->usual_connect;
			return (true);
		}
		count_failure(session);
		note_silence(session, &session->usual_connect);
		if (redis_next_attempt(session->redis) >= deadline ||
		    clock_remaining(deadline) == 0)
			break;
	}
	return (false);
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

	int64_t pieces = 1 + (int64_t)(session->requests.length / PIECE_BYTES);
	int64_t began = clock_microseconds();

	if (redis_exchange(session->redis, &session->requests, count,
	    patience(session, session->usual_answer * pieces, deadline), take,
	    context) != 0) {
		log_warning_limited("lost Redis: %s",
		    redis_error(session->redis));
		session->broken = true;
		count_failure(session);
		note_silence(session, &session->usual_answer);
		return (false);
	}
	learn(&session->usual_answer, (clock_microseconds() - began) / pieces);
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
