#include <limits.h>

#include "fcgi/route.h"
#include "tests/unit/tap.h"

#define BULK "/api/client/metrics/bulk"

struct row {
	const char * uri;		/* REQUEST_URI; NULL: not set. */
	const char * script;		/* SCRIPT_NAME */
	const char * info;		/* PATH_INFO */
	const char * prefix;
	enum route route;
};

static void
set(const char * name, const char * value)
{

	if (value == NULL)
		unsetenv(name);
	else
		setenv(name, value, 1);
}

static enum route
route(const struct row * row)
{
	struct cgi exchange = { .fcgi = NULL };

	set("REQUEST_URI", row->uri);
	set("SCRIPT_NAME", row->script);
	set("PATH_INFO", row->info);
	return (route_of(&exchange, row->prefix));
}

static const struct row uris[] = {
	{ BULK, NULL, NULL, "", ROUTE_BULK },
	{ BULK "/", NULL, NULL, "", ROUTE_BULK },
	{ BULK "//", NULL, NULL, "", ROUTE_BULK },
	{ "/" BULK, NULL, NULL, "", ROUTE_BULK },
	{ "//api//client//metrics//bulk//", NULL, NULL, "", ROUTE_BULK },
	{ "/api///client/metrics/bulk", NULL, NULL, "", ROUTE_BULK },
	{ BULK "?", NULL, NULL, "", ROUTE_BULK },
	{ BULK "?a=b", NULL, NULL, "", ROUTE_BULK },
	{ BULK "/?a=/b/", NULL, NULL, "", ROUTE_BULK },
	{ BULK "?a=http://h/", NULL, NULL, "", ROUTE_BULK },
	{ "/%61pi/client/metrics/bul%6B", NULL, NULL, "", ROUTE_BULK },
	{ "/%61%70%69/client/metrics/bulk?%zz", NULL, NULL, "", ROUTE_BULK },
	{ "http://h" BULK, NULL, NULL, "", ROUTE_BULK },
	{ "https://h:8080" BULK "/?x", NULL, NULL, "", ROUTE_BULK },
	{ "http://[::1]:80" BULK, NULL, NULL, "", ROUTE_BULK },
	{ "/api/client/metrics/edge/", NULL, NULL, "", ROUTE_EDGE },
	{ "/api/client/metrics/edges", NULL, NULL, "", ROUTE_NONE },
	{ "/api/client/metrics", NULL, NULL, "", ROUTE_CLIENT_METRICS },
	{ "//api/client/metrics/?a", NULL, NULL, "", ROUTE_CLIENT_METRICS },
	{ "/api/client/register", NULL, NULL, "", ROUTE_CLIENT_REGISTER },
	{ "/api/frontend/client/metrics", NULL, NULL, "",
	  ROUTE_FRONTEND_METRICS },
	{ "/api/frontend//client/metrics/", NULL, NULL, "",
	  ROUTE_FRONTEND_METRICS },
	{ "/api/frontend/client/register", NULL, NULL, "",
	  ROUTE_FRONTEND_REGISTER },
	/* others */
	{ NULL, NULL, NULL, "", ROUTE_NONE },
	{ "", NULL, NULL, "", ROUTE_NONE },
	{ "/", NULL, NULL, "", ROUTE_NONE },
	{ "*", NULL, NULL, "", ROUTE_NONE },
	{ "/api", NULL, NULL, "", ROUTE_NONE },
	{ "/api/client", NULL, NULL, "", ROUTE_NONE },
	{ "/api/client/registers", NULL, NULL, "", ROUTE_NONE },
	{ "/api/frontend", NULL, NULL, "", ROUTE_NONE },
	{ "/api/frontend/client", NULL, NULL, "", ROUTE_NONE },
	{ "/api/frontend/metrics", NULL, NULL, "", ROUTE_NONE },
	{ "/api/frontend/client/metrics/bulk", NULL, NULL, "", ROUTE_NONE },
	{ "/client/metrics", NULL, NULL, "", ROUTE_NONE },
	{ "/api/client/metrics/bul", NULL, NULL, "", ROUTE_NONE },
	{ BULK "k", NULL, NULL, "", ROUTE_NONE },
	{ BULK "/x", NULL, NULL, "", ROUTE_NONE },
	{ BULK ";x", NULL, NULL, "", ROUTE_NONE },
	{ BULK "%20", NULL, NULL, "", ROUTE_NONE },
	{ BULK " ", NULL, NULL, "", ROUTE_NONE },
	{ "/x" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "/API/CLIENT/METRICS/BULK", NULL, NULL, "", ROUTE_NONE },
	{ "/api/client/metrics/Bulk", NULL, NULL, "", ROUTE_NONE },
	{ "/apiclientmetricsbulk", NULL, NULL, "", ROUTE_NONE },
	{ "/api/client/metricsbulk", NULL, NULL, "", ROUTE_NONE },
	{ "/?" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "/x?y=" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "?" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "/x?y=http://h" BULK, NULL, NULL, "", ROUTE_NONE },
	{ BULK "%00", NULL, NULL, "", ROUTE_NONE },
	{ BULK "%00x", NULL, NULL, "", ROUTE_NONE },
	{ BULK "%", NULL, NULL, "", ROUTE_NONE },
	{ BULK "%4", NULL, NULL, "", ROUTE_NONE },
	{ "/api%zz/client/metrics/bulk", NULL, NULL, "", ROUTE_NONE },
	{ "/%2561pi/client/metrics/bulk", NULL, NULL, "", ROUTE_NONE },
	{ BULK "%3Fa=b", NULL, NULL, "", ROUTE_NONE },
	{ "http://h", NULL, NULL, "", ROUTE_NONE },
	{ "http://h/", NULL, NULL, "", ROUTE_NONE },
	{ "http://h/x", NULL, NULL, "", ROUTE_NONE },
	{ "http://h?" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "http://h?x=" BULK, NULL, NULL, "", ROUTE_NONE },
	/* no absolute form: what is before the colon is no scheme */
	{ "x?y=z://h" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "?y=z://h" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "x#z://h" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "x/y://h" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "://h" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "http:" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "http:/" BULK, NULL, NULL, "", ROUTE_NONE },
	/* nothing is resolved that a server should have */
	{ "/x/.." BULK, NULL, NULL, "", ROUTE_NONE },
	{ "/." BULK, NULL, NULL, "", ROUTE_NONE },
	{ BULK "/.", NULL, NULL, "", ROUTE_NONE },
	{ BULK "/x/..", NULL, NULL, "", ROUTE_NONE },
	{ BULK "/%2e", NULL, NULL, "", ROUTE_NONE },
	{ "/x/%2e%2e" BULK, NULL, NULL, "", ROUTE_NONE },
	{ "\\api\\client\\metrics\\bulk", NULL, NULL, "", ROUTE_NONE },
	{ BULK "\\", NULL, NULL, "", ROUTE_NONE },
	{ "/api/client/metrics/bul\xc3\xab", NULL, NULL, "", ROUTE_NONE },
	{ "/api%2fclient%2Fmetrics%2fbulk", NULL, NULL, "", ROUTE_BULK },
	{ "/api/client/metrics/bulk%2F", NULL, NULL, "", ROUTE_BULK },
	{ "/api/client/metrics/%c0%a2ulk", NULL, NULL, "", ROUTE_NONE },
};

