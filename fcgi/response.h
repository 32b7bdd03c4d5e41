#ifndef FLAGTALLY_RESPONSE_H
#define FLAGTALLY_RESPONSE_H

#include "fcgi/cgi.h"
#include "lib/base/fault.h"

/*
 * All answers that are ever given, and the one place where a fault becomes a
 * status.  How senders act on a status is part of the contract: see README.md.
 */
enum answer_kind {
	ANSWER_OK,			/* 200 */
	ANSWER_ACCEPTED,		/* 202 */
	ANSWER_INVALID,			/* 400 */
	ANSWER_NO_ACCESS,		/* 403 */
	ANSWER_NOT_FOUND,		/* 404 */
	ANSWER_WRONG_METHOD,		/* 405: only POST is allowed. */
	ANSWER_READ_ONLY,		/* 405: only GET and HEAD are. */
	ANSWER_TOO_LARGE,		/* 413 */
	ANSWER_WRONG_TYPE,		/* 415 */
	ANSWER_UNAVAILABLE,		/* 503 */
};

/*
 * Each function below answers one request, without a body if its method is
 * HEAD, and leaves the status in exchange->status, whether or not the peer was
 * there to take it.
 */

/**
 * answer_send(exchange, kind, detail):
 * Answer a request, though not with ANSWER_OK; ${detail} says why to a person,
 * unless it was accepted.
 */
void answer_send(struct exchange * exchange, enum answer_kind kind,
    const char * detail);

/**
 * answer_fault(exchange, fault):
 * Answer a request whose body is at fault, and say where.
 */
void answer_fault(struct exchange * exchange, const struct fault * fault);

/**
 * answer_content(exchange, kind, type, content, length):
 * Answer with ${length} bytes of the media type ${type}.
 */
void answer_content(struct exchange * exchange, enum answer_kind kind,
    const char * type, const void * content, size_t length);

/**
 * answer_status(kind):
 * Return the HTTP status of an answer.
 */
int answer_status(enum answer_kind kind);

#endif
