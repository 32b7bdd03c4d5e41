#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/redis/sentinel.h"

/*
 * Which master can be trusted.  When the former master comes back after a
 * failover, two servers consider themselves the master, until the sentinels
 * make the former one a replica some ten seconds later.  All that was written
 * to it meanwhile is lost.  The sentinels do not agree at every moment,
 * either: the one that leads the failover learns first that the replica was
 * promoted, and the others from it.  So:
 *
 * All sentinels that answer are asked, and more than half of those listed have
 * to answer.  Each answer has the epoch of the sentinel's configuration, which
 * grows with each failover; the latest counts.
 *
 * While a failover is under way and the replica is not promoted yet, or the
 * sentinels agree that the master is down, there is no master.
 *
 * The caller asks the server that was found for its role.
 *
 * The connections stay open and are subscribed to +switch-master, so that a
 * failover from a master that still serves us is noticed.  Question and
 * subscription go out together: nothing can happen in between.
 */

#define HOST_MAX 255
#define WHY_MAX 300

enum question {
	QUESTION_ADDRESS,		/* The promoted one, if there is one. */
	QUESTION_MASTER,		/* Epoch, and state of the failover. */
	QUESTION_SUBSCRIBE,
	QUESTION_COUNT,
};

struct sentinel_answer {
	char host[HOST_MAX + 1];	/* Empty: none. */
	int port;
	int64_t epoch;
	bool down;			/* Or about to be replaced. */
	bool promoted;
	char error[WHY_MAX];
	char deaf[ERROR_REPLY_MAX];	/* Why it will not report, or empty. */
};

struct sentinel_node {
	struct redis_address address;
	struct redis * redis;
	struct sentinel_answer answer;
	bool asked;
	bool failed;			/* When it was asked last. */
};

struct sentinel {
	const struct redis_address * config;
	int64_t timeout;
	struct buffer requests;
	struct sentinel_node * nodes;		/* config->node_count */
	struct redis_node master;	/* The latest; no host: none yet. */
	char why[WHY_MAX];
};

struct sentinel *
sentinel_create(const struct redis_address * config, int64_t timeout,
    const char * name)
{
	struct sentinel * sentinel = alloc_zeroed(1, sizeof(*sentinel));
	size_t i;

	sentinel->config = config;
	sentinel->timeout = timeout;
	sentinel->nodes = alloc_zeroed(config->node_count,
	    sizeof(*sentinel->nodes));
	for (i = 0; i < config->node_count; i++) {
		struct sentinel_node * node = &sentinel->nodes[i];

		node->address = (struct redis_address){
			.kind = REDIS_ONE_SENTINEL,
			.tls = config->tls,
			.host = config->nodes[i].host,
			.port = config->nodes[i].port,
			.user = config->sentinel_user,
			.password = config->sentinel_password,
			.tls_settings = config->tls_settings,
		};
		node->redis = redis_create(&node->address, timeout, name);
	}
	buffer_array(&sentinel->requests, 3);
	buffer_text(&sentinel->requests, "SENTINEL");
	buffer_text(&sentinel->requests, "GET-MASTER-ADDR-BY-NAME");
	buffer_text(&sentinel->requests, config->master);
	buffer_array(&sentinel->requests, 3);
	buffer_text(&sentinel->requests, "SENTINEL");
	buffer_text(&sentinel->requests, "MASTER");
	buffer_text(&sentinel->requests, config->master);
	buffer_array(&sentinel->requests, 2);
	buffer_text(&sentinel->requests, "SUBSCRIBE");
	buffer_text(&sentinel->requests, "+switch-master");
	return (sentinel);
}

__attribute__((format(printf, 2, 3)))
static void
explain_why(char why[WHY_MAX], const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, WHY_MAX, format, arguments);
	va_end(arguments);
}

/* Answers */

static bool
read_port(const struct text * text, int * port)
{
	char * end;
	long number = strtol(text->bytes, &end, 10);

	*port = (int)number;
	return (end == text->bytes + text->length && number > 0 &&
	    number <= 65535);
}