static const struct row parts[] = {
	{ NULL, BULK, NULL, "", ROUTE_BULK },
	{ NULL, BULK, "", "", ROUTE_BULK },
	{ NULL, "", BULK, "", ROUTE_BULK },
	{ NULL, NULL, BULK, "", ROUTE_BULK },
	{ NULL, NULL, BULK "/", "", ROUTE_BULK },
	{ NULL, NULL, "//api/client//metrics/bulk", "", ROUTE_BULK },
	{ NULL, "/api/client", "/metrics/bulk", "", ROUTE_BULK },
	{ NULL, "/api/client/", "/metrics/bulk/", "", ROUTE_BULK },
	{ NULL, "/api/client/metrics/", "/bulk", "", ROUTE_BULK },
	{ NULL, "/", BULK, "", ROUTE_BULK },
	{ NULL, BULK "/", "/", "", ROUTE_BULK },
	{ NULL, "/cgi-bin/flagtally", BULK, "", ROUTE_BULK },
	{ NULL, "/~user/cgi-bin/f.cgi", BULK "/", "", ROUTE_BULK },
	/* REQUEST_URI says something else, or nothing */
	{ "/", "/cgi-bin/flagtally", BULK, "", ROUTE_BULK },
	{ "/elsewhere?x", BULK, "", "", ROUTE_BULK },
	{ "", NULL, BULK, "", ROUTE_BULK },
	{ "/%zz", NULL, BULK, "", ROUTE_BULK },
	{ BULK, "/x", "/y", "", ROUTE_BULK },
	/* others */
	{ NULL, "/cgi-bin/flagtally", "", "", ROUTE_NONE },
	{ NULL, "/cgi-bin/flagtally", NULL, "", ROUTE_NONE },
	{ NULL, "/cgi-bin/flagtally", "/", "", ROUTE_NONE },
	{ NULL, "/x" BULK, "", "", ROUTE_NONE },
	{ NULL, "/cgi-bin" BULK, "/x", "", ROUTE_NONE },
	{ NULL, "", BULK "/x", "", ROUTE_NONE },
	{ NULL, "", "/x" BULK, "", ROUTE_NONE },
	{ NULL, "/api/client", "metrics/bulk", "", ROUTE_NONE },
	{ NULL, "/api/client/metrics/b", "/ulk", "", ROUTE_NONE },
	/* these two have been decoded and have no query */
	{ NULL, NULL, BULK "?x", "", ROUTE_NONE },
	{ NULL, NULL, "/%61pi/client/metrics/bulk", "", ROUTE_NONE },
	{ NULL, BULK "?x", NULL, "", ROUTE_NONE },
	{ NULL, NULL, "http://h" BULK, "", ROUTE_NONE },
};

