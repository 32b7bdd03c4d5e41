#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include "lib/base/clock.h"
#include "lib/redis/resolve.h"
#include "tests/unit/tap.h"

/*
 * In place of the system's look-up: numbers are what they are, slow.test waits
 * until it is let go, two.test has an address of each kind, all others none.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static bool held;
static int lookups;

static struct addrinfo *
add(struct addrinfo * next, const char * text)
{
	struct addrinfo * address = calloc(1, sizeof(*address) +
	    sizeof(struct sockaddr_in6));
	struct sockaddr_in * four = (void *)(address + 1);
	struct sockaddr_in6 * six = (void *)(address + 1);

	address->ai_next = next;
	address->ai_addr = (void *)(address + 1);
	if (strchr(text, ':') == NULL) {
		address->ai_family = four->sin_family = AF_INET;
		address->ai_addrlen = sizeof(*four);
		inet_pton(AF_INET, text, &four->sin_addr);
	} else {
		address->ai_family = six->sin6_family = AF_INET6;
		address->ai_addrlen = sizeof(*six);
		inet_pton(AF_INET6, text, &six->sin6_addr);
	}
	return (address);
}

int
getaddrinfo(const char * host, const char * service,
    const struct addrinfo * hints, struct addrinfo ** out)
{
	unsigned char digits[16];
	int i;

	(void)service;
	*out = NULL;
	if (inet_pton(AF_INET, host, digits) == 1 ||
	    inet_pton(AF_INET6, host, digits) == 1) {
		*out = add(NULL, host);
		return (0);
	}
	if ((hints->ai_flags & AI_NUMERICHOST) != 0)
		return (EAI_NONAME);
	pthread_mutex_lock(&lock);
	lookups++;
	pthread_cond_broadcast(&change);
	while (held && strcmp(host, "slow.test") == 0)
		pthread_cond_wait(&change, &lock);
	pthread_mutex_unlock(&lock);
	if (strcmp(host, "slow.test") == 0)
		*out = add(NULL, "192.0.2.7");
	else if (strcmp(host, "two.test") == 0)
		*out = add(add(NULL, "192.0.2.1"), "2001:db8::1");
	else if (strcmp(host, "many.test") == 0)
		for (i = 0; i < 20; i++)
			*out = add(*out, "192.0.2.9");
	return (*out == NULL ? EAI_NONAME : 0);
}

void
freeaddrinfo(struct addrinfo * address)
{
	struct addrinfo * next;

	for (; address != NULL; address = next) {
		next = address->ai_next;
		free(address);
	}
}

static void
hold(bool hold)
{

	pthread_mutex_lock(&lock);
	held = hold;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
}

static struct resolve_address found[RESOLVE_MAX];
static const char * why;

static size_t
find(const char * host)
{
	struct resolve * resolve = resolve_create(host);
	size_t count = resolve_addresses(resolve, clock_monotonic() + 10000,
	    found, &why);

	resolve_free(resolve);
	return (count);
}

static void
test_found(void)
{

	is_integer(find("127.0.0.1"), 1, "an address is one");
	is_text(found[0].text, "127.0.0.1", "itself");
	is_integer(find("::1"), 1, "of the other kind, too");
	is_text(found[0].text, "::1", "itself");
	is_integer(lookups, 0, "neither is looked up");
	is_integer(find("two.test"), 2, "a host has two");
	is_text(found[0].text, "192.0.2.1", "that of IPv4 first");
	is_text(found[1].text, "2001:db8::1", "then that of IPv6");
	is_integer(find("many.test"), RESOLVE_MAX, "no more than there is "
	    "room for");
	is_integer(find("none.test"), 0, "a host that is not there");
	is_text(why, gai_strerror(EAI_NONAME), "and why");
}

static void
test_late(void)
{
	struct resolve * resolve = resolve_create("slow.test");
	int64_t began = clock_monotonic();
	int before = lookups;

	hold(true);
	is_integer(resolve_addresses(resolve, began + 50, found, &why), 0,
	    "a look-up that hangs");
	ok(clock_monotonic() - began < 5000, "is left behind");
	is_text(why, "its address is not found in time", "and why");
	is_integer(resolve_addresses(resolve, clock_monotonic(), found, &why),
	    0, "asked again it still hangs");
	hold(false);
	is_integer(resolve_addresses(resolve, clock_monotonic() + 10000, found,
	    &why), 1, "it is found late");
	is_text(found[0].text, "192.0.2.7", "where it is");
	is_integer(lookups, before + 1, "by one look-up");
	is_integer(resolve_addresses(resolve, clock_monotonic() + 10000, found,
	    &why), 1, "it is looked up again");
	is_integer(lookups, before + 2, "each time");
	resolve_free(resolve);
}

/* Freed while its thread is at work, it is the thread's to free. */
static void
test_abandoned(void)
{
	struct resolve * resolve = resolve_create("slow.test");
	int before = lookups;

	hold(true);
	resolve_addresses(resolve, clock_monotonic() + 10, found, &why);
	resolve_free(resolve);
	pthread_mutex_lock(&lock);
	while (lookups == before)
		pthread_cond_wait(&change, &lock);
	pthread_mutex_unlock(&lock);
	hold(false);
	resolve_free(resolve_create("slow.test"));
	resolve_free(NULL);
	ok(true, "a look-up can be abandoned");
}

int
main(void)
{

	test_found();
	test_late();
	test_abandoned();
	return (tap_done());
}
