#include <stdarg.h>

#include "lib/base/digest.h"
#include "lib/base/number.h"
#include "lib/tally/tally.h"
#include "tests/unit/tap.h"

/* A tally as text: a line for each node with its values, in their order. */
static char dump_text[65536];
static size_t dump_used;

__attribute__((format(printf, 1, 2)))
static void
add(const char * format, ...)
{
	size_t room = sizeof(dump_text) - dump_used;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(dump_text + dump_used, room, format, arguments);
	va_end(arguments);
	dump_used += (size_t)length < room ? (size_t)length : room - 1;
}

static void
dump_values(const struct tally_node * node)
{
	struct text name;

	switch (node->kind) {
	case TALLY_BUCKET:
		add("%lld", (long long)node->period);
		break;
	case TALLY_FEATURE:
		add("%.*s=%llu/%llu", (int)node->length, node->name,
		    (unsigned long long)node->yes,
		    (unsigned long long)node->no);
		break;
	case TALLY_METRIC:
		name = tally_metric_name(node);
		add("%c:%.*s'%.*s'", (int)tally_metric_type(node),
		    (int)name.length, name.bytes, (int)node->text_length,
		    node->text);
		break;
	case TALLY_INSTANCE:
		add("%.*s=%.*s", (int)node->length, node->name,
		    (int)node->text_length, node->text);
		break;
	case TALLY_SERIES:
		add("%.*s=%g#%llu", (int)node->length, node->name,
		    node->value, (unsigned long long)node->count);
		break;
	case TALLY_VARIANT:
	case TALLY_BOUND:
		add("%.*s=%llu", (int)node->length, node->name,
		    (unsigned long long)node->count);
		break;
	default:
		add("%.*s", (int)node->length, node->name);
		break;
	}
}

static void
dump_children(const struct tally_node * parent)
{
	static const char letters[] = "reabfvimsut";
	const struct tally_node * node;
	const char * separator = "";

	for (node = parent->first; node != NULL; node = node->next) {
		add("%s%c ", separator, letters[node->kind]);
		dump_values(node);
		if (node->parent != parent)
			add(" has another parent");
		if (node->first != NULL) {
			add(" [");
			dump_children(node);
			add("]");
		}
		separator = ", ";
	}
}

static const char *
dump(const struct tally * tally)
{

	dump_used = 0;
	dump_text[0] = '\0';
	dump_children(tally->root);
	return (dump_text);
}

/* Shorthands that take C strings. */
static struct tally_node *
feature(struct tally * tally, const char * environment, const char * app,
    int64_t period, const char * name)
{
	struct text e = text_of(environment), a = text_of(app);
	struct text f = text_of(name);

	return (tally_feature(tally, &e, &a, period, &f));
}

static struct tally_node *
variant(struct tally * tally, struct tally_node * parent, const char * name)
{

	return (tally_child(tally, parent, TALLY_VARIANT, name, strlen(name)));
}

static struct tally_node *
metric(struct tally * tally, const char * environment, enum tally_type type,
    const char * name, const char * help)
{
	struct text e = text_of(environment), n = text_of(name);
	struct text h = text_of(help);

	return (tally_metric(tally, &e, type, &n, &h));
}

static struct tally_node *
series(struct tally * tally, struct tally_node * parent, const char * labels)
{
	struct text text = text_of(labels);

	return (tally_series(tally, parent, &text));
}

static struct tally_node *
bound(struct tally * tally, struct tally_node * parent, const char * le)
{
	struct text text = text_of(le);

	return (tally_bound(tally, parent, &text));
}

static void
instance(struct tally * tally, const char * environment, const char * app,
    const char * name, const char * json)
{
	struct text e = text_of(environment), a = text_of(app);
	struct text i = text_of(name), j = text_of(json);

	tally_set_instance(tally, tally_application(tally, &e, &a), &i, &j);
}

