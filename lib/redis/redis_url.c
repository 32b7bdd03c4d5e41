#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/escape.h"
#include "lib/base/secret.h"
#include "lib/redis/address.h"
#include "lib/redis/redis_url.h"

/* The forms of URLs over TCP. */
static const struct scheme {
	const char * name;
	enum redis_kind kind;
	bool tls;
	int port;			/* Unless one is given. */
} schemes[] = {
	{ "redis://", REDIS_SERVER, false, 6379 },
	{ "rediss://", REDIS_SERVER, true, 6379 },
	{ "redis-sentinel://", REDIS_SENTINEL, false, 26379 },
	{ "rediss-sentinel://", REDIS_SENTINEL, true, 26379 },
	{ "redis-cluster://", REDIS_CLUSTER, false, 6379 },
	{ "rediss-cluster://", REDIS_CLUSTER, true, 6379 },
};

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

/* Read a host with perhaps a port, from ${rest} up to ${end}. */
static const char *
read_node(const char * rest, const char * end, int port,
    struct redis_node * node)
{
	const char * colon = NULL;
	const char * host_end = end;
	const char * p;

	if (rest < end && *rest == '[') {
		const char * bracket = memchr(rest, ']', (size_t)(end - rest));

		if (bracket == NULL)
			return ("a bracket that is not closed");
		node->host = alloc_copy(rest + 1,
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
		node->host = alloc_copy(rest, (size_t)(host_end - rest));
	}
	node->port = port;
	if (node->host[0] == '\0')
		return ("no host");
	if (colon != NULL && (!read_number(colon + 1,
	    (size_t)(end - colon - 1), 65535, &node->port) ||
	    node->port == 0))
		return ("a bad port");
	return (NULL);
}

static const char *
add_url_node(const char * rest, const char * end, const struct scheme * scheme,
    struct redis_address * redis)
{
	struct redis_node server = { NULL, 0 };
	const char * why;

	if (scheme->kind == REDIS_SERVER) {
		why = read_node(rest, end, scheme->port, &server);
		redis->host = server.host;
		redis->port = server.port;
		return (why);
	}
	redis->nodes = alloc_resize(redis->nodes, redis->node_count + 1,
	    sizeof(*redis->nodes));
	redis->nodes[redis->node_count] = (struct redis_node){ NULL, 0 };
	return (read_node(rest, end, scheme->port,
	    &redis->nodes[redis->node_count++]));
}

/* Sentinel takes no other characters in the name of a master. */
static const char *
read_master(const char * rest, const char * end, struct redis_address * redis)
{
	size_t length = (size_t)(end - rest);

	if (redis->master != NULL)
		return ("master twice");
	redis->master = alloc_copy(rest, length);
	if (length == 0 || strspn(redis->master, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789.-_") != length)
		return ("a master that has no name of A-Z a-z 0-9 . - _");
	return (NULL);
}

/* Read `name=value&name=value...`. */
static const char *
read_url_query(const char * rest, const struct scheme * scheme,
    struct redis_address * redis)
{
	const char * why = NULL;
	const char * end;

	for (;; rest = end + 1) {
		end = rest + strcspn(rest, "&");
		if (strncmp(rest, "node=", 5) == 0)
			why = add_url_node(rest + 5, end, scheme, redis);
		else if (scheme->kind == REDIS_SENTINEL &&
		    strncmp(rest, "master=", 7) == 0)
			why = read_master(rest + 7, end, redis);
		else
			why = scheme->kind == REDIS_SENTINEL ? "a query with "
			    "other parts than master=NAME and "
			    "node=HOST:PORT" : "a query with other parts than "
			    "node=HOST:PORT";
		if (why != NULL || *end == '\0')
			return (why);
	}
}

/* Read `/database`. */
static const char *
read_database(const char * rest, const char * end,
    struct redis_address * redis)
{

	if (end - rest > 1 && !read_number(rest + 1, (size_t)(end - rest - 1),
	    1000000, &redis->database))
		return ("a bad database number");
	if (redis->database != 0 && redis->kind == REDIS_CLUSTER)
		return ("a database other than 0, and a cluster has no other");
	return (NULL);
}

static const char *
parse_tcp(const char * rest, const struct scheme * scheme,
    struct redis_address * redis)
{
	const char * end = rest + strcspn(rest, "/?");
	const char * query = end + strcspn(end, "?");
	const char * why = take_user(&rest, end, redis);

	redis->kind = scheme->kind;
	redis->tls = scheme->tls;
	if (why == NULL)
		why = add_url_node(rest, end, scheme, redis);
	if (why == NULL)
		why = read_database(end, query, redis);
	if (why == NULL && *query == '?')
		why = scheme->kind == REDIS_SERVER ? "a query" :
		    read_url_query(query + 1, scheme, redis);
	if (why == NULL && scheme->kind == REDIS_SENTINEL &&
	    redis->master == NULL)
		why = "no master=NAME after a question mark";
	return (why);
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
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		const struct scheme * scheme = &schemes[i];
		size_t length = strlen(scheme->name);

		if (strncmp(url, scheme->name, length) != 0)
			continue;
		return (parse_tcp(url + length, scheme, redis));
	}
	if (strncmp(url, "unix://", 7) == 0)
		return (parse_unix(url + 7, redis));
	return ("none that begins with redis://, rediss://, redis-sentinel://, "
	    "rediss-sentinel://, redis-cluster://, rediss-cluster:// or "
	    "unix://");
}

void
redis_url_free(struct redis_address * redis)
{
	size_t i;

	for (i = 0; i < redis->node_count; i++)
		free(redis->nodes[i].host);
	free(redis->nodes);
	free(redis->unix_path);
	free(redis->host);
	free(redis->master);
	free(redis->user);
	secret_wipe(redis->password);
	free(redis->sentinel_user);
	secret_wipe(redis->sentinel_password);
}
