#ifndef FLAGTALLY_RESPONSE_H
#define FLAGTALLY_RESPONSE_H

#include "fcgi/cgi.h"
#include "lib/base/fault.h"

/*
 * All answers that are ever given, and the one place where a fault becomes a
 * status.  How senders act on a status is part of the contract: see README.md.
 */
enum response_kind {
	RESPONSE_OK,			/* 200 */
	RESPONSE_ACCEPTED,		/* 202, as Edge expects it: {} */
	RESPONSE_TAKEN,			/* 202, as a backend's SDK does. */
	RESPONSE_TAKEN_OK,		/* 200, as a frontend's does. */
	RESPONSE_PREFLIGHT,		/* 204 to a browser's question. */
	RESPONSE_INVALID,			/* 400 */
	RESPONSE_NO_ACCESS,		/* 403 */
	RESPONSE_NOT_FOUND,		/* 404 */
	RESPONSE_WRONG_METHOD,		/* 405: only POST is allowed. */
	RESPONSE_READ_ONLY,		/* 405: only GET and HEAD are. */
	RESPONSE_TOO_LARGE,		/* 413 */
	RESPONSE_WRONG_TYPE,		/* 415 */
	RESPONSE_UNAVAILABLE,		/* 503 */
};

/*
 * Each function below answers one request, with the headers of cgi->cors and
 * without a body if its method is HEAD, and leaves the status in cgi->status,
 * whether or not the peer was there to take it.
 */

/**
 * response_send(cgi, kind, detail):
 * Answer a request, though not with RESPONSE_OK; ${detail} says why to a
 * person, unless it was accepted or is a preflight.
 */
void response_send(struct cgi * cgi, enum response_kind kind,
    const char * detail);

/**
 * response_fault(cgi, fault):
 * Answer a request whose body is at fault, and say where.
 */
void response_fault(struct cgi * cgi, const struct fault * fault);

/**
 * response_content(cgi, kind, type, content, length):
 * Answer with ${length} bytes of the media type ${type}, or with nothing if it
 * is NULL.
 */
void response_content(struct cgi * cgi, enum response_kind kind,
    const char * type, const void * content, size_t length);

/**
 * response_page(cgi, type, headers, content, length):
 * Answer 200 with ${length} bytes of the media type ${type} and more
 * ${headers}, each of which ends with CRLF.  The answer has an ETag; a request
 * whose If-None-Match names it gets 304 without content.
 */
void response_page(struct cgi * cgi, const char * type, const char * headers,
    const void * content, size_t length);

/**
 * response_status(kind):
 * Return the HTTP status of an answer.
 */
int response_status(enum response_kind kind);

#endif
