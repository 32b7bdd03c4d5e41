#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/redis/cluster.h"
#include "lib/redis/slots.h"

/*
 * An exchange with a cluster goes in rounds.  In each one the requests that
 * have no reply yet go to the masters that have their slots, all are sent
 * before the first reply is read, and each reply is passed on, or names another
 * node (MOVED, ASK), and the next round sends the same bytes there.  That node
 * is the first that can apply them.  A request without a reply may have been
 * applied, so it is left to the caller, who then knows that it was sent before.
 * A connection that broke is made once more, as servers close idle ones; after
 * that, or if it was silent, its master is away.
 *
 * No request waits for a master that is known to be away.  It is tried again at
 * growing intervals (redis_connect), when all others have replied.
 *
 * MOVED can be newer than the map of the node that sends it, as nodes learn of
 * changes one after the other.
 */
#define ROUNDS 8

/* Milliseconds between two readings of the map. */
#define RENEW_INTERVAL 100

#define SCRIPTS_MAX 5
#define ERROR_MAX 400

struct cluster_node {
	struct cluster * cluster;
	struct redis_address address;
	struct redis * redis;
	bool listed;			/* In the map that is being read, */
	bool wanted;			/* or a request was sent there. */
	bool blamed;			/* Its replies are errors of its own. */
	bool broke;			/* Its connection, since it served. */
	bool took_part;			/* In the exchange. */
	/* Of the round: its requests by their numbers; ASKING has none. */
	struct buffer requests;
	size_t * numbers;
	size_t count, size;
};

#define NO_NUMBER SIZE_MAX

enum request_state {
	REQUEST_WAITS,
	REQUEST_SENT,
	REQUEST_ANSWERED,
	REQUEST_AWAY,
};

struct routed {
	size_t offset;			/* In cluster->requests. */
	unsigned int slot;
	enum request_state state;
	struct cluster_node * node;	/* To which it was redirected, */
	bool asking;			/* by ASK. */
};

struct cluster {
	const struct redis_address * config;
	int64_t timeout;
	const char * name;
	size_t window;			/* See redis_pace. */
	bool is_one;			/* There is one server, nodes[0]. */
	struct cluster_node ** nodes;
	size_t node_count;
	struct buffer requests;
	size_t count;

	/* All that follows is of a cluster. */
	struct routed * list;
	size_t size;
	struct cluster_node ** owners;	/* Of each slot; NULL: unknown. */
	struct cluster_node * asked;	/* Its map is being read. */
	bool stale;			/* The map has to be read again. */
	int64_t next_renewal;
	size_t script_count;
	const char * scripts[SCRIPTS_MAX];
	char digests[SCRIPTS_MAX][REDIS_DIGEST_LENGTH + 1];
	int64_t ahead;			/* Of a node's clock; 0: none. */
	bool confirm;			/* Of the exchange at hand. */
	redis_take * take;
	void * context;
	size_t answered, away, lost;	/* Requests; away counts the lost. */
	struct cluster_node * replying;	/* Its reply is being taken. */
	char error[ERROR_MAX];
	bool timed_out;
};

/* Nodes */

static struct cluster_node *
add_node(struct cluster * cluster, const struct redis_address * address)
{
	struct cluster_node * node = alloc_zeroed(1, sizeof(*node));
	size_t i;

	node->cluster = cluster;
	node->address = *address;
	node->redis = redis_create(&node->address, cluster->timeout,
	    cluster->name);
	redis_pace(node->redis, cluster->window);
	for (i = 0; i < cluster->script_count; i++)
		redis_script(node->redis, cluster->scripts[i]);
	cluster->nodes = alloc_resize(cluster->nodes, cluster->node_count + 1,
	    sizeof(struct cluster_node *));
	cluster->nodes[cluster->node_count++] = node;
	return (node);
}

