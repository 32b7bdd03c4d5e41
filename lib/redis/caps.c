#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/redis/bucket.h"
#include "lib/redis/caps.h"
#include "lib/redis/caps.lua.h"
#include "lib/redis/commands.h"
#include "lib/tally/tally_drop.h"

/*
 * A direct-mapped cache of the hashes of admitted members, so that in the long
 * run Redis is not asked at all.  A collision evicts the older hash, and its
 * member is asked about again.  The cache is cleared after an hour, and within
 * the retention, because Redis may have replaced a member that was not seen for
 * that long.
 *
 * The hash is keyed with a secret of the process, so that no sender can choose
 * names that collide.
 */
#define KNOWN_COUNT ((size_t)1 << 15)
#define KNOWN_TIME_MAX 3600

/* Members in one call of caps.lua. */
#define ASKED_MAX 500

enum list {
	LIST_APPLICATIONS,
	LIST_ENVIRONMENTS,
	LIST_TOKENS,
	LIST_COUNT,
};

struct caps {
	const struct sink_settings * settings;
	struct session * session;
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
	enum tally_drop drop;
} lists[LIST_COUNT] = {
	[LIST_APPLICATIONS] = { ":apps", DROP_APPLICATIONS },
	[LIST_ENVIRONMENTS] = { ":environments", DROP_ENVIRONMENTS },
	[LIST_TOKENS] = { ":tokens:seen", DROP_SEEN_TOKENS },
};

