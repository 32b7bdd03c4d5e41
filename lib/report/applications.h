#ifndef FLAGTALLY_APPLICATIONS_H
#define FLAGTALLY_APPLICATIONS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/report/reader.h"

struct report_application {
	struct text environment, name;
	int64_t seen;			/* Seconds since 1970. */
	uint64_t yes, no;		/* In the span. */
	uint64_t * evaluations;		/* Of each period. */
	size_t unread;			/* Periods that could not be read. */
};

struct report_applications {
	struct report_application * list;	/* By environment and name. */
	size_t count;
};

/**
 * applications_list(reader, environment, found):
 * Read the applications of ${environment}, or all if its bytes are NULL,
 * without their counts.  Return 0, or -1 with the reader's error set.
 */
int applications_list(struct reader * reader, struct text environment,
    struct report_applications * found);

/**
 * applications_count(reader, span, found):
 * Read the counts of listed applications in ${span}; some may be missing.
 * Return 0, or -1 with the reader's error set.
 */
int applications_count(struct reader * reader,
    const struct report_span * span, struct report_applications * found);

#endif