/* Return the node with this address, which is added if it is new. */
static struct cluster_node *
find_node(struct cluster * cluster, struct text host, int port)
{
	struct redis_address new = *cluster->config;
	size_t i;

	for (i = 0; i < cluster->node_count; i++) {
		const struct redis_address * address =
		    &cluster->nodes[i]->address;

		if (address->port == port && text_is(&host, address->host))
			return (cluster->nodes[i]);
	}
	new.host = alloc_copy(host.bytes, host.length);
	new.port = port;
	return (add_node(cluster, &new));
}

static void
free_node(struct cluster_node * node)
{

	redis_free(node->redis);
	if (!node->cluster->is_one)
		free(node->address.host);
	buffer_free(&node->requests);
	free(node->numbers);
	free(node);
}

struct cluster *
cluster_create(const struct redis_address * config, int64_t timeout,
    const char * name)
{
	struct cluster * cluster = alloc_zeroed(1, sizeof(*cluster));

	cluster->config = config;
	cluster->timeout = timeout;
	cluster->name = name;
	cluster->is_one = config->kind != REDIS_CLUSTER;
	if (cluster->is_one)
		add_node(cluster, config)->took_part = true;
	else
		cluster->owners = alloc_zeroed(SLOTS_COUNT,
		    sizeof(struct cluster_node *));
	return (cluster);
}

bool
cluster_is_one(const struct cluster * cluster)
{

	return (cluster->is_one);
}

void
cluster_pace(struct cluster * cluster, size_t window)
{
	size_t i;

	cluster->window = window;
	for (i = 0; i < cluster->node_count; i++)
		redis_pace(cluster->nodes[i]->redis, window);
}

size_t
cluster_script(struct cluster * cluster, const char * text)
{

	if (cluster->script_count == SCRIPTS_MAX)
		abort();
	if (cluster->is_one)
		redis_script(cluster->nodes[0]->redis, text);
	cluster->scripts[cluster->script_count] = text;
	return (cluster->script_count++);
}

const char *
cluster_script_digest(const struct cluster * cluster, size_t script)
{

	return (cluster->digests[script]);
}

/* Free the nodes that the map does not list and no request waits for. */
static void
remove_unlisted(struct cluster * cluster)
{
	size_t kept = 0;
	size_t i;

	for (i = 0; i < cluster->node_count; i++) {
		struct cluster_node * node = cluster->nodes[i];

		if (node->listed || node->wanted)
			cluster->nodes[kept++] = node;
		else
			free_node(node);
	}
	cluster->node_count = kept;
}

/* Return the node to which a request is to go, or NULL. */
static struct cluster_node *
target_of(const struct cluster * cluster, const struct routed * request)
{

	return (request->node != NULL ? request->node :
	    cluster->owners[request->slot]);
}

/* A node has failed: perhaps another one has its slots by now. */
static void
keep_error(struct cluster_node * node)
{
	struct cluster * cluster = node->cluster;

	if (cluster->is_one)
		return;
	snprintf(cluster->error, sizeof(cluster->error), "%s:%d: %s",
	    node->address.host, node->address.port, redis_error(node->redis));
	cluster->timed_out = redis_timed_out(node->redis);
	cluster->stale = true;
}

static void
set_away(struct cluster_node * node, const char * trouble)
{

	redis_back_off(node->redis, trouble);
	keep_error(node);
}

/* Half of the time that is left, as it may be the wrong node to wait for. */
static int64_t
half_until(int64_t deadline)
{

	return (clock_monotonic() + clock_remaining(deadline) / 2);
}

static bool
connect_node(struct cluster_node * node, int64_t deadline)
{
	struct cluster * cluster = node->cluster;
	size_t i;

	if (redis_connect(node->redis, deadline) != 0) {
		keep_error(node);
		return (false);
	}
	/* A script has the same name everywhere. */
	for (i = 0; i < cluster->script_count; i++)
		memcpy(cluster->digests[i], redis_script_digest(node->redis,
		    i), sizeof(cluster->digests[i]));
	if (redis_time(node->redis) != 0)
		cluster->ahead = redis_time(node->redis) - clock_monotonic();
	return (true);
}