static size_t
limit_of(const struct caps * caps, enum list list)
{
	const struct sink_settings * settings = caps->settings;

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
caps_create(const struct sink_settings * settings, struct session * session)
{
	struct caps * caps = alloc_zeroed(1, sizeof(*caps));

	caps->settings = settings;
	caps->session = session;
	caps->script = cluster_script(session->cluster, caps_lua);
	digest_random(caps->key, sizeof(caps->key));
	return (caps);
}

void
caps_free(struct caps * caps)
{

	if (caps == NULL)
		return;
	buffer_free(&caps->text);
	free(caps->known);
	free(caps);
}

/* The cache */

static void
forget_old(struct caps * caps)
{
	int64_t now = clock_monotonic();
	int64_t most = bucket_retention(caps->settings);

	if (most > KNOWN_TIME_MAX)
		most = KNOWN_TIME_MAX;
	if (caps->known != NULL && now - caps->since < most * 1000)
		return;
	/* Fresh memory is none until it is written to. */
	free(caps->known);
	caps->known = alloc_zeroed(KNOWN_COUNT, sizeof(uint64_t));
	caps->since = now;
}

/* Leave in caps->text the member of the list that a node is. */
static void
member_of(struct caps * caps, enum list list,
    const struct tally_node * node)
{
	struct buffer * text = &caps->text;

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

/*
 * Leave in caps->text the environment whose share of the list a node takes: its
 * own, or that of the sender of a seen token.  Environments are listed
 * without one.
 */
static void
account_of(struct caps * caps, enum list list, const struct tally_node * node)
{
	struct tally_node environment = { .name = "" };

	switch (list) {
	case LIST_APPLICATIONS:
		environment = *node->parent;
		break;
	case LIST_ENVIRONMENTS:
		break;
	default:
		environment.name = node->name + DIGEST_SIZE;
		environment.length = node->length - DIGEST_SIZE;
	}
	commands_environment(&caps->text, &environment);
}

static uint64_t
hash_of(struct caps * caps, enum list list,
    const struct tally_node * node)
{

	member_of(caps, list, node);
	buffer_append(&caps->text, lists[list].key,
	    strlen(lists[list].key));
	/* 0 means an empty entry. */
	return (digest_keyed_hash(caps->key, caps->text.bytes,
	    caps->text.length) | 1);
}

static uint64_t *
place_of(const struct caps * caps, uint64_t hash)
{

	return (&caps->known[(hash >> 1) % KNOWN_COUNT]);
}

/* Asking */

/* Count a dropped node as other caps do: an application by its buckets and
 * instances, an environment by its series. */
static void
drop(struct caps * caps, struct tally_node * node)
{
	uint64_t * dropped =
	    &caps->tally->dropped[lists[caps->list].drop];
	const struct tally_node * child, * series;

	node->call = TALLY_DROPPED;
	member_of(caps, caps->list, node);
	tally_drop_log(lists[caps->list].drop, caps->text.bytes,
	    caps->text.length, 1);
	if (caps->list == LIST_TOKENS)
		++*dropped;
	for (child = node->first; child != NULL; child = child->next) {
		if (caps->list == LIST_APPLICATIONS)
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
	struct caps * caps = context;
	size_t i;

	(void)number;
	/*
	 * If just this list cannot be asked, its members count: the caps do not
	 * hold them up, and they are asked for again the next time.
	 */
	if (reply->type == REDIS_ERROR) {
		session_note(caps->session, reply);
		return;
	}
	if (reply->type != REDIS_ARRAY ||
	    reply->count != caps->asked_count) {
		session_doubt(caps->session);
		return;
	}
	for (i = 0; i < reply->count; i++) {
		struct tally_node * node = caps->asked[i];
		uint64_t hash;

		if (reply->integers[i] != 1) {
			drop(caps, node);
			continue;
		}
		hash = hash_of(caps, caps->list, node);
		*place_of(caps, hash) = hash;
	}
}

/* Leave in caps->text P:{P:LIST}:shares, which a cluster keeps beside the list,
 * P:LIST.  Return that. */
static struct text
make_list_keys(struct caps * caps)
{
	struct buffer * text = &caps->text;
	const char * prefix = caps->settings->prefix;
	const char * key = lists[caps->list].key;
	struct text list;

	buffer_clear(text);
	buffer_append(text, prefix, strlen(prefix));
	buffer_append(text, ":{", 2);
	buffer_append(text, prefix, strlen(prefix));
	buffer_append(text, key, strlen(key));
	buffer_append(text, "}:shares", strlen("}:shares"));
	list.bytes = text->bytes + strlen(prefix) + 2;
	list.length = strlen(prefix) + strlen(key);
	return (list);
}

static void
request_admission(struct caps * caps)
{
	const struct sink_settings * settings = caps->settings;
	struct buffer * text = &caps->text;
	struct text key = make_list_keys(caps);
	struct buffer * requests;
	size_t limit = limit_of(caps, caps->list);
	size_t i;

	session_begin(caps->session);
	requests = session_request(caps->session, key.bytes, key.length);
	buffer_array(requests, 8 + 2 * caps->asked_count);
	buffer_text(requests, "EVALSHA");
	buffer_text(requests, cluster_script_digest(caps->session->cluster,
	    caps->script));
	buffer_integer(requests, 2);
	buffer_string(requests, key.bytes, key.length);
	buffer_string(requests, text->bytes, text->length);
	buffer_integer(requests, bucket_retention(settings));
	buffer_integer(requests, (int64_t)limit);
	/* Without this a sender of any environment could invent them. */
	buffer_integer(requests, (int64_t)(limit *
	    settings->limit_environments));
	for (i = 0; i < caps->asked_count; i++) {
		account_of(caps, caps->list, caps->asked[i]);
		buffer_string(requests, text->bytes, text->length);
		member_of(caps, caps->list, caps->asked[i]);
		buffer_string(requests, text->bytes, text->length);
	}
}

static bool
ask(struct caps * caps)
{
	struct session * session = caps->session;

	if (caps->asked_count == 0)
		return (true);
	do {
		if (clock_remaining(caps->deadline) == 0 ||
		    !session_reach(session, caps->deadline))
			return (false);
		request_admission(caps);
	} while (!session_exchange(session, caps->deadline, take_admission,
	    caps));
	caps->asked_count = 0;
	return (true);
}

/* Ask for a node, unless it is known, when enough have gathered. */
static bool
consider(struct caps * caps, struct tally_node * node)
{
	uint64_t hash = hash_of(caps, caps->list, node);

	if (*place_of(caps, hash) == hash)
		return (true);
	caps->asked[caps->asked_count++] = node;
	return (caps->asked_count < ASKED_MAX || ask(caps));
}

static bool
has_metrics(const struct tally_node * environment)
{
	const struct tally_node * node = environment->first;

	while (node != NULL && node->kind != TALLY_METRIC)
		node = node->next;
	return (node != NULL);
}

/* Ask about the members that a child of the tally's root has for this list. */
static bool
consider_root(struct caps * caps, struct tally_node * node)
{
	enum list list = caps->list;
	struct tally_node * child;

	if (node->kind == TALLY_TOKEN)
		return (list != LIST_TOKENS || consider(caps, node));
	if (list == LIST_ENVIRONMENTS)
		return (!has_metrics(node) || consider(caps, node));
	if (list == LIST_APPLICATIONS)
		for (child = node->first; child != NULL; child = child->next)
			if (child->kind == TALLY_APPLICATION &&
			    !consider(caps, child))
				return (false);
	return (true);
}

bool
caps_ask(struct caps * caps, struct tally * tally,
    int64_t deadline)
{
	struct tally_node * node;
	enum list list;

	forget_old(caps);
	caps->tally = tally;
	caps->deadline = deadline;
	for (list = 0; list < LIST_COUNT; list++) {
		if (limit_of(caps, list) == 0)
			continue;
		caps->list = list;
		caps->asked_count = 0;
		for (node = tally->root->first; node != NULL;
		    node = node->next)
			if (!consider_root(caps, node))
				return (false);
		if (!ask(caps))
			return (false);
	}
	return (true);
}
