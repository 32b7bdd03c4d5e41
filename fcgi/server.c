#include <errno.h>
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
#include <unistd.h>

#include "fcgi/conn.h"
#include "fcgi/params.h"
#include "fcgi/pool.h"
#include "fcgi/server.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/thread.h"

/*
 * A thread belongs to a request, not to a connection, and only while it has
 * work to do for it.  One epoll instance holds the listening sockets and every
 * connection on which no request is under way: new ones, those that the web
 * server keeps open, those whose parameters are still arriving, and those that
 * are answered but whose peer may still send.  So a slow peer holds no thread,
 * nor does any number of kept connections, nor a peer that does not close its
 * end.  Neither does a request that is being committed: it is a job that the
 * committer gives back (pool.h).
 *
 * Only a body holds a thread while it arrives, until its deadline (cgi.h),
 * however it is cut into records.  When all threads are busy and a request
 * waits, bodies that have been arriving for PRESSED_TIME_MAX are broken off
 * with 503, and their senders try again.
 */
#define STACK_SIZE ((size_t)256 * 1024)

/* Milliseconds that a body has to arrive while others wait for its thread. */
#define PRESSED_TIME_MAX 3000

struct thread {
	struct server * server;
	pthread_t id;
	struct worker worker;
};

struct server {
	const struct service * service;
	const struct listen * listen;
	struct server_limits limits;
	int epoll;
	int stop;			/* An eventfd: readable once stopped. */
	_Atomic bool draining;		/* Keep connections no longer. */
	bool pressed;			/* is_pressed at the previous tick. */
	struct conn * conn;
	struct pool * pool;

	pthread_mutex_t lock;		/* Guards what follows. */
	pthread_cond_t ended;
	struct thread * threads;
	size_t thread_count;
	size_t running;
};

/* Requests */

/* The response is sent: keep the connection, or let it linger. */
static void
end_job(struct server * server, struct job * job)
{
	int descriptor = job->descriptor;

	if (job_end(job) && !server->draining)
		conn_keep_alive(server->conn, descriptor);
	else
		conn_linger(server->conn, descriptor,
		    job->request.cgi.ended);
}

static void
serve_request(struct thread * thread, int descriptor, struct params * params,
    bool large)
{
	struct server * server = thread->server;
	struct job * job = thread->worker.job;
	bool collected = params != NULL;

	if (!job_begin(job, descriptor, params, large,
	    server->limits.time_max)) {
		if (collected)
			conn_linger(server->conn, descriptor, false);
		return;
	}
	if (large)
		request_refuse(server->service, &job->request.cgi,
		    "the parameters of the request are larger than "
		    "limit_cgi_params");
	else if (!request_serve(server->service, &job->request)) {
		pool_detach_job(&thread->worker);
		return;
	}
	end_job(server, job);
}

/* Serve the connection if all parameters have arrived; else let it wait. */
static void
serve_or_wait(struct thread * thread, int descriptor, struct params * params)
{
	struct server * server = thread->server;

	switch (params_read(&params, descriptor, server->limits.parameters)) {
	case PARAMS_DONE_WITH_BODY:
		serve_request(thread, descriptor, params, false);
		break;
	case PARAMS_DONE:
		pool_release_slot(server->pool, &thread->worker);
		serve_request(thread, descriptor, params, false);
		break;
	case PARAMS_TOO_LARGE:
		pool_release_slot(server->pool, &thread->worker);
		serve_request(thread, descriptor, params, true);
		break;
	case PARAMS_MORE:
		conn_wait(server->conn, descriptor, params);
		break;
	case PARAMS_CLOSED:
		params_free(params);
		conn_linger(server->conn, descriptor, false);
		break;
	}
}

/* Connections */

/* Out of descriptors: close an idle connection, or wait a little. */
static void
handle_descriptor_shortage(struct server * server)
{

	log_warning_limited("out of descriptors: raise RLIMIT_NOFILE");
	if (!conn_close_oldest(server->conn))
		poll(NULL, 0, 10);
}

