#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/reportctl.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/escape.h"
#include "lib/base/utf8.h"
#include "lib/config/units.h"
#include "lib/report/report.h"
#include "lib/report/report_write.h"

#define EXIT_FAILED 1
#define EXIT_WRONG_OPTION 64
#define EXIT_NO_REDIS 75

#define HOUR_SECONDS INT64_C(3600)
#define DAY_SECONDS INT64_C(86400)
#define DEFAULT_DAYS 7
#define DEFAULT_HOURS 48

/* Cells of a bar, and of a sparkline at most. */
#define BAR_CELLS 10
#define SPARK_CELLS 48

enum format { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON };

struct printer {
	struct arena * arena;
	struct report * report;
	struct report_scope scope;
	enum format format;
	bool graphic;			/* Bars and sparklines. */
	int64_t stale_before;
};

/* Options */

static int
wrong_option(const char * option, const char * value, const char * why)
{

	fprintf(stderr, "flagtally: --%s ", option);
	escape_print(stderr, value);
	fprintf(stderr, " %s\n", why);
	return (EXIT_WRONG_OPTION);
}

/* Read a day, an hour, or an age into seconds since 1970. */
static bool
read_time(const char * text, int64_t * instant)
{
	char whole[64];
	size_t length = strlen(text);
	const char * rest = length == strlen("YYYY-MM-DD") ? "T00:00:00Z" :
	    length == strlen("YYYY-MM-DDTHH") ? ":00:00Z" : "";
	const char * why;
	uint64_t age;

	if (units_parse(text, UNITS_DURATION, 0, UNITS_MAX, &age) == NULL) {
		*instant = clock_now() - (int64_t)(age / 1000);
		return (true);
	}
	if (length + strlen(rest) >= sizeof(whole))
		return (false);
	snprintf(whole, sizeof(whole), "%s%s", text, rest);
	return (date_parse(whole, strlen(whole), instant, &why) == 0);
}

static int64_t
period_of(const struct printer * printer, int64_t instant)
{

	return (printer->scope.span.by_hour ? date_hour(instant) :
	    date_day(instant));
}

static int
read_span(struct printer * printer, const struct reportctl_options * options)
{
	static const char form[] = "is no day (2026-11-23), hour "
	    "(2026-11-23T09) or age (30d)";
	int64_t now = clock_now();
	int64_t since, last;

	if (options->by != NULL && strcmp(options->by, "hour") != 0 &&
	    strcmp(options->by, "day") != 0)
		return (wrong_option("by", options->by, "is not hour or day"));
	printer->scope.span.by_hour = options->by != NULL &&
	    strcmp(options->by, "hour") == 0;
	since = now - (printer->scope.span.by_hour ?
	    (DEFAULT_HOURS - 1) * HOUR_SECONDS :
	    (DEFAULT_DAYS - 1) * DAY_SECONDS);
	if (options->since != NULL && !read_time(options->since, &since))
		return (wrong_option("since", options->since, form));
	if (options->until != NULL && !read_time(options->until, &now))
		return (wrong_option("until", options->until, form));
	printer->scope.span.first = period_of(printer, since);
	last = period_of(printer, now);
	if (last < printer->scope.span.first)
		return (wrong_option("since", options->since == NULL ? "" :
		    options->since, "is after --until"));
	if (last - printer->scope.span.first >= REPORT_PERIODS_MAX)
		return (wrong_option("since", options->since == NULL ? "" :
		    options->since, "is too long before --until"));
	printer->scope.span.count =
	    (size_t)(last - printer->scope.span.first) + 1;
	return (0);
}

/* Take the part of the target up to a slash. */
static bool
take_part(struct printer * printer, const char ** at, struct text * part)
{
	size_t length = strcspn(*at, "/");
	char * copy = arena_copy(printer->arena, *at, length);
	long decoded = escape_percent_decode(copy, length);

	if (decoded < 0)
		return (false);
	*part = (struct text){ copy, (size_t)decoded };
	*at += length;
	return (true);
}

static int
read_target(struct printer * printer, const char * target)
{
	struct text * const parts[] = { &printer->scope.environment,
	    &printer->scope.application, &printer->scope.feature };
	const char * at = target;
	size_t i;

	for (i = 0; i < 3 && target != NULL; i++) {
		if (!take_part(printer, &at, parts[i]))
			return (wrong_option("report", target,
			    "has a % that two hexadecimal digits do not "
			    "follow"));
		if (*at == '\0')
			return (0);
		at++;
	}
	return (target == NULL ? 0 : wrong_option("report", target,
	    "has more than ENV/APP/FEATURE; write / in a name as %2F"));
}

