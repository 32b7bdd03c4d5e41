#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/request.h"
#include "fcgi/route.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/thread.h"
#include "lib/body/edge_data.h"

/*
 * The order of the checks is part of the contract: nothing is parsed for a
 * client without a token, and no body is read before its type is known.
 */

/* Bytes that an arena keeps from request to request. */
#define KEEP_BYTES ((size_t)128 * 1024)

/* libfcgi reads in pieces of 8 KiB at most. */
#define PIECE_SIZE 8192

/* Milliseconds that an Edge's data waits for Redis. */
#define EDGE_TIME_MAX 700

/* Bytes of an unwanted body that a CGI program reads: more than web servers
 * pass on with the shipped configurations. */
#define DRAIN_MAX ((size_t)80 * 1024 * 1024)

/* The schema, kind of token and response of a path. */
struct intake {
	const struct json_rule * schema;	/* NULL: an Edge's data. */
	const char * sdk_type;		/* Of an SDK; NULL: it is Edge. */
	enum token_kind kind;
	enum response_kind accepted;
	bool cors;
};

static const struct intake intakes[] = {
	[ROUTE_BULK] = { &schema_bulk, NULL, TOKEN_CLIENT,
	    RESPONSE_ACCEPTED, false },
	[ROUTE_EDGE] = { NULL, NULL, TOKEN_CLIENT, RESPONSE_ACCEPTED, false },
	[ROUTE_CLIENT_METRICS] = { &schema_report, "backend", TOKEN_CLIENT,
	    RESPONSE_TAKEN, false },
	[ROUTE_CLIENT_REGISTER] = { &schema_register, "backend",
	    TOKEN_CLIENT, RESPONSE_TAKEN, false },
	[ROUTE_FRONTEND_METRICS] = { &schema_report, "frontend",
	    TOKEN_FRONTEND, RESPONSE_TAKEN_OK, true },
	[ROUTE_FRONTEND_REGISTER] = { &schema_register, "frontend",
	    TOKEN_FRONTEND, RESPONSE_TAKEN_OK, true },
};

/* Return what a route takes, or NULL if it takes no reports. */
static const struct intake *
intake_of(enum route route)
{

	if ((size_t)route >= sizeof(intakes) / sizeof(intakes[0]) ||
	    intakes[route].accepted == RESPONSE_OK)
		return (NULL);
	return (&intakes[route]);
}

void
request_init(struct request * request)
{

	memset(request, 0, sizeof(*request));
	request->arena = arena_create(KEEP_BYTES);
	request->element = arena_create(KEEP_BYTES);
}

void
request_free(struct request * request)
{

	arena_free(request->arena);
	arena_free(request->element);
}

/* Headers and the body */

static bool
is_json_type(const char * type)
{
	size_t length, prefix = strlen("application/");

	if (type == NULL)
		return (false);
	type += strspn(type, " \t");
	length = strcspn(type, ";");
	while (length > 0 && strchr(" \t", type[length - 1]) != NULL)
		length--;
	if (length <= prefix || strncasecmp(type, "application/", prefix) != 0)
		return (false);
	if (length == prefix + 4 &&
	    strncasecmp(type + prefix, "json", 4) == 0)
		return (true);
	return (length > prefix + 5 &&
	    strncasecmp(type + length - 5, "+json", 5) == 0);
}

static bool
read_encoding(const char * text, enum body_encoding * encoding)
{
	static const struct {
		const char * name;
		enum body_encoding encoding;
	} known[] = {
		{ "", BODY_IDENTITY }, { "identity", BODY_IDENTITY },
		{ "gzip", BODY_GZIP }, { "x-gzip", BODY_GZIP },
		{ "deflate", BODY_DEFLATE },
	};
	size_t i;

	if (text == NULL)
		text = "";
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcasecmp(text, known[i].name) == 0) {
			*encoding = known[i].encoding;
			return (true);
		}
	return (false);
}

