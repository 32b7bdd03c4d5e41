#ifndef FLAGTALLY_PAGE_CACHE_H
#define FLAGTALLY_PAGE_CACHE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A short cache of responses that took long to read.  One that took a time t is
 * served again for PAGE_CACHE_SHARE times t, but for PAGE_CACHE_TIME_MAX at
 * most.  So however many clients ask for it, reading it takes a tenth of the
 * time, or more only if it takes over half a second.  A response that is read
 * quickly is not cached, and always current.
 */
#define PAGE_CACHE_SHARE 10
#define PAGE_CACHE_TOOK_MIN 20		/* Milliseconds. */
#define PAGE_CACHE_TIME_MAX 5000	/* Likewise. */
#define PAGE_CACHE_SLOTS 8
#define PAGE_CACHE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* A response; it is freed when its last user releases it. */
struct page_response {
	const char * type;		/* The media type; static. */
	char * headers;			/* As response_page takes them. */
	char * content;
	size_t length;
	_Atomic int users;
};

struct page_cache {
	pthread_mutex_t lock;
	struct page_cache_slot {
		char * query;
		struct page_response * response;	/* NULL: free. */
		int64_t until;
	} slots[PAGE_CACHE_SLOTS];
};

/**
 * page_cache_response(type, headers, content, length):
 * Return a response with one user.  It owns ${headers} and ${content}, which
 * free must accept; ${type} must be static.
 */
struct page_response * page_cache_response(const char * type, char * headers,
    char * content, size_t length);

/**
 * page_cache_release(response):
 * End one use of a response.
 */
void page_cache_release(struct page_response * response);

/**
 * page_cache_init(cache):
 * Make an empty cache.
 */
void page_cache_init(struct page_cache * cache);

/**
 * page_cache_find(cache, query):
 * Return the response that is kept for ${query}, which the caller releases, or
 * NULL.
 */
struct page_response * page_cache_find(struct page_cache * cache,
    const char * query);

/**
 * page_cache_keep(cache, query, response, took):
 * Keep ${response}, which took ${took} milliseconds to read, unless that is too
 * little, or the response too large.
 */
void page_cache_keep(struct page_cache * cache, const char * query,
    struct page_response * response, int64_t took);

#endif
