#ifndef FLAGTALLY_REDIS_H
#define FLAGTALLY_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/text.h"
#include "lib/redis/confirm.h"
#include "lib/redis/error_reply.h"
#include "lib/redis/tls.h"

/*
 * One connection to a Redis server.  It is made when it is needed, made again
 * after it has failed (at first at once, then at longer and longer intervals),
 * and never waits beyond a deadline.  It belongs to one thread.
 */
struct redis;

/* The kind of an address's hosts. */
enum redis_kind {
	REDIS_SERVER,			/* One server: a host, or a path. */
	REDIS_SENTINEL,			/* Sentinels that name the master. */
	REDIS_ONE_SENTINEL,		/* One of these, without data. */
	REDIS_CLUSTER,			/* Some nodes of a cluster. */
};

struct redis_node {
	char * host;
	int port;
};

/* Where Redis is, from a URL and perhaps a password file. */
struct redis_address {
	enum redis_kind kind;
	bool tls;
	char * unix_path;		/* Of a Unix socket, or NULL. */
	char * host;			/* Of one server, or NULL. */
	int port;
	struct redis_node * nodes;	/* Sentinels, or of a cluster. */
	size_t node_count;
	char * master;			/* As the sentinels call it. */
	int database;
	char * user;			/* NULL: none. */
	char * password;		/* NULL: none. */
	char * sentinel_user;		/* Of the sentinels, likewise. */
	char * sentinel_password;
	struct tls_settings tls_settings; /* If tls. */
	struct confirm confirm;		/* Of exchanges that need it. */
};

enum redis_type {
	REDIS_NOTHING,			/* A null, or an unknown type. */
	REDIS_TEXT,			/* A string or a status. */
	REDIS_INTEGER,
	REDIS_ARRAY,			/* Of integers, REDIS_INTEGERS_MAX
					 * at most. */
	REDIS_TEXTS,			/* An array of strings; see
					 * redis_text. */
	REDIS_MIXED,			/* Another array that begins with a
					 * string, its text. */
	REDIS_ERROR,
	REDIS_UNCONFIRMED,		/* See redis_confirm. */
};

#define REDIS_INTEGERS_MAX 1024

/* Of a script's name: a SHA-1 in hexadecimal. */
#define REDIS_DIGEST_LENGTH 40

struct redis_reply {
	enum redis_type type;
	const char * text;		/* Of a string or status. */
	size_t length;
	size_t count;			/* Elements of an array. */
	int64_t integers[REDIS_INTEGERS_MAX];	/* Or the one integer. */
	struct error_reply error;	/* Of REDIS_ERROR. */
	const void * texts;		/* Of REDIS_TEXTS. */
	const void * part;		/* All of it; see redis_part. */
};

/* Whether rediss:// is built in. */
#ifdef HAVE_HIREDIS_SSL
#define REDIS_TLS_BUILT true
#else
#define REDIS_TLS_BUILT false
#endif

/**
 * redis_text(reply, i):
 * Return string number ${i} of a reply of type REDIS_TEXTS; it is valid as long
 * as the reply.
 */
struct text redis_text(const struct redis_reply * reply, size_t i);

/**
 * redis_part_count(part):
 * redis_part(part, i):
 * redis_part_text(part):
 * redis_part_integer(part):
 * Read a reply that has arrays in arrays, of which reply->part is the whole:
 * return how many elements a part has, element number ${i}, its text, and its
 * integer.  Absent values are 0, NULL, a text without bytes, or -1.
 * All are valid as long as the reply.
 */
size_t redis_part_count(const void * part);
const void * redis_part(const void * part, size_t i);
struct text redis_part_text(const void * part);
int64_t redis_part_integer(const void * part);

/**
 * redis_create(config, timeout, name):
 * Return a connection to the server that ${config} names, or to the master that
 * its sentinels name; it is not made yet.  ${config} and ${name} must outlive
 * it.  Each step of connecting, and each exchange, may take ${timeout}
 * milliseconds.  ${name} is what the server shows in CLIENT LIST.
 */
struct redis * redis_create(const struct redis_address * config,
    int64_t timeout, const char * name);

/**
 * redis_script(redis, text):
 * Have the server know the Lua script ${text}, which must outlive the
 * connection, whenever the connection is made.  Return the script's number.
 */
size_t redis_script(struct redis * redis, const char * text);

/**
 * redis_script_digest(redis, script):
 * Return the name, as EVALSHA wants it, of a script; it is known once the
 * connection has been made for the first time, and empty before.
 */
