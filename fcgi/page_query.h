#ifndef FLAGTALLY_PAGE_QUERY_H
#define FLAGTALLY_PAGE_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/report/report_write.h"

/*
 * The query of a request for the page.  Names are there and not
 * in the path, because web servers decode a path, merge its slashes, and refuse
 * %2F in it.
 */
enum page_show {
	PAGE_COUNTS,
	PAGE_STALE,
	PAGE_SDKS,
	PAGE_IMPACT,
	PAGE_EDGES,
	PAGE_HEALTH,
	PAGE_SHOW_COUNT,
};

enum page_format { PAGE_HTML, PAGE_CSV, PAGE_JSON };

struct page_query {
	enum page_show show;
	enum page_format format;
	struct report_scope scope;
	struct text metric;		/* NULL bytes: all impact metrics. */
	struct text below;		/* Versions; NULL bytes: all. */
	size_t days;			/* After which features are stale. */
	size_t top;			/* Features at most; 0: all. */
	size_t from;			/* Row with which a table begins. */
	const char * wrong;		/* An error of the query, or NULL. */
};

/* The query without parameters, before the span is set. */
#define PAGE_QUERY_STALE_DAYS 30
#define PAGE_QUERY_DEFAULT { .days = PAGE_QUERY_STALE_DAYS }

/* Values of the parameter show. */
extern const char * const page_query_shows[PAGE_SHOW_COUNT];

/**
 * page_query_read(query, arena, text, now):
 * Read the query ${text}, which can be NULL, at the time ${now} in seconds
 * since 1970.  Names are copied into ${arena}.  Unknown parameters are ignored;
 * a wrong value sets query->wrong.
 */
void page_query_read(struct page_query * query, struct arena * arena,
    const char * text, int64_t now);

/**
 * page_query_write(query, out):
 * Write the query as an HTML attribute with an address, relative to the page's:
 * `"?env=..."`.  Parameters that have their default are left out, and a span of
 * 0 periods is the default one.
 */
void page_query_write(const struct page_query * query, FILE * out);

#endif
