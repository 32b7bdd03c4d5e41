#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#ifdef HAVE_HIREDIS_SSL
#include <hiredis/hiredis_ssl.h>
#endif
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/redis/redis.h"
#include "lib/redis/resolve.h"
#include "lib/redis/sentinel.h"

/*
 * hiredis' blocking calls know time-outs for single reads and writes only, so
 * a server that sends a byte now and then would hold us for ever.  The socket
 * is therefore non-blocking, and every wait is a poll until the deadline.
 */

/* Milliseconds until the next attempt after one failed, doubled each time. */
#define BACKOFF_MIN 50
#define BACKOFF_MAX 1000

#define SCRIPTS_MAX 5

/*
 * A reply has so many bytes, elements in all of its arrays together, and arrays
 * in each other at most.  That is more than what reports ask for, and hiredis
 * takes memory for elements when they are announced.
 */
#define REPLY_BYTES_MAX ((size_t)128 << 20)
#define REPLY_ELEMENTS_MAX ((size_t)4 << 20)
#define REPLY_DEPTH_MAX 7

#if HIREDIS_MAJOR == 0
typedef int element_count;
#else
typedef size_t element_count;
#endif

/* One for all connections: when Redis is away it is so for each of them. */
static struct log_limit away_limit;

struct script {
	const char * text;
	char digest[REDIS_DIGEST_LENGTH + 1];
};

struct redis {
	const struct redis_address * config;
	const char * name;
	int64_t timeout;
	struct sentinel * sentinel;	/* NULL: the server is known. */
	struct redis_node server;	/* No host: none yet, or by a Unix
					 * socket. */
	struct resolve * resolve;	/* Of its host. */
	size_t first;			/* Address to begin with. */
	redisContext * context;		/* NULL: not connected. */
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
	bool unconfirmed;		/* The one at hand has to be. */
	size_t confirmations;		/* Replies that say whether it is. */
	/* Of the exchange under way. */
	size_t replies, expected;
	bool written;			/* All of its requests are. */
	redis_take * take;
	void * context_of_take;
	struct redis_reply reply;
	size_t bytes, elements;		/* Of the reply that is being read. */
	bool excessive;			/* It has too many. */
	/* Those of hiredis, but with take_array. */
	redisReplyObjectFunctions functions;
	void * (* create_array)(const redisReadTask *, element_count);
	struct tls * tls;		/* NULL: not set up. */
	struct ssl_st * secured;	/* The context's, with TLS, or NULL. */
	char error[300];
	bool timed_out;
};

static void
set_server(struct redis * redis, const char * host, int port)
{

	redis->server.port = port;
	if (redis->server.host != NULL &&
	    strcmp(redis->server.host, host) == 0)
		return;
	resolve_free(redis->resolve);
	free(redis->server.host);
	redis->server.host = alloc_string(host);
	redis->resolve = resolve_create(redis->server.host);
	redis->first = 0;
}

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
	if (config->host != NULL)
		set_server(redis, config->host, config->port);
	return (redis);
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

__attribute__((format(printf, 2, 3)))
static int
failed(struct redis * redis, const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(redis->error, sizeof(redis->error), format, arguments);
	va_end(arguments);
	redis->timed_out = false;
	redis_close(redis);
	return (-1);
}

#ifdef HAVE_HIREDIS_SSL
/* TLS's reason for a failure, or NULL. */
static const char *
secured_error(const struct redis * redis)
{

	return (redis->secured == NULL ? NULL : tls_error(redis->secured));
}

static bool
has_pending(const struct redis * redis)
{

	return (redis->secured != NULL && tls_pending(redis->secured));
}

/* Have secured_error return why the server closed the connection. */
static void
read_alert(struct redis * redis)
{

	if (redis->secured != NULL)
		tls_read_alert(redis->secured);
}
#else
static void
read_alert(struct redis * redis)
{

	(void)redis;
}

static const char *
secured_error(const struct redis * redis)
{

	(void)redis;
	return (NULL);
}

static bool
has_pending(const struct redis * redis)
{

	(void)redis;
	return (false);
}
#endif

static int
context_failed(struct redis * redis, const char * what)
{
	const char * why = secured_error(redis);

	if (why != NULL)
		return (failed(redis, "%s: TLS: %s", what, why));
	return (failed(redis, "%s: %s", what, redis->context->errstr));
}

