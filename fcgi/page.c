#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/html.h"
#include "fcgi/page.h"
#include "fcgi/page_style.h"
#include "fcgi/response.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/digest.h"
#include "lib/base/escape.h"
#include "lib/base/log.h"
#include "lib/report/exposition.h"
#include "lib/report/report.h"

/* Milliseconds that a pipeline of the page may take. */
#define REDIS_TIMEOUT 3000

/* A feature that was not seen for so many seconds is marked as stale. */
#define STALE_SECONDS (INT64_C(30) * 86400)

#define STYLE_HASH_MAX 64

enum page_format { PAGE_HTML, PAGE_CSV, PAGE_JSON };

/* A request for the page. */
struct view {
	struct arena * arena;
	struct report * report;
	struct report_scope scope;
	struct report_queued queued;
	enum page_format format;
	size_t length;			/* Periods of the span. */
	FILE * out;
	int64_t now;			/* Seconds since 1970. */
	const char * wrong;		/* An error of the request, or NULL. */
};

/* The query */

static void
take_name(struct view * view, struct text * name, const char * value,
    size_t length)
{
	char * copy = arena_copy(view->arena, value, length);
	long decoded;
	size_t i;

	/* Forms write a space as a plus. */
	for (i = 0; i < length; i++)
		if (copy[i] == '+')
			copy[i] = ' ';
	decoded = escape_percent_decode(copy, length);
	if (decoded < 0)
		view->wrong = "a % in the query is not followed by two "
		    "hexadecimal digits";
	else
		*name = (struct text){ copy, (size_t)decoded };
}

static bool
is_word(const char * text, size_t length, const char * word)
{

	return (length == strlen(word) && memcmp(text, word, length) == 0);
}

static void
take_choice(struct view * view, const char * name, size_t name_length,
    const char * value, size_t length)
{

	if (is_word(name, name_length, "by")) {
		view->scope.span.by_hour = is_word(value, length, "hour");
		if (!view->scope.span.by_hour && !is_word(value, length,
		    "day"))
			view->wrong = "by must be hour or day";
	} else if (is_word(name, name_length, "format")) {
		view->format = is_word(value, length, "csv") ? PAGE_CSV :
		    is_word(value, length, "json") ? PAGE_JSON : PAGE_HTML;
		if (view->format == PAGE_HTML && !is_word(value, length,
		    "html"))
			view->wrong = "format must be html, csv or json";
	} else if (is_word(name, name_length, "periods")) {
		char digits[8] = "";

		memcpy(digits, value, length < sizeof(digits) ? length : 0);
		view->length = (size_t)strtoul(digits, NULL, 10);
		if (view->length == 0 || view->length > REPORT_PERIODS_MAX)
			view->wrong = "periods must be a number of hours or "
			    "days";
	}
}

/* Read the query; names that are not known are ignored. */
static void
read_query(struct view * view, const char * query)
{
	const char * at = query == NULL ? "" : query;

	while (*at != '\0') {
		size_t whole = strcspn(at, "&");
		size_t name = strcspn(at, "=&");
		const char * value = at + name + (at[name] == '=');
		size_t length = whole - (size_t)(value - at);

		if (is_word(at, name, "env"))
			take_name(view, &view->scope.environment, value,
			    length);
		else if (is_word(at, name, "app"))
			take_name(view, &view->scope.application, value,
			    length);
		else if (is_word(at, name, "feature"))
			take_name(view, &view->scope.feature, value, length);
		else
			take_choice(view, at, name, value, length);
		at += whole + (at[whole] == '&');
	}
	if (view->scope.feature.bytes != NULL &&
	    view->scope.application.bytes == NULL)
		view->wrong = "feature needs app";
	if (view->scope.application.bytes != NULL &&
	    view->scope.environment.bytes == NULL)
		view->wrong = "app needs env";
}

static void
set_span(struct view * view)
{
	struct report_span * span = &view->scope.span;

	if (view->length == 0)
		view->length = span->by_hour ? 48 : 90;
	span->count = view->length;
	span->first = (span->by_hour ? date_hour(view->now) :
	    date_day(view->now)) - (int64_t)view->length + 1;
}

/* HTML */

