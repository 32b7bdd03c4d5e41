#ifndef FLAGTALLY_DIGEST_CACHE_H
#define FLAGTALLY_DIGEST_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/digest.h"

/*
 * A bounded number of digests, and when something was last found out about
 * each: milliseconds since 1970, as the processes of a host may share them.
 * One that is new takes the place of the oldest of its neighbours.  Any thread
 * may call these, and nobody ever waits.
 */
struct digest_cache;

/* How many digests there is room for, from 8 on: a power of two. */
#define DIGEST_CACHE_SHARED_SIZE ((size_t)65536)

/**
 * digest_cache_open(path, size):
 * Return a cache with room for ${size} digests.  With a ${path} it is the one
 * of all processes that name the same file, which is made if need be; if it
 * cannot be used the log says why, and the cache is one of this process alone,
 * as it is with NULL.  The caller closes it.
 */
struct digest_cache * digest_cache_open(const char * path, size_t size);

/**
 * digest_cache_find(cache, digest):
 * Return the time that was put in with a digest, 0 if it is not there.
 */
int64_t digest_cache_find(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE]);

/**
 * digest_cache_put(cache, digest, when):
 * Put in a digest and a time, which is not 0.
 */
void digest_cache_put(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE],
    int64_t when);

/**
 * digest_cache_remove(cache, digest):
 * Take a digest out, if it is there.
 */
void digest_cache_remove(struct digest_cache * cache,
    const unsigned char digest[DIGEST_SIZE]);

/**
 * digest_cache_close(cache):
 * Free the cache; a file stays.
 */
void digest_cache_close(struct digest_cache * cache);

#endif
