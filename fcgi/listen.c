#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fcgi/listen.h"
#include "lib/alloc.h"
#include "lib/log.h"

#define BACKLOG 1024

/* The first descriptor that systemd passes. */
#define SYSTEMD_FIRST 3

static bool
is_listening(int descriptor)
{
	int listening = 0;
	socklen_t length = sizeof(listening);

	return (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening,
	    &length) == 0 && listening != 0);
}

/*
 * Accept must never block: another process may share the socket and be the
 * first to accept.
 */
static int
add(struct listen * listen, int descriptor)
{
	int flags = fcntl(descriptor, F_GETFL);

	if (flags == -1 ||
	    fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    fcntl(descriptor, F_SETFD, FD_CLOEXEC) == -1) {
		log_error("the listening socket: %s", strerror(errno));
		return (-1);
	}
	listen->descriptors[listen->count++] = descriptor;
	return (0);
}

static int
add_passed(struct listen * listen)
{
	const char * pid = getenv("LISTEN_PID");
	const char * count = getenv("LISTEN_FDS");
	int number, i;

	if (pid == NULL || count == NULL || atol(pid) != (long)getpid())
		return (0);
	number = atoi(count);
	for (i = 0; i < number && listen->count < LISTEN_MAX; i++)
		if (is_listening(SYSTEMD_FIRST + i) &&
		    add(listen, SYSTEMD_FIRST + i) != 0)
			return (-1);
	return (0);
}

/*
 * A socket of a process that has died stays behind; a living one answers, and
 * a file that is no socket refuses just as a dead one does.
 */
static bool
remove_stale(const struct sockaddr_un * address)
{
	struct stat file;
	bool stale;
	int probe;

	if (lstat(address->sun_path, &file) != 0 || !S_ISSOCK(file.st_mode))
		return (false);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe == -1)
		return (false);
	stale = connect(probe, (const struct sockaddr *)address,
	    sizeof(*address)) == -1 && errno == ECONNREFUSED;
	close(probe);
	return (stale && unlink(address->sun_path) == 0);
}

static int
bind_path(int descriptor, const char * path, mode_t mode)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct sockaddr * generic = (const struct sockaddr *)&address;
	mode_t mask;
	int result;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	strcpy(address.sun_path, path);
	/* The file has its mode from the first moment on. */
	mask = umask(~mode & 0777);
	result = bind(descriptor, generic, sizeof(address));
	if (result == -1 && errno == EADDRINUSE) {
		if (remove_stale(&address))
			result = bind(descriptor, generic, sizeof(address));
		else
			errno = EADDRINUSE;
	}
	umask(mask);
	return (result);
}

static int
open_path(struct listen * found, const char * path, mode_t mode)
{
	int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);

	if (descriptor == -1 || bind_path(descriptor, path, mode) == -1) {
		log_error("listening on %s: %s", path, strerror(errno));
		if (descriptor != -1)
			close(descriptor);
		return (-1);
	}
	found->path = alloc_string(path);
	if (listen(descriptor, BACKLOG) == -1) {
		log_error("listening on %s: %s", path, strerror(errno));
		close(descriptor);
		return (-1);
	}
	return (add(found, descriptor));
}

static int
open_address(const struct addrinfo * address)
{
	int descriptor = socket(address->ai_family, address->ai_socktype,
	    address->ai_protocol);
	int on = 1;

	if (descriptor == -1)
		return (-1);
	setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(descriptor, address->ai_addr, address->ai_addrlen) == -1 ||
	    listen(descriptor, BACKLOG) == -1) {
		int error = errno;

		close(descriptor);
		errno = error;
		return (-1);
	}
	return (descriptor);
}

/* Listen on the first address of host:port or [host]:port that works. */
static int
open_host(struct listen * found, const char * where)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE,
	    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	const char * colon = strrchr(where, ':');
	struct addrinfo * addresses, * address;
	char * host;
	int descriptor = -1;
	int error;

	if (colon == NULL) {
		log_error("listen is neither a path nor host:port: %s",
		    where);
		return (-1);
	}
	host = where[0] == '[' && colon > where && colon[-1] == ']' ?
	    alloc_copy(where + 1, (size_t)(colon - where) - 2) :
	    alloc_copy(where, (size_t)(colon - where));
	error = getaddrinfo(host[0] == '\0' ? NULL : host, colon + 1, &hints,
	    &addresses);
	free(host);
	if (error != 0) {
		log_error("listening on %s: %s", where, gai_strerror(error));
		return (-1);
	}
	for (address = addresses; address != NULL && descriptor == -1;
	    address = address->ai_next)
		descriptor = open_address(address);
	if (descriptor == -1)
		log_error("listening on %s: %s", where, strerror(errno));
	freeaddrinfo(addresses);
	return (descriptor == -1 ? -1 : add(found, descriptor));
}

int
listen_find(struct listen * listen, const char * where, mode_t mode)
{

	memset(listen, 0, sizeof(*listen));
	if (strchr(where, '/') != NULL)
		return (open_path(listen, where, mode));
	if (where[0] != '\0')
		return (open_host(listen, where));
	if (add_passed(listen) != 0)
		return (-1);
	if (listen->count == 0 && is_listening(STDIN_FILENO))
		return (add(listen, STDIN_FILENO));
	return (0);
}

void
listen_close(struct listen * listen)
{
	size_t i;

	/* First, or it could be a successor's by then. */
	if (listen->path != NULL)
		unlink(listen->path);
	for (i = 0; i < listen->count; i++)
		close(listen->descriptors[i]);
	free(listen->path);
	memset(listen, 0, sizeof(*listen));
}