static void
write_link(struct view * view, const struct text * environment,
    const struct text * application, const struct text * feature)
{

	fputs("<a href=\"?", view->out);
	html_parameter(view->out, "env", *environment);
	if (application != NULL) {
		fputs("&amp;", view->out);
		html_parameter(view->out, "app", *application);
	}
	if (feature != NULL) {
		fputs("&amp;", view->out);
		html_parameter(view->out, "feature", *feature);
	}
	fputs("\">", view->out);
	html_name(view->out, feature != NULL ? *feature : application != NULL ?
	    *application : *environment);
	fputs("</a>", view->out);
}

/* The query of the current view, with another span or format. */
static void
write_same(struct view * view, const char * more, const char * label,
    bool current)
{
	const struct report_scope * scope = &view->scope;

	fputs("<a href=\"?", view->out);
	if (scope->environment.bytes != NULL) {
		html_parameter(view->out, "env", scope->environment);
		fputs("&amp;", view->out);
	}
	if (scope->application.bytes != NULL) {
		html_parameter(view->out, "app", scope->application);
		fputs("&amp;", view->out);
	}
	if (scope->feature.bytes != NULL) {
		html_parameter(view->out, "feature", scope->feature);
		fputs("&amp;", view->out);
	}
	fprintf(view->out, "%s\"%s>%s</a> ", more,
	    current ? " aria-current=true" : "", label);
}

