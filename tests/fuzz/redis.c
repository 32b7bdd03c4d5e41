#include "lib/base/digest.h"
#include "lib/redis/sink.h"
#include "tests/fuzz/server.h"

/*
 * The replies of Redis to a sink.  Whatever comes, nothing may be taken for
 * applied unless as many replies say so, nor for refused.
 */
struct seen {
	size_t refused;
};

/* Five calls: two applications, two environments' metrics, and a token. */
static struct tally *
make_tally(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct text environment = text_of("production");
	struct text application = text_of("a"), feature = text_of("f");
	struct text other = text_of("b"), json = text_of("{}");
	struct tally_node * node;
	unsigned char digest[DIGEST_SIZE] = { 1 };

	tally->when = 1700000000000;
	node = tally_feature(tally, &environment, &application, 472222,
	    &feature);
	must(tally_add(tally, &node->yes, 3));
	node = tally_feature(tally, &environment, &other, 472222, &feature);
	must(tally_add(tally, &node->no, 4));
	tally_set_instance(tally, node->parent->parent, &feature, &json);
	node = tally_metric(tally, &environment, TALLY_COUNTER, &feature,
	    &json);
	node = tally_series(tally, node, &other);
	node->value = 2;
	node = tally_metric(tally, &other, TALLY_GAUGE, &feature, &json);
	tally_set_gauge(tally, tally_series(tally, node, &other), 7);
	tally_token(tally, digest, sizeof(digest));
	return (tally);
}

static size_t
count_of(const struct fuzz * fuzz, const char * text)
{
	size_t length = strlen(text);
	size_t count = 0;
	size_t i;

	for (i = 0; i + length <= fuzz->length; i++)
		count += memcmp(fuzz->bytes + i, text, length) == 0;
	return (count);
}

static size_t
left_of(const struct sink * sink)
{
	size_t count = 0;
	size_t i;

	for (i = 0; i < sink_count(sink); i++)
		count += sink_call(sink, i)->outcome == CALL_OPEN;
	return (count);
}

static void
count_refused(const struct sink * sink, struct seen * seen)
{
	size_t i;

	for (i = 0; i < sink_count(sink); i++) {
		const struct call * call = sink_call(sink, i);

		must((call->outcome == CALL_REFUSED) ==
		    (call->reason != NULL));
		seen->refused += call->outcome == CALL_REFUSED;
	}
}

/* Each call that is settled has had a reply that says so. */
static void
check_settled(const struct fuzz * fuzz, const struct seen * seen,
    size_t settled)
{

	must(settled >= seen->refused);
	must(settled - seen->refused <= count_of(fuzz, ":"));
	/* All but two are scripts, which answer with arrays. */
	must(settled - seen->refused <= count_of(fuzz, "*") + 2);
	must(seen->refused <= count_of(fuzz, "-REFUSED") +
	    count_of(fuzz, "-WRONGTYPE"));
}

static void
commit_whole(struct sink * sink, const struct fuzz * fuzz,
    struct seen * seen, struct tally * tally)
{
	enum sink_result result = sink_commit(sink, tally,
	    clock_monotonic() + 400);
	size_t i;

	count_refused(sink, seen);
	if (result == SINK_UNKNOWN)
		must(left_of(sink) > 0);
	if (result == SINK_APPLIED) {
		must(left_of(sink) == 0);
		/* Two calls are of applications that need not be let in. */
		must(count_of(fuzz, ":") + seen->refused >= 3);
		must(count_of(fuzz, "*") + seen->refused >= 2);
	}
	for (i = 0; i < DROP_COUNT; i++)
		must(tally->dropped[i] <= INT32_MAX);
}

static void
send_prepared(struct sink * sink, const struct fuzz * fuzz,
    struct seen * seen, struct tally * tally)
{
	int64_t deadline = clock_monotonic() + 400;
	struct buffer bytes = { NULL, 0, 0 };
	size_t lengths[64];
	size_t before, at = 0, i;

	if (!sink_prepare(sink, tally, deadline))
		return;
	before = sink_count(sink);
	must(before <= 64 && left_of(sink) == before);
	for (i = 0; i < before; i++) {
		lengths[i] = sink_call(sink, i)->length;
		buffer_append(&bytes, sink_bytes(sink, sink_call(sink, i)),
		    lengths[i]);
	}
	sink_clear(sink);
	for (i = 0; i < before; at += lengths[i++])
		must(sink_load(sink, bytes.bytes + at, lengths[i], 0) ==
		    NULL);
	sink_readdress_all(sink);
	must(left_of(sink) == before);
	if (sink_send(sink, SIZE_MAX, deadline) == SINK_APPLIED)
		must(left_of(sink) == 0);
	count_refused(sink, seen);
	check_settled(fuzz, seen, before - left_of(sink));
	buffer_free(&bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	static struct sink_settings settings = {
		.prefix = "p", .retention_hourly = 172800,
		.retention_daily = 7776000, .limit_features = 10,
		.limit_instances = 10, .limit_series = 10,
	};
	static struct arena * arena;
	struct fuzz fuzz = { bytes, length };
	struct buffer said = { NULL, 0, 0 };
	unsigned int choices = fuzz_byte(&fuzz);
	struct seen seen = { 0 };
	size_t i;
	struct tally * tally;
	struct sink * sink;

	if (length > 8192)
		return (0);
	if (arena == NULL)
		arena = arena_create(65536);
	must(digest_init() == 0);
	server_begin(fuzz.bytes, fuzz.length, (choices & 1) != 0, NULL);
	/* A pause is none of what is said. */
	for (i = 0; i < fuzz.length; i++)
		if (fuzz.bytes[i] != 0xfe)
			buffer_append(&said, fuzz.bytes + i, 1);
	fuzz.bytes = (const uint8_t *)said.bytes;
	fuzz.length = said.length;
	settings.limit_applications = (choices & 2) != 0 ? 10 : 0;
	sink = sink_create(&settings, cluster_create(&server_config, 300,
	    "fuzz"));
	tally = make_tally(arena);
	if ((choices & 4) != 0)
		send_prepared(sink, &fuzz, &seen, tally);
	else
		commit_whole(sink, &fuzz, &seen, tally);
	if ((choices & 8) != 0)
		sink_probe(sink, clock_monotonic() + 100);
	/* A log-in that the server answers succeeds. */
	must(server.heard > 0 || (choices & 1) == 0 || length < 2);
	sink_retire(sink, clock_monotonic() + 100);
	must(strlen(sink_reason(sink)) < 1024);
	sink_free(sink);
	server_hang_up();
	buffer_free(&said);
	arena_reset(arena);
	return (0);
}
