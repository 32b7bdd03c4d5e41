#ifndef FLAGTALLY_SENTINEL_H
#define FLAGTALLY_SENTINEL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/redis/redis.h"

/*
 * Asks Redis Sentinel which server is the master.  It belongs to one thread.
 */
struct sentinel;

/**
 * sentinel_create(config, timeout, name):
 * Return connections, which are not made yet, to the sentinels that ${config}
 * lists.  ${config} and ${name}, which the sentinels show in CLIENT LIST, must
 * outlive them.  A sentinel has ${timeout} milliseconds to answer, or its share
 * of the time that is left.
 */
struct sentinel * sentinel_create(const struct redis_address * config,
    int64_t timeout, const char * name);

/**
 * sentinel_find(sentinel, deadline):
 * Ask the sentinels for the master.  Return it, valid until the next call, or
 * NULL if there is no trusted one by ${deadline}; sentinel_why has the reason.
 */
const struct redis_node * sentinel_find(struct sentinel * sentinel,
    int64_t deadline);

/**
 * sentinel_has_news(sentinel):
 * Return whether a sentinel has reported, since sentinel_find, that a master
 * was replaced.  This never waits.
 */
bool sentinel_has_news(struct sentinel * sentinel);

/**
 * sentinel_why(sentinel):
 * Return a text that says why sentinel_find found no master.
 */
const char * sentinel_why(const struct sentinel * sentinel);

/**
 * sentinel_free(sentinel):
 * Close the connections and free them.
 */
void sentinel_free(struct sentinel * sentinel);

#endif
