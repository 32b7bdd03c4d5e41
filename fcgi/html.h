#ifndef FLAGTALLY_HTML_H
#define FLAGTALLY_HTML_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/text.h"

/* Writes parts of an HTML page (HTML Living Standard) with inline SVG. */

/**
 * html_text(out, text):
 * Write a text, escaped for element content and quoted attributes.  A control
 * character or an invalid byte becomes U+FFFD.
 */
void html_text(FILE * out, struct text text);

/**
 * html_name(out, name):
 * Write a name that a client chose, isolated so that its direction cannot
 * change the text around it.  An empty name is shown as such.
 */
void html_name(FILE * out, struct text name);

/**
 * html_parameter(out, name, value):
 * Write `name=value` of a query, percent-encoded.
 */
void html_parameter(FILE * out, const char * name, struct text value);

/**
 * html_number(out, number):
 * Write a number with narrow spaces between groups of three digits.
 */
void html_number(FILE * out, uint64_t number);

/**
 * html_share(out, yes, no):
 * Write table cells with the share of ${yes} in percent and as a bar.
 */
void html_share(FILE * out, uint64_t yes, uint64_t no);

/**
 * html_bar(out, share):
 * Write a table cell with a bar; a ${share} of 1 fills it.
 */
void html_bar(FILE * out, double share);

/**
 * html_sparkline(out, a, b, count):
 * Write a table cell with a small line chart of ${count} sums of ${a} and
 * ${b}, each of which can be NULL for zeros.
 */
void html_sparkline(FILE * out, const uint64_t * a, const uint64_t * b,
    size_t count);

/* Names a column of a chart. */
typedef void html_label(FILE * out, void * context, size_t column);

/**
 * html_chart(out, name, yes, no, count, label, context):
 * Write a chart, which has the accessible name ${name}, of ${count} stacked
 * columns, at least one, with ${yes} below ${no}, each of which can be NULL for
 * zeros.  ${label} writes the name of a column.
 */
void html_chart(FILE * out, const char * name, const uint64_t * yes,
    const uint64_t * no, size_t count, html_label * label, void * context);

#endif
