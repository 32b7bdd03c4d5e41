#include <inttypes.h>
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
#include "lib/redis/touch.lua.h"

/*
 * Exactly once.  A writer is one sink; its id is random, so no two are alike.
 * Each script call carries the writer's id, a slot, and a number: an integer
 * that grows from group to group, and a random part.  The script keeps the
 * latest number under each hash tag and slot, in the same atomic step in which
 * it applies the call, and does nothing if the integer that it is given is not
 * greater.
 *
 * Under one tag, calls that go out together have slots of their own, and a tag
 * gets new calls only when all its earlier ones of this writer are settled, or
 * the writer has taken a new id.  So under one writer, tag and slot one call at
 * most is unsettled at any time.  It may be sent again and again as it is, over
 * one connection after the other: whichever copy comes first is applied, all
 * others find its number.  That holds as well after an error that may pass,
 * which says only that this copy was not applied: an earlier one may still be
 * on its way.  (So a call must never get another number, and slots cannot be
 * shared: with a later call applied under the same slot, one that has to be
 * repeated would find another's number.)
 *
 * Each call is settled by its own reply: applied, or refused with an error, and
 * then the script has changed nothing.  Open calls of a group go to the spool
 * with their identity, and the writer takes a new id: no later call of the old
 * one exists, so they can be repeated safely even next week.  If the spool does
 * not take them, their senders get 503; a copy that arrives late finds a
 * greater number, if there is one by then.
 *
 * A failover may undo what a reply says, unless replicas confirm it.  A reply
 * that they do not confirm is taken back (redis_confirm), and its call stays
 * open, as if the reply had not come: the next master has the call or not.  The
 * scripts write even if a call was done before, so that a confirmation of the
 * copy also covers the call itself.
 *
 * A host that is restored from a snapshot, or copied, has our id and counts on
 * from the same integer.  The random part tells its calls and ours apart, when
 * a call is sent for the first time as well as later: the script says "done
 * before" only of the call that has just this number.  Of any other it says
 * that another's number is there, and as no later call of ours exists, ours
 * was not applied.  It gets an identity of its own (sink_readdress).  A call
 * that was in memory or in the spool when the snapshot was taken has the same
 * number in both hosts, and counts once.  This leaves one case: both hosts go
 * on, one call of ours was applied and its reply lost, and before it is sent
 * again the other host has counted further under that tag and slot.  The
 * former call counts twice then.  But after the first such reply a host has
 * an id of its own.
 */
#define ID_BYTES (PIPELINE_WRITER_LENGTH / 2)

/* Digits of a 64-bit integer, and those of the random part after it. */
#define NUMBER_MAX (20 + 1 + 16 + 1)

/* Enough keys that each master of a cluster most likely has some. */
#define PROBES 64

/* Seconds that a writer is remembered of whose calls none will come again.  A
 * copy of one may still be in some buffer of the network for minutes. */
#define SETTLED_LIFETIME 3600

/* Milliseconds by Redis's clock for which a call may be sent again: a day less
 * than its writer's key lives. */
#define RESEND_LIFETIME ((COMMANDS_WRITER_LIFETIME - INT64_C(24) * 3600) * 1000)

struct sink {
	const struct sink_settings * settings;
	struct session session;
	size_t script[SCRIPT_COUNT];
	char id[PIPELINE_WRITER_LENGTH + 1];
	int64_t sequence;		/* Of the latest calls, */
	char number[NUMBER_MAX];	/* with its random part. */

	struct caps * caps;
	struct pipeline pipeline;
	struct buffer text;
	struct tally * tally;		/* Of the calls; NULL: loaded. */

	/* The calls of the current exchange, in order. */
	size_t * pending;
	size_t pending_count, pending_size;
	size_t answers;
};

void
sink_new_writer(struct sink * sink)
{
	unsigned char id[ID_BYTES];

	digest_random(id, sizeof(id));
	digest_hex(sink->id, id, sizeof(id));
}

