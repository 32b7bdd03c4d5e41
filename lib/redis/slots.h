#ifndef FLAGTALLY_SLOTS_H
#define FLAGTALLY_SLOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/text.h"
#include "lib/redis/error_reply.h"

/*
 * The slots of a Redis Cluster: to which of them a key belongs, and which node
 * has which of them.
 */
#define SLOTS_COUNT 16384

/**
 * slots_of_key(key, length):
 * Return the slot of a key.  Keys with the same hash tag, which is the part in
 * the first braces if it is not empty, have the same slot.
 */
unsigned int slots_of_key(const char * key, size_t length);

/*
 * Takes the slots ${first} to ${last}, whose master is at this host and port.
 * A host without bytes is that of the node that was asked.
 */
typedef void slots_take(void * context, unsigned int first, unsigned int last,
    struct text host, int port);

/**
 * slots_read(part, tls, take, context):
 * Pass what a reply to CLUSTER SHARDS or CLUSTER SLOTS says of masters to
 * ${take}, unless that is NULL; ${part} is its whole (see reply_part), and
 * ${tls} says which of a node's ports to use.  Return false if it is no such
 * reply, or no master has a slot.
 */
bool slots_read(const void * part, bool tls, slots_take * take,
    void * context);

/**
 * slots_redirection(error, slot, host, port):
 * Read an error such as `MOVED 3999 10.0.0.1:6381`, or ASK likewise.  Return
 * false if it names no node; a host without bytes is that of the node that has
 * sent it.
 */
bool slots_redirection(const struct error_reply * error, unsigned int * slot,
    struct text * host, int * port);

#endif
