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
 * Checks the events of the JSON reader against the schema, and passes valid
 * values to the element.
 */
struct validate;

/* The consequence of an element that violates the schema. */
enum validate_invalid {
	VALIDATE_REJECT,		/* The body is rejected. */
	VALIDATE_SKIP,		/* The element is left out; the rest counts. */
	VALIDATE_LENIENT,	/* So is a value outside of elements, and a
				 * string that is not text: a body of JSON is
				 * at fault only if it exceeds a limit. */
};

struct validate_settings {
	const struct json_rule * schema;
	enum validate_invalid invalid;
	size_t limit_depth;
	struct element_settings element;
};

/**
 * validate_create(arena, scratch, settings, tally, fault):
 * Return a validator in ${arena} that counts in ${tally} and records the first
 * fault in ${fault}.  It resets ${scratch} with each element.  The caller keeps
 * all of these, and they must outlive the validator.
 */
struct validate * validate_create(struct arena * arena, struct arena * scratch,
    const struct validate_settings * settings, struct tally * tally,
    struct fault * fault);

/**
 * validate_feed(validate, text, length):
 * Read the next ${length} bytes of the body.  Return false, with the fault
 * recorded, if the body is at fault; do not call this again then.
 */
bool validate_feed(struct validate * validate, const void * text,
    size_t length);

/**
 * validate_finish(validate):
 * End the body.  Return true if it was complete and valid, so that the tally is
 * complete; otherwise return false, with the fault recorded.
 */
bool validate_finish(struct validate * validate);

#endif
