#ifndef FLAGTALLY_BODY_H
#define FLAGTALLY_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/digest.h"
#include "lib/base/fault.h"
#include "lib/body/validate.h"
#include "lib/tally/tally.h"

/*
 * The body of a request, from the bytes of the web server to a tally.  It is
 * never held whole: memory grows with the number of distinct counters in it.
 */
struct body;

enum body_encoding {
	BODY_IDENTITY,
	BODY_GZIP,
	BODY_DEFLATE,
};

struct body_settings {
	struct validate_settings validate;
	uint64_t limit_body;		/* Bytes as sent; 0: no limit. */
	uint64_t limit_inflated;	/* Bytes of JSON in a compressed one;
					 * 0: no limit. */
	uint64_t limit_ratio;		/* Of them to those sent; likewise. */
	struct digest_mac * mac;	/* Is fed the bytes as sent; NULL:
					 * none is. */
};

/* Decompressed bytes up to which the ratio does not matter. */
#define BODY_RATIO_FLOOR ((uint64_t)1024 * 1024)

/**
 * body_create(arena, scratch, settings, encoding, tally, fault):
 * Return the stream of a new body.  Its memory is taken from ${arena} and
 * is freed with it; ${scratch} is used for single elements.  The body's counts
 * are added to the empty ${tally}, which is valid only after body_finish has
 * returned true.  The caller keeps everything but the body.
 */
struct body * body_create(struct arena * arena, struct arena * scratch,
    const struct body_settings * settings, enum body_encoding encoding,
    struct tally * tally, struct fault * fault);

/**
 * body_feed(body, bytes, length):
 * Read the next ${length} bytes.  Return false, with the fault recorded, as
 * soon as the body is at fault; it must not be fed again then.
 */
bool body_feed(struct body * body, const void * bytes, size_t length);

/**
 * body_finish(body, announced):
 * End the body.  ${announced} is its Content-Length, or -1 if there was none.
 * Return true if the body was complete and valid; otherwise return false, with
 * the fault recorded.
 */
bool body_finish(struct body * body, int64_t announced);

#endif
