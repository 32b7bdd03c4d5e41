#include <stdlib.h>
#include <string.h>

#include "lib/admit.lua.h"
#include "lib/alloc.h"
#include "lib/apply.lua.h"
#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/group.h"
#include "lib/impact.lua.h"
#include "lib/log.h"
#include "lib/sink.h"

/*
 * Exactly once.  A writer is one sink; its id is random, so no two are alike.
 * Each script call carries the id and a sequence number that grows from call
 * to call.  The script keeps the number of the latest call under each hash
 * tag, in the same atomic step in which it applies the call, and does nothing
 * if the number it is given is not greater.  So a call of whose fate nobody
 * knows, because the connection broke, can be sent again: if it was applied,
 * nothing happens.  And one that was given up cannot come late and count
 * again, for it would find a greater number.
 *
 * A call that is refused with an error has changed nothing: the scripts see to
 * it.  Errors are of two kinds.  Those that begin with REFUSED will come again
 * whatever we do; all others (LOADING, READONLY, OOM, ...) may pass.
 *
 * Calls under one tag must reach Redis in the order of their numbers, or the
 * later one makes the earlier one look done.  So a call that got an error
 * which may pass, and so is known not to have been applied, gets a new number
 * and goes to the end; those of unknown fate keep their numbers and their
 * places.
 */

#define ID_BYTES 16


/* Names in one call of admit.lua. */
#define ADMIT_MAX 500

/* How many applications to remember at most when there is no cap. */
#define KNOWN_MAX ((size_t)100000)

struct sink {
	const struct sink_settings * settings;
	struct redis * redis;
	size_t script[SCRIPT_COUNT];
	size_t admit_script;
	char id[2 * ID_BYTES + 1];
	int64_t sequence;

	/* Applications that are on the list in Redis (P:apps). */
	struct arena * known_arena;
	struct tally * known;

	struct calls calls;
	struct buffer requests;
	struct buffer text;
	size_t * pending;		/* Calls to be sent, in order. */
	size_t pending_count, pending_size;

	/* Of the exchange at hand. */
	bool forgotten;			/* A script is not known any more. */
	char trouble[160];		/* An error that may pass, or "". */
	struct tally * tally;
	struct tally_node ** asked;	/* Applications to be admitted. */
};

static void
forget_known(struct sink * sink)
{

	arena_reset(sink->known_arena);
	sink->known = tally_create(sink->known_arena);
}

struct sink *
sink_create(const struct sink_settings * settings, struct redis * redis)
{
	struct sink * sink = alloc_zeroed(1, sizeof(*sink));
	unsigned char id[ID_BYTES];

	digest_random(id, sizeof(id));
	digest_hex(sink->id, id, sizeof(id));
	sink->settings = settings;
	sink->redis = redis;
	sink->script[SCRIPT_APPLY] = redis_script(redis, apply_lua);
	sink->script[SCRIPT_IMPACT] = redis_script(redis, impact_lua);
	sink->admit_script = redis_script(redis, admit_lua);
	sink->known_arena = arena_create(64 * 1024);
	forget_known(sink);
	return (sink);
}

static bool
begins_with(const struct redis_reply * reply, const char * word)
{

	return (reply->length >= strlen(word) &&
	    memcmp(reply->text, word, strlen(word)) == 0);
}

static void
note_trouble(struct sink * sink, const struct redis_reply * reply)
{
	size_t length = reply->length < sizeof(sink->trouble) ?
	    reply->length : sizeof(sink->trouble) - 1;

	if (begins_with(reply, "NOSCRIPT")) {
		sink->forgotten = true;
		return;
	}
	memcpy(sink->trouble, reply->text, length);
	sink->trouble[length] = '\0';
}

static void
begin_exchange(struct sink * sink)
{

	sink->forgotten = false;
	sink->trouble[0] = '\0';
	buffer_clear(&sink->requests);
}

/*
 * Send what is in sink->requests.  Return true if all was answered and nothing
 * is in the way of going on; false if it has to be tried again.
 */
static bool
exchange(struct sink * sink, size_t count, int64_t deadline,
    redis_take * take)
{

	if (redis_exchange(sink->redis, &sink->requests, count, deadline,
	    take, sink) != 0) {
		log_warning("lost Redis: %s", redis_error(sink->redis));
		return (false);
	}
	if (sink->forgotten) {
		redis_load(sink->redis, deadline);
		return (false);
	}
	if (sink->trouble[0] != '\0') {
		/* Perhaps another server answers to the name by now. */
		redis_back_off(sink->redis, sink->trouble);
		return (false);
	}
	redis_serves(sink->redis);
	return (true);
}

