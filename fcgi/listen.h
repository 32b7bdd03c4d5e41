#ifndef FLAGTALLY_LISTEN_H
#define FLAGTALLY_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The listening sockets. */
#define LISTEN_MAX 16

struct listen {
	int descriptors[LISTEN_MAX];
	size_t count;
	char * path;			/* Of a socket that we opened, or
					 * NULL. */
	bool held;			/* systemd holds them, too. */
};

/**
 * listen_find(listen, where, mode):
 * Open the listening socket that ${where} names (a path, or host:port), its
 * file with ${mode}.  If ${where} is empty, use the sockets that systemd passes
 * (sd_listen_fds(3)), or else standard input if that is one.  Make all of them
 * non-blocking.  Return 0, with a count of 0 if there are none; on error, log
 * and return -1.
 */
int listen_find(struct listen * listen, const char * where, mode_t mode);

/**
 * listen_inherited():
 * Return whether standard input is a listening socket, as in a FastCGI program
 * that a web server has started.
 */
bool listen_inherited(void);

/**
 * listen_passed():
 * Return the number of descriptors that systemd has passed to this process,
 * after the standard ones.
 */
unsigned int listen_passed(void);

/**
 * listen_hide(listen):
 * Remove the file of a socket that listen_find created, so that no new client
 * can connect.
 */
void listen_hide(struct listen * listen);

/**
 * listen_close(listen):
 * Close the sockets, and remove the file of one that listen_find created.
 */
void listen_close(struct listen * listen);

#endif
