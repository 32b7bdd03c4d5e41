#ifndef FLAGTALLY_READY_H
#define FLAGTALLY_READY_H

#include <stdio.h>

/**
 * ready_ask(where, out):
 * Ask the process that listens at ${where}, a path or host:port, whether it is
 * ready: over FastCGI, as a client on the same host.  Write the JSON of its
 * response to ${out}.  Return 0 if it accepts requests, and 1 if it does not.
 * If it gives no such response within 5 seconds, log why and return 1.
 */
int ready_ask(const char * where, FILE * out);

#endif
