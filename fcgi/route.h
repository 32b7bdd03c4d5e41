#ifndef FLAGTALLY_ROUTE_H
#define FLAGTALLY_ROUTE_H

#include <stdbool.h>

#include "fcgi/cgi.h"

enum route {
	ROUTE_NONE,
	ROUTE_BULK,		/* POST /api/client/metrics/bulk */
	ROUTE_EDGE,		/* POST /api/client/metrics/edge */
	ROUTE_CLIENT_METRICS,	/* POST /api/client/metrics */
	ROUTE_CLIENT_REGISTER,	/* POST /api/client/register */
	ROUTE_FRONTEND_METRICS,	/* POST /api/frontend/client/metrics */
	ROUTE_FRONTEND_REGISTER,/* POST /api/frontend/client/register */
	ROUTE_HEALTH,		/* GET /internal-backstage/health */
	ROUTE_READY,		/* GET /internal-backstage/ready */
	ROUTE_PAGE,		/* GET /flagtally */
	ROUTE_USAGE,		/* GET /internal-backstage/usage */
	ROUTE_METRICS,		/* GET /internal-backstage/metrics */
};

/**
 * route_of(cgi, prefix):
 * Return the route of a request's path.  The path is taken from REQUEST_URI, or
 * else from SCRIPT_NAME and PATH_INFO, which differ from it after internal
 * redirects, and has to begin with ${prefix}.  PATH_INFO alone, which is the
 * path below the program in a cgi-bin, is accepted without ${prefix}, too.
 * Doubled slashes, and one at the end, are ignored.
 */
enum route route_of(const struct cgi * cgi, const char * prefix);

#endif
