#include <float.h>
#include <math.h>

#include "lib/base/digest.h"
#include "lib/base/number.h"
#include "lib/tally/tally_codec.h"
#include "tests/unit/tap.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define CHECKSUM_SIZE 8

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

/* Read all records of a tally into another.  Return how many there were. */
static size_t
copy_by_records(struct tally * into, const struct tally * from)
{
	struct buffer bytes = { NULL, 0, 0 };
	const struct tally_node * node = NULL;
	size_t count = 0;

	do {
		buffer_clear(&bytes);
		node = tally_codec_encode(&bytes, from, node);
		if (read_copy(into, bytes.bytes, bytes.length) != NULL)
			return (0);
		count++;
	} while (node != NULL);
	buffer_free(&bytes);
	return (count);
}

static bool
same_text(const char * a, size_t a_length, const char * b, size_t b_length)
{

	return (a_length == b_length &&
	    (a_length == 0 || memcmp(a, b, a_length) == 0));
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
		return (a->when == b->when && same_text(a->text,
		    a->text_length, b->text, b->text_length));
	case TALLY_SERIES:
		return (a->value == b->value && a->count == b->count);
	default:
		return (true);
	}
}

/* The first node of ${a} that is not in ${b} at the same place, or NULL. */
static const struct tally_node *
difference(const struct tally * a, const struct tally * b)
{
	const struct tally_node * one = a->root->first;
	const struct tally_node * two = b->root->first;

	for (; one != NULL && two != NULL; one = tally_next(one),
	    two = tally_next(two))
		if (one->kind != two->kind || !same_text(one->name,
		    one->length, two->name, two->length) ||
		    !same_values(one, two))
			return (one);
	return (one != NULL ? one : two);
}

/* A node of each kind. */
static void
make_all(struct tally * tally)
{
	struct text env = text_of("dev"), app = text_of("a\"b");
	struct text feature = text_of("f"), other = text_of("");
	struct text instance = text_of("i"), json = text_of("{\"x\":1}");
	struct text name = text_of("m"), help = text_of("help");
	struct text labels = text_of("n=\"1\""), le = text_of("+Inf");
	struct tally_node * node, * series;

	tally->when = 1795428000123;
	node = tally_feature(tally, &env, &app, 497000, &feature);
	tally_add(tally, &node->yes, 7);
	tally_add(tally, &node->no, NUMBER_COUNT_MAX);
	node = tally_child(tally, node, TALLY_VARIANT, "v\0w", 3);
	node->count = 3;
	tally->counters++;
	node = tally_feature(tally, &env, &app, -719528, &other);
	tally_add(tally, &node->yes, 1);
	tally_set_instance(tally, tally_application(tally, &env, &app),
	    &instance, &json);
	node = tally_metric(tally, &env, TALLY_GAUGE, &name, &help);
	tally_set_gauge(tally, tally_series(tally, node, &other), -1.5e300);
	node = tally_metric(tally, &env, TALLY_HISTOGRAM, &name, &help);
	series = tally_series(tally, node, &labels);
	series->value = 0.1;
	series->count = 12;
	tally_bound(tally, series, &le)->count = 12;
	node = tally_metric(tally, &env, TALLY_COUNTER, &name, &help);
	tally_series(tally, node, &labels)->value = DBL_MAX;
	tally_token(tally, "0123456789abcdef0123456789abcdef", DIGEST_SIZE);
}

static void
test_all(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct tally * read = tally_create(arena);

	is_integer(copy_by_records(read, tally), 1, "an empty tally");
	ok(tally_empty(read), "is empty");
	make_all(tally);
	is_integer(copy_by_records(read, tally), 1, "one of every kind");
	ok(difference(tally, read) == NULL, "reads back");
	is_integer(read->counters, tally->counters, "its counters");
	is_integer(read->when, tally->when, "when it was reported");
	is_integer(read->largest, NUMBER_COUNT_MAX, "its largest count");
}

