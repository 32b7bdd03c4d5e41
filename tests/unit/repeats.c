#include <signal.h>
#include <sys/wait.h>

#include "lib/base/log.h"
#include "lib/base/shmfile.h"
#include "lib/commit/repeats.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

/* Of lib/commit/repeats.c. */
#define LAYOUT 2

static char path[PATH_MAX];

/* The digest of a body that is this text. */
static const unsigned char *
digest_of(struct repeats * repeats, const char * text)
{
	static unsigned char digest[DIGEST_MAC_SIZE];
	struct digest_mac mac;

	repeats_begin(repeats, &mac);
	digest_mac_feed(&mac, text, strlen(text));
	digest_mac_end(&mac, digest);
	return (digest);
}

static enum repeats_state
claim(struct repeats * repeats, const char * text)
{
	enum repeats_state state;

	repeats_lock(repeats);
	state = repeats_claim(repeats, digest_of(repeats, text));
	repeats_unlock(repeats);
	return (state);
}

static void
settle(struct repeats * repeats, const char * text, bool counted)
{

	repeats_lock(repeats);
	repeats_settle(repeats, digest_of(repeats, text), counted);
	repeats_unlock(repeats);
}

static void
test_one(const char * name)
{
	struct repeats * repeats = repeats_open(name);

	is_integer(claim(repeats, "a"), REPEATS_NEW, "a new body");
	is_integer(claim(repeats, "a"), REPEATS_BUSY, "it is being counted");
	is_integer(claim(repeats, "b"), REPEATS_NEW, "another is new");
	settle(repeats, "a", true);
	is_integer(claim(repeats, "a"), REPEATS_COUNTED, "it is counted");
	settle(repeats, "a", false);
	is_integer(claim(repeats, "a"), REPEATS_COUNTED, "and stays so");
	settle(repeats, "b", false);
	is_integer(claim(repeats, "b"), REPEATS_NEW,
	    "one that failed is to be counted");
	settle(repeats, "c", true);
	is_integer(claim(repeats, "c"), REPEATS_NEW,
	    "only a claim can be settled");
	repeats_close(repeats);
}

