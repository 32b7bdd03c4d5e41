#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/report_table.h"
#include "fcgi/reportctl.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/escape.h"
#include "lib/config/units.h"
#include "lib/report/impact_write.h"
#include "lib/report/report.h"
#include "lib/report/report_write.h"

#define EXIT_FAILED 1
#define EXIT_WRONG_OPTION 64
#define EXIT_NO_REDIS 75

#define HOUR_SECONDS INT64_C(3600)
#define DAY_SECONDS INT64_C(86400)
#define DEFAULT_DAYS 7
#define DEFAULT_HOURS 48

/* Milliseconds after which a terminal shows progress, and between two times. */
#define PROGRESS_AFTER 1000
#define PROGRESS_INTERVAL 200

enum format { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON };

enum subject {
	SUBJECT_COUNTS,
	SUBJECT_SDKS,
	SUBJECT_IMPACT,
	SUBJECT_EDGES,
	SUBJECT_HEALTH,
	SUBJECT_STALE,
};

/* Names that a target of each subject can have. */
static const size_t parts_max[] = {
	[SUBJECT_COUNTS] = 3, [SUBJECT_SDKS] = 2, [SUBJECT_IMPACT] = 2,
	[SUBJECT_EDGES] = 0, [SUBJECT_HEALTH] = 0, [SUBJECT_STALE] = 2,
};
static const char * const forms[] = { "no name", "ENV", "ENV/NAME",
    "ENV/APP/FEATURE" };

struct printer {
	struct arena * arena;
	struct report * report;
	const struct health_source * source;
	struct report_queued queued;
	struct report_scope scope;
	struct report_table table;
	enum subject subject;
	enum format format;
	struct text below;
	size_t top;			/* Features; 0: all. */
	int64_t stale_before;