static void
convert_integers(struct redis_reply * reply, const redisReply * from)
{
	size_t i;

	reply->type = REDIS_NOTHING;
	if (from->elements > REDIS_INTEGERS_MAX)
		return;
	for (i = 0; i < from->elements; i++) {
		if (from->element[i]->type != REDIS_REPLY_INTEGER)
			return;
		reply->integers[i] = from->element[i]->integer;
	}
	reply->type = REDIS_ARRAY;
	reply->count = from->elements;
}

static void
convert_array(struct redis_reply * reply, const redisReply * from)
{
	size_t i;

	convert_integers(reply, from);
	if (from->elements == 0 || from->element[0]->type != REDIS_REPLY_STRING)
		return;
	for (i = 1; i < from->elements; i++)
		if (from->element[i]->type != REDIS_REPLY_STRING)
			return;
	reply->type = REDIS_TEXTS;
	reply->count = from->elements;
	reply->texts = from;
}

static void
convert_mixed(struct redis_reply * reply, const redisReply * from)
{

	convert_array(reply, from);
	if (reply->type != REDIS_NOTHING || from->elements == 0 ||
	    from->element[0]->type != REDIS_REPLY_STRING)
		return;
	reply->type = REDIS_MIXED;
	reply->text = from->element[0]->str;
	reply->length = (size_t)from->element[0]->len;
}

struct text
redis_text(const struct redis_reply * reply, size_t i)
{
	const redisReply * array = reply->texts;
	struct text text = { array->element[i]->str,
	    (size_t)array->element[i]->len };

	return (text);
}

size_t
redis_part_count(const void * part)
{
	const redisReply * from = part;

	return (from != NULL && from->type == REDIS_REPLY_ARRAY ?
	    from->elements : 0);
}

const void *
redis_part(const void * part, size_t i)
{
	const redisReply * from = part;

	return (i < redis_part_count(part) ? from->element[i] : NULL);
}

struct text
redis_part_text(const void * part)
{
	const redisReply * from = part;
	struct text text = { NULL, 0 };

	if (from != NULL && (from->type == REDIS_REPLY_STRING ||
	    from->type == REDIS_REPLY_STATUS))
		text = (struct text){ from->str, (size_t)from->len };
	return (text);
}

int64_t
redis_part_integer(const void * part)
{
	const redisReply * from = part;

	return (from != NULL && from->type == REDIS_REPLY_INTEGER ?
	    from->integer : -1);
}

/* Convert a reply of hiredis to ours. */
static void
convert(struct redis * redis, const redisReply * from)
{
	struct redis_reply * reply = &redis->reply;

	reply->text = from->str;
	reply->length = (size_t)from->len;
	reply->count = 0;
	reply->part = from;
	reply->error = (struct error_reply){ .code = ERROR_OTHER };
	switch (from->type) {
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS:
		reply->type = REDIS_TEXT;
		break;
	case REDIS_REPLY_INTEGER:
		reply->type = REDIS_INTEGER;
		reply->count = 1;
		reply->integers[0] = from->integer;
		break;
	case REDIS_REPLY_ARRAY:
		convert_mixed(reply, from);
		break;
	case REDIS_REPLY_ERROR:
		reply->type = REDIS_ERROR;
		reply->error = error_reply_of((struct text){ reply->text,
		    reply->length }, redis->config->password);
		reply->text = "";
		reply->length = 0;
		break;
	default:
		reply->type = REDIS_NOTHING;
		break;
	}
}

/*
 * A server that turns us away says so and closes the connection before it has
 * read anything, so sending fails; what it said is here all the same.
 */
static int
sending_failed(struct redis * redis)
{
	char text[256], words[ERROR_REPLY_MAX];
	struct error_reply error;
	const char * end;
	ssize_t length;

	read_alert(redis);
	length = recv(redis->context->fd, text, sizeof(text), MSG_DONTWAIT);
	end = length <= 0 ? NULL : memchr(text, '\r', (size_t)length);
	if (end == NULL || text[0] != '-')
		return (context_failed(redis, "sending"));
	error = error_reply_of((struct text){ text + 1,
	    (size_t)(end - text - 1) }, redis->config->password);
	return (failed(redis, "%s", error_reply_print(&error, words)));
}

/* Have hiredis take memory for an array only if the reply may have it. */
static void *
take_array(const redisReadTask * task, element_count count)
{
	struct redis * redis = task->privdata;
	const redisReadTask * outer;
	int depth = 0;

	for (outer = task->parent; outer != NULL; outer = outer->parent)
		depth++;
	if (depth >= REPLY_DEPTH_MAX ||
	    (size_t)count > REPLY_ELEMENTS_MAX - redis->elements) {
		redis->excessive = true;
		return (NULL);
	}
	redis->elements += (size_t)count;
	return (redis->create_array(task, count));
}

