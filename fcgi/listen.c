#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fcgi/listen.h"
#include "lib/base/alloc.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"

#define BACKLOG 1024

/* The first descriptor that systemd passes. */
#define SYSTEMD_FIRST 3

static bool
is_listening_socket(int descriptor)
{
	int listening = 0;
	socklen_t length = sizeof(listening);

	return (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening,
	    &length) == 0 && listening != 0);
}

/*
 * Accept must never block: another process may share the socket and accept
 * first.
 */
static int
add_socket(struct listen * listen, int descriptor)
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

unsigned int
listen_passed(void)
{
	const char * pid = getenv("LISTEN_PID");
	const char * count = getenv("LISTEN_FDS");
	long number;

	if (pid == NULL || count == NULL ||
	    strtol(pid, NULL, 10) != (long)getpid())
		return (0);
	number = strtol(count, NULL, 10);
	return (number > 0 && number < INT_MAX - SYSTEMD_FIRST ?
	    (unsigned int)number : 0);
}

static int
add_passed(struct listen * listen)
{
	unsigned int number = listen_passed();
	unsigned int i;

	for (i = 0; i < number && listen->count < LISTEN_MAX; i++)
		if (is_listening_socket(SYSTEMD_FIRST + (int)i) &&
		    add_socket(listen, SYSTEMD_FIRST + (int)i) != 0)
			return (-1);
	listen->held = number > 0;
	return (0);
}

/*
 * Remove the socket of a process that has died.  A live process would accept,
 * and a file that is not a socket would refuse as a dead one does.
 */
static bool
remove_stale(const struct sockaddr_un * address)
{
	struct stat file;
	bool stale = false;
	int probe;

	if (lstat(address->sun_path, &file) == 0 && S_ISSOCK(file.st_mode)) {
		probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (probe == -1)
			return (false);
		stale = connect(probe, (const struct sockaddr *)address,
		    sizeof(*address)) == -1 && errno == ECONNREFUSED;
		close(probe);
	}
	if (stale)
		return (unlink(address->sun_path) == 0);
	errno = EEXIST;
	return (false);
}

/*
 * Bind to a temporary name in the directory of ${path}, with the mode from the
 * start.  Return false with errno on error.
 */
static bool
bind_fresh(int descriptor, struct sockaddr_un * address, const char * path,
    mode_t mode)
{
	unsigned char random[4];
	char digits[2 * sizeof(random) + 1];
	int directory = (int)(strrchr(path, '/') + 1 - path);
	int length, result;
	mode_t mask;

	digest_random(random, sizeof(random));
	digest_hex(digits, random, sizeof(random));
	length = snprintf(address->sun_path, sizeof(address->sun_path),
	    "%.*s.%s", directory, path, digits);
	if (length < 0 || (size_t)length >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return (false);
	}
	mask = umask(~mode & 0777);
	result = bind(descriptor, (const struct sockaddr *)address,
	    sizeof(*address));
	umask(mask);
	return (result == 0);
}

/* Let one process at a time replace a stale file. */
static int
lock_directory(const char * path)
{
	char * name = alloc_copy(path,
	    (size_t)(strrchr(path, '/') + 1 - path));
	int directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	free(name);
	if (directory != -1)
		flock(directory, LOCK_EX);
	return (directory);
}

/* Give the socket its name; return 0 or the error. */
static int
name_socket(const struct sockaddr_un * fresh, const char * path)
{
	struct sockaddr_un wanted = { .sun_family = AF_UNIX };
	int directory = lock_directory(path);
	int error = 0;

	snprintf(wanted.sun_path, sizeof(wanted.sun_path), "%s", path);
	if (link(fresh->sun_path, path) == -1 && (errno != EEXIST ||
	    !remove_stale(&wanted) || link(fresh->sun_path, path) == -1))
		error = errno;
	if (directory != -1)
		close(directory);
	return (error == EEXIST ? EADDRINUSE : error);
}

/*
 * Give a socket its name only when it listens already, so that no client is
 * refused, and no other process takes the file for stale.  Use link, which
 * unlike rename never replaces another file.
 */
static bool
listen_at(int descriptor, const char * path, mode_t mode)
{
	struct sockaddr_un fresh = { .sun_family = AF_UNIX };
	int error;

	if (strlen(path) >= sizeof(fresh.sun_path)) {
		errno = ENAMETOOLONG;
		return (false);
	}
	if (!bind_fresh(descriptor, &fresh, path, mode))
		return (false);
	error = listen(descriptor, BACKLOG) == -1 ? errno :
	    name_socket(&fresh, path);
	unlink(fresh.sun_path);
	errno = error;
	return (error == 0);
}

static int
open_path(struct listen * found, const char * path, mode_t mode)
{
	int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (descriptor == -1 || !listen_at(descriptor, path, mode)) {
		log_error("listening on %s: %s", path, strerror(errno));
		if (descriptor != -1)
			close(descriptor);
		return (-1);
	}
	found->path = alloc_string(path);
	return (add_socket(found, descriptor));
}

static int
open_address(const struct addrinfo * address)
{
	int descriptor = socket(address->ai_family,
	    address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
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

/*
 * Listen on the first address of host:port or [host]:port that this host has.
 * Do not go on to the next one if an address is in use: a second process would
 * get the name's other address family, and both would seem to serve.
 */
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
	errno = EADDRNOTAVAIL;
	for (address = addresses; address != NULL && descriptor == -1 &&
	    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
	    address = address->ai_next)
		descriptor = open_address(address);
	if (descriptor == -1)
		log_error("listening on %s: %s", where, strerror(errno));
	freeaddrinfo(addresses);
	return (descriptor == -1 ? -1 : add_socket(found, descriptor));
}

bool
listen_inherited(void)
{

	return (is_listening_socket(STDIN_FILENO));
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
	if (listen->count == 0 && listen_inherited())
		return (add_socket(listen, STDIN_FILENO));
	return (0);
}

void
listen_hide(struct listen * listen)
{

	if (listen->path != NULL)
		unlink(listen->path);
	/* From now on, a file of this name is a successor's. */
	free(listen->path);
	listen->path = NULL;
}

void
listen_close(struct listen * listen)
{
	size_t i;

	listen_hide(listen);
	for (i = 0; i < listen->count; i++)
		close(listen->descriptors[i]);
	memset(listen, 0, sizeof(*listen));
}