/* Return whether there is a connection, or one could be made now. */
static bool
open_node(struct cluster_node * node, int64_t deadline)
{

	return (redis_is_connected(node->redis) ||
	    (clock_remaining(redis_next_attempt(node->redis)) == 0 &&
	    connect_node(node, half_until(deadline))));
}

/* The map */

static void
set_owners(void * context, unsigned int first, unsigned int last,
    struct text host, int port)
{
	struct cluster * cluster = context;
	struct cluster_node * node;
	size_t slot;

	if (host.bytes == NULL)
		host = text_of(cluster->asked->address.host);
	node = find_node(cluster, host, port);
	node->listed = true;
	for (slot = first; slot <= last; slot++)
		cluster->owners[slot] = node;
}

static void
take_map(void * context, size_t number, const struct redis_reply * reply)
{
	struct cluster * cluster = context;
	bool tls = cluster->config->tls;
	size_t i;

	(void)number;
	if (reply->type == REDIS_ERROR)
		error_reply_print(&reply->error, cluster->error);
	else if (!slots_read(reply->part, tls, NULL, NULL))
		snprintf(cluster->error, sizeof(cluster->error),
		    "a reply to CLUSTER that names no master");
	else {
		memset(cluster->owners, 0, SLOTS_COUNT *
		    sizeof(struct cluster_node *));
		for (i = 0; i < cluster->node_count; i++)
			cluster->nodes[i]->listed = false;
		slots_read(reply->part, tls, set_owners, cluster);
		cluster->stale = false;
	}
}

/* Ask a node for the map.  Return whether it has one. */
static bool
ask_node(struct cluster_node * node, const char * command, int64_t deadline)
{
	struct cluster * cluster = node->cluster;
	struct buffer request = { NULL, 0, 0 };

	cluster->asked = node;
	cluster->stale = true;
	buffer_array(&request, 2);
	buffer_text(&request, "CLUSTER");
	buffer_text(&request, command);
	if (redis_exchange(node->redis, &request, 1, half_until(deadline),
	    take_map, cluster) != 0)
		set_away(node, NULL);
	buffer_free(&request);
	return (!cluster->stale);
}

/* The redirections by MOVED are newer than the map. */
static void
keep_redirections(struct cluster * cluster)
{
	size_t i;

	for (i = 0; i < cluster->count; i++) {
		const struct routed * request = &cluster->list[i];

		if (request->node != NULL && !request->asking)
			cluster->owners[request->slot] = request->node;
	}
}

/* Read the map from a node.  Return whether it has one. */
static bool
renew_from(struct cluster_node * node, int64_t deadline)
{
	struct cluster * cluster = node->cluster;

	if (!open_node(node, deadline))
		return (false);
	/* The second one is that of Redis before 7. */
	if (!ask_node(node, "SHARDS", deadline) &&
	    (!redis_is_connected(node->redis) ||
	    !ask_node(node, "SLOTS", deadline))) {
		if (redis_is_connected(node->redis))
			set_away(node, cluster->error);
		return (false);
	}
	keep_redirections(cluster);
	remove_unlisted(cluster);
	return (true);
}

/*
 * Read the map from the first node that has it: those to which there is a
 * connection come first, then all others, at last those of the URL.
 */
static bool
renew(struct cluster * cluster, int64_t deadline)
{
	const struct redis_node * seeds = cluster->config->nodes;
	size_t i;

	cluster->next_renewal = clock_monotonic() + RENEW_INTERVAL;
	for (i = 0; i < cluster->node_count; i++)
		if (redis_is_connected(cluster->nodes[i]->redis) &&
		    renew_from(cluster->nodes[i], deadline))
			return (true);
	for (i = 0; i < cluster->config->node_count; i++)
		find_node(cluster, text_of(seeds[i].host), seeds[i].port);
	for (i = 0; i < cluster->node_count; i++)
		if (renew_from(cluster->nodes[i], deadline))
			return (true);
	return (false);
}

