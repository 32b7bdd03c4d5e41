#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/listen.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

/*
 * A name that has several addresses.  These replace the functions of the C
 * library, as what the host's own names lead to is not known.
 */
static struct sockaddr_in addresses[2];
static struct addrinfo found[2];

/* An address that no host has (RFC 5737). */
#define MISSING 0xc0000201

static void
set_addresses(in_addr_t first, in_addr_t second)
{
	in_addr_t hosts[2];
	size_t i;

	hosts[0] = first;
	hosts[1] = second;
	for (i = 0; i < 2; i++) {
		addresses[i] = (struct sockaddr_in){ .sin_family = AF_INET,
		    .sin_addr = { htonl(hosts[i]) } };
		found[i] = (struct addrinfo){ .ai_family = AF_INET,
		    .ai_socktype = SOCK_STREAM,
		    .ai_addr = (struct sockaddr *)&addresses[i],
		    .ai_addrlen = sizeof(addresses[i]),
		    .ai_next = i == 0 ? &found[1] : NULL };
	}
}

int
getaddrinfo(const char * host, const char * port,
    const struct addrinfo * hints, struct addrinfo ** result)
{
	size_t i;

	(void)host;
	(void)hints;
	for (i = 0; i < 2; i++)
		addresses[i].sin_port = htons((uint16_t)strtoul(port, NULL,
		    10));
	*result = found;
	return (0);
}

void
freeaddrinfo(struct addrinfo * result)
{

	(void)result;
}

/* Return the address and set the ${port} on which a socket listens. */
static in_addr_t
address_of(const struct listen * listen, int * port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);

	getsockname(listen->descriptors[0], (struct sockaddr *)&address,
	    &length);
	*port = ntohs(address.sin_port);
	return (ntohl(address.sin_addr.s_addr));
}

static void
test_twice(void)
{
	struct listen first, second;
	char errors[4096], where[64];
	int port;

	set_addresses(INADDR_LOOPBACK, INADDR_LOOPBACK + 1);
	is_integer(listen_find(&first, "name:0", 0), 0, "a name's first address");
	is_integer(address_of(&first, &port), INADDR_LOOPBACK,
	    "is listened on");
	snprintf(where, sizeof(where), "name:%d", port);
	temporary_errors(errors, sizeof(errors));
	is_integer(listen_find(&second, where, 0), -1,
	    "a second time it fails, although the next address is free");
	temporary_errors(errors, sizeof(errors));
	ok(strstr(errors, strerror(EADDRINUSE)) != NULL, "and the log says why");
	listen_close(&first);
	listen_close(&second);
}

static void
test_missing(void)
{
	struct listen listen;
	int port;

	set_addresses(MISSING, INADDR_LOOPBACK);
	is_integer(listen_find(&listen, "name:0", 0), 0,
	    "an address that this host does not have");
	is_integer(address_of(&listen, &port), INADDR_LOOPBACK,
	    "is passed over");
	listen_close(&listen);
	set_addresses(MISSING, MISSING);
	is_integer(listen_find(&listen, "name:0", 0), -1,
	    "a name without any other address cannot be listened on");
}

int
main(void)
{

	temporary_create();
	temporary_catch_errors();
	test_twice();
	test_missing();
	return (tap_done());
}