struct sink *
sink_create(const struct sink_settings * settings, struct cluster * cluster)
{
	struct sink * sink = alloc_zeroed(1, sizeof(*sink));

	sink->settings = settings;
	session_init(&sink->session, cluster, settings->stats);
	sink->session.decides = true;
	sink->script[SCRIPT_APPLY] = cluster_script(cluster, apply_lua);
	sink->script[SCRIPT_IMPACT] = cluster_script(cluster, impact_lua);
	sink->script[SCRIPT_TOUCH] = cluster_script(cluster, touch_lua);
	sink->caps = caps_create(settings, &sink->session);
	sink_new_writer(sink);
	return (sink);
}

/* A key to probe with: that of the list of all applications, and then others,
 * which other masters of a cluster have. */
static void
make_probe_key(struct sink * sink, int number)
{
	const char * prefix = sink->settings->prefix;
	char rest[32] = ":apps";

	if (number > 0)
		snprintf(rest, sizeof(rest), ":{%d}:probe", number);
	buffer_clear(&sink->text);
	buffer_append(&sink->text, prefix, strlen(prefix));
	buffer_append(&sink->text, rest, strlen(rest));
}

static void
take_probe(void * context, size_t number, const struct redis_reply * reply)
{
	struct sink * sink = context;

	(void)number;
	if (reply->type == REDIS_INTEGER ||
	    error_reply_is_permanent(&reply->error))
		sink->answers++;
	else if (reply->type == REDIS_ERROR ||
	    reply->type == REDIS_UNCONFIRMED)
		session_note(&sink->session, reply);
	else
		session_doubt(&sink->session);
}

/* Commands that change nothing, but that only a server which may write takes:
 * an update of a member that is not there.  So few replicas that no call would
 * be confirmed are a failure, too. */
static bool
probe_once(struct sink * sink, int64_t deadline)
{
	bool is_one = cluster_is_one(sink->session.cluster);
	int i;

	if (!session_reach(&sink->session, deadline))
		return (false);
	session_begin(&sink->session);
	sink->session.confirm = true;
	sink->answers = 0;
	for (i = 0; i < (is_one ? 1 : PROBES); i++) {
		struct buffer * requests;

		make_probe_key(sink, i);
		requests = session_request(&sink->session, sink->text.bytes,
		    sink->text.length);
		buffer_array(requests, 6);
		buffer_text(requests, "ZADD");
		buffer_string(requests, sink->text.bytes, sink->text.length);
		buffer_text(requests, "XX");
		buffer_text(requests, "GT");
		buffer_integer(requests, 0);
		buffer_text(requests, "");
	}
	return (session_exchange(&sink->session, deadline, take_probe,
	    sink) && (is_one || sink->answers > 0));
}

bool
sink_probe(struct sink * sink, int64_t deadline)
{

	/* An error of one master of a cluster does not stop the others. */
	return (probe_once(sink, deadline) ||
	    (!cluster_is_one(sink->session.cluster) &&
	    probe_once(sink, deadline)));
}

static void
take_reply(void * context, size_t number, const struct redis_reply * reply)
{
	struct sink * sink = context;

	(void)number;
	if (reply->type == REDIS_ERROR)
		session_note(&sink->session, reply);
}

bool
sink_command(struct sink * sink, const char * const * words, int64_t deadline)
{
	struct buffer * requests;
	size_t count = 0;
	size_t i;

	if (!session_reach(&sink->session, deadline))
		return (false);
	session_begin(&sink->session);
	requests = session_request(&sink->session, words[1], strlen(words[1]));
	while (words[count] != NULL)
		count++;
	buffer_array(requests, count);
	for (i = 0; i < count; i++)
		buffer_text(requests, words[i]);
	return (session_exchange(&sink->session, deadline, take_reply,
	    sink) && !sink->session.put_off);
}

static void
ignore_reply(void * context, size_t number, const struct redis_reply * reply)
{

	(void)context;
	(void)number;
	(void)reply;
}

/*
 * Let Redis remove the writers of the calls after ${seconds}; 0: at once.
 * None of the calls may be open.
 */