static void
guard_reader(struct redis * redis)
{
	redisReader * reader = redis->context->reader;

	redis->functions = *reader->fn;
	redis->create_array = reader->fn->createArray;
	redis->functions.createArray = take_array;
	reader->fn = &redis->functions;
	reader->privdata = redis;
	redis->bytes = redis->elements = 0;
	redis->excessive = false;
}

/* Read what has arrived.  Return 0, or -1 with the connection closed. */
static int
read_arrived(struct redis * redis)
{
	const redisReader * reader = redis->context->reader;
	size_t before = reader->len;

	if (redisBufferRead(redis->context) != REDIS_OK)
		return (context_failed(redis, "receiving"));
	redis->bytes += reader->len - before;
	return (0);
}

/* A reply that is none. */
static int
reading_failed(struct redis * redis)
{

	if (redis->excessive)
		return (failed(redis, "a reply is too large"));
	/* The record of TLS with which it refuses what is not TLS. */
	if (!redis->config->tls && strstr(redis->context->errstr,
	    "\"\\x15\"") != NULL)
		return (failed(redis, "the server speaks TLS: the URL must "
		    "begin with rediss://"));
	return (context_failed(redis, "reading a reply"));
}

static size_t
requests_sent(const struct redis * redis)
{

	return (redis->expected - redis->confirmations);
}

/* The replies that were taken are not to be relied on. */
static void
retract_replies(struct redis * redis, const char * why)
{
	struct redis_reply * reply = &redis->reply;
	size_t i;

	redis->unconfirmed = false;
	reply->type = REDIS_UNCONFIRMED;
	reply->error = (struct error_reply){ .code = ERROR_OTHER };
	reply->text = why;
	reply->length = strlen(why);
	for (i = 0; i < redis->replies && i < requests_sent(redis); i++)
		redis->take(redis->context_of_take, i, reply);
}

/* Take one of the confirmations; every one has to be good. */
static void
take_confirmation(struct redis * redis)
{
	char why[CONFIRM_WHY_MAX];

	if (!redis->unconfirmed)
		return;
	if (!confirm_take(&redis->confirm, &redis->reply, why))
		retract_replies(redis, why);
	else if (redis->replies == redis->expected - 1)
		redis->unconfirmed = false;
}

/* Return 0 with a reply, or with NULL if none is whole yet; or return -1 with
 * the connection closed. */
static int
next_reply(struct redis * redis, void ** reply)
{

	*reply = NULL;
	if (redisGetReplyFromReader(redis->context, reply) != REDIS_OK)
		return (reading_failed(redis));
	if (*reply != NULL)
		redis->bytes = redis->elements = 0;
	redis->excessive = redis->bytes > REPLY_BYTES_MAX;
	return (redis->excessive ? reading_failed(redis) : 0);
}

/* Hand on the replies that are here already. */
static int
take_replies(struct redis * redis)
{
	void * reply;

	while (redis->replies < redis->expected) {
		if (next_reply(redis, &reply) != 0)
			return (-1);
		if (reply == NULL)
			return (0);
		convert(redis, reply);
		if (redis->replies < requests_sent(redis))
			redis->take(redis->context_of_take, redis->replies,
			    &redis->reply);
		else
			take_confirmation(redis);
		redis->replies++;
		freeReplyObject(reply);
	}
	/* The rest would be taken for the reply to what is asked next. */
	if (redis->context->reader->pos < redis->context->reader->len)
		return (failed(redis, "more replies than requests"));
	return (0);
}

static int
write_requests(struct redis * redis)
{
	int done = 0;

	if (redisBufferWrite(redis->context, &done) != REDIS_OK)
		return (sending_failed(redis));
	redis->written = done != 0;
	return (0);
}

static int
ask_confirmation(struct redis * redis)
{
	struct buffer * requests = &redis->requests;

	buffer_clear(requests);
	redis->confirmations = confirm_request(&redis->confirm,
	    redis->confirm_limit, requests);
	if (redisAppendFormattedCommand(redis->context, requests->bytes,
	    requests->length) != REDIS_OK)
		return (context_failed(redis, "preparing requests"));
	redis->expected += redis->confirmations;
	redis->confirm_limit = 0;
	return (0);
}

