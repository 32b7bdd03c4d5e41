#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auth/digest_cache.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/shmfile.h"

/*
 * A table of sets of eight slots; a digest chooses its set.  All that is in a
 * slot is atomic, but it is not changed in one step, and no lock is taken that
 * would not die with its holder.  So a reader may see parts of two digests.
 * Together they are nobody's: it finds a digest only if it has seen all of it,
 * and with it the time of it or of the one before, both of which were put in.
 * Two writers who meet in a slot may spoil it, and then it is not found.
 */
#define WAYS 8
#define WORDS (DIGEST_SIZE / sizeof(uint64_t))

/* Says which layout this is, should it ever change. */
#define LAYOUT 1

struct slot {
	_Atomic int64_t when;		/* 0: nothing is here. */
	_Atomic uint64_t words[WORDS];
};

struct digest_cache {
	struct slot * slots;
	size_t size;
	bool shared;			/* Else they are from malloc. */
};

struct digest_cache *
digest_cache_open(const char * path, size_t size)
{
	struct digest_cache * cache = alloc_zeroed(1, sizeof(*cache));

	cache->size = size;
	if (path != NULL) {
		cache->slots = shmfile_open(path, LAYOUT,
		    size * sizeof(*cache->slots), NULL);
		cache->shared = cache->slots != NULL;
		if (!cache->shared)
			log_warning("%s cannot be used, so what is known of "
			    "tokens is forgotten at the end: %s", path,
			    errno == EEXIST ? "it is something else" :
			    strerror(errno));
	}
	if (!cache->shared)
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

/* In a time that does not tell where they differ. */
static bool
holds(const struct slot * slot, const uint64_t words[WORDS])
{
	uint64_t difference = 0;
	size_t i;

	for (i = 0; i < WORDS; i++)
		difference |= slot->words[i] ^ words[i];
	return (difference == 0);
}

/* The slot with these words, or NULL. */
static struct slot *
find(struct digest_cache * cache, const uint64_t words[WORDS])
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
	slot = find(cache, words);
	if (slot == NULL)
		return (0);
	when = slot->when;
	/* Another may have come in its place since. */
	return (holds(slot, words) ? when : 0);
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
	slot = find(cache, words);
	if (slot == NULL) {
		set = set_of(cache, words);
		slot = &set[0];
		for (i = 1; i < WAYS; i++)
			if (set[i].when < slot->when)
				slot = &set[i];
		/* Its time must not be taken for that of the new one. */
		slot->when = 0;
		for (i = 0; i < WORDS; i++)
			slot->words[i] = words[i];
	}
	slot->when = when;
}

void
digest_cache_remove(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE])
{
	uint64_t words[WORDS];
	struct slot * slot;

	words_of(words, digest);
	slot = find(cache, words);
	if (slot == NULL)
		return;
	slot->when = 0;
	/* Whoever is about to set a time must not bring it back. */
	slot->words[WORDS - 1] = ~words[WORDS - 1];
}

void
digest_cache_close(struct digest_cache * cache)
{

	if (cache == NULL)
		return;
	if (cache->shared)
		shmfile_close(cache->slots,
		    cache->size * sizeof(*cache->slots));
	else
		free(cache->slots);
	free(cache);
}