/* Records that are read into one tally add up; the latest text stays. */
static void
test_sums(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct tally * read = tally_create(arena);
	struct text env = text_of("e"), app = text_of("a"), f = text_of("f");
	struct text m = text_of("m"), help = text_of("h"), l = text_of("");
	struct tally_node * feature = tally_feature(tally, &env, &app, 1, &f);
	struct tally_node * series = tally_series(tally, tally_metric(tally,
	    &env, TALLY_COUNTER, &m, &help), &l);
	struct tally_node * gauge = tally_series(tally, tally_metric(tally,
	    &env, TALLY_GAUGE, &m, &help), &l);
	const struct tally_node * node;

	feature->yes = INT64_MAX - 1;
	series->value = 1.5;
	tally->when = 2;
	tally_set_gauge(tally, gauge, 4);
	copy_by_records(read, tally);
	feature->yes = 3;
	feature->no = 2;
	tally->when = 1;
	tally_set_gauge(tally, gauge, 5);
	copy_by_records(read, tally);
	for (node = read->root; node->kind != TALLY_FEATURE;
	    node = node->first)
		continue;
	is_integer(node->yes, INT64_MAX, "a sum ends at 2^63-1");
	is_integer(node->no, 2, "others are exact");
	for (; node != NULL && node->kind != TALLY_SERIES;
	    node = tally_next(node))
		continue;
	ok(node != NULL && node->value == 3, "values of a counter add up");
	for (node = tally_next(node); node->kind != TALLY_SERIES;
	    node = tally_next(node))
		continue;
	ok(node->value == 5 && node->when == 1,
	    "a gauge is that of the last record, whatever the clock was");
}

/* A large tally becomes several records, each of which can be read alone. */
static void
test_records(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct tally * read = tally_create(arena);
	struct text env = text_of("e"), app = text_of("a");
	uint64_t sum = 0, got = 0;
	const struct tally_node * node;
	char name[32];
	int i;

	for (i = 0; i < 50000; i++) {
		struct text feature;
		struct tally_node * made;

		snprintf(name, sizeof(name), "feature-%d", i / 5);
		feature = text_of(name);
		made = tally_feature(tally, &env, &app, i / 20000, &feature);
		tally_add(tally, &made->yes, 1);
		tally_child(tally, made, TALLY_VARIANT, name,
		    strlen(name))->count = (uint64_t)i;
	}
	for (node = tally->root->first; node != NULL; node = tally_next(node))
		sum += node->kind == TALLY_FEATURE ? node->yes :
		    node->kind == TALLY_VARIANT ? node->count : 0;
	ok(copy_by_records(read, tally) > 1, "there are several records");
	for (node = read->root->first; node != NULL; node = tally_next(node))
		got += node->kind == TALLY_FEATURE ? node->yes :
		    node->kind == TALLY_VARIANT ? node->count : 0;
	is_integer(got, sum, "together they hold each count once");
	is_integer(read->node_count, tally->node_count, "and each node");
	ok(difference(tally, read) == NULL, "in the same order");
}

/* Whether bytes with a right checksum are refused, with nothing added. */
static bool
refuses(struct arena * arena, const void * body, size_t length)
{
	struct tally * tally = tally_create(arena);
	struct buffer bytes = { NULL, 0, 0 };
	const char * why;

	buffer_append(&bytes, "\2", 1);
	buffer_append(&bytes, body, length);
	put_checksum(&bytes);
	why = read_copy(tally, bytes.bytes, bytes.length);
	buffer_free(&bytes);
	return (why != NULL && tally_empty(tally));
}

