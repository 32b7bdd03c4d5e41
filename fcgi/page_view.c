#include <stdlib.h>
#include <string.h>

#include "fcgi/html.h"
#include "fcgi/page_view.h"
#include "lib/base/alloc.h"

/* Seconds after which a feature that was not seen is marked as stale. */
#define STALE_SECONDS (INT64_C(30) * 86400)

/* Variants that a row shows. */
#define VARIANTS_MAX 5

/* Applications */

static void
write_counts(const struct page_view * view,
    const struct report_application * one)
{

	if (one->unread > 0) {
		fputs("<td class=n colspan=4>not read", view->out);
		page_frame_time(view, one->seen);
		fputs("</tr>\n", view->out);
		return;
	}
	fputs("<td class=n>", view->out);
	html_number(view->out, one->yes + one->no);
	html_share(view->out, one->yes, one->no);
	html_sparkline(view->out, one->evaluations, NULL,
	    view->query->scope.span.count);
	page_frame_time(view, one->seen);
	fputs("</tr>\n", view->out);
}

/* Add up the applications of an environment, from number ${at} on. */
static size_t
sum_environment(const struct page_view * view,
    const struct report_applications * found, size_t at,
    struct report_application * sum)
{
	const struct report_application * first = &found->list[at];
	size_t count = view->query->scope.span.count;
	size_t i;

	*sum = (struct report_application){ .environment = first->environment,
	    .evaluations = alloc_zeroed(count, sizeof(uint64_t)) };
	for (; at < found->count && results_same(found->list[at].environment,
	    first->environment); at++) {
		const struct report_application * one = &found->list[at];

		sum->yes = results_sum(sum->yes, one->yes);
		sum->no = results_sum(sum->no, one->no);
		sum->unread += one->unread;
		if (one->seen > sum->seen)
			sum->seen = one->seen;
		for (i = 0; i < count; i++)
			sum->evaluations[i] = results_sum(sum->evaluations[i],
			    one->evaluations[i]);
	}
	return (at);
}

static void
write_environments(const struct page_view * view,
    const struct report_applications * found)
{
	struct report_application sum;
	size_t at;

	page_frame_table(view, "environments", "Environments",
	    "<th scope=col>Environment<th scope=col class=n>Evaluations"
	    "<th scope=col class=n>Yes<th scope=col>Share<th scope=col>Over "
	    "time<th scope=col>Last seen");
	for (at = 0; at < found->count;) {
		at = sum_environment(view, found, at, &sum);
		fputs("<tr><th scope=row>", view->out);
		page_frame_link(view, &sum.environment, NULL, NULL);
		write_counts(view, &sum);
		free(sum.evaluations);
	}
	page_frame_end_table(view);
}

void
page_view_applications(const struct page_view * view,
    const struct report_applications * found)
{
	struct page_rows rows = page_frame_rows(view, found->count,
	    PAGE_FRAME_ROWS);
	size_t i;

	page_frame_begin(view, page_frame_spans);
	if (found->count == 0)
		fputs("<p>No application has reported yet.</p>\n", view->out);
	else if (view->query->scope.environment.bytes == NULL)
		write_environments(view, found);
	page_frame_pager(view, rows, PAGE_FRAME_ROWS);
	if (found->count > 0)
		page_frame_table(view, "applications", "Applications",
		    "<th scope=col>Application<th scope=col>Environment"
		    "<th scope=col class=n>Evaluations<th scope=col class=n>"
		    "Yes<th scope=col>Share<th scope=col>Over time"
		    "<th scope=col>Last seen");
	for (i = rows.first; i < rows.end; i++) {
		const struct report_application * one = &found->list[i];

		fputs("<tr><th scope=row>", view->out);
		page_frame_link(view, &one->environment, &one->name, NULL);
		fputs("<td>", view->out);
		page_frame_link(view, &one->environment, NULL, NULL);
		write_counts(view, one);
	}
	if (found->count > 0)
		page_frame_end_table(view);
	page_frame_end(view);
}

/* SDKs */

static void
write_sdk_rows(const struct page_view * view, const struct report_sdks * found,
    struct page_rows rows, bool everywhere)
{
	size_t i;

