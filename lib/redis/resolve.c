#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifdef HAVE___NSS_CONFIGURE_LOOKUP
#include <nss.h>
#endif

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/thread.h"
#include "lib/redis/resolve.h"

/*
 * A statically linked program has the parts of the C library that read
 * /etc/hosts and ask name servers.  All others that /etc/nsswitch.conf may name
 * would be loaded from files of the host's, which fit no other C library than
 * the host's own.  So they are left out.
 */
#define SOURCES "files dns"

#define STACK_SIZE ((size_t)256 * 1024)

/* Shared by the thread and its caller; the last one to leave it frees it. */
struct query {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	int users;
	bool done;
	int error;			/* Of getaddrinfo, */
	int number;			/* and errno with EAI_SYSTEM. */
	size_t count;
	struct resolve_address found[RESOLVE_MAX];
	char host[];
};

struct resolve {
	const char * host;
	struct query * query;		/* NULL: nothing is under way. */
};

struct resolve *
resolve_create(const char * host)
{
	struct resolve * resolve = alloc_zeroed(1, sizeof(*resolve));

#if defined(STATIC_BINARY) && defined(HAVE___NSS_CONFIGURE_LOOKUP)
	__nss_configure_lookup("hosts", SOURCES);
#endif
	resolve->host = host;
	return (resolve);
}

static void
leave_query(struct query * query)
{
	bool last;

	pthread_mutex_lock(&query->lock);
	last = --query->users == 0;
	pthread_mutex_unlock(&query->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&query->lock);
	pthread_cond_destroy(&query->ended);
	free(query);
}

/* Note the addresses of one family as digits. */
static void
note(struct query * query, const struct addrinfo * address, int family)
{

	for (; address != NULL && query->count < RESOLVE_MAX;
	    address = address->ai_next)
		if (address->ai_family == family &&
		    getnameinfo(address->ai_addr, address->ai_addrlen,
		    query->found[query->count].text,
		    sizeof(query->found[query->count].text), NULL, 0,
		    NI_NUMERICHOST) == 0)
			query->count++;
}

static void
resolve_host(struct query * query, int flags)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM, .ai_flags = flags };
	struct addrinfo * addresses = NULL;

	query->error = getaddrinfo(query->host, NULL, &hints, &addresses);
	query->number = errno;
	if (query->error != 0)
		return;
	note(query, addresses, AF_INET);
	note(query, addresses, AF_INET6);
	freeaddrinfo(addresses);
}

static void *
resolve_thread(void * context)
{
	struct query * query = context;

	resolve_host(query, 0);
	pthread_mutex_lock(&query->lock);
	query->done = true;
	pthread_cond_signal(&query->ended);
	pthread_mutex_unlock(&query->lock);
	leave_query(query);
	return (NULL);
}

static void
start_thread(struct query * query)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	query->users = 2;
	if (pthread_create(&thread, &attributes, resolve_thread, query) != 0) {
		/* Without a thread, wait for it, however long it takes. */
		query->users = 1;
		resolve_host(query, 0);
		query->done = true;
	}
	pthread_attr_destroy(&attributes);
}

static struct query *
start_query(const char * host)
{
	size_t size = strlen(host) + 1;
	struct query * query = alloc_zeroed(1, sizeof(*query) + size);

	memcpy(query->host, host, size);
	pthread_mutex_init(&query->lock, NULL);
	thread_init_condition(&query->ended);
	query->users = 1;
	/* An address needs no thread. */
	resolve_host(query, AI_NUMERICHOST);
	query->done = query->error == 0;
	if (!query->done)
		start_thread(query);
	return (query);
}

static bool
wait_for_query(struct query * query, int64_t deadline)
{
	bool done;

	pthread_mutex_lock(&query->lock);
	while (!query->done &&
	    thread_wait(&query->ended, &query->lock, deadline))
		;
	done = query->done;
	pthread_mutex_unlock(&query->lock);
	return (done);
}

size_t
resolve_addresses(struct resolve * resolve, int64_t deadline,
    struct resolve_address found[RESOLVE_MAX], const char ** why)
{
	struct query * query = resolve->query;
	size_t count;

	if (query == NULL)
		query = resolve->query = start_query(resolve->host);
	*why = "its address is not found in time";
	if (!wait_for_query(query, deadline))
		return (0);
	if (query->error == EAI_SYSTEM)
		*why = strerror(query->number);
	else
		*why = query->error != 0 ? gai_strerror(query->error) :
		    "it has no address";
	count = query->count;
	memcpy(found, query->found, sizeof(query->found));
	leave_query(query);
	resolve->query = NULL;
	return (count);
}

void
resolve_free(struct resolve * resolve)
{

	if (resolve == NULL)
		return;
	if (resolve->query != NULL)
		leave_query(resolve->query);
	free(resolve);
}
