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
 * An event names a descriptor, and by the time a thread acts on it another may
 * have closed that and got its number for a new one.  So connections stand in
 * a table by descriptor, and whoever finds one idle there, under the lock,
 * owns it from then on.
 */
#define NONE (-1)

/*
 * Discarded at once of what a peer sends that we have no more use for, and in
 * all.  Apache's mod_fcgid reads no answer before it has got rid of the whole
 * body, and makes a 500 of ours if it cannot; so this is more than the shipped
 * configurations let pass.
 */
#define DISCARD_SIZE 16384
#define DISCARD_ROUNDS 4
#define DISCARD_MAX ((size_t)80 * 1024 * 1024)

/* What is known of a descriptor that is a connection. */
struct connection {
	bool idle;			/* No request is under way. */
	bool watched;			/* The epoll instance knows it. */
	bool kept;			/* It had a request before. */
	bool leaving;			/* It is only to be closed: */
	size_t discarded;		/* bytes that came since. */
	int older, newer;		/* While it is idle: its neighbours, */
	int64_t since;			/* since when, */
	struct params * head;		/* and what has been collected. */
};

struct conn {
	int epoll;
	pthread_mutex_t lock;		/* Guards what follows. */
	struct connection * connections;	/* By descriptor. */
	size_t size;
	int oldest, newest;
	size_t count;
	size_t expected;		/* Of them: new, or with a head. */
	size_t heads;			/* Bytes of heads. */
	bool stopping;
};

struct conn *
conn_create(int epoll)
{
	struct conn * idle = alloc_zeroed(1, sizeof(*idle));

	idle->epoll = epoll;
	idle->oldest = idle->newest = NONE;
	pthread_mutex_init(&idle->lock, NULL);
	return (idle);
}

/* The caller of these holds the lock. */

static bool
is_expected(const struct connection * connection)
{

	return (!connection->leaving &&
	    (!connection->kept || connection->head != NULL));
}

static void
take_out(struct conn * idle, int descriptor)
{
	struct connection * all = idle->connections;
	struct connection * connection = &all[descriptor];

	if (connection->older != NONE)
		all[connection->older].newer = connection->newer;
	else
		idle->oldest = connection->newer;
	if (connection->newer != NONE)
		all[connection->newer].older = connection->older;
	else
		idle->newest = connection->older;
	connection->idle = false;
	idle->count--;
	idle->expected -= is_expected(connection);
	idle->heads -= params_size(connection->head);
}

static void
put_in(struct conn * idle, int descriptor, struct params * head, int64_t since)
{
	struct connection * all = idle->connections;
	struct connection * connection = &all[descriptor];

	connection->idle = true;
	connection->since = since;
	connection->head = head;
	connection->older = idle->newest;
	connection->newer = NONE;
	if (idle->newest != NONE)
		all[idle->newest].newer = descriptor;
	else
		idle->oldest = descriptor;
	idle->newest = descriptor;
	idle->count++;
	idle->expected += is_expected(connection);
	idle->heads += params_size(head);
}

static void
close_one(struct conn * idle, int descriptor)
{
	struct connection * connection = &idle->connections[descriptor];

	take_out(idle, descriptor);
	params_free(connection->head);
	connection->head = NULL;
	connection->watched = false;
	close(descriptor);
}

/* Close the one that has waited longest of those that keep a head. */
static void
close_oldest_head(struct conn * idle)
{
	int descriptor = idle->oldest;

	while (descriptor != NONE &&
	    idle->connections[descriptor].head == NULL)
		descriptor = idle->connections[descriptor].newer;
	if (descriptor != NONE)
		close_one(idle, descriptor);
}

static void
make_room(struct conn * idle, const struct params * head)
{

	if (idle->count >= CONN_MAX)
		close_one(idle, idle->oldest);
	while (idle->heads > 0 &&
	    idle->heads + params_size(head) > CONN_HEADS_MAX)
		close_oldest_head(idle);
}

static void
wait_for(struct conn * idle, int descriptor)
{
	struct connection * connection = &idle->connections[descriptor];
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT,
	    .data = { .fd = descriptor } };

	/* Of the threads that wait, one gets the event. */
	if (!idle->stopping && epoll_ctl(idle->epoll, connection->watched ?
	    EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event) == 0)
		connection->watched = true;
	else
		close_one(idle, descriptor);
}

/* The functions for everybody */

void
conn_register(struct conn * idle, int descriptor)
{
	size_t size;

	pthread_mutex_lock(&idle->lock);
	size = idle->size;
	if ((size_t)descriptor >= size) {
		idle->size = ((size_t)descriptor + 1) * 2;
		idle->connections = alloc_resize(idle->connections,
		    idle->size, sizeof(*idle->connections));
	}
	for (; size < idle->size; size++)
		idle->connections[size] = (struct connection){ .idle = false };
	idle->connections[descriptor] = (struct connection){ .idle = false };
	pthread_mutex_unlock(&idle->lock);
}

