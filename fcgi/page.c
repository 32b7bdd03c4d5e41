#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/page.h"
#include "fcgi/page_impact.h"
#include "fcgi/page_style.h"
#include "fcgi/page_view.h"
#include "fcgi/response.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"
#include "lib/report/exposition.h"
#include "lib/report/impact_write.h"

/* Milliseconds that a pipeline of the page, and all of it, may take. */
#define REDIS_TIMEOUT 3000
#define PAGE_TIMEOUT 10000

/* A request for the page. */
struct page_request {
	struct page_query query;
	struct page_view view;
	struct report_queued queued;
	const struct health_source * source;
	struct report * report;
	FILE * out;
};

/* Views.  Each returns false if Redis could not be read. */

static bool
serve_applications(struct page_request * request)
{
	const struct page_query * query = &request->query;
	struct report_applications found;

	if (report_applications(request->report, &query->scope.environment,
	    &query->scope.span, &found) != 0)
		return (false);
	if (query->format == PAGE_CSV)
		report_write_applications_csv(request->out, &found);
	else if (query->format == PAGE_JSON)
		report_write_applications_json(request->out, &query->scope,
		    &found);
	else
		page_view_applications(&request->view, &found);
	return (true);
}

static bool
serve_features(struct page_request * request)
{
	const struct page_query * query = &request->query;
	const struct report_scope * scope = &query->scope;
	const struct report_span hours = { true, date_hour(request->view.now) -
	    PAGE_VIEW_HOURS + 1, PAGE_VIEW_HOURS };
	const struct report_span * recent = scope->span.by_hour ||
	    query->format != PAGE_HTML ? NULL : &hours;
	struct report_features found;
	struct report_sdks sdks = { NULL, 0 };

	if (report_features(request->report, &scope->environment,
	    &scope->application, &scope->feature, &scope->span, recent,
	    &found, scope->feature.bytes == NULL ? &sdks : NULL) != 0)
		return (false);
	if (query->top > 0 && found.count > query->top)
		found.count = query->top;
	if (query->format == PAGE_CSV)
		report_write_features_csv(request->out, scope, &found);
	else if (query->format == PAGE_JSON)
		report_write_features_json(request->out, scope, &found, &sdks);
	else
		page_view_features(&request->view, recent, &found, &sdks);
	return (true);
}

static bool
serve_counts(struct page_request * request)
{

	return (request->query.scope.application.bytes == NULL ?
	    serve_applications(request) : serve_features(request));
}

static bool
serve_stale(struct page_request * request)
{
	const struct page_query * query = &request->query;
	struct report_stales found;

	if (report_stale(request->report, &query->scope.environment,
	    &query->scope.application, request->view.now -
	    (int64_t)query->days * 86400, &found) != 0)
		return (false);
	if (query->format == PAGE_CSV)
		report_write_stales_csv(request->out, &found);
	else if (query->format == PAGE_JSON)
		report_write_stales_json(request->out, &query->scope,
		    &found);
	else
		page_view_stales(&request->view, &found);
	return (true);
}

static bool
serve_sdks(struct page_request * request)
{
	const struct page_query * query = &request->query;
	struct report_sdks found;

	if (report_sdks(request->report, &query->scope.environment,
	    &query->scope.application, &query->below, &found) != 0)
		return (false);
	if (query->format == PAGE_CSV)
		report_write_sdks_csv(request->out, &found);
	else if (query->format == PAGE_JSON)
		report_write_sdks_json(request->out, &query->scope, &found);
	else
		page_view_sdks(&request->view, &found);
	return (true);
}

static bool
serve_impact(struct page_request * request)
{
	const struct page_query * query = &request->query;
	struct report_impact found;

	if (report_impact(request->report, &query->scope.environment,
	    &query->metric, &found) != 0)
		return (false);
	if (query->format == PAGE_CSV)
		impact_write_csv(request->out, &found);
	else if (query->format == PAGE_JSON)
		impact_write_json(request->out, &query->scope, &found);
	else
		page_impact_view(&request->view, &found);
	return (true);
}

