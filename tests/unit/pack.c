#include <float.h>
#include <math.h>

#include "lib/base/digest.h"
#include "lib/base/number.h"
#include "lib/tally/tally_codec.h"
#include "tests/unit/tap.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define CHECKSUM_SIZE 8

/* The tree of tally.h: under what a kind stands. */
static const enum tally_kind parents[] = {
	[TALLY_ENVIRONMENT] = TALLY_ROOT,
	[TALLY_APPLICATION] = TALLY_ENVIRONMENT,
	[TALLY_BUCKET] = TALLY_APPLICATION,
	[TALLY_FEATURE] = TALLY_BUCKET,
	[TALLY_VARIANT] = TALLY_FEATURE,
	[TALLY_INSTANCE] = TALLY_APPLICATION,
	[TALLY_METRIC] = TALLY_ENVIRONMENT,
	[TALLY_SERIES] = TALLY_METRIC,
	[TALLY_BOUND] = TALLY_SERIES,
	[TALLY_TOKEN] = TALLY_ROOT,
};

/* Bodies by hand: of a body all but its version and its checksum. */

struct body {
	const char * bytes;
	size_t length;
	const char * what;
};
#define BODY(bytes, what) { bytes, sizeof(bytes) - 1, what }

/* The time, and the path to a node below it. */
#define ENV "\0\1" "\1\0"
#define APP ENV "\1" "\2\0"
#define PERIOD0 "\10\0\0\0\0\0\0\0\0"
#define BUCKET APP "\1" "\3" PERIOD0 "\0"
#define FEATURE BUCKET "\1" "\4\0"
#define METRIC ENV "\1" "\7\1c" "\0\0"
#define SERIES METRIC "\1" "\x8\0"
#define ZERO "\0\0\0\0\0\0\0\0"
#define MAX63 "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
#define OVER63 "\x80\x80\x80\x80\x80\x80\x80\x80\x80\1"
#define MAX64 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"
#define OVER64 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\2"
#define TOKEN31 "0123456789abcdef0123456789abcde"

/* Reading and packing */

/* Append the checksum of all bytes. */
static void
put_checksum(struct buffer * bytes)
{
	static const unsigned char key[DIGEST_KEY_SIZE];
	uint64_t hash = digest_keyed_hash(key, bytes->bytes, bytes->length);
	unsigned char out[CHECKSUM_SIZE];
	size_t i;

	for (i = 0; i < sizeof(out); i++)
		out[i] = (unsigned char)(hash >> (8 * i) & 0xff);
	buffer_append(bytes, out, sizeof(out));
}

/*
 * Read from a copy that ends where its memory ends, and is gone afterwards, so
 * that nothing may be read beyond it and nothing may point into it.
 */
static const char *
read_copy(struct tally * tally, const void * bytes, size_t length)
{
	char * copy = tap_copy(bytes, length);
	const char * why = tally_codec_decode(tally, copy, length);

	memset(copy, '!', length);
	free(copy);
	return (why);
}

static const char *
read_body(struct tally * tally, const void * body, size_t length)
{
	struct buffer bytes = { NULL, 0, 0 };
	const char * why;

	buffer_append(&bytes, "\1", 1);
	buffer_append(&bytes, body, length);
	put_checksum(&bytes);
	why = read_copy(tally, bytes.bytes, bytes.length);
	buffer_free(&bytes);
	return (why);
}

/* Whether a tally comes to these bytes. */
static bool
packs_to(const struct tally * tally, const void * bytes, size_t length)
{
	struct buffer again = { NULL, 0, 0 };
	bool same;

	tally_codec_encode(&again, tally);
	same = again.length == length &&
	    memcmp(again.bytes, bytes, length) == 0;
	buffer_free(&again);
	return (same);
}

/* Comparing */

static bool
same_bytes(const char * a, size_t a_length, const char * b, size_t b_length)
{

	return (a_length == b_length &&
	    (a_length == 0 || memcmp(a, b, a_length) == 0));
}

static bool
same_text(const struct tally_node * a, const struct tally_node * b)
{

	return (a->when == b->when && same_bytes(a->text, a->text_length,
	    b->text, b->text_length));
}

static bool
same_values(const struct tally_node * a, const struct tally_node * b)
{

	switch (a->kind) {
	case TALLY_BUCKET:
		return (a->period == b->period);
	case TALLY_FEATURE:
		return (a->yes == b->yes && a->no == b->no);
	case TALLY_VARIANT:
	case TALLY_BOUND:
		return (a->count == b->count);
	case TALLY_INSTANCE:
	case TALLY_METRIC:
		return (same_text(a, b));
	case TALLY_SERIES:
		/* -0.0 is another one than 0.0. */
		return (memcmp(&a->value, &b->value, sizeof(a->value)) == 0 &&
		    a->count == b->count && a->when == b->when);
	case TALLY_ROOT:
	case TALLY_ENVIRONMENT:
	case TALLY_APPLICATION:
	case TALLY_TOKEN:
		break;
	}
	return (true);
}

static bool
same_children(const struct tally_node * a_parent,
    const struct tally_node * b_parent)
{
	const struct tally_node * a = a_parent->first, * b = b_parent->first;

	for (; a != NULL && b != NULL; a = a->next, b = b->next) {
		if (b->parent != b_parent || a->kind != b->kind ||
		    !same_bytes(a->name, a->length, b->name, b->length) ||
		    !same_values(a, b) || !same_children(a, b))
			return (false);
		if (b->next == NULL && b_parent->last != b)
			return (false);
	}
	return (a == NULL && b == NULL);
}

/* Count the nodes that the index does not find, or finds elsewhere. */
static unsigned int
lost_nodes(struct tally * tally, struct tally_node * parent)
{
	struct tally_node * node, * next;
	unsigned int lost = 0;

	for (node = parent->first; node != NULL; node = next) {
		/* One that is not found is made, and stands last. */
		next = node->next;
		lost += tally_child(tally, parent, node->kind, node->name,
		    node->length) != node;
		lost += lost_nodes(tally, node);
	}
	return (lost);
}