/*
 * Read CONTENT_LENGTH: -1 if there is none, and the largest number if it is
 * out of range.  Caddy itself sends -1 for a chunked body.  Return false if it
 * is not a number.
 */
static bool
read_content_length(const char * text, int64_t * length)
{
	char * end;

	*length = -1;
	if (text == NULL || *text == '\0' || strcmp(text, "-1") == 0)
		return (true);
	if (!isdigit((unsigned char)*text))
		return (false);
	*length = strtoll(text, &end, 10);
	return (*end == '\0');
}

/* Reject a body by its length, with the same fault as if it had been read. */
static void
reject_length(const struct service * service, struct cgi * cgi,
    enum fault_limit limit, uint64_t offset, const char * detail)
{
	struct fault fault = { .limit = limit };

	fault_set(&fault, limit == FAULT_LIMIT_NONE ? FAULT_INVALID :
	    FAULT_TOO_LARGE, offset, "", "%s", detail);
	stats_reject(service->stats, limit);
	response_fault(cgi, &fault);
}

/* Check the headers of a body.  Return false, and respond, if one is wrong. */
static bool
accept_body(const struct service * service, struct cgi * cgi,
    enum body_encoding * encoding, int64_t * length)
{
	uint64_t limit = service->body.limit_body;

	if (!is_json_type(cgi_parameter(cgi, "CONTENT_TYPE")))
		response_send(cgi, RESPONSE_WRONG_TYPE,
		    "the Content-Type must be application/json");
	else if (!read_encoding(cgi_parameter(cgi,
	    "HTTP_CONTENT_ENCODING"), encoding))
		response_send(cgi, RESPONSE_WRONG_TYPE, "the "
		    "Content-Encoding must be identity, gzip or deflate");
	else if (!read_content_length(cgi_parameter(cgi,
	    "CONTENT_LENGTH"), length))
		reject_length(service, cgi, FAULT_LIMIT_NONE, 0,
		    "the Content-Length is not a number");
	else if (limit > 0 && *length >= 0 && (uint64_t)*length > limit)
		reject_length(service, cgi, FAULT_LIMIT_BODY, limit,
		    "the body is larger than limit_body");
	else
		return (true);
	return (false);
}

/* Feed the body to its stream.  Return whether it arrived whole and valid. */
static bool
read_body(struct cgi * cgi, struct body * body, int64_t length,
    struct fault * fault)
{
	char piece[PIECE_SIZE];
	size_t count;

	for (;;) {
		switch (cgi_read(cgi, piece, sizeof(piece),
		    &count)) {
		case CGI_MORE:
			if (!body_feed(body, piece, count))
				return (false);
			break;
		case CGI_END:
			return (body_finish(body, length));
		case CGI_BROKEN:
			/* job_break_off may have done it, at the deadline. */
			if (clock_remaining(cgi_deadline(cgi)) == 0)
				fault->limit = FAULT_LIMIT_TIME;
			fault_set(fault, FAULT_INCOMPLETE, 0, "",
			    "the body was broken off");
			return (false);
		case CGI_LATE:
			fault->limit = FAULT_LIMIT_TIME;
			fault_set(fault, FAULT_INCOMPLETE, 0, "",
			    "the body took too long to arrive");
			return (false);
		}
	}
}

static void
answer_commit(struct request * request)
{
	struct cgi * cgi = &request->cgi;

	if (request->ticket.result == COMMIT_DURABLE)
		response_send(cgi, request->intake->accepted, NULL);
	else
		response_send(cgi, RESPONSE_UNAVAILABLE, request->ticket.why);
}

/* Respond to a body that is not counted. */
static void
answer_rejected(struct cgi * cgi, const struct fault * fault)
{

	if (fault->code == FAULT_INCOMPLETE)
		response_send(cgi, RESPONSE_UNAVAILABLE, fault->detail);
	else
		response_fault(cgi, fault);
	log_debug("rejected a body: %s at %s, byte %llu", fault->detail,
	    fault->pointer, (unsigned long long)fault->offset);
}