static void
test_features(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct tally_node * node;

	ok(tally_empty(tally), "a new tally is empty");
	is_integer(tally->counters, 0, "and has no counters");
	node = feature(tally, "dev", "shop", 7, "f");
	ok(!tally_empty(tally), "with a feature it is not");
	ok(node->yes == 0 && node->no == 0, "a new feature has counted "
	    "nothing");
	ok(tally_add(tally, &node->yes, 2) && tally_add(tally, &node->no, 3),
	    "counts can be added");
	is_integer(tally->counters, 2, "yes and no are two counters");
	ok(feature(tally, "dev", "shop", 7, "f") == node,
	    "the same feature is the same node");
	ok(tally_add(tally, &node->yes, 5), "more can be added");
	is_integer(tally->counters, 2, "which makes no new counter");
	node = variant(tally, node, "blue");
	ok(tally_add(tally, &node->count, 0), "nothing can be added");
	is_integer(tally->counters, 2, "which makes no counter either");
	ok(tally_add(tally, &node->count, 1), "a variant counts");
	is_integer(tally->counters, 3, "and is a counter");
	is_text(dump(tally), "e dev [a shop [b 7 [f f=7/3 [v blue=1]]]]",
	    "the tree");
}

/* Names that are alike in some way are different nodes. */
static void
test_distinct(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	static const char with_nul[] = "a\0b";

	feature(tally, "ab", "c", 0, "x")->yes = 1;
	feature(tally, "a", "bc", 0, "x")->yes = 2;
	feature(tally, "ab", "c", 1, "x")->yes = 3;
	feature(tally, "ab", "c", -1, "x")->yes = 4;
	feature(tally, "ab", "c", 0, "")->yes = 5;
	feature(tally, "", "", 0, "x")->yes = 6;
	feature(tally, "ab", "c", 0, "X")->yes = 7;
	feature(tally, "ab", "c", 256, "x")->yes = 8;
	feature(tally, "ab", "c", 0, "x")->no = 9;
	instance(tally, "ab", "c", "x", "{}");
	is_text(dump(tally), "e ab [a c [b 0 [f x=1/9, f =5/0, f X=7/0], "
	    "b 1 [f x=3/0], b -1 [f x=4/0], b 256 [f x=8/0], i x={}]], "
	    "e a [a bc [b 0 [f x=2/0]]], e  [a  [b 0 [f x=6/0]]]",
	    "names, parents and periods tell nodes apart");
	ok(tally_child(tally, tally->root, TALLY_ENVIRONMENT, with_nul, 3) !=
	    tally_child(tally, tally->root, TALLY_ENVIRONMENT, with_nul, 1),
	    "so does what follows a NUL");
	ok(tally_child(tally, tally->root, TALLY_ENVIRONMENT, "a", 1) !=
	    tally_child(tally, tally->root, TALLY_TOKEN, "a", 1),
	    "so does the kind");
}

static void
test_copies(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	char name[] = "name", json[] = "{}", help[] = "help";
	struct text n = text_of(name), j = text_of(json), h = text_of(help);
	struct tally_node * app = tally_application(tally, &n, &n);

	tally_set_instance(tally, app, &n, &j);
	tally_metric(tally, &n, TALLY_GAUGE, &n, &h);
	tally_feature(tally, &n, &n, 3, &n);
	memset(name, '!', sizeof(name));
	memset(json, '!', sizeof(json));
	memset(help, '!', sizeof(help));
	is_text(dump(tally), "e name [a name [i name={}, b 3 [f name=0/0]], "
	    "m g:name'help']", "names and texts are copied");
	ok(tally_bucket(tally, app, 3)->period == 3,
	    "a bucket knows its period");
}

static void
test_add_limits(struct arena * arena)
{
	static const struct {
		uint64_t before, count;
		bool fits;
	} rows[] = {
		{ 0, NUMBER_COUNT_MAX, true },
		{ 0, NUMBER_COUNT_MAX + 1, false },
		{ 1, NUMBER_COUNT_MAX - 1, true },
		{ 1, NUMBER_COUNT_MAX, false },
		{ NUMBER_COUNT_MAX, 0, true },
		{ NUMBER_COUNT_MAX, 1, false },
		{ NUMBER_COUNT_MAX - 1, 1, true },
		{ NUMBER_COUNT_MAX - 1, 2, false },
		{ 0, UINT64_MAX, false }, { 1, UINT64_MAX, false },
		{ 5, UINT64_MAX - 4, false },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tally * tally = tally_create(arena);
		uint64_t * counter = &feature(tally, "e", "a", 0, "f")->yes;
		uint64_t wanted = rows[i].before +
		    (rows[i].fits ? rows[i].count : 0);

		tally_add(tally, counter, rows[i].before);
		is_integer(tally_add(tally, counter, rows[i].count),
		    rows[i].fits, "%llu and %llu",
		    (unsigned long long)rows[i].before,
		    (unsigned long long)rows[i].count);
		ok(*counter == wanted, "the counter is %llu",
		    (unsigned long long)*counter);
		is_integer(tally->counters, wanted > 0, "counters in use");
	}
}