const char * redis_script_digest(const struct redis * redis, size_t script);

/**
 * redis_connect(redis, deadline):
 * Connect unless connected: log in, select the database, ask for
 * the time and load the scripts.  Return 0, or -1 if that could not be done by
 * ${deadline} or the time for the next attempt lies beyond it; redis_error says
 * why.
 */
int redis_connect(struct redis * redis, int64_t deadline);

/**
 * redis_attempt(redis, deadline):
 * Make the connection as redis_connect does, but at once, whatever became of
 * earlier attempts, and log nothing.  Return 0, or -1 with it closed.
 */
int redis_attempt(struct redis * redis, int64_t deadline);

/**
 * redis_is_current(redis):
 * Return whether the connection is open and leads to the right server, as last
 * known.  Close it if a sentinel has reported that the master was replaced.
 */
bool redis_is_current(struct redis * redis);

/**
 * redis_has_message(redis):
 * Read what the server has sent without being asked, and return whether there
 * was anything.  Close a connection that has failed.  This never waits.
 */
bool redis_has_message(struct redis * redis);

/**
 * redis_time(redis):
 * Return what the server's clock says, in milliseconds since 1970; 0 if it was
 * never connected, or has no scripts.  It was asked when the connection was
 * made last.
 */
int64_t redis_time(const struct redis * redis);

/**
 * redis_next_attempt(redis):
 * Return when redis_connect may try next, on the clock of deadlines.
 */
int64_t redis_next_attempt(const struct redis * redis);

/**
 * redis_back_off(redis, trouble):
 * The server answers but cannot serve, as ${trouble} says: close the
 * connection, and wait before it is made again as after a failed attempt.
 * NULL means that the connection is closed, and redis_error says why.
 */
void redis_back_off(struct redis * redis, const char * trouble);

/**
 * redis_serves(redis):
 * The server has done what it was asked: the next failure is a first one.
 */
void redis_serves(struct redis * redis);

/**
 * redis_load(redis, deadline):
 * Load the scripts again: the server has forgotten them.  Return 0 or -1.
 */
int redis_load(struct redis * redis, int64_t deadline);

/* Takes the reply to the request with this number, counted from 0. */
typedef void redis_take(void * context, size_t number,
    const struct redis_reply * reply);

/**
 * redis_exchange(redis, requests, count, deadline, take, context):
 * Send ${requests}, which are ${count} in RESP, as one pipeline, and hand each
 * reply to ${take}.  Return 0 if all replies came.  Return -1 if the connection
 * failed, or ${deadline} or the time-out passed, first: what has been sent
 * without a reply may have been done or not, and the connection is closed.
 * The connection must have been made.
 */
int redis_exchange(struct redis * redis, const struct buffer * requests,
    size_t count, int64_t deadline, redis_take * take, void * context);

/**
 * redis_confirm(redis, deadline):
 * If the address asks for replicas that confirm what is written: the next
 * exchange, which ends by ${deadline}, is to be confirmed by them.  If too few
 * do in time, each request that was replied to gets a second reply, of type
 * REDIS_UNCONFIRMED with the reason as its text: the server has done it, but a
 * failover may undo it.  It is the same if the connection fails first.
 */
void redis_confirm(struct redis * redis, int64_t deadline);

/**
 * redis_send(redis, requests, count, take, context):
 * Begin such an exchange: send as much as the server takes at once.  Return 0,
 * or -1 with the connection closed.  The requests may be changed then.
 */
int redis_send(struct redis * redis, const struct buffer * requests,
    size_t count, redis_take * take, void * context);

/**
 * redis_receive(list, count, deadline):
 * End the exchanges that redis_send has begun on ${count} connections, which
 * all go on at the same time.  A connection that fails, or on which the replies
 * do not come by ${deadline}, is closed.
 */
void redis_receive(struct redis * const * list, size_t count,
    int64_t deadline);

/**
 * redis_error(redis):
 * Return a text that says what went wrong last.
 */
const char * redis_error(const struct redis * redis);

/**
 * redis_timed_out(redis):
 * Return whether that was that no answer came in time.
 */
bool redis_timed_out(const struct redis * redis);

/**
 * redis_is_connected(redis):
 * Return whether the connection is open, as last known.
 */
bool redis_is_connected(const struct redis * redis);

/**
 * redis_close(redis):
 * Close the connection; the next redis_connect makes it again.
 */
void redis_close(struct redis * redis);

/**
 * redis_free(redis):
 * Close the connection and free it.
 */
void redis_free(struct redis * redis);

#endif
