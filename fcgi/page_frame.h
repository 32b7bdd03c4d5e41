#ifndef FLAGTALLY_PAGE_FRAME_H
#define FLAGTALLY_PAGE_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "fcgi/page_query.h"
#include "lib/report/report_write.h"

/* Common parts of all views of the page. */
struct page_view {
	const struct page_query * query;
	const struct report_queued * queued;
	int64_t now;			/* Seconds since 1970. */
	FILE * out;
};

/* Rows of a long list that one page shows: from first to before end. */
struct page_rows {
	size_t first, end, count;
};

/* Rows of a table on one page. */
#define PAGE_FRAME_ROWS 500

/* Writes a part of a view. */
typedef void page_frame_part(const struct page_view * view);

/**
 * page_frame_begin(view, choices):
 * page_frame_end(view):
 * Write what is before and after a view: the document's head, the navigation,
 * the heading, the view's own ${choices}, if not NULL, links to its other
 * formats, and warnings if counts wait in the spool or could not be read.
 */
void page_frame_begin(const struct page_view * view, page_frame_part * choices);
void page_frame_end(const struct page_view * view);

/**
 * page_frame_link(view, environment, application, feature):
 * Write a link to the counts of the last of these that is not NULL, named like
 * that.
 */
void page_frame_link(const struct page_view * view,
    const struct text * environment, const struct text * application,
    const struct text * feature);

/**
 * page_frame_choice(view, query, label, current):
 * Write an item of a list with a link to ${query}, marked if it is ${current}.
 */
void page_frame_choice(const struct page_view * view,
    const struct page_query * query, const char * label, bool current);

/**
 * page_frame_spans(view):
 * Write links to other spans of the same view.
 */
page_frame_part page_frame_spans;

/**
 * page_frame_rows(view, count, most):
 * Return which of ${count} rows this page shows, at most ${most}.
 */
struct page_rows page_frame_rows(const struct page_view * view, size_t count,
    size_t most);

/**
 * page_frame_pager(view, rows, most):
 * Write links to the other rows, if there are any.
 */
void page_frame_pager(const struct page_view * view, struct page_rows rows,
    size_t most);

/**
 * page_frame_table(view, id, caption, headings):
 * page_frame_end_table(view):
 * Begin and end a table, in a box that scrolls sideways, also by keyboard.
 * ${id} is unique on the page.
 */
void page_frame_table(const struct page_view * view, const char * id,
    const char * caption, const char * headings);
void page_frame_end_table(const struct page_view * view);

/**
 * page_frame_time(view, instant):
 * Write a table cell with a time in seconds since 1970.
 */
void page_frame_time(const struct page_view * view, int64_t instant);

#endif
