#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/crashpoint.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"
#include "lib/redis/apply.lua.h"
#include "lib/redis/caps.h"
#include "lib/redis/commands.h"
#include "lib/redis/drops.h"
#include "lib/redis/impact.lua.h"
#include "lib/redis/session.h"
#include "lib/redis/sink.h"

/*
 * Exactly once.  A writer is one sink; its id is random, so no two are alike.
 * The groups of a writer are numbered.  Each script call carries the writer's
 * id, a slot, and the number of its group; the script keeps the latest number
 * under each hash tag and slot, in the same atomic step in which it applies
 * the call, and does nothing if the number it is given is not greater.
 *
 * The calls of a group under one tag have slots of their own, and a group is
 * sent only when the one before is settled or given up.  So under one tag and
 * slot one call at most is unsettled at any time.  It may be sent again and
 * again as it is, over one connection after the other: whichever copy comes
 * first is applied, all others find its number.  That holds as well after an
 * error that may pass, which says only that this copy was not applied: an
 * earlier one may still be on its way.  (So a call must never get another
 * number, and slots cannot be shared: with a later call applied under the
 * same slot, one that has to be repeated would look done.)
 *
 * What is given up goes to the spool with its identity, and the writer takes a
 * new id; so nothing of this writer comes after it, and it is no less safe to
 * repeat next week.  Without a spool the sender was told that it failed; a
 * copy that comes late finds a greater number, if there is one by then.
 *
 * A call that is refused with an error has changed nothing: the scripts see to
 * it.
 */
#define ID_BYTES (PIPELINE_WRITER_LENGTH / 2)

/* Seconds that a writer is remembered of whose calls none will come again.  A
 * copy of one may still be in some buffer of the network for minutes. */
#define SETTLED_LIFETIME 3600

struct sink {
	const struct sink_settings * settings;
	struct session session;
	size_t script[SCRIPT_COUNT];
	char id[PIPELINE_WRITER_LENGTH + 1];
	int64_t sequence;		/* Of the latest group. */

	sink_refused * refused;		/* What is refused goes there. */
	void * context;

	struct caps * caps;
	struct pipeline pipeline;
	struct buffer text;
	size_t * pending;		/* Calls to be sent, in order. */
	size_t pending_count, pending_size;

	/* Of the exchange at hand. */
	struct tally * tally;		/* NULL: the calls were loaded. */
};

/* Nobody keeps what is refused. */
static bool
lose(void * context, const void * bytes, size_t length, const char * reason)
{

	(void)context;
	(void)bytes;
	(void)length;
	(void)reason;
	return (false);
}

void
sink_on_refusal(struct sink * sink, sink_refused * refused, void * context)
{

	sink->refused = refused;
	sink->context = context;
}

void
sink_new_writer(struct sink * sink)
{
	unsigned char id[ID_BYTES];

	digest_random(id, sizeof(id));
	digest_hex(sink->id, id, sizeof(id));
	sink->sequence = 0;
}

struct sink *
sink_create(const struct sink_settings * settings, struct redis * redis)
{
	struct sink * sink = alloc_zeroed(1, sizeof(*sink));

	sink->settings = settings;
	session_init(&sink->session, redis, settings->stats);
	sink->script[SCRIPT_APPLY] = redis_script(redis, apply_lua);
	sink->script[SCRIPT_IMPACT] = redis_script(redis, impact_lua);
	sink->refused = lose;
	sink->caps = caps_create(settings, &sink->session);
	sink_new_writer(sink);
	return (sink);
}

/* Leave the key of the list of all applications in sink->text. */
static void
apps_key(struct sink * sink)
{
	const char * prefix = sink->settings->prefix;

	buffer_clear(&sink->text);
	buffer_append(&sink->text, prefix, strlen(prefix));
	buffer_append(&sink->text, ":apps", strlen(":apps"));
}

static void
take_probe(void * context, size_t number, const struct redis_reply * reply)
{
	struct sink * sink = context;

	(void)number;
	if (reply->type == REDIS_ERROR) {
		if (!session_refuses(reply))
			session_note(&sink->session, reply);
	} else if (reply->type != REDIS_INTEGER)
		session_doubt(&sink->session);
}

/* A command that changes nothing, but that only a server which may write
 * takes: an update of a member that is not there. */
bool
sink_probe(struct sink * sink, int64_t deadline)
{
	struct buffer * requests = &sink->session.requests;

	if (!session_reach(&sink->session, deadline))
		return (false);
	session_begin(&sink->session);
	buffer_array(requests, 6);
	buffer_text(requests, "ZADD");
	apps_key(sink);
	buffer_string(requests, sink->text.bytes, sink->text.length);
	buffer_text(requests, "XX");
	buffer_text(requests, "GT");
	buffer_integer(requests, 0);
	buffer_text(requests, "");
	return (session_exchange(&sink->session, 1, deadline, take_probe,
	    sink));
}

