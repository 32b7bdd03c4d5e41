#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/backstage.h"
#include "fcgi/response.h"
#include "lib/base/clock.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Access */

static bool
is_loopback(const char * address)
{
	static const unsigned char mapped[13] = {
		[10] = 0xff, [11] = 0xff, [12] = 127,
	};
	unsigned char bytes[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, address, bytes) == 1)
		return (bytes[0] == 127);
	return (inet_pton(AF_INET6, address, bytes) == 1 &&
	    (memcmp(bytes, &in6addr_loopback, sizeof(bytes)) == 0 ||
	    memcmp(bytes, mapped, sizeof(mapped)) == 0));
}

/*
 * An absent or empty address is unknown, so it is not local.  nginx calls a
 * client that is connected to a Unix socket "unix:".
 *
 * Behind a proxy the address is the proxy's, which may be on this host.  Its
 * header with the client's address does not help: any client can send it.
 */
static bool
is_local(const struct cgi * cgi)
{
	static const char * const proxied[] = {
		"HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED",
		"HTTP_VIA",
	};
	const char * address = cgi_parameter(cgi, "REMOTE_ADDR");
	size_t i;

	for (i = 0; i < COUNT_OF(proxied); i++)
		if (cgi_parameter(cgi, proxied[i]) != NULL)
			return (false);
	return (address != NULL && (is_loopback(address) ||
	    strncmp(address, "unix:", strlen("unix:")) == 0));
}

static bool
has_parameter(const struct cgi * cgi, const char * name)
{
	const char * value = cgi_parameter(cgi, name);

	return (value != NULL && *value != '\0');
}

/*
 * Whether the web server has authenticated the client.  A name alone says
 * nothing: nginx's own fastcgi_params passes what the client has sent, without
 * looking at a password.  AUTH_TYPE is set by a server that has (RFC 3875,
 * section 4.1.1), and by no client: what a client sends begins with HTTP_.
 * Apache passes the name alone, with another name, when it redirects a request
 * to a CGI program.
 */
static bool
is_user(const struct cgi * cgi)
{

	return ((has_parameter(cgi, "AUTH_TYPE") &&
	    has_parameter(cgi, "REMOTE_USER")) ||
	    has_parameter(cgi, "REDIRECT_REMOTE_USER"));
}

bool
backstage_admits(enum config_access access, const struct cgi * cgi)
{

	return (access == CONFIG_ACCESS_ALL ||
	    (access == CONFIG_ACCESS_LOCAL && is_local(cgi)) ||
	    (access == CONFIG_ACCESS_USER && is_user(cgi)));
}

/* Readiness */

static void
send_health(struct cgi * cgi)
{
	static const char text[] = "{\"status\":\"ok\"}";

	response_content(cgi, RESPONSE_OK, "application/json", text,
	    strlen(text));
}

const char *
backstage_tokens(const struct backstage_state * state)
{
	static const char * const words[] = {
		[AUTH_OK] = "ok", [AUTH_PARTIAL] = "partial",
		[AUTH_FAILED] = "failed",
	};

	return (words[state->tokens]);
}

/*
 * Requests are accepted as long as Redis or the spool accepts counts, and
 * tokens can be checked.  With a part of this in trouble the service is
 * degraded, and the response is still 200, so that no load balancer turns
 * requests away that would be counted.
 */