static void
test_instances(struct arena * arena)
{
	struct tally * tally = tally_create(arena);

	instance(tally, "dev", "a", "1", "{\"old\":1}");
	is_integer(tally->counters, 1, "an instance is a counter");
	instance(tally, "dev", "a", "1", "{}");
	is_integer(tally->counters, 1, "the same one again is not another");
	instance(tally, "dev", "a", "2", "{\"x\":2}");
	instance(tally, "dev", "b", "1", "");
	is_integer(tally->counters, 3, "others are");
	is_text(dump(tally), "e dev [a a [i 1={}, i 2={\"x\":2}], a b [i 1=]]",
	    "of an instance the latest registration stays");
}

static void
test_metrics(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct tally_node * counter = metric(tally, "dev", TALLY_COUNTER, "n",
	    "old");
	struct tally_node * histogram = metric(tally, "dev", TALLY_HISTOGRAM,
	    "n", "");
	struct tally_node * node;

	ok(metric(tally, "dev", TALLY_COUNTER, "n", "new help") == counter,
	    "name and type make a metric");
	ok(metric(tally, "prod", TALLY_COUNTER, "n", "h") != counter &&
	    metric(tally, "dev", TALLY_GAUGE, "n", "h") != counter,
	    "and so does its environment");
	is_integer(tally->counters, 0, "a metric alone is no counter");
	node = series(tally, counter, "");
	node->value = 1.5;
	node = series(tally, histogram, "a=\"b\"");
	node->count = 3;
	bound(tally, node, "1")->count = 2;
	bound(tally, node, "+Inf")->count = 3;
	is_integer(tally->counters, 4, "a series and a bucket are counters");
	ok(series(tally, histogram, "a=\"b\"") == node &&
	    bound(tally, node, "1")->count == 2, "they can be found again");
	is_integer(tally->counters, 4, "which makes no new ones");
	is_text(dump(tally), "e dev [m c:n'new help' [s =1.5#0], "
	    "m h:n'' [s a=\"b\"=0#3 [u 1=2, u +Inf=3]], m g:n'h'], "
	    "e prod [m c:n'h']", "the tree");
}

static void
test_tokens(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	unsigned char digest[DIGEST_SIZE] = { 0 };

	tally_token(tally, digest, sizeof(digest));
	ok(!tally_empty(tally), "a token is something to commit");
	is_integer(tally->counters, 1, "a token is a counter");
	tally_token(tally, digest, sizeof(digest));
	is_integer(tally->counters, 1, "the same one is not another");
	digest[DIGEST_SIZE - 1] = 1;
	tally_token(tally, digest, sizeof(digest));
	is_integer(tally->counters, 2, "all bytes of the digest count");
	is_bytes(tally->root->last->name, tally->root->last->length, digest,
	    sizeof(digest), "the digest");
}

/* Two tallies of one of everything, and what they come to. */
static void
make_first(struct tally * tally)
{
	struct tally_node * node = feature(tally, "dev", "shop", 5, "f");
	unsigned char digest[4] = "tok1";

	node->yes = 1;
	node->no = 2;
	variant(tally, node, "red")->count = 3;
	variant(tally, node, "blue")->count = 4;
	instance(tally, "dev", "shop", "i", "{\"v\":1}");
	series(tally, metric(tally, "dev", TALLY_COUNTER, "c", "one"),
	    "")->value = 1.25;
	series(tally, metric(tally, "dev", TALLY_GAUGE, "g", "one"),
	    "")->value = 7;
	node = series(tally, metric(tally, "dev", TALLY_HISTOGRAM, "h",
	    "one"), "");
	node->value = 0.5;
	node->count = 4;
	bound(tally, node, "1")->count = 3;
	bound(tally, node, "+Inf")->count = 4;
	tally_token(tally, digest, sizeof(digest));
	tally->dropped[DROP_NULL] = 3;
	tally->dropped[DROP_COUNT - 1] = 1;
}