static void
take_nothing(void * context, size_t number, const struct redis_reply * reply)
{

	(void)context;
	(void)number;
	(void)reply;
}

/* Have the keys of this writer go at ${when}, or at once if that is 0. */
static void
end_writer(struct sink * sink, int64_t when, int64_t deadline)
{
	const struct pipeline * pipeline = &sink->pipeline;
	struct buffer * requests = &sink->session.requests;
	size_t count = 0;
	size_t i;

	if (sink->pending_count > 0 || !redis_is_connected(sink->session.redis))
		return;
	session_begin(&sink->session);
	for (i = 0; i < pipeline->count; i++) {
		struct text key;

		if (pipeline->list[i].script == SCRIPT_NONE)
			continue;
		key = pipeline_writer_key(pipeline, &pipeline->list[i]);
		buffer_array(requests, when == 0 ? 2 : 3);
		buffer_text(requests, when == 0 ? "UNLINK" : "EXPIREAT");
		buffer_string(requests, key.bytes, key.length);
		if (when != 0)
			buffer_integer(requests, when);
		count++;
	}
	if (count > 0)
		session_exchange(&sink->session, count, deadline, take_nothing,
		    sink);
}

void
sink_retire(struct sink * sink, int64_t deadline)
{

	if (!sink->session.broken)
		end_writer(sink, 0, deadline);
}

void
sink_settled(struct sink * sink, int64_t deadline)
{

	end_writer(sink, clock_now() + SETTLED_LIFETIME, deadline);
}

const struct sink_settings *
sink_settings_of(const struct sink * sink)
{

	return (sink->settings);
}

const char *
sink_reason(const struct sink * sink)
{

	return (redis_error(sink->session.redis));
}

/* Calls */

static void
settle(struct call * call, enum tally_fate fate)
{
	struct tally_node * node = call->node;

	call->settled = true;
	if (node != NULL)
		node->fate = node->fate == FATE_OPEN || node->fate == fate ?
		    fate : FATE_MIXED;
}

static void
settle_refused(struct sink * sink, struct call * call,
    const struct redis_reply * reply)
{
	char reason[SESSION_REASON_MAX];
	bool kept;

	snprintf(reason, sizeof(reason), "%.*s", (int)reply->length,
	    reply->text);
	kept = sink->refused(sink->context, sink->pipeline.requests.bytes +
	    call->offset, call->length, reason);
	settle(call, kept ? FATE_APPLIED : FATE_REFUSED);
	stats_add(sink->settings->stats, STATS_REDIS_REFUSED, 1);
	log_error("Redis refuses for good, and it is %s: %s",
	    kept ? "set aside" : "lost", reason);
}

static void
count_drops(struct tally * tally, enum call_script script,
    const struct redis_reply * reply)
{
	static const enum tally_drop drops[] = { DROP_FEATURES,
	    DROP_INSTANCES, DROP_VARIANTS, DROP_OUT_OF_RANGE };
	size_t i;

	if (script != SCRIPT_APPLY || tally == NULL)
		return;
	for (i = 1; i < reply->count; i++)
		tally->dropped[drops[i - 1]] +=
		    (uint64_t)reply->integers[i];
}

/* Whether the reply is one that says that the call is applied. */
static bool
says_applied(enum call_script script, const struct redis_reply * reply)
{
	static const size_t counts[SCRIPT_COUNT] = {
		[SCRIPT_APPLY] = 5,
		[SCRIPT_IMPACT] = 7,
	};
	size_t i;

	if (script == SCRIPT_NONE)
		return (reply->type == REDIS_INTEGER);
	if (reply->type != REDIS_ARRAY || reply->count != counts[script])
		return (false);
	/* Whether it had been done before, and what was dropped. */
	for (i = 0; i < reply->count; i++)
		if (reply->integers[i] < 0 ||
		    reply->integers[i] > (i == 0 ? 1 : INT32_MAX))
			return (false);
	return (true);
}

static void
take_call(void * context, size_t number, const struct redis_reply * reply)
{
	struct sink * sink = context;
	struct call * call = &sink->pipeline.list[sink->pending[number]];

	if (reply->type != REDIS_ERROR) {
		if (!says_applied(call->script, reply)) {
			session_doubt(&sink->session);
			return;
		}
		settle(call, FATE_APPLIED);
		count_drops(sink->tally, call->script, reply);
		if (call->script == SCRIPT_IMPACT)
			drops_take(sink->tally == NULL ? NULL :
			    sink->tally->dropped,
			    sink->pipeline.requests.bytes + call->offset,
			    reply);
	} else if (session_refuses(reply)) {
		settle_refused(sink, call, reply);
	} else
		session_note(&sink->session, reply);
}

