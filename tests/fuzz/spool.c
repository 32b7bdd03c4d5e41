#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/base/digest.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/commit/replay.h"
#include "lib/redis/apply.lua.h"
#include "lib/redis/impact.lua.h"
#include "lib/redis/touch.lua.h"
#include "lib/tally/tally_codec.h"
#include "tests/fuzz/server.h"
#include "tests/unit/temporary.h"

/*
 * The spool with any records in it, and with any damage to its file: it is
 * read, replayed to a server that takes everything, and used on.
 */
#define RECORDS_MAX 8
#define LIMIT ((uint64_t)4 * 1024 * 1024)

static char path[PATH_MAX];

static void
remove_files(void)
{
	DIR * directory = opendir(temporary_directory);
	struct dirent * entry;
	char name[PATH_MAX];

	must(directory != NULL);
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			unlink(temporary_path(name, entry->d_name));
	closedir(directory);
}

static bool
read_call(void * context, const struct spool_call * call)
{
	size_t * count = context;
	size_t i;

	for (i = 0; i < call->length && call->bytes != NULL; i++)
		*count += ((const uint8_t *)call->bytes)[i] == 0;
	must(call->reason != NULL);
	return (++*count < 100000);
}

static void
read_all(struct spool * spool)
{
	struct spool_depth depth[SPOOL_STATE_COUNT];
	size_t count = 0;
	int state;

	spool_depth(spool, depth);
	for (state = 0; state < SPOOL_STATE_COUNT; state++)
		spool_read(spool, (enum spool_state)state, 0, read_call,
		    &count);
}

/* A tally of any bytes that make one, or a call of any bytes. */
static void
add_record(struct spool * spool, struct fuzz * fuzz, struct arena * arena)
{
	static const unsigned char key[DIGEST_KEY_SIZE];
	unsigned int kind = fuzz_byte(fuzz);
	size_t length = fuzz_byte(fuzz);
	struct tally * tally = tally_create(arena);
	struct spool_call call = { .since = clock_now_ms() - ((kind & 64) !=
	    0 ? (int64_t)40 * 86400000 : 0), .reason = "why" };
	struct spool_change change = { .call_count = kind % 3 == 1,
	    .calls = &call, .refused_count = kind % 3 == 2,
	    .refused = &call };
	uint8_t bytes[256 + 8];
	uint64_t sum;
	size_t i;

	if (length > fuzz->length)
		length = fuzz->length;
	if (length > 0)
		memcpy(bytes, fuzz->bytes, length);
	fuzz->bytes += length;
	fuzz->length -= length;
	call.bytes = bytes;
	call.length = length;
	sum = digest_keyed_hash(key, bytes, length);
	for (i = 0; i < 8; i++)
		bytes[length + i] = (uint8_t)(sum >> (8 * i));
	if (kind % 3 != 0)
		must(spool_change(spool, &change) == SPOOL_DONE);
	else if (tally_codec_decode(tally, bytes, length + 8) == NULL)
		must(spool_append(spool, tally) == SPOOL_DONE);
}

/* Each script's reply when it has applied a call; the scripts differ in size. */
static const char *
oblige(const redisReply * request)
{
	static const struct {
		const char * script;
		const char * reply;
	} replies[] = {
		{ apply_lua, "*9\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n"
		    ":0\r\n:0\r\n:0\r\n" },
		{ impact_lua, "*7\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n"
		    ":0\r\n" },
		{ touch_lua, ":0\r\n" },
	};
	size_t i;

	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
		if (request->elements > 1 && strlen(replies[i].script) ==
		    strtoul(request->element[1]->str, NULL, 10))
			return (replies[i].reply);
	return (":0\r\n");
}

static enum replay_result
replay(struct spool * spool)
{
	static const struct sink_settings settings = {
		.prefix = "p", .retention_hourly = 172800,
		.retention_daily = 7776000,
	};
	struct sink * sink;
	enum replay_result result;

	server_begin("", 0, true, oblige);
	sink = sink_create(&settings, cluster_create(&server_config, 300,
	    "fuzz"));
	result = replay_all(sink, spool, NULL, NULL, NULL);
	sink_free(sink);
	server_hang_up();
	return (result);
}

