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
 * Return what a request's path leads to.  The path is that of REQUEST_URI, or
 * of SCRIPT_NAME and PATH_INFO, which differ after internal redirects, and
 * stands under ${prefix}; PATH_INFO alone, which is the path below the program
 * in a cgi-bin, may also stand without it.  Doubled slashes and one at the end
 * are tolerated.
 */
enum route route_of(const struct cgi * cgi, const char * prefix);

#endif
