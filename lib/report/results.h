#ifndef FLAGTALLY_RESULTS_H
#define FLAGTALLY_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/text.h"

/* Memory of a report's results: an arena with a limit. */
struct results {
	struct arena * arena;
	size_t limit;			/* Bytes. */
	bool full;			/* The limit has been reached. */
};

/**
 * results_take(results, size):
 * Return ${size} zeroed bytes, or NULL, with results->full set, if they would
 * exceed the limit.
 */
void * results_take(struct results * results, size_t size);

/**
 * results_copy(results, text):
 * results_decode(results, text):
 * Return a copy of a text, as it is or percent-decoded; its bytes are NULL if
 * the limit is exceeded.
 */
struct text results_copy(struct results * results, struct text text);
struct text results_decode(struct results * results, struct text text);

/**
 * results_compare(a, b):
 * Return a number below, equal to or above 0, as strcmp does for strings.
 */
int results_compare(struct text a, struct text b);

/**
 * results_same(a, b):
 * Return true if the texts are equal.
 */
bool results_same(struct text a, struct text b);

/**
 * results_split(whole, before, after):
 * Split a text at its first colon.  Return false if there is none.
 */
bool results_split(struct text whole, struct text * before,
    struct text * after);

/**
 * results_sum(a, b):
 * Return a + b, or UINT64_MAX if that is less.
 */
uint64_t results_sum(uint64_t a, uint64_t b);

#endif