static void
end_writers(struct sink * sink, int64_t seconds, int64_t deadline)
{
	const struct pipeline * pipeline = &sink->pipeline;
	bool any = false;
	size_t i;

	if (!cluster_is_connected(sink->session.cluster))
		return;
	for (i = 0; i < pipeline->count; i++)
		if (pipeline->list[i].outcome == CALL_OPEN)
			return;
	session_begin(&sink->session);
	for (i = 0; i < pipeline->count; i++) {
		struct text key = pipeline_key(pipeline, &pipeline->list[i]);
		struct buffer * requests;

		if (pipeline->list[i].script == SCRIPT_TOUCH)
			continue;
		requests = session_request(&sink->session, key.bytes,
		    key.length);
		buffer_array(requests, seconds == 0 ? 2 : 3);
		buffer_text(requests, seconds == 0 ? "UNLINK" : "EXPIRE");
		buffer_string(requests, key.bytes, key.length);
		if (seconds != 0)
			buffer_integer(requests, seconds);
		any = true;
	}
	if (any)
		session_exchange(&sink->session, deadline, ignore_reply, sink);
}

void
sink_retire(struct sink * sink, int64_t deadline)
{

	if (!sink->session.broken)
		end_writers(sink, 0, deadline);
}

void
sink_settled(struct sink * sink, int64_t deadline)
{

	end_writers(sink, SETTLED_LIFETIME, deadline);
}


const char *
sink_reason(const struct sink * sink)
{

	return (sink_put_off(sink) ? sink->session.why :
	    cluster_error(sink->session.cluster));
}

/* Calls */

static void
refuse_call(struct call * call, const char * reason)
{

	free(call->reason);
	call->reason = alloc_string(reason);
	call->outcome = CALL_REFUSED;
}

static void
take_refusal(struct sink * sink, struct call * call,
    const struct error_reply * error)
{
	char reason[ERROR_REPLY_MAX];

	refuse_call(call, error_reply_print(error, reason));
	stats_add(sink->settings->stats, STATS_REDIS_REFUSED, 1);
	log_error_limited("Redis rejected a call permanently: %s", reason);
}

/* Calls whose writer Redis has forgotten, or will before an answer is here. */
static void
refuse_old(struct sink * sink)
{
	struct pipeline * pipeline = &sink->pipeline;
	size_t i;

	for (i = 0; i < pipeline->count; i++) {
		struct call * call = &pipeline->list[i];

		if (call->outcome == CALL_OPEN &&
		    call->script != SCRIPT_TOUCH &&
		    call->stored != 0 && call->stored <
		    sink_time(sink, call) - RESEND_LIFETIME) {
			refuse_call(call, SINK_TOO_OLD);
			log_error_limited("a call in the spool is quarantined: "
			    "%s", SINK_TOO_OLD);
		}
	}
}

/* Count what a script dropped: in the tally, or for loaded calls in stats. */
static void
count_drops(struct sink * sink, const struct call * call,
    const struct redis_reply * reply)
{
	uint64_t loaded[DROP_COUNT] = { 0 };

	if (call->script == SCRIPT_TOUCH)
		return;
	drops_take(sink->tally == NULL ? loaded : sink->tally->dropped,
	    call->script, pipeline_bytes(&sink->pipeline, call), reply);
	if (sink->tally == NULL)
		stats_dropped(sink->settings->stats, loaded);
}

/* Return whether the reply is one that the script gives. */
static bool
makes_sense(enum call_script script, const struct redis_reply * reply)
{
	static const size_t counts[SCRIPT_COUNT] = {
		[SCRIPT_APPLY] = 9,
		[SCRIPT_IMPACT] = 7,
	};
	size_t i;

	if (script == SCRIPT_TOUCH)
		return (reply->type == REDIS_INTEGER);
	if (reply->type != REDIS_ARRAY || reply->count != counts[script])
		return (false);
	/* Whether it or another was done before, and what was dropped. */
	for (i = 0; i < reply->count; i++)
		if (reply->integers[i] < 0 ||
		    reply->integers[i] > (i == 0 ? 2 : INT32_MAX))
			return (false);
	return (true);
}

static bool
is_foreign(const struct call * call, const struct redis_reply * reply)
{

	return (call->script != SCRIPT_TOUCH && reply->integers[0] == 2);
}

