#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/redis/link.h"
#include "lib/redis/redis.h"
#include "lib/redis/sentinel.h"

/* Milliseconds until the next attempt after one failed, doubled each time. */
#define BACKOFF_MIN 50
#define BACKOFF_MAX 1000

#define SCRIPTS_MAX 5

/* One for all connections: when Redis is away it is so for each of them. */
static struct log_limit away_limit;

/* A server is near if the log-in takes so many milliseconds. */
#define NEAR 5

struct script {
	const char * text;
	char digest[REDIS_DIGEST_LENGTH + 1];
};

struct redis {
	struct link * link;
	const struct redis_address * config;
	const char * name;
	int64_t timeout;
	struct sentinel * sentinel;	/* NULL: the server is known. */
	size_t window;			/* See redis_pace. */
	int64_t distance;		/* What the log-in took, in ms. */
	bool ready;			/* Logged in, scripts loaded. */
	int64_t ahead;			/* Its clock, of clock_monotonic. */
	bool timed;			/* It was asked once. */
	int64_t next_attempt;
	int64_t backoff;
	struct script scripts[SCRIPTS_MAX];
	size_t script_count;
	struct buffer requests;		/* Of the log-in. */
	struct confirm confirm;
	int64_t confirm_limit;		/* Of the next exchange; 0: it need
					 * not be confirmed. */
	/* Of the exchange under way. */
	bool unconfirmed;		/* It has to be. */
	size_t confirmations;		/* Replies that say whether it is. */
	size_t replies, expected;	/* Without these. */
	redis_take * take;
	void * context;
};

struct redis *
redis_create(const struct redis_address * config, int64_t timeout,
    const char * name)
{
	struct redis * redis = alloc_zeroed(1, sizeof(*redis));

	redis->config = config;
	redis->timeout = timeout;
	redis->name = name;
	redis->confirm = config->confirm;
	if (config->kind == REDIS_SENTINEL)
		redis->sentinel = sentinel_create(config, timeout, name);
	redis->link = link_create(config);
	return (redis);
}

void
redis_pace(struct redis * redis, size_t window)
{

	redis->window = window;
}

size_t
redis_script(struct redis * redis, const char * text)
{

	if (redis->script_count == SCRIPTS_MAX)
		abort();
	redis->scripts[redis->script_count].text = text;
	return (redis->script_count++);
}

const char *
redis_script_digest(const struct redis * redis, size_t script)
{

	return (redis->scripts[script].digest);
}

/* The replies that were taken are not to be relied on. */
static void
retract_replies(struct redis * redis, const char * why)
{
	struct redis_reply reply = { .type = REDIS_UNCONFIRMED, .text = why,
	    .length = strlen(why) };
	size_t i;

	redis->unconfirmed = false;
	for (i = 0; i < redis->replies; i++)
		redis->take(redis->context, i, &reply);
}

/* Take one of the confirmations; every one has to be good. */
static void
take_confirmation(struct redis * redis, size_t number,
    const struct redis_reply * reply)
{
	char why[CONFIRM_WHY_MAX];

	if (!redis->unconfirmed)
		return;
	if (!confirm_take(&redis->confirm, reply, why))
		retract_replies(redis, why);
	else if (number == redis->confirmations - 1)
		redis->unconfirmed = false;
}

static void
take_any(void * context, size_t number, const struct redis_reply * reply)
{
	struct redis * redis = context;

	if (number >= redis->expected) {
		take_confirmation(redis, number - redis->expected, reply);
		return;
	}
	redis->take(redis->context, number, reply);
	redis->replies++;
}

static int
ask_confirmation(struct redis * redis)
{
	struct buffer * requests = &redis->requests;

	buffer_clear(requests);
	redis->confirmations = confirm_request(&redis->confirm,
	    redis->confirm_limit, requests);
	redis->confirm_limit = 0;
	return (link_append(redis->link, requests));
}

