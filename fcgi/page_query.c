#include <stdlib.h>
#include <string.h>

#include "fcgi/html.h"
#include "fcgi/page_query.h"
#include "lib/base/date.h"
#include "lib/base/escape.h"

/* Periods of a span unless the query says how many. */
#define DEFAULT_HOURS 48
#define DEFAULT_DAYS 90
#define DEFAULT_DAYS_OF_ALL 7

const char * const page_query_shows[PAGE_SHOW_COUNT] = {
	[PAGE_COUNTS] = "counts", [PAGE_STALE] = "stale",
	[PAGE_SDKS] = "sdks", [PAGE_IMPACT] = "impact",
	[PAGE_EDGES] = "edges", [PAGE_HEALTH] = "health",
};

static bool
is_word(struct text text, const char * word)
{

	return (text.length == strlen(word) &&
	    memcmp(text.bytes, word, text.length) == 0);
}

static void
take_query_name(struct page_query * query, struct arena * arena,
    struct text value, struct text * name)
{
	char * copy = arena_copy(arena, value.bytes, value.length);
	long decoded;
	size_t i;

	/* Forms write a space as a plus. */
	for (i = 0; i < value.length; i++)
		if (copy[i] == '+')
			copy[i] = ' ';
	decoded = escape_percent_decode(copy, value.length);
	if (decoded < 0)
		query->wrong = "a % in the query is not followed by two "
		    "hexadecimal digits";
	else
		*name = (struct text){ copy, (size_t)decoded };
}

static void
take_query_number(struct page_query * query, struct text value, size_t most,
    size_t * number, const char * wrong)
{
	char digits[16] = "";
	char * end;

	if (value.length == 0 || value.length >= sizeof(digits) ||
	    value.bytes[0] < '0' || value.bytes[0] > '9') {
		query->wrong = wrong;
		return;
	}
	memcpy(digits, value.bytes, value.length);
	*number = (size_t)strtoull(digits, &end, 10);
	if (*end != '\0' || *number == 0 || *number > most)
		query->wrong = wrong;
}

/* Set ${choice} to the number of the word that a value is. */
static void
take_choice(struct page_query * query, struct text value,
    const char * const * words, size_t count, size_t * choice,
    const char * wrong)
{

	for (*choice = 0; *choice < count; (*choice)++)
		if (is_word(value, words[*choice]))
			return;
	*choice = 0;
	query->wrong = wrong;
}

/* Take one parameter of the query.  Unknown ones are ignored. */
static void
take_parameter(struct page_query * query, struct arena * arena,
    struct text name, struct text value)
{
	static const char * const periods[] = { "day", "hour" };
	static const char * const formats[] = { "html", "csv", "json" };
	struct { const char * name; struct text * at; } names[] = {
		{ "env", &query->scope.environment },
		{ "app", &query->scope.application },
		{ "feature", &query->scope.feature },
		{ "metric", &query->metric }, { "below", &query->below },
	};
	size_t choice, i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is_word(name, names[i].name))
			take_query_name(query, arena, value, names[i].at);
	if (is_word(name, "show")) {
		take_choice(query, value, page_query_shows, PAGE_SHOW_COUNT,
		    &choice, "show must be counts, stale, sdks, impact, edges "
		    "or health");
		query->show = (enum page_show)choice;
	} else if (is_word(name, "by")) {
		take_choice(query, value, periods, 2, &choice,
		    "by must be hour or day");
		query->scope.span.by_hour = choice == 1;
	} else if (is_word(name, "format")) {
		take_choice(query, value, formats, 3, &choice,
		    "format must be html, csv or json");
		query->format = (enum page_format)choice;
	} else if (is_word(name, "periods"))
		take_query_number(query, value, REPORT_PERIODS_MAX,
		    &query->scope.span.count,
		    "periods must be a number of hours or days");
	else if (is_word(name, "days"))
		take_query_number(query, value, REPORT_PERIODS_MAX,
		    &query->days, "days must be a number above 0");
	else if (is_word(name, "top"))
		take_query_number(query, value, SIZE_MAX, &query->top,
		    "top must be a number above 0");
	else if (is_word(name, "from"))
		take_query_number(query, value, SIZE_MAX, &query->from,
		    "from must be a number above 0");
}

static size_t
default_periods(const struct page_query * query)
{

	return (query->scope.span.by_hour ? DEFAULT_HOURS :
	    query->scope.application.bytes == NULL ? DEFAULT_DAYS_OF_ALL :
	    DEFAULT_DAYS);
}

static void
set_span(struct page_query * query, int64_t now)
{
	struct report_span * span = &query->scope.span;

	if (span->count == 0)
		span->count = default_periods(query);
	span->first = (span->by_hour ? date_hour(now) : date_day(now)) -
	    (int64_t)span->count + 1;
}

/* An empty field of a form means that there is no limit. */
static void
drop_empty(struct text * value)
{

	if (value->length == 0)
		value->bytes = NULL;
}

void
page_query_read(struct page_query * query, struct arena * arena,
    const char * text, int64_t now)
{
	const char * at = text == NULL ? "" : text;

	*query = (struct page_query)PAGE_QUERY_DEFAULT;
	while (*at != '\0') {
		size_t whole = strcspn(at, "&");
		size_t name = strcspn(at, "=&");
		const char * value = at + name + (at[name] == '=');

		take_parameter(query, arena, (struct text){ at, name },
		    (struct text){ value, whole - (size_t)(value - at) });
		at += whole + (at[whole] == '&');
	}
	drop_empty(&query->below);
	drop_empty(&query->metric);
	set_span(query, now);
	if (query->scope.feature.bytes != NULL &&
	    query->scope.application.bytes == NULL)
		query->wrong = "feature needs app";
	if (query->scope.application.bytes != NULL &&
	    query->scope.environment.bytes == NULL)
		query->wrong = "app needs env";
}

/* Writing */

static void
begin_parameter(FILE * out, const char ** separator)
{

	fputs(*separator, out);
	*separator = "&amp;";
}

static void
write_query_number(FILE * out, const char ** separator, const char * name,
    size_t number)
{

	begin_parameter(out, separator);
	fprintf(out, "%s=%zu", name, number);
}

void
page_query_write(const struct page_query * query, FILE * out)
{
	static const char * const formats[] = { "html", "csv", "json" };
	const struct report_scope * scope = &query->scope;
	const struct { const char * name; struct text value; } names[] = {
		{ "env", scope->environment }, { "app", scope->application },
		{ "feature", scope->feature }, { "metric", query->metric },
		{ "below", query->below },
	};
	const char * separator = "";
	size_t i;

	fputs("\"?", out);
	if (query->show != PAGE_COUNTS) {
		begin_parameter(out, &separator);
		fprintf(out, "show=%s", page_query_shows[query->show]);
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].value.bytes != NULL) {
			begin_parameter(out, &separator);
			html_parameter(out, names[i].name, names[i].value);
		}
	if (scope->span.by_hour) {
		begin_parameter(out, &separator);
		fputs("by=hour", out);
	}
	if (scope->span.count != 0 &&
	    scope->span.count != default_periods(query))
		write_query_number(out, &separator, "periods",
		    scope->span.count);
	if (query->days != PAGE_QUERY_STALE_DAYS)
		write_query_number(out, &separator, "days", query->days);
	if (query->top != 0)
		write_query_number(out, &separator, "top", query->top);
	if (query->from != 0)
		write_query_number(out, &separator, "from", query->from);
	if (query->format != PAGE_HTML) {
		begin_parameter(out, &separator);
		fprintf(out, "format=%s", formats[query->format]);
	}
	putc('"', out);
}
