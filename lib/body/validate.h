#ifndef FLAGTALLY_VALIDATE_H
#define FLAGTALLY_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/fault.h"
#include "lib/body/element.h"
#include "lib/json/json.h"
#include "lib/tally/tally.h"

/*
 * A batch is the JSON text of a body: it takes the reader's events, holds
 * them against the schema, and hands what is right to the elements.
 */
struct validate;

/* What becomes of an element that violates the schema. */
enum validate_invalid {
	VALIDATE_REJECT,		/* The body is rejected. */
	VALIDATE_SKIP,		/* The element is left out; the rest counts. */
	VALIDATE_LENIENT,	/* So is a value outside of elements, and a
				 * string that is not text: a body of JSON is
				 * at fault only if it is beyond a limit. */
};

struct validate_settings {
	const struct json_rule * schema;
	enum validate_invalid invalid;
	size_t limit_depth;
	struct element_settings element;
};

/**
 * validate_create(arena, scratch, settings, tally, fault):
 * Return a batch in ${arena} that counts in ${tally} and records in ${fault}
 * what is wrong.  ${scratch} is reset with each element.  All stay the
 * caller's and must outlive the batch.
 */
struct validate * validate_create(struct arena * arena, struct arena * scratch,
    const struct validate_settings * settings, struct tally * tally,
    struct fault * fault);

/**
 * validate_feed(validate, text, length):
 * Read the next ${length} bytes of the body.  Return false, with the fault
 * recorded, if it is at fault; the batch must not be fed again then.
 */
bool validate_feed(struct validate * validate, const void * text,
    size_t length);

/**
 * validate_finish(validate):
 * The body has ended.  Return true if it was whole and valid, so that the
 * tally is now complete; otherwise false, with the fault recorded.
 */
bool validate_finish(struct validate * validate);

#endif