int
redis_send(struct redis * redis, const struct buffer * requests, size_t count,
    redis_take * take, void * context)
{

	redis->replies = 0;
	redis->expected = count;
	redis->take = take;
	redis->context_of_take = context;
	redis->unconfirmed = redis->confirm_limit > 0;
	redis->confirmations = 0;
	if (redisAppendFormattedCommand(redis->context, requests->bytes,
	    requests->length) != REDIS_OK)
		return (context_failed(redis, "preparing requests"));
	if (redis->unconfirmed && ask_confirmation(redis) != 0)
		return (-1);
	return (write_requests(redis));
}

/* Read what is here, and write what the socket takes of the rest. */
static int
advance(struct redis * redis)
{

	if (read_arrived(redis) != 0 || take_replies(redis) != 0)
		return (-1);
	return (redis->written ? 0 : write_requests(redis));
}

static bool
expects_replies(const struct redis * redis)
{

	return (redis->context != NULL && redis->replies < redis->expected);
}

/* Fill in what to wait for on each connection, or that there is nothing.
 * Return whether there is anything, and leave whether it is here already. */
static bool
describe_waits(struct redis * const * list, size_t count,
    struct pollfd * descriptors, bool * here)
{
	bool any = false;
	size_t i;

	*here = false;
	for (i = 0; i < count; i++) {
		bool expects = expects_replies(list[i]);

		descriptors[i] = (struct pollfd){ .fd = expects ?
		    list[i]->context->fd : -1, .events = expects &&
		    list[i]->written ? POLLIN : POLLIN | POLLOUT };
		any = any || expects;
		*here = *here || (expects && has_pending(list[i]));
	}
	return (any);
}

static void
give_up_waiting(struct redis * redis, bool poll_failed)
{

	failed(redis, poll_failed ? "poll failed" : redis->unconfirmed &&
	    redis->replies >= requests_sent(redis) ?
	    "replicas do not confirm the counts in time" :
	    "no answer in time");
	redis->timed_out = !poll_failed;
}

static void
receive_with(struct redis * const * list, size_t count,
    struct pollfd * descriptors, int64_t deadline)
{
	bool here;
	size_t i;

	/* After the deadline one more step is made: a server that always has
	 * another byte does not hold us. */
	while (describe_waits(list, count, descriptors, &here)) {
		int left = clock_remaining(deadline);
		int ready = poll(descriptors, (nfds_t)count, here ? 0 : left);

		if (ready == -1 && errno == EINTR)
			continue;
		for (i = 0; i < count; i++) {
			if (descriptors[i].fd == -1)
				continue;
			if (descriptors[i].revents != 0 ||
			    has_pending(list[i]))
				advance(list[i]);
			if (expects_replies(list[i]) &&
			    (ready == -1 || left == 0))
				give_up_waiting(list[i], ready == -1);
		}
	}
}

void
redis_receive(struct redis * const * list, size_t count, int64_t deadline)
{
	struct pollfd one;
	struct pollfd * descriptors = &one;

	size_t i;

	if (count > 1)
		descriptors = alloc_zeroed(count, sizeof(*descriptors));
	receive_with(list, count, descriptors, deadline);
	for (i = 0; i < count; i++)
		if (list[i]->unconfirmed)
			retract_replies(list[i], list[i]->error);
	if (count > 1)
		free(descriptors);
}

static int
exchange(struct redis * redis, const struct buffer * requests, size_t count,
    int64_t deadline, redis_take * take, void * context)
{

	if (redis_send(redis, requests, count, take, context) != 0)
		return (-1);
	redis_receive(&redis, 1, deadline);
	return (redis->context == NULL ? -1 : 0);
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

	return (exchange(redis, requests, count, within(redis, deadline), take,
	    context));
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
	redis->ahead = strtoll(redis_text(reply, 0).bytes, NULL, 10) * 1000 +
	    strtoll(redis_text(reply, 1).bytes, NULL, 10) / 1000 -
	    clock_monotonic();
	redis->timed = true;
}

