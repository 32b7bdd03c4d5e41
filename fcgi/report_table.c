#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/report_table.h"
#include "lib/base/escape.h"
#include "lib/base/utf8.h"
#include "lib/report/impact_write.h"

/* Cells of a bar, and of a sparkline at most. */
#define BAR_CELLS 10
#define SPARK_CELLS 48

/* Texts */

/*
 * Write a name to ${out}, with everything that could disturb a terminal as
 * \xHH, and return the columns that it takes.  NULL: only count them.
 */
static int
write_shown(FILE * out, struct text name)
{
	char byte[ESCAPE_BYTE_MAX];
	size_t i, size, length;
	int columns = 0;
	int width;

	for (i = 0; i < name.length; i += size) {
		const char * shown = name.bytes + i;

		size = length = utf8_printable(shown, name.length - i, &width);
		if (size == 0) {
			size = 1;
			length = escape_byte(byte, *shown);
			shown = byte;
			width = (int)length;
		}
		if (out != NULL)
			fwrite(shown, 1, length, out);
		columns += width;
	}
	return (columns);
}

static void
print_cell(struct text name, int width)
{
	int used = write_shown(stdout, name);

	printf("%*s  ", used < width ? width - used : 0, "");
}

static void
widen(int * width, struct text name)
{
	int own = write_shown(NULL, name);

	if (own > *width)
		*width = own;
}

static double
share_of(uint64_t yes, uint64_t no)
{

	return (yes + no == 0 ? 0 : (double)yes / ((double)yes + (double)no));
}

/* A share in percent, and as a bar of eighths of a cell. */
static void
print_share(const struct report_table * table, uint64_t yes, uint64_t no)
{
	static const char * const eighths[] = { " ", "\u258f", "\u258e",
	    "\u258d", "\u258c", "\u258b", "\u258a", "\u2589", "\u2588" };
	int filled = (int)(share_of(yes, no) * BAR_CELLS * 8 + 0.5);
	int i;

	if (yes + no == 0)
		fputs("     -", stdout);
	else
		printf("%5.1f%%", share_of(yes, no) * 100);
	for (i = 0; i < BAR_CELLS && table->graphic; i++) {
		int part = filled - i * 8;

		if (i == 0)
			putchar(' ');
		fputs(eighths[part < 0 ? 0 : part > 8 ? 8 : part], stdout);
	}
	fputs("  ", stdout);
}

/* Evaluations over the span; several periods share a cell in a long one. */
static void
print_sparkline(const struct report_table * table, const uint64_t * yes,
    const uint64_t * no)
{
	static const char * const levels[] = { "\u2581", "\u2582", "\u2583",
	    "\u2584", "\u2585", "\u2586", "\u2587", "\u2588" };
	size_t periods = table->scope->span.count;
	size_t cells = periods < SPARK_CELLS ? periods : SPARK_CELLS;
	double sums[SPARK_CELLS] = { 0 };
	double most = 0;
	size_t i;

	if (!table->graphic)
		return;
	for (i = 0; i < periods; i++)
		sums[i * cells / periods] +=
		    (yes == NULL ? 0 : (double)yes[i]) +
		    (no == NULL ? 0 : (double)no[i]);
	for (i = 0; i < cells; i++)
		most = sums[i] > most ? sums[i] : most;
	for (i = 0; i < cells; i++)
		fputs(sums[i] == 0 ? " " :
		    levels[(int)(sums[i] / most * 7 + 0.5)], stdout);
	fputs("  ", stdout);
}

/* Tables */

void
report_table_applications(const struct report_table * table,
    const struct report_applications * found)
{
	static const struct text environment = { "ENVIRONMENT", 11 };
	static const struct text application = { "APPLICATION", 11 };
	int widths[2] = { 11, 11 };
	size_t i;

	for (i = 0; i < found->count; i++) {
		widen(&widths[0], found->list[i].environment);
		widen(&widths[1], found->list[i].name);
	}
	print_cell(environment, widths[0]);
	print_cell(application, widths[1]);
	puts("EVALUATIONS     YES  LAST SEEN");
	for (i = 0; i < found->count; i++) {
		const struct report_application * one = &found->list[i];

		print_cell(one->environment, widths[0]);
		print_cell(one->name, widths[1]);
		if (one->unread > 0)
			fputs("   not read       -  ", stdout);
		else {
			printf("%11" PRIu64 "  ", one->yes + one->no);
			print_share(table, one->yes, one->no);
			print_sparkline(table, one->evaluations, NULL);
		}
		report_write_time(stdout, one->seen);
		putchar('\n');
	}
}

