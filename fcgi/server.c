#include <errno.h>
#include <fcgiapp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fcgi/head.h"
#include "fcgi/idle.h"
#include "fcgi/server.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"

/*
 * A thread belongs to a request, not to a connection.  All threads wait on one
 * epoll instance that holds the listening sockets and every connection on
 * which no request is under way: new ones, those that the web server keeps for
 * later, and those of whose request the head is not whole yet.  So neither a
 * peer that connects and says little, nor any number of kept connections, nor
 * one that does not close its end holds a thread.
 *
 * libfcgi can do none of this: its accept blocks, and its request binds the
 * connection to the thread.  We accept ourselves and lend a connection to a
 * request by setting ipcFd, which libfcgi keeps in the open for this kind of
 * use; with a listening socket of -1 it can never accept one itself.  It reads
 * a head that had to be collected from a file in memory, and all else from the
 * connection.
 *
 * A body does hold a thread while it arrives, for as long as its deadline gives
 * it (exchange.h), whatever records it comes in.  When all threads are held and
 * somebody waits, those bodies that have been arriving for longest have to go:
 * their senders are told to come again.
 */
#define STACK_SIZE ((size_t)256 * 1024)

/* A peer that sends nothing, or does not read an answer, which is small, for
 * so many seconds is given up. */
#define RECEIVE_TIMEOUT 10
#define SEND_TIMEOUT 2

/* Milliseconds that a body has while others wait for its thread. */
#define PRESSED_TIME_MAX 3000

/* Milliseconds that libfcgi waits for a peer whose records are out of order
 * to close its end; of all others we do it ourselves, without a thread. */
#define LINGER_MAX "10"

#define NONE (-1)

struct thread {
	struct server * server;
	pthread_t id;
	FCGX_Request fcgi;
	struct workspace workspace;
	struct exchange exchange;	/* The request in hand, */
	int descriptor;			/* its connection, or NONE. */
};

struct server {
	const struct service * service;
	const struct listen * listen;
	struct server_limits limits;
	int epoll;
	int stop;			/* An eventfd: readable for good. */
	_Atomic bool stopping;
	_Atomic size_t waiting;		/* Threads without a request. */
	bool pressed;			/* None were when last we looked. */
	struct idle * idle;

	pthread_mutex_t lock;		/* Guards what follows. */
	pthread_cond_t ended;
	struct thread * threads;
	size_t thread_count;
	size_t running;
};

/* Requests */

static void
set_descriptor(struct thread * thread, int descriptor)
{

	pthread_mutex_lock(&thread->server->lock);
	thread->descriptor = descriptor;
	pthread_mutex_unlock(&thread->server->lock);
}

static void
begin_exchange(struct thread * thread, int descriptor, int64_t since)
{
	struct exchange * exchange = &thread->exchange;

	pthread_mutex_lock(&thread->server->lock);
	memset(exchange, 0, sizeof(*exchange));
	exchange->fcgi = &thread->fcgi;
	exchange->began = since;
	exchange->time_max = thread->server->limits.time_max;
	exchange->unread = -1;
	exchange->reading = true;
	thread->descriptor = descriptor;
	pthread_mutex_unlock(&thread->server->lock);
}

/* Have libfcgi read the head.  Return false if it cannot. */
static bool
accept_request(struct thread * thread, int descriptor,
    const struct head * head, bool large)
{
	int file = NONE;
	bool accepted;

	if (head != NULL) {
		file = head_file(head, large);
		if (file == NONE)
			return (false);
	}
	thread->fcgi.ipcFd = file == NONE ? descriptor : file;
	thread->fcgi.keepConnection = 1;
	accepted = FCGX_Accept_r(&thread->fcgi) == 0;
	thread->exchange.reading = false;
	if (accepted && file != NONE)
		close(file);
	/* What it could not make sense of it has closed. */
	thread->fcgi.ipcFd = accepted ? descriptor : NONE;
	return (accepted);
}

/* As FCGX_Finish_r, but the connection is ours to close.  Return whether it
 * can be used again. */
static bool
finish_request(struct thread * thread)
{
	FCGX_Request * fcgi = &thread->fcgi;
	bool usable = fcgi->keepConnection && !thread->exchange.failed &&
	    !thread->server->stopping;

	usable = FCGX_FClose(fcgi->err) == 0 && usable;
	usable = FCGX_FClose(fcgi->out) == 0 && usable;
	usable = FCGX_GetError(fcgi->in) == 0 && usable;
	FCGX_Free(fcgi, 0);
	fcgi->ipcFd = NONE;
	return (usable);
}

