#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/escape.h"
#include "lib/report/report_write.h"

#define HOUR_SECONDS INT64_C(3600)

/* Fields */

void
report_write_json(FILE * out, struct text text)
{
	char small[ESCAPE_JSON_ROOM(256)];
	char * json = text.length <= 256 ? small :
	    alloc_bytes(ESCAPE_JSON_ROOM(text.length));

	fwrite(json, 1, escape_json_ascii(json, text.bytes, text.length),
	    out);
	if (json != small)
		free(json);
}

void
report_write_csv(FILE * out, struct text text)
{
	size_t i;

	putc('"', out);
	if (text.length > 0 && strchr("=+-@\t\r", text.bytes[0]) != NULL)
		putc('\'', out);
	for (i = 0; i < text.length; i++) {
		if (text.bytes[i] == '"')
			putc('"', out);
		putc(text.bytes[i], out);
	}
	putc('"', out);
}

void
report_write_time(FILE * out, int64_t instant)
{
	char hour[DATE_TEXT_MAX];

	if (instant == 0) {
		fputs("-", out);
		return;
	}
	hour[date_format_hour(hour, date_hour(instant))] = '\0';
	fprintf(out, "%s:%02dZ", hour, (int)((instant % HOUR_SECONDS +
	    HOUR_SECONDS) % HOUR_SECONDS / 60));
}

/* Missing parts */

void
report_write_missing(FILE * out, const struct reader_missing * missing)
{
	size_t shown = missing->count < READER_MISSING_NAMES ?
	    missing->count : READER_MISSING_NAMES;
	const char * c;
	size_t i;

	fputs("Not complete: ", out);
	for (i = 0; i < shown; i++)
		fprintf(out, "%s%.*s", i == 0 ? "" : ", ",
		    (int)missing->names[i].length, missing->names[i].bytes);
	if (missing->count > shown)
		fprintf(out, " and %zu others", missing->count - shown);
	fputs(" could not be read: ", out);
	for (c = missing->why; *c != '\0'; c++)
		putc(*c >= ' ' && *c <= '~' ? *c : '?', out);
	fputs(".", out);
}

void
report_write_missing_json(FILE * out, const struct reader_missing * missing)
{
	size_t i;

	fputs(",\"missing\":", out);
	if (missing->count == 0) {
		fputs("null", out);
		return;
	}
	fprintf(out, "{\"count\":%zu,\"names\":[", missing->count);
	for (i = 0; i < missing->count && i < READER_MISSING_NAMES; i++) {
		if (i > 0)
			putc(',', out);
		report_write_json(out, missing->names[i]);
	}
	fputs("],\"why\":", out);
	report_write_json(out, text_of(missing->why));
	putc('}', out);
}

/* CSV */

void
report_write_applications_csv(FILE * out,
    const struct report_applications * found)
{
	size_t i;

	fputs("environment,application,yes,no,last_seen\n", out);
	for (i = 0; i < found->count; i++) {
		report_write_csv(out, found->list[i].environment);
		putc(',', out);
		report_write_csv(out, found->list[i].name);
		if (found->list[i].unread > 0)
			fputs(",,,", out);
		else
			fprintf(out, ",%" PRIu64 ",%" PRIu64 ",",
			    found->list[i].yes, found->list[i].no);
		report_write_time(out, found->list[i].seen);
		putc('\n', out);
	}
}

/* A line for each counter and period that is not 0. */
static void
write_counter_csv(FILE * out, const struct report_scope * scope,
    const struct report_feature * feature,
    const struct report_counter * counter, const char * kind)
{
	char period[DATE_TEXT_MAX];
	size_t i;

	for (i = 0; counter->counts != NULL && i < scope->span.count; i++) {
		if (counter->counts[i] == 0)
			continue;
		reader_name_period(&scope->span, i, period);
		report_write_csv(out, scope->environment);
		putc(',', out);
		report_write_csv(out, scope->application);
		putc(',', out);
		report_write_csv(out, feature->name);
		fprintf(out, ",%s,", kind);
		report_write_csv(out, counter->name);
		fprintf(out, ",%s,%" PRIu64 "\n", period, counter->counts[i]);
	}
}