void
report_table_features(const struct report_table * table,
    const struct report_features * found)
{
	static const struct text feature = { "FEATURE", 7 };
	int width = 7;
	size_t i;

	for (i = 0; i < found->count; i++)
		widen(&width, found->list[i]->name);
	print_cell(feature, width);
	puts("EVALUATIONS     YES  LAST SEEN");
	for (i = 0; i < found->count; i++) {
		const struct report_feature * one = found->list[i];

		print_cell(one->name, width);
		printf("%11" PRIu64 "  ", one->yes.total + one->no.total);
		print_share(table, one->yes.total, one->no.total);
		print_sparkline(table, one->yes.counts, one->no.counts);
		report_write_time(stdout, one->seen);
		putchar('\n');
	}
}

/* One feature: a line for each period, and the variants. */
void
report_table_periods(const struct report_table * table,
    const struct report_feature * feature)
{
	const struct report_counter * variant;
	char period[DATE_TEXT_MAX];
	size_t i;

	printf("%-13s  %11s  %11s     YES\n", "PERIOD", "YES", "NO");
	for (i = 0; i < table->scope->span.count; i++) {
		uint64_t yes = feature->yes.counts == NULL ? 0 :
		    feature->yes.counts[i];
		uint64_t no = feature->no.counts == NULL ? 0 :
		    feature->no.counts[i];

		reader_name_period(&table->scope->span, i, period);
		printf("%-13s  %11" PRIu64 "  %11" PRIu64 "  ", period, yes,
		    no);
		print_share(table, yes, no);
		putchar('\n');
	}
	if (feature->variants != NULL)
		puts("\n      COUNT  VARIANT");
	for (variant = feature->variants; variant != NULL;
	    variant = variant->next) {
		printf("%11" PRIu64 "  ", variant->total);
		print_sparkline(table, variant->counts, NULL);
		write_shown(stdout, variant->name);
		putchar('\n');
	}
}

void
report_table_stales(const struct report_stales * found)
{
	int widths[3] = { 11, 11, 7 };
	size_t i;

	for (i = 0; i < found->count; i++) {
		widen(&widths[0], found->list[i].environment);
		widen(&widths[1], found->list[i].application);
		widen(&widths[2], found->list[i].feature);
	}
	printf("%-*s  %-*s  %-*s  LAST SEEN\n", widths[0], "ENVIRONMENT",
	    widths[1], "APPLICATION", widths[2], "FEATURE");
	for (i = 0; i < found->count; i++) {
		print_cell(found->list[i].environment, widths[0]);
		print_cell(found->list[i].application, widths[1]);
		print_cell(found->list[i].feature, widths[2]);
		report_write_time(stdout, found->list[i].seen);
		putchar('\n');
	}
}


void
report_table_sdks(const struct report_sdks * found)
{
	static const struct text heads[] = { { "SDK", 3 },
	    { "ENVIRONMENT", 11 }, { "APPLICATION", 11 } };
	static const struct text unknown = { "-", 1 };
	int widths[3] = { 3, 11, 11 };
	size_t i;

	for (i = 0; i < found->count; i++) {
		widen(&widths[0], found->list[i].version);
		widen(&widths[1], found->list[i].environment);
		widen(&widths[2], found->list[i].application);
	}
	for (i = 0; i < 3; i++)
		print_cell(heads[i], widths[i]);
	puts("INSTANCES  LAST REGISTERED");
	for (i = 0; i < found->count; i++) {
		const struct report_sdk * one = &found->list[i];

		print_cell(one->version.length == 0 ? unknown : one->version,
		    widths[0]);
		print_cell(one->environment, widths[1]);
		print_cell(one->application, widths[2]);
		printf("%9zu  ", one->instances);
		report_write_time(stdout, one->seen);
		putchar('\n');
	}
}

