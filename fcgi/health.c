#include <inttypes.h>
#include <string.h>

#include "fcgi/health.h"
#include "lib/base/clock.h"

/* Looking up */

void
health_queued(const struct health_source * source,
    struct report_queued * queued)
{
	static const enum spool_state waits[] = { SPOOL_QUEUED,
	    SPOOL_IN_DOUBT };
	struct backstage_state state = { .redis_down = false };
	size_t i;

	source->probe(source->context, false, &state);
	*queued = (struct report_queued){ .known = state.has_depth,
	    .failed = source->has_spool && !state.has_depth };
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		const struct spool_depth * depth = &state.depth[waits[i]];

		if (!state.has_depth || depth->records == 0)
			continue;
		queued->bytes += depth->bytes;
		if (queued->since == 0 || depth->oldest < queued->since)
			queued->since = depth->oldest;
	}
}

void
health_read(const struct health_source * source, struct report * report,
    struct health * health)
{
	int64_t began = clock_monotonic();
	bool read = report_probe(report) == 0;

	*health = (struct health){ .stats = source->stats,
	    .read_time = clock_monotonic() - began,
	    .read_error = read ? "" : report_error(report),
	    .has_spool = source->has_spool };
	source->probe(source->context, true, &health->state);
}

/* Values */

struct visitor {
	health_visit * visit;
	void * context;
};

static void
visit_number(const struct visitor * visitor, const char * part,
    const char * name, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	visitor->visit(visitor->context, part, name, text, true);
}

static void
visit_word(const struct visitor * visitor, const char * part,
    const char * name, const char * word)
{

	visitor->visit(visitor->context, part, name, word, false);
}

static void
visit_redis(const struct health * health, const struct visitor * visitor)
{

	visit_word(visitor, "redis", "reading",
	    health->read_error[0] == '\0' ? "ok" : health->read_error);
	visit_number(visitor, "redis", "milliseconds",
	    (uint64_t)health->read_time);
	if (health->stats == NULL)
		return;
	visit_word(visitor, "redis", "counting",
	    health->state.redis_down ? "down" : "up");
	visit_number(visitor, "redis", "last_success",
	    stats_get_gauge(health->stats, STATS_REDIS_LAST_SUCCESS) / 1000);
}

static void
visit_tokens(const struct health * health, const struct visitor * visitor)
{

	if (health->state.has_tokens)
		visit_word(visitor, "tokens", "state",
		    backstage_tokens(&health->state));
}

/* Visit the state of the spool, and the depth of each state of its counts. */
static void
visit_spool(const struct health * health, const struct visitor * visitor)
{
	static const char * const words[] = {
		[BACKSTAGE_SPOOL_OK] = "ok", [BACKSTAGE_SPOOL_FULL] = "full",
		[BACKSTAGE_SPOOL_FAILED] = "failed",
	};
	static const struct {
		enum spool_state state;
		const char * names[3];
	} depths[] = {
		{ SPOOL_QUEUED, { "queued", "queued_bytes",
		    "queued_since" } },
		{ SPOOL_IN_DOUBT, { "in_doubt", "in_doubt_bytes",
		    "in_doubt_since" } },
		{ SPOOL_QUARANTINED, { "quarantined", "quarantined_bytes",
		    "quarantined_since" } },
	};
	size_t i;

	visit_word(visitor, "spool", "state", health->has_spool ?
	    words[health->state.spool] : "unknown");
	if (health->has_spool && health->state.spool != BACKSTAGE_SPOOL_OK)
		visit_word(visitor, "spool", "reason",
		    health->state.spool_why);
	for (i = 0; health->state.has_depth &&
	    i < sizeof(depths) / sizeof(depths[0]); i++) {
		const struct spool_depth * depth =
		    &health->state.depth[depths[i].state];

		visit_number(visitor, "spool", depths[i].names[0],
		    depth->records);
		if (depth->records == 0)
			continue;
		visit_number(visitor, "spool", depths[i].names[1],
		    depth->bytes);
		visit_number(visitor, "spool", depths[i].names[2],
		    (uint64_t)(depth->oldest / 1000));
	}
}

void
health_each(const struct health * health, health_visit * visit,
    void * context)
{
	const struct visitor visitor = { visit, context };
	size_t i;

	visit_redis(health, &visitor);
	visit_tokens(health, &visitor);
	visit_spool(health, &visitor);
	for (i = 0; health->stats != NULL && i < DROP_COUNT; i++)
		visit_number(&visitor, "dropped",
		    stats_drop_name((enum tally_drop)i),
		    stats_get(health->stats,
		    (enum stats_counter)(STATS_DROPPED + i)));
}

bool
health_is_time(const char * name)
{
	static const char ending[] = "_since";
	size_t length = strlen(name);

	return (strcmp(name, "last_success") == 0 ||
	    (length >= sizeof(ending) && strcmp(name + length -
	    (sizeof(ending) - 1), ending) == 0));
}

/* Formats */

static void
write_csv_row(void * context, const char * part, const char * name,
    const char * value, bool is_number)
{
	FILE * out = context;

	fprintf(out, "%s,%s,", part, name);
	if (is_number)
		fputs(value, out);
	else
		report_write_csv(out, (struct text){ value, strlen(value) });
	putc('\n', out);
}

void
health_write_csv(FILE * out, const struct health * health)
{

	fputs("part,name,value\n", out);
	health_each(health, write_csv_row, out);
}

struct json_writer {
	FILE * out;
	const char * part;		/* The object that is open, or NULL. */
};

static void
write_json_member(void * context, const char * part, const char * name,
    const char * value, bool is_number)
{
	struct json_writer * writer = context;

	if (writer->part == NULL || strcmp(writer->part, part) != 0) {
		fprintf(writer->out, "%s\"%s\":{", writer->part == NULL ?
		    "{" : "},", part);
		writer->part = part;
	} else
		putc(',', writer->out);
	fprintf(writer->out, "\"%s\":", name);
	if (is_number)
		fputs(value, writer->out);
	else
		report_write_json(writer->out,
		    (struct text){ value, strlen(value) });
}

void
health_write_json(FILE * out, const struct health * health)
{
	struct json_writer writer = { out, NULL };

	health_each(health, write_json_member, &writer);
	fputs("}}\n", out);
}
