#ifndef FLAGTALLY_CORS_H
#define FLAGTALLY_CORS_H

#include <stdbool.h>
#include <stddef.h>

#include "fcgi/cgi.h"

/*
 * Cross-origin requests (the Fetch standard, section 3.2): a browser runs an
 * SDK in pages of other origins, and asks before each POST.
 */
struct cors {
	const char * origins;		/* `*`, or a list with commas or blanks
					 * between. */
};

/* Room for the headers of a response, with a NUL. */
#define CORS_HEADERS_MAX 2048

/**
 * cors_headers(cgi, preflight, out):
 * Write the headers to ${out} that the response to a request needs by ${cgi}'s
 * cors, which can be NULL: then there are none.  A ${preflight} request asks
 * what it can send.  Return their length.
 */
size_t cors_headers(const struct cgi * cgi, bool preflight,
    char out[CORS_HEADERS_MAX]);

#endif
