#include <pthread.h>

#include "lib/auth/digest_cache.h"
#include "lib/base/digest.h"
#include "lib/base/shmfile.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

#define SIZE 64

static char path[PATH_MAX];

/* A digest of which each number has its own. */
static const unsigned char *
digest_of(unsigned char digest[DIGEST_SIZE], unsigned int number)
{

	digest_sha256(&number, sizeof(number), digest);
	return (digest);
}

static int64_t
find(struct digest_cache * cache, unsigned int number)
{
	unsigned char digest[DIGEST_SIZE];

	return (digest_cache_find(cache, digest_of(digest, number)));
}

static void
put(struct digest_cache * cache, unsigned int number, int64_t when)
{
	unsigned char digest[DIGEST_SIZE];

	digest_cache_put(cache, digest_of(digest, number), when);
}

static void
test_one(const char * name)
{
	struct digest_cache * cache = digest_cache_open(name, SIZE);
	unsigned char digest[DIGEST_SIZE];

	is_integer(find(cache, 1), 0, "it is empty at first");
	put(cache, 1, 1000);
	is_integer(find(cache, 1), 1000, "what was put in");
	is_integer(find(cache, 2), 0, "and nothing else");
	put(cache, 1, 2000);
	is_integer(find(cache, 1), 2000, "a later time");
	digest_of(digest, 1);
	digest[DIGEST_SIZE - 1] ^= 1;
	is_integer(digest_cache_find(cache, digest), 0, "every bit counts");
	digest_cache_remove(cache, digest);
	is_integer(find(cache, 1), 2000, "another is removed");
	digest_cache_remove(cache, digest_of(digest, 1));
	is_integer(find(cache, 1), 0, "it is removed");
	digest_cache_close(cache);
}

/* The newest stay, however many come. */
static void
test_full(void)
{
	struct digest_cache * cache = digest_cache_open(NULL, SIZE);
	unsigned int number, found = 0, recent = 0;

	for (number = 0; number < 10000; number++)
		put(cache, number, number + 1);
	for (number = 0; number < 10000; number++)
		if (find(cache, number) == number + 1) {
			found++;
			recent += number >= 10000 - 4 * SIZE;
		}
	is_integer(found, SIZE, "all room is taken");
	ok(recent > SIZE * 9 / 10, "by the newest: %u", recent);
	for (number = 0; number < 10000; number++)
		if (find(cache, number) != 0)
			break;
	put(cache, number, 20000);
	is_integer(find(cache, number), 20000, "what is there keeps its room");
	digest_cache_close(cache);
}

/* It outlives the process, and others see it at once. */
static void
test_shared(void)
{
	struct digest_cache * cache = digest_cache_open(path, SIZE);
	struct digest_cache * other = digest_cache_open(path, SIZE);
	char name[SHMFILE_NAME_MAX];

	put(cache, 7, 70);
	is_integer(find(other, 7), 70, "what one has put in");
	digest_cache_close(cache);
	digest_cache_close(other);
	cache = digest_cache_open(path, SIZE);
	is_integer(find(cache, 7), 70, "is still there later");
	digest_cache_close(cache);
	if (shmfile_name(name, path, 1) != 0 || truncate(name, 1 << 20) != 0)
		abort();
	cache = digest_cache_open(path, SIZE);
	put(cache, 8, 80);
	is_integer(find(cache, 8), 80, "without the file it works all the "
	    "same");
	digest_cache_close(cache);
}

static void
test_deleted(void)
{
	struct digest_cache * cache = digest_cache_open(path, SIZE);
	struct digest_cache * other = digest_cache_open(path, SIZE);
	char name[SHMFILE_NAME_MAX];

	put(cache, 9, 90);
	put(cache, 10, 100);
	if (shmfile_name(name, path, 1) != 0 || unlink(name) != 0)
		abort();
	digest_cache_renew(cache);
	is_integer(find(cache, 9), 90, "what was there is in the new file");
	put(cache, 11, 110);
	digest_cache_renew(other);
	is_integer(find(other, 11), 110, "which the other one uses, too");
	is_integer(find(other, 10), 100, "with all of it");
	digest_cache_renew(other);
	digest_cache_close(other);
	other = digest_cache_open(path, SIZE);
	is_integer(find(other, 9), 90, "and the next one does");
	digest_cache_close(cache);
	digest_cache_close(other);
}

static struct digest_cache * busy;
static _Atomic int wrong;

/* Digest n has times that are n modulo 100: parts never mix. */
static void *
stir(void * context)
{
	unsigned int seed = *(unsigned int *)context;
	int i;

	for (i = 0; i < 20000; i++) {
		unsigned int number = (seed = seed * 1103515245 + 12345) >>
		    16 & 31;
		unsigned char digest[DIGEST_SIZE];
		int64_t when = find(busy, number);

		if (when != 0 && when % 100 != (int64_t)number)
			wrong++;
		if (i % 5 == 0)
			digest_cache_remove(busy, digest_of(digest, number));
		else
			put(busy, number, 100 * (int64_t)(i + 1) + number);
	}
	return (NULL);
}

static void
test_threads(void)
{
	unsigned int seeds[] = { 1, 2, 3, 4 };
	pthread_t threads[4];
	int i;

	busy = digest_cache_open(NULL, 8);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, stir, &seeds[i]);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	/* Two who meet may give one the time of the other: see cache.c. */
	ok(wrong < 80000 / 100, "times stay with their digests: %d", wrong);
	digest_cache_close(busy);
}

int
main(void)
{

	if (digest_init() != 0)
		return (EXIT_FAILURE);
	temporary_create();
	temporary_path(path, "cache");
	test_one(NULL);
	test_one(path);
	test_full();
	test_deleted();
	test_shared();
	test_threads();
	digest_cache_close(NULL);
	return (tap_done());
}
