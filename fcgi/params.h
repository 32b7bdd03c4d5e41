#ifndef FLAGTALLY_PARAMS_H
#define FLAGTALLY_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The parameters of a FastCGI request: its records up to the empty one that
 * ends them.  Waiting for them takes no thread.  libfcgi, which reads
 * parameters of any length into memory, gets them only when they are complete
 * and not too large.  Usually they arrive at once, and stay in the socket until
 * libfcgi reads them.  If they arrive in pieces, they are collected here.
 */
struct params;

enum params_status {
	PARAMS_MORE,		/* More has to arrive. */
	PARAMS_DONE,		/* They are complete: libfcgi can read. */
	PARAMS_DONE_WITH_BODY,	/* The body has arrived, too: libfcgi will
				 * never block. */
	PARAMS_TOO_LARGE,
	PARAMS_CLOSED,		/* The peer is gone, or speaks no FastCGI. */
};

/**
 * params_read(params, descriptor, limit):
 * Read what has arrived at ${descriptor}, without blocking.  ${*params} is NULL
 * at the beginning of a request, and becomes the parameters if they have to be
 * collected.  Answer and remove management records and other records that
 * belong to no request.  Parameters of more than ${limit} bytes are too large.
 */
enum params_status params_read(struct params ** params, int descriptor,
    size_t limit);

/**
 * params_since(params):
 * Return the time of the first byte, on the clock of deadlines.
 */
int64_t params_since(const struct params * params);

/**
 * params_size(params):
 * Return how many bytes of memory ${params} takes; 0 for NULL.
 */
size_t params_size(const struct params * params);

/**
 * params_file(params, large):
 * Return a descriptor from which the collected records can be read or, with
 * ${large}, a request without parameters in place of one that was too large.
 * Return -1 with errno on error.  The caller closes the descriptor.
 */
int params_file(const struct params * params, bool large);

/**
 * params_free(params):
 * Wipe and free the parameters, which can be NULL.
 */
void params_free(struct params * params);

#endif
