#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/conn.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"

/*
 * An event names a descriptor.  Before a thread acts on it, another thread may
 * close that descriptor and get the same number for a new connection.  So there
 * is a table of connections by descriptor; a thread that finds a connection
 * idle there, under the lock, owns it from then on.
 */
#define NONE (-1)

/*
 * If a response is sent before the whole body has arrived, and the connection
 * is closed, the rest of the body resets it and the response is lost.  So such
 * a connection lingers: our end is shut down, and up to DISCARD_MAX bytes are
 * discarded as they arrive, until the peer closes its end.  Apache's mod_fcgid
 * reads no response before it has sent the whole body, and turns ours into a
 * 500 if it cannot, so DISCARD_MAX is above the body limits of the shipped
 * configurations.
 */
#define DISCARD_SIZE 16384
#define DISCARD_ROUNDS 4
#define DISCARD_MAX ((size_t)80 * 1024 * 1024)

/* The state of a descriptor that is a connection. */
struct connection {
	bool idle;			/* No request is under way. */
	bool watched;			/* It is in the epoll instance. */
	bool kept;			/* It had a request before. */
	bool lingering;			/* Its input is discarded: */
	size_t discarded;		/* bytes so far. */
	int older, newer;		/* While it is idle: its neighbours, */
	int64_t since;			/* the time since when, */
	struct params * params;		/* and incomplete parameters. */
};

struct conn {
	int epoll;
	pthread_mutex_t lock;		/* Guards what follows. */
	struct connection * connections;	/* By descriptor. */
	size_t size;
	int oldest, newest;
	size_t count;
	size_t lingering;		/* Of them, those that linger. */
	size_t expected;		/* Of them, new or with parameters. */
	size_t params_bytes;
	bool stopping;
};

struct conn *
conn_create(int epoll)
{
	struct conn * conn = alloc_zeroed(1, sizeof(*conn));

	conn->epoll = epoll;
	conn->oldest = conn->newest = NONE;
	pthread_mutex_init(&conn->lock, NULL);
	return (conn);
}

/* The caller of these holds the lock. */

static bool
is_expected(const struct connection * connection)
{

	return (!connection->lingering &&
	    (!connection->kept || connection->params != NULL));
}

static void
unlink_idle(struct conn * conn, int descriptor)
{
	struct connection * all = conn->connections;
	struct connection * connection = &all[descriptor];

	if (connection->older != NONE)
		all[connection->older].newer = connection->newer;
	else
		conn->oldest = connection->newer;
	if (connection->newer != NONE)
		all[connection->newer].older = connection->older;
	else
		conn->newest = connection->older;
	connection->idle = false;
	conn->count--;
	conn->lingering -= connection->lingering;
	conn->expected -= is_expected(connection);
	conn->params_bytes -= params_size(connection->params);
}

static void
link_idle(struct conn * conn, int descriptor, struct params * params,
    int64_t since)
{
	struct connection * all = conn->connections;
	struct connection * connection = &all[descriptor];

	connection->idle = true;
	connection->since = since;
	connection->params = params;
	connection->older = conn->newest;
	connection->newer = NONE;
	if (conn->newest != NONE)
		all[conn->newest].newer = descriptor;
	else
		conn->oldest = descriptor;
	conn->newest = descriptor;
	conn->count++;
	conn->lingering += connection->lingering;
	conn->expected += is_expected(connection);
	conn->params_bytes += params_size(params);
}

static void
close_idle(struct conn * conn, int descriptor)
{
	struct connection * connection = &conn->connections[descriptor];

	unlink_idle(conn, descriptor);
	params_free(connection->params);
	connection->params = NULL;
	connection->watched = false;
	close(descriptor);
}

/* Close the one that has waited longest with incomplete parameters. */
static void
close_oldest_params(struct conn * conn)
{
	int descriptor = conn->oldest;

	while (descriptor != NONE &&
	    conn->connections[descriptor].params == NULL)
		descriptor = conn->connections[descriptor].newer;
	if (descriptor != NONE)
		close_idle(conn, descriptor);
}

/* Close the one that has lingered longest; return false if none lingers. */
static bool
close_oldest_lingering(struct conn * conn)
{
	const struct connection * all = conn->connections;
	int descriptor, found = NONE;

	if (conn->lingering == 0)
		return (false);
	for (descriptor = conn->oldest; descriptor != NONE;
	    descriptor = all[descriptor].newer)
		if (all[descriptor].lingering && (found == NONE ||
		    all[descriptor].since < all[found].since))
			found = descriptor;
	close_idle(conn, found);
	return (true);
}

/* Close the least useful one: those that linger have been served. */
static void
close_least(struct conn * conn)
{

	if (!close_oldest_lingering(conn))
		close_idle(conn, conn->oldest);
}

static void
evict_idle(struct conn * conn, const struct params * params)
{

	if (conn->count >= CONN_MAX)
		close_least(conn);
	while (conn->params_bytes > 0 &&
	    conn->params_bytes + params_size(params) > CONN_PARAMS_MAX)
		close_oldest_params(conn);
}

static void
watch_idle(struct conn * conn, int descriptor)
{
	struct connection * connection = &conn->connections[descriptor];
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT,
	    .data = { .fd = descriptor } };

	/* EPOLLONESHOT: exactly one thread gets the event. */
	if (!conn->stopping && epoll_ctl(conn->epoll, connection->watched ?
	    EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event) == 0)
		connection->watched = true;
	else
		close_idle(conn, descriptor);
}