void
report_write_features_csv(FILE * out, const struct report_scope * scope,
    const struct report_features * found)
{
	const struct report_counter * variant;
	size_t i;

	fputs("environment,application,feature,counter,variant,period,"
	    "count\n", out);
	for (i = 0; i < found->count; i++) {
		const struct report_feature * one = found->list[i];

		write_counter_csv(out, scope, one, &one->yes, "yes");
		write_counter_csv(out, scope, one, &one->no, "no");
		for (variant = one->variants; variant != NULL;
		    variant = variant->next)
			write_counter_csv(out, scope, one, variant,
			    "variant");
	}
}

/* JSON */

/* The members with which each JSON report begins. */
static void
write_json_head(FILE * out, const struct report_scope * scope)
{
	char first[DATE_TEXT_MAX], last[DATE_TEXT_MAX];

	reader_name_period(&scope->span, 0, first);
	reader_name_period(&scope->span, scope->span.count - 1, last);
	fprintf(out, "{\"by\":\"%s\",\"since\":\"%s\",\"until\":\"%s\","
	    "\"queued\":", scope->span.by_hour ? "hour" : "day", first,
	    last);
	if (!scope->queued->known)
		fputs("null", out);
	else
		fprintf(out, "{\"bytes\":%" PRIu64 ",\"since\":%" PRId64 "}",
		    scope->queued->bytes, scope->queued->since / 1000);
}

static void
write_evaluations_json(FILE * out, const struct report_scope * scope,
    const struct report_application * one)
{
	size_t i;

	if (one->unread > 0) {
		fprintf(out, ",\"yes\":%s,\"no\":%s,\"evaluations\":%s",
		    "null", "null", "null");
		return;
	}
	fprintf(out, ",\"yes\":%" PRIu64 ",\"no\":%" PRIu64
	    ",\"evaluations\":[", one->yes, one->no);
	for (i = 0; i < scope->span.count; i++)
		fprintf(out, i == 0 ? "%" PRIu64 : ",%" PRIu64,
		    one->evaluations[i]);
	putc(']', out);
}

void
report_write_applications_json(FILE * out, const struct report_scope * scope,
    const struct report_applications * found)
{
	size_t i;

	write_json_head(out, scope);
	report_write_missing_json(out, scope->missing);
	fputs(",\"applications\":[", out);
	for (i = 0; i < found->count; i++) {
		const struct report_application * one = &found->list[i];

		fputs(i == 0 ? "{\"environment\":" : ",{\"environment\":",
		    out);
		report_write_json(out, one->environment);
		fputs(",\"application\":", out);
		report_write_json(out, one->name);
		fprintf(out, ",\"seen\":%" PRId64, one->seen);
		write_evaluations_json(out, scope, one);
		putc('}', out);
	}
	fputs("]}\n", out);
}

static void
write_counts_json(FILE * out, const struct report_scope * scope,
    const struct report_counter * counter)
{
	size_t i;

	putc('[', out);
	for (i = 0; i < scope->span.count; i++)
		fprintf(out, i == 0 ? "%" PRIu64 : ",%" PRIu64,
		    counter->counts == NULL ? 0 : counter->counts[i]);
	putc(']', out);
}

static void
write_feature_json(FILE * out, const struct report_scope * scope,
    const struct report_feature * feature)
{
	const struct report_counter * variant;

	fputs("{\"feature\":", out);
	report_write_json(out, feature->name);
	fprintf(out, ",\"seen\":%" PRId64 ",\"yes\":", feature->seen);
	write_counts_json(out, scope, &feature->yes);
	fputs(",\"no\":", out);
	write_counts_json(out, scope, &feature->no);
	fputs(",\"variants\":{", out);
	for (variant = feature->variants; variant != NULL;
	    variant = variant->next) {
		report_write_json(out, variant->name);
		putc(':', out);
		write_counts_json(out, scope, variant);
		if (variant->next != NULL)
			putc(',', out);
	}
	fputs("}}", out);
}