static void
write_spans(struct view * view)
{
	static const struct {
		const char * query;
		const char * label;
		bool by_hour;
		size_t count;
	} spans[] = {
		{ "by=hour&amp;periods=24", "24 hours", true, 24 },
		{ "by=hour&amp;periods=48", "48 hours", true, 48 },
		{ "by=day&amp;periods=7", "7 days", false, 7 },
		{ "by=day&amp;periods=30", "30 days", false, 30 },
		{ "by=day&amp;periods=90", "90 days", false, 90 },
	};
	const struct report_span * span = &view->scope.span;
	char more[80];
	size_t i;

	fputs("<p class=spans>Show ", view->out);
	for (i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
		write_same(view, spans[i].query, spans[i].label,
		    spans[i].by_hour == span->by_hour &&
		    spans[i].count == span->count);
	snprintf(more, sizeof(more), "by=%s&amp;periods=%zu&amp;format=csv",
	    span->by_hour ? "hour" : "day", span->count);
	fputs("\xc2\xb7 as ", view->out);
	write_same(view, more, "CSV", false);
	snprintf(more, sizeof(more), "by=%s&amp;periods=%zu&amp;format=json",
	    span->by_hour ? "hour" : "day", span->count);
	write_same(view, more, "JSON", false);
	fputs("</p>\n", view->out);
}

static void
write_queued(struct view * view)
{

	if (view->queued.since == 0)
		return;
	fputs("<p class=warning>Not complete: counts accepted since ",
	    view->out);
	report_write_time(view->out, view->queued.since / 1000);
	fputs(" wait in the spool (", view->out);
	html_number(view->out, view->queued.bytes);
	fputs(" bytes).</p>\n", view->out);
}

static void
begin_html(struct view * view)
{
	const struct report_scope * scope = &view->scope;
	const struct text * parts[] = { &scope->feature, &scope->application,
	    &scope->environment };
	size_t i;

	fputs("<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
	    "<meta name=viewport content=\"width=device-width\">\n"
	    "<meta name=color-scheme content=\"light dark\">\n"
	    "<link rel=icon href=\"data:,\">\n<title>", view->out);
	for (i = 0; i < 3; i++)
		if (parts[i]->bytes != NULL) {
			html_text(view->out, *parts[i]);
			fputs(" \xc2\xb7 ", view->out);
		}
	fprintf(view->out, "flagtally</title>\n<style>%s</style>\n</head>\n"
	    "<body>\n<header><nav aria-label=Breadcrumb>"
	    "<a href=\"?\">flagtally</a>", page_style);
	if (scope->environment.bytes != NULL) {
		fputs(" / ", view->out);
		write_link(view, &scope->environment, NULL, NULL);
	}
	if (scope->application.bytes != NULL) {
		fputs(" / ", view->out);
		write_link(view, &scope->environment, &scope->application,
		    NULL);
	}
	fputs("</nav></header>\n<main>\n<h1>", view->out);
	if (scope->feature.bytes != NULL)
		html_name(view->out, scope->feature);
	else if (scope->application.bytes != NULL)
		html_name(view->out, scope->application);
	else
		fputs("Applications", view->out);
	fputs("</h1>\n", view->out);
}

static void
end_html(struct view * view)
{

	fputs("</main>\n<footer><p>Times are in UTC. Evaluations are counted "
	    "by when the client made them.</p></footer>\n</body>\n</html>\n",
	    view->out);
}

/* A table in a box that scrolls sideways, also by keyboard. */
static void
begin_table(struct view * view, const char * caption, const char * headings)
{

	fprintf(view->out, "<div class=scroll tabindex=0 role=region "
	    "aria-label=\"%s\"><table><caption>%s</caption><thead><tr>%s</tr>"
	    "</thead><tbody>\n", caption, caption, headings);
}

static void
end_table(struct view * view)
{

	fputs("</tbody></table></div>\n", view->out);
}

static void
write_applications(struct view * view,
    const struct report_applications * found)
{
	size_t i;

	write_spans(view);
	write_queued(view);
	if (found->count == 0) {
		fputs("<p>No application has reported yet.</p>\n", view->out);
		return;
	}
	begin_table(view, "Applications", "<th scope=col>Environment"
	    "<th scope=col>Application<th scope=col class=n>Evaluations"
	    "<th scope=col class=n colspan=2>Yes<th scope=col>Over time"
	    "<th scope=col>Last seen");
	for (i = 0; i < found->count; i++) {
		const struct report_application * one = &found->list[i];

		fputs("<tr><td>", view->out);
		write_link(view, &one->environment, NULL, NULL);
		fputs("<th scope=row>", view->out);
		write_link(view, &one->environment, &one->name, NULL);
		fputs("<td class=n>", view->out);
		html_number(view->out, one->yes + one->no);
		html_share(view->out, one->yes, one->no);
		html_sparkline(view->out, one->evaluations, NULL,
		    view->scope.span.count);
		fputs("<td class=t>", view->out);
		report_write_time(view->out, one->seen);
		fputs("</tr>\n", view->out);
	}
	end_table(view);
}

static void
write_variants(struct view * view, const struct report_feature * feature)
{
	const struct report_counter * variant = feature->variants;
	int shown = 0;

	for (; variant != NULL && shown < 5; variant = variant->next, shown++) {
		fputs(shown > 0 ? ", " : "", view->out);
		html_name(view->out, variant->name);
		putc(' ', view->out);
		html_number(view->out, variant->total);
	}
	if (variant != NULL)
		fputs(", \xe2\x80\xa6", view->out);
}

static void
write_features(struct view * view, const struct report_features * found)
{
	size_t i;

	begin_table(view, "Features", "<th scope=col>Feature"
	    "<th scope=col class=n>Evaluations<th scope=col class=n colspan=2>"
	    "Yes<th scope=col>Over time<th scope=col>Variants"
	    "<th scope=col>Last seen");
	for (i = 0; i < found->count; i++) {
		const struct report_feature * one = found->list[i];

		fputs("<tr><th scope=row>", view->out);
		write_link(view, &view->scope.environment,
		    &view->scope.application, &one->name);
		fputs("<td class=n>", view->out);
		html_number(view->out, one->yes.total + one->no.total);
		html_share(view->out, one->yes.total, one->no.total);
		html_sparkline(view->out, one->yes.counts, one->no.counts,
		    view->scope.span.count);
		fputs("<td class=v>", view->out);
		write_variants(view, one);
		fputs("<td class=t>", view->out);
		report_write_time(view->out, one->seen);
		if (one->seen != 0 && one->seen < view->now - STALE_SECONDS)
			fputs(" <span class=stale>stale</span>", view->out);
		fputs("</tr>\n", view->out);
	}
	end_table(view);
}

static void
write_sdks(struct view * view, const struct report_sdk * sdk)
{

	if (sdk == NULL)
		return;
	fputs("<h2>Instances</h2>\n", view->out);
	begin_table(view, "Registered instances by SDK", "<th scope=col>SDK"
	    "<th scope=col class=n>Instances");
	for (; sdk != NULL; sdk = sdk->next) {
		fputs("<tr><th scope=row>", view->out);
		if (sdk->version.length == 0)
			fputs("<i>(unknown)</i>", view->out);
		else
			html_name(view->out, sdk->version);
		fputs("<td class=n>", view->out);
		html_number(view->out, sdk->instances);
		fputs("</tr>\n", view->out);
	}
	end_table(view);
}

static void
label_period(FILE * out, void * context, size_t column)
{
	const struct view * view = context;
	char period[DATE_TEXT_MAX];

	report_write_period(&view->scope.span, column, period);
	fputs(period, out);
}

static void
write_periods(struct view * view, const struct report_feature * feature)
{
	size_t i = view->scope.span.count;

	html_chart(view->out, feature->yes.counts, feature->no.counts, i,
	    label_period, view);
	begin_table(view, "Evaluations", "<th scope=col>Period"
	    "<th scope=col class=n>Yes<th scope=col class=n>No"
	    "<th scope=col class=n colspan=2>Share");
	while (i-- > 0) {
		uint64_t yes = feature->yes.counts == NULL ? 0 :
		    feature->yes.counts[i];
		uint64_t no = feature->no.counts == NULL ? 0 :
		    feature->no.counts[i];

		fputs("<tr><th scope=row>", view->out);
		label_period(view->out, view, i);
		fputs("<td class=n>", view->out);
		html_number(view->out, yes);
		fputs("<td class=n>", view->out);
		html_number(view->out, no);
		html_share(view->out, yes, no);
		fputs("</tr>\n", view->out);
	}
	end_table(view);
}

static void
write_feature(struct view * view, const struct report_feature * feature)
{
	const struct report_counter * variant;

	fputs("<p>Last seen ", view->out);
	report_write_time(view->out, feature->seen);
	fputs("</p>\n", view->out);
	if (feature->variants != NULL) {
		begin_table(view, "Variants", "<th scope=col>Variant"
		    "<th scope=col class=n>Count<th scope=col>Over time");
		for (variant = feature->variants; variant != NULL;
		    variant = variant->next) {
			fputs("<tr><th scope=row>", view->out);
			html_name(view->out, variant->name);
			fputs("<td class=n>", view->out);
			html_number(view->out, variant->total);
			html_sparkline(view->out, variant->counts, NULL,
			    view->scope.span.count);
			fputs("</tr>\n", view->out);
		}
		end_table(view);
	}
	write_periods(view, feature);
}

/* Views.  Each returns false if Redis could not be read. */

static bool
view_applications(struct view * view)
{
	struct report_applications found;

	if (report_applications(view->report, &view->scope.environment,
	    &view->scope.span, &found) != 0)
		return (false);
	if (view->format == PAGE_CSV)
		report_write_applications_csv(view->out, &found);
	else if (view->format == PAGE_JSON)
		report_write_applications_json(view->out, &view->scope,
		    &found);
	else {
		begin_html(view);
		write_applications(view, &found);
		end_html(view);
	}
	return (true);
}

static bool
view_features(struct view * view)
{
	const struct report_scope * scope = &view->scope;
	struct report_features found;
	struct report_sdk * sdks = NULL;

	if (report_features(view->report, &scope->environment,
	    &scope->application, &scope->feature, &scope->span, &found) != 0 ||
	    (scope->feature.bytes == NULL && report_sdks(view->report,
	    &scope->environment, &scope->application, &sdks) != 0))
		return (false);
	if (view->format == PAGE_CSV)
		report_write_features_csv(view->out, scope, &found);
	else if (view->format == PAGE_JSON)
		report_write_features_json(view->out, scope, &found, sdks);
	else {
		begin_html(view);
		write_spans(view);
		write_queued(view);
		if (found.count == 0)
			fputs("<p>Nothing has been counted.</p>\n",
			    view->out);
		else if (scope->feature.bytes == NULL)
			write_features(view, &found);
		else
			write_feature(view, found.list[0]);
		write_sdks(view, sdks);
		end_html(view);
	}
	return (true);
}

/* The answer */

/*
 * Nothing but our own style sheet is ever loaded or executed, whatever a name
 * contains (Content Security Policy Level 3).
 */
static void
send_view(struct cgi * cgi, const struct view * view, const char * content,
    size_t length)
{
	static const char * const types[] = {
		[PAGE_HTML] = "text/html; charset=utf-8",
		[PAGE_CSV] = "text/csv; charset=utf-8; header=present",
		[PAGE_JSON] = "application/json",
	};
	unsigned char digest[DIGEST_SIZE];
	char style[DIGEST_BASE64_MAX];
	char headers[512];

	digest_sha256(page_style, strlen(page_style), digest);
	digest_base64(style, digest, sizeof(digest));
	snprintf(headers, sizeof(headers), "Content-Security-Policy: "
	    "default-src 'none'; style-src 'sha256-%s'; img-src data:; "
	    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: same-origin\r\n", style);
	response_page(cgi, types[view->format], headers, content, length);
}

/* Answer that Redis could not be read, and log it once in a while. */
static void
send_failure(struct cgi * cgi, const char * why)
{

	log_warning_limited("the counts cannot be read: %s", why);
	response_send(cgi, RESPONSE_UNAVAILABLE, why);
}

static void
serve_view(struct page * page, struct cgi * cgi, struct view * view)
{
	char * content = NULL;
	size_t length = 0;
	bool complete;

	view->out = open_memstream(&content, &length);
	if (view->out == NULL)
		abort();
	view->report = report_create(page->prefix, redis_create(page->redis,
	    REDIS_TIMEOUT, "flagtally-page"), view->arena);
	complete = view->scope.application.bytes == NULL ?
	    view_applications(view) : view_features(view);
	fclose(view->out);
	if (complete)
		send_view(cgi, view, content, length);
	else
		send_failure(cgi, report_error(view->report));
	report_free(view->report);
	free(content);
}

/*
 * Return true if the client may be answered, and reads with GET or HEAD; answer
 * the request if it does not.
 */
static bool
is_read(struct cgi * cgi)
{
	const char * method = cgi_parameter(cgi, "REQUEST_METHOD");

	if (method != NULL && (strcmp(method, "GET") == 0 ||
	    strcmp(method, "HEAD") == 0))
		return (true);
	response_send(cgi, RESPONSE_READ_ONLY,
	    "this can only be read, with GET or HEAD");
	return (false);
}

/* Take a place among the readers of Redis, or answer that there is none. */
static bool
enter_page(struct page * page, struct cgi * cgi)
{

	if (atomic_fetch_add(&page->readers, 1) < PAGE_CONCURRENT_MAX)
		return (true);
	atomic_fetch_sub(&page->readers, 1);
	response_send(cgi, RESPONSE_UNAVAILABLE,
	    "other pages are being read; try again");
	return (false);
}

static void
leave_page(struct page * page)
{

	atomic_fetch_sub(&page->readers, 1);
}

bool
page_serve(struct page * page, struct cgi * cgi)
{
	struct view view = { .now = clock_now() };

	if (!backstage_admits(page->access, cgi))
		return (false);
	if (!is_read(cgi))
		return (true);
	view.arena = arena_create(0);
	view.scope.queued = &view.queued;
	read_query(&view, cgi_parameter(cgi, "QUERY_STRING"));
	set_span(&view);
	if (view.wrong != NULL)
		response_send(cgi, RESPONSE_INVALID, view.wrong);
	else if (enter_page(page, cgi)) {
		if (page->queued != NULL)
			page->queued(page->context, &view.queued);
		serve_view(page, cgi, &view);
		leave_page(page);
	}
	arena_free(view.arena);
	return (true);
}

static void
serve_usage(const struct page * page, struct cgi * cgi)
{
	struct exposition exposition = { .prefix = page->prefix,
	    .redis = page->redis, .timeout = REDIS_TIMEOUT,
	    .limit = page->limit_scrape };
	char * content = NULL;
	size_t length = 0;
	FILE * out = open_memstream(&content, &length);
	int status;

	if (out == NULL)
		abort();
	status = exposition_write(&exposition, out);
	fclose(out);
	if (status == 0)
		response_content(cgi, RESPONSE_OK,
		    "text/plain; version=0.0.4; charset=utf-8", content,
		    length);
	else
		send_failure(cgi, exposition.error);
	free(content);
}

bool
page_usage(struct page * page, enum backstage_access access,
    struct cgi * cgi)
{

	if (!backstage_admits(access, cgi))
		return (false);
	if (is_read(cgi) && enter_page(page, cgi)) {
		serve_usage(page, cgi);
		leave_page(page);
	}
	return (true);
}