/* Connect; what stands in the way passes, or the deadline does. */
static bool
connected(struct sink * sink, int64_t deadline)
{

	while (redis_connect(sink->redis, deadline) != 0)
		if (redis_next_attempt(sink->redis) >= deadline ||
		    clock_remaining(deadline) == 0)
			return (false);
	return (true);
}

/* Admission */

static struct tally_node *
known_node(struct sink * sink, const struct tally_node * application)
{

	group_member(&sink->text, application);
	return (tally_child(sink->known, sink->known->root,
	    TALLY_APPLICATION, sink->text.bytes, sink->text.length));
}

static void
drop_application(struct tally * tally, struct tally_node * application)
{
	const struct tally_node * node;

	application->fate = FATE_DROPPED;
	for (node = application->first; node != NULL; node = node->next)
		tally->dropped[DROP_APPLICATIONS]++;
}

static void
take_admission(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct sink * sink = context;
	size_t i;

	(void)number;
	if (reply->type == REDIS_ERROR) {
		note_trouble(sink, reply);
		return;
	}
	for (i = 0; i < reply->count; i++) {
		if (reply->integers[i] == 1)
			known_node(sink, sink->asked[i])->count = 1;
		else
			drop_application(sink->tally, sink->asked[i]);
	}
}

static void
request_admission(struct sink * sink, size_t count)
{
	const struct sink_settings * settings = sink->settings;
	int64_t now = clock_now();
	int64_t retention = settings->retention_day >
	    settings->retention_hour ? settings->retention_day :
	    settings->retention_hour;
	struct buffer * requests = &sink->requests;
	size_t i;

	begin_exchange(sink);
	buffer_array(requests, 7 + count);
	buffer_text(requests, "EVALSHA");
	buffer_text(requests, redis_script_digest(sink->redis,
	    sink->admit_script));
	buffer_integer(requests, 1);
	buffer_clear(&sink->text);
	buffer_append(&sink->text, settings->prefix,
	    strlen(settings->prefix));
	buffer_append(&sink->text, ":apps", 5);
	buffer_string(requests, sink->text.bytes, sink->text.length);
	buffer_integer(requests, now);
	buffer_integer(requests, now - retention);
	buffer_integer(requests, (int64_t)settings->limit_applications);
	for (i = 0; i < count; i++) {
		group_member(&sink->text, sink->asked[i]);
		buffer_string(requests, sink->text.bytes,
		    sink->text.length);
	}
}

static bool
ask_admission(struct sink * sink, size_t count, int64_t deadline)
{

	do {
		if (clock_remaining(deadline) == 0 ||
		    !connected(sink, deadline))
			return (false);
		request_admission(sink, count);
	} while (!exchange(sink, 1, deadline, take_admission));
	return (true);
}

/* Ask for the applications that are new to us. */
static bool
admit(struct sink * sink, struct tally * tally, int64_t deadline)
{
	struct tally_node * asked[ADMIT_MAX];
	struct tally_node * environment, * node;
	size_t count = 0;

	if (sink->known->node_count > KNOWN_MAX)
		forget_known(sink);
	sink->tally = tally;
	sink->asked = asked;
	for (environment = tally->root->first; environment != NULL;
	    environment = environment->next) {
		for (node = environment->first; node != NULL;
		    node = node->next) {
			if (environment->kind != TALLY_ENVIRONMENT ||
			    node->kind != TALLY_APPLICATION ||
			    known_node(sink, node)->count == 1)
				continue;
			asked[count++] = node;
			if (count < ADMIT_MAX)
				continue;
			if (!ask_admission(sink, count, deadline))
				return (false);
			count = 0;
		}
	}
	return (count == 0 || ask_admission(sink, count, deadline));
}

/* Calls */

static void
settle(struct call * call, enum tally_fate fate)
{
	struct tally_node * node = call->node;

	call->state = CALL_SETTLED;
	if (node != NULL)
		node->fate = node->fate == FATE_OPEN || node->fate == fate ?
		    fate : FATE_MIXED;
}

static void
count_drops(struct tally * tally, enum call_script script,
    const struct redis_reply * reply)
{
	static const enum tally_drop drops[SCRIPT_COUNT][3] = {
		[SCRIPT_APPLY] = { DROP_FEATURES, DROP_INSTANCES },
		[SCRIPT_IMPACT] = { DROP_TYPE, DROP_SERIES, DROP_OVERFLOW },
	};
	size_t i;

	if (script == SCRIPT_NONE)
		return;
	/* The first integer says whether it had been done before. */
	for (i = 1; i < reply->count && i <= 3; i++)
		tally->dropped[drops[script][i - 1]] +=
		    (uint64_t)reply->integers[i];
}