	page_frame_table(view, "sdks", "Registered instances by SDK",
	    everywhere ? "<th scope=col>SDK<th scope=col>Environment"
	    "<th scope=col>Application<th scope=col class=n>Instances"
	    "<th scope=col>Last registered" : "<th scope=col>SDK"
	    "<th scope=col class=n>Instances<th scope=col>Last registered");
	for (i = rows.first; i < rows.end; i++) {
		const struct report_sdk * one = &found->list[i];

		fputs("<tr><th scope=row>", view->out);
		if (one->version.length == 0)
			fputs("<i>(unknown)</i>", view->out);
		else
			html_name(view->out, one->version);
		if (everywhere) {
			fputs("<td>", view->out);
			page_frame_link(view, &one->environment, NULL, NULL);
			fputs("<td>", view->out);
			page_frame_link(view, &one->environment,
			    &one->application, NULL);
		}
		fputs("<td class=n>", view->out);
		html_number(view->out, one->instances);
		page_frame_time(view, one->seen);
		fputs("</tr>\n", view->out);
	}
	page_frame_end_table(view);
}

/* A form for a version, which leads to this page again. */
static void
write_below_form(const struct page_view * view)
{
	const struct report_scope * scope = &view->query->scope;
	const struct { const char * name; struct text value; } hidden[] = {
		{ "env", scope->environment }, { "app", scope->application },
	};
	size_t i;

	fputs("<form><input type=hidden name=show value=sdks>", view->out);
	for (i = 0; i < 2; i++)
		if (hidden[i].value.bytes != NULL) {
			fprintf(view->out, "<input type=hidden name=%s "
			    "value=\"", hidden[i].name);
			html_text(view->out, hidden[i].value);
			fputs("\">", view->out);
		}
	fputs("<label for=below>Only versions below</label> <input id=below "
	    "name=below placeholder=\"unleash-client-node:6.0.0\" value=\"",
	    view->out);
	html_text(view->out, view->query->below);
	fputs("\"> <button>Show</button></form>\n", view->out);
}

void
page_view_sdks(const struct page_view * view, const struct report_sdks * found)
{
	struct page_rows rows = page_frame_rows(view, found->count,
	    PAGE_FRAME_ROWS);

	page_frame_begin(view, NULL);
	write_below_form(view);
	if (found->count == 0)
		fputs("<p>There is no such instance.</p>\n", view->out);
	else {
		page_frame_pager(view, rows, PAGE_FRAME_ROWS);
		write_sdk_rows(view, found, rows, true);
	}
	page_frame_end(view);
}

/* Features */

static void
write_variants(const struct page_view * view,
    const struct report_feature * feature)
{
	const struct report_counter * variant = feature->variants;
	int shown = 0;

	for (; variant != NULL && shown < VARIANTS_MAX;
	    variant = variant->next, shown++) {
		fputs(shown > 0 ? ", " : "", view->out);
		html_name(view->out, variant->name);
		putc(' ', view->out);
		html_number(view->out, variant->total);
	}
	if (variant != NULL)
		fputs(", \xe2\x80\xa6", view->out);
}

static const uint64_t *
behind(const uint64_t * counts, size_t count)
{

	return (counts == NULL ? NULL : counts + count);
}

static void
write_feature_row(const struct page_view * view,
    const struct report_span * recent, const struct report_feature * one)
{
	size_t count = view->query->scope.span.count;

	fputs("<tr><th scope=row>", view->out);
	page_frame_link(view, &view->query->scope.environment,
	    &view->query->scope.application, &one->name);
	fputs("<td class=n>", view->out);
	html_number(view->out, results_sum(one->yes.total, one->no.total));
	html_share(view->out, one->yes.total, one->no.total);
	html_sparkline(view->out, one->yes.counts, one->no.counts, count);
	if (recent != NULL)
		html_sparkline(view->out, behind(one->yes.counts, count),
		    behind(one->no.counts, count), recent->count);
	fputs("<td class=v>", view->out);
	write_variants(view, one);
	page_frame_time(view, one->seen);
	if (one->seen != 0 && one->seen < view->now - STALE_SECONDS)
		fputs(" <span class=stale>stale</span>", view->out);
	fputs("</tr>\n", view->out);
}

static void
write_feature_rows(const struct page_view * view,
    const struct report_span * recent, const struct report_features * found)
{
	struct page_rows rows = page_frame_rows(view, found->count,
	    PAGE_FRAME_ROWS);
	char headings[400];
	size_t i;

	snprintf(headings, sizeof(headings), "<th scope=col>Feature"
	    "<th scope=col class=n>Evaluations<th scope=col class=n>Yes"
	    "<th scope=col>Share<th scope=col>%zu %s%s<th scope=col>Variants"
	    "<th scope=col>Last seen", view->query->scope.span.count,
	    view->query->scope.span.by_hour ? "hours" : "days",
	    recent == NULL ? "" : "<th scope=col>48 hours");
	page_frame_pager(view, rows, PAGE_FRAME_ROWS);
	page_frame_table(view, "features", "Features, most evaluations first",
	    headings);
	for (i = rows.first; i < rows.end; i++)
		write_feature_row(view, recent, found->list[i]);
	page_frame_end_table(view);
}

