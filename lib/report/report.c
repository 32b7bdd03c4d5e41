#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buffer.h"
#include "lib/base/escape.h"
#include "lib/report/report.h"

struct report {
	struct reader reader;

	/* Of the function that is running. */
	struct features features;
	struct report_application one;	/* The only one of the report. */
	struct report_applications applications;
	struct report_stales stales;
	size_t stale_room;
};

/* Every function begins with this. */
static void
report_begin(struct report * report)
{

	reader_begin(&report->reader);
	report->applications = (struct report_applications){ NULL, 0 };
	report->stales = (struct report_stales){ NULL, 0 };
	report->stale_room = 0;
}

static void
choose_application(struct report * report, const struct text * environment,
    const struct text * application)
{

	report->one = (struct report_application){
	    .environment = *environment, .name = *application };
	report->applications = (struct report_applications){ &report->one, 1 };
}

/* List the applications that a report is about, without asking if it is one. */
static int
choose_applications(struct report * report, const struct text * environment,
    const struct text * application)
{

	if (application->bytes == NULL)
		return (applications_list(&report->reader, *environment,
		    &report->applications));
	choose_application(report, environment, application);
	return (0);
}

int
report_applications(struct report * report, const struct text * environment,
    const struct report_span * span, struct report_applications * applications)
{

	report_begin(report);
	if (applications_list(&report->reader, *environment,
	    applications) != 0)
		return (-1);
	return (applications_count(&report->reader, span, applications));
}

/* Features of one application */

/* The number of the request for :seen, which is no period's. */
#define SEEN SIZE_MAX

static void
take_feature_reply(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct report * report = context;
	size_t i;

	for (i = 0; i + 1 < reply->count && !reader_failed(&report->reader);
	    i += 2) {
		struct text field = reply_text(reply, i);
		int64_t value = reader_number(reply_text(reply, i + 1));

		if (number == SEEN)
			features_seen(&report->features, field, value);
		else
			features_add(&report->features, field, number,
			    (uint64_t)value);
	}
}

/* Ask for :seen and the buckets of a span. */
static void
ask_buckets(struct report * report, const struct text * environment,
    const struct text * application, const struct report_span * span,
    const struct report_span * recent)
{
	struct reader * reader = &report->reader;
	size_t i;

	reader_expect(reader, take_feature_reply, report);
	reader_tag(reader, *environment, *application, "seen");
	reader_ask_scores(reader, SEEN);
	for (i = 0; i < span->count; i++)
		reader_ask_period(reader, i, *environment, *application, span,
		    i);
	for (i = 0; recent != NULL && i < recent->count; i++)
		reader_ask_period(reader, span->count + i, *environment,
		    *application, recent, i);
}

int
report_features(struct report * report, const struct text * environment,
    const struct text * application, const struct text * feature,
    const struct report_span * span, const struct report_span * recent,
    struct report_features * features, struct report_sdks * sdks)
{
	static const struct text all = { NULL, 0 };
	size_t more = recent == NULL ? 0 : recent->count;
	struct reader * reader = &report->reader;
	struct buffer encoded = { NULL, 0, 0 };
	struct text only = { NULL, 0 };
	int status;

	report_begin(report);
	if (feature->bytes != NULL) {
		encoded.length = escape_percent(buffer_room(&encoded,
		    ESCAPE_PERCENT_ROOM(feature->length) + 1),
		    feature->bytes, feature->length);
		only = (struct text){ encoded.bytes, encoded.length };
	}
	choose_application(report, environment, application);
	features_init(&report->features, &reader->results, span->count, more,
	    only);
	reader->total = 1 + span->count + more + (sdks == NULL ? 0 : 2);
	ask_buckets(report, environment, application, span, recent);
	if (sdks != NULL)
		status = instances_read(reader, &report->applications, all,
		    sdks);
	else
		status = reader_flush(reader);
	buffer_free(&encoded);
	if (status != 0)
		return (-1);
	features_list(&report->features, features);
	return (reader_failed(reader) ? -1 : 0);
}

/* Features that are no longer evaluated */

/* Add an application's stale features to the list. */
static void
take_stale(void * context, size_t number, const struct redis_reply * reply)
{
	struct report * report = context;
	struct report_stales * stales = &report->stales;
	const struct report_application * application =
	    &report->applications.list[number];
	size_t i;

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
		struct text name = reply_text(reply, i);

		stales->list[stales->count++] = (struct report_stale){
		    .environment = application->environment,
		    .application = application->name,
		    .feature = results_decode(&report->reader.results, name),
		    .seen = reader_number(reply_text(reply, i + 1)) };
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
	struct reader * reader = &report->reader;
	size_t i;

	report_begin(report);
	if (choose_applications(report, environment, application) != 0)
		return (-1);
	reader->total = reader->done + report->applications.count;
	reader->partial = true;
	reader_expect(reader, take_stale, report);
	for (i = 0; i < report->applications.count; i++) {
		reader_tag(reader, report->applications.list[i].environment,
		    report->applications.list[i].name, "seen");
		reader_ask_below(reader, i, before);
	}
	if (reader_flush(reader) != 0)
		return (-1);
	if (report->stales.count > 0)
		qsort(report->stales.list, report->stales.count,
		    sizeof(*report->stales.list), compare_stales);
	*stales = report->stales;
	return (0);
}

/* For other files */

int
report_sdks(struct report * report, const struct text * environment,
    const struct text * application, const struct text * below,
    struct report_sdks * sdks)
{

	report_begin(report);
	if (choose_applications(report, environment, application) != 0)
		return (-1);
	report->reader.partial = true;
	report->reader.total = report->reader.done +
	    2 * report->applications.count;
	return (instances_read(&report->reader, &report->applications, *below,
	    sdks));
}

int
report_impact(struct report * report, const struct text * environment,
    const struct text * name, struct report_impact * impact)
{

	report_begin(report);
	return (impact_read(&report->reader, *environment, *name, impact));
}

int
report_edges(struct report * report, struct report_edges * edges)
{

	report_begin(report);
	return (edge_list_read(&report->reader, edges));
}

static void
take_probed(void * context, size_t number, const struct redis_reply * reply)
{

	(void)context;
	(void)number;
	(void)reply;
}

int
report_probe(struct report * report)
{

	report_begin(report);
	reader_list(&report->reader, "apps");
	reader_expect(&report->reader, take_probed, NULL);
	reader_ask_below(&report->reader, 0, 0);
	return (reader_flush(&report->reader));
}

/* Life */

struct report *
report_create(const char * prefix, struct cluster * cluster,
    struct arena * arena)
{
	struct report * report = alloc_zeroed(1, sizeof(*report));

	report->reader = (struct reader){ .prefix = prefix, .cluster = cluster,
	    .results = { arena, REPORT_MEMORY_MAX, false } };
	return (report);
}

void
report_limit_time(struct report * report, int64_t time_max)
{

	report->reader.time_max = time_max;
}

void
report_watch(struct report * report, report_progress * progress,
    void * context)
{

	report->reader.progress = progress;
	report->reader.context = context;
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

const struct reader_missing *
report_missing(const struct report * report)
{

	return (&report->reader.missing);
}

void
report_free(struct report * report)
{

	if (report == NULL)
		return;
	reader_close(&report->reader);
	free(report);
}
