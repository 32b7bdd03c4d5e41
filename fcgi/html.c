#include <inttypes.h>
#include <stdlib.h>

#include "fcgi/html.h"
#include "lib/base/alloc.h"
#include "lib/base/escape.h"
#include "lib/base/utf8.h"

#define SPARK_WIDTH 120
#define SPARK_HEIGHT 24
#define CHART_HEIGHT 160
#define BAR_WIDTH 100

void
html_text(FILE * out, struct text text)
{
	size_t i, size;
	uint32_t code;

	for (i = 0; i < text.length; i += size) {
		size = utf8_decode(text.bytes + i, text.length - i, &code);
		if (size == 0) {
			size = 1;
			code = 0;
		}
		if (code < 0x20 || (code >= 0x7f && code < 0xa0))
			fputs("\xef\xbf\xbd", out);
		else if (code == '&')
			fputs("&amp;", out);
		else if (code == '<')
			fputs("&lt;", out);
		else if (code == '>')
			fputs("&gt;", out);
		else if (code == '"')
			fputs("&quot;", out);
		else if (code == '\'')
			fputs("&#39;", out);
		else
			fwrite(text.bytes + i, 1, size, out);
	}
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
	fprintf(out, "<td class=n>%.1f\xe2\x80\xaf%%</td><td><svg class=bar "
	    "width=%d height=10 aria-hidden=true><rect class=no width=%d "
	    "height=10 /><rect class=yes width=%.1f height=10 /></svg></td>",
	    share * 100, BAR_WIDTH, BAR_WIDTH, share * BAR_WIDTH);
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

void
html_sparkline(FILE * out, const uint64_t * a, const uint64_t * b,
    size_t count)
{
	double most = largest(a, b, count);
	size_t i;

	if (most == 0 || count == 0) {
		fputs("<td></td>", out);
		return;
	}
	fprintf(out, "<td><svg class=spark width=%d height=%d "
	    "aria-hidden=true><polyline points=\"", SPARK_WIDTH,
	    SPARK_HEIGHT);
	for (i = 0; i < count; i++)
		fprintf(out, "%.1f,%.1f ", count == 1 ? 0 : (double)i *
		    SPARK_WIDTH / (double)(count - 1), (SPARK_HEIGHT - 1) -
		    sum_at(a, b, i) / most * (SPARK_HEIGHT - 2));
	/* A single period is a level line. */
	if (count == 1)
		fprintf(out, "%d,1", SPARK_WIDTH);
	fputs("\" /></svg></td>", out);
}

void
html_chart(FILE * out, const uint64_t * yes, const uint64_t * no,
    size_t count, html_label * label, void * context)
{
	double most = largest(yes, no, count);
	size_t width = count > 60 ? 10 : 16;
	size_t i;

	fputs("<p class=axis>Highest column: ", out);
	html_number(out, (uint64_t)most);
	fputs(" evaluations. From ", out);
	label(out, context, 0);
	fputs(" to ", out);
	label(out, context, count - 1);
	fputs(".</p>\n", out);

	fprintf(out, "<div class=scroll tabindex=0 role=region "
	    "aria-label=\"Chart\"><svg class=chart width=%zu height=%d "
	    "role=img aria-label=\"Evaluations in each period; the table "
	    "below has the same numbers\">", count * width, CHART_HEIGHT);
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
