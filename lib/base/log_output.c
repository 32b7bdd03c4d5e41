#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log_output.h"

/*
 * A pipe whose reader has stopped fills up, and a write to it would then hold
 * every thread that has something to log.  O_NONBLOCK belongs to the open file,
 * which others share, so a pipe or terminal is opened once more.  Where that is
 * not allowed (the pipe is another user's), poll(2) says whether there is room;
 * only another process can then take it before we do.
 */
static int output = STDERR_FILENO;
static bool is_socket;
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
static bool torn;			/* The last line lacks its end. */

void
log_output_start(void)
{
	struct stat file;
	int again;

	if (fstat(STDERR_FILENO, &file) != 0)
		return;
	is_socket = S_ISSOCK(file.st_mode);
	if (!S_ISFIFO(file.st_mode) && !S_ISCHR(file.st_mode))
		return;
	again = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY |
	    O_CLOEXEC);
	if (again != -1)
		output = again;
}

/* The caller of these holds the lock. */

static ssize_t
write_some(const char * bytes, size_t length)
{
	struct pollfd room = { .fd = output, .events = POLLOUT };

	if (is_socket)
		return (send(output, bytes, length,
		    MSG_DONTWAIT | MSG_NOSIGNAL));
	if (output == STDERR_FILENO && poll(&room, 1, 0) != 1)
		return (-1);
	return (write(output, bytes, length));
}

static bool
write_whole(const char * line, size_t length)
{
	ssize_t count;

	/* A line must not begin within another one. */
	if (torn && write_some("\n", 1) != 1)
		return (false);
	torn = false;
	count = write_some(line, length);
	torn = count > 0 && (size_t)count < length;
	return (count == (ssize_t)length);
}

bool
log_output_write(const char * line, size_t length)
{
	bool written;

	pthread_mutex_lock(&writing);
	written = write_whole(line, length);
	pthread_mutex_unlock(&writing);
	return (written);
}