static void
make_second(struct tally * tally)
{
	struct tally_node * node = feature(tally, "prod", "shop", 5, "f");
	unsigned char digest[4] = "tok2";

	node->yes = 50;
	node = feature(tally, "dev", "shop", 5, "f");
	node->yes = 10;
	node->no = 20;
	variant(tally, node, "blue")->count = 40;
	variant(tally, node, "green")->count = 60;
	feature(tally, "dev", "shop", 6, "f")->no = 70;
	instance(tally, "dev", "shop", "i", "{\"v\":2}");
	series(tally, metric(tally, "dev", TALLY_COUNTER, "c", "two"),
	    "")->value = 2.5;
	series(tally, metric(tally, "dev", TALLY_GAUGE, "g", "two"),
	    "")->value = -3;
	node = series(tally, metric(tally, "dev", TALLY_HISTOGRAM, "h",
	    "two"), "");
	node->value = 1;
	node->count = 2;
	bound(tally, node, "0.5")->count = 1;
	bound(tally, node, "+Inf")->count = 2;
	tally_token(tally, digest, sizeof(digest));
	tally_token(tally, "tok1", 4);
	tally->dropped[DROP_ENVIRONMENT] = 2;
	tally->dropped[DROP_NULL] = 4;
}

static void
test_merge(struct arena * arena)
{
	struct tally * first = tally_create(arena);
	struct tally * second = tally_create(arena);
	struct tally * into = tally_create(arena);

	make_first(first);
	make_second(second);
	tally_merge(into, tally_create(arena));
	ok(tally_empty(into), "an empty tally adds nothing");
	tally_merge(into, first);
	is_text(dump(into), "e dev [a shop [b 5 [f f=1/2 [v red=3, v blue=4]], "
	    "i i={\"v\":1}], m c:c'one' [s =1.25#0], m g:g'one' [s =7#0], "
	    "m h:h'one' [s =0.5#4 [u 1=3, u +Inf=4]]], t tok1",
	    "the first tally");
	tally_merge(into, second);
	is_text(dump(into), "e dev [a shop [b 5 [f f=11/22 [v red=3, "
	    "v blue=44, v green=60]], i i={\"v\":2}, b 6 [f f=0/70]], "
	    "m c:c'two' [s =3.75#0], m g:g'two' [s =-3#0], "
	    "m h:h'two' [s =1.5#6 [u 1=3, u +Inf=6, u 0.5=1]]], t tok1, "
	    "e prod [a shop [b 5 [f f=50/0]]], t tok2",
	    "and the second");
	is_integer(into->dropped[DROP_NULL], 7, "what was dropped adds up");
	is_integer(into->dropped[DROP_ENVIRONMENT], 2, "each kind alone");
	is_integer(into->dropped[DROP_COUNT - 1], 1, "up to the last");
	is_text(dump(first), "e dev [a shop [b 5 [f f=1/2 [v red=3, "
	    "v blue=4]], i i={\"v\":1}], m c:c'one' [s =1.25#0], "
	    "m g:g'one' [s =7#0], m h:h'one' [s =0.5#4 [u 1=3, u +Inf=4]]], "
	    "t tok1", "what was merged is left as it was");
}

/* Count features and variants of a bucket, some of them twice. */
static void
fill_bucket(struct tally * tally, struct tally_node * bucket, size_t features)
{
	char name[32];
	size_t i, j;

	for (i = 0; i < 2 * features; i++) {
		struct tally_node * feature, * variant;

		snprintf(name, sizeof(name), "feature-%zu", i % features);
		feature = tally_child(tally, bucket, TALLY_FEATURE, name,
		    strlen(name));
		tally_add(tally, &feature->yes, i + 1);
		for (j = 0; j < i % 20; j++) {
			snprintf(name, sizeof(name), "variant-%zu", j);
			variant = tally_child(tally, feature, TALLY_VARIANT,
			    name, strlen(name));
			tally_add(tally, &variant->count, 1);
		}
	}
}