static void
take_call(void * context, size_t number, const struct redis_reply * reply)
{
	struct sink * sink = context;
	struct call * call = &sink->pipeline.list[sink->pending[number]];

	/* A failover may undo it: it is in doubt again. */
	if (reply->type == REDIS_UNCONFIRMED) {
		if (call->outcome != CALL_REFUSED)
			call->outcome = CALL_OPEN;
		session_note(&sink->session, reply);
		return;
	}
	sink->answers++;
	if (reply->type != REDIS_ERROR) {
		if (!makes_sense(call->script, reply)) {
			session_doubt(&sink->session);
			return;
		}
		call->outcome = is_foreign(call, reply) ? CALL_FOREIGN :
		    CALL_APPLIED;
		count_drops(sink, call, reply);
	} else if (error_reply_is_permanent(&reply->error))
		take_refusal(sink, call, &reply->error);
	else
		session_note(&sink->session, reply);
}

/* Add the first ${most} open calls to the current exchange. */
static void
request_open(struct sink * sink, size_t most)
{
	struct pipeline * pipeline = &sink->pipeline;
	size_t i;

	if (sink->pending_size < pipeline->count) {
		sink->pending_size = pipeline->count;
		sink->pending = alloc_resize(sink->pending,
		    sink->pending_size, sizeof(*sink->pending));
	}
	sink->pending_count = sink->answers = 0;
	session_begin(&sink->session);
	sink->session.confirm = true;
	for (i = 0; i < pipeline->count && sink->pending_count < most; i++) {
		struct call * call = &pipeline->list[i];
		struct text key;

		if (call->outcome != CALL_OPEN)
			continue;
		key = pipeline_key(pipeline, call);
		pipeline_request(pipeline, call,
		    cluster_script_digest(sink->session.cluster,
		    sink->script[call->script]), session_request(
		    &sink->session, key.bytes, key.length));
		sink->pending[sink->pending_count++] = i;
	}
}

/* The kernel of a restored host may repeat random bytes that it gave before,
 * but not at the same microsecond. */
static void
next_number(struct sink * sink)
{
	uint64_t nonce;

	digest_random(&nonce, sizeof(nonce));
	nonce ^= (uint64_t)clock_microseconds();
	snprintf(sink->number, sizeof(sink->number), "%" PRId64 "-%016" PRIx64,
	    ++sink->sequence, nonce);
}

static void
encode(struct sink * sink, struct tally * tally)
{
	struct commands_writer writer = { .settings = sink->settings,
	    .id = sink->id, .number = sink->number, .now = clock_now() };

	next_number(sink);
	commands_encode(&sink->pipeline, &writer, tally);
	sink->tally = tally;
}

/* Ask which members Redis admits: a call, too, without which there is none. */
static bool
ask_caps(struct sink * sink, struct tally * tally, int64_t deadline)
{

	if (caps_ask(sink->caps, tally, deadline))
		return (true);
	stats_calls(sink->settings->stats, false);
	return (false);
}

bool
sink_prepare(struct sink * sink, struct tally * tally, int64_t deadline)
{

	/* Its clock has to be known. */
	if (!session_reach(&sink->session, deadline) ||
	    !ask_caps(sink, tally, deadline))
		return (false);
	encode(sink, tally);
	return (true);
}

void
sink_clear(struct sink * sink)
{

	pipeline_clear(&sink->pipeline);
	sink->tally = NULL;
}

int64_t
sink_time(const struct sink * sink, const struct call * call)
{
	struct text key = pipeline_key(&sink->pipeline, call);

	return (cluster_time(sink->session.cluster, key.bytes, key.length));
}

const char *
sink_load(struct sink * sink, const void * bytes, size_t length,
    int64_t stored)
{
	const char * why = pipeline_load(&sink->pipeline, bytes, length);

	sink->tally = NULL;
	if (why == NULL)
		sink->pipeline.list[sink->pipeline.count - 1].stored = stored;
	return (why);
}

bool
sink_answered(const struct sink * sink)
{

	return (sink->pending_count > 0 &&
	    sink->answers == sink->pending_count);
}

/*
 * Each such call gets an id that no other has: they may come from different
 * writers, with the same tag and slot.
 */
