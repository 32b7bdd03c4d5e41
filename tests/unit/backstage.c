#include "fcgi/response.h"
#include "fcgi/backstage.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define BACK "/internal-backstage"
#define BULK "/api/client/metrics/bulk"

static void
set(const char * name, const char * value)
{

	if (value == NULL)
		unsetenv(name);
	else
		setenv(name, value, 1);
}

/* Routes */

static void
test_routes(void)
{
	static const struct {
		const char * uri;	/* REQUEST_URI */
		const char * script;	/* SCRIPT_NAME */
		const char * info;	/* PATH_INFO */
		const char * prefix;
		enum route route;
	} rows[] = {
		{ BACK "/health", NULL, NULL, "", ROUTE_HEALTH },
		{ BACK "/ready", NULL, NULL, "", ROUTE_READY },
		{ BACK "/metrics", NULL, NULL, "", ROUTE_METRICS },
		{ BACK "/metrics/", NULL, NULL, "", ROUTE_METRICS },
		{ "/" BACK "//metrics//", NULL, NULL, "", ROUTE_METRICS },
		{ BACK "/metrics?a=b", NULL, NULL, "", ROUTE_METRICS },
		{ BACK "/ready?a=/health", NULL, NULL, "", ROUTE_READY },
		{ "/%69nternal-backstage/r%65ady", NULL, NULL, "",
		  ROUTE_READY },
		{ "http://h:1" BACK "/health", NULL, NULL, "", ROUTE_HEALTH },
		{ NULL, BACK "/health", NULL, "", ROUTE_HEALTH },
		{ NULL, BACK, "/ready", "", ROUTE_READY },
		{ NULL, "/cgi-bin/f.cgi", BACK "/ready", "", ROUTE_READY },
		{ "/x", NULL, BACK "/metrics/", "", ROUTE_METRICS },
		{ "/flags" BACK "/ready", NULL, NULL, "/flags", ROUTE_READY },
		{ "/flags" BACK "/ready", NULL, NULL, "/flags/",
		  ROUTE_READY },
		{ "/a/b" BACK "/ready", NULL, NULL, "//a//b//", ROUTE_READY },
		{ BACK "/ready", NULL, NULL, "/", ROUTE_READY },
		{ NULL, "/flags", BACK "/health", "/flags", ROUTE_HEALTH },
		{ NULL, NULL, BACK "/health", "/flags", ROUTE_HEALTH },
		/* the first source that leads anywhere decides */
		{ BACK "/ready", NULL, BULK, "", ROUTE_READY },
		{ BULK, NULL, BACK "/ready", "", ROUTE_BULK },
		/* others */
		{ BACK, NULL, NULL, "", ROUTE_NONE },
		{ BACK "/", NULL, NULL, "", ROUTE_NONE },
		{ BACK "/healthy", NULL, NULL, "", ROUTE_NONE },
		{ BACK "/heal", NULL, NULL, "", ROUTE_NONE },
		{ BACK "/health/ready", NULL, NULL, "", ROUTE_NONE },
		{ BACK "/Health", NULL, NULL, "", ROUTE_NONE },
		{ BACK "/prometheus", NULL, NULL, "", ROUTE_NONE },
		{ "/health", NULL, NULL, "", ROUTE_NONE },
		{ "/x" BACK "/health", NULL, NULL, "", ROUTE_NONE },
		{ "/x?" BACK "/health", NULL, NULL, "", ROUTE_NONE },
		{ "/api" BACK "/health", NULL, NULL, "", ROUTE_NONE },
		{ BACK "/health%00", NULL, NULL, "", ROUTE_NONE },
		{ BACK "%2fhealth", NULL, NULL, "/x", ROUTE_NONE },
		{ BACK "/health", NULL, NULL, "/flags", ROUTE_NONE },
		{ "/flags", NULL, NULL, "/flags", ROUTE_NONE },
		{ "/flagsinternal-backstage/health", NULL, NULL, "/flags",
		  ROUTE_NONE },
	};
	struct cgi exchange = { .fcgi = NULL };
	size_t i;

	for (i = 0; i < COUNT_OF(rows); i++) {
		set("REQUEST_URI", rows[i].uri);
		set("SCRIPT_NAME", rows[i].script);
		set("PATH_INFO", rows[i].info);
		is_integer(route_of(&exchange, rows[i].prefix), rows[i].route,
		    "URI %s, script %s, info %s, prefix \"%s\"",
		    rows[i].uri == NULL ? "unset" : rows[i].uri,
		    rows[i].script == NULL ? "unset" : rows[i].script,
		    rows[i].info == NULL ? "unset" : rows[i].info,
		    rows[i].prefix);
	}
}

