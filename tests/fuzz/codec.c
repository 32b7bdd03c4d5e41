#include "lib/base/arena.h"
#include "lib/redis/pipeline.h"
#include "lib/base/digest.h"
#include "lib/redis/commands.h"
#include "lib/tally/tally_codec.h"
#include "tests/fuzz/fuzz.h"

/*
 * What the spool keeps: encoded tallies and calls.  The harness adds the
 * checksum, so that what is behind it is reached.  What is read as a tally
 * is the same when it is encoded and read again, and may be merged and made
 * calls; what is read as a call must be that call again.
 */
#define CHECKSUM_SIZE 8

static void
encode(struct tally * tally)
{
	static const struct sink_settings settings = {
		.prefix = "p", .retention_hourly = 172800,
		.retention_daily = 7776000, .limit_features = 10,
		.limit_instances = 10, .limit_series = 10,
	};
	struct commands_writer writer = { .settings = &settings,
	    .id = "0123456789abcdef0123456789ab", .number = "1-0",
	    .now = 1700000000 };
	struct pipeline calls, loaded;
	size_t i;

	memset(&calls, 0, sizeof(calls));
	memset(&loaded, 0, sizeof(loaded));
	commands_encode(&calls, &writer, tally);
	for (i = 0; i < calls.count; i++)
		must(pipeline_load(&loaded, pipeline_bytes(&calls,
		    &calls.list[i]), calls.list[i].length) == NULL);
	must(loaded.count == calls.count);
	for (i = 0; i < calls.count; i++) {
		const struct call * a = &calls.list[i], * b = &loaded.list[i];

		must(a->offset == b->offset && a->length == b->length &&
		    a->script == b->script);
		must(a->script == SCRIPT_TOUCH || (a->digest == b->digest &&
		    a->writer == b->writer));
	}
	pipeline_free(&calls);
	pipeline_free(&loaded);
}

static void
check_tally(struct arena * arena, struct fuzz * fuzz, bool sum)
{
	static const unsigned char key[DIGEST_KEY_SIZE];
	uint8_t * bytes = malloc(fuzz->length + CHECKSUM_SIZE);
	size_t length = fuzz->length;
	struct tally * tally = tally_create(arena);
	struct tally * merged = tally_create(arena);
	struct buffer again = { NULL, 0, 0 };
	uint64_t checksum = digest_keyed_hash(key, fuzz->bytes, length);
	size_t i;

	must(bytes != NULL);
	if (length > 0)
		memcpy(bytes, fuzz->bytes, length);
	for (i = 0; sum && i < CHECKSUM_SIZE; i++)
		bytes[length++] = (uint8_t)(checksum >> (8 * i));
	if (tally_codec_decode(tally, bytes, length) == NULL) {
		struct tally * copy = tally_create(arena);
		const struct tally_node * node = NULL;

		do {
			buffer_clear(&again);
			node = tally_codec_encode(&again, tally, node);
			must(tally_codec_decode(copy, again.bytes,
			    again.length) == NULL);
		} while (node != NULL);
		buffer_free(&again);
		must(copy->node_count == tally->node_count &&
		    copy->counters == tally->counters);
		tally_merge(merged, tally);
		must(merged->counters == tally->counters);
		encode(tally);
		encode(merged);
	}
	free(bytes);
}

static void
check_calls(const struct fuzz * fuzz)
{
	static const char digest[] =
	    "0123456789012345678901234567890123456789";
	struct buffer requests = { NULL, 0, 0 };
	struct pipeline calls;
	size_t i, total = 0;

	memset(&calls, 0, sizeof(calls));
	if (pipeline_load(&calls, fuzz->bytes, fuzz->length) != NULL)
		must(calls.count == 0);
	for (i = 0; i < calls.count; i++) {
		const struct call * call = &calls.list[i];

		must(call->offset == total);
		total += call->length;
		pipeline_request(&calls, call, digest, &requests);
		if (call->script == SCRIPT_TOUCH)
			continue;
		must(pipeline_key(&calls, call).length >=
		    PIPELINE_WRITER_LENGTH + PIPELINE_SLOT_LENGTH);
		pipeline_readdress(&calls, call, "0123456789abcdef0123456789ab");
	}
	must(calls.count == 0 || total == fuzz->length);
	must(requests.length == total);
	buffer_free(&requests);
	pipeline_free(&calls);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	static struct arena * arena;
	struct fuzz fuzz = { bytes, length };
	unsigned int which = fuzz_byte(&fuzz) % 4;

	must(digest_init() == 0);
	if (arena == NULL)
		arena = arena_create(65536);
	if (which == 0)
		check_calls(&fuzz);
	else
		check_tally(arena, &fuzz, which != 1);
	arena_reset(arena);
	return (0);
}
