#ifndef FLAGTALLY_TESTS_FUZZ_SERVER_H
#define FLAGTALLY_TESTS_FUZZ_SERVER_H

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
 * --wrap=redisConnectUnixWithTimeout, which sends calls of that function to
 * the one below.
 *
 * A server that has its replies ready before it is asked anything.  It stands
 * in for the connection of hiredis, and for the clock: whoever waits for what
 * will not come has waited as soon as he asks.
 */
static struct {
	int64_t now;			/* In milliseconds. */
	struct buffer replies;		/* Of all connections, one after */
	size_t at;			/* the other, each up to a 0xff, */
	const char * next;		/* and of this one, what is said */
	size_t left;			/* when it is waited for: to 0xfe. */
	bool greets;			/* Each begins with a log-in. */
	int peer;			/* The other end, or -1. */
} server = { .now = 1000000, .peer = -1 };

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

static inline void
server_say(int descriptor, const char * bytes, size_t length)
{

	must(length == 0 || send(descriptor, bytes, length, MSG_DONTWAIT |
	    MSG_NOSIGNAL) == (ssize_t)length);
}

/* Say what comes up to the next pause; false if there is nothing left. */
static inline bool
server_say_more(void)
{
	const char * pause = server.left == 0 ? NULL :
	    memchr(server.next, 0xfe, server.left);
	size_t length = pause == NULL ? server.left :
	    (size_t)(pause - server.next);

	if (server.peer == -1 || server.left == 0)
		return (false);
	server_say(server.peer, server.next, length);
	length += pause != NULL;
	server.next += length;
	server.left -= length;
	return (true);
}

int
poll(struct pollfd * list, nfds_t count, int timeout)
{
	struct timespec none = { 0, 0 };
	long ready = count == 0 ? 0 : syscall(SYS_ppoll, list, count, &none,
	    NULL, 0);

	if (ready == 0 && count > 0 && server_say_more())
		return (poll(list, count, timeout));
	if (ready == 0)
		server.now += timeout < 0 ? 1000 : timeout;
	return ((int)ready);
}

static inline void
server_hang_up(void)
{

	if (server.peer != -1)
		close(server.peer);
	server.peer = -1;
	server.left = 0;
}

redisContext *
__wrap_redisConnectUnixWithTimeout(const char * path,
    const struct timeval limit);

redisContext *
__wrap_redisConnectUnixWithTimeout(const char * path,
    const struct timeval limit)
{
	static const char greeting[] = "+OK\r\n"
	    "$40\r\n0123456789012345678901234567890123456789\r\n"
	    "$40\r\n1123456789012345678901234567890123456789\r\n"
	    "$40\r\n2123456789012345678901234567890123456789\r\n";
	redisContext * context;
	const char * bytes;
	size_t length;
	int pair[2];

	(void)path;
	(void)limit;
	server_hang_up();
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	context = redisConnectFd(pair[1]);
	must(context != NULL);
	server.peer = pair[0];
	server.now++;
	if (!server_next(&bytes, &length)) {
		context->err = REDIS_ERR_IO;
		strcpy(context->errstr, "nobody is there");
		return (context);
	}
	if (server.greets)
		server_say(pair[0], greeting, sizeof(greeting) - 1);
	server.next = bytes;
	server.left = length;
	return (context);
}

static const struct redis_address server_config = {
	.unix_path = (char *)(uintptr_t)"/nowhere",
};

/**
 * server_begin(bytes, length, greets):
 * From now on the server says these replies; with ${greets} it takes every
 * log-in first.
 */
static inline void
server_begin(const void * bytes, size_t length, bool greets)
{

	server_hang_up();
	buffer_clear(&server.replies);
	buffer_append(&server.replies, bytes, length);
	server.at = 0;
	server.greets = greets;
	server.now += 10000;
}

#endif