/* All calls are pending. */
static void
begin_pending(struct sink * sink)
{
	size_t i;

	if (sink->pending_size < sink->pipeline.count) {
		sink->pending_size = sink->pipeline.count;
		sink->pending = alloc_resize(sink->pending,
		    sink->pending_size, sizeof(*sink->pending));
	}
	for (i = 0; i < sink->pipeline.count; i++)
		sink->pending[i] = i;
	sink->pending_count = i;
}

/* What is still pending after an exchange. */
static void
update_pending(struct sink * sink)
{
	size_t count = 0;
	size_t i;

	for (i = 0; i < sink->pending_count; i++)
		if (!sink->pipeline.list[sink->pending[i]].settled)
			sink->pending[count++] = sink->pending[i];
	sink->pending_count = count;
}

static void
request_pending(struct sink * sink)
{
	size_t i;

	session_begin(&sink->session);
	for (i = 0; i < sink->pending_count; i++) {
		const struct call * call =
		    &sink->pipeline.list[sink->pending[i]];
		const char * digest = call->script == SCRIPT_NONE ? NULL :
		    redis_script_digest(sink->session.redis,
		    sink->script[call->script]);

		pipeline_request(&sink->pipeline, call, digest,
		    &sink->session.requests);
	}
}

static void
encode(struct sink * sink, struct tally * tally)
{
	struct commands_writer writer = { .settings = sink->settings,
	    .id = sink->id, .sequence = ++sink->sequence,
	    .now = clock_now() };

	commands_encode(&sink->pipeline, &writer, tally);
	sink->tally = tally;
	begin_pending(sink);
}

bool
sink_prepare(struct sink * sink, struct tally * tally, int64_t deadline)
{

	sink_new_writer(sink);
	if (!caps_ask(sink->caps, tally, deadline))
		return (false);
	encode(sink, tally);
	sink->tally = NULL;
	return (true);
}

const char *
sink_load(struct sink * sink, const void * bytes, size_t length)
{
	const char * why = pipeline_load(&sink->pipeline, bytes, length);

	sink->tally = NULL;
	begin_pending(sink);
	return (why);
}

void
sink_readdress(struct sink * sink)
{
	struct pipeline * pipeline = &sink->pipeline;
	size_t i;

	sink_new_writer(sink);
	for (i = 0; i < pipeline->count; i++)
		if (pipeline->list[i].script != SCRIPT_NONE)
			pipeline_readdress(pipeline, &pipeline->list[i],
			    sink->id);
}

void
sink_detach(struct sink * sink)
{
	size_t i;

	for (i = 0; i < sink->pipeline.count; i++)
		sink->pipeline.list[i].node = NULL;
	sink->tally = NULL;
}

enum sink_result
sink_send(struct sink * sink, int64_t deadline)
{

	if (sink->pending_count == 0)
		return (SINK_APPLIED);
	if (!session_reach(&sink->session, deadline))
		return (SINK_UNKNOWN);
	request_pending(sink);
	CRASH_POINT("sink-send");
	session_exchange(&sink->session, sink->pending_count, deadline,
	    take_call,
	    sink);
	CRASH_POINT("sink-sent");
	update_pending(sink);
	return (sink->pending_count == 0 ? SINK_APPLIED : SINK_UNKNOWN);
}

size_t
sink_left(const struct sink * sink, struct buffer * bytes)
{
	const struct pipeline * pipeline = &sink->pipeline;
	size_t i;

	for (i = 0; i < sink->pending_count; i++) {
		const struct call * call = &pipeline->list[sink->pending[i]];

		buffer_append(bytes, pipeline->requests.bytes + call->offset,
		    call->length);
	}
	return (sink->pending_count);
}

void
sink_hasten(struct sink * sink, bool hasty)
{

	session_hasten(&sink->session, hasty);
}

enum sink_result
sink_commit(struct sink * sink, struct tally * tally, int64_t deadline)
{
	enum sink_result result;

	if (clock_remaining(deadline) == 0 ||
	    !session_reach(&sink->session, deadline) ||
	    !caps_ask(sink->caps, tally, deadline))
		return (SINK_UNSENT);
	encode(sink, tally);
	do
		result = sink_send(sink, deadline);
	while (result != SINK_APPLIED && clock_remaining(deadline) > 0 &&
	    session_reach(&sink->session, deadline));
	return (result);
}

void
sink_free(struct sink * sink)
{

	if (sink == NULL)
		return;
	caps_free(sink->caps);
	pipeline_free(&sink->pipeline);
	session_free(&sink->session);
	buffer_free(&sink->text);
	free(sink->pending);
	free(sink);
}