static void
serve(struct thread * thread, int descriptor, struct head * head, bool large)
{
	struct server * server = thread->server;
	bool collected = head != NULL;
	bool usable;

	begin_exchange(thread, descriptor, collected ? head_since(head) :
	    clock_monotonic());
	if (!accept_request(thread, descriptor, head, large)) {
		head_free(head);
		set_descriptor(thread, NONE);
		if (collected)
			idle_leave(server->idle, descriptor);
		return;
	}
	head_free(head);
	if (large)
		request_refuse(server->service, &thread->exchange,
		    "the parameters of the request are larger than "
		    "limit_params");
	else
		request_serve(server->service, &thread->workspace,
		    &thread->exchange);
	set_descriptor(thread, NONE);
	usable = finish_request(thread);
	if (usable)
		idle_park(server->idle, descriptor, NULL);
	else
		idle_leave(server->idle, descriptor);
}

/* Serve the connection if a request's head is there; else let it wait. */
static void
serve_or_park(struct thread * thread, int descriptor, struct head * head)
{
	struct server * server = thread->server;

	switch (head_read(&head, descriptor, server->limits.parameters)) {
	case HEAD_READY:
		serve(thread, descriptor, head, false);
		break;
	case HEAD_LARGE:
		serve(thread, descriptor, head, true);
		break;
	case HEAD_WAIT:
		idle_park(server->idle, descriptor, head);
		break;
	case HEAD_END:
		head_free(head);
		idle_leave(server->idle, descriptor);
		break;
	}
}

/* Connections */

/* Descriptors have run out: give up an idle connection, or wait a little. */
static void
make_room(struct server * server)
{
	static struct log_limit limit;
	uint64_t suppressed;

	if (log_allowed(&limit, 10, &suppressed))
		log_warning("out of descriptors: raise RLIMIT_NOFILE");
	if (!idle_close_oldest(server->idle))
		poll(NULL, 0, 10);
}

static void
accept_connection(struct thread * thread, int listening)
{
	struct timeval limit = { .tv_sec = SEND_TIMEOUT };
	int descriptor = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	int on = 1;

	if (descriptor == -1) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			make_room(thread->server);
		return;
	}
	setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit,
	    sizeof(limit));
	limit.tv_sec = RECEIVE_TIMEOUT;
	setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit));
	/* Fails on a Unix socket, which needs none. */
	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	idle_register(thread->server->idle, descriptor);
	serve_or_park(thread, descriptor, NULL);
}

static bool
is_listening(const struct server * server, int descriptor)
{
	size_t i;

	for (i = 0; i < server->listen->count; i++)
		if (server->listen->descriptors[i] == descriptor)
			return (true);
	return (false);
}

static void
thread_loop(struct thread * thread)
{
	struct server * server = thread->server;
	struct epoll_event event;
	struct head * head;
	int count;

	while (!server->stopping) {
		server->waiting++;
		count = epoll_wait(server->epoll, &event, 1, -1);
		server->waiting--;
		if (count != 1 || event.data.fd == server->stop)
			continue;
		if (is_listening(server, event.data.fd))
			accept_connection(thread, event.data.fd);
		else if (idle_claim(server->idle, event.data.fd, &head))
			serve_or_park(thread, event.data.fd, head);
	}
}

static void *
run(void * context)
{
	struct thread * thread = context;
	struct server * server = thread->server;

	FCGX_InitRequest(&thread->fcgi, NONE, 0);
	thread->fcgi.ipcFd = NONE;
	workspace_init(&thread->workspace);
	thread_loop(thread);
	workspace_free(&thread->workspace);
	FCGX_Free(&thread->fcgi, 0);
	pthread_mutex_lock(&server->lock);
	server->running--;
	pthread_cond_signal(&server->ended);
	pthread_mutex_unlock(&server->lock);
	return (NULL);
}

/* Start and stop */

static struct server *
create(const struct service * service, const struct listen * listen,
    const struct server_limits * limits)
{
	struct server * server = alloc_zeroed(1, sizeof(*server));
	pthread_condattr_t attributes;

	server->service = service;
	server->listen = listen;
	server->limits = *limits;
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->idle = idle_create(server->epoll);
	server->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&server->ended, &attributes);
	pthread_condattr_destroy(&attributes);
	return (server);
}

static void
destroy(struct server * server)
{

	idle_free(server->idle);
	if (server->epoll != -1)
		close(server->epoll);
	if (server->stop != -1)
		close(server->stop);
	pthread_mutex_destroy(&server->lock);
	pthread_cond_destroy(&server->ended);
	free(server->threads);
	free(server);
}