int
redis_send(struct redis * redis, const struct buffer * requests, size_t count,
    redis_take * take, void * context)
{

	redis->replies = 0;
	redis->expected = count;
	redis->take = take;
	redis->context = context;
	redis->unconfirmed = redis->confirm_limit > 0;
	redis->confirmations = 0;
	link_pace(redis->link, redis->distance > NEAR ? 0 : redis->window);
	if (link_append(redis->link, requests) != 0 ||
	    (redis->unconfirmed && ask_confirmation(redis) != 0))
		return (-1);
	return (link_send(redis->link, count + redis->confirmations, take_any,
	    redis));
}

void
redis_receive(struct redis * const * list, size_t count, int64_t deadline)
{
	struct link ** links = alloc_zeroed(count, sizeof(*links));
	size_t i;

	for (i = 0; i < count; i++)
		links[i] = list[i]->link;
	link_receive(links, count, deadline);
	free(links);
	for (i = 0; i < count; i++) {
		struct redis * redis = list[i];

		if (!redis->unconfirmed)
			continue;
		if (link_timed_out(redis->link) &&
		    redis->replies == redis->expected)
			link_fail(redis->link, true, "replicas do not confirm "
			    "the counts in time");
		retract_replies(redis, redis_error(redis));
	}
}

/* The end of a step: each may take the time-out at most. */
static int64_t
within(const struct redis * redis, int64_t deadline)
{
	int64_t timeout = clock_monotonic() + redis->timeout;

	return (timeout < deadline ? timeout : deadline);
}

void
redis_confirm(struct redis * redis, int64_t deadline)
{

	if (redis->confirm.replicas == 0 && !redis->confirm.aof)
		return;
	/* The server's answer has to arrive before we give up. */
	redis->confirm_limit = clock_remaining(within(redis, deadline)) * 3 /
	    4 + 1;
}

int
redis_exchange(struct redis * redis, const struct buffer * requests,
    size_t count, int64_t deadline, redis_take * take, void * context)
{

	if (redis_send(redis, requests, count, take, context) != 0)
		return (-1);
	redis_receive(&redis, 1, within(redis, deadline));
	return (link_is_open(redis->link) ? 0 : -1);
}

void
redis_serves(struct redis * redis)
{

	if (redis->backoff > 0 && log_ended(&away_limit))
		log_info("Redis serves again");
	redis->backoff = 0;
}

/* Log-in. */

struct greeting {
	struct redis * redis;
	size_t time;			/* The request of the time. */
	size_t optional;		/* The request that may fail. */
	size_t role;			/* The request of the role. */
	size_t first_script;
	char error[ERROR_REPLY_MAX];
	char last_words[ERROR_REPLY_MAX]; /* Unless more replies came. */
	bool unknown;			/* A command was, by the error. */
	bool answered;
};

/* Read the server's clock: seconds, and microseconds of the next one. */
static void
take_time(struct greeting * greeting, const struct redis_reply * reply)
{
	struct redis * redis = greeting->redis;

	if (reply->type != REDIS_TEXTS || reply->count != 2) {
		snprintf(greeting->error, sizeof(greeting->error),
		    "a reply to TIME that makes no sense");
		return;
	}
	/* Each is a string of C. */
	redis->ahead = strtoll(reply_text(reply, 0).bytes, NULL, 10) * 1000 +
	    strtoll(reply_text(reply, 1).bytes, NULL, 10) / 1000 -
	    clock_monotonic();
	redis->timed = true;
}

/* A server that sentinels name may have lost its office since. */
static void
take_role(struct greeting * greeting, const struct redis_reply * reply)
{
	const struct redis_node * server = link_server(greeting->redis->link);

	if (reply->type == REDIS_MIXED && reply->length == strlen("master") &&
	    memcmp(reply->text, "master", reply->length) == 0)
		return;
	snprintf(greeting->error, sizeof(greeting->error), "the sentinels name "
	    "%s:%d, but it is no master", server->host, server->port);
}

