#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buffer.h"
#include "lib/base/date.h"
#include "lib/base/escape.h"
#include "lib/report/reader.h"
#include "lib/report/report.h"
#include "lib/report/sdk_version.h"

struct report {
	struct reader reader;

	/* Of the function that is running. */
	const struct report_span * span;
	size_t first;			/* Period of the first bucket. */
	size_t before;			/* Replies before that bucket's. */
	struct report_application * application;
	struct features features;
	struct report_stales stales;
	size_t stale_room;
	struct text environment, name;	/* Of the application being read. */
	struct report_applications applications;
	size_t application_room;
	struct report_sdk * sdks;
};

/* Every function begins with this. */
static void
report_begin(struct report * report)
{

	reader_begin(&report->reader);
	report->stales = (struct report_stales){ NULL, 0 };
	report->stale_room = 0;
	report->applications = (struct report_applications){ NULL, 0 };
	report->application_room = 0;
	report->application = NULL;
	report->before = 0;
	report->sdks = NULL;
}

static void
request_period(struct report * report, size_t period)
{
	const struct report_span * span = report->span;
	char name[DATE_TEXT_MAX];
	size_t length = span->by_hour ?
	    date_format_hour(name, span->first + (int64_t)period) :
	    date_format_day(name, span->first + (int64_t)period);

	name[length] = '\0';
	reader_tag(&report->reader, report->environment, report->name, name);
	reader_ask(&report->reader, "HGETALL");
}

/* Features of one application */

static void
take_feature_reply(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct report * report = context;
	size_t i;

	if (!reader_is_list(&report->reader, reply))
		return;
	for (i = 0; i + 1 < reply->count && !reader_failed(&report->reader);
	    i += 2) {
		struct text field = redis_text(reply, i);
		int64_t value = reader_number(redis_text(reply, i + 1));

		/* The first reply is :seen, and the others are buckets. */
		if (number < report->before)
			features_seen(&report->features, field, value);
		else
			features_add(&report->features, field, report->first +
			    number - report->before, (uint64_t)value);
	}
}

/*
 * Read all periods of report->span with pipelines of REPORT_BATCH buckets.  The
 * first pipeline contains report->before requests already.
 */
static int
read_periods(struct report * report, redis_take * take)
{
	size_t at, i;

	for (at = 0; at < report->span->count; at += i) {
		report->first = at;
		for (i = 0; i < REPORT_BATCH && at + i < report->span->count;
		    i++)
			request_period(report, at + i);
		if (reader_send(&report->reader, take, report) != 0)
			return (-1);
		report->before = 0;
	}
	return (0);
}

int
report_features(struct report * report, const struct text * environment,
    const struct text * application, const struct text * feature,
    const struct report_span * span, struct report_features * features)
{
	struct buffer encoded = { NULL, 0, 0 };
	struct text only = { NULL, 0 };
	int status;

	report_begin(report);
	report->span = span;
	report->environment = *environment;
	report->name = *application;
	if (feature->bytes != NULL) {
		encoded.length = escape_percent(buffer_room(&encoded,
		    ESCAPE_PERCENT_ROOM(feature->length) + 1),
		    feature->bytes, feature->length);
		only = (struct text){ encoded.bytes, encoded.length };
	}
	features_init(&report->features, &report->reader.results, span->count,
	    only);
	reader_tag(&report->reader, *environment, *application, "seen");
	reader_ask_scores(&report->reader);
	report->before = 1;
	status = read_periods(report, take_feature_reply);
	buffer_free(&encoded);
	if (status != 0)
		return (-1);
	features_list(&report->features, features);
	return (reader_failed(&report->reader) ? -1 : 0);
}

/* Applications */

/* Totals of a bucket into the application being read. */
static void
take_totals(void * context, size_t number, const struct redis_reply * reply)
{
	struct report * report = context;
	struct report_application * application = report->application;
	struct text name, kind;
	size_t i;

	if (!reader_is_list(&report->reader, reply))
		return;
	for (i = 0; i + 1 < reply->count; i += 2) {
		uint64_t * total;
		uint64_t counted;

		if (!results_split(redis_text(reply, i), &name, &kind))
			continue;
		total = text_is(&kind, "yes") ? &application->yes :
		    text_is(&kind, "no") ? &application->no : NULL;
		if (total == NULL)
			continue;
		counted = (uint64_t)reader_number(redis_text(reply, i + 1));
		*total = results_sum(*total, counted);
		application->evaluations[report->first + number] = results_sum(
		    application->evaluations[report->first + number],
		    counted);
	}
}

static void
take_application(struct report * report, struct text member, int64_t seen)
{
	struct report_applications * found = &report->applications;
	struct report_application application = { .seen = seen };
	struct text environment, name;

	if (!results_split(member, &environment, &name))
		return;
	application.environment = results_decode(&report->reader.results,
	    environment);
	application.name = results_decode(&report->reader.results, name);
	if (reader_failed(&report->reader) || (report->environment.bytes !=
	    NULL &&
	    !results_same(application.environment, report->environment)))
		return;
	found->list[found->count++] = application;
}

static void
take_applications(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct report * report = context;
	size_t i;

	(void)number;
	if (!reader_is_list(&report->reader, reply))
		return;
	report->applications.list = results_take(&report->reader.results,
	    (reply->count / 2 + 1) * sizeof(*report->applications.list));
	for (i = 0; i + 1 < reply->count && !reader_failed(&report->reader);
	    i += 2)
		take_application(report, redis_text(reply, i),
		    reader_number(redis_text(reply, i + 1)));
}

static int
compare_applications(const void * left, const void * right)
{
	const struct report_application * a = left;
	const struct report_application * b = right;
	int order = results_compare(a->environment, b->environment);

	return (order != 0 ? order : results_compare(a->name, b->name));
}