void
report_write_features_json(FILE * out, const struct report_scope * scope,
    const struct report_features * found, const struct report_sdks * sdks)
{
	size_t i;

	write_json_head(out, scope);
	fputs(",\"environment\":", out);
	report_write_json(out, scope->environment);
	fputs(",\"application\":", out);
	report_write_json(out, scope->application);
	fputs(",\"features\":[", out);
	for (i = 0; i < found->count; i++) {
		if (i > 0)
			putc(',', out);
		write_feature_json(out, scope, found->list[i]);
	}
	fputs("],\"sdks\":{", out);
	for (i = 0; i < sdks->count; i++) {
		report_write_json(out, sdks->list[i].version);
		fprintf(out, ":%zu%s", sdks->list[i].instances,
		    i + 1 == sdks->count ? "" : ",");
	}
	fputs("}}\n", out);
}

/* Stale features */

void
report_write_stales_csv(FILE * out, const struct report_stales * stales)
{
	size_t i;

	fputs("environment,application,feature,last_seen\n", out);
	for (i = 0; i < stales->count; i++) {
		report_write_csv(out, stales->list[i].environment);
		putc(',', out);
		report_write_csv(out, stales->list[i].application);
		putc(',', out);
		report_write_csv(out, stales->list[i].feature);
		putc(',', out);
		report_write_time(out, stales->list[i].seen);
		putc('\n', out);
	}
}

void
report_write_stales_json(FILE * out, const struct report_scope * scope,
    const struct report_stales * stales)
{
	size_t i;

	fputs("{\"stale\":[", out);
	for (i = 0; i < stales->count; i++) {
		fputs(i == 0 ? "{\"environment\":" : ",{\"environment\":",
		    out);
		report_write_json(out, stales->list[i].environment);
		fputs(",\"application\":", out);
		report_write_json(out, stales->list[i].application);
		fputs(",\"feature\":", out);
		report_write_json(out, stales->list[i].feature);
		fprintf(out, ",\"seen\":%" PRId64 "}", stales->list[i].seen);
	}
	putc(']', out);
	report_write_missing_json(out, scope->missing);
	fputs("}\n", out);
}

/* SDKs */

void
report_write_sdks_csv(FILE * out, const struct report_sdks * sdks)
{
	size_t i;

	fputs("environment,application,sdk,instances,last_registered\n", out);
	for (i = 0; i < sdks->count; i++) {
		report_write_csv(out, sdks->list[i].environment);
		putc(',', out);
		report_write_csv(out, sdks->list[i].application);
		putc(',', out);
		report_write_csv(out, sdks->list[i].version);
		fprintf(out, ",%zu,", sdks->list[i].instances);
		report_write_time(out, sdks->list[i].seen);
		putc('\n', out);
	}
}

void
report_write_sdks_json(FILE * out, const struct report_scope * scope,
    const struct report_sdks * sdks)
{
	size_t i;

	fputs("{\"sdks\":[", out);
	for (i = 0; i < sdks->count; i++) {
		fputs(i == 0 ? "{\"environment\":" : ",{\"environment\":",
		    out);
		report_write_json(out, sdks->list[i].environment);
		fputs(",\"application\":", out);
		report_write_json(out, sdks->list[i].application);
		fputs(",\"sdk\":", out);
		report_write_json(out, sdks->list[i].version);
		fprintf(out, ",\"instances\":%zu,\"registered\":%" PRId64
		    "}", sdks->list[i].instances, sdks->list[i].seen);
	}
	putc(']', out);
	report_write_missing_json(out, scope->missing);
	fputs("}\n", out);
}

/* Edges */

void
report_write_edges_csv(FILE * out, const struct report_edges * edges)
{
	size_t i, j;

	fputs("identifier,name,version,region,hosting,started,last_report\n",
	    out);
	for (i = 0; i < edges->count; i++) {
		const struct report_edge * one = &edges->list[i];
		const struct text fields[] = { one->identifier, one->name,
		    one->version, one->region, one->hosting, one->started };

		for (j = 0; j < sizeof(fields) / sizeof(fields[0]); j++) {
			report_write_csv(out, fields[j]);
			putc(',', out);
		}
		report_write_time(out, one->seen);
		putc('\n', out);
	}
}

/* The data is valid JSON and complete, so it is written as it is. */
void
report_write_edges_json(FILE * out, const struct report_edges * edges)
{
	size_t i;

	fputs("{\"edges\":[", out);
	for (i = 0; i < edges->count; i++) {
		if (i > 0)
			putc(',', out);
		fwrite(edges->list[i].data.bytes, 1,
		    edges->list[i].data.length, out);
	}
	fputs("]}\n", out);
}
