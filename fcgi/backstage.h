#ifndef FLAGTALLY_BACKSTAGE_H
#define FLAGTALLY_BACKSTAGE_H

#include <stdbool.h>

#include "fcgi/cgi.h"
#include "fcgi/route.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/* What operators see of the service: its health and its metrics. */

/* Who may see it. */
enum backstage_access {
	BACKSTAGE_LOCAL,	/* Who asks from this host, by no proxy. */
	BACKSTAGE_ALL,
	BACKSTAGE_OFF,
};

enum backstage_spool {
	BACKSTAGE_SPOOL_OK,
	BACKSTAGE_SPOOL_FULL,
	BACKSTAGE_SPOOL_FAILED,
};

struct backstage_state {
	bool redis_down;
	enum backstage_spool spool;
	bool has_depth;
	struct spool_depth depth[SPOOL_STATE_COUNT];
};

/* Fills a state, which is all zero; any thread may call it. */
typedef void backstage_look(void * context, struct backstage_state * state);

struct backstage {
	enum backstage_access access;
	struct stats * stats;		/* May be NULL. */
	const char * version;
	backstage_look * probe;
	void * context;
};

/**
 * backstage_admits(access, cgi):
 * Return true if the client of a request is allowed to see what ${access}
 * protects.
 */
bool backstage_admits(enum backstage_access access, const struct cgi * cgi);

/**
 * backstage_serve(backstage, cgi, route):
 * Answer a request for ROUTE_HEALTH, ROUTE_READY or ROUTE_METRICS.  Return
 * false if it has not been answered, because who asks may not see these: to
 * him nothing is there.
 */
bool backstage_serve(const struct backstage * backstage,
    struct cgi * cgi, enum route route);

#endif
