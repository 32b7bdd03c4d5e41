#include <stdlib.h>

#include "lib/report/edge_list.h"
#include "lib/report/members.h"

struct edge_collector {
	struct reader * reader;
	struct report_edges * edges;
};

/* Read the data of an Edge; return false if it is not what flagtally wrote. */
static bool
read_edge(struct results * results, struct report_edge * edge,
    struct text identifier, struct text data)
{
	struct members_wanted members[] = {
		{ "appName", { NULL, 0 } }, { "edgeVersion", { NULL, 0 } },
		{ "region", { NULL, 0 } }, { "hosting", { NULL, 0 } },
		{ "started", { NULL, 0 } }, { "received", { NULL, 0 } },
	};
	struct text * const values[] = { &edge->name, &edge->version,
	    &edge->region, &edge->hosting, &edge->started };
	size_t i;

	edge->identifier = results_decode(results, identifier);
	edge->data = results_copy(results, data);
	if (results->full || !members_read(results->arena, edge->data, members,
	    sizeof(members) / sizeof(members[0])))
		return (false);
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		*values[i] = members[i].value.bytes == NULL ?
		    (struct text){ "", 0 } : members[i].value;
	edge->seen = members[5].value.bytes == NULL ? 0 :
	    reader_number(members[5].value);
	return (true);
}

static void
take_edges(void * context, size_t number, const struct redis_reply * reply)
{
	struct edge_collector * collector = context;
	struct results * results = &collector->reader->results;
	struct report_edges * edges = collector->edges;
	size_t i;

	(void)number;
	edges->list = results_take(results, (reply->count / 2 + 1) *
	    sizeof(*edges->list));
	for (i = 0; i + 1 < reply->count && !reader_failed(collector->reader);
	    i += 2)
		if (read_edge(results, &edges->list[edges->count],
		    reply_text(reply, i), reply_text(reply, i + 1)))
			edges->count++;
}

static int
compare_edges(const void * left, const void * right)
{
	const struct report_edge * a = left;
	const struct report_edge * b = right;

	if (a->seen != b->seen)
		return (a->seen > b->seen ? -1 : 1);
	return (results_compare(a->identifier, b->identifier));
}

int
edge_list_read(struct reader * reader, struct report_edges * edges)
{
	struct edge_collector collector;

	*edges = (struct report_edges){ NULL, 0 };
	collector = (struct edge_collector){ reader, edges };
	reader_list(reader, "edges");
	reader_expect(reader, take_edges, &collector);
	reader_ask(reader, 0, "HGETALL");
	if (reader_flush(reader) != 0)
		return (-1);
	if (edges->count > 0)
		qsort(edges->list, edges->count, sizeof(*edges->list),
		    compare_edges);
	return (0);
}