/* The first error counts. */
static void
take_greeting_error(struct greeting * greeting, size_t number,
    const struct error_reply * error)
{

	if (number == greeting->optional)
		error_reply_print(error, greeting->last_words);
	else if (greeting->error[0] == '\0') {
		error_reply_print(error, greeting->error);
		greeting->unknown = error->code == ERROR_UNKNOWN_COMMAND;
	}
}

static void
take_greeting(void * context, size_t number, const struct redis_reply * reply)
{
	struct greeting * greeting = context;
	struct script * script;

	greeting->answered = true;
	if (reply->type == REDIS_ERROR) {
		take_greeting_error(greeting, number, &reply->error);
		return;
	}
	if (number == greeting->time)
		take_time(greeting, reply);
	if (number == greeting->role)
		take_role(greeting, reply);
	if (number < greeting->first_script)
		return;
	if (reply->type != REDIS_TEXT ||
	    reply->length != REDIS_DIGEST_LENGTH) {
		snprintf(greeting->error, sizeof(greeting->error),
		    "a reply to SCRIPT LOAD that makes no sense");
		return;
	}
	script = &greeting->redis->scripts[number - greeting->first_script];
	memcpy(script->digest, reply->text, reply->length);
	script->digest[reply->length] = '\0';
}

static void
request_scripts(struct redis * redis)
{
	size_t i;

	for (i = 0; i < redis->script_count; i++) {
		buffer_array(&redis->requests, 3);
		buffer_text(&redis->requests, "SCRIPT");
		buffer_text(&redis->requests, "LOAD");
		buffer_text(&redis->requests, redis->scripts[i].text);
	}
}

static size_t
request_login(struct redis * redis)
{
	const struct redis_address * config = redis->config;
	struct buffer * requests = &redis->requests;
	size_t count = 0;

	if (config->password != NULL) {
		buffer_array(requests, config->user != NULL ? 3 : 2);
		buffer_text(requests, "AUTH");
		if (config->user != NULL)
			buffer_text(requests, config->user);
		buffer_text(requests, config->password);
		count++;
	}
	if (config->database != 0) {
		buffer_array(requests, 2);
		buffer_text(requests, "SELECT");
		buffer_integer(requests, config->database);
		count++;
	}
	return (count);
}

/* Log in, and ask what must be known before the first script. */
static void
request_greeting(struct redis * redis, struct greeting * greeting)
{
	struct buffer * requests = &redis->requests;
	size_t count = request_login(redis);

	greeting->optional = count++;
	buffer_array(requests, 3);
	buffer_text(requests, "CLIENT");
	buffer_text(requests, "SETNAME");
	buffer_text(requests, redis->name);
	/* Only scripts need it, and readers may lack the right. */
	if (redis->config->kind != REDIS_ONE_SENTINEL &&
	    redis->script_count > 0) {
		greeting->time = count++;
		buffer_array(requests, 1);
		buffer_text(requests, "TIME");
	}
	if (redis->sentinel != NULL) {
		greeting->role = count++;
		buffer_array(requests, 1);
		buffer_text(requests, "ROLE");
	}
	greeting->first_script = count;
}

static int
greet(struct redis * redis, int64_t deadline, bool login)
{
	struct greeting greeting = { .redis = redis };
	int64_t began = clock_monotonic();
	int result;

	buffer_clear(&redis->requests);
	greeting.time = greeting.optional = greeting.role = SIZE_MAX;
	if (login)
		request_greeting(redis, &greeting);
	request_scripts(redis);
	result = redis_exchange(redis, &redis->requests,
	    greeting.first_script + redis->script_count, deadline,
	    take_greeting, &greeting);
	redis->distance = clock_monotonic() - began;
	/* It may hold a password. */
	memset(redis->requests.bytes, 0, redis->requests.length);
	if (login && greeting.unknown)
		return (link_fail(redis->link, false, "%s: this is no Redis "
		    "server, but perhaps a sentinel (redis-sentinel://)",
		    greeting.error));
	if (greeting.error[0] != '\0')
		return (link_fail(redis->link, false, "%s", greeting.error));
	/* It closed the connection with an error for its last reply. */
	if (result != 0 && greeting.last_words[0] != '\0')
		return (link_fail(redis->link, false, "%s",
		    greeting.last_words));
	if (result != 0 && !greeting.answered && !redis_timed_out(redis) &&
	    link_server(redis->link)->host != NULL && !redis->config->tls &&
	    strstr(redis_error(redis), "closed") != NULL)
		return (link_fail(redis->link, false, "the server closed the "
		    "connection without an answer; perhaps it expects TLS "
		    "(rediss://)"));
	return (result);
}

