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

#include "fcgi/server.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"

/*
 * A thread belongs to a request, not to a connection.  All threads wait on one
 * epoll instance that holds the listening sockets and every connection on
 * which no request is under way: new ones whose first byte has not come, and
 * those that the web server keeps for later.  So neither a peer that connects
 * and says nothing nor any number of kept connections holds a thread.
 *
 * libfcgi can do none of this: its accept blocks, and its request binds the
 * connection to the thread.  We accept ourselves and lend a connection to a
 * request by setting ipcFd, which libfcgi keeps in the open for this kind of
 * use; with a listening socket of -1 it can never accept one itself.
 *
 * An event names a descriptor, and by the time a thread acts on it another may
 * have closed that and got its number for a new one.  So connections stand in
 * a table by descriptor, and whoever finds one idle there, under the lock,
 * owns it from then on.
 */
#define STACK_SIZE ((size_t)256 * 1024)

/* A peer that neither sends nor reads for so many seconds is given up. */
#define PEER_TIMEOUT 10

/* Connections without a request; of more, the one that is idle longest goes. */
#define IDLE_MAX 512

/* Milliseconds that libfcgi waits for a peer to close its end. */
#define LINGER_MAX "200"

#define NONE (-1)

/* What is known of a descriptor that is a connection. */
struct connection {
	bool idle;			/* No request is under way. */
	bool watched;			/* The epoll instance knows it. */
	int older, newer;		/* While it is idle. */
};

struct thread {
	struct server * server;
	pthread_t id;
	FCGX_Request fcgi;
	struct workspace workspace;
	int descriptor;			/* Of the request in hand, or NONE. */
	int64_t since;			/* When its head began to arrive. */
};

struct server {
	const struct service * service;
	const struct listen * listen;
	int epoll;
	int stop;			/* An eventfd: readable for good. */
	_Atomic bool stopping;

	pthread_mutex_t lock;		/* Guards what follows. */
	pthread_cond_t ended;
	struct connection * connections;	/* By descriptor. */
	size_t size;
	int oldest, newest;		/* Of the idle ones. */
	size_t idle;
	struct thread * threads;
	size_t thread_count;
	size_t running;
};

/* Idle connections; the caller holds the lock. */

static void
idle_remove(struct server * server, int descriptor)
{
	struct connection * all = server->connections;
	struct connection * connection = &all[descriptor];

	if (connection->older != NONE)
		all[connection->older].newer = connection->newer;
	else
		server->oldest = connection->newer;
	if (connection->newer != NONE)
		all[connection->newer].older = connection->older;
	else
		server->newest = connection->older;
	connection->idle = false;
	server->idle--;
}

static void
idle_add(struct server * server, int descriptor)
{
	struct connection * all = server->connections;

	all[descriptor].idle = true;
	all[descriptor].older = server->newest;
	all[descriptor].newer = NONE;
	if (server->newest != NONE)
		all[server->newest].newer = descriptor;
	else
		server->oldest = descriptor;
	server->newest = descriptor;
	server->idle++;
}

static void
idle_close_oldest(struct server * server)
{
	int descriptor = server->oldest;

	idle_remove(server, descriptor);
	server->connections[descriptor].watched = false;
	close(descriptor);
}

static int
watch(struct server * server, int operation, int descriptor, uint32_t events)
{
	struct epoll_event event = { .events = events,
	    .data = { .fd = descriptor } };

	return (epoll_ctl(server->epoll, operation, descriptor, &event));
}

/* A new connection, whatever its descriptor was before. */
static void
register_connection(struct server * server, int descriptor)
{
	size_t size;

	pthread_mutex_lock(&server->lock);
	size = server->size;
	if ((size_t)descriptor >= size) {
		server->size = ((size_t)descriptor + 1) * 2;
		server->connections = alloc_resize(server->connections,
		    server->size, sizeof(*server->connections));
	}
	server->connections[descriptor].idle = false;
	server->connections[descriptor].watched = false;
	for (; size < server->size; size++)
		server->connections[size].idle = false;
	pthread_mutex_unlock(&server->lock);
}

/* Let the connection wait for its next request with all the others. */
static void
park(struct server * server, int descriptor)
{
	struct connection * connection;

	pthread_mutex_lock(&server->lock);
	if (server->idle >= IDLE_MAX)
		idle_close_oldest(server);
	connection = &server->connections[descriptor];
	idle_add(server, descriptor);
	/* Of the threads that wait, one gets the event. */
	if (!server->stopping && watch(server, connection->watched ?
	    EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor,
	    EPOLLIN | EPOLLONESHOT) == 0)
		connection->watched = true;
	else {
		idle_remove(server, descriptor);
		close(descriptor);
	}
	pthread_mutex_unlock(&server->lock);
}

/* Take a connection out of the idle ones; false if another thread has. */
static bool
claim(struct server * server, int descriptor)
{
	bool idle;

	pthread_mutex_lock(&server->lock);
	idle = (size_t)descriptor < server->size &&
	    server->connections[descriptor].idle;
	if (idle)
		idle_remove(server, descriptor);
	pthread_mutex_unlock(&server->lock);
	return (idle);
}

/* Requests */

static void
set_descriptor(struct thread * thread, int descriptor, int64_t since)
{

	pthread_mutex_lock(&thread->server->lock);
	thread->descriptor = descriptor;
	thread->since = since;
	pthread_mutex_unlock(&thread->server->lock);
}

