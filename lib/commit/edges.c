#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/escape.h"
#include "lib/base/log.h"
#include "lib/commit/edges.h"
#include "lib/redis/edges.lua.h"
#include "lib/redis/session.h"
#include "lib/tally/tally_drop.h"

/* Milliseconds between two attempts to lock the connection. */
#define LOCK_INTERVAL 2

struct edges {
	pthread_mutex_t lock;		/* Guards all of it. */
	const char * prefix;
	struct session session;
	size_t script;
	struct buffer text;
	bool kept;			/* Redis has stored the data. */
};

struct edges *
edges_create(const char * prefix, struct cluster * cluster,
    struct stats * stats)
{
	struct edges * edges = alloc_zeroed(1, sizeof(*edges));

	pthread_mutex_init(&edges->lock, NULL);
	edges->prefix = prefix;
	session_init(&edges->session, cluster, stats);
	edges->script = cluster_script(cluster, edges_lua);
	return (edges);
}

/* An Edge made room for another one. */
static void
note_dropped(struct edges * edges, struct text identifier,
    struct text environment)
{
	char name[600];

	snprintf(name, sizeof(name), "%.*s of %.*s",
	    (int)(identifier.length < 300 ? identifier.length : 300),
	    identifier.bytes, (int)(environment.length < 200 ?
	    environment.length : 200), environment.bytes);
	tally_drop_log(DROP_EDGES, name, strlen(name), 1);
	stats_add(edges->session.stats, STATS_DROPPED + DROP_EDGES, 1);
}

static void
take_kept(void * context, size_t number, const struct redis_reply * reply)
{
	struct edges * edges = context;
	char words[ERROR_REPLY_MAX];

	(void)number;
	if (reply->type == REDIS_INTEGER)
		edges->kept = true;
	else if (reply->type == REDIS_TEXTS && reply->count == 2) {
		edges->kept = true;
		note_dropped(edges, reply_text(reply, 0),
		    reply_text(reply, 1));
	}
	else if (reply->type != REDIS_ERROR)
		session_doubt(&edges->session);
	else if (error_reply_is_permanent(&reply->error))
		log_error_limited("Redis rejected an Edge's data: %s",
		    error_reply_print(&reply->error, words));
	else
		session_note(&edges->session, reply);
}

/* Append a name, percent-encoded. */
static void
append_encoded_name(struct buffer * requests, struct buffer * scratch,
    struct text name)
{

	buffer_clear(scratch);
	scratch->length = escape_percent(buffer_room(scratch,
	    ESCAPE_PERCENT_ROOM(name.length)), name.bytes, name.length);
	buffer_string(requests, scratch->bytes, scratch->length);
}

/* Request the call of edges.lua. */
static void
request_put(struct edges * edges, const char * environment,
    const struct text * identifier, const struct text * members)
{
	struct buffer * text = &edges->text;
	struct buffer * requests;

	buffer_clear(text);
	buffer_append(text, edges->prefix, strlen(edges->prefix));
	buffer_append(text, ":edges", strlen(":edges"));
	session_begin(&edges->session);
	requests = session_request(&edges->session, text->bytes, text->length);
	buffer_array(requests, 9);
	buffer_text(requests, "EVALSHA");
	buffer_text(requests, cluster_script_digest(edges->session.cluster,
	    edges->script));
	buffer_integer(requests, 1);
	buffer_string(requests, text->bytes, text->length);
	append_encoded_name(requests, text, *identifier);
	buffer_string(requests, members->bytes, members->length);
	/* No environment has this name. */
	if (strcmp(environment, "*") == 0)
		buffer_text(requests, environment);
	else
		append_encoded_name(requests, text, text_of(environment));
	buffer_integer(requests, EDGES_MAX);
	buffer_integer(requests, EDGES_LIFETIME);
}

bool
edges_put(struct edges * edges, const char * environment,
    const struct text * identifier, const struct text * members,
    int64_t deadline)
{
	bool kept;
	int tries;

	/* Rarely contended: each Edge reports once a minute. */
	while (pthread_mutex_trylock(&edges->lock) != 0) {
		if (clock_remaining(deadline) == 0)
			return (false);
		poll(NULL, 0, LOCK_INTERVAL);
	}
	edges->kept = false;
	/* Not worth a long wait: new data arrives in a minute. */
	session_hasten(&edges->session, true);
	/* Again if the connection was closed, or the script forgotten. */
	for (tries = 0; tries < 2 && !edges->kept &&
	    session_reach(&edges->session, deadline); tries++) {
		request_put(edges, environment, identifier, members);
		session_exchange(&edges->session, deadline, take_kept,
		    edges);
	}
	kept = edges->kept;
	pthread_mutex_unlock(&edges->lock);
	return (kept);
}

void
edges_free(struct edges * edges)
{

	if (edges == NULL)
		return;
	session_free(&edges->session);
	buffer_free(&edges->text);
	pthread_mutex_destroy(&edges->lock);
	free(edges);
}
