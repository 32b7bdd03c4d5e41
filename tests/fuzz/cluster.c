#include "lib/redis/cluster.h"
#include "lib/redis/slots.h"
#include "tests/fuzz/server.h"

/*
 * The replies of a cluster's nodes: maps (CLUSTER SHARDS and SLOTS) and
 * redirections.  Each request gets one reply, a node has read it before, and no
 * node is asked for more than the rounds of an exchange allow.
 */
#define REQUESTS_MAX 6
#define SENDS_MAX 8

static const struct redis_node seeds[] = {
	{ (char *)(uintptr_t)"127.0.0.1", 7000 },
	{ (char *)(uintptr_t)"n2", 7001 },
};

static struct redis_address config = {
	.kind = REDIS_CLUSTER, .node_count = 2,
	.nodes = (struct redis_node *)(uintptr_t)seeds,
};

/* Of the exchange at hand. */
static struct {
	size_t count;
	size_t heard[REQUESTS_MAX];	/* By nodes. */
	size_t replies[REQUESTS_MAX], retracted[REQUESTS_MAX];
	bool away[REQUESTS_MAX];	/* The reply is of no node. */
} seen;

/* Keys of three slots, of which two requests each are. */
static const char * const keys[] = { "{a}", "{b}", "x{c}" };

/* Look-ups are none: every host has one address. */

struct resolve {
	const char * host;
};

#include "lib/redis/resolve.h"

struct resolve *
resolve_create(const char * host)
{
	struct resolve * resolve = malloc(sizeof(*resolve));

	must(resolve != NULL);
	resolve->host = host;
	return (resolve);
}

size_t
resolve_addresses(struct resolve * resolve, int64_t deadline,
    struct resolve_address found[RESOLVE_MAX], const char ** why)
{

	(void)deadline;
	*why = "no such host";
	if (resolve->host[0] == '\0')
		return (0);
	snprintf(found[0].text, sizeof(found[0].text), "%s", resolve->host);
	return (1);
}

void
resolve_free(struct resolve * resolve)
{

	free(resolve);
}

static const char *
hear(const redisReply * request)
{
	size_t number;

	if (strcmp(request->element[0]->str, "ECHO") != 0)
		return (NULL);
	number = (size_t)atoi(request->element[2]->str);
	must(number < seen.count);
	must(strcmp(request->element[1]->str, keys[number % 3]) == 0);
	must(++seen.heard[number] <= SENDS_MAX);
	return (NULL);
}

static void
take(void * context, size_t number, const struct redis_reply * reply)
{
	struct cluster * cluster = context;

	must(number < seen.count);
	if (reply->type == REDIS_UNCONFIRMED) {
		must(seen.replies[number] == 1);
		must(seen.retracted[number]++ == 0);
		return;
	}
	must(seen.replies[number]++ == 0);
	if (reply->type == REDIS_ERROR && reply->error.code == ERROR_AWAY)
		seen.away[number] = true;
	else if (reply->type == REDIS_ERROR &&
	    reply->error.code == ERROR_LOADING)
		cluster_blame(cluster);
}

static void
request_all(struct cluster * cluster, size_t count)
{
	char digits[2] = "0";
	size_t i;

	memset(&seen, 0, sizeof(seen));
	seen.count = count;
	cluster_begin(cluster);
	for (i = 0; i < count; i++) {
		const char * key = keys[i % 3];
		struct buffer * buffer = cluster_request(cluster, key,
		    strlen(key));

		digits[0] = (char)('0' + i);
		buffer_array(buffer, 3);
		buffer_text(buffer, "ECHO");
		buffer_text(buffer, key);
		buffer_text(buffer, digits);
	}
}

static void
check_replies(const struct cluster * cluster, int result)
{
	bool any_away = false;
	size_t i;

	must(result >= -1 && result <= 1);
	for (i = 0; i < seen.count; i++) {
		must(seen.replies[i] == 1 || result == -1);
		must(seen.replies[i] == 0 || seen.away[i] ||
		    seen.heard[i] > 0);
		any_away = any_away || seen.away[i];
	}
	must(any_away == (result == 1));
	must(strlen(cluster_error(cluster)) < 1024);
}

static void
exchange(struct cluster * cluster, size_t count)
{
	int64_t deadline = clock_monotonic() + 400;
	int result;

	request_all(cluster, count);
	result = cluster_exchange(cluster, true, deadline, take, cluster);
	check_replies(cluster, result);
	must(clock_monotonic() <= deadline + SERVER_PEERS_MAX * 2);
	if (result == 0)
		cluster_serves(cluster);
	else if (cluster_timed_out(cluster))
		cluster_back_off(cluster, "it is late");
	must(cluster_next_attempt(cluster) <= clock_monotonic() + 1000);
	must(cluster_time(cluster, "{a}", 3) >= 0);
}

/* The same error, read with sscanf. */
static void
check_redirection(const struct fuzz * fuzz)
{
	char * copy = fuzz_copy(fuzz->bytes, fuzz->length);
	struct error_reply error = error_reply_of(text_of(copy), NULL);
	struct text host = { NULL, 0 };
	const char * colon = strrchr(copy, ':');
	unsigned int slot = 0, digits = 0;
	int port = 0, start = 0, end = 0;

	if (slots_redirection(&error, &slot, &host, &port)) {
		must(slot < SLOTS_COUNT && port > 0 && port <= 65535);
		must(sscanf(copy, copy[0] == 'M' ? "MOVED %u %n" : "ASK %u %n",
		    &digits, &start) == 1 && digits == slot);
		must(colon != NULL && sscanf(colon, ":%u%n", &digits, &end) ==
		    1 && (int)digits == port && colon[end] == '\0');
		must(host.bytes == NULL || (host.bytes + host.length == colon &&
		    host.length > 0));
	}
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	static const char * const scripts[] = { "return 1", "return 10" };
	struct fuzz fuzz = { bytes, length };
	unsigned int choices = fuzz_byte(&fuzz);
	struct cluster * cluster;
	int round;

	/* The cluster's own error must be no server's. */
	if (length > 8192 || memmem(bytes, length, "AWAY", 4) != NULL)
		return (0);
	if ((choices & 128) != 0) {
		check_redirection(&fuzz);
		return (0);
	}
	server_begin(fuzz.bytes, fuzz.length, (choices & 1) == 0, hear);
	config.confirm.replicas = (choices & 2) != 0;
	cluster = cluster_create(&config, 300, "fuzz");
	if ((choices & 4) != 0) {
		cluster_script(cluster, scripts[0]);
		cluster_script(cluster, scripts[1]);
	}
	for (round = 0; round < 2; round++) {
		int64_t deadline = clock_monotonic() + 1500;

		if (cluster_connect(cluster, deadline) == 0)
			exchange(cluster, 1 + (choices >> 3) % REQUESTS_MAX);
		must(clock_monotonic() <= deadline + SERVER_PEERS_MAX * 2);
	}
	/* A log-in that the server answers succeeds. */
	must(server.heard > 0 || (choices & 1) != 0 || length < 2);
	cluster_load(cluster, clock_monotonic() + 100);
	cluster_free(cluster);
	server_hang_up();
	return (0);
}
