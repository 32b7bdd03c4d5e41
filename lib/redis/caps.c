#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/redis/bucket.h"
#include "lib/redis/caps.h"
#include "lib/redis/caps.lua.h"
#include "lib/redis/commands.h"

/*
 * What was admitted is remembered, so that in the long run nobody asks at all:
 * a member's hash, in the one place where it can be.  Another hash may push it
 * out, and it is asked for again.  All is forgotten after an hour, and within
 * the retention, because a member that was not seen for that long may have made
 * room for another.
 *
 * The hash has a key of the process's own, so that no sender can choose names
 * that are taken for others.
 */
#define KNOWN_COUNT ((size_t)1 << 15)
#define KNOWN_TIME_MAX 3600

/* Members in one call of admit.lua. */
#define ASKED_MAX 500

enum list {
	LIST_APPLICATIONS,
	LIST_ENVIRONMENTS,
	LIST_TOKENS,
	LIST_COUNT,
};

struct caps {
	const struct sink_settings * settings;
	struct session * link;
	size_t script;
	struct buffer text;

	unsigned char key[DIGEST_KEY_SIZE];
	uint64_t * known;
	int64_t since;			/* Nothing known is older. */

	/* Of the question at hand. */
	struct tally * tally;
	enum list list;
	struct tally_node * asked[ASKED_MAX];
	size_t asked_count;
	int64_t deadline;
};

static const struct {
	const char * key;		/* After the prefix. */
	const char * rests;		/* See admit.lua. */
	enum tally_drop drop;
} lists[LIST_COUNT] = {
	[LIST_APPLICATIONS] = { ":apps",
	    "seen late instances instances:seen", DROP_APPLICATIONS },
	[LIST_ENVIRONMENTS] = { ":environments", "impact series",
	    DROP_ENVIRONMENTS },
	[LIST_TOKENS] = { ":tokens:seen", "", DROP_SEEN_TOKENS },
};

static size_t
limit_of(const struct caps * admission, enum list list)
{
	const struct sink_settings * settings = admission->settings;

	switch (list) {
	case LIST_APPLICATIONS:
		return (settings->limit_applications);
	case LIST_ENVIRONMENTS:
		return (settings->limit_environments);
	default:
		return (settings->limit_seen_tokens);
	}
}

struct caps *
caps_create(const struct sink_settings * settings, struct session * link)
{
	struct caps * admission = alloc_zeroed(1, sizeof(*admission));

	admission->settings = settings;
	admission->link = link;
	admission->script = redis_script(link->redis, caps_lua);
	digest_random(admission->key, sizeof(admission->key));
	return (admission);
}

void
caps_free(struct caps * admission)
{

	if (admission == NULL)
		return;
	buffer_free(&admission->text);
	free(admission->known);
	free(admission);
}

/* What is known */

static void
forget_old(struct caps * admission)
{
	int64_t now = clock_now();
	int64_t most = bucket_retention(admission->settings);

	if (most > KNOWN_TIME_MAX)
		most = KNOWN_TIME_MAX;
	if (admission->known != NULL && now >= admission->since &&
	    now - admission->since < most)
		return;
	/* Fresh memory is none until it is written to. */
	free(admission->known);
	admission->known = alloc_zeroed(KNOWN_COUNT, sizeof(uint64_t));
	admission->since = now;
}

/* Leave in admission->text what stands for a node in its list. */
static void
member_of(struct caps * admission, enum list list,
    const struct tally_node * node)
{
	struct buffer * text = &admission->text;

	switch (list) {
	case LIST_APPLICATIONS:
		commands_member(text, node);
		break;
	case LIST_ENVIRONMENTS:
		commands_environment(text, node);
		break;
	default:
		commands_token(text, node);
	}
}

static uint64_t
hash_of(struct caps * admission, enum list list,
    const struct tally_node * node)
{

	member_of(admission, list, node);
	buffer_append(&admission->text, lists[list].key,
	    strlen(lists[list].key));
	/* 0 stands for nothing. */
	return (digest_keyed_hash(admission->key, admission->text.bytes,
	    admission->text.length) | 1);
}

static uint64_t *
place_of(const struct caps * admission, uint64_t hash)
{

	return (&admission->known[(hash >> 1) % KNOWN_COUNT]);
}

/* Asking */

/* What is left out is told as it is for other caps: an application by its
 * buckets and instances, an environment by its series. */