	/* Of the progress that a terminal shows. */
	int64_t shown;			/* When it was printed, or the start. */
	int width;			/* Columns of it. */
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

/* Read --since, --until and --by.  Return 0 or an exit status. */
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

/* Read ENV/APP/FEATURE, as many parts of it as the subject has. */
static int
read_target(struct printer * printer, const char * target)
{
	struct text * const parts[] = { &printer->scope.environment,
	    &printer->scope.application, &printer->scope.feature };
	const size_t count = sizeof(parts) / sizeof(parts[0]);
	size_t most = parts_max[printer->subject];
	const char * at = target;
	char why[64];
	size_t i;

	for (i = 0; i < most && i < count && target != NULL; i++) {
		if (!take_part(printer, &at, parts[i]))
			return (wrong_option("report", target,
			    "has a % that two hexadecimal digits do not "
			    "follow"));
		if (*at == '\0')
			return (0);
		at++;
	}
	if (target == NULL)
		return (0);
	snprintf(why, sizeof(why), "has more than %s; write / in a name as "
	    "%%2F", forms[most]);
	return (wrong_option("report", target, why));
}

/* Choose the report by --show, --stale and --below. */
static int
read_subject(struct printer * printer, const struct reportctl_options * options)
{
	static const char * const names[] = {
		[SUBJECT_COUNTS] = "counts", [SUBJECT_SDKS] = "sdks",
		[SUBJECT_IMPACT] = "impact", [SUBJECT_EDGES] = "edges",
		[SUBJECT_HEALTH] = "health",
	};
	size_t i = 0;

	if (options->stale != NULL)
		printer->subject = SUBJECT_STALE;
	if (options->below != NULL) {
		printer->subject = SUBJECT_SDKS;
		printer->below = (struct text){ options->below,
		    strlen(options->below) };
	}
	if (options->show == NULL)
		return (0);
	while (i < sizeof(names) / sizeof(names[0]) &&
	    strcmp(options->show, names[i]) != 0)
		i++;
	if (i == sizeof(names) / sizeof(names[0]))
		return (wrong_option("show", options->show, "is not counts, "
		    "sdks, impact, edges or health"));
	if (printer->subject != SUBJECT_COUNTS && printer->subject != i)
		return (wrong_option("show", options->show, "does not go with "
		    "--stale or --below"));
	printer->subject = (enum subject)i;
	return (0);
}

static int
read_top(struct printer * printer, const char * top)
{
	uint64_t number;

	if (top == NULL)
		return (0);
	if (units_parse(top, UNITS_COUNT, 1, SIZE_MAX, &number) != NULL)
		return (wrong_option("top", top, "is no number above 0"));
	printer->top = (size_t)number;
	return (0);
}

static int
read_format(struct printer * printer, const char * format)
{
	static const char * const names[] = { "table", "csv", "json" };
	const char * no_color = getenv("NO_COLOR");
	size_t i;

	printer->table.graphic = isatty(STDOUT_FILENO) &&
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

/* Progress */

static void
show_progress(void * context, size_t done, size_t total)
{
	struct printer * printer = context;
	int64_t now = clock_monotonic();

	if (now - printer->shown < (printer->width == 0 ? PROGRESS_AFTER :
	    PROGRESS_INTERVAL))
		return;
	printer->shown = now;
	printer->width = fprintf(stderr, "\rreading: %zu of %zu keys", done,
	    total) - 1;
}

static void
end_progress(struct printer * printer)
{

	if (printer->width > 0)
		fprintf(stderr, "\r%*s\r", printer->width, "");
	printer->width = 0;
}

/* Reports.  Each function returns 0, or -1 if Redis could not be read. */

static int
run_applications(struct printer * printer)
{
	struct report_applications found;

	if (report_applications(printer->report, &printer->scope.environment,
	    &printer->scope.span, &found) != 0)
		return (-1);
	end_progress(printer);
	if (printer->format == FORMAT_CSV)
		report_write_applications_csv(stdout, &found);
	else if (printer->format == FORMAT_JSON)
		report_write_applications_json(stdout, &printer->scope,
		    &found);
	else
		report_table_applications(&printer->table, &found);
	return (0);
}

static int
run_features(struct printer * printer)
{
	const struct report_scope * scope = &printer->scope;
	struct report_features found;
	struct report_sdks sdks = { NULL, 0 };

	if (report_features(printer->report, &scope->environment,
	    &scope->application, &scope->feature, &scope->span, NULL,
	    &found, scope->feature.bytes == NULL ? &sdks : NULL) != 0)
		return (-1);
	end_progress(printer);
	if (printer->top > 0 && found.count > printer->top)
		found.count = printer->top;
	if (printer->format == FORMAT_CSV)
		report_write_features_csv(stdout, scope, &found);
	else if (printer->format == FORMAT_JSON)
		report_write_features_json(stdout, scope, &found, &sdks);
	else if (scope->feature.bytes == NULL) {
		report_table_features(&printer->table, &found);
		if (sdks.count > 0) {
			putchar('\n');
			report_table_sdks(&sdks);
		}
	} else if (found.count > 0)
		report_table_periods(&printer->table, found.list[0]);
	return (0);
}

static int
run_stale(struct printer * printer)
{
	struct report_stales found;

	if (report_stale(printer->report, &printer->scope.environment,
	    &printer->scope.application, printer->stale_before, &found) != 0)
		return (-1);
	end_progress(printer);
	if (printer->format == FORMAT_CSV)
		report_write_stales_csv(stdout, &found);
	else if (printer->format == FORMAT_JSON)
		report_write_stales_json(stdout, &printer->scope, &found);
	else
		report_table_stales(&found);
	return (0);
}

static int
run_sdks(struct printer * printer)
{
	struct report_sdks found;

	if (report_sdks(printer->report, &printer->scope.environment,
	    &printer->scope.application, &printer->below, &found) != 0)
		return (-1);
	end_progress(printer);
	if (printer->format == FORMAT_CSV)
		report_write_sdks_csv(stdout, &found);
	else if (printer->format == FORMAT_JSON)
		report_write_sdks_json(stdout, &printer->scope, &found);
	else
		report_table_sdks(&found);
	return (0);
}

static int
run_impact(struct printer * printer)
{
	struct report_impact found;

	if (report_impact(printer->report, &printer->scope.environment,
	    &printer->scope.application, &found) != 0)
		return (-1);
	end_progress(printer);
	if (printer->format == FORMAT_CSV)
		impact_write_csv(stdout, &found);
	else if (printer->format == FORMAT_JSON)
		impact_write_json(stdout, &printer->scope, &found);
	else
		report_table_impact(&printer->table, &found);
	return (0);
}

static int
run_edges(struct printer * printer)
{
	struct report_edges found = { NULL, 0 };

	if (report_edges(printer->report, &found) != 0)
		return (-1);
	end_progress(printer);
	if (printer->format == FORMAT_CSV)
		report_write_edges_csv(stdout, &found);
	else if (printer->format == FORMAT_JSON)
		report_write_edges_json(stdout, &found);
	else
		report_table_edges(&found);
	return (0);
}

/* This report says that Redis cannot be read: that is no failure. */
static int
run_health(struct printer * printer)
{
	struct health health;

	health_read(printer->source, printer->report, &health);
	end_progress(printer);
	if (printer->format == FORMAT_CSV)
		health_write_csv(stdout, &health);
	else if (printer->format == FORMAT_JSON)
		health_write_json(stdout, &health);
	else
		report_table_health(&health);
	return (0);
}

static int
run_counts(struct printer * printer)
{

	return (printer->scope.application.bytes == NULL ?
	    run_applications(printer) : run_features(printer));
}

/* Report counts that wait in the spool, where that disturbs no program. */
static void
print_queued(const struct printer * printer)
{

	if (printer->subject == SUBJECT_HEALTH ||
	    printer->subject == SUBJECT_EDGES)
		return;
	if (printer->format == FORMAT_TABLE)
		report_table_queued(stdout, &printer->queued);
	else
		report_table_queued(stderr, &printer->queued);
}

/* Say on standard error what the report lacks.  Return the exit status. */
static int
print_missing(const struct printer * printer)
{
	const struct reader_missing * missing =
	    report_missing(printer->report);

	if (missing->count == 0)
		return (0);
	report_write_missing(stderr, missing);
	fputc('\n', stderr);
	return (missing->away ? EXIT_NO_REDIS : EXIT_FAILED);
}

static int
run_report(struct printer * printer)
{
	static int (* const runs[])(struct printer * printer) = {
		[SUBJECT_COUNTS] = run_counts, [SUBJECT_SDKS] = run_sdks,
		[SUBJECT_IMPACT] = run_impact, [SUBJECT_EDGES] = run_edges,
		[SUBJECT_HEALTH] = run_health, [SUBJECT_STALE] = run_stale,
	};

	health_queued(printer->source, &printer->queued);
	printer->shown = clock_monotonic();
	if (isatty(STDERR_FILENO))
		report_watch(printer->report, show_progress, printer);
	if (runs[printer->subject](printer) == 0) {
		print_queued(printer);
		return (print_missing(printer));
	}
	end_progress(printer);
	fputs("flagtally: ", stderr);
	escape_print(stderr, report_error(printer->report));
	fputc('\n', stderr);
	return (report_unreachable(printer->report) ? EXIT_NO_REDIS :
	    EXIT_FAILED);
}

static int
read_options_of(struct printer * printer,
    const struct reportctl_options * options)
{
	uint64_t age = 0;
	int status = read_span(printer, options);

	if (status == 0)
		status = read_subject(printer, options);
	if (status == 0)
		status = read_top(printer, options->top);
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
    struct cluster * cluster, const struct health_source * source)
{
	struct printer printer = { .source = source };
	int status;

	printer.scope.queued = &printer.queued;
	printer.table.scope = &printer.scope;
	printer.arena = arena_create(0);
	printer.report = report_create(prefix, cluster, printer.arena);
	printer.scope.missing = report_missing(printer.report);
	status = read_options_of(&printer, options);
	if (status == 0)
		status = run_report(&printer);
	report_free(printer.report);
	arena_free(printer.arena);
	return (status);
}
