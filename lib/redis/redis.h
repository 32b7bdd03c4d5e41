#ifndef FLAGTALLY_REDIS_H
#define FLAGTALLY_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/redis/address.h"
#include "lib/redis/reply.h"

/*
 * One connection to a Redis server.  It is made when it is needed, made again
 * after it has failed (at first at once, then at longer and longer intervals),
 * and never waits beyond a deadline.  It belongs to one thread.
 */
struct redis;

/* Of a script's name: a SHA-1 in hexadecimal. */
#define REDIS_DIGEST_LENGTH 40

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
 * redis_pace(redis, window):
 * From now on let at most ${window} requests of an exchange be unanswered, or
 * all if it is 0, as it is at first.  A server executes what has arrived of a
 * pipeline without serving others in between.  A server that is far away gets
 * all at once, as waiting for its replies would take too long.
 */
void redis_pace(struct redis * redis, size_t window);

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
