#ifndef FLAGTALLY_INSTANCES_H
#define FLAGTALLY_INSTANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/report/applications.h"

/* Registered instances of an application that use one version of an SDK. */
struct report_sdk {
	struct text environment, application;
	struct text version;		/* As `name:version`, or empty. */
	size_t instances;
	int64_t seen;			/* When one registered last. */
};

struct report_sdks {
	struct report_sdk * list;	/* By SDK, oldest version first. */
	size_t count;
};

/**
 * instances_read(reader, applications, below, sdks):
 * Read which SDKs the instances of listed applications use.  Unless the bytes
 * of ${below} are NULL, only versions below it are listed: those of the SDK
 * that it names before a colon, or of any SDK if there is none.  Requests that
 * the reader has not sent yet are sent with these.  Return 0, or -1 with the
 * reader's error set.
 */
int instances_read(struct reader * reader,
    const struct report_applications * applications, struct text below,
    struct report_sdks * sdks);

/**
 * instances_compare(a, b):
 * Return a number below, equal to or above 0 as version ${a} is lower, equal or
 * higher than ${b}.  Digits are compared as numbers, and a pre-release is lower
 * than its release (Semantic Versioning 2.0.0, section 11).
 */
int instances_compare(struct text a, struct text b);

#endif
