#ifndef FLAGTALLY_TESTS_FUZZ_SERVER_H
#define FLAGTALLY_TESTS_FUZZ_SERVER_H

#include <errno.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/config/config.h"
#include "tests/fuzz/quiet.h"

/*
 * A program that includes this is linked with
 * --wrap=redisConnectUnixWithTimeout and --wrap=redisConnectWithTimeout, which
 * send calls of these functions to those below.
 *
 * A server that has its replies ready before it is asked anything.  It takes
 * the place of hiredis' connections and of the clock: a wait for a reply that
 * will not arrive is over at once.
 */
#define SERVER_PEERS_MAX 16

/* The server's end of a connection. */
struct server_peer {
	int descriptor;			/* 0: unused. */
	redisReader * requests;
	const char * next;		/* Replies that were not sent yet: up */
	size_t left;			/* to 0xfe at each wait. */
};

/* Return the reply to a request, or NULL: it is one of the stored replies. */
typedef const char * server_answers(const redisReply * request);

static struct {
	int64_t now;			/* In milliseconds. */
	struct buffer replies;		/* Of all connections, in their */
	size_t at;			/* order, each up to a 0xff. */
	bool greets;			/* It answers log-ins by itself. */
	server_answers * answers;	/* Or NULL. */
	size_t heard;			/* Requests that are no log-in's. */
	struct server_peer peers[SERVER_PEERS_MAX];
} server = { .now = 1000000 };

int64_t
clock_monotonic(void)
{

	return (server.now);
}

int64_t
clock_microseconds(void)
{

	return (server.now * 1000);
}

int64_t
clock_now(void)
{

	return (1700000000 + server.now / 1000);
}

int64_t
clock_now_ms(void)
{

	return (1700000000000 + server.now);
}

