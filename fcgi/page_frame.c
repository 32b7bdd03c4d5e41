#include <stdlib.h>
#include <string.h>

#include "fcgi/html.h"
#include "fcgi/page_frame.h"
#include "fcgi/page_style.h"

static const char * const titles[PAGE_SHOW_COUNT] = {
	[PAGE_COUNTS] = "Applications", [PAGE_STALE] = "Stale features",
	[PAGE_SDKS] = "SDKs", [PAGE_IMPACT] = "Impact metrics",
	[PAGE_EDGES] = "Edge", [PAGE_HEALTH] = "Health",
};

/* Links */

/* Begin a link to the counts of these; all but the first can be NULL. */
static void
begin_link(const struct page_view * view, const struct text * environment,
    const struct text * application, const struct text * feature)
{
	struct page_query query = PAGE_QUERY_DEFAULT;

	query.scope.environment = *environment;
	if (application != NULL)
		query.scope.application = *application;
	if (feature != NULL)
		query.scope.feature = *feature;
	fputs("<a href=", view->out);
	page_query_write(&query, view->out);
	putc('>', view->out);
}

void
page_frame_link(const struct page_view * view, const struct text * environment,
    const struct text * application, const struct text * feature)
{

	begin_link(view, environment, application, feature);
	html_name(view->out, feature != NULL ? *feature : application != NULL ?
	    *application : *environment);
	fputs("</a>", view->out);
}

void
page_frame_choice(const struct page_view * view,
    const struct page_query * query, const char * label, bool current)
{

	fputs("<li><a href=", view->out);
	page_query_write(query, view->out);
	fprintf(view->out, "%s>%s</a>", current ? " aria-current=true" : "",
	    label);
}

/* Links to the same counts over other spans. */
void
page_frame_spans(const struct page_view * view)
{
	static const struct {
		const char * label;
		bool by_hour;
		size_t count;
	} spans[] = {
		{ "24 hours", true, 24 }, { "48 hours", true, 48 },
		{ "7 days", false, 7 }, { "30 days", false, 30 },
		{ "90 days", false, 90 },
	};
	const struct report_span * span = &view->query->scope.span;
	size_t i;

	fputs("<nav aria-label=Span><ul>", view->out);
	for (i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		struct page_query query = *view->query;

		query.from = 0;
		query.scope.span.by_hour = spans[i].by_hour;
		query.scope.span.count = spans[i].count;
		page_frame_choice(view, &query, spans[i].label,
		    spans[i].by_hour == span->by_hour &&
		    spans[i].count == span->count);
	}
	fputs("</ul></nav>\n", view->out);
}

struct page_rows
page_frame_rows(const struct page_view * view, size_t count, size_t most)
{
	struct page_rows rows = { view->query->from == 0 ? 0 :
	    view->query->from - 1, count, count };

	if (rows.first >= count)
		rows.first = 0;
	if (count - rows.first > most)
		rows.end = rows.first + most;
	return (rows);
}

/* Links to the parts of a list that is too long for one page. */
void
page_frame_pager(const struct page_view * view, struct page_rows rows,
    size_t most)
{
	struct page_query query = *view->query;

	if (rows.count <= most)
		return;
	fprintf(view->out, "<nav aria-label=Pages><p>%zu\xe2\x80\x93%zu of ",
	    rows.first + 1, rows.end);
	html_number(view->out, rows.count);
	fputs("</p><ul>", view->out);
	if (rows.first > 0) {
		query.from = rows.first > most ? rows.first - most + 1 : 0;
		page_frame_choice(view, &query, "Previous", false);
	}
	if (rows.end < rows.count) {
		query.from = rows.end + 1;
		page_frame_choice(view, &query, "Next", false);
	}
	fputs("</ul></nav>\n", view->out);
}

/* The frame of a page */

static void
write_title(const struct page_view * view)
{
	const struct report_scope * scope = &view->query->scope;
	const struct text * parts[] = { &view->query->metric, &scope->feature,
	    &scope->application, &scope->environment };
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i]->length > 0) {
			html_text(view->out, *parts[i]);
			fputs(" \xc2\xb7 ", view->out);
		}
	fprintf(view->out, "%s \xc2\xb7 flagtally",
	    view->query->show == PAGE_COUNTS && scope->application.bytes !=
	    NULL ? "Features" : titles[view->query->show]);
}

static void
write_sections(const struct page_view * view)
{
	size_t i;

	fputs("<nav aria-label=Sections><ul>", view->out);
	for (i = 0; i < PAGE_SHOW_COUNT; i++) {
		struct page_query query = PAGE_QUERY_DEFAULT;

		query.show = (enum page_show)i;
		page_frame_choice(view, &query, titles[i],
		    view->query->show == query.show);
	}
	fputs("</ul></nav>\n", view->out);
}

