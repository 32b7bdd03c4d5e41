#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/escape.h"
#include "lib/redis/redis.h"
#include "lib/redis/redis_url.h"

#define PORT_DEFAULT 6379

static char *
decoded(const char * text, size_t length)
{
	char * copy = alloc_copy(text, length);
	long used = escape_percent_decode(copy, length);

	if (used < 0 || memchr(copy, '\0', (size_t)used) != NULL) {
		free(copy);
		return (NULL);
	}
	copy[used] = '\0';
	return (copy);
}

static bool
read_number(const char * text, size_t length, long max, int * number)
{
	char * copy = alloc_copy(text, length);
	char * end;
	long value = strtol(copy, &end, 10);
	bool fits = length > 0 && *end == '\0' && copy[0] >= '0' &&
	    copy[0] <= '9' && value <= max;

	free(copy);
	*number = fits ? (int)value : 0;
	return (fits);
}

/* Take `user:password@`, `:password@` or `user@` off the front. */
static const char *
take_user(const char ** rest, const char * end, struct redis_address * redis)
{
	const char * at = NULL;
	const char * colon, * user_end, * p;

	for (p = *rest; p < end; p++)
		if (*p == '@')
			at = p;
	if (at == NULL)
		return (NULL);
	colon = memchr(*rest, ':', (size_t)(at - *rest));
	if (at == *rest)
		return ("neither user nor password before the @");
	user_end = colon == NULL ? at : colon;
	if (user_end > *rest)
		redis->user = decoded(*rest, (size_t)(user_end - *rest));
	if (colon != NULL)
		redis->password = decoded(colon + 1,
		    (size_t)(at - colon - 1));
	if ((user_end > *rest && redis->user == NULL) ||
	    (colon != NULL && redis->password == NULL))
		return ("a bad percent-encoding of user or password");
	*rest = at + 1;
	return (NULL);
}

static const char *
take_host(const char * rest, const char * end, struct redis_address * redis)
{
	const char * colon = NULL;
	const char * host_end = end;
	const char * p;

	if (rest < end && *rest == '[') {
		const char * bracket = memchr(rest, ']', (size_t)(end - rest));

		if (bracket == NULL)
			return ("a bracket that is not closed");
		redis->host = alloc_copy(rest + 1,
		    (size_t)(bracket - rest - 1));
		colon = bracket + 1 < end ? bracket + 1 : NULL;
		if (colon != NULL && *colon != ':')
			return ("something between the bracket and the port");
	} else {
		for (p = rest; p < end; p++) {
			if (*p != ':')
				continue;
			if (colon != NULL)
				return ("an IPv6 address without brackets");
			colon = p;
		}
		if (colon != NULL)
			host_end = colon;
		redis->host = alloc_copy(rest, (size_t)(host_end - rest));
	}
	redis->port = PORT_DEFAULT;
	if (redis->host[0] == '\0')
		return ("no host");
	if (colon != NULL && (!read_number(colon + 1,
	    (size_t)(end - colon - 1), 65535, &redis->port) ||
	    redis->port == 0))
		return ("a bad port");
	return (NULL);
}

static const char *
parse_tcp(const char * rest, struct redis_address * redis)
{
	const char * end = rest + strcspn(rest, "/?");
	const char * why = take_user(&rest, end, redis);

	if (why == NULL)
		why = take_host(rest, end, redis);
	if (why != NULL)
		return (why);
	if (*end == '/' && end[1] != '\0' && !read_number(end + 1,
	    strlen(end + 1), 1000000, &redis->database))
		return ("a bad database number");
	return (*end == '?' ? "a query" : NULL);
}

static const char *
parse_unix(const char * rest, struct redis_address * redis)
{
	const char * query = rest + strcspn(rest, "?");
	const char * slash = rest + strcspn(rest, "/");
	const char * why = take_user(&rest, slash, redis);

	if (why != NULL)
		return (why);
	if (rest != slash || slash >= query)
		return ("no absolute path");
	redis->unix_path = decoded(slash, (size_t)(query - slash));
	if (redis->unix_path == NULL)
		return ("a bad percent-encoding of the path");
	if (*query == '\0')
		return (NULL);
	if (strncmp(query, "?db=", 4) != 0 || !read_number(query + 4,
	    strlen(query + 4), 1000000, &redis->database))
		return ("a query that is not db=NUMBER");
	return (NULL);
}

const char *
redis_url_parse(const char * url, struct redis_address * redis)
{

	if (strncmp(url, "redis://", 8) == 0)
		return (parse_tcp(url + 8, redis));
	if (strncmp(url, "rediss://", 9) == 0) {
		redis->tls = true;
		return (parse_tcp(url + 9, redis));
	}
	if (strncmp(url, "unix://", 7) == 0)
		return (parse_unix(url + 7, redis));
	return ("neither redis://, rediss:// nor unix://");
}