void
conn_park(struct conn * idle, int descriptor, struct params * head)
{

	pthread_mutex_lock(&idle->lock);
	make_room(idle, head);
	put_in(idle, descriptor, head, head == NULL ? clock_monotonic() :
	    params_since(head));
	wait_for(idle, descriptor);
	pthread_mutex_unlock(&idle->lock);
}

void
conn_keep(struct conn * idle, int descriptor)
{

	pthread_mutex_lock(&idle->lock);
	idle->connections[descriptor].kept = true;
	make_room(idle, NULL);
	put_in(idle, descriptor, NULL, clock_monotonic());
	wait_for(idle, descriptor);
	pthread_mutex_unlock(&idle->lock);
}

bool
conn_expects(struct conn * idle)
{
	bool expects;

	pthread_mutex_lock(&idle->lock);
	expects = idle->expected > 0;
	pthread_mutex_unlock(&idle->lock);
	return (expects);
}

/*
 * Read what nobody wants: else what we have sent could be lost, as closing then
 * resets the connection.  Return the number of bytes, or -1 when the peer has
 * closed its end.
 */
static ssize_t
discard(int descriptor)
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

/* Go on leaving a connection that is ours, since ${since}. */
static void
go_on_leaving(struct conn * idle, int descriptor, int64_t since)
{
	ssize_t count = discard(descriptor);
	struct connection * connection;

	pthread_mutex_lock(&idle->lock);
	make_room(idle, NULL);
	connection = &idle->connections[descriptor];
	connection->leaving = true;
	put_in(idle, descriptor, NULL, since);
	connection->discarded += count > 0 ? (size_t)count : 0;
	if (count < 0 || connection->discarded > DISCARD_MAX)
		close_one(idle, descriptor);
	else
		wait_for(idle, descriptor);
	pthread_mutex_unlock(&idle->lock);
}

/* Closing resets the connection if anything is there that was not read. */
static bool
is_drained(int descriptor)
{
	char byte;
	ssize_t count = recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return (count == 0 || (count == -1 && errno == EAGAIN));
}

void
conn_leave(struct conn * idle, int descriptor, bool whole)
{

	if (!(whole && is_drained(descriptor)) &&
	    shutdown(descriptor, SHUT_WR) == 0)
		go_on_leaving(idle, descriptor, clock_monotonic());
	else
		close(descriptor);
}

bool
conn_claim(struct conn * idle, int descriptor, struct params ** head)
{
	struct connection * connection;
	bool claimed, leaving = false;
	int64_t since = 0;

	pthread_mutex_lock(&idle->lock);
	claimed = (size_t)descriptor < idle->size &&
	    idle->connections[descriptor].idle;
	if (claimed) {
		take_out(idle, descriptor);
		connection = &idle->connections[descriptor];
		*head = connection->head;
		connection->head = NULL;
		leaving = connection->leaving;
		since = connection->since;
	}
	pthread_mutex_unlock(&idle->lock);
	if (leaving)
		go_on_leaving(idle, descriptor, since);
	return (claimed && !leaving);
}

bool
conn_close_oldest(struct conn * idle)
{
	bool any;

	pthread_mutex_lock(&idle->lock);
	any = idle->count > 0;
	if (any)
		close_one(idle, idle->oldest);
	pthread_mutex_unlock(&idle->lock);
	return (any);
}

void
conn_expire(struct conn * idle, int64_t time_max)
{
	int64_t now = clock_monotonic();
	int descriptor, newer;

	pthread_mutex_lock(&idle->lock);
	for (descriptor = idle->oldest; descriptor != NONE;
	    descriptor = newer) {
		const struct connection * connection =
		    &idle->connections[descriptor];
		int64_t age = now - connection->since;

		newer = connection->newer;
		if ((connection->head != NULL && age > time_max) ||
		    (connection->leaving && age > CONN_LINGER_MAX))
			close_one(idle, descriptor);
	}
	pthread_mutex_unlock(&idle->lock);
}

void
conn_stop(struct conn * idle)
{

	pthread_mutex_lock(&idle->lock);
	idle->stopping = true;
	pthread_mutex_unlock(&idle->lock);
}

void
conn_free(struct conn * idle)
{

	if (idle == NULL)
		return;
	while (conn_close_oldest(idle))
		continue;
	pthread_mutex_destroy(&idle->lock);
	free(idle->connections);
	free(idle);
}