/* The place of the page in the tree of names. */
static void
write_breadcrumb(const struct page_view * view)
{
	const struct report_scope * scope = &view->query->scope;

	if (scope->environment.bytes == NULL)
		return;
	fputs("<nav aria-label=Breadcrumb><ol><li>", view->out);
	page_frame_link(view, &scope->environment, NULL, NULL);
	if (scope->application.bytes != NULL) {
		fputs("<li>", view->out);
		page_frame_link(view, &scope->environment, &scope->application,
		    NULL);
	}
	if (scope->feature.bytes != NULL) {
		fputs("<li>", view->out);
		page_frame_link(view, &scope->environment, &scope->application,
		    &scope->feature);
	}
	fputs("</ol></nav>\n", view->out);
}

static void
write_heading(const struct page_view * view)
{
	const struct report_scope * scope = &view->query->scope;

	fputs("<h1>", view->out);
	if (view->query->show != PAGE_COUNTS)
		fputs(titles[view->query->show], view->out);
	else if (scope->feature.bytes != NULL)
		html_name(view->out, scope->feature);
	else if (scope->application.bytes != NULL)
		html_name(view->out, scope->application);
	else if (scope->environment.bytes != NULL)
		html_name(view->out, scope->environment);
	else
		fputs("Applications", view->out);
	fputs("</h1>\n", view->out);
}

/* Links to the other formats of the same view. */
static void
write_formats(const struct page_view * view)
{
	struct page_query query = *view->query;

	query.from = 0;
	fputs("<nav aria-label=Formats><ul>", view->out);
	query.format = PAGE_CSV;
	page_frame_choice(view, &query, "CSV", false);
	query.format = PAGE_JSON;
	page_frame_choice(view, &query, "JSON", false);
	fputs("</ul></nav>\n", view->out);
}

/* Warn if counts wait in the spool. */
static void
write_queued(const struct page_view * view)
{

	if (view->queued->failed)
		fputs("<p class=warning>The spool cannot be read, so it is "
		    "unknown whether counts wait in it.</p>\n", view->out);
	if (!view->queued->known || view->queued->since == 0)
		return;
	fputs("<p class=warning>Not complete: counts accepted since ",
	    view->out);
	report_write_time(view->out, view->queued->since / 1000);
	fputs(" wait in the spool (", view->out);
	html_number(view->out, view->queued->bytes);
	fputs(" bytes).</p>\n", view->out);
}

static void
write_missing(const struct page_view * view)
{
	const struct reader_missing * missing = view->query->scope.missing;
	char * sentence = NULL;
	size_t length = 0;
	FILE * text;

	if (missing->count == 0)
		return;
	text = open_memstream(&sentence, &length);
	if (text == NULL)
		abort();
	report_write_missing(text, missing);
	fclose(text);
	fputs("<p class=warning>", view->out);
	html_text(view->out, (struct text){ sentence, length });
	fputs("</p>\n", view->out);
	free(sentence);
}

void
page_frame_begin(const struct page_view * view, page_frame_part * choices)
{

	fputs("<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
	    "<meta name=viewport content=\"width=device-width\">\n"
	    "<meta name=color-scheme content=\"light dark\">\n"
	    "<link rel=icon href=\"data:,\">\n<title>", view->out);
	write_title(view);
	fprintf(view->out, "</title>\n<style>%s</style>\n</head>\n<body>\n"
	    "<a class=skip href=\"#main\">Skip to the counts</a>\n<header>"
	    "<p><a href=\"?\">flagtally</a></p>\n", page_style);
	write_sections(view);
	write_breadcrumb(view);
	fputs("</header>\n<main id=main>\n", view->out);
	write_heading(view);
	if (choices != NULL)
		choices(view);
	write_formats(view);
	write_queued(view);
	write_missing(view);
}

void
page_frame_end(const struct page_view * view)
{

	fputs("</main>\n<footer><p>Times are in UTC. Evaluations are counted "
	    "by the client's time.</p></footer>\n</body>\n</html>\n",
	    view->out);
}

/* Tables with few columns are easier to read if they are not stretched. */
static bool
is_narrow(const char * id)
{
	static const char * const narrow[] = { "periods", "hours", "redis",
	    "spool", "dropped" };
	size_t i;

	for (i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++)
		if (strcmp(id, narrow[i]) == 0)
			return (true);
	return (false);
}

/*
 * A table in a box that scrolls sideways, also by keyboard.  An ${id}, which is
 * unique on the page, lets the caption name the box.
 */
void
page_frame_table(const struct page_view * view, const char * id,
    const char * caption, const char * headings)
{

	fprintf(view->out, "<div class=scroll tabindex=0 role=region "
	    "aria-labelledby=%s><table%s><caption id=%s>%s</caption><thead>"
	    "<tr>%s</tr></thead><tbody>\n", id, is_narrow(id) ?
	    " class=narrow" : "", id, caption, headings);
}

void
page_frame_end_table(const struct page_view * view)
{

	fputs("</tbody></table></div>\n", view->out);
}

void
page_frame_time(const struct page_view * view, int64_t instant)
{

	fputs("<td class=t>", view->out);
	report_write_time(view->out, instant);
}