/* A server that sentinels name may have lost its office since. */
static void
take_role(struct greeting * greeting, const struct redis_reply * reply)
{
	const struct redis * redis = greeting->redis;

	if (reply->type == REDIS_MIXED && reply->length == strlen("master") &&
	    memcmp(reply->text, "master", reply->length) == 0)
		return;
	snprintf(greeting->error, sizeof(greeting->error), "the sentinels name "
	    "%s:%d, but it is no master", redis->server.host,
	    redis->server.port);
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
	int result;

	buffer_clear(&redis->requests);
	greeting.time = greeting.optional = greeting.role = SIZE_MAX;
	if (login)
		request_greeting(redis, &greeting);
	request_scripts(redis);
	result = exchange(redis, &redis->requests,
	    greeting.first_script + redis->script_count, deadline,
	    take_greeting, &greeting);
	/* It may hold a password. */
	memset(redis->requests.bytes, 0, redis->requests.length);
	if (login && greeting.unknown)
		return (failed(redis, "%s: this is no Redis server, but "
		    "perhaps a sentinel (redis-sentinel://)",
		    greeting.error));
	if (greeting.error[0] != '\0')
		return (failed(redis, "%s", greeting.error));
	/* It closed the connection with an error for its last reply. */
	if (result != 0 && greeting.last_words[0] != '\0')
		return (failed(redis, "%s", greeting.last_words));
	if (result != 0 && !greeting.answered && !redis->timed_out &&
	    redis->server.host != NULL && !redis->config->tls &&
	    strstr(redis->error, "closed") != NULL)
		return (failed(redis, "the server closed the connection "
		    "without an answer; perhaps it expects TLS (rediss://)"));
	return (result);
}

int
redis_load(struct redis * redis, int64_t deadline)
{

	return (greet(redis, deadline, false));
}

/* hiredis begins the handshake, and has no deadline for the rest of it. */
#ifdef HAVE_HIREDIS_SSL
static int
begin_tls(struct redis * redis)
{
	struct ssl_st * secured;
	const char * why;

	if (redis->tls == NULL)
		redis->tls = tls_create(&redis->config->tls_settings, &why);
	if (redis->tls == NULL)
		return (failed(redis, "%s", why));
	redis->secured = tls_begin(redis->tls, redis->server.host,
	    redis->server.port);
	if (redis->secured == NULL)
		return (failed(redis, "TLS cannot be set up for %s",
		    redis->server.host));
	if (redisInitiateSSL(redis->context, redis->secured) == REDIS_OK)
		return (0);
	secured = redis->secured;
	context_failed(redis, "TLS");
	tls_abandon(secured);
	return (-1);
}

/*
 * Wait until the socket can be read, or written if there is anything to write.
 * Return 0, or -1 with the connection closed.
 */
static int
wait_for_socket(struct redis * redis, short events, int64_t deadline)
{
	struct pollfd descriptor = { .fd = redis->context->fd,
	    .events = events };
	int left, ready;

	if ((events & POLLIN) != 0 && has_pending(redis))
		return (0);
	/* A server that always has another byte does not hold us, either. */
	do {
		left = clock_remaining(deadline);
		ready = left == 0 ? 0 : poll(&descriptor, 1, left);
	} while (ready == -1 && errno == EINTR);
	if (ready == 1)
		return (0);
	failed(redis, ready == 0 ? "no answer in time" : "poll failed");
	redis->timed_out = ready == 0;
	return (-1);
}

/* The error of the wait does not say what was waited for. */
static int
tls_late(struct redis * redis)
{
	bool timed_out = redis->timed_out;

	failed(redis, "TLS with %s: %s", redis->server.host, timed_out ?
	    "no answer in time" : "poll failed");
	redis->timed_out = timed_out;
	return (-1);
}

static int
start_tls(struct redis * redis, int64_t deadline)
{
	const char * why;

	if (!redis->config->tls)
		return (0);
	if (begin_tls(redis) != 0)
		return (-1);
	for (;;) {
		switch (tls_handshake(redis->secured)) {
		case TLS_DONE:
			log_debug("TLS with %s%s", redis->server.host,
			    tls_reused(redis->secured) ?
			    ", an earlier session resumed" : "");
			return (0);
		case TLS_READ:
			if (wait_for_socket(redis, POLLIN, deadline) != 0)
				return (tls_late(redis));
			break;
		case TLS_WRITE:
			if (wait_for_socket(redis, POLLOUT, deadline) != 0)
				return (tls_late(redis));
			break;
		case TLS_FAILED:
			why = tls_error(redis->secured);
			return (failed(redis, "TLS with %s: %s",
			    redis->server.host, why != NULL ? why :
			    "the server closed the connection"));
		}
	}
}
#else
static int
start_tls(struct redis * redis, int64_t deadline)
{

	(void)deadline;
	return (redis->config->tls ?
	    failed(redis, "this program was built without TLS") : 0);
}
#endif

