#ifndef FLAGTALLY_DIGEST_CACHE_H
#define FLAGTALLY_DIGEST_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/digest.h"

/*
 * A cache of digests, each with the time at which it was last looked up, in
 * milliseconds since 1970 because the processes of a host may share the cache.
 * Its size is fixed: a new digest replaces the oldest of its neighbours.  Any
 * thread may call these functions, and none of them blocks.
 */
struct digest_cache;

/* The number of digests; a size must be a power of two, at least 8. */
#define DIGEST_CACHE_SHARED_SIZE ((size_t)65536)

/**
 * digest_cache_open(path, size):
 * Return a cache with room for ${size} digests.  With a ${path}, all processes
 * that name the same file share the cache, and the file is created if it does
 * not exist.  If it is unusable, log why, and return a cache of this process
 * alone, as with a ${path} of NULL.  The caller closes the cache.
 */
struct digest_cache * digest_cache_open(const char * path, size_t size);

/**
 * digest_cache_renew(cache):
 * If the file was deleted, go on with a new one, to which the digests are
 * copied.  To be called now and then, by one thread.
 */
void digest_cache_renew(struct digest_cache * cache);

/**
 * digest_cache_find(cache, digest):
 * Return the time stored with a digest, or 0 if the cache does not have it.
 */
int64_t digest_cache_find(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE]);

/**
 * digest_cache_latest(cache):
 * Return the latest of all times, or 0 if the cache is empty.
 */
int64_t digest_cache_latest(const struct digest_cache * cache);

/**
 * digest_cache_put(cache, digest, when):
 * Store a digest with a time, which must not be 0.
 */
void digest_cache_put(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE],
    int64_t when);

/**
 * digest_cache_remove(cache, digest):
 * Remove a digest, if the cache has it.
 */
void digest_cache_remove(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE]);

/**
 * digest_cache_close(cache):
 * Free the cache, which can be NULL.  Its file stays.
 */
void digest_cache_close(struct digest_cache * cache);

#endif
