#ifndef FLAGTALLY_BACKSTAGE_H
#define FLAGTALLY_BACKSTAGE_H

#include <stdbool.h>

#include "fcgi/auth.h"
#include "fcgi/cgi.h"
#include "fcgi/route.h"
#include "lib/config/config.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/*
 * Health, readiness and metrics, for operators.  The name is that of the paths,
 * /internal-backstage/, which are those of Unleash Edge.
 */

enum backstage_spool {
	BACKSTAGE_SPOOL_OK,
	BACKSTAGE_SPOOL_FULL,
	BACKSTAGE_SPOOL_FAILED,
};

struct backstage_state {
	bool redis_down;
	enum backstage_spool spool;
	char spool_why[400];		/* If it is not OK. */
	bool has_tokens;		/* Their state is known. */
	enum auth_state tokens;
	bool has_depth;
	struct spool_depth depth[SPOOL_STATE_COUNT];
};

/*
 * Fills in a state, which is all zero before; if ${tries}, by trying what the
 * next request would need, which takes a moment.  Any thread may call it.
 */
typedef void backstage_look(void * context, bool tries,
    struct backstage_state * state);

/**
 * backstage_tokens(state):
 * Return a word for the state of the tokens.
 */
const char * backstage_tokens(const struct backstage_state * state);

struct backstage {
	enum config_access access;
	struct stats * stats;		/* Or NULL. */
	const char * version;
	backstage_look * probe;
	void * context;
};

/**
 * backstage_admits(access, cgi):
 * Return true if the client of a request is allowed to see what ${access}
 * protects.
 */
bool backstage_admits(enum config_access access, const struct cgi * cgi);

/**
 * backstage_serve(backstage, cgi, route):
 * Respond to a request for ROUTE_HEALTH, ROUTE_READY or ROUTE_METRICS.  Return
 * false if the client is not allowed to see them; the caller then sends 404.
 */
bool backstage_serve(const struct backstage * backstage,
    struct cgi * cgi, enum route route);

#endif
