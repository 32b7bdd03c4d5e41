#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/report/instances.h"
#include "lib/report/members.h"

struct instance {
	struct text name;
	struct text version;		/* Of its SDK. */
	int64_t seen;			/* Time of its registration. */
};

/* The instances of an application, from one of its replies to the other: those
 * of applications on other servers of a cluster may come between them. */
struct registered {
	struct arena * arena;		/* NULL: there was no reply. */
	struct instance * list;		/* By name, without versions. */
	size_t count;
};

struct census {
	struct reader * reader;
	const struct report_applications * applications;
	struct registered * registered;	/* Of each application. */
	struct text below;
	struct report_sdks * sdks;
	size_t room;
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
compare_names(const void * left, const void * right)
{
	const struct instance * a = left;
	const struct instance * b = right;

	return (results_compare(a->name, b->name));
}

static int
compare_versions(const void * left, const void * right)
{
	const struct instance * a = left;
	const struct instance * b = right;

	return (results_compare(a->version, b->version));
}

static void
take_registered(void * context, size_t application,
    const struct redis_reply * reply)
{
	struct census * census = context;
	struct registered * registered = &census->registered[application];
	size_t i;

	registered->arena = arena_create(0);
	registered->count = reply->count / 2;
	registered->list = arena_take(registered->arena,
	    (registered->count + 1) * sizeof(*registered->list));
	for (i = 0; i < registered->count; i++) {
		struct text name = reply_text(reply, i * 2);

		registered->list[i] = (struct instance){ .name = {
		    arena_copy(registered->arena, name.bytes, name.length),
		    name.length }, .seen =
		    reader_number(reply_text(reply, i * 2 + 1)) };
	}
	if (registered->count > 0)
		qsort(registered->list, registered->count,
		    sizeof(*registered->list), compare_names);
}

static int64_t
seen_of(const struct registered * registered, struct text name)
{
	struct instance wanted = { .name = name };
	const struct instance * found = registered->count == 0 ? NULL :
	    bsearch(&wanted, registered->list, registered->count,
	    sizeof(wanted), compare_names);

	return (found == NULL ? 0 : found->seen);
}

/* Return a new entry for an application's SDK; NULL if there is no room. */
static struct report_sdk *
add_sdk(struct census * census,
    const struct report_application * application, struct text version)
{
	struct results * results = &census->reader->results;
	struct report_sdks * sdks = census->sdks;

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
	    .environment = application->environment,
	    .application = application->name,
	    .version = results_copy(results, version) };
	return (results->full ? NULL : &sdks->list[sdks->count++]);
}

/* Count instances that are sorted by the version of their SDK. */
static void
count_versions(struct census * census,
    const struct report_application * application,
    const struct instance * instances, size_t count)
{
	struct report_sdk * sdk = NULL;
	size_t i;

	for (i = 0; i < count; i++) {
		if (i == 0 || !results_same(instances[i - 1].version,
		    instances[i].version))
			sdk = add_sdk(census, application,
			    instances[i].version);
		if (sdk == NULL)
			return;
		sdk->instances++;
		if (instances[i].seen > sdk->seen)
			sdk->seen = instances[i].seen;
	}
}

static void
take_instances(void * context, size_t application,
    const struct redis_reply * reply)
{
	struct census * census = context;
	struct registered * registered = &census->registered[application];
	struct instance * instances;
	size_t count = 0;
	size_t i;

	if (registered->arena == NULL)
		registered->arena = arena_create(0);
	instances = arena_take(registered->arena, (reply->count / 2 + 1) *
	    sizeof(*instances));
	for (i = 0; i + 1 < reply->count; i += 2) {
		struct members_wanted member = { "sdkVersion", { NULL, 0 } };

		if (!members_read(registered->arena, reply_text(reply, i + 1),
		    &member, 1) || member.value.bytes == NULL)
			member.value = (struct text){ "", 0 };
		if (is_below(census, member.value))
			instances[count++] = (struct instance){
			    .version = member.value, .seen =
			    seen_of(registered, reply_text(reply, i)) };
	}
	if (count > 0)
		qsort(instances, count, sizeof(*instances), compare_versions);
	count_versions(census, &census->applications->list[application],
	    instances, count);
	arena_free(registered->arena);
	registered->arena = NULL;
}

int
instances_read(struct reader * reader,
    const struct report_applications * applications, struct text below,
    struct report_sdks * sdks)
{
	struct census census = { .reader = reader, .below = below,
	    .applications = applications, .sdks = sdks, .registered =
	    alloc_zeroed(applications->count + 1,
	    sizeof(*census.registered)) };
	size_t i;
	int status;

	*sdks = (struct report_sdks){ NULL, 0 };
	for (i = 0; i < applications->count; i++) {
		const struct report_application * one = &applications->list[i];

		reader_tag(reader, one->environment, one->name,
		    "instances:seen");
		reader_expect(reader, take_registered, &census);
		reader_ask_scores(reader, i);
		reader_tag(reader, one->environment, one->name, "instances");
		reader_expect(reader, take_instances, &census);
		reader_ask(reader, i, "HGETALL");
	}
	status = reader_flush(reader);
	for (i = 0; i < applications->count; i++)
		arena_free(census.registered[i].arena);
	free(census.registered);
	if (status == 0 && sdks->count > 0)
		qsort(sdks->list, sdks->count, sizeof(*sdks->list),
		    compare_sdks);
	return (status);
}
