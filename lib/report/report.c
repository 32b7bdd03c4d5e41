#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/escape.h"
#include "lib/report/report.h"
#include "lib/report/sdk_version.h"

/* Milliseconds that one pipeline may take. */
#define EXCHANGE_TIME_MAX 10000

struct report {
	const char * prefix;
	struct redis * redis;
	struct results results;
	struct buffer requests;
	struct buffer text;
	char error[400];
	bool unreachable;

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

/* Helpers */

static void
report_fail(struct report * report, const char * why)
{

	if (report->error[0] == '\0')
		snprintf(report->error, sizeof(report->error), "%s", why);
}

static bool
report_failed(struct report * report)
{

	if (report->results.full)
		report_fail(report, "the result is too large; ask for a "
		    "shorter span or for one application");
	return (report->error[0] != '\0');
}

/* Every function begins with this. */
static void
report_begin(struct report * report)
{

	report->error[0] = '\0';
	report->unreachable = false;
	report->results.full = false;
	report->stales = (struct report_stales){ NULL, 0 };
	report->stale_room = 0;
	report->applications = (struct report_applications){ NULL, 0 };
	report->application_room = 0;
	report->application = NULL;
	report->before = 0;
	report->sdks = NULL;
}

/* Parse a number that Redis returned as a string; a score can be a double. */
static int64_t
number_of(struct text text)
{
	char copy[64];
	double number;

	if (text.length >= sizeof(copy))
		return (0);
	memcpy(copy, text.bytes, text.length);
	copy[text.length] = '\0';
	if (memchr(copy, '.', text.length) == NULL &&
	    memchr(copy, 'e', text.length) == NULL)
		return (strtoll(copy, NULL, 10));
	number = strtod(copy, NULL);
	return (number > -9e18 && number < 9e18 ? (int64_t)number : 0);
}

/* Requests */

/* Leave `P:{ENV:APP}` and the rest of the key in report->text. */
static void
set_key(struct report * report, struct text environment, struct text name,
    const char * rest)
{
	struct buffer * text = &report->text;

	buffer_clear(text);
	buffer_append(text, report->prefix, strlen(report->prefix));
	buffer_append(text, ":{", 2);
	text->length += escape_percent(buffer_room(text,
	    ESCAPE_PERCENT_ROOM(environment.length)), environment.bytes,
	    environment.length);
	buffer_append(text, ":", 1);
	text->length += escape_percent(buffer_room(text,
	    ESCAPE_PERCENT_ROOM(name.length)), name.bytes, name.length);
	buffer_append(text, "}:", 2);
	buffer_append(text, rest, strlen(rest));
}

static void
request_key(struct report * report, const char * command)
{

	buffer_array(&report->requests, 2);
	buffer_text(&report->requests, command);
	buffer_string(&report->requests, report->text.bytes,
	    report->text.length);
}

static void
request_scores(struct report * report)
{
	struct buffer * requests = &report->requests;

	buffer_array(requests, 5);
	buffer_text(requests, "ZRANGE");
	buffer_string(requests, report->text.bytes, report->text.length);
	buffer_text(requests, "0");
	buffer_text(requests, "-1");
	buffer_text(requests, "WITHSCORES");
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
	set_key(report, report->environment, report->name, name);
	request_key(report, "HGETALL");
}

/* Send the pipeline, and hand each reply to ${take}. */
static int
send(struct report * report, size_t count, redis_take * take)
{
	int64_t deadline = clock_monotonic() + EXCHANGE_TIME_MAX;
	int status = redis_connect(report->redis, deadline);

	if (status == 0)
		status = redis_exchange(report->redis, &report->requests,
		    count, deadline, take, report);
	if (status != 0) {
		report_fail(report, redis_error(report->redis));
		report->unreachable = true;
	}
	buffer_clear(&report->requests);
	return (report_failed(report) ? -1 : 0);
}

/* Return true if the reply is a list; an empty one has no elements. */
static bool
is_list(struct report * report, const struct redis_reply * reply)
{

	if (reply->type == REDIS_ERROR) {
		snprintf(report->error, sizeof(report->error), "%.*s",
		    (int)reply->length, reply->text);
		return (false);
	}
	if (reply->type != REDIS_TEXTS && !(reply->type == REDIS_ARRAY &&
	    reply->count == 0)) {
		report_fail(report, "Redis sent an unexpected reply");
		return (false);
	}
	return (!report_failed(report));
}

/* Features of one application */

static void
take_feature_reply(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct report * report = context;
	size_t i;

	if (!is_list(report, reply))
		return;
	for (i = 0; i + 1 < reply->count && !report_failed(report); i += 2) {
		struct text field = redis_text(reply, i);
		int64_t value = number_of(redis_text(reply, i + 1));

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
		if (send(report, report->before + i, take) != 0)
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
	features_init(&report->features, &report->results, span->count, only);
	set_key(report, *environment, *application, "seen");
	request_scores(report);
	report->before = 1;
	status = read_periods(report, take_feature_reply);
	buffer_free(&encoded);
	if (status != 0)
		return (-1);
	features_list(&report->features, features);
	return (report_failed(report) ? -1 : 0);
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

	if (!is_list(report, reply))
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
		counted = (uint64_t)number_of(redis_text(reply, i + 1));
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
	application.environment = results_decode(&report->results, environment);
	application.name = results_decode(&report->results, name);
	if (report_failed(report) || (report->environment.bytes != NULL &&
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
	if (!is_list(report, reply))
		return;
	report->applications.list = results_take(&report->results,
	    (reply->count / 2 + 1) * sizeof(*report->applications.list));
	for (i = 0; i + 1 < reply->count && !report_failed(report); i += 2)
		take_application(report, redis_text(reply, i),
		    number_of(redis_text(reply, i + 1)));
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

	buffer_clear(&report->text);
	buffer_append(&report->text, report->prefix, strlen(report->prefix));
	buffer_append(&report->text, ":apps", strlen(":apps"));
	request_scores(report);
	if (send(report, 1, take_applications) != 0)
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
		    &report->results, span->count * sizeof(uint64_t));
		if (report_failed(report) ||
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

	if (!is_list(report, reply))
		return;
	if (stales->count + reply->count / 2 > report->stale_room) {
		size_t room = (stales->count + reply->count / 2) * 2;
		struct report_stale * list = results_take(&report->results,
		    room * sizeof(*list));

		if (list == NULL)
			return;
		if (stales->count > 0)
			memcpy(list, stales->list,
			    stales->count * sizeof(*list));
		stales->list = list;
		report->stale_room = room;
	}
	for (i = 0; i + 1 < reply->count && !report_failed(report); i += 2) {
		struct text name = redis_text(reply, i);

		stales->list[stales->count++] = (struct report_stale){
		    .environment = application->environment,
		    .application = application->name,
		    .feature = results_decode(&report->results, name),
		    .seen = number_of(redis_text(reply, i + 1)) };
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

static void
request_stale(struct report * report, int64_t before)
{
	struct buffer * requests = &report->requests;
	char limit[32];

	snprintf(limit, sizeof(limit), "(%" PRId64, before);
	buffer_array(requests, 5);
	buffer_text(requests, "ZRANGEBYSCORE");
	buffer_string(requests, report->text.bytes, report->text.length);
	buffer_text(requests, "-inf");
	buffer_text(requests, limit);
	buffer_text(requests, "WITHSCORES");
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
			set_key(report, list[at + i].environment,
			    list[at + i].name, "seen");
			request_stale(report, before);
		}
		if (send(report, i, take_stale) != 0)
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
	if (!is_list(report, reply))
		return;
	for (i = 0; i < reply->count && !report_failed(report); i++) {
		struct text version = sdk_version_read(report->results.arena,
		    redis_text(reply, i));
		struct report_sdk ** at = &report->sdks;

		while (*at != NULL &&
		    results_compare((*at)->version, version) < 0)
			at = &(*at)->next;
		if (*at == NULL || !results_same((*at)->version, version)) {
			struct report_sdk * sdk = results_take(&report->results,
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
	set_key(report, *environment, *application, "instances");
	request_key(report, "HVALS");
	if (send(report, 1, take_instances) != 0)
		return (-1);
	*sdks = report->sdks;
	return (0);
}

/* Life */

struct report *
report_create(const char * prefix, struct redis * redis, struct arena * arena)
{
	struct report * report = alloc_zeroed(1, sizeof(*report));

	report->prefix = prefix;
	report->redis = redis;
	report->results = (struct results){ arena, REPORT_MEMORY_MAX, false };
	return (report);
}

const char *
report_error(const struct report * report)
{

	return (report->error);
}

bool
report_unreachable(const struct report * report)
{

	return (report->unreachable);
}

void
report_free(struct report * report)
{

	if (report == NULL)
		return;
	redis_free(report->redis);
	buffer_free(&report->requests);
	buffer_free(&report->text);
	free(report);
}
