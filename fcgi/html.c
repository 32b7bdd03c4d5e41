#include <inttypes.h>
#include <stdlib.h>

#include "fcgi/html.h"
#include "lib/base/alloc.h"
#include "lib/base/escape.h"
#include "lib/base/utf8.h"

#define SPARK_WIDTH 120
#define SPARK_HEIGHT 24
#define SPARK_STEPS 96		/* Steps of its height. */
#define CHART_HEIGHT 160
#define BAR_WIDTH 100

/* Return the escape of a character, or NULL if it needs none. */
static const char *
replacement(uint32_t code)
{

	switch (code) {
	case '&':
		return ("&amp;");
	case '<':
		return ("&lt;");
	case '>':
		return ("&gt;");
	case '"':
		return ("&quot;");
	case '\'':
		return ("&#39;");
	default:
		/* Neither a control character nor a noncharacter is allowed. */
		return (code < 0x20 || (code >= 0x7f && code < 0xa0) ||
		    (code >= 0xfdd0 && code <= 0xfdef) ||
		    (code & 0xfffe) == 0xfffe ? "\xef\xbf\xbd" : NULL);
	}
}

void
html_text(FILE * out, struct text text)
{
	size_t plain = 0;		/* Not written yet from here on. */
	size_t i, size;
	uint32_t code;

	/* Its bytes can be NULL. */
	if (text.length == 0)
		return;
	for (i = 0; i < text.length; i += size) {
		const char * other;

		size = utf8_decode(text.bytes + i, text.length - i, &code);
		other = replacement(size == 0 ? 0 : code);
		if (size == 0)
			size = 1;
		if (other == NULL)
			continue;
		fwrite(text.bytes + plain, 1, i - plain, out);
		fputs(other, out);
		plain = i + size;
	}
	fwrite(text.bytes + plain, 1, i - plain, out);
}

void
html_name(FILE * out, struct text name)
{

	if (name.length == 0) {
		fputs("<i>(empty name)</i>", out);
		return;
	}
	fputs("<bdi>", out);
	html_text(out, name);
	fputs("</bdi>", out);
}

void
html_parameter(FILE * out, const char * name, struct text value)
{
	char * encoded = alloc_bytes(ESCAPE_PERCENT_ROOM(value.length) + 1);
	size_t length = escape_percent(encoded, value.bytes, value.length);

	fprintf(out, "%s=%.*s", name, (int)length, encoded);
	free(encoded);
}

void
html_number(FILE * out, uint64_t number)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
	int i;

	for (i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			fputs("\xe2\x80\xaf", out);
		putc(digits[i], out);
	}
}

void
html_share(FILE * out, uint64_t yes, uint64_t no)
{
	double share = yes + no == 0 ? 0 :
	    (double)yes / ((double)yes + (double)no);

	if (yes + no == 0) {
		fputs("<td class=n>\xe2\x80\x93</td><td></td>", out);
		return;
	}
	fprintf(out, "<td class=n>%.1f\xe2\x80\xaf%%</td>", share * 100);
	html_bar(out, share);
}

void
html_bar(FILE * out, double share)
{

	fprintf(out, "<td><svg class=bar width=%d height=10 aria-hidden=true>"
	    "<rect class=no width=%d height=10 /><rect class=yes width=%.1f "
	    "height=10 /></svg></td>", BAR_WIDTH, BAR_WIDTH,
	    share * BAR_WIDTH);
}

static double
sum_at(const uint64_t * a, const uint64_t * b, size_t i)
{

	return ((a == NULL ? 0 : (double)a[i]) +
	    (b == NULL ? 0 : (double)b[i]));
}

static double
largest(const uint64_t * a, const uint64_t * b, size_t count)
{
	double most = 0;
	size_t i;

	for (i = 0; i < count; i++)
		if (sum_at(a, b, i) > most)
			most = sum_at(a, b, i);
	return (most);
}

/* Write a number below 10,000.  A page has so many that printf is too slow. */
static char *
append_number(char * at, unsigned int number)
{
	unsigned int divisor = 1;

	while (number / divisor >= 10)
		divisor *= 10;
	for (; divisor > 0; divisor /= 10)
		*at++ = (char)('0' + number / divisor % 10);
	return (at);
}

/* The points have whole coordinates, and the picture is stretched. */
void
html_sparkline(FILE * out, const uint64_t * a, const uint64_t * b,
    size_t count)
{
	double most = largest(a, b, count);
	char points[1024];
	char * at = points;
	size_t i;

	if (most == 0 || count == 0) {
		fputs("<td></td>", out);
		return;
	}
	fprintf(out, "<td><svg class=spark width=%d height=%d viewBox=\"0 0 "
	    "%zu %d\" preserveAspectRatio=none aria-hidden=true><polyline "
	    "vector-effect=non-scaling-stroke points=\"", SPARK_WIDTH,
	    SPARK_HEIGHT, count == 1 ? 1 : count - 1, SPARK_STEPS);
	for (i = 0; i < count; i++) {
		at = append_number(at, (unsigned int)i);
		*at++ = ',';
		at = append_number(at, SPARK_STEPS - 3 - (unsigned int)
		    (sum_at(a, b, i) / most * (SPARK_STEPS - 6)));
		*at++ = ' ';
		if (at - points < (long)sizeof(points) - 16)
			continue;
		fwrite(points, 1, (size_t)(at - points), out);
		at = points;
	}
	fwrite(points, 1, (size_t)(at - points), out);
	/* A single period is a level line. */
	fputs(count == 1 ? "1,3\" /></svg></td>" : "\" /></svg></td>", out);
}

void
html_chart(FILE * out, const char * name, const uint64_t * yes,
    const uint64_t * no, size_t count, html_label * label, void * context)
{
	double most = largest(yes, no, count);
	size_t width = count > 60 ? 10 : 16;
	size_t i;

	fputs("<p class=axis>Highest column: ", out);
	html_number(out, (uint64_t)most);
	fputs(". From ", out);
	label(out, context, 0);
	fputs(" to ", out);
	label(out, context, count - 1);
	fputs(".</p>\n", out);

	fprintf(out, "<div class=\"scroll latest\" tabindex=0 role=region "
	    "aria-label=\"%s\"><svg class=chart width=%zu height=%d role=img "
	    "aria-label=\"Evaluations in each period; a table below has the "
	    "same numbers\">", name, count * width, CHART_HEIGHT);
	for (i = 0; i < count && most > 0; i++) {
		double on = yes == NULL ? 0 :
		    (double)yes[i] / most * (CHART_HEIGHT - 2);
		double off = no == NULL ? 0 :
		    (double)no[i] / most * (CHART_HEIGHT - 2);

		fputs("<g><title>", out);
		label(out, context, i);
		fprintf(out, ": %.0f yes, %.0f no</title>"
		    "<rect class=yes x=%zu y=%.1f width=%zu height=%.1f />"
		    "<rect class=no x=%zu y=%.1f width=%zu height=%.1f /></g>",
		    yes == NULL ? 0 : (double)yes[i],
		    no == NULL ? 0 : (double)no[i],
		    i * width, CHART_HEIGHT - on, width - 2, on,
		    i * width, CHART_HEIGHT - on - off, width - 2, off);
	}
	fputs("</svg></div>", out);
}