static void
serve(struct thread * thread, int descriptor)
{
	struct server * server = thread->server;
	struct exchange exchange = { .fcgi = &thread->fcgi,
	    .began = clock_monotonic(), .unread = -1 };

	set_descriptor(thread, descriptor, exchange.began);
	thread->fcgi.ipcFd = descriptor;
	thread->fcgi.keepConnection = 1;
	if (FCGX_Accept_r(&thread->fcgi) == 0) {
		/* The body has a limit of its own. */
		set_descriptor(thread, descriptor, INT64_MAX);
		request_serve(server->service, &thread->workspace, &exchange);
		if (exchange.failed || server->stopping)
			thread->fcgi.keepConnection = 0;
	}
	set_descriptor(thread, NONE, 0);
	/* It closes the connection unless that is kept. */
	FCGX_Finish_r(&thread->fcgi);
	descriptor = thread->fcgi.ipcFd;
	thread->fcgi.ipcFd = NONE;
	if (descriptor != NONE)
		park(server, descriptor);
}

/* Serve the connection if its request is there; else let it wait. */
static void
serve_or_park(struct thread * thread, int descriptor)
{
	char byte;
	ssize_t count = recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (count == 1)
		serve(thread, descriptor);
	else if (count == -1 && errno == EAGAIN)
		park(thread->server, descriptor);
	else
		close(descriptor);
}

/* Connections */

/* Descriptors have run out: give up an idle connection, or wait a little. */
static void
make_room(struct server * server)
{
	static struct log_limit limit;
	uint64_t suppressed;
	bool closed;

	if (log_allowed(&limit, 10, &suppressed))
		log_warning("out of descriptors: raise RLIMIT_NOFILE");
	pthread_mutex_lock(&server->lock);
	closed = server->idle > 0;
	if (closed)
		idle_close_oldest(server);
	pthread_mutex_unlock(&server->lock);
	if (!closed)
		poll(NULL, 0, 10);
}

static void
accept_connection(struct thread * thread, int listening)
{
	struct timeval limit = { .tv_sec = PEER_TIMEOUT };
	int descriptor = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	int on = 1;

	if (descriptor == -1) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			make_room(thread->server);
		return;
	}
	setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit));
	setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit,
	    sizeof(limit));
	/* Fails on a Unix socket, which needs none. */
	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	register_connection(thread->server, descriptor);
	serve_or_park(thread, descriptor);
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

	while (!server->stopping) {
		if (epoll_wait(server->epoll, &event, 1, -1) != 1 ||
		    event.data.fd == server->stop)
			continue;
		if (is_listening(server, event.data.fd))
			accept_connection(thread, event.data.fd);
		else if (claim(server, event.data.fd))
			serve_or_park(thread, event.data.fd);
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
create(const struct service * service, const struct listen * listen)
{
	struct server * server = alloc_zeroed(1, sizeof(*server));
	pthread_condattr_t attributes;

	server->service = service;
	server->listen = listen;
	server->oldest = server->newest = NONE;
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
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

	while (server->idle > 0)
		idle_close_oldest(server);
	if (server->epoll != -1)
		close(server->epoll);
	if (server->stop != -1)
		close(server->stop);
	pthread_mutex_destroy(&server->lock);
	pthread_cond_destroy(&server->ended);
	free(server->connections);
	free(server->threads);
	free(server);
}

static int
watch_all(struct server * server)
{
	size_t i;

	if (server->epoll == -1 || server->stop == -1 ||
	    watch(server, EPOLL_CTL_ADD, server->stop, EPOLLIN) != 0)
		return (-1);
	for (i = 0; i < server->listen->count; i++)
		if (watch(server, EPOLL_CTL_ADD,
		    server->listen->descriptors[i],
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
    size_t threads)
{
	struct server * server = create(service, listen);
	int error;

	/* Its default would hold a thread for two seconds. */
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", LINGER_MAX, 0);
	if (FCGX_Init() != 0 || watch_all(server) != 0) {
		log_error("cannot wait for requests: %s", strerror(errno));
		destroy(server);
		return (NULL);
	}
	error = start_threads(server, threads);
	if (error == 0)
		return (server);
	log_error("only %zu of %zu threads can be started: %s",
	    server->thread_count, threads, strerror(error));
	server_stop(server, INT64_MAX);
	return (NULL);
}

/* Break off requests whose head began to arrive before ${before}. */
static void
break_off(struct server * server, int64_t before)
{
	size_t i;

	pthread_mutex_lock(&server->lock);
	for (i = 0; i < server->thread_count; i++) {
		const struct thread * thread = &server->threads[i];

		if (thread->descriptor != NONE && thread->since <= before)
			shutdown(thread->descriptor, SHUT_RD);
	}
	pthread_mutex_unlock(&server->lock);
}

void
server_tick(struct server * server)
{

	break_off(server, clock_monotonic() - EXCHANGE_TIME_MAX);
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
	/* All threads see it: nobody ever reads it. */
	while (write(server->stop, &one, sizeof(one)) == -1 && errno == EINTR)
		continue;
	if (!wait_for_threads(server, grace < deadline ? grace : deadline)) {
		break_off(server, INT64_MAX);
		if (!wait_for_threads(server, deadline))
			return (false);
	}
	for (i = 0; i < server->thread_count; i++)
		pthread_join(server->threads[i].id, NULL);
	destroy(server);
	return (true);
}