/* A span of a feature's counts, which has its own chart and table. */
struct section {
	struct report_span span;
	const char * id;
	const uint64_t * yes, * no;
};

static void
label_period(FILE * out, void * context, size_t column)
{
	const struct section * section = context;
	char period[DATE_TEXT_MAX];

	reader_name_period(&section->span, column, period);
	fputs(period, out);
}

static void
write_section_chart(const struct page_view * view, struct section * section)
{

	fprintf(view->out, "<h2>By %s</h2>\n", section->span.by_hour ?
	    "hour" : "day");
	html_chart(view->out, section->span.by_hour ? "Chart by hour" :
	    "Chart by day", section->yes, section->no, section->span.count,
	    label_period, section);
}

static void
write_section_table(const struct page_view * view, struct section * section)
{
	size_t i = section->span.count;

	page_frame_table(view, section->id, section->span.by_hour ?
	    "Evaluations by hour, latest first" :
	    "Evaluations by day, latest first",
	    "<th scope=col>Period<th scope=col class=n>Yes"
	    "<th scope=col class=n>No<th scope=col class=n>Yes"
	    "<th scope=col>Share");
	while (i-- > 0) {
		uint64_t yes = section->yes == NULL ? 0 : section->yes[i];
		uint64_t no = section->no == NULL ? 0 : section->no[i];

		fputs("<tr><th scope=row>", view->out);
		label_period(view->out, section, i);
		fputs("<td class=n>", view->out);
		html_number(view->out, yes);
		fputs("<td class=n>", view->out);
		html_number(view->out, no);
		html_share(view->out, yes, no);
		fputs("</tr>\n", view->out);
	}
	page_frame_end_table(view);
}

static void
write_feature(const struct page_view * view, const struct report_span * recent,
    const struct report_feature * feature)
{
	const struct report_span * span = &view->query->scope.span;
	const struct report_counter * variant;
	struct section chosen = { .span = *span, .id = "periods",
	    .yes = feature->yes.counts, .no = feature->no.counts };
	struct section hours = { .id = "hours",
	    .yes = behind(feature->yes.counts, span->count),
	    .no = behind(feature->no.counts, span->count) };

	fputs("<p>Last seen ", view->out);
	report_write_time(view->out, feature->seen);
	fputs("</p>\n", view->out);
	if (feature->variants != NULL) {
		fputs("<h2>Variants</h2>\n", view->out);
		page_frame_table(view, "variants", "How often each was given",
		    "<th scope=col>Variant<th scope=col class=n>Count"
		    "<th scope=col>Over time");
	}
	for (variant = feature->variants; variant != NULL;
	    variant = variant->next) {
		fputs("<tr><th scope=row>", view->out);
		html_name(view->out, variant->name);
		fputs("<td class=n>", view->out);
		html_number(view->out, variant->total);
		html_sparkline(view->out, variant->counts, NULL, span->count);
		fputs("</tr>\n", view->out);
	}
	if (feature->variants != NULL)
		page_frame_end_table(view);
	write_section_chart(view, &chosen);
	if (recent != NULL) {
		hours.span = *recent;
		write_section_chart(view, &hours);
	}
	fputs("<h2>Numbers</h2>\n", view->out);
	write_section_table(view, &chosen);
	if (recent != NULL)
		write_section_table(view, &hours);
}

void
page_view_features(const struct page_view * view,
    const struct report_span * recent, const struct report_features * found,
    const struct report_sdks * sdks)
{
	struct page_rows all = { 0, sdks->count > PAGE_FRAME_ROWS ?
	    PAGE_FRAME_ROWS : sdks->count, sdks->count };

	page_frame_begin(view, page_frame_spans);
	if (found->count == 0)
		fputs("<p>Nothing has been counted.</p>\n", view->out);
	else if (view->query->scope.feature.bytes == NULL)
		write_feature_rows(view, recent, found);
	else
		write_feature(view, recent, found->list[0]);
	if (sdks->count > 0) {
		fputs("<h2>Instances</h2>\n", view->out);
		write_sdk_rows(view, sdks, all, false);
	}
	page_frame_end(view);
}

/* Stale features */

static void
write_ages(const struct page_view * view)
{
	static const struct { const char * label; size_t days; } ages[] = {
		{ "7 days", 7 }, { "30 days", 30 }, { "90 days", 90 },
	};
	size_t i;

	fputs("<nav aria-label=\"Not evaluated for\"><p>Not evaluated for</p>"
	    "<ul>", view->out);
	for (i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
		struct page_query query = *view->query;

		query.from = 0;
		query.days = ages[i].days;
		page_frame_choice(view, &query, ages[i].label,
		    ages[i].days == view->query->days);
	}
	fputs("</ul></nav>\n", view->out);
}

