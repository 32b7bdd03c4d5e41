#ifndef FLAGTALLY_PAGE_H
#define FLAGTALLY_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "fcgi/backstage.h"
#include "fcgi/cgi.h"
#include "fcgi/health.h"
#include "fcgi/page_cache.h"
#include "lib/redis/address.h"

/*
 * The page at /flagtally: counts as HTML without scripts, and as CSV and JSON
 * at the same address with format=csv or format=json; the query is that of
 * page_query.
 */
#define PAGE_CONCURRENT_MAX 2

struct page {
	enum config_access access;
	const char * prefix;			/* Of the keys in Redis. */
	const struct redis_address * redis;
	struct health_source source;
	size_t limit_scrape;			/* Samples; 0: no limit. */
	_Atomic int readers;			/* Requests that read Redis. */
	struct page_cache cache;
};

/**
 * page_serve(page, cgi):
 * Respond to a request for the page, if possible from page_cache.  At most
 * PAGE_CONCURRENT_MAX requests read from Redis at once; others get 503.  Return
 * false, without a response, if the client is not allowed to see the page; the
 * caller then sends 404.
 */
bool page_serve(struct page * page, struct cgi * cgi);

/**
 * page_usage(page, access, cgi):
 * As page_serve, for the counts in Prometheus's text format, for clients that
 * ${access} admits.
 */
bool page_usage(struct page * page, enum config_access access,
    struct cgi * cgi);

#endif
