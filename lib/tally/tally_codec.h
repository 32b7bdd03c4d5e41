#ifndef FLAGTALLY_TALLY_CODEC_H
#define FLAGTALLY_TALLY_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buffer.h"
#include "lib/tally/tally.h"

/*
 * A tally as bytes, for the disk: a byte for the version, the nodes in
 * preorder with numbers as LEB128 (DWARF 5, section 7.6), and a checksum.  A
 * node's kind says how deep it is, so that no counts of children are needed.
 *
 * A large tally becomes several records.  Each can be read alone: it
 * begins with the ancestors of its first node, whose counts are in the record
 * before.  So reading a record takes little memory.
 */
#define TALLY_CODEC_NODES_MAX ((size_t)20000)
#define TALLY_CODEC_BYTES_MAX ((size_t)1024 * 1024)

/**
 * tally_codec_encode(bytes, tally, node):
 * Append a record with the nodes of ${tally} from ${node} on, or from the
 * first one if ${node} is NULL, to ${bytes}: with their values, and when they
 * were reported, but not what was dropped.  Return the node with which the
 * next record begins, or NULL if this was the last one.  A record ends after
 * TALLY_CODEC_NODES_MAX nodes or TALLY_CODEC_BYTES_MAX bytes.
 */
const struct tally_node * tally_codec_encode(struct buffer * bytes,
    const struct tally * tally, const struct tally_node * node);

/**
 * tally_codec_decode(tally, bytes, length):
 * Add the nodes of a record to ${tally}; names are copied.  Return NULL, or an
 * error as a static text, with nothing added.  Any bytes are safe to read.
 */
const char * tally_codec_decode(struct tally * tally, const void * bytes,
    size_t length);

#endif
