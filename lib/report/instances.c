#include <stdlib.h>
#include <string.h>

#include "lib/report/instances.h"
#include "lib/report/members.h"

/* An instance of the application being read, with its registration's time. */
struct registered {
	struct text instance;
	int64_t seen;
};

struct census {
	struct reader * reader;
	struct arena * scratch;		/* Of one reply. */
	const struct report_applications * applications;
	size_t first;			/* Application of the first reply. */
	struct text below;
	struct report_sdks * sdks;
	size_t room;
	size_t begun;			/* SDKs before this application's. */
	struct registered * registered;	/* By instance. */
	size_t registered_count;
};

/* Versions */

static bool
is_version_digit(char c)
{

	return (c >= '0' && c <= '9');
}

static struct text
skip_zeros(struct text text)
{

	while (text.length > 1 && text.bytes[0] == '0' &&
	    is_version_digit(text.bytes[1])) {
		text.bytes++;
		text.length--;
	}
	return (text);
}

static size_t
digits_of(struct text text)
{
	size_t i = 0;

	while (i < text.length && is_version_digit(text.bytes[i]))
		i++;
	return (i);
}

/* The end of a release: a pre-release is lower, and anything else higher. */
static int
compare_end(struct text rest)
{

	return (rest.length == 0 ? 0 : rest.bytes[0] == '-' ? -1 : 1);
}

int
instances_compare(struct text a, struct text b)
{

	while (a.length > 0 && b.length > 0) {
		size_t of_a, of_b, step;
		int order;

		a = skip_zeros(a);
		b = skip_zeros(b);
		of_a = digits_of(a);
		of_b = digits_of(b);
		if (of_a > 0 && of_b > 0 && of_a != of_b)
			return (of_a < of_b ? -1 : 1);
		step = of_a > 0 && of_b > 0 ? of_a : 1;
		order = memcmp(a.bytes, b.bytes, step);
		/* "1.0-rc" is below "1.0.1", too. */
		if (order != 0)
			return (a.bytes[0] == '-' ? -1 :
			    b.bytes[0] == '-' ? 1 : order);
		a = (struct text){ a.bytes + step, a.length - step };
		b = (struct text){ b.bytes + step, b.length - step };
	}
	return (a.length > 0 ? compare_end(a) : -compare_end(b));
}

/* Split `name:version`; without a colon it is all version. */
static void
split_sdk(struct text sdk, struct text * name, struct text * version)
{

	if (!results_split(sdk, name, version)) {
		*name = (struct text){ "", 0 };
		*version = sdk;
	}
}

static bool
is_below(const struct census * census, struct text sdk)
{
	struct text name, version, wanted, limit;

	if (census->below.bytes == NULL)
		return (true);
	split_sdk(sdk, &name, &version);
	split_sdk(census->below, &wanted, &limit);
	return (version.length > 0 &&
	    (wanted.length == 0 || results_same(name, wanted)) &&
	    instances_compare(version, limit) < 0);
}

static int
compare_sdks(const void * left, const void * right)
{
	const struct report_sdk * a = left;
	const struct report_sdk * b = right;
	struct text names[2], versions[2];
	int order;

	split_sdk(a->version, &names[0], &versions[0]);
	split_sdk(b->version, &names[1], &versions[1]);
	order = results_compare(names[0], names[1]);
	if (order == 0)
		order = instances_compare(versions[0], versions[1]);
	if (order == 0)
		order = results_compare(versions[0], versions[1]);
	if (order == 0)
		order = results_compare(a->environment, b->environment);
	return (order != 0 ? order :
	    results_compare(a->application, b->application));
}

/* Replies: for each application the times of registrations, then these. */

static int
compare_registered(const void * left, const void * right)
{
	const struct registered * a = left;
	const struct registered * b = right;

	return (results_compare(a->instance, b->instance));
}