/* A bucket that gets its place last is as one that had it from the first. */
static void
test_place(struct arena * arena)
{
	static const size_t sizes[] = { 0, 1, 8, 9, 100 };
	struct text environment = text_of("e"), name = text_of("a");
	size_t i, j;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct tally * early = tally_create(arena);
		struct tally * late = tally_create(arena);
		struct tally * into = tally_create(arena);
		struct tally_node * bucket = tally_bucket_open(late);
		char * wanted;

		fill_bucket(late, bucket, sizes[i]);
		for (j = 0; j < 2; j++)
			fill_bucket(early, tally_bucket(early,
			    tally_application(early, &environment, &name), 7),
			    j == 0 ? sizes[i] : 0);
		ok(tally_empty(late), "%zu features have no place", sizes[i]);
		tally_bucket_place(late, bucket, tally_application(late,
		    &environment, &name), 7);
		wanted = strdup(dump(early));
		is_text(dump(late), wanted, "now they have");
		is_integer(late->counters, early->counters, "as many counters");
		is_integer(late->node_count, early->node_count, "and nodes");
		free(wanted);
		/* All is found there, none of it is made again. */
		fill_bucket(late, tally_bucket(late, tally_application(late,
		    &environment, &name), 7), sizes[i]);
		is_integer(late->node_count, early->node_count,
		    "each is found in its place");
		fill_bucket(early, tally_bucket(early, tally_application(early,
		    &environment, &name), 7), sizes[i]);
		tally_merge(into, late);
		tally_merge(into, early);
		is_integer(into->node_count, early->node_count,
		    "and when it is merged");
	}
}

/* Whether each node points to the one it went into. */
static bool
groups_are_right(const struct tally_node * parent,
    const struct tally_node * group)
{
	const struct tally_node * node;

	for (node = parent->first; node != NULL; node = node->next)
		if (node->merged_into == NULL || node->merged_into->parent != group ||
		    node->merged_into->kind != node->kind ||
		    node->merged_into->length != node->length ||
		    memcmp(node->merged_into->name, node->name, node->length) != 0 ||
		    !groups_are_right(node, node->merged_into))
			return (false);
	return (true);
}

static void
test_groups(struct arena * arena)
{
	struct tally * first = tally_create(arena);
	struct tally * second = tally_create(arena);
	struct tally * into = tally_create(arena);

	make_first(first);
	make_second(second);
	tally_merge(into, first);
	tally_merge(into, second);
	ok(groups_are_right(first->root, into->root),
	    "the nodes of the first tally know where they went");
	ok(groups_are_right(second->root, into->root),
	    "and those of the second");
	/* In the second it came after prod. */
	ok(first->root->first->merged_into == second->root->first->next->merged_into,
	    "both to the same environment");
}

/* Of latest values that merged last stays, whatever the clock was. */
static void
test_merge_latest(struct arena * arena)
{
	static const int64_t whens[] = { 20, 1795428000001, 1795428000000, -1,
	    0 };
	struct tally * into = tally_create(arena);
	char wanted[100];
	int i;

	for (i = 0; i < (int)(sizeof(whens) / sizeof(whens[0])); i++) {
		struct tally * tally = tally_create(arena);
		char text[2] = { (char)('0' + i), '\0' };
		struct tally_node * gauge;

		tally->when = whens[i];
		instance(tally, "e", "a", "i", text);
		gauge = series(tally, metric(tally, "e", TALLY_GAUGE, "g",
		    text), "");
		tally_set_gauge(tally, gauge, i);
		series(tally, metric(tally, "e", TALLY_COUNTER, "c", ""),
		    "")->value = 1;
		tally_merge(into, tally);
		snprintf(wanted, sizeof(wanted), "e e [a a [i i=%d], m g:g'%d' "
		    "[s =%d#0], m c:c'' [s =%d#0]]", i, i, i, i + 1);
		is_text(dump(into), wanted, "reported at %lld, after others",
		    (long long)whens[i]);
		is_integer(gauge->merged_into->when, whens[i],
		    "with the time at which it was reported");
	}
}