static void
test_nonsense(struct arena * arena)
{
#define BODY(bytes, what) { bytes, sizeof(bytes) - 1, what }
	static const struct {
		const char * bytes;
		size_t length;
		const char * what;
	} bodies[] = {
		BODY("\0" "\0\0", "the root"),
		BODY("\0" "\2\1a", "an application without environment"),
		BODY("\0" "\1\1e" "\4\1f" "\0\0", "a feature without bucket"),
		BODY("\0" "\1\1e" "\7\1c" "\0\0" "\x9\1x" "\0", "a bound "
		    "without series"),
		BODY("\0" "\1\1e" "\7\1x" "\0\0", "a metric of no type"),
		BODY("\0" "\1\1e" "\7\0" "\0\0", "one without a name"),
		BODY("\0" "\xa\3abc", "a token that is no digest"),
		BODY("\0" "\xb\0", "no kind"),
		BODY("\0" "\1\2e", "a name that is cut short"),
		BODY("\0" "\1\1e" "\2\1a" "\3\4abcd" "\0", "a bucket's name"),
		BODY("\0" "\1\1e" "\2\1a" "\3\10\1\0\0\0\0\0\0\0" "\4",
		    "a period that is not its name"),
		BODY("\0" "\1\1e" "\2\1a" "\3\10\1\0\0\0\0\0\0\0" "\2"
		    "\4\1f" "\x80\x80\x80\x80\x80\x80\x80\x80\x80\1" "\0",
		    "a count beyond 2^63-1"),
		BODY("\0" "\1\1e" "\7\1c" "\0\0" "\x8\0"
		    "\0\0\0\0\0\0\xf8\x7f" "\0\0", "no number"),
		BODY("\x80\0" "\1\1e", "a number that is too long"),
	};
	size_t i;

	for (i = 0; i < LENGTH(bodies); i++)
		ok(refuses(arena, bodies[i].bytes, bodies[i].length),
		    "%s is refused", bodies[i].what);
	ok(!refuses(arena, "\0" "\1\1e", 4), "and what is right is not");
}

static void
test_damaged(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct buffer bytes = { NULL, 0, 0 };
	size_t i, wrong = 0;

	make_all(tally);
	tally_codec_encode(&bytes, tally, NULL);
	for (i = 0; i < bytes.length; i++) {
		wrong += read_copy(tally_create(arena), bytes.bytes, i) ==
		    NULL;
		bytes.bytes[i] ^= (char)(1 << (i % 8));
		wrong += read_copy(tally_create(arena), bytes.bytes,
		    bytes.length) == NULL;
		bytes.bytes[i] ^= (char)(1 << (i % 8));
	}
	is_integer(wrong, 0, "what is cut or changed is refused");
	is_text(read_copy(tally_create(arena), bytes.bytes, bytes.length),
	    NULL, "what is not is read");
	buffer_free(&bytes);
}

/* Changed bytes whose checksum is right: they may be read, or not. */
static void
test_mutations(struct arena * arena)
{
	struct tally * tally = tally_create(arena);
	struct arena * scratch = arena_create(1 << 16);
	struct buffer bytes = { NULL, 0, 0 };
	unsigned int round, read = 0;

	make_all(tally);
	tally_codec_encode(&bytes, tally, NULL);
	for (round = 0; round < 50000; round++) {
		struct buffer changed = { NULL, 0, 0 };
		size_t length = bytes.length - CHECKSUM_SIZE;

		buffer_append(&changed, bytes.bytes, length);
		changed.bytes[1 + (size_t)random() % (length - 1)] =
		    (char)random();
		if (random() % 4 == 0)
			changed.length = 1 + (size_t)random() % length;
		put_checksum(&changed);
		arena_reset(scratch);
		read += read_copy(tally_create(scratch), changed.bytes,
		    changed.length) == NULL;
		buffer_free(&changed);
	}
	ok(read > 0 && read < 50000, "%u of 50000 changed ones are read, and "
	    "none does harm", read);
	buffer_free(&bytes);
	arena_free(scratch);
}

int
main(void)
{
	static void (* const tests[])(struct arena *) = {
		test_all, test_sums, test_records, test_nonsense,
		test_damaged, test_mutations,
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
