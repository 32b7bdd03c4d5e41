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
#include "lib/redis/link.h"
#include "lib/redis/resolve.h"

/*
 * hiredis' blocking calls know time-outs for single reads and writes only, so
 * a server that sends a byte now and then would hold us for ever.  The socket
 * is therefore non-blocking, and every wait is a poll until the deadline.
 */

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

struct link {
	const struct redis_address * config;
	struct redis_node server;	/* No host: none yet, or by a Unix
					 * socket. */
	struct resolve * resolve;	/* Of its host. */
	size_t first;			/* Address to begin with. */
	redisContext * context;		/* NULL: not connected. */
	/* Of the exchange under way. */
	size_t replies, expected;
	size_t window;			/* Requests under way; 0: all. */
	struct buffer held;		/* Requests, if there is a window; */
	size_t passed, passed_bytes;	/* these were passed on, */
	bool written;			/* and are all written. */
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

struct link *
link_create(const struct redis_address * config)
{
	struct link * link = alloc_zeroed(1, sizeof(*link));

	link->config = config;
	if (config->host != NULL)
		link_set_server(link, config->host, config->port);
	return (link);
}

void
link_set_server(struct link * link, const char * host, int port)
{

	link->server.port = port;
	if (link->server.host != NULL &&
	    strcmp(link->server.host, host) == 0)
		return;
	resolve_free(link->resolve);
	free(link->server.host);
	link->server.host = alloc_string(host);
	link->resolve = resolve_create(link->server.host);
	link->first = 0;
}

const struct redis_node *
link_server(const struct link * link)
{

	return (&link->server);
}

bool
link_is_open(const struct link * link)
{

	return (link->context != NULL);
}

int
link_fail(struct link * link, bool late, const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(link->error, sizeof(link->error), format, arguments);
	va_end(arguments);
	link->timed_out = late;
	link_close(link);
	return (-1);
}

#ifdef HAVE_HIREDIS_SSL
/* TLS's reason for a failure, or NULL. */
static const char *
secured_error(const struct link * link)
{

	return (link->secured == NULL ? NULL : redis_tls_error(link->secured));
}

/* Whether bytes have arrived that the socket does not have any more. */
static bool
has_pending(const struct link * link)
{

	return (link->secured != NULL && redis_tls_pending(link->secured));
}

/* Have secured_error return why the server closed the connection. */
static void
read_alert(struct link * link)
{

	if (link->secured != NULL)
		redis_tls_read_alert(link->secured);
}
#else
#define secured_error(link) NULL
#define has_pending(link) false
#define read_alert(link)
#endif

static int
context_failed(struct link * link, const char * what)
{
	const char * why = secured_error(link);

	if (why != NULL)
		return (link_fail(link, false, "%s: TLS: %s", what, why));
	return (link_fail(link, false, "%s: %s", what, link->context->errstr));
}

/* Connecting */

/* Have hiredis take memory for an array only if the reply may have it. */
static void *
take_array(const redisReadTask * task, element_count count)
{
	struct link * link = task->privdata;
	const redisReadTask * outer;
	int depth = 0;

	for (outer = task->parent; outer != NULL; outer = outer->parent)
		depth++;
	if (depth >= REPLY_DEPTH_MAX ||
	    (size_t)count > REPLY_ELEMENTS_MAX - link->elements) {
		link->excessive = true;
		return (NULL);
	}
	link->elements += (size_t)count;
	return (link->create_array(task, count));
}

static void
guard_reader(struct link * link)
{
	redisReader * reader = link->context->reader;

	link->functions = *reader->fn;
	link->create_array = reader->fn->createArray;
	link->functions.createArray = take_array;
	reader->fn = &link->functions;
	reader->privdata = link;
	link->bytes = link->elements = 0;
	link->excessive = false;
}

/* Return 0 with a context that is connected. */
static int
take_context(struct link * link, redisContext * context)
{

	link->context = context;
	if (context == NULL)
		return (link_fail(link, false, "no memory"));
	if (context->err == 0) {
		guard_reader(link);
		return (0);
	}
	if (link->config->unix_path != NULL)
		return (context_failed(link, "connecting"));
	return (link_fail(link, false, "connecting to %s: %s",
	    link->server.host, context->errstr));
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
connect_host(struct link * link, int64_t deadline)
{
	struct resolve_address found[RESOLVE_MAX];
	const char * why;
	size_t count = resolve_addresses(link->resolve, deadline, found,
	    &why);
	size_t tries;

	if (count == 0)
		return (link_fail(link, false, "connecting to %s: %s",
		    link->server.host, why));
	for (tries = 1;; tries++) {
		const char * address = found[link->first % count].text;

		if (take_context(link, redisConnectWithTimeout(address,
		    link->server.port, time_until(deadline))) == 0)
			return (0);
		link->first++;
		if (tries == count || clock_remaining(deadline) == 0)
			return (-1);
	}
}

static int
make_non_blocking(struct link * link)
{
	redisContext * context = link->context;
	int flags = fcntl(context->fd, F_GETFL);

	if (flags == -1 ||
	    fcntl(context->fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return (link_fail(link, false, "fcntl failed"));
	context->flags &= ~REDIS_BLOCK;
	return (0);
}

int
link_open(struct link * link, int64_t deadline)
{

	if ((link->resolve != NULL ? connect_host(link, deadline) :
	    take_context(link, redisConnectUnixWithTimeout(
	    link->config->unix_path, time_until(deadline)))) != 0)
		return (-1);
	return (make_non_blocking(link));
}

#ifdef HAVE_HIREDIS_SSL
/* Have hiredis read and write by way of TLS.  It begins the handshake, and has
 * no deadline for the rest of it. */
static int
begin_tls(struct link * link)
{
	struct ssl_st * secured = redis_tls_begin(link->tls, link->server.host,
	    link->server.port);

	if (secured == NULL)
		return (link_fail(link, false, "TLS cannot be set up for %s",
		    link->server.host));
	link->secured = secured;
	if (redisInitiateSSL(link->context, secured) == REDIS_OK)
		return (0);
	context_failed(link, "TLS");
	redis_tls_abandon(secured);
	return (-1);
}

int
link_secure(struct link * link, int64_t deadline)
{
	const char * why;

	if (!link->config->tls)
		return (0);
	if (link->tls == NULL)
		link->tls = redis_tls_create(&link->config->tls_settings, &why);
	if (link->tls == NULL)
		return (link_fail(link, false, "%s", why));
	if (begin_tls(link) != 0)
		return (-1);
	switch (redis_tls_handshake(link->secured, link->context->fd,
	    deadline)) {
	case TLS_DONE:
		log_debug("TLS with %s%s", link->server.host,
		    redis_tls_reused(link->secured) ?
		    ", an earlier session resumed" : "");
		return (0);
	case TLS_LATE:
		return (link_fail(link, true, "TLS with %s: no answer in time",
		    link->server.host));
	case TLS_FAILED:
		break;
	}
	why = redis_tls_error(link->secured);
	return (link_fail(link, false, "TLS with %s: %s", link->server.host,
	    why != NULL ? why : "the server closed the connection"));
}
#else
int
link_secure(struct link * link, int64_t deadline)
{

	(void)deadline;
	return (link->config->tls ? link_fail(link, false,
	    "this program was built without TLS") : 0);
}
#endif

/* Exchanges */

/*
 * A server that turns us away says so and closes the connection before it has
 * read anything, so sending fails; what it said is here all the same.
 */
static int
sending_failed(struct link * link)
{
	char text[256], words[ERROR_REPLY_MAX];
	struct error_reply error;
	const char * end;
	ssize_t length;

	read_alert(link);
	length = recv(link->context->fd, text, sizeof(text), MSG_DONTWAIT);
	end = length <= 0 ? NULL : memchr(text, '\r', (size_t)length);
	if (end == NULL || text[0] != '-')
		return (context_failed(link, "sending"));
	error = error_reply_of((struct text){ text + 1,
	    (size_t)(end - text - 1) }, link->config->password);
	return (link_fail(link, false, "%s", error_reply_print(&error, words)));
}

/* Read what has arrived.  Return 0, or -1 with the connection closed. */
static int
read_arrived(struct link * link)
{
	const redisReader * reader = link->context->reader;
	size_t before = reader->len;

	if (redisBufferRead(link->context) != REDIS_OK)
		return (context_failed(link, "receiving"));
	link->bytes += reader->len - before;
	return (0);
}

/* A reply that is none. */
static int
reading_failed(struct link * link)
{

	if (link->excessive)
		return (link_fail(link, false, "a reply is too large"));
	/* The record of TLS with which it refuses what is not TLS. */
	if (!link->config->tls && strstr(link->context->errstr,
	    "\"\\x15\"") != NULL)
		return (link_fail(link, false, "the server speaks TLS: the "
		    "URL must begin with rediss://"));
	return (context_failed(link, "reading a reply"));
}

/* Return 0 with a reply, or with NULL if none is whole yet; or return -1 with
 * the connection closed. */
static int
next_reply(struct link * link, void ** reply)
{

	*reply = NULL;
	if (redisGetReplyFromReader(link->context, reply) != REDIS_OK)
		return (reading_failed(link));
	if (*reply != NULL)
		link->bytes = link->elements = 0;
	link->excessive = link->bytes > REPLY_BYTES_MAX;
	return (link->excessive ? reading_failed(link) : 0);
}

/* Hand on the replies that are here already. */
static int
take_replies(struct link * link)
{
	void * reply;

	while (link->replies < link->expected) {
		if (next_reply(link, &reply) != 0)
			return (-1);
		if (reply == NULL)
			return (0);
		reply_convert(&link->reply, reply, link->config->password);
		link->take(link->context_of_take, link->replies++,
		    &link->reply);
		freeReplyObject(reply);
	}
	/* The rest would be taken for the reply to what is asked next. */
	if (link->context->reader->pos < link->context->reader->len)
		return (link_fail(link, false, "more replies than requests"));
	return (0);
}

static int
write_requests(struct link * link)
{
	int done = 0;

	if (redisBufferWrite(link->context, &done) != REDIS_OK)
		return (sending_failed(link));
	link->written = done != 0;
	return (0);
}

static int
pass_bytes(struct link * link, const char * requests, size_t length)
{

	link->written = false;
	if (redisAppendFormattedCommand(link->context, requests, length) !=
	    REDIS_OK)
		return (context_failed(link, "preparing requests"));
	return (0);
}

int
link_append(struct link * link, const struct buffer * requests)
{

	if (link->window == 0)
		return (pass_bytes(link, requests->bytes, requests->length));
	buffer_append(&link->held, requests->bytes, requests->length);
	return (0);
}

/* Return the length of a request: an array of bulk strings (RESP). */
static size_t
request_length(const char * request)
{
	char * at;
	size_t strings = strtoul(request + 1, &at, 10);

	for (at += 2; strings > 0; strings--) {
		size_t length = strtoul(at + 1, &at, 10);

		at += 2 + length + 2;
	}
	return ((size_t)(at - request));
}

/* Pass on what the window has room for. */
static int
pass_requests(struct link * link)
{
	const char * next;
	size_t length = 0;

	if (link->held.length == 0)
		return (0);
	next = link->held.bytes + link->passed_bytes;
	while (link->passed_bytes + length < link->held.length &&
	    link->passed - link->replies < link->window) {
		length += request_length(next + length);
		link->passed++;
	}
	link->passed_bytes += length;
	return (length == 0 ? 0 : pass_bytes(link, next, length));
}

void
link_pace(struct link * link, size_t window)
{

	buffer_clear(&link->held);
	link->window = window;
}

int
link_send(struct link * link, size_t count, redis_take * take, void * context)
{

	link->replies = 0;
	link->expected = count;
	link->take = take;
	link->context_of_take = context;
	link->passed = link->passed_bytes = 0;
	if (pass_requests(link) != 0)
		return (-1);
	return (write_requests(link));
}

/* Read what is here, and write what the socket takes of the rest. */
static int
advance(struct link * link)
{

	if (read_arrived(link) != 0 || take_replies(link) != 0 ||
	    pass_requests(link) != 0)
		return (-1);
	return (link->written ? 0 : write_requests(link));
}

static bool
expects_replies(const struct link * link)
{

	return (link->context != NULL && link->replies < link->expected);
}

/* Fill in what to wait for on each connection, or that there is nothing.
 * Return whether there is anything, and leave whether it is here already. */
static bool
describe_waits(struct link * const * list, size_t count,
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
receive_with(struct link * const * list, size_t count,
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
				link_fail(list[i], ready != -1, ready == -1 ?
				    "poll failed" : "no answer in time");
		}
	}
}

void
link_receive(struct link * const * list, size_t count, int64_t deadline)
{
	struct pollfd one;
	struct pollfd * descriptors = &one;

	if (count > 1)
		descriptors = alloc_zeroed(count, sizeof(*descriptors));
	receive_with(list, count, descriptors, deadline);
	if (count > 1)
		free(descriptors);
}

bool
link_has_message(struct link * link)
{
	struct pollfd descriptor = { .events = POLLIN };
	bool message = false;
	void * reply;

	if (link->context == NULL)
		return (false);
	descriptor.fd = link->context->fd;
	if (!has_pending(link) && poll(&descriptor, 1, 0) != 1)
		return (false);
	if (read_arrived(link) != 0)
		return (false);
	for (; next_reply(link, &reply) == 0 && reply != NULL; message = true)
		freeReplyObject(reply);
	return (message);
}

const char *
link_error(const struct link * link)
{

	return (link->error);
}

bool
link_timed_out(const struct link * link)
{

	return (link->timed_out);
}

void
link_close(struct link * link)
{

	if (link->context != NULL)
		redisFree(link->context);
	link->context = NULL;
	link->secured = NULL;
}

void
link_free(struct link * link)
{

	if (link == NULL)
		return;
	link_close(link);
	redis_tls_free(link->tls);
	resolve_free(link->resolve);
	free(link->server.host);
	buffer_free(&link->held);
	free(link);
}