void
page_view_stales(const struct page_view * view,
    const struct report_stales * found)
{
	struct page_rows rows = page_frame_rows(view, found->count,
	    PAGE_FRAME_ROWS);
	size_t i;

	page_frame_begin(view, write_ages);
	if (found->count == 0) {
		fprintf(view->out, "<p>All features were evaluated in the last "
		    "%zu days.</p>\n", view->query->days);
		page_frame_end(view);
		return;
	}
	page_frame_pager(view, rows, PAGE_FRAME_ROWS);
	page_frame_table(view, "stale", "Features, longest unused first",
	    "<th scope=col>Feature<th scope=col>Environment<th scope=col>"
	    "Application<th scope=col>Last seen");
	for (i = rows.first; i < rows.end; i++) {
		const struct report_stale * one = &found->list[i];

		fputs("<tr><th scope=row>", view->out);
		page_frame_link(view, &one->environment, &one->application,
		    &one->feature);
		fputs("<td>", view->out);
		page_frame_link(view, &one->environment, NULL, NULL);
		fputs("<td>", view->out);
		page_frame_link(view, &one->environment, &one->application,
		    NULL);
		page_frame_time(view, one->seen);
		fputs("</tr>\n", view->out);
	}
	page_frame_end_table(view);
	page_frame_end(view);
}

/* Edge */

void
page_view_edges(const struct page_view * view,
    const struct report_edges * found)
{
	size_t i, j;

	page_frame_begin(view, NULL);
	if (found->count == 0) {
		fputs("<p>No Unleash Edge has reported about itself in the "
		    "last 30 days.</p>\n", view->out);
		page_frame_end(view);
		return;
	}
	page_frame_table(view, "edges", "Instances of Unleash Edge, latest "
	    "report first", "<th scope=col>Identifier<th scope=col>Name"
	    "<th scope=col>Version<th scope=col>Region<th scope=col>Hosting"
	    "<th scope=col>Started<th scope=col>Last report");
	for (i = 0; i < found->count; i++) {
		const struct report_edge * one = &found->list[i];
		const struct text cells[] = { one->name, one->version,
		    one->region, one->hosting };

		fputs("<tr><th scope=row>", view->out);
		html_name(view->out, one->identifier);
		for (j = 0; j < sizeof(cells) / sizeof(cells[0]); j++) {
			fputs("<td>", view->out);
			if (cells[j].length > 0)
				html_name(view->out, cells[j]);
		}
		fputs("<td class=t>", view->out);
		/* To the minute, as all other times. */
		html_text(view->out, (struct text){ one->started.bytes,
		    one->started.length < 16 ? one->started.length : 16 });
		fputs(one->started.length > 16 ? "Z" : "", view->out);
		page_frame_time(view, one->seen);
		fputs("</tr>\n", view->out);
	}
	page_frame_end_table(view);
	page_frame_end(view);
}

/* Health */

struct health_view {
	const struct page_view * view;
	const char * part;		/* The table that is open, or NULL. */
};

static void
write_value(void * context, const char * part, const char * name,
    const char * value, bool is_number)
{
	struct health_view * health = context;
	FILE * out = health->view->out;
	struct text text = { value, strlen(value) };
	const char * c;

	if (health->part == NULL || strcmp(health->part, part) != 0) {
		if (health->part != NULL)
			page_frame_end_table(health->view);
		health->part = part;
		page_frame_table(health->view, part,
		    strcmp(part, "redis") == 0 ? "Redis" :
		    strcmp(part, "spool") == 0 ? "Spool" :
		    "Dropped counts by reason", "<th scope=col>Name"
		    "<th scope=col class=n>Value");
	}
	fputs("<tr><th scope=row>", out);
	for (c = name; *c != '\0'; c++)
		putc(*c == '_' ? ' ' : *c, out);
	fputs("<td class=n>", out);
	if (health_is_time(name))
		report_write_time(out, strtoll(value, NULL, 10));
	else if (is_number)
		html_number(out, strtoull(value, NULL, 10));
	else
		html_text(out, text);
	fputs("</tr>\n", out);
}

void
page_view_health(const struct page_view * view, const struct health * health)
{
	struct health_view context = { view, NULL };

	page_frame_begin(view, NULL);
	if (health->read_error[0] != '\0')
		fputs("<p class=warning>Redis cannot be read.</p>\n",
		    view->out);
	health_each(health, write_value, &context);
	page_frame_end_table(view);
	page_frame_end(view);
}