/* Return 0 with a context that is connected. */
static int
take_context(struct redis * redis, redisContext * context)
{

	redis->context = context;
	if (context == NULL)
		return (failed(redis, "no memory"));
	if (context->err == 0) {
		guard_reader(redis);
		return (0);
	}
	if (redis->config->unix_path != NULL)
		return (context_failed(redis, "connecting"));
	return (failed(redis, "connecting to %s: %s", redis->server.host,
	    context->errstr));
}

static struct timeval
time_until(int64_t deadline)
{
	int limit = clock_remaining(deadline);

	/* None at all would mean for ever. */
	if (limit == 0)
		limit = 1;
	return ((struct timeval){ .tv_sec = limit / 1000,
	    .tv_usec = limit % 1000 * 1000L });
}

/*
 * Connect to the first of the host's addresses that takes us.  One that says
 * nothing takes all the time, so the next attempt begins with another.
 */
static int
connect_host(struct redis * redis, int64_t deadline)
{
	struct resolve_address found[RESOLVE_MAX];
	const char * why;
	size_t count = resolve_addresses(redis->resolve, deadline, found,
	    &why);
	size_t tries;

	if (count == 0)
		return (failed(redis, "connecting to %s: %s",
		    redis->server.host, why));
	for (tries = 1;; tries++) {
		const char * address = found[redis->first % count].text;

		if (take_context(redis, redisConnectWithTimeout(address,
		    redis->server.port, time_until(deadline))) == 0)
			return (0);
		redis->first++;
		if (tries == count || clock_remaining(deadline) == 0)
			return (-1);
	}
}

static int
open_context(struct redis * redis, int64_t deadline)
{

	if (redis->resolve != NULL)
		return (connect_host(redis, deadline));
	return (take_context(redis, redisConnectUnixWithTimeout(
	    redis->config->unix_path, time_until(deadline))));
}

static int
make_non_blocking(struct redis * redis)
{
	redisContext * context = redis->context;
	int flags = fcntl(context->fd, F_GETFL);

	if (flags == -1 ||
	    fcntl(context->fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return (failed(redis, "fcntl failed"));
	context->flags &= ~REDIS_BLOCK;
	return (0);
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
		return (failed(redis, "%s", sentinel_why(redis->sentinel)));
	set_server(redis, master->host, master->port);
	return (0);
}

int
redis_attempt(struct redis * redis, int64_t deadline)
{

	if (find_server(redis, within(redis, deadline)) != 0 ||
	    open_context(redis, within(redis, deadline)) != 0 ||
	    make_non_blocking(redis) != 0 ||
	    start_tls(redis, within(redis, deadline)) != 0 ||
	    greet(redis, within(redis, deadline), true) != 0)
		return (-1);
	redis->ready = true;
	return (0);
}

static void
back_off(struct redis * redis)
{

	if (redis->config->kind == REDIS_CLUSTER)
		log_limited(&away_limit, LOG_LEVEL_WARNING, "Redis does not "
		    "serve: %s:%d: %s", redis->server.host,
		    redis->server.port, redis->error);
	else
		log_limited(&away_limit, LOG_LEVEL_WARNING, "Redis does not "
		    "serve: %s", redis->error);
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

	if (redis->ready && redis->sentinel != NULL &&
	    sentinel_has_news(redis->sentinel))
		redis_close(redis);
	return (redis->ready);
}

bool
redis_has_message(struct redis * redis)
{
	struct pollfd descriptor = { .events = POLLIN };
	bool message = false;
	void * reply;

	if (!redis->ready)
		return (false);
	descriptor.fd = redis->context->fd;
	if (!has_pending(redis) && poll(&descriptor, 1, 0) != 1)
		return (false);
	if (read_arrived(redis) != 0)
		return (false);
	for (; next_reply(redis, &reply) == 0 && reply != NULL; message = true)
		freeReplyObject(reply);
	return (message);
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
		failed(redis, "%s", trouble);
	back_off(redis);
}

const char *
redis_error(const struct redis * redis)
{

	return (redis->error);
}

bool
redis_timed_out(const struct redis * redis)
{

	return (redis->timed_out);
}

bool
redis_is_connected(const struct redis * redis)
{

	return (redis->ready);
}

void
redis_close(struct redis * redis)
{

	if (redis->context != NULL)
		redisFree(redis->context);
	redis->context = NULL;
	redis->secured = NULL;
	redis->ready = false;
}

void
redis_free(struct redis * redis)
{

	if (redis == NULL)
		return;
	redis_close(redis);
	tls_free(redis->tls);
	sentinel_free(redis->sentinel);
	resolve_free(redis->resolve);
	free(redis->server.host);
	buffer_free(&redis->requests);
	free(redis);
}
