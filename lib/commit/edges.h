#ifndef FLAGTALLY_EDGES_H
#define FLAGTALLY_EDGES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/text.h"
#include "lib/redis/redis.h"
#include "lib/stats/stats.h"

/*
 * The latest instance data of each Edge, in Redis.  An Edge posts it each
 * minute, and only the latest is of interest, so it is written to Redis or
 * refused: it neither takes a place in the spool nor needs to be counted
 * exactly once.
 */
struct edges;

/* How many Edges are kept; a new one replaces the one silent for longest. */
#define EDGES_MAX 256

/* Seconds until all are forgotten if none reports. */
#define EDGES_LIFETIME (INT64_C(30) * 24 * 3600)

/**
 * edges_create(prefix, redis, stats):
 * Return a writer over ${redis}, which it takes over and connects when data
 * arrives.  ${prefix} is that of the keys, and must outlive it.
 */
struct edges * edges_create(const char * prefix, struct redis * redis,
    struct stats * stats);

/**
 * edges_put(edges, identifier, members, deadline):
 * Keep ${members}, a JSON object without its first brace, as the data of the
 * Edge that has this ${identifier}.  Return true if Redis has it; false if that
 * could not be done by ${deadline}, or another thread is at it until then.  Any
 * thread may call this.
 */
bool edges_put(struct edges * edges, const struct text * identifier,
    const struct text * members, int64_t deadline);

/**
 * edges_free(edges):
 * Close the connection and free the writer, which may be NULL.
 */
void edges_free(struct edges * edges);

#endif
