#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fcgi/fastcgi.h"
#include "fcgi/ready.h"
#include "lib/base/alloc.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/redis/resolve.h"

/* Milliseconds that all of it may take. */
#define TIME_MAX 5000

/* A response is far smaller. */
#define RESPONSE_MAX 16384

static void
append_record(struct buffer * request, unsigned char type,
    const void * content, size_t length)
{
	const unsigned char header[FASTCGI_HEADER_SIZE] = {
	    FASTCGI_VERSION, type, 0, 1, (unsigned char)(length >> 8),
	    (unsigned char)length, 0, 0 };

	buffer_append(request, header, sizeof(header));
	buffer_append(request, content, length);
}

/* Append a request for readiness, after which the connection is closed. */
static void
append_params_request(struct buffer * request)
{
	static const char * const parameters[][2] = {
		{ "REQUEST_METHOD", "GET" },
		{ "SERVER_PROTOCOL", "HTTP/1.1" },
		{ "GATEWAY_INTERFACE", "CGI/1.1" },
		{ "REMOTE_ADDR", "127.0.0.1" },
		/* Without a script, path_prefix need not be part of it. */
		{ "PATH_INFO", "/internal-backstage/ready" },
	};
	const unsigned char begin[8] = { 0, FASTCGI_RESPONDER };
	struct buffer pairs = { .length = 0 };
	unsigned char lengths[2];
	size_t i;

	for (i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		lengths[0] = (unsigned char)strlen(parameters[i][0]);
		lengths[1] = (unsigned char)strlen(parameters[i][1]);
		buffer_append(&pairs, lengths, sizeof(lengths));
		buffer_append(&pairs, parameters[i][0], lengths[0]);
		buffer_append(&pairs, parameters[i][1], lengths[1]);
	}
	append_record(request, FASTCGI_BEGIN_REQUEST, begin, sizeof(begin));
	append_record(request, FASTCGI_PARAMS, pairs.bytes, pairs.length);
	append_record(request, FASTCGI_PARAMS, "", 0);
	append_record(request, FASTCGI_STDIN, "", 0);
	buffer_free(&pairs);
}

/* Wait until the socket can be read or written; false with errno if not. */
static bool
wait_for(int descriptor, short events, int64_t deadline)
{
	struct pollfd one = { .fd = descriptor, .events = events };
	int ready;

	do
		ready = poll(&one, 1, clock_remaining(deadline));
	while (ready == -1 && errno == EINTR);
	if (ready == 0)
		errno = ETIMEDOUT;
	return (ready > 0);
}

/* Wait until the socket is connected; false with errno if it is not. */
static bool
finish_connection(int descriptor, int64_t deadline)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (!wait_for(descriptor, POLLOUT, deadline) ||
	    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return (false);
	errno = error;
	return (error == 0);
}

/* Return a connected socket, or -1 with errno. */
static int
connect_address(const struct sockaddr * address, socklen_t length,
    int64_t deadline)
{
	int descriptor = socket(address->sa_family, SOCK_STREAM |
	    SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (descriptor == -1)
		return (-1);
	if (connect(descriptor, address, length) == 0 ||
	    (errno == EINPROGRESS && finish_connection(descriptor, deadline)))
		return (descriptor);
	error = errno;
	close(descriptor);
	errno = error;
	return (-1);
}

static int
connect_path(const char * path, int64_t deadline)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	memcpy(address.sun_path, path, strlen(path));
	return (connect_address((const struct sockaddr *)&address,
	    sizeof(address), deadline));
}

/* Connect to an address in digits; the empty one leads to this host. */
static int
connect_digits(const char * digits, const char * port, int64_t deadline)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo * addresses, * address;
	int descriptor = -1;

	errno = EADDRNOTAVAIL;
	if (getaddrinfo(digits[0] == '\0' ? NULL : digits, port, &hints,
	    &addresses) != 0)
		return (-1);
	for (address = addresses; address != NULL && descriptor == -1;
	    address = address->ai_next)
		descriptor = connect_address(address->ai_addr,
		    address->ai_addrlen, deadline);
	freeaddrinfo(addresses);
	return (descriptor);
}