/* A sum that is not finite is dropped, and the one before stays. */
static void
test_merge_sum(struct arena * arena)
{
	struct tally * into = tally_create(arena);
	int i;

	for (i = 0; i < 3; i++) {
		struct tally * tally = tally_create(arena);

		series(tally, metric(tally, "e", TALLY_COUNTER, "c", ""),
		    "")->value = 1e308;
		tally_merge(into, tally);
	}
	is_text(dump(into), "e e [m c:c'' [s =1e+308#0]]", "the sum stays");
	is_integer(into->dropped[DROP_OVERFLOW], 2, "what does not fit is "
	    "dropped");
}

/* A value set again in one tally. */
static void
test_set_gauge(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct tally_node * node = series(tally, metric(tally, "e",
	    TALLY_GAUGE, "g", ""), "");

	tally_set_gauge(tally, node, 5);
	tally_set_gauge(tally, node, -2.5);
	is_text(dump(tally), "e e [m g:g'' [s =-2.5#0]]",
	    "a gauge takes the last value");
	is_integer(tally->counters, 1, "and is one counter");
}

static struct tally *
with_count(struct arena * arena, const char * name, uint64_t count)
{
	struct tally * tally = tally_create(arena);
	struct tally_node * node = feature(tally, "e", "a", 0, name);

	tally_add(tally, &node->yes, count);
	tally_add(tally, &variant(tally, node, "v")->count, count);
	return (tally);
}

/* Tallies of the largest count: exact up to 2^63-1, where a sum ends. */
static void
test_merge_max(struct arena * arena)
{
	const int most = (int)(INT64_MAX / (int64_t)NUMBER_COUNT_MAX);
	struct tally * into = tally_create(arena);
	struct tally_node * node;
	int i;

	for (i = 0; i < most; i++)
		tally_merge(into, with_count(arena, "f", NUMBER_COUNT_MAX));
	node = feature(into, "e", "a", 0, "f");
	ok(node->yes == (uint64_t)most * NUMBER_COUNT_MAX &&
	    node->first->count == node->yes && node->no == 0,
	    "its sum is %llu", (unsigned long long)node->yes);
	is_integer(into->largest, node->yes, "which is the largest");
	for (i = 0; i < 2; i++)
		tally_merge(into, with_count(arena, "f", NUMBER_COUNT_MAX));
	is_integer(node->yes, INT64_MAX, "and ends at 2^63-1");
}

/* The counters of a merged tally are the distinct ones. */
static void
test_merge_counters(struct arena * arena)
{
	struct tally * into = tally_create(arena);
	struct tally * first = tally_create(arena);
	struct tally * second = tally_create(arena);
	struct tally * more = tally_create(arena);

	tally_add(first, &feature(first, "e", "a", 0, "f")->yes, 1);
	instance(first, "e", "a", "i", "{}");
	tally_token(first, "t", 1);
	tally_merge(into, first);
	is_integer(into->counters, 3, "as many as in the first");
	tally_add(second, &feature(second, "e", "a", 0, "f")->yes, 1);
	instance(second, "e", "a", "i", "{}");
	tally_token(second, "t", 1);
	tally_merge(into, second);
	is_integer(into->counters, 3, "the same ones are no more");
	tally_add(more, &feature(more, "e", "a", 0, "f")->no, 1);
	tally_add(more, &variant(more, feature(more, "e", "a", 0, "f"),
	    "v")->count, 1);
	bound(more, series(more, metric(more, "e", TALLY_HISTOGRAM, "h", ""),
	    ""), "1")->count = 1;
	tally_merge(into, more);
	is_integer(into->counters, 7, "no, a variant, series and bucket are");
}

/* The same as counters in an array, over few names, so that many meet. */
enum { ENVIRONMENTS = 3, APPS = 3, PERIODS = 4, FEATURES = 7, VARIANTS = 3 };
static uint64_t model[ENVIRONMENTS][APPS][PERIODS][FEATURES][VARIANTS + 2];
static const char * const words[] = { "a", "b", "ab", "", "ba", "aa", "c" };

