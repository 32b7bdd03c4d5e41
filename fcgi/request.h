#ifndef FLAGTALLY_REQUEST_H
#define FLAGTALLY_REQUEST_H

#include "fcgi/answer.h"
#include "fcgi/backstage.h"
#include "fcgi/caller.h"
#include "fcgi/exchange.h"
#include "lib/arena.h"
#include "lib/body.h"
#include "lib/commit.h"
#include "lib/stats.h"

/* What all requests share. */
struct service {
	const char * path_prefix;
	struct callers callers;
	struct body_settings body;	/* Without an environment. */
	struct committer * committer;
	struct stats * stats;
	struct backstage backstage;
};

/* What a thread keeps for the requests it serves one after the other. */
struct workspace {
	struct arena * request;
	struct arena * element;
};

/**
 * workspace_init(workspace):
 * workspace_free(workspace):
 * Make a workspace ready, and free what it holds.
 */
void workspace_init(struct workspace * workspace);
void workspace_free(struct workspace * workspace);

/**
 * request_serve(service, workspace, exchange):
 * Read one request, act on it, and answer it.  What it took of the workspace
 * is given back.
 */
void request_serve(const struct service * service,
    struct workspace * workspace, struct exchange * exchange);

/**
 * request_refuse(service, exchange, detail):
 * Answer a request that is too large to be read; its connection is of no more
 * use.
 */
void request_refuse(const struct service * service,
    struct exchange * exchange, const char * detail);

#endif