static void
accept_connection(struct thread * thread, int listening)
{
	struct server * server = thread->server;
	int descriptor = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

	if (descriptor != -1) {
		conn_register(server->conn, descriptor);
		serve_or_wait(thread, descriptor, NULL);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
	    errno == ENOMEM)
		handle_descriptor_shortage(server);
}

static bool
is_listener(const struct server * server, int descriptor)
{
	size_t i;

	for (i = 0; i < server->listen->count; i++)
		if (server->listen->descriptors[i] == descriptor)
			return (true);
	return (false);
}

/* Wait for one event, and act on it. */
static void
poll_once(struct thread * thread)
{
	struct server * server = thread->server;
	struct epoll_event event;
	struct params * params;
	int count = epoll_wait(server->epoll, &event, 1, -1);

	pool_note_event(server->pool, &thread->worker);
	if (count != 1 || event.data.fd == server->stop)
		return;
	if (is_listener(server, event.data.fd))
		accept_connection(thread, event.data.fd);
	else if (conn_take(server->conn, event.data.fd, &params))
		serve_or_wait(thread, event.data.fd, params);
}

static void
conclude_request(struct thread * thread)
{
	struct server * server = thread->server;

	request_conclude(server->service, &thread->worker.job->request);
	end_job(server, thread->worker.job);
}

/* The hook of thread_set_hook. */
static void
before_blocking(void * context)
{
	struct thread * thread = context;

	pool_release_slot(thread->server->pool, &thread->worker);
}

static void *
server_thread(void * context)
{
	struct thread * thread = context;
	struct server * server = thread->server;
	enum task task;

	thread_set_hook(before_blocking, thread);
	pool_join(server->pool, &thread->worker);
	while ((task = pool_next(server->pool, &thread->worker)) !=
	    TASK_EXIT) {
		if (task == TASK_CONCLUDE)
			conclude_request(thread);
		else
			poll_once(thread);
	}
	pthread_mutex_lock(&server->lock);
	server->running--;
	pthread_cond_signal(&server->ended);
	pthread_mutex_unlock(&server->lock);
	return (NULL);
}

/* Start and stop */

static struct server *
server_create(const struct service * service, const struct listen * listen,
    const struct server_limits * limits)
{
	struct server * server = alloc_zeroed(1, sizeof(*server));

	server->service = service;
	server->listen = listen;
	server->limits = *limits;
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->conn = conn_create(server->epoll);
	server->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&server->lock, NULL);
	thread_init_condition(&server->ended);
	server->pool = pool_create(limits->threads);
	return (server);
}

static void
server_destroy(struct server * server)
{

	pool_free(server->pool);
	conn_free(server->conn);
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
	int on = 1;
	size_t i;

	if (server->epoll == -1 || server->stop == -1 ||
	    watch(server, server->stop, EPOLLIN) != 0)
		return (-1);
	for (i = 0; i < server->listen->count; i++) {
		/* All connections inherit it; a Unix socket needs none. */
		setsockopt(server->listen->descriptors[i], IPPROTO_TCP,
		    TCP_NODELAY, &on, sizeof(on));
		if (watch(server, server->listen->descriptors[i],
		    EPOLLIN | EPOLLEXCLUSIVE) != 0)
			return (-1);
	}
	return (0);
}

/* Start ${count} threads; return 0, or an errno if one cannot be started. */
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
		error = pthread_create(&thread->id, &attributes, server_thread,
		    thread);
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
	struct server * server = server_create(service, listen, limits);
	int error;

	if (watch_all(server) != 0) {
		log_error("cannot wait for requests: %s", strerror(errno));
		server_destroy(server);
		return (NULL);
	}
	commit_on_answer(service->committer, pool_complete_jobs, server->pool);
	error = start_threads(server, limits->threads);
	if (error == 0)
		return (server);
	log_error("only %zu of %zu threads can be started: %s",
	    server->thread_count, limits->threads, strerror(error));
	server_stop(server, INT64_MAX);
	return (NULL);
}

