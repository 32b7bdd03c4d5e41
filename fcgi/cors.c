#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fcgi/cors.h"

/* Seconds for which a browser may cache the response to a preflight. */
#define MAX_AGE "86400"

/* Longer lists of headers and longer origins are not echoed. */
#define REQUESTED_MAX 1024
#define ORIGIN_MAX 512

/* The characters of a list of header names (RFC 9110, 5.6.2). */
static const char list_characters[] = "!#$%&'*+-.^_`|~0123456789, "
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

struct headers {
	char * out;
	size_t used;
};

__attribute__((format(printf, 2, 3)))
static void
add_header(struct headers * headers, const char * format, ...)
{
	size_t room = CORS_HEADERS_MAX - headers->used;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(headers->out + headers->used, room, format,
	    arguments);
	va_end(arguments);
	/* All that is variable has a bound, so they fit. */
	if (length > 0 && (size_t)length < room)
		headers->used += (size_t)length;
}

/* The entry of the list that is this origin, and its length; else NULL. */
static const char *
find_origin(const char * list, const char * origin, size_t * length)
{
	static const char between[] = ", \t";

	if (origin == NULL)
		return (NULL);
	for (list += strspn(list, between); *list != '\0';
	    list += *length + strspn(list + *length, between)) {
		*length = strcspn(list, between);
		if (*length <= ORIGIN_MAX && strlen(origin) == *length &&
		    strncasecmp(list, origin, *length) == 0)
			return (list);
	}
	return (NULL);
}

/*
 * The list's spelling of an origin is as good as the request's, but for case,
 * which a browser sends in lower case.  So no byte of the request gets here.
 */
static void
add_origin(struct headers * headers, const struct cgi * cgi)
{
	const char * list = cgi->cors->origins;
	const char * origin;
	size_t length;

	if (strcmp(list, "*") == 0) {
		add_header(headers, "Access-Control-Allow-Origin: *\r\n");
		return;
	}
	origin = find_origin(list, cgi_parameter(cgi, "HTTP_ORIGIN"),
	    &length);
	if (origin != NULL)
		add_header(headers, "Access-Control-Allow-Origin: %.*s\r\n"
		    "Access-Control-Allow-Credentials: true\r\n",
		    (int)length, origin);
}

/* The SDK's headers vary, and the token's may have any name: echo them. */
static void
add_requested(struct headers * headers, const struct cgi * cgi)
{
	const char * requested = cgi_parameter(cgi,
	    "HTTP_ACCESS_CONTROL_REQUEST_HEADERS");
	size_t length = requested == NULL ? 0 : strlen(requested);

	if (length == 0 || length > REQUESTED_MAX ||
	    strspn(requested, list_characters) < length)
		return;
	add_header(headers, "Access-Control-Allow-Headers: %s\r\n",
	    requested);
}

size_t
cors_headers(const struct cgi * cgi, bool preflight,
    char out[CORS_HEADERS_MAX])
{
	struct headers headers = { out, 0 };

	out[0] = '\0';
	if (cgi->cors == NULL)
		return (0);
	add_origin(&headers, cgi);
	if (!preflight) {
		add_header(&headers, "Vary: Origin\r\n");
		return (headers.used);
	}
	add_requested(&headers, cgi);
	add_header(&headers, "Access-Control-Allow-Methods: POST\r\n"
	    "Access-Control-Max-Age: " MAX_AGE "\r\n"
	    "Vary: Origin, Access-Control-Request-Headers\r\n");
	return (headers.used);
}
