#ifndef FLAGTALLY_EDGE_DATA_H
#define FLAGTALLY_EDGE_DATA_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/fault.h"
#include "lib/base/text.h"

/* Bytes of the longest identifier of an Edge, and of the longest body. */
#define EDGE_DATA_NAME_MAX 255
#define EDGE_DATA_SIZE_MAX ((size_t)64 * 1024)

/* Instance data that an Edge posts to client/metrics/edge. */
struct edge_data {
	struct text identifier;		/* Of the Edge instance. */
	struct text members;	/* The object without its first brace. */
};

/**
 * edge_data_read(arena, body, depth, data, fault):
 * Return true if ${body} is a JSON object that has an identifier, nested not
 * deeper than ${depth}; return false and record the fault otherwise.  ${data}
 * points into ${arena} and into the body.
 */
bool edge_data_read(struct arena * arena, const struct text * body,
    size_t depth, struct edge_data * data, struct fault * fault);

#endif