/* Read the list of applications, filtered by report->environment. */
static int
list_applications(struct report * report)
{

	reader_list(&report->reader, "apps");
	reader_ask_scores(&report->reader);
	if (reader_send(&report->reader, take_applications, report) != 0)
		return (-1);
	qsort(report->applications.list, report->applications.count,
	    sizeof(*report->applications.list), compare_applications);
	return (0);
}

int
report_applications(struct report * report, const struct text * environment,
    const struct report_span * span, struct report_applications * applications)
{
	size_t i;

	report_begin(report);
	report->span = span;
	report->environment = *environment;
	if (list_applications(report) != 0)
		return (-1);
	for (i = 0; i < report->applications.count; i++) {
		report->application = &report->applications.list[i];
		report->environment = report->application->environment;
		report->name = report->application->name;
		report->application->evaluations = results_take(
		    &report->reader.results, span->count * sizeof(uint64_t));
		if (reader_failed(&report->reader) ||
		    read_periods(report, take_totals) != 0)
			return (-1);
	}
	*applications = report->applications;
	return (0);
}

/* Features that are no longer evaluated */

static void
take_stale(void * context, size_t number, const struct redis_reply * reply)
{
	struct report * report = context;
	struct report_stales * stales = &report->stales;
	const struct report_application * application =
	    report->application + number;
	size_t i;

	if (!reader_is_list(&report->reader, reply))
		return;
	if (stales->count + reply->count / 2 > report->stale_room) {
		size_t room = (stales->count + reply->count / 2) * 2;
		struct report_stale * list =
		    results_take(&report->reader.results,
		    room * sizeof(*list));

		if (list == NULL)
			return;
		if (stales->count > 0)
			memcpy(list, stales->list,
			    stales->count * sizeof(*list));
		stales->list = list;
		report->stale_room = room;
	}
	for (i = 0; i + 1 < reply->count && !reader_failed(&report->reader);
	    i += 2) {
		struct text name = redis_text(reply, i);

		stales->list[stales->count++] = (struct report_stale){
		    .environment = application->environment,
		    .application = application->name,
		    .feature = results_decode(&report->reader.results, name),
		    .seen = reader_number(redis_text(reply, i + 1)) };
	}
}

static int
compare_stales(const void * left, const void * right)
{
	const struct report_stale * a = left;
	const struct report_stale * b = right;
	int order;

	if (a->seen != b->seen)
		return (a->seen < b->seen ? -1 : 1);
	order = results_compare(a->environment, b->environment);
	if (order == 0)
		order = results_compare(a->application, b->application);
	return (order != 0 ? order : results_compare(a->feature, b->feature));
}

int
report_stale(struct report * report, const struct text * environment,
    const struct text * application, int64_t before,
    struct report_stales * stales)
{
	struct report_application one = { .environment = *environment,
	    .name = *application };
	struct report_application * list = &one;
	size_t count = 1;
	size_t at, i;

	report_begin(report);
	report->environment = *environment;
	if (application->bytes == NULL) {
		if (list_applications(report) != 0)
			return (-1);
		list = report->applications.list;
		count = report->applications.count;
	}
	for (at = 0; at < count; at += i) {
		report->application = list + at;
		for (i = 0; i < REPORT_BATCH && at + i < count; i++) {
			reader_tag(&report->reader, list[at + i].environment,
			    list[at + i].name, "seen");
			reader_ask_below(&report->reader, before);
		}
		if (reader_send(&report->reader, take_stale, report) != 0)
			return (-1);
	}
	if (report->stales.count > 0)
		qsort(report->stales.list, report->stales.count,
		    sizeof(*report->stales.list), compare_stales);
	*stales = report->stales;
	return (0);
}

/* SDKs */

static void
take_instances(void * context, size_t number, const struct redis_reply * reply)
{
	struct report * report = context;
	size_t i;

	(void)number;
	if (!reader_is_list(&report->reader, reply))
		return;
	for (i = 1; i < reply->count && !reader_failed(&report->reader);
	    i += 2) {
		struct text version =
		    sdk_version_read(report->reader.results.arena,
		    redis_text(reply, i));
		struct report_sdk ** at = &report->sdks;

		while (*at != NULL &&
		    results_compare((*at)->version, version) < 0)
			at = &(*at)->next;
		if (*at == NULL || !results_same((*at)->version, version)) {
			struct report_sdk * sdk =
			    results_take(&report->reader.results,
			    sizeof(*sdk));

			if (sdk == NULL)
				return;
			sdk->version = version;
			sdk->next = *at;
			*at = sdk;
		}
		(*at)->instances++;
	}
}

int
report_sdks(struct report * report, const struct text * environment,
    const struct text * application, struct report_sdk ** sdks)
{

	report_begin(report);
	reader_tag(&report->reader, *environment, *application, "instances");
	reader_ask(&report->reader, "HGETALL");
	if (reader_send(&report->reader, take_instances, report) != 0)
		return (-1);
	*sdks = report->sdks;
	return (0);
}

/* Life */

struct report *
report_create(const char * prefix, struct redis * redis, struct arena * arena)
{
	struct report * report = alloc_zeroed(1, sizeof(*report));

	report->reader = (struct reader){ .prefix = prefix, .redis = redis,
	    .results = { arena, REPORT_MEMORY_MAX, false } };
	return (report);
}

const char *
report_error(const struct report * report)
{

	return (report->reader.error);
}

bool
report_unreachable(const struct report * report)
{

	return (report->reader.unreachable);
}

void
report_free(struct report * report)
{

	if (report == NULL)
		return;
	reader_close(&report->reader);
	free(report);
}
