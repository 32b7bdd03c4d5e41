#ifndef FLAGTALLY_PARAMS_H
#define FLAGTALLY_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The head of a FastCGI request: all records up to the empty one that ends its
 * parameters.  It is waited for without a thread, and libfcgi, which would take
 * parameters of any length into memory, gets to see it only when it is whole
 * and not too large.  Mostly a head arrives at once and is left where it is, in
 * the socket; one that arrives in pieces is collected here.
 */
struct params;

enum params_status {
	PARAMS_WAIT,		/* More has to arrive. */
	PARAMS_READY,		/* It is whole: libfcgi may read. */
	PARAMS_WHOLE,		/* So is the request: nothing has to be
				 * waited for to read all of it. */
	PARAMS_LARGE,		/* The parameters are too large. */
	PARAMS_END,		/* The peer is gone, or speaks no FastCGI. */
};

/**
 * params_read(params, descriptor, limit):
 * Look at what has arrived at ${descriptor}, without waiting.  ${*head} is NULL
 * at a request's beginning, and becomes what has been collected if anything had
 * to be.  Management records, and others that belong to no request, are taken
 * and answered.  Parameters of more than ${limit} bytes are too large.
 */
enum params_status params_read(struct params ** params, int descriptor,
    size_t limit);

/**
 * params_since(params):
 * Return when the first byte of what is collected was seen, on the clock of
 * deadlines.
 */
int64_t params_since(const struct params * params);

/**
 * params_size(params):
 * Return how much memory a head takes; 0 for NULL.
 */
size_t params_size(const struct params * params);

/**
 * params_file(params, large):
 * Return a descriptor from which the bytes that were collected can be read, or,
 * with ${large}, a head without parameters that stands for one that was too
 * large.  Return -1 with errno if there is none to be had.  The caller closes
 * it.
 */
int params_file(const struct params * params, bool large);

/**
 * params_free(params):
 * Free what was collected.
 */
void params_free(struct params * params);

#endif