static void
take_registered(struct census * census, const struct redis_reply * reply)
{
	size_t count = reply->count / 2;
	size_t i;

	arena_reset(census->scratch);
	census->registered_count = 0;
	census->begun = census->sdks->count;
	census->registered = arena_take(census->scratch, (count + 1) *
	    sizeof(*census->registered));
	for (i = 0; i < count; i++) {
		struct text instance = reply_text(reply, i * 2);

		census->registered[i] = (struct registered){ {
		    arena_copy(census->scratch, instance.bytes,
		    instance.length), instance.length },
		    reader_number(reply_text(reply, i * 2 + 1)) };
	}
	census->registered_count = count;
	if (count > 0)
		qsort(census->registered, count, sizeof(*census->registered),
		    compare_registered);
}

static int64_t
seen_of(const struct census * census, struct text instance)
{
	struct registered wanted = { instance, 0 };
	const struct registered * found = census->registered_count == 0 ?
	    NULL : bsearch(&wanted, census->registered,
	    census->registered_count, sizeof(wanted), compare_registered);

	return (found == NULL ? 0 : found->seen);
}

/* Return the entry of an SDK, which is added if it is new; NULL if full. */
static struct report_sdk *
sdk_of(struct census * census, size_t application, struct text version)
{
	struct results * results = &census->reader->results;
	struct report_sdks * sdks = census->sdks;
	size_t i;

	for (i = census->begun; i < sdks->count; i++)
		if (results_same(sdks->list[i].version, version))
			return (&sdks->list[i]);
	if (sdks->count == census->room) {
		size_t room = census->room == 0 ? 64 : census->room * 2;
		struct report_sdk * list = results_take(results,
		    room * sizeof(*list));

		if (list == NULL)
			return (NULL);
		if (sdks->count > 0)
			memcpy(list, sdks->list, sdks->count * sizeof(*list));
		sdks->list = list;
		census->room = room;
	}
	sdks->list[sdks->count] = (struct report_sdk){
	    .environment = census->applications->list[application].environment,
	    .application = census->applications->list[application].name,
	    .version = results_copy(results, version) };
	return (results->full ? NULL : &sdks->list[sdks->count++]);
}

/* Count an application's instances by the version of their SDK. */
static void
take_instances(struct census * census, size_t application,
    const struct redis_reply * reply)
{
	size_t i;

	for (i = 0; i + 1 < reply->count && !reader_failed(census->reader);
	    i += 2) {
		struct members_wanted member = { "sdkVersion", { NULL, 0 } };
		struct report_sdk * sdk;
		int64_t seen;

		if (!members_read(census->scratch, reply_text(reply, i + 1),
		    &member, 1) || member.value.bytes == NULL)
			member.value = (struct text){ "", 0 };
		if (!is_below(census, member.value))
			continue;
		sdk = sdk_of(census, application, member.value);
		if (sdk == NULL)
			return;
		sdk->instances++;
		seen = seen_of(census, reply_text(reply, i));
		if (seen > sdk->seen)
			sdk->seen = seen;
	}
}

static void
take_census(void * context, size_t number, const struct redis_reply * reply)
{
	struct census * census = context;

	if (!reader_is_list(census->reader, reply))
		return;
	if (number % 2 == 0)
		take_registered(census, reply);
	else
		take_instances(census, census->first + number / 2, reply);
}

int
instances_read(struct reader * reader,
    const struct report_applications * applications, struct text below,
    struct report_sdks * sdks)
{
	struct census census = { .reader = reader, .below = below,
	    .applications = applications, .sdks = sdks,
	    .scratch = arena_create(0) };
	size_t i;
	int status = 0;

	*sdks = (struct report_sdks){ NULL, 0 };
	reader->total = reader->done + 2 * applications->count;
	for (i = 0; status == 0 && i < applications->count; i++) {
		const struct report_application * one = &applications->list[i];

		reader_tag(reader, one->environment, one->name,
		    "instances:seen");
		reader_ask_scores(reader);
		reader_tag(reader, one->environment, one->name, "instances");
		reader_ask(reader, "HGETALL");
		if ((i + 1) % (REPORT_BATCH / 2) != 0 &&
		    i + 1 < applications->count)
			continue;
		status = reader_send(reader, take_census, &census);
		census.first = i + 1;
	}
	arena_free(census.scratch);
	if (status == 0 && sdks->count > 0)
		qsort(sdks->list, sdks->count, sizeof(*sdks->list),
		    compare_sdks);
	return (status);
}