static void
take_address(struct sentinel_answer * answer, const struct redis_reply * reply)
{
	struct text host, port;

	if (reply->type != REDIS_TEXTS || reply->count != 2) {
		explain_why(answer->error, "it does not know that master");
		return;
	}
	host = reply_text(reply, 0);
	port = reply_text(reply, 1);
	if (host.length == 0 || host.length > HOST_MAX ||
	    memchr(host.bytes, '\0', host.length) != NULL ||
	    !read_port(&port, &answer->port)) {
		explain_why(answer->error, "it names no address");
		return;
	}
	memcpy(answer->host, host.bytes, host.length);
	answer->host[host.length] = '\0';
}

static bool
has_flag(struct text flags, const char * flag)
{
	const char * end = flags.bytes + flags.length;
	const char * comma;

	for (; flags.bytes <= end; flags.bytes = comma + 1) {
		comma = memchr(flags.bytes, ',', (size_t)(end - flags.bytes));
		if (comma == NULL)
			comma = end;
		flags.length = (size_t)(comma - flags.bytes);
		if (text_is(&flags, flag))
			return (true);
	}
	return (false);
}

/* Pairs of a name and a value; all are strings of C, too. */
static void
take_master(struct sentinel_answer * answer, const struct redis_reply * reply)
{
	struct text name, value;
	bool other = false;
	size_t i;
	int port;

	answer->epoch = -1;
	for (i = 0; reply->type == REDIS_TEXTS && i + 1 < reply->count;
	    i += 2) {
		name = reply_text(reply, i);
		value = reply_text(reply, i + 1);
		if (text_is(&name, "ip"))
			other = other || !text_is(&value, answer->host);
		else if (text_is(&name, "port"))
			other = other || !read_port(&value, &port) ||
			    port != answer->port;
		else if (text_is(&name, "flags"))
			answer->down = has_flag(value, "o_down") ||
			    has_flag(value, "failover_in_progress");
		else if (text_is(&name, "config-epoch"))
			answer->epoch = strtoll(value.bytes, NULL, 10);
	}
	/* The address is that of the promoted replica already. */
	answer->promoted = other;
	if (answer->epoch < 0)
		explain_why(answer->error, "it does not report the state of "
		    "that master");
}

static void
take_answer(void * context, size_t number, const struct redis_reply * reply)
{
	struct sentinel_answer * answer = context;

	if (answer->error[0] != '\0')
		return;
	if (number == QUESTION_SUBSCRIBE) {
		if (reply->type == REDIS_ERROR)
			error_reply_print(&reply->error, answer->deaf);
		return;
	}
	if (reply->error.code == ERROR_UNKNOWN_COMMAND)
		explain_why(answer->error, "it is no sentinel");
	else if (reply->type == REDIS_ERROR)
		error_reply_print(&reply->error, answer->error);
	else if (number == QUESTION_ADDRESS)
		take_address(answer, reply);
	else
		take_master(answer, reply);
}

/* Asking */

static void
ask_sentinel(struct sentinel * sentinel, struct sentinel_node * node,
    int64_t deadline)
{
	struct sentinel_answer * answer = &node->answer;

	memset(answer, 0, sizeof(*answer));
	node->asked = true;
	/* A connection that is subscribed takes no questions. */
	redis_close(node->redis);
	if (redis_attempt(node->redis, deadline) != 0 ||
	    redis_exchange(node->redis, &sentinel->requests, QUESTION_COUNT,
	    deadline, take_answer, answer) != 0)
		explain_why(answer->error, "%s", redis_error(node->redis));
	node->failed = answer->error[0] != '\0';
	/* It is asked again when the master fails, so all goes on. */
	if (answer->deaf[0] != '\0' && !node->failed)
		log_warning_limited("sentinel %s:%d will not report a "
		    "failover: %s", node->address.host, node->address.port,
		    answer->deaf);
	if (!node->failed)
		return;
	redis_close(node->redis);
	explain_why(sentinel->why, "sentinel %s:%d: %s", node->address.host,
	    node->address.port, answer->error);
	log_debug("%s", sentinel->why);
}