static uint64_t
largest_count(const struct tally_node * node)
{
	const struct tally_node * child;
	uint64_t largest = 0;

	if (node->kind == TALLY_FEATURE)
		largest = node->yes > node->no ? node->yes : node->no;
	else if (node->kind == TALLY_VARIANT || node->kind == TALLY_SERIES ||
	    node->kind == TALLY_BOUND)
		largest = node->count;
	for (child = node->first; child != NULL; child = child->next) {
		uint64_t count = largest_count(child);

		if (count > largest)
			largest = count;
	}
	return (largest);
}

/* Return NULL, or in what way ${b} is not what ${a} was packed from. */
static const char *
difference(struct arena * arena, struct tally * a, struct tally * b)
{
	struct tally * merged = tally_create(arena);

	tally_merge(merged, a);
	if (!same_children(a->root, b->root))
		return ("another tree");
	if (a->when != b->when)
		return ("another time");
	if (b->counters != merged->counters)
		return ("another number of counters than tally_merge's");
	if (b->largest != largest_count(a->root))
		return ("another largest count");
	if (b->node_count != a->node_count || lost_nodes(b, b->root) != 0 ||
	    b->node_count != a->node_count)
		return ("nodes that are not in the index");
	return (NULL);
}

/* Pack and read; return NULL, or what was wrong. */
static const char *
round_trip(struct arena * arena, struct tally * tally)
{
	struct tally * read = tally_create(arena);
	struct buffer bytes = { NULL, 0, 0 };
	const char * why;

	tally_codec_encode(&bytes, tally);
	why = read_copy(read, bytes.bytes, bytes.length);
	if (why == NULL && !packs_to(read, bytes.bytes, bytes.length))
		why = "other bytes when it is packed again";
	if (why == NULL)
		why = difference(arena, tally, read);
	buffer_free(&bytes);
	return (why);
}

/* Making tallies */

static struct tally_node *
child(struct tally * tally, struct tally_node * parent, enum tally_kind kind,
    const char * name)
{

	return (tally_child(tally, parent, kind, name, strlen(name)));
}

static void
set_text(struct tally_node * node, const char * text, size_t length,
    int64_t when)
{

	node->text = text;
	node->text_length = length;
	node->when = when;
}

/* One of every kind, at least, in two environments. */
static void
make_all(struct tally * tally)
{
	struct tally_node * root = tally->root;
	struct tally_node * dev = child(tally, root, TALLY_ENVIRONMENT, "dev");
	struct tally_node * app = child(tally, dev, TALLY_APPLICATION, "shop");
	struct tally_node * node = child(tally, tally_bucket(tally, app,
	    497000), TALLY_FEATURE, "f");
	unsigned char digest[DIGEST_SIZE] = { 0xff, 0, '\n' };

	tally->when = 1795428000123;
	node->yes = 1;
	node->no = 300;
	child(tally, node, TALLY_VARIANT, "red")->count = 3;
	child(tally, node, TALLY_VARIANT, "blue")->count = 0;
	child(tally, tally_bucket(tally, app, -3), TALLY_FEATURE, "g");
	set_text(child(tally, app, TALLY_INSTANCE, "i"), "{}", 2, 1234567);
	tally_token(tally, digest, sizeof(digest));
	node = child(tally, child(tally, root, TALLY_ENVIRONMENT, "prod"),
	    TALLY_METRIC, "hlatency");
	set_text(node, "help", 4, -1);
	node = child(tally, node, TALLY_SERIES, "a=\"b\"");
	node->value = 0.5;
	node->count = 4;
	node->when = 77;
	child(tally, node, TALLY_BOUND, "1")->count = 3;
	child(tally, node, TALLY_BOUND, "+Inf")->count = 4;
	node = child(tally, dev, TALLY_METRIC, "gheat");
	child(tally, node, TALLY_SERIES, "")->value = -273.15;
	node = child(tally, dev, TALLY_METRIC, "cgoals");
	child(tally, node, TALLY_SERIES, "")->value = 12;
}

/* What a random tally may hold. */
enum {
	GENTLE,				/* What may be added without limit, */
	EXTREME,			/* or anything at all. */
};

