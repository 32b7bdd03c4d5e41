#ifndef FLAGTALLY_PROMETHEUS_H
#define FLAGTALLY_PROMETHEUS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"

/*
 * Names and labels as Prometheus's text format writes them (Prometheus,
 * "Exposition formats", text-based format 0.0.4).
 */

/* A label, whose name prometheus_labels turns into one of Prometheus's. */
struct prometheus_label {
	const char * name;
	size_t name_length;
	const char * value;
	size_t value_length;
};

/**
 * prometheus_name(out, text, length):
 * Write to ${out}, which has room for ${length} bytes, the name that Unleash
 * makes of the UTF-8 ${text}: each of its UTF-16 code units that is not a
 * letter or digit of ASCII or an underscore becomes an underscore.  Return
 * the name's length, or 0 if it would be empty or begin with a digit, which is
 * not a name.
 */
size_t prometheus_name(char * out, const char * text, size_t length);

/**
 * prometheus_labels(arena, labels, count, length, left_out):
 * Turn the names of the ${count} ${labels} into Prometheus names, in place,
 * sort them, and return `a="b",c="d"`, taken from ${arena}, with its length in
 * ${length}.  Among labels of one name the last one counts, and an empty value
 * is the same as no label.  Leave out labels that have no name, or one that
 * begins with `__`, which Prometheus reserves, and set ${left_out} to their
 * number.  Leave out `environment` as well, which is no part of a series here.
 */
char * prometheus_labels(struct arena * arena,
    struct prometheus_label * labels, size_t count, size_t * length,
    size_t * left_out);

/**
 * prometheus_has_label(labels, count, name):
 * Return whether ${labels}, as prometheus_labels has left them, has ${name}.
 */
bool prometheus_has_label(const struct prometheus_label * labels,
    size_t count, const char * name);

#endif
