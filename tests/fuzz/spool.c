#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/base/digest.h"
#include "lib/commit/replay.h"
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

struct read {
	int64_t ids[64];
	size_t count;
	size_t bytes;
};

static bool
take(void * context, const struct spool_record * record)
{
	struct read * read = context;
	size_t i;

	must(record->bytes != NULL);
	for (i = 0; i < record->length; i++)
		read->bytes += ((const uint8_t *)record->bytes)[i];
	read->ids[read->count++] = record->id;
	return (read->count < 64);
}

static void
read_all(struct spool * spool, struct read * read)
{
	struct spool_depth depth;
	unsigned int kind;

	memset(read, 0, sizeof(*read));
	for (kind = 0; kind < SPOOL_KIND_COUNT && read->count < 64; kind++) {
		spool_depth(spool, kind, &depth);
		spool_read(spool, kind, 0, take, read);
	}
}

/* Add the checksum of a packed tally, or nothing. */
static void
add_record(struct spool * spool, struct fuzz * fuzz)
{
	static const unsigned char key[DIGEST_KEY_SIZE];
	unsigned int kind = fuzz_byte(fuzz);
	size_t length = fuzz_byte(fuzz);
	struct spool_record record = { .kind = kind % SPOOL_KIND_COUNT,
	    .since = clock_now_ms() - ((kind & 64) != 0 ?
	    (int64_t)40 * 86400000 : 0),
	    .weight = kind >> 3 & 3, .reason = "" };
	uint8_t bytes[256 + 8];
	uint64_t sum;
	size_t i;

	if (length > fuzz->length)
		length = fuzz->length;
	if (length > 0)
		memcpy(bytes, fuzz->bytes, length);
	fuzz->bytes += length;
	fuzz->length -= length;
	sum = digest_keyed_hash(key, bytes, length);
	if (record.kind == SPOOL_TALLY && (kind & 128) == 0)
		for (i = 0; i < 8; i++)
			bytes[length++] = (uint8_t)(sum >> (8 * i));
	record.bytes = bytes;
	record.length = length;
	must(spool_append(spool, &record) == SPOOL_DONE);
	must(record.id > 0);
}

static enum replay_result
replay(struct spool * spool)
{
	static const struct sink_settings settings = {
		.prefix = "p", .retention_hourly = 172800,
		.retention_daily = 7776000,
	};
	static const char takes[] = "*4\r\n:0\r\n:0\r\n:0\r\n:0\r\n";
	static struct buffer replies;
	struct sink * sink;
	enum replay_result result;
	unsigned int i;

	for (i = 0; replies.length < 2048; i++)
		buffer_append(&replies, takes, sizeof(takes) - 1);
	server_begin(replies.bytes, replies.length, true);
	sink = sink_create(&settings, redis_create(&server_config, 300,
	    "fuzz"));
	result = replay_all(sink, spool, NULL, NULL, NULL);
	sink_free(sink);
	server_hang_up();
	return (result);
}

/* All that was added has gone, is set aside, or waits for Redis. */
static void
check_records(struct fuzz * fuzz)
{
	struct spool * spool = spool_open(path, LIMIT);
	struct read before, after;
	unsigned int i;

	for (i = 0; i < RECORDS_MAX && fuzz->length > 0; i++)
		add_record(spool, fuzz);
	read_all(spool, &before);
	must(before.count == i);
	if (replay(spool) == REPLAY_DONE) {
		struct spool_depth depth;

		must(spool_depth(spool, SPOOL_TALLY, &depth) == SPOOL_DONE &&
		    depth.records == 0);
		must(spool_depth(spool, SPOOL_CALLS, &depth) == SPOOL_DONE &&
		    depth.records == 0);
	}
	read_all(spool, &after);
	must(spool_replace(spool, after.ids, after.count, NULL, 0) ==
	    SPOOL_DONE);
	spool_free(spool);
}

/* The file of a spool that holds three records. */
static const char *
template(size_t * length)
{
	static char bytes[65536];
	static size_t size;
	struct fuzz none = { (const uint8_t *)"\0\3abc\1\3def\2\3ghi", 15 };
	struct spool * spool;
	int descriptor;
	ssize_t count;

	*length = size;
	if (size > 0)
		return (bytes);
	remove_files();
	spool = spool_open(path, LIMIT);
	while (none.length > 0)
		add_record(spool, &none);
	spool_free(spool);
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
	struct spool_record record = { .kind = SPOOL_TALLY, .since = 1,
	    .reason = "", .bytes = "x", .length = 1 };
	struct spool * spool;
	struct read read;

	write_damaged(fuzz, raw);
	spool = spool_open(path, LIMIT);
	read_all(spool, &read);
	spool_append(spool, &record);
	replay(spool);
	read_all(spool, &read);
	spool_free(spool);
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