int64_t
cluster_next_attempt(const struct cluster * cluster)
{
	int64_t first = 0;
	size_t i;

	for (i = 0; i < cluster->node_count; i++) {
		int64_t next = redis_next_attempt(cluster->nodes[i]->redis);

		if (next != 0 && (first == 0 || next < first))
			first = next;
	}
	return (first == 0 && cluster->stale ? cluster->next_renewal : first);
}

bool
cluster_is_connected(struct cluster * cluster)
{
	size_t i;

	for (i = 0; i < cluster->node_count; i++)
		if (redis_is_current(cluster->nodes[i]->redis))
			return (true);
	return (false);
}

int
cluster_connect(struct cluster * cluster, int64_t deadline)
{
	int64_t next;

	if (cluster_is_connected(cluster))
		return (0);
	if (cluster->is_one)
		return (connect_node(cluster->nodes[0], deadline) ? 0 : -1);
	next = cluster_next_attempt(cluster);
	if (next >= deadline)
		return (-1);
	poll(NULL, 0, clock_remaining(next));
	return (renew(cluster, deadline) ? 0 : -1);
}

int64_t
cluster_time(const struct cluster * cluster, const char * key, size_t length)
{
	const struct routed request = { .slot = slots_of_key(key, length) };
	const struct cluster_node * node = cluster->is_one ? cluster->nodes[0] :
	    target_of(cluster, &request);
	int64_t time = node == NULL ? 0 : redis_time(node->redis);

	return (time != 0 || cluster->ahead == 0 ? time :
	    cluster->ahead + clock_monotonic());
}

/* Requests */

void
cluster_begin(struct cluster * cluster)
{

	buffer_clear(&cluster->requests);
	cluster->count = 0;
}

struct buffer *
cluster_request(struct cluster * cluster, const char * key, size_t length)
{
	struct routed * request;

	if (cluster->is_one) {
		cluster->count++;
		return (&cluster->requests);
	}
	if (cluster->count == cluster->size) {
		cluster->size = 2 * cluster->size + 16;
		cluster->list = alloc_resize(cluster->list, cluster->size,
		    sizeof(*cluster->list));
	}
	request = &cluster->list[cluster->count++];
	memset(request, 0, sizeof(*request));
	request->offset = cluster->requests.length;
	request->slot = slots_of_key(key, length);
	return (&cluster->requests);
}

size_t
cluster_size(const struct cluster * cluster)
{

	return (cluster->requests.length);
}

/* An exchange */

static void
append_request(struct cluster_node * node, size_t number)
{
	const struct cluster * cluster = node->cluster;
	struct routed * request = &cluster->list[number];
	size_t end = number + 1 < cluster->count ? request[1].offset :
	    cluster->requests.length;

	if (node->count + 2 > node->size) {
		node->size = 2 * node->size + 16;
		node->numbers = alloc_resize(node->numbers, node->size,
		    sizeof(*node->numbers));
	}
	if (request->asking) {
		buffer_array(&node->requests, 1);
		buffer_text(&node->requests, "ASKING");
		node->numbers[node->count++] = NO_NUMBER;
	}
	buffer_append(&node->requests, cluster->requests.bytes +
	    request->offset, end - request->offset);
	node->numbers[node->count++] = number;
	request->state = REQUEST_SENT;
}

/* Divide the requests that wait among the nodes. */
static void
assemble_round(struct cluster * cluster, int round, int64_t deadline)
{
	size_t i;

	for (i = 0; i < cluster->node_count; i++) {
		struct cluster_node * node = cluster->nodes[i];

		buffer_clear(&node->requests);
		node->count = 0;
		if (round == 0)
			node->blamed = node->took_part = false;
	}
	for (i = 0; i < cluster->count; i++) {
		struct routed * request = &cluster->list[i];
		struct cluster_node * node = target_of(cluster, request);

		if (request->state != REQUEST_WAITS)
			continue;
		if (round == 0 && node != NULL &&
		    redis_next_attempt(node->redis) != 0)
			continue;
		if (node != NULL && open_node(node, deadline))
			append_request(node, i);
		else {
			request->state = REQUEST_AWAY;
			cluster->away++;
		}
	}
}

