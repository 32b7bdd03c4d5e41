#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/redis/session.h"

/* Give up, if hasty, after this many times the usual time, and at least this
 * many milliseconds. */
#define PATIENCE 20
#define PATIENCE_MIN 100

/* Bytes of requests that take Redis about as long as an empty exchange. */
#define PIECE_BYTES 4096

/* The usual time is never more than this, in microseconds. */
#define USUAL_MAX 1000000

void
session_init(struct session * session, struct cluster * cluster,
    struct stats * stats)
{

	memset(session, 0, sizeof(*session));
	session->cluster = cluster;
	session->stats = stats;
}

static void
note_service(const struct session * session, bool serves)
{

	if (session->decides)
		stats_redis(session->stats, serves);
}

static void
count_failure(struct session * session)
{

	stats_add(session->stats, cluster_timed_out(session->cluster) ?
	    STATS_REDIS_TIMEOUT : STATS_REDIS_CONNECTION, 1);
	note_service(session, false);
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

/* Return the deadline for a step that usually takes ${usual} microseconds. */
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
 * Redis was silent.  In case it has become slow, and is not gone, allow it more
 * time when it serves again.
 */
static void
note_silence(struct session * session, int64_t * usual)
{

	if (!cluster_timed_out(session->cluster))
		return;
	session->silent = true;
	*usual = *usual > USUAL_MAX / 2 ? USUAL_MAX : *usual * 2;
}

static bool
is_hopeless(const struct session * session)
{

	return (session->hasty && (session->silent ||
	    clock_remaining(cluster_next_attempt(session->cluster)) > 0));
}

bool
session_reach(struct session * session, int64_t deadline)
{
	int64_t began;

	if (cluster_is_connected(session->cluster))
		return (true);
	while (!is_hopeless(session)) {
		began = clock_microseconds();
		if (cluster_connect(session->cluster, patience(session,
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
		if (cluster_next_attempt(session->cluster) >= deadline ||
		    clock_remaining(deadline) == 0)
			break;
	}
	return (false);
}

void
session_begin(struct session * session)
{

	session->forgotten = session->put_off = false;
	session->confirm = session->unconfirmed = false;
	session->trouble[0] = '\0';
	cluster_begin(session->cluster);
}

struct buffer *
session_request(struct session * session, const char * key, size_t length)
{

	return (cluster_request(session->cluster, key, length));
}

/* The connection broke.  If it does so again and again, back off. */
static void
note_loss(struct session * session)
{

	count_failure(session);
	snprintf(session->trouble, sizeof(session->trouble), "%s",
	    cluster_error(session->cluster));
	if (session->lost && cluster_is_one(session->cluster))
		cluster_back_off(session->cluster, session->trouble);
	else
		log_warning_limited("lost Redis: %s", session->trouble);
	session->broken = session->lost = true;
}

bool
session_exchange(struct session * session, int64_t deadline,
    redis_take * take, void * context)
{
	int64_t pieces = 1 +
	    (int64_t)(cluster_size(session->cluster) / PIECE_BYTES);
	int64_t began = clock_microseconds();
	int64_t limit = patience(session, session->usual_answer * pieces,
	    deadline);
	int result = cluster_exchange(session->cluster, session->confirm,
	    limit, take, context);

	if (result == -1) {
		note_silence(session, &session->usual_answer);
		note_loss(session);
		return (false);
	}
	if (result == 1)
		count_failure(session);
	else if (!session->unconfirmed)
		learn(&session->usual_answer,
		    (clock_microseconds() - began) / pieces);
	session->lost = false;
	if (session->forgotten) {
		stats_add(session->stats, STATS_REDIS_SCRIPT, 1);
		cluster_load(session->cluster, deadline);
		return (false);
	}
	if (session->trouble[0] != '\0') {
		/* Perhaps another server answers to the name by now. */
		cluster_back_off(session->cluster, session->trouble);
		stats_add(session->stats, STATS_REDIS_TRANSIENT, 1);
		note_service(session, false);
		return (false);
	}
	cluster_serves(session->cluster);
	/* A master that was not asked may still be away. */
	if (result == 0 && cluster_next_attempt(session->cluster) == 0)
		note_service(session, true);
	return (true);
}

/* Errors that the server gives whatever it is asked to change.  Of a cluster a
 * part may be down. */
static bool
is_of_server(const struct session * session, enum error_code code)
{

	switch (code) {
	case ERROR_LOADING:
	case ERROR_READONLY:
	case ERROR_OOM:
	case ERROR_MISCONF:
	case ERROR_NOREPLICAS:
	case ERROR_MASTERDOWN:
	case ERROR_BUSY:
	case ERROR_NOAUTH:
	case ERROR_CLIENTS:
		return (true);
	case ERROR_CLUSTERDOWN:
		return (cluster_is_one(session->cluster));
	default:
		return (false);
	}
}

/* Say once that the URL leads to the wrong server. */
static void
explain(const struct error_reply * error)
{
	static atomic_flag logged[ERROR_COUNT];
	const char * meaning = error_reply_meaning(error);

	if (meaning != NULL && !atomic_flag_test_and_set(&logged[error->code]))
		log_error("%s", meaning);
}

/* Log a line now and then for each kind of error. */
static void
log_put_off(enum error_code code, const char * why)
{
	static struct log_limit limits[ERROR_COUNT];
	uint64_t before;

	if (log_allowed(&limits[code], &before))
		log_warning("a call is put off, and %llu others since the last "
		    "such line: %s", (unsigned long long)before, why);
}

void
session_note(struct session * session, const struct redis_reply * reply)
{
	const struct error_reply * error = &reply->error;

	if (reply->type == REDIS_UNCONFIRMED) {
		cluster_blame(session->cluster);
		session->unconfirmed = true;
		snprintf(session->trouble, sizeof(session->trouble), "%.*s",
		    (int)reply->length, reply->text);
		return;
	}
	if (error->code == ERROR_NOSCRIPT) {
		session->forgotten = true;
		return;
	}
	if (cluster_is_one(session->cluster))
		explain(error);
	if (is_of_server(session, error->code)) {
		cluster_blame(session->cluster);
		error_reply_print(error, session->trouble);
		return;
	}
	session->put_off = true;
	error_reply_print(error, session->why);
	log_put_off(error->code, session->why);
}

void
session_doubt(struct session * session)
{

	cluster_blame(session->cluster);
	snprintf(session->trouble, sizeof(session->trouble),
	    "a reply that makes no sense");
}

void
session_free(struct session * session)
{

	cluster_free(session->cluster);
}
