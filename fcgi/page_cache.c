#include <stdlib.h>
#include <string.h>

#include "fcgi/page_cache.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"

struct page_response *
page_cache_response(const char * type, char * headers, char * content,
    size_t length)
{
	struct page_response * response = alloc_bytes(sizeof(*response));

	*response = (struct page_response){ .type = type, .headers = headers,
	    .content = content, .length = length, .users = 1 };
	return (response);
}

void
page_cache_release(struct page_response * response)
{

	if (atomic_fetch_sub(&response->users, 1) > 1)
		return;
	free(response->headers);
	free(response->content);
	free(response);
}

void
page_cache_init(struct page_cache * cache)
{

	pthread_mutex_init(&cache->lock, NULL);
	memset(cache->slots, 0, sizeof(cache->slots));
}

static void
free_slot(struct page_cache_slot * slot)
{

	if (slot->response != NULL) {
		page_cache_release(slot->response);
		free(slot->query);
	}
	slot->response = NULL;
}

/* Free the slots whose time has passed; return the bytes that are left. */
static size_t
expire_slots(struct page_cache * cache)
{
	int64_t now = clock_monotonic();
	struct page_cache_slot * slot;
	size_t bytes = 0;

	for (slot = cache->slots; slot < cache->slots + PAGE_CACHE_SLOTS;
	    slot++) {
		if (slot->response != NULL && slot->until <= now)
			free_slot(slot);
		if (slot->response != NULL)
			bytes += slot->response->length;
	}
	return (bytes);
}

static struct page_cache_slot *
slot_of(struct page_cache * cache, const char * query)
{
	struct page_cache_slot * slot;

	for (slot = cache->slots; slot < cache->slots + PAGE_CACHE_SLOTS;
	    slot++)
		if (slot->response != NULL && strcmp(slot->query, query) == 0)
			return (slot);
	return (NULL);
}

static struct page_cache_slot *
empty_slot(struct page_cache * cache)
{
	struct page_cache_slot * slot;

	for (slot = cache->slots; slot < cache->slots + PAGE_CACHE_SLOTS;
	    slot++)
		if (slot->response == NULL)
			return (slot);
	return (NULL);
}

struct page_response *
page_cache_find(struct page_cache * cache, const char * query)
{
	struct page_response * response = NULL;
	struct page_cache_slot * slot;

	pthread_mutex_lock(&cache->lock);
	expire_slots(cache);
	slot = slot_of(cache, query);
	if (slot != NULL) {
		response = slot->response;
		atomic_fetch_add(&response->users, 1);
	}
	pthread_mutex_unlock(&cache->lock);
	return (response);
}

void
page_cache_keep(struct page_cache * cache, const char * query,
    struct page_response * response, int64_t took)
{
	int64_t time = took * PAGE_CACHE_SHARE;
	struct page_cache_slot * slot;
	size_t bytes;

	if (took < PAGE_CACHE_TOOK_MIN)
		return;
	pthread_mutex_lock(&cache->lock);
	bytes = expire_slots(cache);
	slot = slot_of(cache, query);
	if (slot != NULL) {
		bytes -= slot->response->length;
		free_slot(slot);
	} else
		slot = empty_slot(cache);
	if (slot != NULL && bytes + response->length <= PAGE_CACHE_BYTES_MAX) {
		atomic_fetch_add(&response->users, 1);
		*slot = (struct page_cache_slot){ .query = alloc_string(query),
		    .response = response, .until = clock_monotonic() +
		    (time < PAGE_CACHE_TIME_MAX ? time :
		    PAGE_CACHE_TIME_MAX) };
	}
	pthread_mutex_unlock(&cache->lock);
}