void
report_table_edges(const struct report_edges * found)
{
	static const struct text heads[] = { { "IDENTIFIER", 10 },
	    { "NAME", 4 }, { "VERSION", 7 }, { "REGION", 6 } };
	int widths[4] = { 10, 4, 7, 6 };
	size_t i;

	for (i = 0; i < found->count; i++) {
		widen(&widths[0], found->list[i].identifier);
		widen(&widths[1], found->list[i].name);
		widen(&widths[2], found->list[i].version);
		widen(&widths[3], found->list[i].region);
	}
	for (i = 0; i < 4; i++)
		print_cell(heads[i], widths[i]);
	puts("LAST REPORT");
	for (i = 0; i < found->count; i++) {
		print_cell(found->list[i].identifier, widths[0]);
		print_cell(found->list[i].name, widths[1]);
		print_cell(found->list[i].version, widths[2]);
		print_cell(found->list[i].region, widths[3]);
		report_write_time(stdout, found->list[i].seen);
		putchar('\n');
	}
}

/* Impact metrics */

/* How the observations are distributed over the buckets. */
static void
print_buckets(const struct report_table * table,
    const struct impact_series * series)
{
	static const char * const levels[] = { "\u2581", "\u2582", "\u2583",
	    "\u2584", "\u2585", "\u2586", "\u2587", "\u2588" };
	double most = 0;
	size_t i;

	if (!table->graphic)
		return;
	fputs("  ", stdout);
	for (i = 0; i < series->buckets; i++)
		most = fmax(most, impact_bucket(series, i));
	for (i = 0; i < series->buckets; i++) {
		double share = most == 0 ? 0 : impact_bucket(series, i) / most;

		fputs(share > 0 ? levels[(int)(share * 7 + 0.5)] : " ",
		    stdout);
	}
}

static void
print_quantiles(const struct impact_series * series)
{
	char text[32];
	size_t i;

	for (i = 0; i < IMPACT_WRITE_QUANTILES; i++) {
		double value = impact_quantile(series,
		    impact_write_quantiles[i]);

		snprintf(text, sizeof(text), isnan(value) ? "-" : "%.4g",
		    value);
		printf("  %9s", text);
	}
}

void
report_table_impact(const struct report_table * table,
    const struct report_impact * found)
{
	static const struct text heads[] = { { "METRIC", 6 },
	    { "ENVIRONMENT", 11 }, { "LABELS", 6 } };
	int widths[3] = { 6, 11, 6 };
	struct impact_series series;
	size_t i, at;

	for (i = 0; i < found->count; i++) {
		widen(&widths[0], found->list[i].name);
		widen(&widths[1], found->list[i].environment);
		for (at = 0; impact_next(&found->list[i], &at, &series);)
			widen(&widths[2], series.samples[0].labels);
	}
	for (i = 0; i < 3; i++)
		print_cell(heads[i], widths[i]);
	puts("VALUE OR COUNT        P50        P95        P99");
	for (i = 0; i < found->count; i++)
		for (at = 0; impact_next(&found->list[i], &at, &series);) {
			struct text value = series.buckets > 0 ?
			    series.observations : series.value;

			print_cell(found->list[i].name, widths[0]);
			print_cell(found->list[i].environment, widths[1]);
			print_cell(series.samples[0].labels, widths[2]);
			printf("%14.*s", (int)value.length, value.bytes);
			if (series.buckets > 0) {
				print_quantiles(&series);
				print_buckets(table, &series);
			}
			putchar('\n');
		}
}

/* Health */

static void
print_value(void * context, const char * part, const char * name,
    const char * value, bool is_number)
{

	(void)context;
	(void)is_number;
	printf("%-7s  %-20s  ", part, name);
	if (health_is_time(name))
		report_write_time(stdout, strtoll(value, NULL, 10));
	else
		escape_print(stdout, value);
	putchar('\n');
}

void
report_table_health(const struct health * health)
{

	puts("PART     NAME                  VALUE");
	health_each(health, print_value, NULL);
}

/* The spool */

void
report_table_queued(FILE * out, const struct report_queued * queued)
{

	if (queued->failed)
		fputs("The spool cannot be read, so it is unknown whether "
		    "counts wait in it.\n", out);
	if (!queued->known || queued->since == 0)
		return;
	fputs("Not complete: counts accepted since ", out);
	report_write_time(out, queued->since / 1000);
	fprintf(out, " wait in the spool (%" PRIu64 " bytes).\n",
	    queued->bytes);
}