/*
 * Begin the digest by which a repeated body is recognized.  Return false if the
 * request has no connection id: a body that is posted twice by hand is to be
 * counted twice.
 */
static bool
begin_digest(const struct service * service, const struct cgi * cgi,
    const struct token_grant * grant, struct digest_mac * mac)
{
	const char * id = cgi_parameter(cgi, "HTTP_UNLEASH_CONNECTION_ID");

	if (id == NULL || *id == '\0')
		return (false);
	repeats_begin(service->repeats, mac);
	digest_mac_feed(mac, grant->digest, sizeof(grant->digest));
	/* With its NUL, so that it does not run into the body. */
	digest_mac_feed(mac, id, strlen(id) + 1);
	return (true);
}

/* Ignore headers of an SDK that are longer. */
#define SENDER_MAX 256

/* Let a slot that the body leaves empty have the value of a header. */
static void
set_sender(struct element_settings * element, enum schema_slot slot,
    const struct cgi * cgi, const char * header)
{
	const char * text = cgi_parameter(cgi, header);
	size_t i;

	if (text == NULL || *text == '\0')
		return;
	for (i = 0; text[i] >= ' ' && text[i] <= '~' && i < SENDER_MAX; i++)
		continue;
	if (text[i] == '\0')
		element->sender[slot] = text_of(text);
}

/* Validate the body as an SDK's: it counts for its token's environment. */
static void
set_sdk(struct validate_settings * validate, const struct intake * intake,
    const struct cgi * cgi)
{
	struct element_settings * element = &validate->element;

	validate->invalid = VALIDATE_LENIENT;
	element->any_environment = false;
	element->skip_zeros = true;
	element->sender[SLOT_SDK_TYPE] = text_of(intake->sdk_type);
	set_sender(element, SLOT_SDK_VERSION, cgi, "HTTP_UNLEASH_SDK");
	set_sender(element, SLOT_SDK_FLAVOR, cgi, "HTTP_UNLEASH_SDK_FLAVOR");
	set_sender(element, SLOT_SDK_FLAVOR_VERSION, cgi,
	    "HTTP_UNLEASH_SDK_FLAVOR_VERSION");
	set_sender(element, SLOT_CONNECTION_ID, cgi,
	    "HTTP_UNLEASH_CONNECTION_ID");
}

static void
set_body(struct body_settings * settings, const struct service * service,
    const struct request * request, const struct token_grant * grant)
{
	struct element_settings * element = &settings->validate.element;

	settings->validate.schema = request->intake->schema;
	element->any_environment = grant->any_environment;
	element->environment = text_of(grant->any_environment ?
	    service->default_environment : grant->environment);
	if (request->intake->sdk_type != NULL)
		set_sdk(&settings->validate, request->intake, &request->cgi);
}

/* Count a body.  Return true if the committer has its tally now. */
static bool
serve_body(const struct service * service, struct request * request,
    const struct token_grant * grant, int64_t spent)
{
	struct cgi * cgi = &request->cgi;
	struct body_settings settings = service->body;
	struct fault fault = { .code = FAULT_NONE };
	struct digest_mac mac;
	enum body_encoding encoding;
	struct tally * tally;
	struct body * body;
	int64_t began = clock_microseconds();
	int64_t length;
	bool arrived;

	if (!accept_body(service, cgi, &encoding, &length))
		return (false);
	cgi->unread = length;
	set_body(&settings, service, request, grant);
	request->ticket.digest = NULL;
	if (begin_digest(service, cgi, grant, &mac)) {
		settings.mac = &mac;
		request->ticket.digest = request->digest;
	}
	tally = tally_create(request->arena);
	tally->when = clock_now_ms();
	body = body_create(request->arena, request->element, &settings,
	    encoding, tally, &fault);
	arrived = read_body(cgi, body, length, &fault);
	stats_observe(service->stats, STATS_PARSE_TIME,
	    (uint64_t)(clock_microseconds() - began));
	if (!arrived) {
		stats_reject(service->stats, fault.limit);
		answer_rejected(cgi, &fault);
		return (false);
	}
	if (settings.mac != NULL)
		digest_mac_end(&mac, request->digest);
	/* Its sender would get no response, and will send it again. */
	if (cgi_is_abandoned(cgi)) {
		stats_add(service->stats, STATS_ABANDONED, 1);
		response_send(cgi, RESPONSE_UNAVAILABLE,
		    "the connection was closed");
		return (false);
	}
	if (tally_empty(tally)) {
		stats_dropped(service->stats, tally->dropped);
		response_send(cgi, request->intake->accepted, NULL);
		return (false);
	}
	arena_reset(request->element);
	request->ticket.tally = tally;
	commit_submit(service->committer, &request->ticket, spent);
	return (true);
}

