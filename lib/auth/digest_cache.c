#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auth/digest_cache.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/shmfile.h"

/*
 * An eight-way cache: a digest's first word selects its set of eight slots.
 * There is no lock, because a process that is killed would leave it held in the
 * shared file.  Each word of a slot is atomic, but a slot as a whole is not, so
 * a reader may see a mix of two digests.  A mix matches no real digest.  A
 * reader that matches all words of a digest may still get the time of the
 * digest before it in this slot, which was stored as well.  Two writers that
 * meet in a slot may leave a mix behind, which is a miss later.
 */
#define WAYS 8
#define WORDS (DIGEST_SIZE / sizeof(uint64_t))

/* The version of the layout; increase it with every change of struct slot. */
#define LAYOUT 1

struct slot {
	_Atomic int64_t when;		/* 0: the slot is free. */
	_Atomic uint64_t words[WORDS];
};

struct digest_cache {
	struct slot * slots;
	size_t size;
	char * path;
	int descriptor;			/* Of the file; -1: malloc'd. */
};

struct digest_cache *
digest_cache_open(const char * path, size_t size)
{
	struct digest_cache * cache = alloc_zeroed(1, sizeof(*cache));

	cache->size = size;
	cache->descriptor = -1;
	if (path != NULL) {
		cache->slots = shmfile_open(path, LAYOUT,
		    size * sizeof(*cache->slots), &cache->descriptor);
		cache->path = alloc_string(path);
		if (cache->slots == NULL)
			log_warning("%s cannot be used, so tokens are cached "
			    "by this process alone: %s", path,
			    errno == EEXIST ? "it is of another kind" :
			    strerror(errno));
	}
	if (cache->slots == NULL)
		cache->slots = alloc_zeroed(size, sizeof(*cache->slots));
	return (cache);
}

static void
words_of(uint64_t words[WORDS], const unsigned char digest[DIGEST_SIZE])
{

	memcpy(words, digest, DIGEST_SIZE);
}

static struct slot *
set_of(struct digest_cache * cache, const uint64_t words[WORDS])
{

	return (&cache->slots[words[0] & (cache->size - 1) &
	    ~(uint64_t)(WAYS - 1)]);
}

/* Compare in constant time. */
static bool
holds(const struct slot * slot, const uint64_t words[WORDS])
{
	uint64_t difference = 0;
	size_t i;

	for (i = 0; i < WORDS; i++)
		difference |= slot->words[i] ^ words[i];
	return (difference == 0);
}

/* Return the slot with these words, or NULL. */
static struct slot *
find_digest(struct digest_cache * cache, const uint64_t words[WORDS])
{
	struct slot * set = set_of(cache, words);
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (set[i].when != 0 && holds(&set[i], words))
			return (&set[i]);
	return (NULL);
}

int64_t
digest_cache_find(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE])
{
	uint64_t words[WORDS];
	const struct slot * slot;
	int64_t when;

	words_of(words, digest);
	slot = find_digest(cache, words);
	if (slot == NULL)
		return (0);
	when = slot->when;
	/* Another thread may have replaced the digest since. */
	return (holds(slot, words) ? when : 0);
}

int64_t
digest_cache_latest(const struct digest_cache * cache)
{
	int64_t latest = 0;
	size_t i;

	for (i = 0; i < cache->size; i++)
		if (cache->slots[i].when > latest)
			latest = cache->slots[i].when;
	return (latest);
}

void
digest_cache_put(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE],
    int64_t when)
{
	uint64_t words[WORDS];
	struct slot * set, * slot;
	size_t i;

	words_of(words, digest);
	slot = find_digest(cache, words);
	if (slot == NULL) {
		set = set_of(cache, words);
		slot = &set[0];
		for (i = 1; i < WAYS; i++)
			if (set[i].when < slot->when)
				slot = &set[i];
		/* Evict.  A reader must not pair the old time with the new
		 * digest. */
		slot->when = 0;
		for (i = 0; i < WORDS; i++)
			slot->words[i] = words[i];
	}
	slot->when = when;
}

/* Put back what was cached before another file was mapped. */
static void
restore_slots(struct digest_cache * cache, const struct slot * saved)
{
	unsigned char digest[DIGEST_SIZE];
	uint64_t words[WORDS];
	size_t i, j;

	for (i = 0; i < cache->size; i++) {
		if (saved[i].when == 0)
			continue;
		for (j = 0; j < WORDS; j++)
			words[j] = saved[i].words[j];
		memcpy(digest, words, sizeof(digest));
		digest_cache_put(cache, digest, saved[i].when);
	}
}

void
digest_cache_renew(struct digest_cache * cache)
{
	size_t bytes = cache->size * sizeof(*cache->slots);
	struct slot * saved;
	int descriptor;

	if (cache->descriptor == -1 || shmfile_is_there(cache->path, LAYOUT,
	    cache->descriptor))
		return;
	saved = alloc_zeroed(1, bytes);
	memcpy(saved, cache->slots, bytes);
	descriptor = shmfile_renew(cache->path, LAYOUT, cache->slots, bytes);
	if (descriptor != -1) {
		restore_slots(cache, saved);
		close(cache->descriptor);
		cache->descriptor = descriptor;
	}
	free(saved);
}

void
digest_cache_remove(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE])
{
	uint64_t words[WORDS];
	struct slot * slot;

	words_of(words, digest);
	slot = find_digest(cache, words);
	if (slot == NULL)
		return;
	slot->when = 0;
	/* A digest_cache_put under way in another thread may still set the
	 * time: it must not revive the digest. */
	slot->words[WORDS - 1] = ~words[WORDS - 1];
}

void
digest_cache_close(struct digest_cache * cache)
{

	if (cache == NULL)
		return;
	if (cache->descriptor != -1) {
		shmfile_close(cache->slots,
		    cache->size * sizeof(*cache->slots));
		close(cache->descriptor);
	} else
		free(cache->slots);
	free(cache->path);
	free(cache);
}
