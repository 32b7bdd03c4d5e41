#ifndef FLAGTALLY_REDIS_TLS_H
#define FLAGTALLY_REDIS_TLS_H

#include <stdbool.h>
#include <stdint.h>

struct ssl_st;				/* OpenSSL's SSL. */

/*
 * TLS to Redis: trusted authorities, our certificate, and the session that the
 * server gave us last, with which the next handshake is shorter.  It belongs to
 * one thread.
 */
struct tls;

struct tls_settings {
	const char * authorities;	/* File or directory of certificates;
					 * "": those of the system. */
	const char * certificate;	/* Our own, as PEM with its chain, */
	const char * key;		/* and its key; "": none. */
};

enum tls_result {
	TLS_DONE,
	TLS_LATE,
	TLS_FAILED,
};

/**
 * redis_tls_create(settings, why):
 * Return what connections need; the strings of ${settings} are not kept.  If a
 * file cannot be used, return NULL with a static text in ${why}.
 */
struct tls * redis_tls_create(const struct tls_settings * settings,
    const char ** why);

/**
 * redis_tls_begin(tls, host, port):
 * Return a new connection to ${host}, a name or an address, which the server's
 * certificate must be for; it is for hiredis, which frees it.  The connection
 * before must have been freed; its session is resumed if it went to the same
 * port of the same host.  Return NULL if there is no memory or ${host} cannot
 * be a host.
 */
struct ssl_st * redis_tls_begin(struct tls * tls, const char * host, int port);

/**
 * redis_tls_abandon(connection):
 * Free a connection that hiredis has not taken.
 */
void redis_tls_abandon(struct ssl_st * connection);

/**
 * redis_tls_handshake(connection, descriptor, deadline):
 * Do the handshake over ${descriptor}, a socket that does not block.  Return
 * TLS_LATE if it was not done by ${deadline}.
 */
enum tls_result redis_tls_handshake(struct ssl_st * connection, int descriptor,
    int64_t deadline);

/**
 * redis_tls_read_alert(connection):
 * After a write that failed, read what the server sent before it closed the
 * connection, so that redis_tls_error can name its reason.
 */
void redis_tls_read_alert(struct ssl_st * connection);

/**
 * redis_tls_pending(connection):
 * Return whether bytes have arrived that are no longer in the socket.
 */
bool redis_tls_pending(const struct ssl_st * connection);

/**
 * redis_tls_reused(connection):
 * Return whether the handshake resumed an earlier session.
 */
bool redis_tls_reused(const struct ssl_st * connection);

/**
 * redis_tls_error(connection):
 * Return a static text that says why the handshake or the last exchange failed,
 * or NULL if TLS has no reason.
 */
const char * redis_tls_error(const struct ssl_st * connection);

/**
 * redis_tls_free(tls):
 * Free it; there may still be connections.
 */
void redis_tls_free(struct tls * tls);

#endif
