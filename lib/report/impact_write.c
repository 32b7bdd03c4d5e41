#include <math.h>
#include <stdlib.h>

#include "lib/base/alloc.h"
#include "lib/base/number.h"
#include "lib/report/impact_write.h"

const double impact_write_quantiles[IMPACT_WRITE_QUANTILES] = {
	0.5, 0.95, 0.99,
};

void
impact_write_number(FILE * out, double number)
{

	if (isnan(number))
		putc('-', out);
	else
		fprintf(out, "%.4g", number);
}

static void
write_csv_text(FILE * out, struct text text)
{

	fwrite(text.bytes, 1, text.length, out);
}

/* Write a number so that it reads back as the same, or nothing if it is NaN. */
static void
write_exact(FILE * out, double number)
{
	char text[NUMBER_TEXT_MAX];
	size_t length;

	if (isfinite(number)) {
		length = number_text(text, number);
		fwrite(text, 1, length, out);
	} else if (isinf(number))
		fputs(number > 0 ? "+Inf" : "-Inf", out);
}

/* CSV */

void
impact_write_csv(FILE * out, const struct report_impact * impact)
{
	struct impact_series series;
	size_t i, at, quantile;

	fputs("environment,metric,type,labels,value,count,sum,p50,p95,p99\n",
	    out);
	for (i = 0; i < impact->count; i++) {
		const struct impact_metric * metric = &impact->list[i];

		for (at = 0; impact_next(metric, &at, &series);) {
			report_write_csv(out, metric->environment);
			putc(',', out);
			write_csv_text(out, metric->name);
			putc(',', out);
			write_csv_text(out, metric->type);
			putc(',', out);
			report_write_csv(out, series.samples[0].labels);
			putc(',', out);
			write_csv_text(out, series.value);
			putc(',', out);
			write_csv_text(out, series.observations);
			putc(',', out);
			write_csv_text(out, series.sum);
			for (quantile = 0; quantile < IMPACT_WRITE_QUANTILES;
			    quantile++) {
				double value = impact_quantile(&series,
				    impact_write_quantiles[quantile]);

				putc(',', out);
				write_exact(out, value);
			}
			putc('\n', out);
		}
	}
}

/* JSON */

struct label_list {
	FILE * out;
	size_t count;
};

static void
write_json_label(void * context, struct text name, struct text value)
{
	struct label_list * list = context;

	if (list->count++ > 0)
		putc(',', list->out);
	report_write_json(list->out, name);
	putc(':', list->out);
	report_write_json(list->out, value);
}

static void
write_json_labels(FILE * out, struct text labels)
{
	struct label_list list = { out, 0 };
	char * scratch = alloc_bytes(labels.length + 1);

	putc('{', out);
	impact_labels(labels, scratch, write_json_label, &list);
	putc('}', out);
	free(scratch);
}

/* JSON has no infinity and no NaN. */
static void
write_number(FILE * out, const char * name, double number)
{

	fprintf(out, ",\"%s\":", name);
	if (isfinite(number))
		write_exact(out, number);
	else
		fputs("null", out);
}

static void
write_json_histogram(FILE * out, const struct impact_series * series)
{
	size_t i;

	write_number(out, "count", impact_observations(series));
	write_number(out, "sum", impact_sum(series));
	write_number(out, "p50", impact_quantile(series, 0.5));
	write_number(out, "p95", impact_quantile(series, 0.95));
	write_number(out, "p99", impact_quantile(series, 0.99));
	fputs(",\"buckets\":[", out);
	for (i = 0; i < series->buckets; i++) {
		fputs(i == 0 ? "{\"le\":" : ",{\"le\":", out);
		report_write_json(out, series->samples[i].le);
		write_number(out, "count", impact_value(&series->samples[i]));
		putc('}', out);
	}
	putc(']', out);
}

static void
write_json_metric(FILE * out, const struct impact_metric * metric)
{
	struct impact_series series;
	size_t at = 0;
	const char * separator = "";

	fputs("{\"environment\":", out);
	report_write_json(out, metric->environment);
	fputs(",\"metric\":", out);
	report_write_json(out, metric->name);
	fputs(",\"type\":", out);
	report_write_json(out, metric->type);
	fputs(",\"help\":", out);
	report_write_json(out, metric->help);
	fputs(",\"series\":[", out);
	while (impact_next(metric, &at, &series)) {
		fprintf(out, "%s{\"labels\":", separator);
		separator = ",";
		write_json_labels(out, series.samples[0].labels);
		if (series.buckets > 0)
			write_json_histogram(out, &series);
		else
			write_number(out, "value",
			    impact_value(&series.samples[0]));
		putc('}', out);
	}
	fputs("]}", out);
}

void
impact_write_json(FILE * out, const struct report_scope * scope,
    const struct report_impact * impact)
{
	size_t i;

	fputs("{\"impact\":[", out);
	for (i = 0; i < impact->count; i++) {
		if (i > 0)
			putc(',', out);
		write_json_metric(out, &impact->list[i]);
	}
	putc(']', out);
	report_write_missing_json(out, scope->missing);
	fputs("}\n", out);
}