/* Send a request to the node that the error names.  Return false if it is no
 * such error. */
static bool
redirect(struct cluster_node * from, struct routed * request,
    const struct redis_reply * reply)
{
	struct cluster * cluster = from->cluster;
	struct text host;
	unsigned int slot;
	int port;

	if (!slots_redirection(&reply->error, &slot, &host, &port))
		return (false);
	if (host.bytes == NULL)
		host = text_of(from->address.host);
	request->node = find_node(cluster, host, port);
	request->node->wanted = true;
	request->asking = reply->error.code == ERROR_ASK;
	request->state = REQUEST_WAITS;
	if (!request->asking) {
		cluster->owners[request->slot] = request->node;
		cluster->stale = true;
	}
	return (true);
}

static void
take_reply_of_node(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct cluster_node * node = context;
	struct cluster * cluster = node->cluster;
	struct routed * request;

	if (node->numbers[number] == NO_NUMBER)
		return;
	request = &cluster->list[node->numbers[number]];
	if (redirect(node, request, reply))
		return;
	/* There is a second reply if replicas have not confirmed the first. */
	if (request->state == REQUEST_WAITS)
		return;
	cluster->answered += request->state == REQUEST_SENT;
	request->state = REQUEST_ANSWERED;
	cluster->replying = node;
	cluster->take(cluster->context, node->numbers[number], reply);
	cluster->replying = NULL;
}

/* The connection failed; if it was silent, or again, the master is away. */
static void
conclude_node(struct cluster_node * node)
{
	struct cluster * cluster = node->cluster;
	bool away = node->broke || redis_timed_out(node->redis);
	size_t i;

	keep_error(node);
	if (away)
		redis_back_off(node->redis, NULL);
	node->broke = true;
	for (i = 0; i < node->count; i++) {
		size_t number = node->numbers[i];

		if (number == NO_NUMBER ||
		    cluster->list[number].state != REQUEST_SENT)
			continue;
		cluster->list[number].state = REQUEST_AWAY;
		cluster->away++;
		cluster->lost += !away;
	}
}

static void
run_round(struct cluster * cluster, int64_t deadline)
{
	/* Replies may add nodes. */
	struct redis ** sending = alloc_zeroed(cluster->node_count + 1,
	    sizeof(struct redis *));
	size_t count = 0;
	size_t i;

	for (i = 0; i < cluster->node_count; i++) {
		struct cluster_node * node = cluster->nodes[i];

		if (node->count == 0)
			continue;
		node->took_part = true;
		if (cluster->confirm)
			redis_confirm(node->redis, deadline);
		redis_send(node->redis, &node->requests, node->count,
		    take_reply_of_node, node);
		sending[count++] = node->redis;
	}
	redis_receive(sending, count, deadline);
	free(sending);
	for (i = 0; i < cluster->node_count; i++)
		if (cluster->nodes[i]->count > 0 &&
		    !redis_is_connected(cluster->nodes[i]->redis))
			conclude_node(cluster->nodes[i]);
}

/* Pass on an error in place of each missing reply. */
static void
answer_for_away(struct cluster * cluster)
{
	struct redis_reply reply = { .type = REDIS_ERROR };
	char text[ERROR_MAX + 40];
	size_t i;

	reply.text = "";
	for (i = 0; i < cluster->count; i++) {
		const struct routed * request = &cluster->list[i];
		const struct cluster_node * node = target_of(cluster, request);

		if (request->state == REQUEST_ANSWERED)
			continue;
		snprintf(text, sizeof(text), "AWAY %s:%d: %s",
		    node == NULL ? "slot" : node->address.host, node == NULL ?
		    (int)request->slot : node->address.port, node == NULL ?
		    "no node is known to have it" : request->state ==
		    REQUEST_WAITS ? "a slot moves from node to node" :
		    redis_error(node->redis));
		reply.error = error_reply_of(text_of(text), NULL);
		cluster->take(cluster->context, i, &reply);
	}
}

