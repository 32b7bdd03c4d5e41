#ifndef FLAGTALLY_LISTEN_H
#define FLAGTALLY_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where requests come from: descriptors that listen. */
#define LISTEN_MAX 16

struct listen {
	int descriptors[LISTEN_MAX];
	size_t count;
	char * path;			/* Of a socket of ours, or NULL. */
	bool held;			/* They are there when we are gone. */
};

/**
 * listen_find(listen, where, mode):
 * Find the listening sockets: the one that ${where} names (a path, or
 * host:port) is opened, its file with ${mode}; with ${where} empty they are
 * those that systemd passes (sd_listen_fds(3)) or else standard input, if that
 * is one.  All are made non-blocking.  Return 0, with a count of 0 if there
 * are none, or -1 after the log has said why.
 */
int listen_find(struct listen * listen, const char * where, mode_t mode);

/**
 * listen_inherited():
 * Return whether standard input is a listening socket, as it is in a FastCGI
 * program that a web server starts.
 */
bool listen_inherited(void);

/**
 * listen_passed():
 * Return how many descriptors systemd has passed to this process, after the
 * standard ones.
 */
unsigned int listen_passed(void);

/**
 * listen_hide(listen):
 * Remove the file of a socket that was opened: from now on nobody new finds it.
 */
void listen_hide(struct listen * listen);

/**
 * listen_close(listen):
 * Close the sockets and remove the file of one that was opened.
 */
void listen_close(struct listen * listen);

#endif