/* A child claims a body, lets the parent look, and dies. */
static pid_t
fork_claimer(const char * text)
{
	int ready[2];
	pid_t child;
	char byte;

	if (pipe(ready) != 0 || (child = fork()) == -1)
		abort();
	if (child == 0) {
		struct repeats * repeats = repeats_open(path);

		if (claim(repeats, text) != REPEATS_NEW ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		abort();
	close(ready[0]);
	return (child);
}

static void
test_processes(void)
{
	struct repeats * repeats = repeats_open(path);
	struct repeats * other = repeats_open(path);
	pid_t child;

	is_integer(claim(repeats, "shared"), REPEATS_NEW, "one claims it");
	is_integer(claim(other, "shared"), REPEATS_BUSY, "another sees that");
	settle(other, "shared", true);
	is_integer(claim(other, "shared"), REPEATS_BUSY,
	    "and cannot settle it");
	settle(repeats, "shared", true);
	is_integer(claim(other, "shared"), REPEATS_COUNTED, "it is counted");
	is_integer(claim(repeats, "closed"), REPEATS_NEW, "a last claim");
	repeats_close(repeats);
	is_integer(claim(other, "closed"), REPEATS_NEW,
	    "a claim ends with its owner");
	is_integer(claim(other, "shared"), REPEATS_COUNTED,
	    "what is counted stays so");
	child = fork_claimer("killed");
	is_integer(claim(other, "killed"), REPEATS_BUSY, "a process lives");
	kill(child, SIGSTOP);
	is_integer(claim(other, "killed"), REPEATS_BUSY, "or is stopped");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	is_integer(claim(other, "killed"), REPEATS_NEW,
	    "a killed process owns nothing");
	repeats_close(other);
}

/* The table goes on in another file, whoever notices first. */
static void
test_deleted(void)
{
	struct repeats * repeats = repeats_open(path);
	struct repeats * other = repeats_open(path);
	struct repeats * third;
	char name[SHMFILE_NAME_MAX];
	int i;

	if (shmfile_name(name, path, LAYOUT) != 0)
		abort();
	for (i = 0; i < 3; i++) {
		char before[8], under_way[8], after[8];

		snprintf(before, sizeof(before), "before%d", i);
		snprintf(under_way, sizeof(under_way), "way%d", i);
		snprintf(after, sizeof(after), "after%d", i);
		is_integer(claim(repeats, before), REPEATS_NEW, "a claim");
		settle(repeats, before, true);
		is_integer(claim(repeats, under_way), REPEATS_NEW, "another");
		ok(unlink(name) == 0, "the file is deleted");
		is_integer(claim(other, before), REPEATS_COUNTED,
		    "what was counted when the file was deleted stays so");
		is_integer(claim(other, under_way), REPEATS_BUSY,
		    "what was being counted is");
		third = repeats_open(path);
		is_integer(claim(third, before), REPEATS_COUNTED,
		    "and so it is for a process that starts now");
		is_integer(claim(third, after), REPEATS_NEW, "a claim of it");
		is_integer(claim(repeats, after), REPEATS_BUSY,
		    "is one for those that were there");
		settle(third, after, true);
		repeats_close(third);
		settle(repeats, under_way, true);
		is_integer(claim(other, under_way), REPEATS_COUNTED,
		    "and is counted");
		is_integer(claim(repeats, after), REPEATS_COUNTED,
		    "as the other one");
	}
	/* Nobody looks before another process starts: then all use its. */
	ok(unlink(name) == 0, "it is deleted again");
	third = repeats_open(path);
	is_integer(claim(third, "new"), REPEATS_NEW, "in a new file");
	settle(third, "new", true);
	repeats_lock(other);
	repeats_unlock(other);
	is_integer(claim(other, "new"), REPEATS_COUNTED, "all use that");
	repeats_close(third);
	repeats_close(other);
	repeats_close(repeats);
}

/* A process that was stopped while it changed the table. */
static void
test_lock_held(void)
{
	struct repeats * repeats = repeats_open(path);
	struct repeats * other = repeats_open(path);

	repeats_lock(other);
	is_integer(claim(repeats, "locked"), REPEATS_NEW,
	    "without the lock a body is new");
	settle(repeats, "locked", true);
	repeats_unlock(other);
	is_integer(claim(repeats, "locked"), REPEATS_NEW,
	    "and nothing was remembered");
	repeats_close(other);
	repeats_close(repeats);
}

/* However many bodies arrive, the latest are remembered. */
static void
test_full(void)
{
	struct repeats * repeats = repeats_open(NULL);
	size_t i, recent = 0, old = 0;
	char text[32];

	for (i = 0; i < 2 * REPEATS_SIZE; i++) {
		snprintf(text, sizeof(text), "%zu", i);
		claim(repeats, text);
		settle(repeats, text, true);
	}
	for (i = 0; i < 2 * REPEATS_SIZE; i++) {
		snprintf(text, sizeof(text), "%zu", i);
		repeats_lock(repeats);
		if (i < 1000 || i >= 2 * REPEATS_SIZE - 1000)
			*(i < 1000 ? &old : &recent) +=
			    repeats_claim(repeats, digest_of(repeats, text)) ==
			    REPEATS_COUNTED;
		repeats_unlock(repeats);
		settle(repeats, text, true);
	}
	ok(recent > 950 && old < 500, "%zu of the latest and %zu of the oldest "
	    "1000 are remembered", recent, old);
	repeats_close(repeats);
}

/* Bodies that are alike do not evict each other, even with an unlucky key. */
static void
test_alike(void)
{
	static const unsigned char key[DIGEST_MAC_KEY_SIZE] = { [8] = 4 };
	struct repeats * repeats = repeats_open(path);
	char name[SHMFILE_NAME_MAX], text[40];
	size_t i, recent = 0;
	FILE * file;

	if (shmfile_name(name, path, LAYOUT) != 0 ||
	    (file = fopen(name, "r+e")) == NULL)
		abort();
	fwrite(key, sizeof(key), 1, file);
	fclose(file);
	for (i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "%04zu as others are", i % 1000);
		recent += claim(repeats, text) == REPEATS_COUNTED;
		settle(repeats, text, true);
	}
	is_integer(recent, 1000, "all of them are remembered");
	repeats_close(repeats);
	unlink(name);
}

/* A time that is long ago is none, and one that is not there yet. */
static void
test_expired(void)
{
	static const int64_t ages[] = { REPEATS_LIFETIME + 1000, -10000 };
	struct repeats * repeats = repeats_open(path);
	char name[SHMFILE_NAME_MAX];
	unsigned char digest[DIGEST_MAC_SIZE], found[DIGEST_MAC_SIZE];
	int64_t when, changed;
	size_t i;
	FILE * file;

	for (i = 0; i < 2; i++) {
		claim(repeats, "old");
		settle(repeats, "old", true);
		is_integer(claim(repeats, "old"), REPEATS_COUNTED, "recent");
		memcpy(digest, digest_of(repeats, "old"), sizeof(digest));
		if (shmfile_name(name, path, LAYOUT) != 0 ||
		    (file = fopen(name, "r+e")) == NULL ||
		    fseek(file, DIGEST_MAC_KEY_SIZE, SEEK_SET) != 0)
			abort();
		while (fread(found, sizeof(found), 1, file) == 1 &&
		    fread(&when, sizeof(when), 1, file) == 1 &&
		    memcmp(found, digest, sizeof(found)) != 0)
			fseek(file, sizeof(int64_t), SEEK_CUR);
		changed = when - ages[i];
		fseek(file, -(long)sizeof(when), SEEK_CUR);
		fwrite(&changed, sizeof(changed), 1, file);
		fclose(file);
		is_integer(claim(repeats, "old"), REPEATS_NEW,
		    "%lld ms old", (long long)ages[i]);
		settle(repeats, "old", false);
	}
	repeats_close(repeats);
}

/* Marks whose time is not there yet take no room from those of now. */
static void
test_ahead(void)
{
	static const int64_t year = INT64_C(366) * 86400 * 1000;
	struct repeats * repeats = repeats_open(path);
	char name[SHMFILE_NAME_MAX], text[32];
	int64_t mark[4];
	size_t i, recent = 0;
	FILE * file;

	for (i = 0; i < 2 * REPEATS_SIZE; i++) {
		snprintf(text, sizeof(text), "ahead %zu", i);
		claim(repeats, text);
		settle(repeats, text, true);
	}
	if (shmfile_name(name, path, LAYOUT) != 0 ||
	    (file = fopen(name, "r+e")) == NULL)
		abort();
	for (i = 0; i < REPEATS_SIZE; i++) {
		fseek(file, (long)(DIGEST_MAC_KEY_SIZE + i * sizeof(mark)),
		    SEEK_SET);
		if (fread(mark, sizeof(mark), 1, file) != 1)
			abort();
		mark[2] += year;
		fseek(file, -(long)sizeof(mark), SEEK_CUR);
		fwrite(mark, sizeof(mark), 1, file);
	}
	fclose(file);
	for (i = 0; i < REPEATS_SIZE / 4; i++) {
		snprintf(text, sizeof(text), "now %zu", i);
		claim(repeats, text);
		settle(repeats, text, true);
	}
	for (i = 0; i < REPEATS_SIZE / 4; i++) {
		snprintf(text, sizeof(text), "now %zu", i);
		recent += claim(repeats, text) == REPEATS_COUNTED;
		settle(repeats, text, true);
	}
	ok(recent > REPEATS_SIZE / 4 - 100, "%zu of %zu are remembered", recent,
	    REPEATS_SIZE / 4);
	repeats_close(repeats);
}

static void
test_unusable(void)
{
	char missing[PATH_MAX];

	temporary_path(missing, "missing/repeats");
	test_one(missing);
}

int
main(void)
{

	if (digest_init() != 0)
		return (EXIT_FAILURE);
	log_set_level(LOG_LEVEL_ERROR);
	temporary_create();
	temporary_path(path, "repeats");
	test_one(NULL);
	test_one(path);
	test_processes();
	test_deleted();
	test_lock_held();
	test_full();
	test_alike();
	test_expired();
	test_ahead();
	test_unusable();
	repeats_close(NULL);
	return (tap_done());
}