static const struct row prefixes[] = {
	{ "/flags" BULK, NULL, NULL, "/flags", ROUTE_BULK },
	{ "/flags" BULK, NULL, NULL, "/flags/", ROUTE_BULK },
	{ "//flags/" BULK "/", NULL, NULL, "/flags", ROUTE_BULK },
	{ "/a/b" BULK "?x", NULL, NULL, "/a/b", ROUTE_BULK },
	{ "/a//b" BULK, NULL, NULL, "/a/b", ROUTE_BULK },
	{ "/%66lags" BULK, NULL, NULL, "/flags", ROUTE_BULK },
	{ "http://h/flags" BULK, NULL, NULL, "/flags", ROUTE_BULK },
	{ BULK, NULL, NULL, "/", ROUTE_BULK },
	{ NULL, "/flags", BULK, "/flags", ROUTE_BULK },
	{ NULL, "/flags" BULK, "", "/flags", ROUTE_BULK },
	{ NULL, "/x", "/flags" BULK, "/flags", ROUTE_BULK },
	{ NULL, "/x", BULK, "/flags", ROUTE_BULK },
	{ NULL, NULL, BULK, "/flags", ROUTE_BULK },
	{ "/y", "/cgi-bin/f.cgi", BULK "/", "/flags", ROUTE_BULK },
	/* others */
	{ BULK, NULL, NULL, "/flags", ROUTE_NONE },
	{ BULK, BULK, "", "/flags", ROUTE_NONE },
	{ NULL, BULK, NULL, "/flags", ROUTE_NONE },
	{ "/flag" BULK, NULL, NULL, "/flags", ROUTE_NONE },
	{ "/flagss" BULK, NULL, NULL, "/flags", ROUTE_NONE },
	{ "/FLAGS" BULK, NULL, NULL, "/flags", ROUTE_NONE },
	{ "/flags", NULL, NULL, "/flags", ROUTE_NONE },
	{ "/flags/flags" BULK, NULL, NULL, "/flags", ROUTE_NONE },
	{ "/flags" BULK, NULL, NULL, "", ROUTE_NONE },
	{ NULL, NULL, "/flags" BULK, "", ROUTE_NONE },
	{ "/flagsapi/client/metrics/bulk", NULL, NULL, "/flags", ROUTE_NONE },
	{ "/x?/flags" BULK, NULL, NULL, "/flags", ROUTE_NONE },
};

static const char *
shown(const char * text)
{

	return (text == NULL ? "unset" : text);
}

static void
test_rows(const struct row * rows, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		is_integer(route(&rows[i]), rows[i].route,
		    "URI %s, script %s, info %s, prefix \"%s\"",
		    shown(rows[i].uri), shown(rows[i].script),
		    shown(rows[i].info), rows[i].prefix);
}

/* Paths about as long as a path may be lead nowhere and do no harm. */
static void
test_long(void)
{
	static const size_t lengths[] = {
		PATH_MAX - 1, PATH_MAX, PATH_MAX + 1, 2 * PATH_MAX, 100000,
	};
	static char path[100001];
	size_t i;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct row row = { path, NULL, NULL, "", ROUTE_NONE };

		memset(path, 'x', lengths[i]);
		path[0] = '/';
		path[lengths[i]] = '\0';
		is_integer(route(&row), ROUTE_NONE, "a URI of %zu bytes",
		    lengths[i]);
		row = (struct row){ NULL, path, BULK, "/p", ROUTE_BULK };
		is_integer(route(&row), ROUTE_BULK,
		    "a script's name of %zu bytes", lengths[i]);
		row = (struct row){ NULL, BULK, path, "", ROUTE_NONE };
		is_integer(route(&row), ROUTE_NONE, "an info of %zu bytes",
		    lengths[i]);
		row = (struct row){ BULK, NULL, NULL, path, ROUTE_NONE };
		is_integer(route(&row), ROUTE_NONE, "a prefix of %zu bytes",
		    lengths[i]);
		memcpy(path, BULK "?", strlen(BULK "?"));
		row = (struct row){ path, NULL, NULL, "", ROUTE_BULK };
		is_integer(route(&row), ROUTE_BULK, "a query in %zu bytes",
		    lengths[i]);
	}
}

int
main(void)
{

	test_rows(uris, sizeof(uris) / sizeof(uris[0]));
	test_rows(parts, sizeof(parts) / sizeof(parts[0]));
	test_rows(prefixes, sizeof(prefixes) / sizeof(prefixes[0]));
	test_long();
	return (tap_done());
}