/*
 * Read a whole body into the request's arena.  If it is larger than ${most}, or
 * does not arrive, respond to the request and return false.
 */
static bool
read_whole(const struct service * service, struct request * request,
    size_t most, struct text * whole)
{
	struct cgi * cgi = &request->cgi;
	struct fault fault = { .code = FAULT_NONE };
	char * bytes = arena_take(request->arena, most + 1);
	enum cgi_status status = CGI_MORE;
	size_t count;

	whole->bytes = bytes;
	whole->length = 0;
	while (status == CGI_MORE && whole->length <= most) {
		status = cgi_read(cgi, bytes + whole->length,
		    most + 1 - whole->length, &count);
		whole->length += count;
	}
	if (status == CGI_END && whole->length <= most)
		return (true);
	if (whole->length > most) {
		reject_length(service, cgi, FAULT_LIMIT_BODY, most,
		    "the body is larger than an Edge's data can be");
		return (false);
	}
	fault_set(&fault, FAULT_INCOMPLETE, 0, "", "%s", status == CGI_LATE ?
	    "the body took too long to arrive" : "the body was broken off");
	answer_rejected(cgi, &fault);
	return (false);
}

/* Store an Edge's instance data (edges.h). */
static void
serve_edge(const struct service * service, struct request * request,
    const struct token_grant * grant)
{
	struct cgi * cgi = &request->cgi;
	struct fault fault = { .code = FAULT_NONE };
	enum body_encoding encoding;
	struct edge_data data;
	struct text whole;
	int64_t length;

	if (!accept_body(service, cgi, &encoding, &length))
		return;
	cgi->unread = length;
	if (encoding != BODY_IDENTITY) {
		response_send(cgi, RESPONSE_WRONG_TYPE,
		    "the Content-Encoding must be identity");
		return;
	}
	if (!read_whole(service, request, EDGE_DATA_SIZE_MAX, &whole))
		return;
	if (length >= 0 && whole.length != (size_t)length)
		reject_length(service, cgi, FAULT_LIMIT_NONE, whole.length,
		    "the body is shorter or longer than its Content-Length");
	else if (!edge_data_read(request->arena, &whole,
	    service->body.validate.limit_depth, &data, &fault))
		answer_rejected(cgi, &fault);
	else {
		/* It waits for Redis. */
		thread_will_block();
		response_send(cgi, edges_put(service->edges,
		    grant->any_environment ? "*" : grant->environment,
		    &data.identifier, &data.members,
		    clock_monotonic() + EDGE_TIME_MAX) ?
		    RESPONSE_ACCEPTED : RESPONSE_UNAVAILABLE,
		    "Redis cannot take the data now");
	}
}

/*
 * Return whether a CGI program can read the rest of a body.  If the request has
 * neither a length nor chunks there is no body, and standard input may never
 * end.
 */
static bool
has_rest(struct cgi * cgi)
{

	return (cgi->unread >= 0 ||
	    (read_content_length(cgi_parameter(cgi, "CONTENT_LENGTH"),
	    &cgi->unread) && cgi->unread >= 0) ||
	    cgi_parameter(cgi, "HTTP_TRANSFER_ENCODING") != NULL);
}

