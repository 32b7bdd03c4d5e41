#ifndef FLAGTALLY_EDGE_LIST_H
#define FLAGTALLY_EDGE_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "lib/report/reader.h"

/* An Unleash Edge that has reported about itself.  Texts can be empty. */
struct report_edge {
	struct text identifier, name, version, region, hosting, started;
	int64_t seen;			/* Of the report, s since 1970. */
	struct text data;		/* All it reported, a JSON object. */
};

struct report_edges {
	struct report_edge * list;	/* Latest report first. */
	size_t count;
};

/**
 * edge_list_read(reader, edges):
 * Read the instances of Edge.  Return 0, or -1 with the reader's error set.
 */
int edge_list_read(struct reader * reader, struct report_edges * edges);

#endif
