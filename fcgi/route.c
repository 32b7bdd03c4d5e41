#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/route.h"
#include "lib/url.h"

static const char bulk_path[] = "/api/client/metrics/bulk";

/* A path without doubled slashes and without one at its end. */
struct path {
	char text[PATH_MAX];
	size_t length;
};

/* Return false if the path is too long to be one of ours. */
static bool
append_path(struct path * path, const char * text, size_t length)
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
cut_slash(struct path * path)
{

	if (path->length > 0 && path->text[path->length - 1] == '/')
		path->length--;
}

static bool
is_bulk(struct path * path, const char * prefix)
{
	struct path wanted = { .length = 0 };

	cut_slash(path);
	return (append_path(&wanted, prefix, strlen(prefix)) &&
	    append_path(&wanted, bulk_path, strlen(bulk_path)) &&
	    path->length == wanted.length &&
	    memcmp(path->text, wanted.text, wanted.length) == 0);
}

static bool
uri_is_bulk(const char * uri, const char * prefix)
{
	struct path path = { .length = 0 };
	const char * authority = strstr(uri, "://");
	char decoded[PATH_MAX];
	size_t length;
	long used;

	/* RFC 9112, section 3.2.2: the absolute form. */
	if (authority != NULL && uri[0] != '/')
		uri = authority + 3 + strcspn(authority + 3, "/?#");
	length = strcspn(uri, "?#");
	if (length > sizeof(decoded))
		return (false);
	memcpy(decoded, uri, length);
	used = url_decode(decoded, length);
	return (used >= 0 && append_path(&path, decoded, (size_t)used) &&
	    is_bulk(&path, prefix));
}

static bool
parts_are_bulk(const char * script, const char * info, const char * prefix)
{
	struct path path = { .length = 0 };

	return (append_path(&path, script, strlen(script)) &&
	    append_path(&path, info, strlen(info)) &&
	    is_bulk(&path, prefix));
}

enum route
route_of(const struct exchange * exchange, const char * prefix)
{
	const char * uri = exchange_parameter(exchange, "REQUEST_URI");
	const char * script = exchange_parameter(exchange, "SCRIPT_NAME");
	const char * info = exchange_parameter(exchange, "PATH_INFO");

	if (script == NULL)
		script = "";
	if (info == NULL)
		info = "";
	if ((uri != NULL && uri_is_bulk(uri, prefix)) ||
	    parts_are_bulk(script, info, prefix) ||
	    parts_are_bulk("", info, prefix) ||
	    parts_are_bulk("", info, ""))
		return (ROUTE_BULK);
	return (ROUTE_NONE);
}