static void
count_once(struct tally * tally)
{
	size_t e = (size_t)random() % ENVIRONMENTS;
	size_t a = (size_t)random() % APPS;
	size_t p = (size_t)random() % PERIODS;
	size_t f = (size_t)random() % FEATURES;
	size_t v = (size_t)random() % (VARIANTS + 2);
	uint64_t count = (uint64_t)random() % 1000;
	struct tally_node * node = feature(tally, words[e], words[a],
	    (int64_t)p - 2, words[f]);
	uint64_t * counter = v == VARIANTS ? &node->yes : &node->no;

	if (v < VARIANTS)
		counter = &variant(tally, node, words[v])->count;
	tally_add(tally, counter, count);
	model[e][a][p][f][v] += count;
}

static unsigned int
model_differences(struct tally * tally)
{
	unsigned int wrong = 0;
	size_t i, v;

	for (i = 0; i < ENVIRONMENTS * APPS * PERIODS * FEATURES; i++) {
		size_t f = i % FEATURES, p = i / FEATURES % PERIODS;
		size_t a = i / FEATURES / PERIODS % APPS;
		size_t e = i / FEATURES / PERIODS / APPS;
		struct tally_node * node = feature(tally, words[e], words[a],
		    (int64_t)p - 2, words[f]);
		const uint64_t * wanted = model[e][a][p][f];

		wrong += node->yes != wanted[VARIANTS];
		wrong += node->no != wanted[VARIANTS + 1];
		for (v = 0; v < VARIANTS; v++)
			wrong += variant(tally, node, words[v])->count !=
			    wanted[v];
	}
	return (wrong);
}

static void
test_random(struct arena * arena)
{
	struct tally * into = tally_create(arena);
	struct tally * alone = tally_create(arena);
	int i, j;

	for (i = 0; i < 200; i++) {
		struct tally * tally = tally_create(arena);

		for (j = (int)(random() % 100); j >= 0; j--)
			count_once(tally);
		tally_merge(into, tally);
	}
	is_integer(model_differences(into), 0, "200 random tallies add up");
	memset(model, 0, sizeof(model));
	for (i = 0; i < 10000; i++)
		count_once(alone);
	is_integer(model_differences(alone), 0, "and so does one");
}

/* Far more nodes than there is room for at first. */
static void
test_many(struct arena * arena)
{
	enum { MANY = 100000 };
	struct tally * tally = tally_create(arena);
	struct tally * into = tally_create(arena);
	unsigned int wrong = 0;
	char name[20];
	struct tally_node * node;
	int i;

	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "feature%d", i);
		node = feature(tally, "e", "a", i % 2, name);
		tally_add(tally, &node->yes, (uint64_t)i + 1);
	}
	is_integer(tally->counters, MANY, "100000 features are counters");
	is_integer(tally->node_count, MANY + 4, "and nodes, with their four");
	tally_merge(into, tally);
	is_integer(into->node_count, MANY + 4, "in a merged tally too");
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "feature%d", i);
		wrong += feature(tally, "e", "a", i % 2, name)->yes !=
		    (uint64_t)i + 1;
		wrong += feature(into, "e", "a", i % 2, name)->yes !=
		    (uint64_t)i + 1;
	}
	is_integer(wrong, 0, "they can all be found");
	is_integer(tally->node_count, MANY + 4, "which makes no new ones");
	for (i = 1, node = into->root->first->first->last->first; node != NULL;
	    node = node->next, i += 2)
		wrong += node->yes != (uint64_t)i + 1;
	is_integer(wrong, 0, "and stand in their order");
}

int
main(void)
{
	static void (* const tests[])(struct arena *) = {
		test_features, test_distinct, test_copies, test_add_limits,
		test_instances, test_metrics, test_tokens, test_merge,
		test_place, test_groups, test_merge_latest,
		test_merge_sum, test_set_gauge, test_merge_max,
		test_merge_counters, test_random, test_many,
	};
	struct arena * arena = arena_create(1 << 20);
	size_t i;

	tap_seed();
	if (digest_init() != 0)
		return (EXIT_FAILURE);
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		tests[i](arena);
		arena_reset(arena);
	}
	arena_free(arena);
	return (tap_done());
}
