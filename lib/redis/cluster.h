#ifndef FLAGTALLY_CLUSTER_H
#define FLAGTALLY_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/text.h"
#include "lib/redis/redis.h"

/*
 * The servers behind a URL: one, or the masters of a Redis Cluster.  Each
 * request goes to the master that has the slot of its key, over one connection
 * for each master, which is made when it is needed.  It belongs to one thread.
 *
 * With one server all functions do what those of redis.h do.  In a cluster a
 * master that does not serve is away: its requests get ERROR_AWAY in the
 * place of a reply, while all others are served.
 */
struct cluster;

/**
 * cluster_create(config, timeout, name):
 * Return the servers that ${config} names, to none of which there is a
 * connection yet.  The arguments are those of redis_create.
 */
struct cluster * cluster_create(const struct redis_address * config,
    int64_t timeout, const char * name);

/**
 * cluster_is_one(cluster):
 * Return true if there is one server, and false in a cluster.
 */
bool cluster_is_one(const struct cluster * cluster);

/**
 * cluster_pace(cluster, window):
 * As redis_pace, for every server.
 */
void cluster_pace(struct cluster * cluster, size_t window);

/**
 * cluster_script(cluster, text):
 * cluster_script_digest(cluster, script):
 * As redis_script and redis_script_digest, for every server.
 */
size_t cluster_script(struct cluster * cluster, const char * text);
const char * cluster_script_digest(const struct cluster * cluster,
    size_t script);

/**
 * cluster_connect(cluster, deadline):
 * Make a connection to the server, or to any node that has the map of slots.
 * Return 0, or -1 as redis_connect does.
 */
int cluster_connect(struct cluster * cluster, int64_t deadline);

/**
 * cluster_is_connected(cluster):
 * Return whether there is a connection to any server, as redis_is_current.
 */
bool cluster_is_connected(struct cluster * cluster);

/**
 * cluster_next_attempt(cluster):
 * Return when a server that is away is tried next, on the clock of deadlines;
 * 0: none is away.
 */
int64_t cluster_next_attempt(const struct cluster * cluster);

/**
 * cluster_time(cluster, key, length):
 * Return the time by the clock of the server that has this key, as redis_time;
 * by another server's if that one was never connected.
 */
int64_t cluster_time(const struct cluster * cluster, const char * key,
    size_t length);

/**
 * cluster_begin(cluster):
 * Forget all requests.
 */
void cluster_begin(struct cluster * cluster);

/**
 * cluster_request(cluster, key, length):
 * Return the buffer to which the caller is to append the next request, which
 * must be about this key and others of the same slot only.
 */
struct buffer * cluster_request(struct cluster * cluster, const char * key,
    size_t length);

/**
 * cluster_size(cluster):
 * Return how many bytes all requests have.
 */
size_t cluster_size(const struct cluster * cluster);

/**
 * cluster_exchange(cluster, confirm, deadline, take, context):
 * Send all requests, to all servers at the same time, and pass each reply to
 * ${take} with the number of its request, in the order of each server.  A
 * request that has to go to another master (MOVED, ASK) is sent there as it is.
 * With ${confirm} replicas are to confirm all of it, as redis_confirm.
 * Return 0 if all replies came, or -1 as redis_exchange does: requests that got
 * none have to be sent again.  In a cluster 1 means that some masters are away.
 */
int cluster_exchange(struct cluster * cluster, bool confirm, int64_t deadline,
    redis_take * take, void * context);

/**
 * cluster_blame(cluster):
 * Record that the server of the reply that is being taken cannot serve:
 * cluster_back_off is about it.
 */
void cluster_blame(struct cluster * cluster);

/**
 * cluster_back_off(cluster, trouble):
 * As redis_back_off, for the servers that were blamed, or else for all that
 * had a part in the last exchange.
 */
void cluster_back_off(struct cluster * cluster, const char * trouble);

/**
 * cluster_serves(cluster):
 * As redis_serves, for the servers that replied in the last exchange.
 */
void cluster_serves(struct cluster * cluster);

/**
 * cluster_load(cluster, deadline):
 * Load the scripts again wherever there is a connection.
 */
void cluster_load(struct cluster * cluster, int64_t deadline);

/**
 * cluster_error(cluster):
 * cluster_timed_out(cluster):
 * As redis_error and redis_timed_out, of the server that failed last.
 */
const char * cluster_error(const struct cluster * cluster);
bool cluster_timed_out(const struct cluster * cluster);

/**
 * cluster_free(cluster):
 * Close all connections and free the cluster.
 */
void cluster_free(struct cluster * cluster);

#endif