/* All that was added is settled, quarantined, or waits for Redis. */
static void
check_records(struct fuzz * fuzz)
{
	struct spool * spool = spool_open(path, LIMIT, false);
	struct arena * arena = arena_create(65536);
	struct spool_depth depth[SPOOL_STATE_COUNT];
	unsigned int i;

	for (i = 0; i < RECORDS_MAX && fuzz->length > 0; i++)
		add_record(spool, fuzz, arena);
	read_all(spool);
	must(replay(spool) == REPLAY_DONE);
	must(spool_depth(spool, depth) == SPOOL_DONE);
	must(depth[SPOOL_QUEUED].records == 0 &&
	    depth[SPOOL_IN_DOUBT].records == 0);
	read_all(spool);
	arena_free(arena);
	spool_free(spool);
	remove_files();
}

/* The file of a spool that holds three records. */
static const char *
template(size_t * length)
{
	static char bytes[262144];
	static size_t size;
	struct fuzz some = { (const uint8_t *)"\1\3def\2\3ghi\0\4\2\0\1\0", 16 };
	struct arena * arena;
	struct spool * spool;
	int descriptor;
	ssize_t count;

	*length = size;
	if (size > 0)
		return (bytes);
	remove_files();
	arena = arena_create(4096);
	spool = spool_open(path, LIMIT, false);
	while (some.length > 0)
		add_record(spool, &some, arena);
	spool_free(spool);
	arena_free(arena);
	descriptor = open(path, O_RDONLY | O_CLOEXEC);
	count = read(descriptor, bytes, sizeof(bytes));
	must(count > 0 && count < (ssize_t)sizeof(bytes));
	close(descriptor);
	*length = size = (size_t)count;
	return (bytes);
}

/* Places (two bytes) and what is written there (a length, and bytes). */
static void
write_damaged(struct fuzz * fuzz, bool raw)
{
	size_t length;
	const char * whole = template(&length);
	char * bytes = fuzz_exact(whole, length);
	int descriptor;

	while (!raw && fuzz->length > 3) {
		size_t at = (fuzz_byte(fuzz) | fuzz_byte(fuzz) << 8) % length;
		size_t size = 1 + fuzz_byte(fuzz) % 32;

		for (; size > 0 && at < length && fuzz->length > 0; size--)
			bytes[at++] = (char)fuzz_byte(fuzz);
	}
	remove_files();
	descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(descriptor != -1);
	if (raw)
		must(write(descriptor, fuzz->bytes, fuzz->length) ==
		    (ssize_t)fuzz->length);
	else
		must(write(descriptor, bytes, length) == (ssize_t)length);
	close(descriptor);
	free(bytes);
}

static void
check_damaged(struct fuzz * fuzz, bool raw)
{
	struct arena * arena = arena_create(4096);
	struct tally * tally = tally_create(arena);
	struct spool * spool;

	tally_token(tally, "0123456789abcdef0123456789abcdef", DIGEST_SIZE);
	write_damaged(fuzz, raw);
	spool = spool_open(path, LIMIT, false);
	read_all(spool);
	spool_append(spool, tally);
	replay(spool);
	read_all(spool);
	spool_free(spool);
	arena_free(arena);
	remove_files();
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	struct fuzz fuzz = { bytes, length };
	unsigned int which = fuzz_byte(&fuzz) % 8;

	if (path[0] == '\0') {
		/* A disk would take milliseconds for each. */
		if (access("/dev/shm", W_OK) == 0)
			setenv("TMPDIR", "/dev/shm", 1);
		temporary_create();
		temporary_path(path, "spool.db");
		must(digest_init() == 0);
	}
	server.now += 10000;
	if (which < 5)
		check_records(&fuzz);
	else
		check_damaged(&fuzz, which == 7);
	return (0);
}