int
clock_remaining(int64_t deadline)
{
	int64_t left = deadline - server.now;

	return (left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
}


/* The replies of the next connection; false if there are no more. */
static inline bool
server_next(const char ** bytes, size_t * length)
{
	const char * end;

	if (server.at >= server.replies.length)
		return (false);
	*bytes = server.replies.bytes + server.at;
	*length = server.replies.length - server.at;
	end = memchr(*bytes, 0xff, *length);
	if (end != NULL)
		*length = (size_t)(end - *bytes);
	server.at += *length + 1;
	return (true);
}

/* The client may have closed the connection. */
static inline void
server_say(int descriptor, const char * bytes, size_t length)
{

	must(length == 0 || send(descriptor, bytes, length, MSG_DONTWAIT |
	    MSG_NOSIGNAL) == (ssize_t)length || errno == EPIPE);
}

/* Answer a request of a log-in; return false if it is another one. */
static inline bool
server_greet(int descriptor, const redisReply * request)
{
	const char * name = request->element[0]->str;
	char text[64];

	if (strcmp(name, "TIME") == 0)
		snprintf(text, sizeof(text),
		    "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
	else if (strcmp(name, "SCRIPT") == 0)
		snprintf(text, sizeof(text), "$40\r\n%040zu\r\n",
		    request->element[2]->len);
	else if (strcmp(name, "CLIENT") == 0)
		snprintf(text, sizeof(text), "+OK\r\n");
	else
		return (false);
	server_say(descriptor, text, strlen(text));
	return (true);
}

static inline void
server_answer(struct server_peer * peer, const redisReply * request)
{

	const char * reply;

	must(request->type == REDIS_REPLY_ARRAY && request->elements > 0);
	if (server.greets && server_greet(peer->descriptor, request))
		return;
	server.heard++;
	reply = server.answers == NULL ? NULL : server.answers(request);
	if (reply != NULL)
		server_say(peer->descriptor, reply, strlen(reply));
}

/* Read the requests that have arrived. */
static inline void
server_listen(struct server_peer * peer)
{
	char bytes[16384];
	void * request = NULL;
	ssize_t length;

	if (peer->descriptor == 0)
		return;
	while ((length = recv(peer->descriptor, bytes, sizeof(bytes),
	    MSG_DONTWAIT)) > 0)
		must(redisReaderFeed(peer->requests, bytes, (size_t)length) ==
		    REDIS_OK);
	while (redisReaderGetReply(peer->requests, &request) == REDIS_OK &&
	    request != NULL) {
		server_answer(peer, request);
		freeReplyObject(request);
	}
	must(peer->requests->err == 0);
}

/* Send the replies up to the next pause; return false if none is left. */
static inline bool
server_say_more(struct server_peer * peer)
{
	const char * pause = peer->left == 0 ? NULL :
	    memchr(peer->next, 0xfe, peer->left);
	size_t length = pause == NULL ? peer->left :
	    (size_t)(pause - peer->next);

	if (peer->left == 0)
		return (false);
	server_say(peer->descriptor, peer->next, length);
	length += pause != NULL;
	peer->next += length;
	peer->left -= length;
	return (true);
}

static inline bool
server_goes_on(void)
{
	bool any = false;
	size_t i;

	for (i = 0; i < SERVER_PEERS_MAX; i++)
		any = server_say_more(&server.peers[i]) || any;
	return (any);
}

/* The C library's own poll is inline if _FORTIFY_SOURCE is set. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wstatic-in-inline"
#endif

int
poll(struct pollfd * list, nfds_t count, int timeout)
{
	struct timespec none = { 0, 0 };
	long ready;
	size_t i;

	for (i = 0; i < SERVER_PEERS_MAX; i++)
		server_listen(&server.peers[i]);
	ready = count == 0 ? 0 : syscall(SYS_ppoll, list, count, &none, NULL,
	    0);
	if (ready == 0 && count > 0 && server_goes_on())
		return (poll(list, count, timeout));
	if (ready == 0)
		server.now += timeout < 0 ? 1000 : timeout;
	return ((int)ready);
}

static inline void
server_hang_up_peer(struct server_peer * peer)
{

	if (peer->descriptor == 0)
		return;
	close(peer->descriptor);
	redisReaderFree(peer->requests);
	peer->descriptor = 0;
	peer->left = 0;
}

static inline void
server_hang_up(void)
{
	size_t i;

	for (i = 0; i < SERVER_PEERS_MAX; i++)
		server_hang_up_peer(&server.peers[i]);
}

/* Return a peer for a new connection, or NULL if all are in use. */
static inline struct server_peer *
server_free_peer(void)
{
	struct server_peer * unused = NULL;
	size_t i;

	for (i = 0; i < SERVER_PEERS_MAX; i++) {
		struct server_peer * peer = &server.peers[i];
		char byte;

		server_listen(peer);
		if (peer->descriptor != 0 && recv(peer->descriptor, &byte, 1,
		    MSG_DONTWAIT) == 0)
			server_hang_up_peer(peer);
		if (peer->descriptor == 0)
			unused = peer;
	}
	return (unused);
}

static inline redisContext *
server_accept(void)
{
	struct server_peer * peer = server_free_peer();
	redisContext * context;
	const char * bytes = NULL;
	size_t length = 0;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	context = redisConnectFd(pair[1]);
	must(context != NULL);
	server.now++;
	if (peer == NULL || (!server_next(&bytes, &length) &&
	    server.replies.length > 0)) {
		close(pair[0]);
		context->err = REDIS_ERR_IO;
		strcpy(context->errstr, "no server is there");
		return (context);
	}
	peer->descriptor = pair[0];
	peer->requests = redisReaderCreate();
	must(peer->requests != NULL);
	peer->next = bytes;
	peer->left = length;
	return (context);
}

redisContext *
__wrap_redisConnectUnixWithTimeout(const char * path,
    const struct timeval limit);
redisContext *
__wrap_redisConnectWithTimeout(const char * host, int port,
    const struct timeval limit);

redisContext *
__wrap_redisConnectUnixWithTimeout(const char * path,
    const struct timeval limit)
{

	(void)path;
	(void)limit;
	return (server_accept());
}

redisContext *
__wrap_redisConnectWithTimeout(const char * host, int port,
    const struct timeval limit)
{

	must(strnlen(host, 64) < 64 && port > 0 && port <= 65535);
	(void)limit;
	return (server_accept());
}

static const struct redis_address server_config = {
	.unix_path = (char *)(uintptr_t)"/nowhere",
};

/**
 * server_begin(bytes, length, greets, answers):
 * From now on the server sends these replies, which begin anew with each
 * connection; with none it takes any number of connections.  With ${greets} it
 * answers each log-in first.  ${answers} hears each other request; NULL: none.
 */
static inline void
server_begin(const void * bytes, size_t length, bool greets,
    server_answers * answers)
{

	server_hang_up();
	buffer_clear(&server.replies);
	buffer_append(&server.replies, bytes, length);
	server.at = 0;
	server.greets = greets;
	server.answers = answers;
	server.heard = 0;
	server.now += 10000;
}

#endif