int
redis_load(struct redis * redis, int64_t deadline)
{

	return (greet(redis, deadline, false));
}

/* Learn from the sentinels where the master is. */
static int
find_server(struct redis * redis, int64_t deadline)
{
	const struct redis_node * master;

	if (redis->sentinel == NULL)
		return (0);
	master = sentinel_find(redis->sentinel, deadline);
	if (master == NULL)
		return (link_fail(redis->link, false, "%s",
		    sentinel_why(redis->sentinel)));
	link_set_server(redis->link, master->host, master->port);
	return (0);
}

int
redis_attempt(struct redis * redis, int64_t deadline)
{

	redis->ready = false;
	if (find_server(redis, within(redis, deadline)) != 0 ||
	    link_open(redis->link, within(redis, deadline)) != 0 ||
	    link_secure(redis->link, within(redis, deadline)) != 0 ||
	    greet(redis, deadline, true) != 0)
		return (-1);
	redis->ready = true;
	return (0);
}

static void
back_off(struct redis * redis)
{

	if (redis->config->kind == REDIS_CLUSTER)
		log_limited(&away_limit, LOG_LEVEL_WARNING, "Redis does not "
		    "serve: %s:%d: %s", redis->config->host,
		    redis->config->port, redis_error(redis));
	else
		log_limited(&away_limit, LOG_LEVEL_WARNING, "Redis does not "
		    "serve: %s", redis_error(redis));
	redis->backoff = redis->backoff == 0 ? BACKOFF_MIN :
	    redis->backoff * 2;
	if (redis->backoff > BACKOFF_MAX)
		redis->backoff = BACKOFF_MAX;
	redis->next_attempt = clock_monotonic() + redis->backoff;
}

int
redis_connect(struct redis * redis, int64_t deadline)
{

	if (redis_is_current(redis))
		return (0);
	if (redis->next_attempt >= deadline)
		return (-1);
	poll(NULL, 0, clock_remaining(redis->next_attempt));
	if (redis_attempt(redis, deadline) == 0) {
		redis->next_attempt = 0;
		return (0);
	}
	back_off(redis);
	return (-1);
}

bool
redis_is_current(struct redis * redis)
{

	if (redis_is_connected(redis) && redis->sentinel != NULL &&
	    sentinel_has_news(redis->sentinel))
		redis_close(redis);
	return (redis_is_connected(redis));
}

bool
redis_has_message(struct redis * redis)
{

	return (redis_is_connected(redis) && link_has_message(redis->link));
}

int64_t
redis_time(const struct redis * redis)
{

	return (redis->timed ? redis->ahead + clock_monotonic() : 0);
}

int64_t
redis_next_attempt(const struct redis * redis)
{

	return (redis->next_attempt);
}

void
redis_back_off(struct redis * redis, const char * trouble)
{

	if (trouble != NULL)
		link_fail(redis->link, false, "%s", trouble);
	back_off(redis);
}

const char *
redis_error(const struct redis * redis)
{

	return (link_error(redis->link));
}

bool
redis_timed_out(const struct redis * redis)
{

	return (link_timed_out(redis->link));
}

bool
redis_is_connected(const struct redis * redis)
{

	return (redis->ready && link_is_open(redis->link));
}

void
redis_close(struct redis * redis)
{

	link_close(redis->link);
}

void
redis_free(struct redis * redis)
{

	if (redis == NULL)
		return;
	link_free(redis->link);
	sentinel_free(redis->sentinel);
	buffer_free(&redis->requests);
	free(redis);
}