static int
read_format(struct printer * printer, const char * format)
{
	static const char * const names[] = { "table", "csv", "json" };
	const char * no_color = getenv("NO_COLOR");
	size_t i;

	printer->graphic = isatty(STDOUT_FILENO) &&
	    (no_color == NULL || no_color[0] == '\0');
	printer->format = FORMAT_TABLE;
	for (i = 0; format != NULL && i < 3; i++)
		if (strcmp(format, names[i]) == 0) {
			printer->format = (enum format)i;
			return (0);
		}
	return (format == NULL ? 0 : wrong_option("format", format,
	    "is not table, csv or json"));
}

/* Texts */

/* Print a name, with everything that could disturb a terminal as \xHH. */
static int
print_name(struct text name)
{
	char byte[ESCAPE_BYTE_MAX];
	size_t i, size;
	int columns = 0;
	int width;

	for (i = 0; i < name.length; i += size) {
		size = utf8_printable(name.bytes + i, name.length - i,
		    &width);
		if (size > 0) {
			fwrite(name.bytes + i, 1, size, stdout);
			columns += width;
			continue;
		}
		size = 1;
		width = (int)escape_byte(byte, name.bytes[i]);
		fwrite(byte, 1, (size_t)width, stdout);
		columns += width;
	}
	return (columns);
}

/* Columns that print_name takes. */
static int
name_width(struct text name)
{
	char byte[ESCAPE_BYTE_MAX];
	size_t i, size;
	int columns = 0;
	int width;

	for (i = 0; i < name.length; i += size) {
		size = utf8_printable(name.bytes + i, name.length - i,
		    &width);
		if (size == 0) {
			size = 1;
			width = (int)escape_byte(byte, name.bytes[i]);
		}
		columns += width;
	}
	return (columns);
}

static void
print_cell(struct text name, int width)
{
	int used = print_name(name);

	printf("%*s  ", used < width ? width - used : 0, "");
}

static void
widen(int * width, struct text name)
{
	int own = name_width(name);

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
print_share(const struct printer * printer, uint64_t yes, uint64_t no)
{
	static const char * const eighths[] = { " ", "\u258f", "\u258e",
	    "\u258d", "\u258c", "\u258b", "\u258a", "\u2589", "\u2588" };
	int filled = (int)(share_of(yes, no) * BAR_CELLS * 8 + 0.5);
	int i;

	if (yes + no == 0)
		fputs("     -", stdout);
	else
		printf("%5.1f%%", share_of(yes, no) * 100);
	for (i = 0; i < BAR_CELLS && printer->graphic; i++) {
		int part = filled - i * 8;

		if (i == 0)
			putchar(' ');
		fputs(eighths[part < 0 ? 0 : part > 8 ? 8 : part], stdout);
	}
	fputs("  ", stdout);
}

/* Evaluations over the span; several periods share a cell in a long one. */
static void
print_sparkline(const struct printer * printer, const uint64_t * yes,
    const uint64_t * no)
{
	static const char * const levels[] = { "\u2581", "\u2582", "\u2583",
	    "\u2584", "\u2585", "\u2586", "\u2587", "\u2588" };
	size_t periods = printer->scope.span.count;
	size_t cells = periods < SPARK_CELLS ? periods : SPARK_CELLS;
	double sums[SPARK_CELLS] = { 0 };
	double most = 0;
	size_t i;

	if (!printer->graphic)
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

static void
print_queued(const struct printer * printer)
{
	const struct report_queued * queued = printer->scope.queued;

	if (!queued->known || queued->since == 0)
		return;
	fputs("Not complete: counts accepted since ", stdout);
	report_write_time(stdout, queued->since / 1000);
	printf(" wait in the spool (%" PRIu64 " bytes).\n", queued->bytes);
}

/* Reports */

static int
report_failure(const struct printer * printer)
{

	fputs("flagtally: ", stderr);
	escape_print(stderr, report_error(printer->report));
	fputc('\n', stderr);
	return (report_unreachable(printer->report) ? EXIT_NO_REDIS :
	    EXIT_FAILED);
}

static void
print_applications_table(const struct printer * printer,
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
		printf("%11" PRIu64 "  ", one->yes + one->no);
		print_share(printer, one->yes, one->no);
		print_sparkline(printer, one->evaluations, NULL);
		report_write_time(stdout, one->seen);
		putchar('\n');
	}
	print_queued(printer);
}

static int
run_applications(struct printer * printer)
{
	struct report_applications found;

	if (report_applications(printer->report, &printer->scope.environment,
	    &printer->scope.span, &found) != 0)
		return (report_failure(printer));
	if (printer->format == FORMAT_CSV)
		report_write_applications_csv(stdout, &found);
	else if (printer->format == FORMAT_JSON)
		report_write_applications_json(stdout, &printer->scope,
		    &found);
	else
		print_applications_table(printer, &found);
	return (0);
}

static void
print_sdks(const struct report_sdk * sdk)
{

	if (sdk == NULL)
		return;
	puts("\nINSTANCES  SDK");
	for (; sdk != NULL; sdk = sdk->next) {
		printf("%9zu  ", sdk->instances);
		if (sdk->version.length == 0)
			putchar('-');
		print_name(sdk->version);
		putchar('\n');
	}
}

static void
print_features_table(const struct printer * printer,
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
		print_share(printer, one->yes.total, one->no.total);
		print_sparkline(printer, one->yes.counts, one->no.counts);
		report_write_time(stdout, one->seen);
		putchar('\n');
	}
}