static void
send_ready(const struct backstage * backstage, struct cgi * cgi)
{
	static const char * const spools[] = {
		[BACKSTAGE_SPOOL_OK] = "ok",
		[BACKSTAGE_SPOOL_FULL] = "full",
		[BACKSTAGE_SPOOL_FAILED] = "failed",
	};
	struct backstage_state state = { .redis_down = false };
	const char * status = "ready";
	char text[120];
	bool takes;

	backstage->probe(backstage->context, true, &state);
	takes = (!state.redis_down || state.spool == BACKSTAGE_SPOOL_OK) &&
	    state.tokens != AUTH_FAILED;
	if (!takes)
		status = "unavailable";
	else if (state.redis_down || state.spool != BACKSTAGE_SPOOL_OK ||
	    state.tokens != AUTH_OK)
		status = "degraded";
	if (snprintf(text, sizeof(text),
	    "{\"status\":\"%s\",\"redis\":\"%s\",\"spool\":\"%s\","
	    "\"tokens\":\"%s\"}", status, state.redis_down ? "down" : "up",
	    spools[state.spool], backstage_tokens(&state)) >=
	    (int)sizeof(text))
		abort();
	response_content(cgi, takes ? RESPONSE_OK : RESPONSE_UNAVAILABLE,
	    "application/json", text, strlen(text));
}

/* Metrics */

/* Write a metric with a sample for each state. */
static void
write_depths(struct buffer * text, const char * name, const char * help,
    const uint64_t numbers[SPOOL_STATE_COUNT], unsigned int decimals)
{
	static const char * const states[SPOOL_STATE_COUNT] = {
		[SPOOL_QUEUED] = "queued",
		[SPOOL_IN_DOUBT] = "in-doubt",
		[SPOOL_QUARANTINED] = "quarantined",
	};
	size_t i;

	stats_write_metric(text, name, "gauge", help);
	for (i = 0; i < SPOOL_STATE_COUNT; i++)
		stats_write_sample(text, name, "state", states[i], numbers[i],
		    decimals);
}

static void
write_spool(struct buffer * text, const struct backstage_state * state)
{
	uint64_t records[SPOOL_STATE_COUNT], bytes[SPOOL_STATE_COUNT];
	uint64_t ages[SPOOL_STATE_COUNT];
	int64_t now = clock_now_ms();
	size_t i;

	for (i = 0; i < SPOOL_STATE_COUNT; i++) {
		int64_t oldest = state->depth[i].oldest;

		records[i] = state->depth[i].records;
		bytes[i] = state->depth[i].bytes;
		/* The clock may have been set back. */
		ages[i] = records[i] > 0 && oldest < now ?
		    (uint64_t)(now - oldest) : 0;
	}
	write_depths(text, "flagtally_spool_records",
	    "Groups and applications, or calls, in the spool.", records, 0);
	write_depths(text, "flagtally_spool_bytes",
	    "Bytes of these records.", bytes, 0);
	write_depths(text, "flagtally_spool_oldest_age_seconds",
	    "Age of the oldest record, 0 if there is none.",
	    ages, 3);
}

static void
send_metrics(const struct backstage * backstage, struct cgi * cgi)
{
	struct backstage_state state = { .redis_down = false };
	struct buffer text = { NULL, 0, 0 };

	backstage->probe(backstage->context, false, &state);
	stats_write_metric(&text, "flagtally_build_info", "gauge",
	    "The version of the process, in a constant 1.");
	stats_write_sample(&text, "flagtally_build_info", "version",
	    backstage->version, 1, 0);
	stats_write(backstage->stats, &text);
	/* Omit the metric when the depth is unknown; 0 would be wrong. */
	if (state.has_depth)
		write_spool(&text, &state);
	response_content(cgi, RESPONSE_OK,
	    "text/plain; version=0.0.4; charset=utf-8", text.bytes,
	    text.length);
	buffer_free(&text);
}

bool
backstage_serve(const struct backstage * backstage,
    struct cgi * cgi, enum route route)
{
	const char * method = cgi_parameter(cgi, "REQUEST_METHOD");

	if (!backstage_admits(backstage->access, cgi))
		return (false);
	if (method == NULL ||
	    (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0))
		response_send(cgi, RESPONSE_READ_ONLY,
		    "this can only be read, with GET or HEAD");
	else if (route == ROUTE_HEALTH)
		send_health(cgi);
	else if (route == ROUTE_READY)
		send_ready(backstage, cgi);
	else
		send_metrics(backstage, cgi);
	return (true);
}