static bool
serve_edges(struct page_request * request)
{
	struct report_edges found = { NULL, 0 };

	if (report_edges(request->report, &found) != 0)
		return (false);
	if (request->query.format == PAGE_CSV)
		report_write_edges_csv(request->out, &found);
	else if (request->query.format == PAGE_JSON)
		report_write_edges_json(request->out, &found);
	else
		page_view_edges(&request->view, &found);
	return (true);
}

/* This view says that Redis cannot be read: that is no failure. */
static bool
serve_health(struct page_request * request)
{
	struct health health;

	health_read(request->source, request->report, &health);
	if (request->query.format == PAGE_CSV)
		health_write_csv(request->out, &health);
	else if (request->query.format == PAGE_JSON)
		health_write_json(request->out, &health);
	else
		page_view_health(&request->view, &health);
	return (true);
}

/* The response */

/*
 * Nothing but our own style sheet is ever loaded or executed, whatever a name
 * contains (Content Security Policy Level 3).
 */
static char *
write_headers(const struct page_request * request)
{
	unsigned char digest[DIGEST_SIZE];
	char style[DIGEST_BASE64_MAX];
	char queued[100] = "";
	char headers[600];

	digest_sha256(page_style, strlen(page_style), digest);
	digest_base64(style, digest, sizeof(digest));
	/* CSV has no place for it. */
	if (request->queued.known)
		snprintf(queued, sizeof(queued), "Flagtally-Queued: "
		    "bytes=%" PRIu64 ", since=%" PRId64 "\r\n",
		    request->queued.bytes, request->queued.since / 1000);
	snprintf(headers, sizeof(headers), "Content-Security-Policy: "
	    "default-src 'none'; style-src 'sha256-%s'; img-src data:; "
	    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: same-origin\r\n%s", style, queued);
	return (alloc_string(headers));
}

/* Respond that Redis could not be read, and log it once in a while. */
static void
send_failure(struct cgi * cgi, const char * why)
{

	log_warning_limited("the counts cannot be read: %s", why);
	response_send(cgi, RESPONSE_UNAVAILABLE, why);
}

/* Note in the log which parts a view lacks.  Return whether it can be sent: CSV
 * has no place to say it. */
static bool
can_be_sent(struct cgi * cgi, const struct page_request * request)
{
	const struct reader_missing * missing = report_missing(request->report);
	char why[700];

	if (missing->count == 0)
		return (true);
	snprintf(why, sizeof(why), "%.*s and %zu others are missing: %s",
	    (int)(missing->names[0].length < 200 ? missing->names[0].length :
	    200), missing->names[0].bytes, missing->count - 1, missing->why);
	if (request->query.format == PAGE_CSV) {
		send_failure(cgi, why);
		return (false);
	}
	log_warning_limited("a page is not complete: %s", why);
	return (true);
}

/* Read what a view shows; NULL: it failed, and the response is sent. */
static struct page_response *
read_view(const struct page * page, struct cgi * cgi,
    struct page_request * request, struct arena * arena)
{
	static bool (* const views[])(struct page_request * request) = {
		[PAGE_COUNTS] = serve_counts, [PAGE_STALE] = serve_stale,
		[PAGE_SDKS] = serve_sdks, [PAGE_IMPACT] = serve_impact,
		[PAGE_EDGES] = serve_edges, [PAGE_HEALTH] = serve_health,
	};
	static const char * const types[] = {
		[PAGE_HTML] = "text/html; charset=utf-8",
		[PAGE_CSV] = "text/csv; charset=utf-8; header=present",
		[PAGE_JSON] = "application/json",
	};
	struct page_response * response = NULL;
	char * content = NULL;
	size_t length = 0;
	bool complete;

	request->out = open_memstream(&content, &length);
	if (request->out == NULL)
		abort();
	request->view.out = request->out;
	request->report = report_create(page->prefix, cluster_create(
	    page->redis, REDIS_TIMEOUT, "flagtally-page"), arena);
	report_limit_time(request->report, PAGE_TIMEOUT);
	request->query.scope.missing = report_missing(request->report);
	health_queued(request->source, &request->queued);
	complete = views[request->query.show](request);
	fclose(request->out);
	if (!complete)
		send_failure(cgi, report_error(request->report));
	else if (can_be_sent(cgi, request))
		response = page_cache_response(types[request->query.format],
		    write_headers(request), content, length);
	if (response == NULL)
		free(content);
	report_free(request->report);
	return (response);
}

/*
 * Return true if the client may see it, and reads with GET or HEAD; respond to
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

/* Take a place among the readers of Redis, or respond that there is none. */
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

/* Return a cached response, unless the client requests a new one. */
static struct page_response *
find_kept(struct page * page, const struct cgi * cgi, const char * query)
{
	const char * control = cgi_parameter(cgi, "HTTP_CACHE_CONTROL");

	/* RFC 9111, section 5.2.1.4: as when a page is loaded anew. */
	if (control != NULL && strstr(control, "no-cache") != NULL)
		return (NULL);
	return (page_cache_find(&page->cache, query));
}

static void
serve_view(struct page * page, struct cgi * cgi,
    struct page_request * request, struct arena * arena)
{
	const char * query = cgi_parameter(cgi, "QUERY_STRING");
	int64_t began = clock_monotonic();
	struct page_response * response;

	if (query == NULL)
		query = "";
	response = find_kept(page, cgi, query);
	if (response == NULL && enter_page(page, cgi)) {
		response = read_view(page, cgi, request, arena);
		leave_page(page);
		if (response != NULL && request->query.show != PAGE_HEALTH)
			page_cache_keep(&page->cache, query, response,
			    clock_monotonic() - began);
	}
	if (response == NULL)
		return;
	response_page(cgi, response->type, response->headers, response->content,
	    response->length);
	page_cache_release(response);
}

bool
page_serve(struct page * page, struct cgi * cgi)
{
	struct page_request request = { .source = &page->source };
	struct arena * arena;

	if (!backstage_admits(page->access, cgi))
		return (false);
	if (!is_read(cgi))
		return (true);
	arena = arena_create(0);
	request.view = (struct page_view){ .query = &request.query,
	    .queued = &request.queued, .now = clock_now() };
	page_query_read(&request.query, arena,
	    cgi_parameter(cgi, "QUERY_STRING"), request.view.now);
	request.query.scope.queued = &request.queued;
	if (request.query.wrong != NULL)
		response_send(cgi, RESPONSE_INVALID, request.query.wrong);
	else
		serve_view(page, cgi, &request, arena);
	arena_free(arena);
	return (true);
}

static struct page_response *
read_usage(const struct page * page, struct cgi * cgi)
{
	struct exposition exposition = { .prefix = page->prefix,
	    .redis = page->redis, .timeout = REDIS_TIMEOUT,
	    .time_max = PAGE_TIMEOUT, .limit = page->limit_scrape };
	char * content = NULL;
	size_t length = 0;
	FILE * out = open_memstream(&content, &length);
	int status;

	if (out == NULL)
		abort();
	status = exposition_write(&exposition, out);
	fclose(out);
	if (status == 0)
		return (page_cache_response("text/plain; version=0.0.4; "
		    "charset=utf-8", NULL, content, length));
	send_failure(cgi, exposition.error);
	free(content);
	return (NULL);
}

static void
serve_usage(struct page * page, struct cgi * cgi)
{
	/* No query has a line break. */
	static const char key[] = "\nusage";
	int64_t began = clock_monotonic();
	struct page_response * response = find_kept(page, cgi, key);

	if (response == NULL && enter_page(page, cgi)) {
		response = read_usage(page, cgi);
		leave_page(page);
		if (response != NULL)
			page_cache_keep(&page->cache, key, response,
			    clock_monotonic() - began);
	}
	if (response == NULL)
		return;
	response_content(cgi, RESPONSE_OK, response->type, response->content,
	    response->length);
	page_cache_release(response);
}

bool
page_usage(struct page * page, enum config_access access,
    struct cgi * cgi)
{

	if (!backstage_admits(access, cgi))
		return (false);
	if (is_read(cgi))
		serve_usage(page, cgi);
	return (true);
}
