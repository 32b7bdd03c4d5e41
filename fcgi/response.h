#ifndef FLAGTALLY_RESPONSE_H
#define FLAGTALLY_RESPONSE_H

#include "fcgi/cgi.h"
#include "lib/base/fault.h"

/*
 * All responses, and the one place where a fault becomes a status.  Clients act
 * on the status: see Answers in flagtally(8).
 */
enum response_kind {
	RESPONSE_OK,			/* 200 */
	RESPONSE_ACCEPTED,		/* 202, as Edge expects it: {} */
	RESPONSE_TAKEN,			/* 202, as a backend SDK expects it. */
	RESPONSE_TAKEN_OK,		/* 200, as a frontend SDK does. */
	RESPONSE_PREFLIGHT,		/* 204, to a browser's OPTIONS. */
	RESPONSE_INVALID,		/* 400 */
	RESPONSE_NO_ACCESS,		/* 403 */
	RESPONSE_NOT_FOUND,		/* 404 */
	RESPONSE_WRONG_METHOD,		/* 405: only POST is allowed. */
	RESPONSE_READ_ONLY,		/* 405: only GET and HEAD are. */
	RESPONSE_TOO_LARGE,		/* 413 */
	RESPONSE_WRONG_TYPE,		/* 415 */
	RESPONSE_UNAVAILABLE,		/* 503 */
};

/*
 * Each function below sends one response, with the headers of cgi->cors, and
 * without a body if the method is HEAD.  It sets cgi->status, even if the peer
 * is gone.
 */

/**
 * response_send(cgi, kind, detail):
 * Send a response other than RESPONSE_OK.  ${detail} is the reason, as a
 * sentence; it is ignored if the request was accepted or is a preflight.
 */
void response_send(struct cgi * cgi, enum response_kind kind,
    const char * detail);

/**
 * response_fault(cgi, fault):
 * Send 413 or 400 for a body that is at fault, with the place of the fault.
 */
void response_fault(struct cgi * cgi, const struct fault * fault);

/**
 * response_content(cgi, kind, type, content, length):
 * Send ${length} bytes of the media type ${type}; NULL means no content.
 */
void response_content(struct cgi * cgi, enum response_kind kind,
    const char * type, const void * content, size_t length);

/**
 * response_page(cgi, type, headers, content, length):
 * Answer 200 with ${length} bytes of the media type ${type} and more
 * ${headers}, which end with CRLF each.  The response has an ETag; a request
 * whose If-None-Match names it gets 304 without content.
 */
void response_page(struct cgi * cgi, const char * type, const char * headers,
    const void * content, size_t length);


#endif