/*
 * Apache's mod_cgid discards the response of a CGI program that ends before it
 * has read the whole body.  Over FastCGI the response is sent at once instead,
 * and the connection lingers without a thread (job_end, conn_linger).
 */
static void
drain_process(struct cgi * cgi)
{
	char piece[PIECE_SIZE];
	size_t drained = 0;
	size_t count;

	if (cgi->fcgi != NULL || cgi->ended || cgi->failed || !has_rest(cgi))
		return;
	cgi_end_response(cgi);
	while (drained < DRAIN_MAX &&
	    cgi_read(cgi, piece, sizeof(piece), &count) == CGI_MORE)
		drained += count;
}

static void
serve_other(const struct service * service, struct cgi * cgi,
    enum route route)
{

	bool served = false;

	/* They read the spool or Redis. */
	if (route != ROUTE_NONE)
		thread_will_block();
	if (route == ROUTE_PAGE)
		served = page_serve(service->page, cgi);
	else if (route == ROUTE_USAGE)
		served = page_usage(service->page, service->backstage.access,
		    cgi);
	else if (route != ROUTE_NONE)
		served = backstage_serve(&service->backstage, cgi, route);
	if (!served)
		response_send(cgi, RESPONSE_NOT_FOUND,
		    "metrics go to /api/client/metrics/bulk");
}

void
request_refuse(const struct service * service, struct cgi * cgi,
    const char * detail)
{

	response_send(cgi, RESPONSE_TOO_LARGE, detail);
	stats_reject(service->stats, FAULT_LIMIT_CGI_PARAMS);
	stats_answered(service->stats, cgi->status);
	cgi->failed = true;
}

/* Return how much of the time for a response the token has taken. */
static int64_t
time_spent(int64_t since)
{
	int64_t spent = clock_monotonic() - since;

	/* It takes longer than that only if we are short of time ourselves. */
	return (spent < TOKEN_SET_TIME_MAX ? spent : TOKEN_SET_TIME_MAX);
}

/* Clean up after a response, which is counted in stats if ${counts}. */
static void
finish_request(const struct service * service, struct request * request,
    bool counts)
{
	struct cgi * cgi = &request->cgi;

	drain_process(cgi);
	if (counts)
		stats_answered(service->stats, cgi->status);
	stats_add(service->stats, STATS_BODY_BYTES,
	    (uint64_t)cgi->received);
	arena_reset(request->arena);
	arena_reset(request->element);
}

bool
request_serve(const struct service * service, struct request * request)
{
	struct cgi * cgi = &request->cgi;
	const char * method = cgi_parameter(cgi, "REQUEST_METHOD");
	enum route route = route_of(cgi, service->path_prefix);
	const struct intake * intake = intake_of(route);
	struct token_grant grant;
	int64_t asked = clock_monotonic();
	bool posts = method != NULL && strcmp(method, "POST") == 0;

	request->intake = intake;
	cgi->cors = intake != NULL && intake->cors ? &service->cors : NULL;
	if (intake == NULL || !posts)
		auth_wipe(&service->auth, cgi);
	if (intake == NULL)
		serve_other(service, cgi, route);
	else if (intake->cors && method != NULL &&
	    strcmp(method, "OPTIONS") == 0)
		response_send(cgi, RESPONSE_PREFLIGHT, NULL);
	else if (!posts)
		response_send(cgi, RESPONSE_WRONG_METHOD,
		    "metrics are sent with POST");
	else if (auth_check(&service->auth, cgi, intake->kind, &grant)) {
		if (route == ROUTE_EDGE)
			serve_edge(service, request, &grant);
		else if (serve_body(service, request, &grant,
		    time_spent(asked)))
			return (false);
	}
	finish_request(service, request, intake != NULL || cgi->status == 404);
	return (true);
}

void
request_conclude(const struct service * service, struct request * request)
{

	answer_commit(request);
	finish_request(service, request, true);
}
