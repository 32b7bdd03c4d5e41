#include <stdlib.h>

#include "lib/report/applications.h"

/* An application's counts, or the list, while replies come in. */
struct collector {
	struct reader * reader;
	struct text environment;
	const struct report_span * span;
	struct report_applications * found;
};

static void
take_member(struct collector * collector, struct text member, int64_t seen)
{
	struct results * results = &collector->reader->results;
	struct report_applications * found = collector->found;
	struct report_application application = { .seen = seen };
	struct text environment, name;

	if (!results_split(member, &environment, &name))
		return;
	application.environment = results_decode(results, environment);
	application.name = results_decode(results, name);
	if (application.name.bytes == NULL ||
	    application.environment.bytes == NULL ||
	    (collector->environment.bytes != NULL &&
	    !results_same(application.environment, collector->environment)))
		return;
	found->list[found->count++] = application;
}

static void
take_members(void * context, size_t number, const struct redis_reply * reply)
{
	struct collector * collector = context;
	size_t i;

	(void)number;
	collector->found->list = results_take(&collector->reader->results,
	    (reply->count / 2 + 1) * sizeof(*collector->found->list));
	for (i = 0; i + 1 < reply->count && collector->found->list != NULL;
	    i += 2)
		take_member(collector, reply_text(reply, i),
		    reader_number(reply_text(reply, i + 1)));
}

static int
compare_applications(const void * left, const void * right)
{
	const struct report_application * a = left;
	const struct report_application * b = right;
	int order = results_compare(a->environment, b->environment);

	return (order != 0 ? order : results_compare(a->name, b->name));
}

int
applications_list(struct reader * reader, struct text environment,
    struct report_applications * found)
{
	struct collector collector = { .reader = reader,
	    .environment = environment, .found = found };

	*found = (struct report_applications){ NULL, 0 };
	reader_list(reader, "apps");
	reader_expect(reader, take_members, &collector);
	reader_ask_scores(reader, 0);
	if (reader_flush(reader) != 0)
		return (-1);
	if (found->count > 0)
		qsort(found->list, found->count, sizeof(*found->list),
		    compare_applications);
	return (0);
}

/* Totals of a bucket.  All periods of an application follow each other. */
static void
take_totals(void * context, size_t bucket, const struct redis_reply * reply)
{
	struct collector * collector = context;
	struct report_application * application =
	    &collector->found->list[bucket / collector->span->count];
	uint64_t * evaluations = &application->evaluations[bucket %
	    collector->span->count];
	struct text name, kind;
	size_t i;

	application->unread--;
	for (i = 0; i + 1 < reply->count; i += 2) {
		uint64_t * total;
		uint64_t counted;

		if (!results_split(reply_text(reply, i), &name, &kind))
			continue;
		total = text_is(&kind, "yes") ? &application->yes :
		    text_is(&kind, "no") ? &application->no : NULL;
		if (total == NULL)
			continue;
		counted = (uint64_t)reader_number(reply_text(reply, i + 1));
		*total = results_sum(*total, counted);
		*evaluations = results_sum(*evaluations, counted);
	}
}

int
applications_count(struct reader * reader, const struct report_span * span,
    struct report_applications * found)
{
	struct collector collector = { .reader = reader, .span = span,
	    .found = found };
	size_t buckets = found->count * span->count;
	size_t i;

	for (i = 0; i < found->count; i++) {
		found->list[i].evaluations = results_take(&reader->results,
		    span->count * sizeof(uint64_t));
		found->list[i].unread = span->count;
	}
	if (reader_failed(reader))
		return (-1);
	reader->total = reader->done + buckets;
	reader->partial = true;
	reader_expect(reader, take_totals, &collector);
	for (i = 0; i < buckets; i++) {
		const struct report_application * one =
		    &found->list[i / span->count];

		reader_ask_period(reader, i, one->environment, one->name, span,
		    i % span->count);
	}
	return (reader_flush(reader));
}