/* The caller of these does not hold the lock. */

void
conn_register(struct conn * conn, int descriptor)
{
	size_t size;

	pthread_mutex_lock(&conn->lock);
	size = conn->size;
	if ((size_t)descriptor >= size) {
		conn->size = ((size_t)descriptor + 1) * 2;
		conn->connections = alloc_resize(conn->connections,
		    conn->size, sizeof(*conn->connections));
	}
	for (; size < conn->size; size++)
		conn->connections[size] = (struct connection){ .idle = false };
	conn->connections[descriptor] = (struct connection){ .idle = false };
	pthread_mutex_unlock(&conn->lock);
}

void
conn_wait(struct conn * conn, int descriptor, struct params * params)
{

	pthread_mutex_lock(&conn->lock);
	evict_idle(conn, params);
	link_idle(conn, descriptor, params, params == NULL ? clock_monotonic() :
	    params_since(params));
	watch_idle(conn, descriptor);
	pthread_mutex_unlock(&conn->lock);
}

void
conn_keep_alive(struct conn * conn, int descriptor)
{

	pthread_mutex_lock(&conn->lock);
	conn->connections[descriptor].kept = true;
	evict_idle(conn, NULL);
	link_idle(conn, descriptor, NULL, clock_monotonic());
	watch_idle(conn, descriptor);
	pthread_mutex_unlock(&conn->lock);
}

bool
conn_has_pending(struct conn * conn)
{
	bool expects;

	pthread_mutex_lock(&conn->lock);
	expects = conn->expected > 0;
	pthread_mutex_unlock(&conn->lock);
	return (expects);
}

/*
 * Read and discard what has arrived.  Return the number of bytes, or -1 if the
 * peer has closed its end.
 */
static ssize_t
discard_input(int descriptor)
{
	char bytes[DISCARD_SIZE];
	ssize_t count = 1;
	ssize_t sum = 0;
	int rounds;

	for (rounds = 0; count > 0 && rounds < DISCARD_ROUNDS; rounds++) {
		count = recv(descriptor, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (count == 0 || (count == -1 && errno != EAGAIN))
			return (-1);
		sum += count > 0 ? count : 0;
	}
	return (sum);
}

/* Let a connection that this thread owns linger on; it began at ${since}. */
static void
linger_on(struct conn * conn, int descriptor, int64_t since)
{
	ssize_t count = discard_input(descriptor);
	struct connection * connection;

	pthread_mutex_lock(&conn->lock);
	if (conn->lingering >= CONN_LINGERING_MAX)
		close_oldest_lingering(conn);
	evict_idle(conn, NULL);
	connection = &conn->connections[descriptor];
	connection->lingering = true;
	link_idle(conn, descriptor, NULL, since);
	connection->discarded += count > 0 ? (size_t)count : 0;
	if (count < 0 || connection->discarded > DISCARD_MAX)
		close_idle(conn, descriptor);
	else
		watch_idle(conn, descriptor);
	pthread_mutex_unlock(&conn->lock);
}

/* Return whether all input was read: otherwise close would send a reset. */
static bool
is_drained(int descriptor)
{
	char byte;
	ssize_t count = recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return (count == 0 || (count == -1 && errno == EAGAIN));
}

void
conn_linger(struct conn * conn, int descriptor, bool whole)
{

	if (!(whole && is_drained(descriptor)) &&
	    shutdown(descriptor, SHUT_WR) == 0)
		linger_on(conn, descriptor, clock_monotonic());
	else
		close(descriptor);
}

bool
conn_take(struct conn * conn, int descriptor, struct params ** params)
{
	struct connection * connection;
	bool claimed, lingering = false;
	int64_t since = 0;

	pthread_mutex_lock(&conn->lock);
	claimed = (size_t)descriptor < conn->size &&
	    conn->connections[descriptor].idle;
	if (claimed) {
		unlink_idle(conn, descriptor);
		connection = &conn->connections[descriptor];
		*params = connection->params;
		connection->params = NULL;
		lingering = connection->lingering;
		since = connection->since;
	}
	pthread_mutex_unlock(&conn->lock);
	if (lingering)
		linger_on(conn, descriptor, since);
	return (claimed && !lingering);
}

bool
conn_close_oldest(struct conn * conn)
{
	bool any;

	pthread_mutex_lock(&conn->lock);
	any = conn->count > 0;
	if (any)
		close_least(conn);
	pthread_mutex_unlock(&conn->lock);
	return (any);
}

void
conn_expire(struct conn * conn, int64_t time_max)
{
	int64_t now = clock_monotonic();
	int descriptor, newer;

	pthread_mutex_lock(&conn->lock);
	for (descriptor = conn->oldest; descriptor != NONE;
	    descriptor = newer) {
		const struct connection * connection =
		    &conn->connections[descriptor];
		int64_t age = now - connection->since;

		newer = connection->newer;
		if ((connection->params != NULL && age > time_max) ||
		    (connection->lingering && age > CONN_LINGER_MAX))
			close_idle(conn, descriptor);
	}
	pthread_mutex_unlock(&conn->lock);
}

void
conn_stop(struct conn * conn)
{

	pthread_mutex_lock(&conn->lock);
	conn->stopping = true;
	pthread_mutex_unlock(&conn->lock);
}

void
conn_free(struct conn * conn)
{

	if (conn == NULL)
		return;
	while (conn_close_oldest(conn))
		continue;
	pthread_mutex_destroy(&conn->lock);
	free(conn->connections);
	free(conn);
}