/* One feature: a line for each period, and the variants. */
static void
print_periods_table(const struct printer * printer,
    const struct report_feature * feature)
{
	const struct report_counter * variant;
	char period[DATE_TEXT_MAX];
	size_t i;

	printf("%-13s  %11s  %11s     YES\n", "PERIOD", "YES", "NO");
	for (i = 0; i < printer->scope.span.count; i++) {
		uint64_t yes = feature->yes.counts == NULL ? 0 :
		    feature->yes.counts[i];
		uint64_t no = feature->no.counts == NULL ? 0 :
		    feature->no.counts[i];

		report_write_period(&printer->scope.span, i, period);
		printf("%-13s  %11" PRIu64 "  %11" PRIu64 "  ", period, yes,
		    no);
		print_share(printer, yes, no);
		putchar('\n');
	}
	if (feature->variants != NULL)
		puts("\n      COUNT  VARIANT");
	for (variant = feature->variants; variant != NULL;
	    variant = variant->next) {
		printf("%11" PRIu64 "  ", variant->total);
		print_sparkline(printer, variant->counts, NULL);
		print_name(variant->name);
		putchar('\n');
	}
}

static int
run_features(struct printer * printer)
{
	const struct report_scope * scope = &printer->scope;
	struct report_features found;
	struct report_sdk * sdks = NULL;

	if (report_features(printer->report, &scope->environment,
	    &scope->application, &scope->feature, &scope->span, &found) != 0 ||
	    (scope->feature.bytes == NULL && report_sdks(printer->report,
	    &scope->environment, &scope->application, &sdks) != 0))
		return (report_failure(printer));
	if (printer->format == FORMAT_CSV)
		report_write_features_csv(stdout, &printer->scope, &found);
	else if (printer->format == FORMAT_JSON)
		report_write_features_json(stdout, &printer->scope, &found,
		    sdks);
	else {
		if (printer->scope.feature.bytes == NULL)
			print_features_table(printer, &found);
		else if (found.count > 0)
			print_periods_table(printer, found.list[0]);
		print_sdks(sdks);
		print_queued(printer);
	}
	return (0);
}

static void
print_stales_table(const struct report_stales * found)
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

static int
run_stale(struct printer * printer)
{
	struct report_stales found;

	if (report_stale(printer->report, &printer->scope.environment,
	    &printer->scope.application, printer->stale_before, &found) != 0)
		return (report_failure(printer));
	if (printer->format == FORMAT_CSV)
		report_write_stales_csv(stdout, &found);
	else if (printer->format == FORMAT_JSON)
		report_write_stales_json(stdout, &found);
	else
		print_stales_table(&found);
	return (0);
}

static int
read_options_of(struct printer * printer,
    const struct reportctl_options * options)
{
	uint64_t age = 0;
	int status = read_span(printer, options);

	if (status == 0)
		status = read_target(printer, options->target);
	if (status == 0)
		status = read_format(printer, options->format);
	if (status == 0 && options->stale != NULL &&
	    units_parse(options->stale, UNITS_DURATION, 0, UNITS_MAX,
	    &age) != NULL)
		status = wrong_option("stale", options->stale,
		    "is no age (30d)");
	printer->stale_before = clock_now() - (int64_t)(age / 1000);
	return (status);
}

int
reportctl_run(const struct reportctl_options * options, const char * prefix,
    struct redis * redis, const struct report_queued * queued)
{
	struct printer printer = { .scope.queued = queued };
	int status;

	printer.arena = arena_create(0);
	printer.report = report_create(prefix, redis, printer.arena);
	status = read_options_of(&printer, options);
	if (status == 0)
		status = options->stale != NULL ? run_stale(&printer) :
		    printer.scope.application.bytes == NULL ?
		    run_applications(&printer) : run_features(&printer);
	report_free(printer.report);
	arena_free(printer.arena);
	return (status);
}
