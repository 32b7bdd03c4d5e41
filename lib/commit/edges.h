#ifndef FLAGTALLY_EDGES_H
#define FLAGTALLY_EDGES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/text.h"
#include "lib/redis/cluster.h"
#include "lib/stats/stats.h"

/*
 * The latest instance data of each Edge, in Redis.  An Edge posts it each
 * minute, and only the latest counts, so it is written to Redis or refused: it
 * is never spooled, and need not be applied exactly once.
 */
struct edges;

/* How many Edges are kept; a new one replaces the one silent for longest, of
 * those whose tokens are for the environment that has most. */
#define EDGES_MAX 256

/* Seconds until all of them expire if none reports. */
#define EDGES_LIFETIME (INT64_C(30) * 24 * 3600)

/**
 * edges_create(prefix, cluster, stats):
 * Return a writer over ${cluster}, which it owns from now on, and connects when
 * data arrives.  ${prefix} is the prefix of the keys, and must outlive it.
 */
struct edges * edges_create(const char * prefix, struct cluster * cluster,
    struct stats * stats);

/**
 * edges_put(edges, environment, identifier, members, deadline):
 * Store ${members}, a JSON object without its first brace, as the data of the
 * Edge with this ${identifier}, whose token is for ${environment}, or for all
 * if that is `*`.  Return true if Redis has stored it; false if
 * not by ${deadline}, or if another thread has the connection until then.  Any
 * thread may call this.
 */
bool edges_put(struct edges * edges, const char * environment,
    const struct text * identifier, const struct text * members,
    int64_t deadline);

/**
 * edges_free(edges):
 * Close the connection and free the writer, which can be NULL.
 */
void edges_free(struct edges * edges);

#endif
