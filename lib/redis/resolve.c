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
struct job {
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
	struct job * job;		/* NULL: nothing is under way. */
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
leave_job(struct job * job)
{
	bool last;

	pthread_mutex_lock(&job->lock);
	last = --job->users == 0;
	pthread_mutex_unlock(&job->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&job->lock);
	pthread_cond_destroy(&job->ended);
	free(job);
}

/* Note the addresses of one family as digits. */
static void
note(struct job * job, const struct addrinfo * address, int family)
{

	for (; address != NULL && job->count < RESOLVE_MAX;
	    address = address->ai_next)
		if (address->ai_family == family &&
		    getnameinfo(address->ai_addr, address->ai_addrlen,
		    job->found[job->count].text,
		    sizeof(job->found[job->count].text), NULL, 0,
		    NI_NUMERICHOST) == 0)
			job->count++;
}

static void
resolve_host(struct job * job, int flags)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM, .ai_flags = flags };
	struct addrinfo * addresses = NULL;

	job->error = getaddrinfo(job->host, NULL, &hints, &addresses);
	job->number = errno;
	if (job->error != 0)
		return;
	note(job, addresses, AF_INET);
	note(job, addresses, AF_INET6);
	freeaddrinfo(addresses);
}

static void *
resolve_thread(void * context)
{
	struct job * job = context;

	resolve_host(job, 0);
	pthread_mutex_lock(&job->lock);
	job->done = true;
	pthread_cond_signal(&job->ended);
	pthread_mutex_unlock(&job->lock);
	leave_job(job);
	return (NULL);
}

static void
start_thread(struct job * job)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	job->users = 2;
	if (pthread_create(&thread, &attributes, resolve_thread, job) != 0) {
		/* Without a thread, wait for it, however long it takes. */
		job->users = 1;
		resolve_host(job, 0);
		job->done = true;
	}
	pthread_attr_destroy(&attributes);
}

static struct job *
start_job(const char * host)
{
	size_t size = strlen(host) + 1;
	struct job * job = alloc_zeroed(1, sizeof(*job) + size);

	memcpy(job->host, host, size);
	pthread_mutex_init(&job->lock, NULL);
	thread_init_condition(&job->ended);
	job->users = 1;
	/* An address needs no thread. */
	resolve_host(job, AI_NUMERICHOST);
	job->done = job->error == 0;
	if (!job->done)
		start_thread(job);
	return (job);
}

static bool
wait_for_job(struct job * job, int64_t deadline)
{
	bool done;

	pthread_mutex_lock(&job->lock);
	while (!job->done && thread_wait(&job->ended, &job->lock, deadline))
		;
	done = job->done;
	pthread_mutex_unlock(&job->lock);
	return (done);
}

size_t
resolve_addresses(struct resolve * resolve, int64_t deadline,
    struct resolve_address found[RESOLVE_MAX], const char ** why)
{
	struct job * job = resolve->job;
	size_t count;

	if (job == NULL)
		job = resolve->job = start_job(resolve->host);
	*why = "its address is not found in time";
	if (!wait_for_job(job, deadline))
		return (0);
	if (job->error == EAI_SYSTEM)
		*why = strerror(job->number);
	else
		*why = job->error != 0 ? gai_strerror(job->error) :
		    "it has no address";
	count = job->count;
	memcpy(found, job->found, sizeof(job->found));
	leave_job(job);
	resolve->job = NULL;
	return (count);
}

void
resolve_free(struct resolve * resolve)
{

	if (resolve == NULL)
		return;
	if (resolve->job != NULL)
		leave_job(resolve->job);
	free(resolve);
}