size_t
sink_readdress(struct sink * sink)
{
	struct pipeline * pipeline = &sink->pipeline;
	size_t count = 0;
	size_t i;

	for (i = 0; i < pipeline->count; i++) {
		struct call * call = &pipeline->list[i];

		if (call->outcome != CALL_FOREIGN)
			continue;
		count++;
		sink_new_writer(sink);
		pipeline_readdress(pipeline, call, sink->id);
		call->outcome = CALL_OPEN;
	}
	if (count > 0) {
		sink_new_writer(sink);
		log_error_limited("Redis has other calls of a writer: this "
		    "host was copied or restored from a snapshot; %zu calls "
		    "are sent under a new identity", count);
	}
	return (count);
}

void
sink_readdress_all(struct sink * sink)
{
	struct pipeline * pipeline = &sink->pipeline;
	size_t i;

	sink_new_writer(sink);
	for (i = 0; i < pipeline->count; i++)
		pipeline_readdress(pipeline, &pipeline->list[i], sink->id);
}

/* Return whether no call is open. */
static bool
are_settled(const struct sink * sink, size_t * open)
{
	size_t i;

	*open = 0;
	for (i = 0; i < sink->pipeline.count; i++)
		*open += sink->pipeline.list[i].outcome == CALL_OPEN;
	return (*open == 0);
}

static enum sink_result
send_open(struct sink * sink, size_t most, int64_t deadline)
{
	size_t before, after;

	sink->pending_count = sink->answers = 0;
	if (are_settled(sink, &before))
		return (SINK_APPLIED);
	if (!session_reach(&sink->session, deadline))
		return (SINK_UNKNOWN);
	refuse_old(sink);
	if (are_settled(sink, &before))
		return (SINK_APPLIED);
	request_open(sink, most);
	CRASH_POINT("sink-send");
	session_exchange(&sink->session, deadline, take_call, sink);
	CRASH_POINT("sink-sent");
	are_settled(sink, &after);
	return (before - after == sink->pending_count ? SINK_APPLIED :
	    SINK_UNKNOWN);
}

/* Note whether Redis took any of the calls of the last exchange.  That it notes
 * members of a list says nothing of counts. */
static void
note_calls(const struct sink * sink)
{
	const struct pipeline * pipeline = &sink->pipeline;
	bool any = false, taken = false;
	size_t i;

	for (i = 0; i < sink->pending_count; i++) {
		const struct call * call = &pipeline->list[sink->pending[i]];

		if (call->script == SCRIPT_TOUCH)
			continue;
		any = true;
		taken = taken || call->outcome != CALL_OPEN;
	}
	if (any)
		stats_calls(sink->settings->stats, taken);
}

enum sink_result
sink_send(struct sink * sink, size_t most, int64_t deadline)
{
	enum sink_result result = send_open(sink, most, deadline);

	note_calls(sink);
	return (result);
}

bool
sink_put_off(const struct sink * sink)
{

	return (sink->session.put_off && cluster_is_connected(
	    sink->session.cluster));
}

size_t
sink_count(const struct sink * sink)
{

	return (sink->pipeline.count);
}

const struct call *
sink_call(const struct sink * sink, size_t number)
{

	return (&sink->pipeline.list[number]);
}

const char *
sink_bytes(const struct sink * sink, const struct call * call)
{

	return (pipeline_bytes(&sink->pipeline, call));
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
	size_t open;

	sink_clear(sink);
	if (clock_remaining(deadline) == 0 ||
	    !session_reach(&sink->session, deadline) ||
	    !ask_caps(sink, tally, deadline))
		return (SINK_UNSENT);
	encode(sink, tally);
	do {
		result = send_open(sink, SIZE_MAX, deadline);
		if (sink_readdress(sink) > 0)
			result = SINK_UNKNOWN;
	} while (result != SINK_APPLIED && !sink_put_off(sink) &&
	    clock_remaining(deadline) > 0 &&
	    session_reach(&sink->session, deadline));
	note_calls(sink);
	return (are_settled(sink, &open) ? SINK_APPLIED : SINK_UNKNOWN);
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
