#ifndef FLAGTALLY_TALLY_CODEC_H
#define FLAGTALLY_TALLY_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buffer.h"
#include "lib/tally/tally.h"

/*
 * A tally as bytes, to be kept on disk: a byte for the version, the tree in
 * preorder with numbers as LEB128 (DWARF 5, section 7.6), and a checksum.
 */

/**
 * tally_codec_encode(bytes, tally):
 * Append ${tally} to ${bytes}: its nodes with their values, and when it was
 * reported, but not what was dropped.
 */
void tally_codec_encode(struct buffer * bytes, const struct tally * tally);

/**
 * tally_codec_decode(tally, bytes, length):
 * Read a packed tally into ${tally}, which must be empty.  Names are copied.
 * Return NULL, or a static text that says what is wrong with the bytes, and
 * then ${tally} is of no further use.  No bytes, however they came about, do
 * more harm than that.
 */
const char * tally_codec_decode(struct tally * tally, const void * bytes,
    size_t length);

#endif