/* The end of an exchange, after which no node is wanted. */
static int
conclude_exchange(struct cluster * cluster)
{
	int result = cluster->answered == cluster->count ? 0 :
	    cluster->lost == 0 && cluster_is_connected(cluster) ? 1 : -1;
	size_t i;

	if (result == 1)
		answer_for_away(cluster);
	for (i = 0; i < cluster->node_count; i++)
		cluster->nodes[i]->wanted = false;
	cluster->count = 0;
	return (result);
}

int
cluster_exchange(struct cluster * cluster, bool confirm, int64_t deadline,
    redis_take * take, void * context)
{
	int64_t limit = clock_monotonic() + cluster->timeout;
	int round;

	if (cluster->is_one) {
		if (confirm)
			redis_confirm(cluster->nodes[0]->redis, deadline);
		return (redis_exchange(cluster->nodes[0]->redis,
		    &cluster->requests, cluster->count, deadline, take,
		    context));
	}
	if (limit > deadline)
		limit = deadline;
	cluster->confirm = confirm;
	cluster->take = take;
	cluster->context = context;
	cluster->timed_out = false;
	cluster->answered = cluster->away = cluster->lost = 0;
	for (round = 0; round < ROUNDS && cluster->answered + cluster->away <
	    cluster->count; round++) {
		if (cluster->stale &&
		    clock_remaining(cluster->next_renewal) == 0)
			renew(cluster, limit);
		assemble_round(cluster, round, limit);
		run_round(cluster, limit);
	}
	return (conclude_exchange(cluster));
}

void
cluster_blame(struct cluster * cluster)
{

	if (cluster->replying != NULL)
		cluster->replying->blamed = true;
}

void
cluster_back_off(struct cluster * cluster, const char * trouble)
{
	bool any = false;
	size_t i;

	for (i = 0; i < cluster->node_count; i++)
		any = any || cluster->nodes[i]->blamed;
	for (i = 0; i < cluster->node_count; i++)
		if (any ? cluster->nodes[i]->blamed :
		    cluster->nodes[i]->took_part)
			set_away(cluster->nodes[i], trouble);
}

void
cluster_serves(struct cluster * cluster)
{
	size_t i;

	for (i = 0; i < cluster->node_count; i++)
		if (cluster->nodes[i]->took_part &&
		    redis_is_connected(cluster->nodes[i]->redis)) {
			redis_serves(cluster->nodes[i]->redis);
			cluster->nodes[i]->broke = false;
		}
}

void
cluster_load(struct cluster * cluster, int64_t deadline)
{
	size_t i;

	for (i = 0; i < cluster->node_count; i++)
		if (redis_is_connected(cluster->nodes[i]->redis))
			redis_load(cluster->nodes[i]->redis, deadline);
}

const char *
cluster_error(const struct cluster * cluster)
{

	return (cluster->is_one ? redis_error(cluster->nodes[0]->redis) :
	    cluster->error);
}

bool
cluster_timed_out(const struct cluster * cluster)
{

	return (cluster->is_one ? redis_timed_out(cluster->nodes[0]->redis) :
	    cluster->timed_out);
}

void
cluster_free(struct cluster * cluster)
{
	size_t i;

	if (cluster == NULL)
		return;
	for (i = 0; i < cluster->node_count; i++)
		free_node(cluster->nodes[i]);
	buffer_free(&cluster->requests);
	free(cluster->list);
	free(cluster->nodes);
	free(cluster->owners);
	free(cluster);
}