/* Return whether no thread is free and there is work for one. */
static bool
is_pressed(const struct server * server)
{
	struct pollfd work = { .fd = server->epoll, .events = POLLIN };

	return (pool_is_saturated(server->pool) && poll(&work, 1, 0) == 1);
}

void
server_tick(struct server * server)
{
	int64_t now = clock_monotonic();
	bool pressed = is_pressed(server);

	pool_reclaim_slots(server->pool, now);
	pool_break_off(server->pool, now, pressed && server->pressed ?
	    PRESSED_TIME_MAX : INT64_MAX / 2);
	server->pressed = pressed;
	conn_expire(server->conn, server->limits.time_max);
}

/* Wait until all threads have ended, but not beyond ${deadline}. */
static bool
wait_for_threads(struct server * server, int64_t deadline)
{
	bool all;

	pthread_mutex_lock(&server->lock);
	while (server->running > 0 &&
	    thread_wait(&server->ended, &server->lock, deadline))
		;
	all = server->running == 0;
	pthread_mutex_unlock(&server->lock);
	return (all);
}

/* Stop accepting, and leave the rest to the other owner of the sockets. */
static void
ignore_listening(struct server * server)
{
	size_t i;

	for (i = 0; i < server->listen->count; i++)
		epoll_ctl(server->epoll, EPOLL_CTL_DEL,
		    server->listen->descriptors[i], NULL);
}

/* Return whether a connection waits to be accepted that is ours to serve. */
static bool
has_backlog(const struct server * server)
{
	struct pollfd doors[LISTEN_MAX];
	size_t i;

	if (server->listen->held)
		return (false);
	for (i = 0; i < server->listen->count; i++)
		doors[i] = (struct pollfd){ .events = POLLIN,
		    .fd = server->listen->descriptors[i] };
	return (poll(doors, server->listen->count, 0) != 0);
}

/* Return whether no request is under way, arriving, or waiting for accept. */
static bool
is_server_idle(struct server * server)
{
	size_t before, after;

	/* A connection may be between accept and conn_register: only if there
	 * was no event meanwhile, there is none. */
	return (pool_is_idle(server->pool, &before) &&
	    !has_backlog(server) && !conn_has_pending(server->conn) &&
	    pool_is_idle(server->pool, &after) && before == after);
}

/*
 * A web server that has connected assumes that its request is being served; it
 * cannot know that we have not accepted yet, and would have to report an error
 * to its client.  So serve what has arrived by the time we are stopped:
 * connections that are not accepted yet, and those whose request follows at
 * once.
 */
static void
drain(struct server * server, int64_t deadline)
{

	server->draining = true;
	if (server->listen->held)
		ignore_listening(server);
	while (!is_server_idle(server) && clock_monotonic() < deadline)
		poll(NULL, 0, 1);
}

bool
server_stop(struct server * server, int64_t deadline)
{
	uint64_t one = 1;
	int64_t now = clock_monotonic();
	int64_t grace = now + SERVER_GRACE;
	size_t i;

	drain(server, now + SERVER_DRAIN < deadline ? now + SERVER_DRAIN :
	    deadline);
	pool_stop(server->pool);
	conn_stop(server->conn);
	/* Never read, so it wakes all threads. */
	while (write(server->stop, &one, sizeof(one)) == -1 && errno == EINTR)
		continue;
	if (!wait_for_threads(server, grace < deadline ? grace : deadline)) {
		pool_break_off(server->pool, clock_monotonic(), 0);
		if (!wait_for_threads(server, deadline))
			return (false);
	}
	for (i = 0; i < server->thread_count; i++)
		pthread_join(server->threads[i].id, NULL);
	server_destroy(server);
	return (true);
}
