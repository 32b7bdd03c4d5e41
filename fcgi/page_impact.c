#include <math.h>
#include <stdio.h>

#include "fcgi/html.h"
#include "fcgi/page_impact.h"
#include "lib/report/impact_write.h"

/* Metrics on one page, each with its own tables. */
#define METRICS_MAX 50

static const struct text none = { NULL, 0 };

static void
write_labels(const struct page_view * view, struct text labels)
{

	if (labels.length == 0)
		fputs("<i>(no labels)</i>", view->out);
	else
		html_name(view->out, labels);
}

/* A table whose caption is unique on the page. */
static void
begin_series_table(const struct page_view * view, const char * id,
    const char * caption, const struct impact_metric * metric,
    struct text labels, const char * headings)
{

	fprintf(view->out, "<div class=scroll tabindex=0 role=region "
	    "aria-labelledby=%s><table%s><caption id=%s>%s ", id,
	    labels.bytes == NULL ? "" : " class=narrow", id, caption);
	html_name(view->out, metric->name);
	if (labels.bytes != NULL) {
		fputs(": ", view->out);
		write_labels(view, labels);
	}
	fprintf(view->out, "</caption><thead><tr>%s</tr></thead><tbody>\n",
	    headings);
}

static void
write_values(const struct page_view * view, const char * id,
    const struct impact_metric * metric)
{
	struct impact_series series;
	size_t at;

	begin_series_table(view, id, "Values of", metric, none,
	    "<th scope=col>Labels<th scope=col class=n>Value");
	for (at = 0; impact_next(metric, &at, &series);) {
		fputs("<tr><th scope=row>", view->out);
		write_labels(view, series.samples[0].labels);
		fputs("<td class=n>", view->out);
		html_text(view->out, series.value);
		fputs("</tr>\n", view->out);
	}
	page_frame_end_table(view);
}

static void
write_summary(const struct page_view * view, const char * id,
    const struct impact_metric * metric)
{
	struct impact_series series;
	size_t at, i;

	begin_series_table(view, id, "Observations of", metric, none,
	    "<th scope=col>Labels<th scope=col class=n>Count"
	    "<th scope=col class=n>Mean<th scope=col class=n>p50"
	    "<th scope=col class=n>p95<th scope=col class=n>p99");
	for (at = 0; impact_next(metric, &at, &series);) {
		double count = impact_observations(&series);

		fputs("<tr><th scope=row>", view->out);
		write_labels(view, series.samples[0].labels);
		fputs("<td class=n>", view->out);
		html_text(view->out, series.observations);
		fputs("<td class=n>", view->out);
		impact_write_number(view->out, count > 0 ?
		    impact_sum(&series) / count : NAN);
		for (i = 0; i < IMPACT_WRITE_QUANTILES; i++) {
			fputs("<td class=n>", view->out);
			impact_write_number(view->out, impact_quantile(&series,
			    impact_write_quantiles[i]));
		}
		fputs("</tr>\n", view->out);
	}
	page_frame_end_table(view);
}

/* The buckets of a series, each as a bar of the observations only it has. */
static void
write_buckets(const struct page_view * view, const char * id,
    const struct impact_metric * metric, const struct impact_series * series)
{
	double most = 0;
	size_t i;

	for (i = 0; i < series->buckets; i++)
		most = fmax(most, impact_bucket(series, i));
	begin_series_table(view, id, "Buckets of", metric,
	    series->samples[0].labels, "<th scope=col class=n>At most"
	    "<th scope=col class=n>Observations<th scope=col>Distribution");
	for (i = 0; i < series->buckets; i++) {
		double count = impact_bucket(series, i);

		fputs("<tr><th scope=row class=n>", view->out);
		html_text(view->out, series->samples[i].le);
		fputs("<td class=n>", view->out);
		html_number(view->out, count > 0 ? (uint64_t)count : 0);
		fputs("</td>", view->out);
		html_bar(view->out, most == 0 ? 0 : count / most);
		fputs("</tr>\n", view->out);
	}
	page_frame_end_table(view);
}

static void
write_metric(const struct page_view * view, size_t number,
    const struct impact_metric * metric)
{
	struct impact_series series;
	char id[64];
	size_t at, i;

	fputs("<h2>", view->out);
	html_name(view->out, metric->name);
	fputs("</h2>\n<p>", view->out);
	html_text(view->out, metric->type);
	fputs(" of ", view->out);
	html_name(view->out, metric->environment);
	fputs(": ", view->out);
	html_text(view->out, metric->help);
	fputs("</p>\n", view->out);
	snprintf(id, sizeof(id), "m%zu", number);
	if (!text_is(&metric->type, "histogram")) {
		write_values(view, id, metric);
		return;
	}
	write_summary(view, id, metric);
	fputs("<details open><summary>Buckets</summary>\n", view->out);
	for (at = 0, i = 0; impact_next(metric, &at, &series); i++) {
		snprintf(id, sizeof(id), "m%zu-%zu", number, i);
		write_buckets(view, id, metric, &series);
	}
	fputs("</details>\n", view->out);
}

void
page_impact_view(const struct page_view * view,
    const struct report_impact * found)
{
	struct page_rows rows = page_frame_rows(view, found->count,
	    METRICS_MAX);
	size_t i;

	page_frame_begin(view, NULL);
	if (found->count == 0)
		fputs("<p>There are no such impact metrics.</p>\n", view->out);
	page_frame_pager(view, rows, METRICS_MAX);
	for (i = rows.first; i < rows.end; i++)
		if (found->list[i].count > 0)
			write_metric(view, i, &found->list[i]);
	page_frame_end(view);
}
