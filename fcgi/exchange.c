#include <errno.h>
#include <fcgiapp.h>
#include <stdlib.h>
#include <unistd.h>

#include "fcgi/exchange.h"
#include "lib/clock.h"

const char *
exchange_parameter(const struct exchange * exchange, const char * name)
{

	if (exchange->fcgi == NULL)
		return (getenv(name));
	return (FCGX_GetParam(name, exchange->fcgi->envp));
}

/*
 * libfcgi reports a body that was cut off as its end; only the stream's error
 * tells them apart.
 */
static enum exchange_status
read_fcgi(struct exchange * exchange, void * bytes, size_t size,
    size_t * length)
{
	FCGX_Stream * in = exchange->fcgi->in;
	int count = FCGX_GetStr(bytes, (int)size, in);
	int error = FCGX_GetError(in);

	*length = count < 0 ? 0 : (size_t)count;
	if (error != 0) {
		exchange->failed = true;
		return (error == EAGAIN ?
		    EXCHANGE_LATE : EXCHANGE_BROKEN);
	}
	if (*length < size)
		exchange->ended = true;
	return (*length > 0 ? EXCHANGE_MORE : EXCHANGE_END);
}

static enum exchange_status
read_cgi(struct exchange * exchange, void * bytes, size_t size,
    size_t * length)
{
	ssize_t count;

	/* RFC 3875, section 4.2: no more than CONTENT_LENGTH is ours. */
	if (exchange->unread >= 0 && (uint64_t)exchange->unread < size)
		size = (size_t)exchange->unread;
	do
		count = size == 0 ? 0 : read(STDIN_FILENO, bytes, size);
	while (count == -1 && errno == EINTR);
	if (count == -1) {
		exchange->failed = true;
		return (EXCHANGE_BROKEN);
	}
	*length = (size_t)count;
	if (exchange->unread >= 0)
		exchange->unread -= count;
	exchange->ended = count == 0;
	return (count > 0 ? EXCHANGE_MORE : EXCHANGE_END);
}

enum exchange_status
exchange_read(struct exchange * exchange, void * bytes, size_t size,
    size_t * length)
{

	*length = 0;
	if (exchange->ended)
		return (EXCHANGE_END);
	/* A peer that sends a byte now and then never runs into a time-out. */
	if (clock_monotonic() - exchange->began > EXCHANGE_TIME_MAX) {
		exchange->failed = true;
		return (EXCHANGE_LATE);
	}
	if (exchange->fcgi == NULL)
		return (read_cgi(exchange, bytes, size, length));
	return (read_fcgi(exchange, bytes, size, length));
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

int
exchange_write(struct exchange * exchange, const void * bytes, size_t length)
{

	if (exchange->fcgi == NULL)
		return (write_cgi(bytes, length));
	if (FCGX_PutStr(bytes, (int)length, exchange->fcgi->out) ==
	    (int)length)
		return (0);
	exchange->failed = true;
	return (-1);
}