static uint64_t
random_bits(void)
{

	return ((uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^
	    (uint64_t)random());
}

static uint64_t
random_count(int manner)
{
	static const uint64_t extremes[] = { 0, 1, 127, 128, 16383, 16384,
	    NUMBER_COUNT_MAX, NUMBER_COUNT_MAX + 1, INT64_MAX - 1, INT64_MAX };

	if (manner == GENTLE)
		return ((uint64_t)random() % 1000);
	if (random() % 2 == 0)
		return (extremes[(size_t)random() % LENGTH(extremes)]);
	return (random_bits() >> (1 + random() % 63));
}

static int64_t
random_time(int manner)
{
	static const int64_t extremes[] = { 0, 1, -1, 63, 64, -64, -65,
	    INT64_MAX, INT64_MIN };

	if (manner == GENTLE)
		return ((int64_t)(random() % 5));
	if (random() % 2 == 0)
		return (extremes[(size_t)random() % LENGTH(extremes)]);
	return ((int64_t)random_bits());
}

static double
random_double(int manner)
{
	static const double extremes[] = { 0.0, -0.0, 1.0, DBL_MAX, -DBL_MAX,
	    DBL_MIN, DBL_TRUE_MIN, -DBL_TRUE_MIN, INFINITY, -INFINITY,
	    9007199254740991.0 };
	uint64_t bits = random_bits();
	double value;

	if (manner == GENTLE)
		return ((double)(random() % 1000) / 8 - 50);
	memcpy(&value, &bits, sizeof(value));
	if (isnan(value) || random() % 2 == 0)
		return (extremes[(size_t)random() % LENGTH(extremes)]);
	return (value);
}

/* Few names, so that many meet; two of them are alike up to a NUL. */
static struct text
random_name(enum tally_kind kind)
{
	static const struct text names[] = { { "", 0 }, { "a", 1 },
	    { "\0", 1 }, { "a\0b", 3 }, { "a\0c", 3 }, { "b", 1 },
	    { "\xff\xc3\x28", 3 }, { "\xc3\xa9", 2 } };
	static const struct text metrics[] = { { "ca", 2 }, { "ga", 2 },
	    { "ha", 2 }, { "h\0", 2 }, { "cb", 2 } };
	static unsigned char digest[DIGEST_SIZE];
	static char spaces[300];
	struct text name;

	if (kind == TALLY_METRIC)
		return (metrics[(size_t)random() % LENGTH(metrics)]);
	if (kind == TALLY_TOKEN) {
		digest[0] = (unsigned char)(random() % 4);
		name.bytes = (const char *)digest;
		name.length = sizeof(digest);
		return (name);
	}
	name = names[(size_t)random() % LENGTH(names)];
	if (random() % 50 == 0) {
		/* A length of two bytes. */
		memset(spaces, ' ', sizeof(spaces));
		name.bytes = spaces;
		name.length = 100 + (size_t)random() % 200;
	}
	return (name);
}

static void
random_values(struct tally_node * node, int manner)
{
	static const char * const texts[] = { "", "{\"a\":1}", "help" };
	const char * text;

	switch (node->kind) {
	case TALLY_FEATURE:
		node->yes = random_count(manner);
		node->no = random_count(manner);
		break;
	case TALLY_VARIANT:
	case TALLY_BOUND:
		node->count = random_count(manner);
		break;
	case TALLY_INSTANCE:
	case TALLY_METRIC:
		text = texts[(size_t)random() % LENGTH(texts)];
		set_text(node, text, strlen(text), random_time(manner));
		break;
	case TALLY_SERIES:
		node->value = random_double(manner);
		node->count = random_count(manner);
		node->when = random_time(manner);
		break;
	default:
		break;
	}
}

static struct tally_node *
random_node(struct tally * tally, struct tally_node * parent,
    enum tally_kind kind)
{
	static const int64_t periods[] = { 0, 1, -1, 497000, -17268672,
	    70389527, INT32_MAX, -INT32_MAX };
	struct text name;

	if (kind == TALLY_BUCKET)
		return (tally_bucket(tally, parent,
		    periods[(size_t)random() % LENGTH(periods)]));
	name = random_name(kind);
	return (tally_child(tally, parent, kind, name.bytes, name.length));
}

static void
random_children(struct tally * tally, struct tally_node * parent, int manner)
{
	long count = random() % 5;

	for (; count > 0; count--) {
		enum tally_kind kind = TALLY_ROOT;
		struct tally_node * node;

		while (kind == TALLY_ROOT || parents[kind] != parent->kind)
			kind = (enum tally_kind)((unsigned long)random() %
			    LENGTH(parents));
		node = random_node(tally, parent, kind);
		random_values(node, manner);
		if (kind != TALLY_VARIANT && kind != TALLY_INSTANCE &&
		    kind != TALLY_BOUND && kind != TALLY_TOKEN)
			random_children(tally, node, manner);
	}
}

static struct tally *
random_tally(struct arena * arena, int manner)
{
	struct tally * tally = tally_create(arena);

	tally->when = random_time(manner);
	random_children(tally, tally->root, manner);
	random_children(tally, tally->root, manner);
	return (tally);
}

/* Round trips */

static void
test_made(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct tally * read = tally_create(arena);
	struct buffer bytes = { NULL, 0, 0 };

	is_text(round_trip(arena, tally), NULL, "an empty tally");
	tally->when = -1;
	is_text(round_trip(arena, tally), NULL, "and one with a time");
	make_all(tally);
	is_text(round_trip(arena, tally), NULL, "a tally of every kind");
	tally_codec_encode(&bytes, tally);
	is_text(read_copy(read, bytes.bytes, bytes.length), NULL, "read");
	/* f's yes and no, two variants, an instance, three series, two
	 * bounds, a token. */
	is_integer(read->counters, 11, "its counters");
	is_integer(read->largest, 300, "its largest count");
	ok(!tally_empty(read), "it is not empty");
	buffer_free(&bytes);
}

/* What is in the buffer already stays, and is no part of it. */
static void
test_append(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct buffer bytes = { NULL, 0, 0 };

	make_all(tally);
	buffer_append(&bytes, "before", 6);
	tally_codec_encode(&bytes, tally);
	is_bytes(bytes.bytes, 6, "before", 6, "what was there is left");
	ok(packs_to(tally, bytes.bytes + 6, bytes.length - 6),
	    "what follows it is the same as alone");
	is_text(read_copy(tally_create(arena), bytes.bytes + 6,
	    bytes.length - 6), NULL, "and can be read");
	buffer_free(&bytes);
}

/* The very bytes, which the next version of the program has to read. */
static void
test_format(struct arena * arena)
{
	static const char wanted[] = "\1\3" "\2"
	    "\1\3dev" "\2"
	    "\2\1a" "\2"
	    "\3\10" "\xfe\xff\xff\xff\xff\xff\xff\xff" "\3" "\1"
	    "\4\0" "\x7f\x80\1" "\1"
	    "\5\3a\0b" "\xff\xff\xff\xff\xff\xff\xff\x0f" "\0"
	    "\6\1i" "\2{}" "\x80\1" "\0"
	    "\7\2hm" "\0" "\0" "\1"
	    "\x8\0" "\0\0\0\0\0\0\xf8\xbf" "\7" "\x7f" "\1"
	    "\x9\4+Inf" "\7" "\0"
	    "\xa\40" "0123456789abcdef0123456789abcdef" "\0";
	struct tally * tally = tally_create(arena);
	struct buffer bytes = { NULL, 0, 0 };
	struct tally_node * root = tally->root, * env, * app, * node;

	tally->when = -2;
	env = child(tally, root, TALLY_ENVIRONMENT, "dev");
	app = child(tally, env, TALLY_APPLICATION, "a");
	node = child(tally, tally_bucket(tally, app, -2), TALLY_FEATURE, "");
	node->yes = 127;
	node->no = 128;
	tally_child(tally, node, TALLY_VARIANT, "a\0b", 3)->count =
	    NUMBER_COUNT_MAX;
	set_text(child(tally, app, TALLY_INSTANCE, "i"), "{}", 2, 64);
	node = child(tally, env, TALLY_METRIC, "hm");
	node = child(tally, node, TALLY_SERIES, "");
	node->value = -1.5;
	node->count = 7;
	node->when = -64;
	child(tally, node, TALLY_BOUND, "+Inf")->count = 7;
	tally_token(tally, "0123456789abcdef0123456789abcdef", DIGEST_SIZE);
	buffer_append(&bytes, wanted, sizeof(wanted) - 1);
	put_checksum(&bytes);
	ok(packs_to(tally, bytes.bytes, bytes.length), "the bytes");
	is_text(round_trip(arena, tally), NULL, "and back");
	buffer_free(&bytes);
}

static void
test_counts(struct arena * arena)
{
	static const uint64_t counts[] = { 0, 1, 127, 128, NUMBER_COUNT_MAX,
	    NUMBER_COUNT_MAX + 1, INT64_MAX };
	size_t i, place;

	for (i = 0; i < LENGTH(counts) * 5; i++) {
		struct tally * tally = tally_create(arena);
		uint64_t count = counts[i / 5];
		struct tally_node * env = child(tally, tally->root,
		    TALLY_ENVIRONMENT, "e");
		struct tally_node * feature = child(tally, tally_bucket(tally,
		    child(tally, env, TALLY_APPLICATION, "a"), 0),
		    TALLY_FEATURE, "f");
		struct tally_node * series = child(tally, child(tally, env,
		    TALLY_METRIC, "hm"), TALLY_SERIES, "");
		uint64_t * counters[] = { &feature->yes, &feature->no,
		    &child(tally, feature, TALLY_VARIANT, "v")->count,
		    &series->count,
		    &child(tally, series, TALLY_BOUND, "1")->count };

		place = i % 5;
		*counters[place] = count;
		is_text(round_trip(arena, tally), NULL, "%llu in place %zu",
		    (unsigned long long)count, place);
	}
}

static void
test_times(struct arena * arena)
{
	static const int64_t times[] = { 0, 1, -1, 63, 64, -64, -65,
	    1795428000123, INT64_MAX, INT64_MIN };
	static const int64_t periods[] = { 0, 1, -1, 497000, -719528,
	    -17268672, 70389527, INT32_MAX, -INT32_MAX };
	struct tally * tally;
	struct tally_node * node;
	size_t i;

	for (i = 0; i < LENGTH(times); i++) {
		tally = tally_create(arena);
		node = child(tally, tally->root, TALLY_ENVIRONMENT, "e");
		tally->when = times[i];
		set_text(child(tally, child(tally, node, TALLY_APPLICATION,
		    "a"), TALLY_INSTANCE, "i"), "{}", 2, times[i]);
		node = child(tally, node, TALLY_METRIC, "gm");
		set_text(node, "", 0, times[i]);
		child(tally, node, TALLY_SERIES, "")->when = times[i];
		is_text(round_trip(arena, tally), NULL, "reported at %lld",
		    (long long)times[i]);
	}
	for (i = 0; i < LENGTH(periods); i++) {
		tally = tally_create(arena);
		node = child(tally, child(tally, tally->root,
		    TALLY_ENVIRONMENT, "e"), TALLY_APPLICATION, "a");
		tally_bucket(tally, node, periods[i]);
		tally_bucket(tally, node, 7);
		is_text(round_trip(arena, tally), NULL, "period %lld",
		    (long long)periods[i]);
	}
}

static void
test_doubles(struct arena * arena)
{
	static const double doubles[] = { 0.0, -0.0, 1.0, -1.5, 0.1, DBL_MAX,
	    -DBL_MAX, DBL_MIN, DBL_TRUE_MIN, -DBL_TRUE_MIN, INFINITY,
	    -INFINITY };
	size_t i;

	for (i = 0; i < LENGTH(doubles); i++) {
		struct tally * tally = tally_create(arena);

		child(tally, child(tally, child(tally, tally->root,
		    TALLY_ENVIRONMENT, "e"), TALLY_METRIC, "cm"),
		    TALLY_SERIES, "")->value = doubles[i];
		is_text(round_trip(arena, tally), NULL, "%g", doubles[i]);
	}
}

/* Of each kind that takes any name; a metric's follows its type. */
static void
test_names(struct arena * arena)
{
	static char large[70000];
	static const struct text names[] = { { "", 0 }, { "\0", 1 },
	    { "\0\0", 2 }, { "a\0b", 3 }, { "\xff\xfe", 2 },
	    { large, 127 }, { large, 128 }, { large, sizeof(large) } };
	size_t i;

	memset(large, 'x', sizeof(large));
	for (i = 0; i < LENGTH(names); i++) {
		struct tally * tally = tally_create(arena);
		const struct text * name = &names[i];
		struct tally_node * app = tally_application(tally, name, name);
		struct tally_node * node;

		node = tally_feature(tally, name, name, 0, name);
		tally_child(tally, node, TALLY_VARIANT, name->bytes,
		    name->length);
		tally_set_instance(tally, app, name, name);
		node = tally_metric(tally, name, TALLY_HISTOGRAM, name, name);
		tally_bound(tally, tally_series(tally, node, name), name);
		is_text(round_trip(arena, tally), NULL,
		    "name %zu everywhere, of %zu bytes", i, name->length);
	}
}

static void
test_random(struct arena * arena)
{
	const char * why = NULL;
	size_t nodes = 0;
	int i;

	for (i = 0; i < 2000 && why == NULL; i++) {
		struct tally * tally = random_tally(arena, EXTREME);

		nodes += tally->node_count;
		why = round_trip(arena, tally);
		arena_reset(arena);
	}
	is_text(why, NULL, "2000 random tallies, as far as number %d", i);
	ok(nodes > 20000, "which had %zu nodes", nodes);
}

/* Far more nodes than the index has room for at first. */
static void
test_many(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct text name = text_of("e");
	struct tally_node * app = tally_application(tally, &name, &name);
	char text[20];
	int i;

	for (i = 0; i < 50000; i++) {
		snprintf(text, sizeof(text), "feature%d", i);
		child(tally, tally_bucket(tally, app, i % 3), TALLY_FEATURE,
		    text)->yes = (uint64_t)i;
	}
	is_text(round_trip(arena, tally), NULL, "50000 features");
}

/* Merging what was read comes to the same as merging what was packed. */
static void
test_merge(struct arena * arena)
{
	const char * why = NULL;
	unsigned int wrong = 0;
	int i, j;

	for (i = 0; i < 200 && why == NULL; i++) {
		struct tally * originals = tally_create(arena);
		struct tally * reads = tally_create(arena);
		struct buffer bytes = { NULL, 0, 0 };

		for (j = 0; j < 5 && why == NULL; j++) {
			struct tally * tally = random_tally(arena, GENTLE);
			struct tally * read = tally_create(arena);

			buffer_clear(&bytes);
			tally_codec_encode(&bytes, tally);
			why = read_copy(read, bytes.bytes, bytes.length);
			wrong += !tally_may_merge(reads, read);
			tally_merge(originals, tally);
			tally_merge(reads, read);
		}
		if (why == NULL)
			why = difference(arena, originals, reads);
		wrong += originals->counters != reads->counters;
		wrong += originals->largest != reads->largest;
		buffer_free(&bytes);
		arena_reset(arena);
	}
	is_text(why, NULL, "200 times 5 merged, as far as number %d", i);
	is_integer(wrong, 0, "with the same counters and largest count");
}

/* A tally that was read stands for itself in sums near the end of int64. */
static void
test_may_merge(struct arena * arena)
{
	static const struct body large_body = BODY(FEATURE MAX63 "\0\0", "");
	static const struct body one_body = BODY(FEATURE "\0\1\0", "");
	struct tally * large = tally_create(arena);
	struct tally * one = tally_create(arena);

	is_text(read_body(large, large_body.bytes, large_body.length), NULL,
	    "a count of 2^63-1");
	ok(large->largest == INT64_MAX, "is the largest");
	is_text(read_body(one, one_body.bytes, one_body.length), NULL,
	    "a count of 1");
	is_integer(one->largest, 1, "is the largest");
	ok(!tally_may_merge(large, one) && !tally_may_merge(one, large),
	    "their sum is refused");
	ok(tally_may_merge(one, one), "that of small ones is not");
}

/* Refusals */

static const struct body accepted[] = {
	BODY("\0\0", "nothing"),
	BODY(MAX64 "\0", "the earliest time"),
	BODY(ENV "\0", "an environment without a name"),
	BODY("\0\2" "\1\1a\0" "\1\1b\0", "two environments"),
	BODY(BUCKET "\0", "a bucket"),
	BODY(APP "\2" "\3" PERIOD0 "\0\0" "\6" PERIOD0 "\0\0\0",
	    "a bucket and an instance of one name"),
	BODY(FEATURE MAX63 MAX63 "\0", "the largest counts"),
	BODY(FEATURE "\0\0" "\1\5\0" MAX63 "\0", "that of a variant"),
	BODY(METRIC "\0", "a metric with nothing but a type"),
	BODY(ENV "\3" "\7\2ca\0\0\0" "\7\2ga\0\0\0" "\7\2ha\0\0\0",
	    "a name of three types"),
	BODY(SERIES ZERO MAX63 "\0\0", "that of a series"),
	BODY(SERIES ZERO "\0\0" "\1\x9\0" MAX63 "\0", "that of a bound"),
	BODY(SERIES "\0\0\0\0\0\0\xf0\x7f" "\0\0\0", "infinity"),
	BODY(SERIES "\0\0\0\0\0\0\xf0\xff" "\0\0\0", "minus infinity"),
	BODY("\0\1" "\xa\40" TOKEN31 "f" "\0", "a token"),
};

static const struct body refused[] = {
	BODY("", "no time"),
	BODY("\0", "no number of children"),
	BODY("\0\0\0", "a byte more"),
	BODY("\0\1", "a child that is not there"),
	BODY("\0\2" "\1\0\0", "a second one that is not there"),
	BODY("\0" MAX64 "\1\0\0", "more children than there can be"),
	BODY("\0" MAX63 "\1\0\0", "half as many"),
	BODY("\0\1" "\1\1", "a name that is not there"),
	BODY("\0\1" "\1\3a\0", "a name beyond the end"),
	BODY("\0\1" "\1" MAX64 "a\0", "a name of 2^64-1 bytes"),
	BODY("\0\1" "\1" MAX63 "a\0", "a name of 2^63-1 bytes"),
	BODY("\0\1" "\1\xff\xff\xff\xff\xf" "a\0", "a name of 2^32-1 bytes"),
	/* Numbers */
	BODY("\x80\0\0", "a time that is longer than it need be"),
	BODY("\x81\x80\0\0", "another"),
	BODY("\0\x80\0", "a number of children that is"),
	BODY(OVER64 "\0", "a time beyond 64 bits"),
	BODY("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\0\0",
	    "a time of eleven bytes"),
	BODY("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0",
	    "a time of twelve"),
	BODY(FEATURE OVER63 "\0" "\0", "a yes of 2^63"),
	BODY(FEATURE "\0" OVER63 "\0", "a no of 2^63"),
	BODY(FEATURE "\0" MAX64 "\0", "a no of 2^64-1"),
	BODY(FEATURE "\0\0" "\1\5\0" OVER63 "\0", "such a variant"),
	BODY(SERIES ZERO OVER63 "\0\0", "such a series"),
	BODY(SERIES ZERO "\0\0" "\1\x9\0" OVER63 "\0", "such a bound"),
	BODY(SERIES "\0\0\0\0\0\0\xf8\x7f" "\0\0\0", "a quiet NaN"),
	BODY(SERIES "\1\0\0\0\0\0\xf0\x7f" "\0\0\0", "a signalling NaN"),
	BODY(SERIES "\xff\xff\xff\xff\xff\xff\xff\xff" "\0\0\0",
	    "a negative NaN"),
	BODY(SERIES "\0\0\0\0\0\0\0", "half a double"),
	/* Buckets */
	BODY(APP "\1" "\3\7\0\0\0\0\0\0\0" "\0\0", "a name too short"),
	BODY(APP "\1" "\3\11\0\0\0\0\0\0\0\0\0" "\0\0", "a name too long"),
	BODY(APP "\1" "\3\0" "\0\0", "no name"),
	BODY(APP "\1" "\3" PERIOD0 "\2\0", "a name that is another period's"),
	BODY(APP "\1" "\3\10\0\0\0\x80\0\0\0\0" "\x80\x80\x80\x80\x10" "\0",
	    "a period far after any date"),
	BODY(APP "\1" "\3\10\0\0\0\x80\xff\xff\xff\xff"
	    "\xff\xff\xff\xff\xf" "\0", "one far before any date"),
	BODY(APP "\1" "\3\10\xff\xff\xff\xff\xff\xff\xff\x7f"
	    "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1" "\0", "the last one"),
	/* Names of metrics, and tokens */
	BODY(ENV "\1" "\7\0" "\0\0\0", "a metric without a type"),
	BODY(ENV "\1" "\7\0" "c" TOKEN31 TOKEN31 TOKEN31 "012345" "\0\0",
	    "one whose help is 'c' bytes long"),
	BODY(ENV "\1" "\7\2xm" "\0\0\0", "of another type"),
	BODY(ENV "\1" "\7\2Cm" "\0\0\0", "of a type in upper case"),
	BODY(ENV "\1" "\7\2\0m" "\0\0\0", "of type NUL"),
	BODY(ENV "\1" "\7\2cm" "\2x\0\0", "a help beyond the end"),
	BODY(ENV "\1" "\7\2cm" MAX64 "\0\0", "a help of 2^64-1 bytes"),
	BODY(APP "\1" "\6\0" "\3xx\0", "a registration beyond the end"),
	BODY("\0\1" "\xa\37" TOKEN31 "\0", "a token too short"),
	BODY("\0\1" "\xa\41" TOKEN31 "fg" "\0", "a token too long"),
	BODY("\0\1" "\xa\0" "\0", "an empty token"),
	/* The same twice */
	BODY("\0\2" "\1\1a\0" "\1\1a\0", "an environment twice"),
	BODY(ENV "\2" "\2\0\0" "\2\0\0", "an application twice"),
	BODY(APP "\2" "\3" PERIOD0 "\0\0" "\3" PERIOD0 "\0\0",
	    "a bucket twice"),
	BODY(BUCKET "\2" "\4\0\1\1\0" "\4\0\1\1\0", "a feature twice"),
	BODY(FEATURE "\0\0" "\2" "\5\0\1\0" "\5\0\1\0", "a variant twice"),
	BODY(APP "\2" "\6\0\0\0\0" "\6\0\0\0\0", "an instance twice"),
	BODY(ENV "\2" "\7\1c\0\0\0" "\7\1c\0\0\0", "a metric twice"),
	BODY(METRIC "\2" "\x8\0" ZERO "\0\0\0" "\x8\0" ZERO "\0\0\0",
	    "a series twice"),
	BODY(SERIES ZERO "\0\0" "\2" "\x9\0\1\0" "\x9\0\1\0",
	    "a bound twice"),
	BODY("\0\2" "\xa\40" TOKEN31 "f" "\0" "\xa\40" TOKEN31 "f" "\0",
	    "a token twice"),
};

static void
test_bodies(struct arena * arena)
{
	size_t i;

	for (i = 0; i < LENGTH(accepted); i++)
		is_text(read_body(tally_create(arena), accepted[i].bytes,
		    accepted[i].length), NULL, "accepted: %s",
		    accepted[i].what);
	for (i = 0; i < LENGTH(refused); i++)
		is_text(read_body(tally_create(arena), refused[i].bytes,
		    refused[i].length), "a packed tally that makes no sense",
		    "refused: %s", refused[i].what);
}

/* Append a node of a kind, whose children are to follow. */
static void
put_node(struct buffer * bytes, unsigned int kind)
{
	static const struct body nodes[] = {
		[TALLY_ROOT] = BODY("\0", ""),
		[TALLY_ENVIRONMENT] = BODY("\0", ""),
		[TALLY_APPLICATION] = BODY("\0", ""),
		[TALLY_BUCKET] = BODY(PERIOD0 "\0", ""),
		[TALLY_FEATURE] = BODY("\0\0\0", ""),
		[TALLY_VARIANT] = BODY("\0\0", ""),
		[TALLY_INSTANCE] = BODY("\0\0\0", ""),
		[TALLY_METRIC] = BODY("\1g\0\0", ""),
		[TALLY_SERIES] = BODY("\0" ZERO "\0\0", ""),
		[TALLY_BOUND] = BODY("\0\0", ""),
		[TALLY_TOKEN] = BODY("\40" TOKEN31 "f", ""),
	};
	unsigned char byte = (unsigned char)kind;

	buffer_append(bytes, &byte, 1);
	/* Those beyond the last kind look like a node, too. */
	kind = kind < LENGTH(nodes) ? kind : TALLY_ENVIRONMENT;
	buffer_append(bytes, nodes[kind].bytes, nodes[kind].length);
}

/* Append the path to a node, and for each on it that it has one child. */
static void
put_path(struct buffer * bytes, enum tally_kind kind)
{

	if (kind == TALLY_ROOT)
		buffer_append(bytes, "\0", 1);
	else {
		put_path(bytes, parents[kind]);
		put_node(bytes, kind);
	}
	buffer_append(bytes, "\1", 1);
}

/* All kinds under all kinds. */
static void
test_kinds(struct arena * arena)
{
	unsigned int parent, kind, wrong;

	for (parent = TALLY_ROOT; parent <= TALLY_TOKEN; parent++) {
		unsigned int taken = 0;

		for (kind = wrong = 0; kind < 256; kind++) {
			struct buffer bytes = { NULL, 0, 0 };
			bool right = kind > TALLY_ROOT &&
			    kind <= TALLY_TOKEN && parents[kind] == parent;
			const char * why;

			put_path(&bytes, (enum tally_kind)parent);
			put_node(&bytes, kind);
			buffer_append(&bytes, "\0", 1);
			why = read_body(tally_create(arena), bytes.bytes,
			    bytes.length);
			wrong += (why == NULL) != right;
			taken += why == NULL;
			buffer_free(&bytes);
		}
		is_integer(wrong, 0, "what may stand under kind %u: %u kinds",
		    parent, taken);
	}
}

/* A tree deeper than ours is none, whatever it is made of. */
static void
test_deep(struct arena * arena)
{
	struct buffer bytes = { NULL, 0, 0 };
	unsigned int kind, i;

	for (kind = TALLY_ROOT; kind <= TALLY_TOKEN; kind++) {
		buffer_clear(&bytes);
		put_path(&bytes, (enum tally_kind)kind);
		for (i = 0; i < 100000; i++) {
			put_node(&bytes, kind);
			buffer_append(&bytes, "\1", 1);
		}
		is_text(read_body(tally_create(arena), bytes.bytes,
		    bytes.length), "a packed tally that makes no sense",
		    "100000 of kind %u, one under the other", kind);
	}
	buffer_free(&bytes);
}

static void
test_versions(struct arena * arena)
{
	struct buffer bytes = { NULL, 0, 0 };
	unsigned int version, wrong = 0;
	const char * why;

	tally_codec_encode(&bytes, tally_create(arena));
	is_integer(bytes.bytes[0], 1, "our version");
	for (version = 0; version < 256; version++) {
		bytes.length -= CHECKSUM_SIZE;
		bytes.bytes[0] = (char)version;
		put_checksum(&bytes);
		why = read_copy(tally_create(arena), bytes.bytes,
		    bytes.length);
		if (version == 1)
			wrong += why != NULL;
		else
			wrong += why == NULL || strstr(why, "version") == NULL;
	}
	is_integer(wrong, 0, "any other is refused, and told");
	is_text(read_copy(tally_create(arena), "\2", 1),
	    "a packed tally of another version",
	    "even if nothing else can be known");
	buffer_free(&bytes);
}

static void
test_truncated(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct buffer bytes = { NULL, 0, 0 };
	unsigned int plain = 0, mended = 0;
	size_t i;

	make_all(tally);
	tally_codec_encode(&bytes, tally);
	is_text(tally_codec_decode(tally_create(arena), NULL, 0),
	    "a packed tally that is cut short", "nothing");
	for (i = 0; i < bytes.length; i++)
		plain += read_copy(tally_create(arena), bytes.bytes, i) !=
		    NULL;
	is_integer(plain, bytes.length, "every truncation is refused");
	for (i = 1; i < bytes.length - CHECKSUM_SIZE; i++)
		mended += read_body(tally_create(arena), bytes.bytes + 1,
		    i - 1) != NULL;
	is_integer(mended, bytes.length - CHECKSUM_SIZE - 1,
	    "even if the checksum is right");
	buffer_append(&bytes, "", 1);
	is_text(read_copy(tally_create(arena), bytes.bytes, bytes.length),
	    "a packed tally that is damaged", "so is a byte more");
	buffer_free(&bytes);
}

static void
test_changed(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct buffer bytes = { NULL, 0, 0 };
	unsigned int accepted_count = 0, change;
	size_t i;

	make_all(tally);
	tally_codec_encode(&bytes, tally);
	for (i = 0; i < bytes.length; i++) {
		for (change = 1; change < 256; change++) {
			bytes.bytes[i] = (char)(bytes.bytes[i] ^ (int)change);
			accepted_count += read_copy(tally_create(arena),
			    bytes.bytes, bytes.length) == NULL;
			bytes.bytes[i] = (char)(bytes.bytes[i] ^ (int)change);
		}
		arena_reset(arena);
	}
	is_integer(accepted_count, 0, "no change of one byte of %zu is "
	    "accepted", bytes.length);
	is_text(read_copy(tally_create(arena), bytes.bytes, bytes.length),
	    NULL, "but with none it is");
	buffer_free(&bytes);
}

/* Mutations */

/* Replace ${count} bytes at ${at} by others. */
static void
splice(struct buffer * bytes, size_t at, size_t count, const void * others,
    size_t length)
{
	size_t rest = bytes->length - at - count;

	buffer_room(bytes, length);
	memmove(bytes->bytes + at + length, bytes->bytes + at + count, rest);
	memcpy(bytes->bytes + at, others, length);
	bytes->length = at + length + rest;
}

static void
mutate(struct buffer * bytes)
{
	static const unsigned char extremes[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8,
	    9, 10, 11, 0x7f, 0x80, 0x81, 0xfe, 0xff };
	/* The version stays. */
	size_t at = 1 + (size_t)random() % (bytes->length - 1);
	size_t count = 1 + (size_t)random() % 40;
	char piece[40];

	if (count > bytes->length - at)
		count = bytes->length - at;
	memcpy(piece, bytes->bytes + at, count);
	switch (random() % 7) {
	case 0:
		bytes->bytes[at] = (char)(bytes->bytes[at] ^
		    1 << random() % 8);
		break;
	case 1:
		bytes->bytes[at] = (char)extremes[(size_t)random() %
		    LENGTH(extremes)];
		break;
	case 2:
		bytes->bytes[at] = (char)(random() & 0xff);
		break;
	case 3:
		bytes->bytes[at] = (char)(bytes->bytes[at] +
		    (random() % 2 == 0 ? 1 : -1));
		break;
	case 4:
		if (bytes->length - count > 1)
			splice(bytes, at, count, "", 0);
		break;
	case 5:
		splice(bytes, at, 0, MAX64, 1 + (size_t)random() % 10);
		break;
	default:
		splice(bytes, 1 + (size_t)random() % (bytes->length - 1), 0,
		    piece, count);
		break;
	}
}

/* What is accepted is used as any other. */
static bool
is_usable(struct arena * arena, struct tally * tally,
    const struct buffer * bytes)
{
	struct tally * into = tally_create(arena);

	if (!packs_to(tally, bytes->bytes, bytes->length))
		return (false);
	tally_merge(into, tally);
	if (into->counters != tally->counters ||
	    into->node_count != tally->node_count ||
	    tally->largest != largest_count(tally->root))
		return (false);
	if (tally_may_merge(into, tally))
		tally_merge(into, tally);
	return (into->node_count == tally->node_count);
}

static void
test_mutations(struct arena * arena)
{
	struct buffer original = { NULL, 0, 0 }, bytes = { NULL, 0, 0 };
	unsigned int read = 0, unusable = 0, greedy = 0;
	int i, j;

	for (i = 0; i < 100000; i++) {
		struct tally * tally = tally_create(arena);
		size_t used = arena_used(arena);

		if (i % 100 == 0) {
			buffer_clear(&original);
			make_all(tally);
			tally_codec_encode(&original, i % 200 == 0 ? tally :
			    random_tally(arena, EXTREME));
			tally = tally_create(arena);
			used = arena_used(arena);
		}
		buffer_clear(&bytes);
		buffer_append(&bytes, original.bytes,
		    original.length - CHECKSUM_SIZE);
		for (j = (int)(random() % 3); j >= 0; j--)
			mutate(&bytes);
		put_checksum(&bytes);
		if (read_copy(tally, bytes.bytes, bytes.length) == NULL) {
			read++;
			unusable += !is_usable(arena, tally, &bytes);
		} else
			greedy += arena_used(arena) - used >
			    1024 + 128 * bytes.length;
		arena_reset(arena);
	}
	ok(read > 5000 && read < 95000, "of 100000 mutations %u are "
	    "accepted", read);
	is_integer(unusable, 0, "and can be merged and packed again");
	is_integer(greedy, 0, "none takes much memory");
	buffer_free(&original);
	buffer_free(&bytes);
}

/* Bytes that were no tally ever, behind the right version. */
static void
test_noise(struct arena * arena)
{
	struct buffer bytes = { NULL, 0, 0 };
	unsigned int read = 0, unusable = 0;
	int i, j;

	for (i = 0; i < 100000; i++) {
		struct tally * tally = tally_create(arena);

		buffer_clear(&bytes);
		buffer_append(&bytes, "\1", 1);
		for (j = (int)(random() % 30); j > 0; j--) {
			unsigned char byte = (unsigned char)(random() %
			    (random() % 4 == 0 ? 256 : 12));

			buffer_append(&bytes, &byte, 1);
		}
		put_checksum(&bytes);
		if (read_copy(tally, bytes.bytes, bytes.length) == NULL) {
			read++;
			unusable += !is_usable(arena, tally, &bytes);
		}
		arena_reset(arena);
	}
	is_integer(unusable, 0, "of 100000 pieces of noise %u are a tally, "
	    "the others are refused", read);
	buffer_free(&bytes);
}

/* The smallest nodes there are: what they take stays in proportion. */
static void
test_memory(struct arena * arena)
{
	struct buffer bytes = { NULL, 0, 0 };
	struct tally * tally = tally_create(arena);
	size_t used = arena_used(arena);
	unsigned int i;

	/* 2^14 children. */
	buffer_append(&bytes, "\0" "\x80\x80\1", 4);
	for (i = 0; i < 128 * 128; i++) {
		unsigned char node[] = { TALLY_ENVIRONMENT, 2,
		    (unsigned char)(i & 0xff), (unsigned char)(i >> 8), 0 };

		buffer_append(&bytes, node, sizeof(node));
	}
	is_text(read_body(tally, bytes.bytes, bytes.length), NULL,
	    "16384 nodes");
	is_integer(tally->node_count, 16384, "are there");
	used = arena_used(arena) - used;
	ok(used <= 1024 + 64 * bytes.length, "%zu bytes take %zu",
	    bytes.length, used);
	buffer_free(&bytes);
}

int
main(void)
{
	static void (* const tests[])(struct arena *) = {
		test_made, test_append, test_format, test_counts, test_times,
		test_doubles, test_names, test_random, test_many, test_merge,
		test_may_merge, test_bodies, test_kinds, test_deep,
		test_versions, test_truncated, test_changed, test_mutations,
		test_noise, test_memory,
	};
	struct arena * arena = arena_create(1 << 20);
	size_t i;

	tap_seed();
	if (digest_init() != 0)
		return (EXIT_FAILURE);
	for (i = 0; i < LENGTH(tests); i++) {
		tests[i](arena);
		arena_reset(arena);
	}
	arena_free(arena);
	return (tap_done());
}