/* Ask those that answered the last time, or the others, and return how many
 * did. */
static size_t
ask_nodes(struct sentinel * sentinel, bool failed, int64_t deadline)
{
	size_t left = 0;
	size_t answers = 0;
	size_t i;

	for (i = 0; i < sentinel->config->node_count; i++)
		left += !sentinel->nodes[i].asked &&
		    sentinel->nodes[i].failed == failed;
	for (i = 0; i < sentinel->config->node_count && left > 0; i++) {
		struct sentinel_node * node = &sentinel->nodes[i];

		if (node->asked || node->failed != failed)
			continue;
		/* A silent one must not use up the others' time. */
		ask_sentinel(sentinel, node, clock_monotonic() +
		    clock_remaining(deadline) / (int)left--);
		answers += !node->failed;
	}
	return (answers);
}

/* Return the answer with the latest epoch, or NULL if that says that there is
 * no master. */
static const struct sentinel_answer *
latest_answer(struct sentinel * sentinel)
{
	const struct sentinel_answer * latest = NULL;
	size_t i;

	for (i = 0; i < sentinel->config->node_count; i++) {
		const struct sentinel_node * node = &sentinel->nodes[i];

		if (node->asked && !node->failed && (latest == NULL ||
		    node->answer.epoch > latest->epoch))
			latest = &node->answer;
	}
	for (i = 0; latest != NULL && i < sentinel->config->node_count; i++) {
		const struct sentinel_node * node = &sentinel->nodes[i];

		if (!node->asked || node->failed || !node->answer.down ||
		    node->answer.promoted ||
		    node->answer.epoch < latest->epoch)
			continue;
		explain_why(sentinel->why, "sentinel %s:%d considers the "
		    "master %s:%d down", node->address.host, node->address.port,
		    node->answer.host, node->answer.port);
		return (NULL);
	}
	return (latest);
}

static void
keep_master(struct sentinel * sentinel, const struct sentinel_answer * answer)
{
	struct redis_node * master = &sentinel->master;

	if (master->host != NULL && strcmp(master->host, answer->host) == 0 &&
	    master->port == answer->port)
		return;
	if (master->host != NULL)
		log_info_limited("Sentinel names %s:%d as the master in place "
		    "of %s:%d", answer->host, answer->port, master->host,
		    master->port);
	free(master->host);
	master->host = alloc_string(answer->host);
	master->port = answer->port;
}

const struct redis_node *
sentinel_find(struct sentinel * sentinel, int64_t deadline)
{
	size_t count = sentinel->config->node_count;
	const struct sentinel_answer * answer;
	size_t answers, i;

	for (i = 0; i < count; i++)
		sentinel->nodes[i].asked = false;
	answers = ask_nodes(sentinel, false, deadline);
	if (answers <= count / 2)
		answers += ask_nodes(sentinel, true, deadline);
	if (answers <= count / 2) {
		char last[WHY_MAX];

		memcpy(last, sentinel->why, sizeof(last));
		explain_why(sentinel->why, "%zu of %zu sentinels name a "
		    "master, but %zu are needed: %s", answers, count,
		    count / 2 + 1, last);
		return (NULL);
	}
	answer = latest_answer(sentinel);
	if (answer == NULL)
		return (NULL);
	keep_master(sentinel, answer);
	return (&sentinel->master);
}

bool
sentinel_has_news(struct sentinel * sentinel)
{
	bool news = false;
	size_t i;

	for (i = 0; i < sentinel->config->node_count; i++)
		news = redis_has_message(sentinel->nodes[i].redis) || news;
	return (news);
}

const char *
sentinel_why(const struct sentinel * sentinel)
{

	return (sentinel->why);
}

void
sentinel_free(struct sentinel * sentinel)
{
	size_t i;

	if (sentinel == NULL)
		return;
	for (i = 0; i < sentinel->config->node_count; i++)
		redis_free(sentinel->nodes[i].redis);
	free(sentinel->nodes);
	free(sentinel->master.host);
	buffer_free(&sentinel->requests);
	free(sentinel);
}
