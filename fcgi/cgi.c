#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fcgi/cgi.h"
#include "fcgi/fastcgi.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"

/* libfcgi's buffers have 8 KiB; a much larger size is not a buffer's. */
#define BUFFER_MAX (64 * 1024)

/* Bytes to discard at a time. */
#define DISCARD_SIZE 8192

/* Bytes of a response to write at once; each piece has a deadline (job.h). */
#define WRITE_SIZE ((size_t)64 * 1024)

const char *
cgi_parameter(const struct cgi * cgi, const char * name)
{

	if (cgi->fcgi == NULL)
		return (getenv(name));
	return (FCGX_GetParam(name, cgi->fcgi->envp));
}

/*
 * libfcgi reads into a buffer that it neither exposes nor wipes.  This is the
 * beginning of the private structure that describes it, in all versions so far.
 * If its values do not fit the stream's own pointers the structure has changed,
 * and the buffer is left alone.
 */
struct stream_data {
	unsigned char * buffer;
	int size;
	unsigned char * allocated;
	unsigned char * end;		/* Of the bytes read last. */
};

static const struct stream_data *
data_of(const FCGX_Stream * in)
{
	const struct stream_data * data = in->data;
	const unsigned char * next = in->rdNext;

	if (data == NULL || data->buffer == NULL || data->size <= 0 ||
	    data->size > BUFFER_MAX || data->allocated == NULL ||
	    data->allocated > data->buffer || next < data->buffer ||
	    data->end < next || data->end > data->buffer + data->size)
		return (NULL);
	return (data);
}

static void
wipe_buffer(const FCGX_Stream * in)
{
	const struct stream_data * data = data_of(in);
	unsigned char * next = in->rdNext;

	if (data == NULL)
		return;
	/* The bytes in between have not been read by us yet. */
	digest_wipe(data->buffer, (size_t)(next - data->buffer));
	digest_wipe(data->end,
	    (size_t)(data->buffer + data->size - data->end));
}

void
cgi_wipe(const struct cgi * cgi, const char * name)
{
	char * value = cgi->fcgi == NULL ? getenv(name) :
	    FCGX_GetParam(name, cgi->fcgi->envp);

	if (value == NULL || *value == '\0')
		return;
	digest_wipe(value, strlen(value));
	if (cgi->fcgi != NULL)
		wipe_buffer(cgi->fcgi->in);
}

/*
 * At the end of a body that was cut off libfcgi returns the same as at its
 * proper end; only the stream's error distinguishes them.
 */
static enum cgi_status
read_fcgi(struct cgi * cgi, void * bytes, size_t size,
    size_t * length)
{
	FCGX_Stream * in = cgi->fcgi->in;
	int count = FCGX_GetStr(bytes, (int)size, in);
	int error = FCGX_GetError(in);

	*length = count < 0 ? 0 : (size_t)count;
	if (error != 0) {
		cgi->failed = true;
		return (error == EAGAIN ?
		    CGI_LATE : CGI_BROKEN);
	}
	if (*length < size)
		cgi->ended = true;
	return (*length > 0 ? CGI_MORE : CGI_END);
}

int64_t
cgi_deadline(const struct cgi * cgi)
{

	return (cgi->began + cgi->time_max +
	    cgi->received / CGI_BYTES_PER_MS);
}

/*
 * Wait until standard input is readable.  Signals are unblocked only here, so
 * that a signal ends a CGI program before it has the whole body, or not at all.
 */
static bool
wait_for_input(int64_t until)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	int remaining = clock_remaining(until);
	struct timespec limit = { .tv_sec = remaining / 1000,
	    .tv_nsec = remaining % 1000 * 1000000L };
	sigset_t none;

	sigemptyset(&none);
	return (ppoll(&input, 1, &limit, &none) == 1);
}

/*
 * Fill the buffer, as libfcgi does: a body that arrives byte by byte would take
 * long to parse.  Read no more than CONTENT_LENGTH (RFC 3875, section 4.2).
 */
static enum cgi_status
read_cgi(struct cgi * cgi, char * bytes, size_t size,
    size_t * length)
{
	ssize_t count;

	if (cgi->unread >= 0 && (uint64_t)cgi->unread < size)
		size = (size_t)cgi->unread;
	for (count = 1; *length < size && count != 0;
	    *length += (size_t)count) {
		if (!wait_for_input(cgi_deadline(cgi))) {
			cgi->failed = true;
			return (CGI_LATE);
		}
		do
			count = read(STDIN_FILENO, bytes + *length,
			    size - *length);
		while (count == -1 && errno == EINTR);
		if (count == -1) {
			cgi->failed = true;
			return (CGI_BROKEN);
		}
		if (cgi->unread >= 0)
			cgi->unread -= count;
	}
	cgi->ended = count == 0 || size == 0;
	return (*length > 0 ? CGI_MORE : CGI_END);
}