/* Connect to a host, whose name may have to be looked up. */
static int
connect_name(const char * host, const char * port, int64_t deadline)
{
	struct resolve * resolve = resolve_create(host);
	struct resolve_address found[RESOLVE_MAX];
	const char * why;
	size_t count = resolve_addresses(resolve, deadline, found, &why);
	int descriptor = -1;
	size_t i;

	errno = clock_remaining(deadline) == 0 ? ETIMEDOUT : EADDRNOTAVAIL;
	for (i = 0; i < count && descriptor == -1; i++)
		descriptor = connect_digits(found[i].text, port, deadline);
	resolve_free(resolve);
	return (descriptor);
}

/*
 * Connect to host:port or [host]:port.  Wildcard addresses lead to this host,
 * and so does an empty one.
 */
static int
connect_to_host(const char * where, int64_t deadline)
{
	const char * colon = strrchr(where, ':');
	int descriptor;
	char * host;

	errno = EADDRNOTAVAIL;
	if (colon == NULL)
		return (-1);
	host = where[0] == '[' && colon > where && colon[-1] == ']' ?
	    alloc_copy(where + 1, (size_t)(colon - where) - 2) :
	    alloc_copy(where, (size_t)(colon - where));
	descriptor = host[0] == '\0' ?
	    connect_digits(host, colon + 1, deadline) :
	    connect_name(host, colon + 1, deadline);
	free(host);
	return (descriptor);
}

static bool
send_request(int descriptor)
{
	struct buffer request = { .length = 0 };
	bool sent;

	append_params_request(&request);
	/* It fits into the buffer of any new socket. */
	sent = send(descriptor, request.bytes, request.length,
	    MSG_NOSIGNAL) == (ssize_t)request.length;
	buffer_free(&request);
	return (sent);
}

/* Read until the peer closes the connection. */
static bool
read_records(int descriptor, int64_t deadline, struct buffer * records)
{
	ssize_t length;

	while (records->length < RESPONSE_MAX) {
		if (!wait_for(descriptor, POLLIN, deadline))
			return (false);
		length = read(descriptor, buffer_room(records, 4096), 4096);
		if (length == 0)
			return (true);
		if (length < 0)
			return (false);
		records->length += (size_t)length;
	}
	errno = EMSGSIZE;
	return (false);
}

/* Append what the records have of the response; false unless it is whole. */
static bool
collect_response(const struct buffer * records, struct buffer * response)
{
	const unsigned char * bytes = (const unsigned char *)records->bytes;
	size_t left = records->length;
	size_t length, size;

	while (left >= FASTCGI_HEADER_SIZE) {
		length = (size_t)bytes[4] << 8 | bytes[5];
		size = FASTCGI_HEADER_SIZE + length + bytes[6];
		if (bytes[0] != FASTCGI_VERSION || size > left)
			return (false);
		if (bytes[1] == FASTCGI_END_REQUEST)
			return (true);
		if (bytes[1] == FASTCGI_STDOUT)
			buffer_append(response, bytes + FASTCGI_HEADER_SIZE,
			    length);
		bytes += size;
		left -= size;
	}
	return (false);
}

static bool
exchange_ready(const char * where, struct buffer * response)
{
	int64_t deadline = clock_monotonic() + TIME_MAX;
	struct buffer records = { .length = 0 };
	int descriptor = strchr(where, '/') != NULL ?
	    connect_path(where, deadline) : connect_to_host(where, deadline);
	bool done;

	if (descriptor == -1)
		return (false);
	done = send_request(descriptor) &&
	    read_records(descriptor, deadline, &records);
	close(descriptor);
	if (done && !collect_response(&records, response)) {
		errno = EPROTO;
		done = false;
	}
	buffer_free(&records);
	return (done);
}

static bool
has_status(const struct buffer * response, const char * code)
{

	return (strncmp(response->bytes, "Status: ", 8) == 0 &&
	    strncmp(response->bytes + 8, code, strlen(code)) == 0);
}

int
ready_ask(const char * where, FILE * out)
{
	struct buffer response = { .length = 0 };
	const char * body;
	bool ready;

	if (!exchange_ready(where, &response)) {
		log_error("asking the process that listens on %s: %s", where,
		    strerror(errno));
		buffer_free(&response);
		return (1);
	}
	buffer_append(&response, "", 1);
	ready = has_status(&response, "200");
	body = strstr(response.bytes, "\r\n\r\n");
	if (has_status(&response, "404"))
		log_error("the process that listens on %s does not say whether "
		    "it is ready: see backstage", where);
	else if (body != NULL)
		fprintf(out, "%s\n", body + 4);
	buffer_free(&response);
	return (ready ? 0 : 1);
}