static void
drop(struct caps * admission, struct tally_node * node)
{
	uint64_t * dropped =
	    &admission->tally->dropped[lists[admission->list].drop];
	const struct tally_node * child, * series;

	node->fate = FATE_DROPPED;
	if (admission->list == LIST_TOKENS)
		++*dropped;
	for (child = node->first; child != NULL; child = child->next) {
		if (admission->list == LIST_APPLICATIONS)
			++*dropped;
		else if (child->kind == TALLY_METRIC)
			for (series = child->first; series != NULL;
			    series = series->next)
				++*dropped;
	}
}

static void
take_admission(void * context, size_t number, const struct redis_reply * reply)
{
	struct caps * admission = context;
	size_t i;

	(void)number;
	if (reply->type == REDIS_ERROR) {
		session_note(admission->link, reply);
		return;
	}
	if (reply->type != REDIS_ARRAY ||
	    reply->count != admission->asked_count) {
		session_doubt(admission->link);
		return;
	}
	for (i = 0; i < reply->count; i++) {
		struct tally_node * node = admission->asked[i];
		uint64_t hash;

		if (reply->integers[i] != 1) {
			drop(admission, node);
			continue;
		}
		hash = hash_of(admission, admission->list, node);
		*place_of(admission, hash) = hash;
	}
}

static void
request(struct caps * admission)
{
	const struct sink_settings * settings = admission->settings;
	struct buffer * requests = &admission->link->requests;
	struct buffer * text = &admission->text;
	int64_t now = clock_now();
	size_t i;

	session_begin(admission->link);
	buffer_array(requests, 8 + admission->asked_count);
	buffer_text(requests, "EVALSHA");
	buffer_text(requests, redis_script_digest(admission->link->redis,
	    admission->script));
	buffer_integer(requests, 1);
	buffer_clear(text);
	buffer_append(text, settings->prefix, strlen(settings->prefix));
	buffer_append(text, lists[admission->list].key,
	    strlen(lists[admission->list].key));
	buffer_string(requests, text->bytes, text->length);
	buffer_integer(requests, now);
	buffer_integer(requests, now - bucket_retention(settings));
	buffer_integer(requests, (int64_t)limit_of(admission,
	    admission->list));
	buffer_text(requests, lists[admission->list].rests);
	for (i = 0; i < admission->asked_count; i++) {
		member_of(admission, admission->list, admission->asked[i]);
		buffer_string(requests, text->bytes, text->length);
	}
}

static bool
ask(struct caps * admission)
{
	struct session * link = admission->link;

	if (admission->asked_count == 0)
		return (true);
	do {
		if (clock_remaining(admission->deadline) == 0 ||
		    !session_reach(link, admission->deadline))
			return (false);
		request(admission);
	} while (!session_exchange(link, 1, admission->deadline, take_admission,
	    admission));
	admission->asked_count = 0;
	return (true);
}

/* Ask for a node, unless it is known, when enough have gathered. */
static bool
consider(struct caps * admission, struct tally_node * node)
{
	uint64_t hash = hash_of(admission, admission->list, node);

	if (*place_of(admission, hash) == hash)
		return (true);
	admission->asked[admission->asked_count++] = node;
	return (admission->asked_count < ASKED_MAX || ask(admission));
}

static bool
has_metrics(const struct tally_node * environment)
{
	const struct tally_node * node = environment->first;

	while (node != NULL && node->kind != TALLY_METRIC)
		node = node->next;
	return (node != NULL);
}

/* Consider what a child of the tally's root has for the list at hand. */
static bool
consider_root(struct caps * admission, struct tally_node * node)
{
	enum list list = admission->list;
	struct tally_node * child;

	if (node->kind == TALLY_TOKEN)
		return (list != LIST_TOKENS || consider(admission, node));
	if (list == LIST_ENVIRONMENTS)
		return (!has_metrics(node) || consider(admission, node));
	if (list == LIST_APPLICATIONS)
		for (child = node->first; child != NULL; child = child->next)
			if (child->kind == TALLY_APPLICATION &&
			    !consider(admission, child))
				return (false);
	return (true);
}

bool
caps_ask(struct caps * admission, struct tally * tally,
    int64_t deadline)
{
	struct tally_node * node;
	enum list list;

	forget_old(admission);
	admission->tally = tally;
	admission->deadline = deadline;
	for (list = 0; list < LIST_COUNT; list++) {
		if (limit_of(admission, list) == 0)
			continue;
		admission->list = list;
		admission->asked_count = 0;
		for (node = tally->root->first; node != NULL;
		    node = node->next)
			if (!consider_root(admission, node))
				return (false);
		if (!ask(admission))
			return (false);
	}
	return (true);
}