enum cgi_status
cgi_read(struct cgi * cgi, void * bytes, size_t size,
    size_t * length)
{
	enum cgi_status status;

	*length = 0;
	/* Some web servers send no FCGI_STDIN if the body is empty. */
	if (cgi->ended || (cgi->fcgi != NULL && cgi->unread == 0))
		return (CGI_END);
	/* A peer that sends a byte now and then never causes a time-out. */
	if (clock_remaining(cgi_deadline(cgi)) == 0) {
		cgi->failed = true;
		return (CGI_LATE);
	}
	cgi->reading = true;
	status = cgi->fcgi == NULL ?
	    read_cgi(cgi, bytes, size, length) :
	    read_fcgi(cgi, bytes, size, length);
	cgi->reading = false;
	cgi->received += (int64_t)*length;
	return (status);
}

static int
write_cgi(const char * bytes, size_t length)
{

	while (length > 0) {
		ssize_t count = write(STDOUT_FILENO, bytes, length);

		if (count == -1 && errno != EINTR)
			return (-1);
		if (count > 0) {
			bytes += count;
			length -= (size_t)count;
		}
	}
	return (0);
}

/*
 * A read that would block is an error of libfcgi's stream.  After it, the
 * position of the next record is unknown.
 */
void
cgi_discard(struct cgi * cgi)
{
	FCGX_Stream * in = cgi->fcgi->in;
	int descriptor = cgi->fcgi->ipcFd;
	int flags = fcntl(descriptor, F_GETFL);
	char bytes[DISCARD_SIZE];
	size_t discarded = 0;
	int count = DISCARD_SIZE;

	if (cgi->ended || cgi->failed)
		return;
	if (flags == -1 ||
	    fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == -1) {
		cgi->failed = true;
		return;
	}
	for (; count == DISCARD_SIZE && discarded < CGI_DISCARD_MAX;
	    discarded += DISCARD_SIZE)
		count = FCGX_GetStr(bytes, DISCARD_SIZE, in);
	cgi->ended = count < DISCARD_SIZE && FCGX_GetError(in) == 0;
	cgi->failed = fcntl(descriptor, F_SETFL, flags) == -1 || !cgi->ended;
}

int
cgi_write(struct cgi * cgi, const void * bytes, size_t length)
{

	const char * next = bytes;

	if (cgi->fcgi == NULL)
		return (write_cgi(bytes, length));
	while (length > 0) {
		size_t piece = length < WRITE_SIZE ? length : WRITE_SIZE;

		cgi->writing = clock_monotonic();
		if (FCGX_PutStr(next, (int)piece, cgi->fcgi->out) !=
		    (int)piece) {
			cgi->failed = true;
			return (-1);
		}
		next += piece;
		length -= piece;
	}
	return (0);
}

/* Poll a descriptor without waiting; return its events. */
static short
events_of(int descriptor, short events)
{
	struct pollfd wanted = { .fd = descriptor, .events = events };

	return (poll(&wanted, 1, 0) == 1 ? wanted.revents : 0);
}

/*
 * Over TCP, a peer that has closed the connection looks like one that has only
 * closed its own direction, until it receives something: then it resets the
 * connection.  A peer that still reads ignores an empty record of the error
 * stream.  On the same host the reset arrives before send returns.
 */
static bool
peer_resets(const struct cgi * cgi)
{
	int id = cgi->fcgi->requestId;
	unsigned char record[FASTCGI_HEADER_SIZE] = {
	    FASTCGI_VERSION, FASTCGI_STDERR,
	    (unsigned char)(id >> 8), (unsigned char)id };

	return (send(cgi->fcgi->ipcFd, record, sizeof(record),
	    MSG_NOSIGNAL | MSG_DONTWAIT) == -1 ||
	    (events_of(cgi->fcgi->ipcFd, 0) & (POLLERR | POLLHUP)) != 0);
}

/*
 * Ignore FCGI_ABORT_REQUEST: HAProxy sends it when it closes its own direction
 * after the whole request, and still passes the response on.
 */
static bool
is_closed(const struct cgi * cgi)
{
	int descriptor = cgi->fcgi->ipcFd;
	short events = events_of(descriptor, POLLIN);
	char bytes[64];
	ssize_t count = -1;

	if ((events & (POLLERR | POLLHUP | POLLNVAL)) != 0)
		return (true);
	if (events != 0)
		count = recv(descriptor, bytes, sizeof(bytes),
		    MSG_PEEK | MSG_DONTWAIT);
	return (count == 0 && peer_resets(cgi));
}

bool
cgi_is_abandoned(const struct cgi * cgi)
{

	if (cgi->fcgi != NULL)
		return (is_closed(cgi));
	return ((events_of(STDOUT_FILENO, 0) &
	    (POLLERR | POLLHUP | POLLNVAL)) != 0);
}

void
cgi_end_response(const struct cgi * cgi)
{
	int null;

	if (cgi->fcgi != NULL)
		return;
	/* The socket may be standard input, too, which stays open. */
	shutdown(STDOUT_FILENO, SHUT_WR);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null == -1)
		return;
	dup2(null, STDOUT_FILENO);
	close(null);
}
