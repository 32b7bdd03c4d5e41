#ifndef FLAGTALLY_REQUEST_H
#define FLAGTALLY_REQUEST_H

#include "fcgi/auth.h"
#include "fcgi/backstage.h"
#include "fcgi/cgi.h"
#include "fcgi/cors.h"
#include "fcgi/page.h"
#include "fcgi/response.h"
#include "lib/base/arena.h"
#include "lib/body/body.h"
#include "lib/commit/commit.h"
#include "lib/commit/edges.h"
#include "lib/stats/stats.h"

struct intake;

/* Shared by all requests. */
struct service {
	const char * path_prefix;
	struct auth auth;
	struct body_settings body;	/* Without an environment. */
	const char * default_environment;	/* Of a token for any. */
	struct cors cors;		/* Of the frontends' paths. */
	struct committer * committer;
	struct repeats * repeats;
	struct edges * edges;
	struct stats * stats;
	struct backstage backstage;
	struct page * page;
};

/*
 * One request, from its first byte to its response.  Its memory is reused for
 * the next one.
 */
struct request {
	struct cgi cgi;
	const struct intake * intake;	/* Of its path. */
	struct commit_ticket ticket;
	unsigned char digest[DIGEST_MAC_SIZE];	/* Of the body. */
	struct arena * arena;		/* For the tally and all else. */
	struct arena * element;		/* For one element of the body. */
};

/**
 * request_init(request):
 * request_free(request):
 * Initialize a request, and free what it holds.  The caller sets its cgi, and
 * the owner of its ticket.
 */
void request_init(struct request * request);
void request_free(struct request * request);

/**
 * request_serve(service, request):
 * Read one request and act on it.  Return true if its response is sent.
 * Return false if the committer has its ticket: then do not touch the request
 * until the ticket comes back, and call request_conclude then.
 */
bool request_serve(const struct service * service, struct request * request);

/**
 * request_conclude(service, request):
 * Answer a request whose ticket came back from the committer.
 */
void request_conclude(const struct service * service,
    struct request * request);

/**
 * request_refuse(service, cgi, detail):
 * Answer a request whose parameters are too large.  Its connection cannot serve
 * another one.
 */
void request_refuse(const struct service * service,
    struct cgi * cgi, const char * detail);

#endif