static void
take_call(void * context, size_t number, const struct redis_reply * reply)
{
	struct sink * sink = context;
	struct call * call = &sink->calls.list[sink->pending[number]];

	if (reply->type != REDIS_ERROR) {
		settle(call, FATE_APPLIED);
		count_drops(sink->tally, call->script, reply);
	} else if (begins_with(reply, "REFUSED") ||
	    begins_with(reply, "WRONGTYPE")) {
		settle(call, FATE_REFUSED);
		log_error("Redis refuses for good: %.*s", (int)reply->length,
		    reply->text);
	} else {
		call->state = CALL_FAILED;
		note_trouble(sink, reply);
	}
}

/* All calls of a new group are pending. */
static void
begin_pending(struct sink * sink)
{
	size_t i;

	if (sink->pending_size < sink->calls.count) {
		sink->pending_size = sink->calls.count;
		sink->pending = alloc_resize(sink->pending,
		    sink->pending_size, sizeof(*sink->pending));
	}
	for (i = 0; i < sink->calls.count; i++)
		sink->pending[i] = i;
	sink->pending_count = i;
}

/*
 * What is still pending after an exchange.  Replies come in order, so what has
 * none stands behind all that has one, and keeps its order; what failed gets
 * numbers beyond all others.
 */
static void
update_pending(struct sink * sink)
{
	struct calls * calls = &sink->calls;
	size_t * failed = alloc_resize(NULL, sink->pending_count,
	    sizeof(*failed));
	size_t failed_count = 0;
	size_t count = 0;
	size_t i;

	for (i = 0; i < sink->pending_count; i++) {
		enum call_state state = calls->list[sink->pending[i]].state;

		if (state == CALL_WAITING)
			sink->pending[count++] = sink->pending[i];
		else if (state == CALL_FAILED)
			failed[failed_count++] = sink->pending[i];
	}
	for (i = 0; i < failed_count; i++) {
		struct call * call = &calls->list[failed[i]];

		call->state = CALL_WAITING;
		if (call->script != SCRIPT_NONE)
			calls_renumber(calls, call, ++sink->sequence);
		sink->pending[count++] = failed[i];
	}
	sink->pending_count = count;
	free(failed);
}

static void
request_pending(struct sink * sink)
{
	const struct calls * calls = &sink->calls;
	size_t i;

	begin_exchange(sink);
	for (i = 0; i < sink->pending_count; i++) {
		const struct call * call =
		    &calls->list[sink->pending[i]];

		buffer_append(&sink->requests, calls->requests.bytes +
		    call->offset, call->length);
	}
}

static void
encode(struct sink * sink, struct tally * tally)
{
	struct group_writer writer = { .settings = sink->settings,
	    .id = sink->id, .sequence = sink->sequence };
	size_t i;

	for (i = 0; i < SCRIPT_COUNT; i++)
		writer.digest[i] = redis_script_digest(sink->redis,
		    sink->script[i]);
	writer.now = clock_now();
	group_encode(&sink->calls, &writer, tally);
	sink->sequence = writer.sequence;
}

enum sink_result
sink_commit(struct sink * sink, struct tally * tally, int64_t deadline)
{

	/* The names of the scripts are known once there is a connection. */
	if (!connected(sink, deadline))
		return (SINK_UNAVAILABLE);
	if (sink->settings->limit_applications > 0 &&
	    !admit(sink, tally, deadline))
		return (SINK_UNAVAILABLE);
	encode(sink, tally);
	sink->tally = tally;
	begin_pending(sink);
	while (sink->pending_count > 0) {
		if (clock_remaining(deadline) == 0 ||
		    !connected(sink, deadline))
			return (SINK_UNAVAILABLE);
		request_pending(sink);
		exchange(sink, sink->pending_count, deadline, take_call);
		update_pending(sink);
	}
	return (SINK_APPLIED);
}

void
sink_free(struct sink * sink)
{

	if (sink == NULL)
		return;
	redis_free(sink->redis);
	arena_free(sink->known_arena);
	calls_free(&sink->calls);
	buffer_free(&sink->requests);
	buffer_free(&sink->text);
	free(sink->pending);
	free(sink);
}