static int
watch(struct server * server, int descriptor, uint32_t events)
{
	struct epoll_event event = { .events = events,
	    .data = { .fd = descriptor } };

	return (epoll_ctl(server->epoll, EPOLL_CTL_ADD, descriptor, &event));
}

static int
watch_all(struct server * server)
{
	size_t i;

	if (server->epoll == -1 || server->stop == -1 ||
	    watch(server, server->stop, EPOLLIN) != 0)
		return (-1);
	for (i = 0; i < server->listen->count; i++)
		if (watch(server, server->listen->descriptors[i],
		    EPOLLIN | EPOLLEXCLUSIVE) != 0)
			return (-1);
	return (0);
}

/* Start as many threads as asked for; return 0, or an error's number. */
static int
start_threads(struct server * server, size_t count)
{
	pthread_attr_t attributes;
	int error = 0;

	server->threads = alloc_zeroed(count, sizeof(*server->threads));
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_mutex_lock(&server->lock);
	while (error == 0 && server->thread_count < count) {
		struct thread * thread =
		    &server->threads[server->thread_count];

		thread->server = server;
		thread->descriptor = NONE;
		error = pthread_create(&thread->id, &attributes, run, thread);
		if (error == 0)
			server->thread_count++;
	}
	server->running = server->thread_count;
	pthread_mutex_unlock(&server->lock);
	pthread_attr_destroy(&attributes);
	return (error);
}

struct server *
server_start(const struct service * service, const struct listen * listen,
    const struct server_limits * limits)
{
	struct server * server = create(service, listen, limits);
	int error;

	/* Its default would hold a thread for two seconds. */
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", LINGER_MAX, 0);
	if (FCGX_Init() != 0 || watch_all(server) != 0) {
		log_error("cannot wait for requests: %s", strerror(errno));
		destroy(server);
		return (NULL);
	}
	error = start_threads(server, limits->threads);
	if (error == 0)
		return (server);
	log_error("only %zu of %zu threads can be started: %s",
	    server->thread_count, limits->threads, strerror(error));
	server_stop(server, INT64_MAX);
	return (NULL);
}

/*
 * Break off the requests that are still arriving and are too late at ${now}, or
 * have been for ${time_max} milliseconds.
 */
static void
break_off(struct server * server, int64_t now, int64_t time_max)
{
	size_t i;

	pthread_mutex_lock(&server->lock);
	for (i = 0; i < server->thread_count; i++) {
		const struct thread * thread = &server->threads[i];
		const struct exchange * exchange = &thread->exchange;

		if (thread->descriptor != NONE && exchange->reading &&
		    (exchange->began + time_max <= now ||
		    exchange_deadline(exchange) <= now))
			shutdown(thread->descriptor, SHUT_RD);
	}
	pthread_mutex_unlock(&server->lock);
}

/* Return whether no thread is free and there is work for one. */
static bool
is_pressed(const struct server * server)
{
	struct pollfd work = { .fd = server->epoll, .events = POLLIN };

	return (server->waiting == 0 && poll(&work, 1, 0) == 1);
}

void
server_tick(struct server * server)
{
	bool pressed = is_pressed(server);

	break_off(server, clock_monotonic(), pressed && server->pressed ?
	    PRESSED_TIME_MAX : INT64_MAX / 2);
	server->pressed = pressed;
	idle_expire(server->idle, server->limits.time_max);
}

/* Wait until all threads have ended, but not beyond ${deadline}. */
static bool
wait_for_threads(struct server * server, int64_t deadline)
{
	struct timespec until = { .tv_sec = deadline / 1000,
	    .tv_nsec = deadline % 1000 * 1000000 };
	int error = 0;
	bool all;

	pthread_mutex_lock(&server->lock);
	while (server->running > 0 && error == 0)
		error = pthread_cond_timedwait(&server->ended, &server->lock,
		    &until);
	all = server->running == 0;
	pthread_mutex_unlock(&server->lock);
	return (all);
}

bool
server_stop(struct server * server, int64_t deadline)
{
	uint64_t one = 1;
	int64_t grace = clock_monotonic() + SERVER_GRACE;
	size_t i;

	server->stopping = true;
	idle_stop(server->idle);
	/* All threads see it: nobody ever reads it. */
	while (write(server->stop, &one, sizeof(one)) == -1 && errno == EINTR)
		continue;
	if (!wait_for_threads(server, grace < deadline ? grace : deadline)) {
		break_off(server, clock_monotonic(), 0);
		if (!wait_for_threads(server, deadline))
			return (false);
	}
	for (i = 0; i < server->thread_count; i++)
		pthread_join(server->threads[i].id, NULL);
	destroy(server);
	return (true);
}