/* Answers */

/* What has been written to standard output. */
struct response {
	char text[16384];
	size_t length;
	const char * body;		/* After the head's empty line. */
};

static int kept_output;

static void
catch_output(void)
{
	char path[PATH_MAX];
	int descriptor = open(temporary_path(path, "output"),
	    O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	fflush(stdout);
	kept_output = dup(STDOUT_FILENO);
	if (descriptor == -1 || kept_output == -1 ||
	    dup2(descriptor, STDOUT_FILENO) == -1)
		abort();
	close(descriptor);
}

static void
caught_output(struct response * answer)
{
	ssize_t length = pread(STDOUT_FILENO, answer->text,
	    sizeof(answer->text) - 1, 0);

	dup2(kept_output, STDOUT_FILENO);
	close(kept_output);
	if (length < 0)
		abort();
	answer->length = (size_t)length;
	answer->text[length] = '\0';
	answer->body = strstr(answer->text, "\r\n\r\n");
	answer->body = answer->body == NULL ? "no head" : answer->body + 4;
}

static bool
has_header(const struct response * answer, const char * line)
{
	char wanted[200];
	const char * found;

	snprintf(wanted, sizeof(wanted), "\r\n%s\r\n", line);
	found = strstr(answer->text, wanted);
	return (found != NULL && found < answer->body - 2);
}

/* The answers of answer.c itself. */
static void
test_answers(void)
{
	static const struct {
		enum response_kind kind;
		int status;
		const char * start;
		const char * header;
	} rows[] = {
		{ RESPONSE_ACCEPTED, 202, "Status: 202 Accepted\r\n",
		  "Content-Type: application/json" },
		{ RESPONSE_INVALID, 400, "Status: 400 Bad Request\r\n",
		  "Content-Type: application/problem+json" },
		{ RESPONSE_NO_ACCESS, 403, "Status: 403 Forbidden\r\n",
		  "Cache-Control: no-store" },
		{ RESPONSE_NOT_FOUND, 404, "Status: 404 Not Found\r\n",
		  "Content-Type: application/problem+json" },
		{ RESPONSE_WRONG_METHOD, 405,
		  "Status: 405 Method Not Allowed\r\n", "Allow: POST" },
		{ RESPONSE_READ_ONLY, 405,
		  "Status: 405 Method Not Allowed\r\n", "Allow: GET, HEAD" },
		{ RESPONSE_TOO_LARGE, 413, "Status: 413 Content Too Large\r\n",
		  "Content-Type: application/problem+json" },
		{ RESPONSE_WRONG_TYPE, 415,
		  "Status: 415 Unsupported Media Type\r\n",
		  "Content-Type: application/problem+json" },
		{ RESPONSE_UNAVAILABLE, 503,
		  "Status: 503 Service Unavailable\r\n", "Retry-After: 10" },
	};
	struct cgi exchange = { .fcgi = NULL };
	struct response answer;
	char header[64];
	size_t i;

	for (i = 0; i < 2 * COUNT_OF(rows); i++) {
		const char * method = i % 2 == 0 ? "POST" : "HEAD";

		set("REQUEST_METHOD", method);
		catch_output();
		response_send(&exchange, rows[i / 2].kind, "detail");
		caught_output(&answer);
		is_integer(exchange.status, rows[i / 2].status, "the status is told");
		ok(strncmp(answer.text, rows[i / 2].start,
		    strlen(rows[i / 2].start)) == 0, "%s: %s", method,
		    rows[i / 2].start);
		ok(has_header(&answer, rows[i / 2].header), "%s, %d: %s",
		    method, exchange.status, rows[i / 2].header);
		if (i % 2 == 0) {
			ok(answer.body[0] == '{', "there is a body");
			snprintf(header, sizeof(header),
			    "Content-Length: %zu", strlen(answer.body));
			ok(has_header(&answer, header), "its length is told");
		} else {
			is_text(answer.body, "", "HEAD: there is no body");
			ok(strstr(answer.text, "\r\nContent-Length: 0\r\n") ==
			    NULL && strstr(answer.text, "Content-Length: ") !=
			    NULL, "HEAD: its length is told all the same");
		}
	}
}

static void
test_fault(void)
{
	struct cgi exchange = { .fcgi = NULL };
	struct fault fault = { .code = FAULT_NONE };
	struct response answer;

	set("REQUEST_METHOD", "POST");
	fault_set(&fault, FAULT_INVALID, 7, "/metrics", "wrong");
	catch_output();
	response_fault(&exchange, &fault);
	caught_output(&answer);
	is_integer(exchange.status, 400, "the status of a fault is told");
	ok(strstr(answer.body, "\"pointer\":\"/metrics\",\"offset\":7,") !=
	    NULL, "with its place, got %s", answer.body);
	fault.code = FAULT_TOO_LARGE;
	catch_output();
	response_fault(&exchange, &fault);
	caught_output(&answer);
	is_integer(exchange.status, 413, "that of a body that is too large too");
}

/* Backstage */

static void
look(void * context, bool tries, struct backstage_state * state)
{

	(void)tries;
	*state = *(const struct backstage_state *)context;
}

/* Ask as from the same host; return whether there was an answer. */
static bool
ask(const struct backstage * backstage, enum route route,
    const char * method, struct response * answer)
{
	struct cgi exchange = { .fcgi = NULL };
	bool served;

	set("REQUEST_METHOD", method);
	catch_output();
	served = backstage_serve(backstage, &exchange, route);
	caught_output(answer);
	return (served);
}

static const char * const variables[] = {
	"REMOTE_ADDR", "REMOTE_PORT", "HTTP_X_FORWARDED_FOR",
	"HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_VIA",
};

struct visitor {
	const char * values[COUNT_OF(variables)];
	bool local;
};

static const struct visitor visitors[] = {
	{ { "127.0.0.1" }, true },
	{ { "127.0.0.1", "50000" }, true },
	{ { "127.255.255.254" }, true },
	{ { "::1" }, true },
	{ { "0:0:0:0:0:0:0:1" }, true },
	{ { "::ffff:127.0.0.1" }, true },
	{ { "::FFFF:127.9.9.9" }, true },
	{ { "0:0:0:0:0:ffff:7f00:1" }, true },
	{ { "unix:" }, true },
	{ { "unix:", "" }, true },
	/* others */
	{ { NULL }, false },
	{ { "" }, false },
	{ { "", "" }, false },
	{ { NULL, "0" }, false },
	{ { NULL, "50000" }, false },
	{ { "", "1" }, false },
	{ { "128.0.0.1" }, false },
	{ { "126.255.255.255" }, false },
	{ { "10.0.0.127" }, false },
	{ { "192.0.2.1" }, false },
	{ { "0.0.0.0" }, false },
	{ { "::" }, false },
	{ { "::2" }, false },
	{ { "1::1" }, false },
	{ { "::127.0.0.1" }, false },
	{ { "::ffff:10.0.0.1" }, false },
	{ { "::fffe:127.0.0.1" }, false },
	{ { "1::ffff:127.0.0.1" }, false },
	{ { "fe80::1" }, false },
	{ { "127.0.0.1.example" }, false },
	{ { "127.0.0.1 " }, false },
	{ { " 127.0.0.1" }, false },
	{ { "127.1" }, false },
	{ { "127" }, false },
	{ { "localhost" }, false },
	{ { "[::1]" }, false },
	{ { "unix" }, false },
	/* through a proxy */
	{ { "127.0.0.1", NULL, "192.0.2.1" }, false },
	{ { "127.0.0.1", NULL, "127.0.0.1" }, false },
	{ { "127.0.0.1", NULL, "" }, false },
	{ { "127.0.0.1", NULL, NULL, "127.0.0.1" }, false },
	{ { "127.0.0.1", NULL, NULL, NULL, "for=127.0.0.1" }, false },
	{ { "127.0.0.1", NULL, NULL, NULL, NULL, "1.1 proxy" }, false },
	{ { "::1", NULL, "192.0.2.1" }, false },
	{ { NULL, NULL, "127.0.0.1" }, false },
	{ { "unix:", NULL, NULL, "127.0.0.1" }, false },
};

static void
visit(const struct visitor * visitor)
{
	size_t i;

	for (i = 0; i < COUNT_OF(variables); i++)
		set(variables[i], visitor->values[i]);
}

static void
visit_from(const char * address)
{
	struct visitor visitor = { { address }, false };

	visit(&visitor);
}

static const char *
describe(const struct visitor * visitor)
{
	static char text[400];
	size_t used = 0;
	size_t i;

	text[0] = '\0';
	for (i = 0; i < COUNT_OF(variables); i++)
		if (visitor->values[i] != NULL)
			used += (size_t)snprintf(text + used,
			    sizeof(text) - used, " %s=%s", variables[i],
			    visitor->values[i]);
	return (text);
}

static void
test_access(void)
{
	static const enum route routes[] = {
		ROUTE_HEALTH, ROUTE_READY, ROUTE_METRICS,
	};
	struct backstage_state state = { .redis_down = false };
	struct backstage backstage = { .version = "1", .probe = look,
	    .context = &state };
	struct response answer;
	enum route route;
	size_t i;

	for (i = 0; i < COUNT_OF(visitors); i++) {
		const struct visitor * visitor = &visitors[i];

		visit(visitor);
		route = routes[i % COUNT_OF(routes)];
		backstage.access = CONFIG_ACCESS_LOCAL;
		is_integer(ask(&backstage, route, "GET", &answer),
		    visitor->local, "local:%s", describe(visitor));
		is_integer(answer.length > 0, visitor->local,
		    "there is an answer if and only if that is said");
		backstage.access = CONFIG_ACCESS_ALL;
		ok(ask(&backstage, route, "GET", &answer) &&
		    answer.length > 0, "all:%s", describe(visitor));
		backstage.access = CONFIG_ACCESS_OFF;
		ok(!ask(&backstage, route, "GET", &answer) &&
		    answer.length == 0, "off:%s", describe(visitor));
	}
	visit_from("192.0.2.1");
	backstage.access = CONFIG_ACCESS_LOCAL;
	ok(!ask(&backstage, ROUTE_METRICS, "POST", &answer),
	    "who may not see it does not learn which methods there are");
}

static void
test_methods(void)
{
	static const char * const methods[] = {
		"POST", "PUT", "DELETE", "OPTIONS", "get", "GETS", "", NULL,
	};
	struct backstage_state state = { .redis_down = false };
	struct backstage backstage = { .version = "1", .probe = look,
	    .context = &state };
	struct response answer, head;
	const enum route routes[] = {
		ROUTE_HEALTH, ROUTE_READY, ROUTE_METRICS,
	};
	size_t i;

	visit_from("127.0.0.1");
	for (i = 0; i < COUNT_OF(methods); i++) {
		ok(ask(&backstage, routes[i % 3], methods[i], &answer) &&
		    strncmp(answer.text, "Status: 405 ", 12) == 0,
		    "method %s: 405", methods[i] == NULL ? "none" :
		    methods[i]);
		ok(has_header(&answer, "Allow: GET, HEAD"),
		    "with what is allowed");
	}
	for (i = 0; i < COUNT_OF(routes); i++) {
		ask(&backstage, routes[i], "GET", &answer);
		ask(&backstage, routes[i], "HEAD", &head);
		ok(answer.body > answer.text && answer.body[0] != '\0',
		    "GET has a body");
		is_text(head.body, "", "HEAD has none");
		is_bytes(head.text, head.length, answer.text,
		    (size_t)(answer.body - answer.text),
		    "and is the same otherwise");
	}
}

static void
test_health(void)
{
	struct backstage_state state = { .redis_down = true,
	    .spool = BACKSTAGE_SPOOL_FAILED };
	struct backstage backstage = { .version = "1", .probe = look,
	    .context = &state };
	struct response answer;

	visit_from("127.0.0.1");
	ask(&backstage, ROUTE_HEALTH, "GET", &answer);
	is_text(answer.text, "Status: 200 OK\r\n"
	    "Content-Type: application/json\r\n"
	    "Content-Length: 15\r\n"
	    "Cache-Control: no-store\r\n"
	    "\r\n"
	    "{\"status\":\"ok\"}", "health, whatever the state is");
}

static void
test_ready(void)
{
	static const struct {
		bool down;
		enum backstage_spool spool;
		enum auth_state tokens;
		int status;
		const char * body;
	} rows[] = {
		{ false, BACKSTAGE_SPOOL_OK, AUTH_OK, 200,
		  "{\"status\":\"ready\",\"redis\":\"up\","
		  "\"spool\":\"ok\",\"tokens\":\"ok\"}" },
		{ false, BACKSTAGE_SPOOL_FULL, AUTH_OK, 200,
		  "{\"status\":\"degraded\",\"redis\":\"up\","
		  "\"spool\":\"full\",\"tokens\":\"ok\"}" },
		{ false, BACKSTAGE_SPOOL_FAILED, AUTH_OK, 200,
		  "{\"status\":\"degraded\",\"redis\":\"up\","
		  "\"spool\":\"failed\",\"tokens\":\"ok\"}" },
		{ true, BACKSTAGE_SPOOL_OK, AUTH_OK, 200,
		  "{\"status\":\"degraded\",\"redis\":\"down\","
		  "\"spool\":\"ok\",\"tokens\":\"ok\"}" },
		{ true, BACKSTAGE_SPOOL_FULL, AUTH_OK, 503,
		  "{\"status\":\"unavailable\",\"redis\":\"down\","
		  "\"spool\":\"full\",\"tokens\":\"ok\"}" },
		{ true, BACKSTAGE_SPOOL_FAILED, AUTH_OK, 503,
		  "{\"status\":\"unavailable\",\"redis\":\"down\","
		  "\"spool\":\"failed\",\"tokens\":\"ok\"}" },
		{ false, BACKSTAGE_SPOOL_OK, AUTH_PARTIAL, 200,
		  "{\"status\":\"degraded\",\"redis\":\"up\","
		  "\"spool\":\"ok\",\"tokens\":\"partial\"}" },
		{ false, BACKSTAGE_SPOOL_OK, AUTH_FAILED, 503,
		  "{\"status\":\"unavailable\",\"redis\":\"up\","
		  "\"spool\":\"ok\",\"tokens\":\"failed\"}" },
		{ true, BACKSTAGE_SPOOL_FAILED, AUTH_FAILED, 503,
		  "{\"status\":\"unavailable\",\"redis\":\"down\","
		  "\"spool\":\"failed\",\"tokens\":\"failed\"}" },
	};
	struct backstage_state state = { .redis_down = false };
	struct backstage backstage = { .version = "1", .probe = look,
	    .context = &state };
	struct response answer;
	size_t i;

	visit_from("127.0.0.1");
	for (i = 0; i < COUNT_OF(rows); i++) {
		state.redis_down = rows[i].down;
		state.spool = rows[i].spool;
		state.tokens = rows[i].tokens;
		ask(&backstage, ROUTE_READY, "GET", &answer);
		is_integer(atoi(answer.text + strlen("Status: ")),
		    rows[i].status, "the status of %s", rows[i].body);
		is_text(answer.body, rows[i].body, "readiness");
		ok(has_header(&answer, "Content-Type: application/json"),
		    "it is JSON");
		is_integer(has_header(&answer, "Retry-After: 10"),
		    rows[i].status == 503, "503 alone asks to come again");
	}
}

/* Return whether the body has this line, and not as the end of another. */
static bool
has_line(const struct response * answer, const char * line)
{
	char wanted[200];

	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	return (strstr(answer->body, wanted) != NULL);
}

/* The number after a text, or -1. */
static double
number_after(const struct response * answer, const char * text)
{
	const char * found = strstr(answer->body, text);

	return (found == NULL ? -1 : strtod(found + strlen(text), NULL));
}

static void
test_metrics(void)
{
	static const char start[] = "# HELP flagtally_build_info "
	    "The version of the process, in a constant 1.\n"
	    "# TYPE flagtally_build_info gauge\n"
	    "flagtally_build_info{version=\"1.2\\\"\\\\\\n\"} 1\n"
	    "# HELP flagtally_requests_total ";
	static const char * const lines[] = {
		"flagtally_requests_total{code=\"404\"} 7",
		"# HELP flagtally_spool_records Groups and applications, or calls, in the spool.",
		"# TYPE flagtally_spool_records gauge",
		"flagtally_spool_records{state=\"queued\"} 3",
		"flagtally_spool_records{state=\"in-doubt\"} 1",
		"flagtally_spool_records{state=\"quarantined\"} 0",
		"# TYPE flagtally_spool_bytes gauge",
		"flagtally_spool_bytes{state=\"queued\"} 123456789012",
		"flagtally_spool_bytes{state=\"in-doubt\"} 5",
		"flagtally_spool_bytes{state=\"quarantined\"} 0",
		"# TYPE flagtally_spool_oldest_age_seconds gauge",
		"flagtally_spool_oldest_age_seconds{state=\"in-doubt\"} 0",
		"flagtally_spool_oldest_age_seconds{state=\"quarantined\"} 0",
	};
	struct backstage_state state = { .spool = BACKSTAGE_SPOOL_FULL };
	struct backstage backstage = { .version = "1.2\"\\\n", .probe = look,
	    .context = &state, .stats = stats_open(NULL) };
	struct response answer;
	double age;
	size_t i;

	state.has_depth = true;
	state.depth[SPOOL_QUEUED] = (struct spool_depth){ .records = 3,
	    .bytes = 123456789012, .oldest = clock_now_ms() - 90500 };
	/* From the future, as after the clock was set back. */
	state.depth[SPOOL_IN_DOUBT] = (struct spool_depth){ .records = 1,
	    .bytes = 5, .oldest = clock_now_ms() + 100000 };
	stats_add(backstage.stats, STATS_REQUESTS_404, 7);
	visit_from("127.0.0.1");
	ask(&backstage, ROUTE_METRICS, "GET", &answer);
	ok(strncmp(answer.text, "Status: 200 OK\r\n", 16) == 0, "metrics");
	ok(has_header(&answer,
	    "Content-Type: text/plain; version=0.0.4; charset=utf-8"),
	    "of the type that Prometheus wants");
	is_bytes(answer.body, strlen(start), start, strlen(start),
	    "the version comes first");
	for (i = 0; i < COUNT_OF(lines); i++)
		ok(has_line(&answer, lines[i]), "line %s", lines[i]);
	age = number_after(&answer,
	    "flagtally_spool_oldest_age_seconds{state=\"queued\"} ");
	ok(age >= 90.5 && age < 150, "an age in seconds, got %f", age);
	ok(answer.text[answer.length - 1] == '\n', "the last line ends");
	stats_free(backstage.stats);
}

static void
test_metrics_without(void)
{
	struct backstage_state state = { .redis_down = false };
	struct backstage backstage = { .version = "1.2.3", .probe = look,
	    .context = &state };
	struct response answer;

	visit_from("127.0.0.1");
	state.spool = BACKSTAGE_SPOOL_FAILED;
	ask(&backstage, ROUTE_METRICS, "GET", &answer);
	is_text(answer.body, "# HELP flagtally_build_info "
	    "The version of the process, in a constant 1.\n"
	    "# TYPE flagtally_build_info gauge\n"
	    "flagtally_build_info{version=\"1.2.3\"} 1\n",
	    "without stats and with an unknown spool");
	state.spool = BACKSTAGE_SPOOL_OK;
	state.has_depth = true;
	ask(&backstage, ROUTE_METRICS, "GET", &answer);
	ok(has_line(&answer,
	    "flagtally_spool_oldest_age_seconds{state=\"queued\"} 0") &&
	    has_line(&answer, "flagtally_spool_records{state=\"queued\"} 0"),
	    "an empty spool has numbers");
}

int
main(void)
{

	if (digest_init() != 0)
		abort();
	temporary_create();
	test_routes();
	test_answers();
	test_fault();
	test_access();
	test_methods();
	test_health();
	test_ready();
	test_metrics();
	test_metrics_without();
	return (tap_done());
}
