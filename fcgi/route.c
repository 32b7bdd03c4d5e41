#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/route.h"
#include "lib/base/escape.h"

static const struct {
	const char * path;
	enum route route;
} routes[] = {
	{ "/api/client/metrics/bulk", ROUTE_BULK },
	{ "/api/client/metrics/edge", ROUTE_EDGE },
	{ "/api/client/metrics", ROUTE_CLIENT_METRICS },
	{ "/api/client/register", ROUTE_CLIENT_REGISTER },
	{ "/api/frontend/client/metrics", ROUTE_FRONTEND_METRICS },
	{ "/api/frontend/client/register", ROUTE_FRONTEND_REGISTER },
	{ "/flagtally", ROUTE_PAGE },
	{ "/internal-backstage/health", ROUTE_HEALTH },
	{ "/internal-backstage/ready", ROUTE_READY },
	{ "/internal-backstage/metrics", ROUTE_METRICS },
	{ "/internal-backstage/usage", ROUTE_USAGE },
};

/* A path without doubled slashes and without one at its end. */
struct request_path {
	char text[PATH_MAX];
	size_t length;
};

/* Return false if the path is too long to be one of ours. */
static bool
append_path(struct request_path * path, const char * text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (text[i] == '/' && path->length > 0 &&
		    path->text[path->length - 1] == '/')
			continue;
		if (path->length == sizeof(path->text))
			return (false);
		path->text[path->length++] = text[i];
	}
	return (true);
}

static void
cut_slash(struct request_path * path)
{

	if (path->length > 0 && path->text[path->length - 1] == '/')
		path->length--;
}

static enum route
find_route(struct request_path * path, const char * prefix)
{
	struct request_path before = { .length = 0 };
	size_t length, i;

	cut_slash(path);
	if (!append_path(&before, prefix, strlen(prefix)))
		return (ROUTE_NONE);
	cut_slash(&before);
	if (path->length < before.length ||
	    memcmp(path->text, before.text, before.length) != 0)
		return (ROUTE_NONE);
	length = path->length - before.length;
	for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (length == strlen(routes[i].path) &&
		    memcmp(path->text + before.length, routes[i].path,
		    length) == 0)
			return (routes[i].route);
	return (ROUTE_NONE);
}

static enum route
route_of_uri(const char * uri, const char * prefix)
{
	struct request_path path = { .length = 0 };
	const char * authority = uri + strcspn(uri, ":/?#");
	char decoded[PATH_MAX];
	size_t length;
	long used;

	/* RFC 9112, section 3.2.2: the absolute form. */
	if (authority > uri && strncmp(authority, "://", 3) == 0)
		uri = authority + 3 + strcspn(authority + 3, "/?#");
	length = strcspn(uri, "?#");
	if (length > sizeof(decoded))
		return (ROUTE_NONE);
	memcpy(decoded, uri, length);
	used = escape_percent_decode(decoded, length);
	if (used < 0 || !append_path(&path, decoded, (size_t)used))
		return (ROUTE_NONE);
	return (find_route(&path, prefix));
}

static enum route
route_of_parts(const char * script, const char * info, const char * prefix)
{
	struct request_path path = { .length = 0 };

	if (!append_path(&path, script, strlen(script)) ||
	    !append_path(&path, info, strlen(info)))
		return (ROUTE_NONE);
	return (find_route(&path, prefix));
}

enum route
route_of(const struct cgi * cgi, const char * prefix)
{
	const char * uri = cgi_parameter(cgi, "REQUEST_URI");
	const char * script = cgi_parameter(cgi, "SCRIPT_NAME");
	const char * info = cgi_parameter(cgi, "PATH_INFO");
	enum route route = ROUTE_NONE;

	if (script == NULL)
		script = "";
	if (info == NULL)
		info = "";
	if (uri != NULL)
		route = route_of_uri(uri, prefix);
	if (route == ROUTE_NONE)
		route = route_of_parts(script, info, prefix);
	if (route == ROUTE_NONE)
		route = route_of_parts("", info, prefix);
	if (route == ROUTE_NONE)
		route = route_of_parts("", info, "");
	return (route);
}
