#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/arena.h"
#include "lib/body/body.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"
#include "lib/stats/stats.h"
#include "lib/tally/tally.h"

/*
 * Reads each body in pieces of many sizes and says what it comes to, or what
 * is wrong with it.  Where the boundaries between pieces lie must make no
 * difference: what differs from one size to another is an error.
 *
 * A line is FILE, `ok` and the tally, or FILE, the fault's code, its pointer,
 * its offset and its detail, with tabs between.  Pointer and detail are
 * escaped as inside a JSON string, so that no name from a body can forge a
 * column.
 *
 * With --stream the bodies come from standard input, each after its length in
 * four bytes, the highest first, and a body's number, from 0, stands for FILE.
 * With --few-sizes fewer sizes are tried, for there may be millions of bodies.
 */
#define SIZE_EACH_UP_TO 64
#define SIZE_LARGE 4096
#define STREAM_BODY_MAX (64 * 1024 * 1024)

struct options {
	struct body_settings settings;
	enum body_encoding encoding;
	int64_t announced;
	bool dump;
	bool stream;
	bool few_sizes;
};

struct bytes {
	char * bytes;
	size_t length;
};

/* What one reading of a body came to; both texts are malloc'ed. */
struct outcome {
	char * verdict;			/* "ok", or the fault's columns. */
	char * dump;			/* The tally, if it is valid. */
};

/* What a reading needs; the arenas are reset with each. */
struct workplace {
	struct arena * arena;
	struct arena * scratch;
};

static void
fail(const char * what, const char * which)
{

	fprintf(stderr, "bodycheck: %s: %s\n", which, what);
	exit(2);
}

/* A stream that writes to memory; its text is complete once it is closed. */
static FILE *
open_text(char ** text, size_t * length)
{
	FILE * out = open_memstream(text, length);

	if (out == NULL)
		fail(strerror(errno), "open_memstream");
	return (out);
}

static void
close_text(FILE * out)
{

	if (fclose(out) != 0)
		fail(strerror(errno), "open_memstream");
}

/* The inside of a JSON string. */
static void
put_escaped(FILE * out, const char * text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
}

static void
put_string(FILE * out, const char * text, size_t length)
{

	fputc('"', out);
	put_escaped(out, text, length);
	fputc('"', out);
}

/* Periods stand in their order in time, all else in that of its bytes. */
static int
by_place(const void * a, const void * b)
{
	const struct tally_node * x = *(const struct tally_node * const *)a;
	const struct tally_node * y = *(const struct tally_node * const *)b;
	size_t shorter = x->length < y->length ? x->length : y->length;
	int order;

	if (x->kind == TALLY_BUCKET)
		return ((x->period > y->period) - (x->period < y->period));
	order = memcmp(x->name, y->name, shorter);
	if (order != 0)
		return (order);
	return ((x->length > y->length) - (x->length < y->length));
}

/*
 * The children of one kind, sorted, in an array that the caller frees; NULL
 * if there are none.
 */
static const struct tally_node **
children(const struct tally_node * parent, enum tally_kind kind,
    size_t * count)
{
	const struct tally_node ** list;
	const struct tally_node * child;
	size_t i = 0;

	*count = 0;
	for (child = parent->first; child != NULL; child = child->next)
		*count += child->kind == kind;
	if (*count == 0)
		return (NULL);
	list = alloc_zeroed(*count, sizeof(*list));
	for (child = parent->first; child != NULL; child = child->next)
		if (child->kind == kind)
			list[i++] = child;
	qsort(list, *count, sizeof(*list), by_place);
	return (list);
}

typedef void put_node(FILE * out, const struct tally_node * node);

static void
put_name(FILE * out, const struct tally_node * node)
{

	put_string(out, node->name, node->length);
	fputc(':', out);
}

/*
 * A member of an object, whose value is the children of one kind: an object
 * by name if ${brackets} is "{}", a list if it is "[]".  Nothing is written
 * if there are none; otherwise what comes before it is ${*comma}.
 */
static void
put_children(FILE * out, const struct tally_node * parent,
    enum tally_kind kind, const char * member, const char * brackets,
    put_node * put, const char ** comma)
{
	size_t count, i;
	const struct tally_node ** list = children(parent, kind, &count);

	if (list == NULL)
		return;
	fprintf(out, "%s\"%s\":%c", *comma, member, brackets[0]);
	for (i = 0; i < count; i++) {
		if (i > 0)
			fputc(',', out);
		if (brackets[0] == '{')
			put_name(out, list[i]);
		put(out, list[i]);
	}
	fputc(brackets[1], out);
	free(list);
	*comma = ",";
}

static void
put_count(FILE * out, const struct tally_node * node)
{

	fprintf(out, "%" PRIu64, node->count);
}

static void
put_feature(FILE * out, const struct tally_node * feature)
{
	const char * comma = ",";

	fprintf(out, "{\"yes\":%" PRIu64 ",\"no\":%" PRIu64, feature->yes,
	    feature->no);
	put_children(out, feature, TALLY_VARIANT, "variants", "{}",
	    put_count, &comma);
	fputc('}', out);
}

static void
put_bucket(FILE * out, const struct tally_node * bucket)
{
	const char * comma = ",";

	fprintf(out, "{\"period\":%" PRId64, bucket->period);
	put_children(out, bucket, TALLY_FEATURE, "features", "{}",
	    put_feature, &comma);
	fputc('}', out);
}

static void
put_instance(FILE * out, const struct tally_node * instance)
{

	put_string(out, instance->text, instance->text_length);
}

static void
put_application(FILE * out, const struct tally_node * application)
{
	const char * comma = "";

	fputc('{', out);
	put_children(out, application, TALLY_BUCKET, "buckets", "[]",
	    put_bucket, &comma);
	put_children(out, application, TALLY_INSTANCE, "instances", "{}",
	    put_instance, &comma);
	fputc('}', out);
}

static void
put_series(FILE * out, const struct tally_node * series)
{
	const char * comma = ",";

	if (tally_metric_type(series->parent) != TALLY_HISTOGRAM) {
		fprintf(out, "{\"value\":%.17g}", series->value);
		return;
	}
	fprintf(out, "{\"sum\":%.17g,\"count\":%" PRIu64, series->value,
	    series->count);
	put_children(out, series, TALLY_BOUND, "bounds", "{}", put_count,
	    &comma);
	fputc('}', out);
}

static const char *
type_name(enum tally_type type)
{

	switch (type) {
	case TALLY_COUNTER:
		return ("counter");
	case TALLY_GAUGE:
		return ("gauge");
	case TALLY_HISTOGRAM:
		return ("histogram");
	}
	return ("unknown");
}

static void
put_metric(FILE * out, const struct tally_node * metric)
{
	struct text name = tally_metric_name(metric);
	const char * comma = ",";

	fprintf(out, "{\"type\":\"%s\",\"name\":",
	    type_name(tally_metric_type(metric)));
	put_string(out, name.bytes, name.length);
	fputs(",\"help\":", out);
	put_string(out, metric->text, metric->text_length);
	put_children(out, metric, TALLY_SERIES, "series", "{}", put_series,
	    &comma);
	fputc('}', out);
}

static void
put_environment(FILE * out, const struct tally_node * environment)
{
	const char * comma = "";

	fputc('{', out);
	put_children(out, environment, TALLY_APPLICATION, "applications",
	    "{}", put_application, &comma);
	put_children(out, environment, TALLY_METRIC, "metrics", "[]",
	    put_metric, &comma);
	fputc('}', out);
}

static void
put_token(FILE * out, const struct tally_node * token)
{
	char hex[2 * DIGEST_SIZE + 1];

	/* The environment of its sender follows the digest. */
	if (token->length < DIGEST_SIZE)
		fail("is no digest", "token");
	digest_hex(hex, token->name, DIGEST_SIZE);
	fprintf(out, "\"%s\"", hex);
}

static void
put_dropped(FILE * out, const struct tally * tally, const char ** comma)
{
	bool any = false;
	size_t i;

	for (i = 0; i < DROP_COUNT; i++) {
		if (tally->dropped[i] == 0)
			continue;
		fprintf(out, "%s\"%s\":%" PRIu64,
		    any ? "," : "\"dropped\":{",
		    stats_drop_name((enum tally_drop)i), tally->dropped[i]);
		any = true;
	}
	if (any)
		fputs("}", out);
	*comma = any ? "," : "";
}

static char *
dump_tally(const struct tally * tally)
{
	const char * comma = "";
	size_t length;
	char * text;
	FILE * out = open_text(&text, &length);

	fputc('{', out);
	put_dropped(out, tally, &comma);
	put_children(out, tally->root, TALLY_ENVIRONMENT, "environments",
	    "{}", put_environment, &comma);
	put_children(out, tally->root, TALLY_TOKEN, "tokens", "[]",
	    put_token, &comma);
	fputc('}', out);
	close_text(out);
	return (text);
}

static const char *
code_name(enum fault_code code)
{

	switch (code) {
	case FAULT_NONE:
		return ("none");
	case FAULT_INVALID:
		return ("invalid");
	case FAULT_OVERFLOW:
		return ("overflow");
	case FAULT_TOO_LARGE:
		return ("too-large");
	case FAULT_INCOMPLETE:
		return ("incomplete");
	}
	return ("unknown");
}

static char *
describe_fault(const struct fault * fault)
{
	size_t length;
	char * text;
	FILE * out = open_text(&text, &length);

	fprintf(out, "%s\t", code_name(fault->code));
	put_escaped(out, fault->pointer, strlen(fault->pointer));
	fprintf(out, "\t%" PRIu64 "\t", fault->offset);
	put_escaped(out, fault->detail, strlen(fault->detail));
	close_text(out);
	return (text);
}

/*
 * Each piece is a malloc of its own size and is freed before the next one, so
 * that the address sanitizer sees who reads beyond it, or later.
 */
static bool
feed_pieces(struct body * body, const struct bytes * input, size_t size)
{
	size_t at, length;
	char * piece;
	bool going = true;

	for (at = 0; going && at < input->length; at += length) {
		length = input->length - at < size ? input->length - at : size;
		piece = alloc_bytes(length);
		memcpy(piece, input->bytes + at, length);
		going = body_feed(body, piece, length);
		free(piece);
	}
	return (going);
}

static struct outcome
read_body(const struct workplace * workplace, const struct options * options,
    const struct bytes * input, size_t size)
{
	struct fault fault = { .code = FAULT_NONE };
	struct tally * tally = tally_create(workplace->arena);
	struct outcome outcome = { NULL, NULL };
	struct body * body = body_create(workplace->arena,
	    workplace->scratch, &options->settings, options->encoding, tally,
	    &fault);

	if (feed_pieces(body, input, size) &&
	    body_finish(body, options->announced)) {
		outcome.verdict = alloc_string("ok");
		outcome.dump = dump_tally(tally);
	} else {
		outcome.verdict = describe_fault(&fault);
		outcome.dump = alloc_string("");
	}
	arena_reset(workplace->arena);
	arena_reset(workplace->scratch);
	return (outcome);
}

static void
outcome_free(struct outcome * outcome)
{

	free(outcome->verdict);
	free(outcome->dump);
}

static void
report_difference(const char * name, const struct outcome * first,
    const struct outcome * second, size_t size)
{

	printf("%s\tdiffers\tpieces of 1: %s %s\tpieces of %zu: %s %s\n",
	    name, first->verdict, first->dump, size, second->verdict,
	    second->dump);
}

/* The size of pieces after ${size}; 0 if it was the last. */
static size_t
next_size(const struct options * options, size_t size, size_t whole)
{

	/* 2, 3, 5, 9, 17...: token boundaries fall everywhere in time. */
	if (options->few_sizes && size < SIZE_EACH_UP_TO)
		return (size * 2 - 1);
	if (size < SIZE_EACH_UP_TO)
		return (size + 1);
	if (size == SIZE_EACH_UP_TO)
		return (SIZE_LARGE);
	return (size < whole ? whole : 0);
}

static bool
check_body(const struct workplace * workplace, const struct options * options,
    const char * name, const struct bytes * input)
{
	struct outcome first = read_body(workplace, options, input, 1);
	bool same = true;
	size_t size;

	for (size = 2; same && size != 0;
	    size = next_size(options, size, input->length)) {
		struct outcome next = read_body(workplace, options, input,
		    size);

		same = strcmp(first.verdict, next.verdict) == 0 &&
		    strcmp(first.dump, next.dump) == 0;
		if (!same)
			report_difference(name, &first, &next, size);
		outcome_free(&next);
	}
	if (same && options->dump && first.dump[0] != '\0')
		printf("%s\t%s\t%s\n", name, first.verdict, first.dump);
	else if (same)
		printf("%s\t%s\n", name, first.verdict);
	outcome_free(&first);
	return (same);
}

static struct bytes
read_file(const char * name)
{
	struct bytes input = { NULL, 0 };
	FILE * in = fopen(name, "rb");
	size_t room = 0, got;

	if (in == NULL)
		fail(strerror(errno), name);
	do {
		if (input.length == room) {
			room = room == 0 ? 65536 : room * 2;
			input.bytes = alloc_resize(input.bytes, room, 1);
		}
		got = fread(input.bytes + input.length, 1,
		    room - input.length, in);
		input.length += got;
	} while (got > 0);
	if (ferror(in))
		fail("cannot be read", name);
	fclose(in);
	return (input);
}

static void
usage(void)
{

	fputs("usage: bodycheck [--skip] [--report | --register]\n"
	    "    [--frontend SDK] [--environment E] [--limit-name N]\n"
	    "    [--limit-depth N] [--limit-counters N] [--limit-body N]\n"
	    "    [--limit-inflated N] [--announced N] [--gzip | --deflate]\n"
	    "    [--dump] [--few-sizes] --stream | FILE...\n", stderr);
	exit(2);
}

static size_t
read_number(const char * text)
{
	unsigned long long number;
	char * end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' ||
	    number > INT64_MAX || number > SIZE_MAX)
		usage();
	return ((size_t)number);
}

/* As a request on a path for SDKs is read. */
static void
set_sdk(struct validate_settings * batch, const struct json_rule * schema)
{

	batch->schema = schema;
	batch->invalid = VALIDATE_LENIENT;
	batch->element.any_environment = false;
	batch->element.skip_zeros = true;
}

static void
set_option(struct options * options, int option, const char * value)
{
	struct body_settings * settings = &options->settings;
	struct validate_settings * batch = &settings->validate;

	switch (option) {
	case 's':
		batch->invalid = VALIDATE_SKIP;
		break;
	case 'r':
		set_sdk(batch, &schema_report);
		break;
	case 'R':
		set_sdk(batch, &schema_register);
		break;
	case 'F':
		batch->element.sender[SLOT_SDK_TYPE] = text_of("frontend");
		batch->element.sender[SLOT_SDK_VERSION] = text_of(value);
		break;
	case 'e':
		batch->element.any_environment = false;
		batch->element.environment = text_of(value);
		break;
	case 'n':
		batch->element.limit_name = read_number(value);
		break;
	case 'd':
		batch->limit_depth = read_number(value);
		break;
	case 'c':
		batch->element.limit_counters = read_number(value);
		break;
	case 'b':
		settings->limit_body = read_number(value);
		break;
	case 'i':
		settings->limit_inflated = read_number(value);
		break;
	case 'a':
		options->announced = (int64_t)read_number(value);
		break;
	case 'z':
		options->encoding = BODY_GZIP;
		break;
	case 'f':
		options->encoding = BODY_DEFLATE;
		break;
	case 'p':
		options->dump = true;
		break;
	case 'S':
		options->stream = true;
		break;
	case 'w':
		options->few_sizes = true;
		break;
	default:
		usage();
	}
}

static void
read_options(struct options * options, int argc, char ** argv)
{
	static const struct option names[] = {
		{ "skip", no_argument, NULL, 's' },
		{ "report", no_argument, NULL, 'r' },
		{ "register", no_argument, NULL, 'R' },
		{ "frontend", required_argument, NULL, 'F' },
		{ "environment", required_argument, NULL, 'e' },
		{ "limit-name", required_argument, NULL, 'n' },
		{ "limit-depth", required_argument, NULL, 'd' },
		{ "limit-counters", required_argument, NULL, 'c' },
		{ "limit-body", required_argument, NULL, 'b' },
		{ "limit-inflated", required_argument, NULL, 'i' },
		{ "announced", required_argument, NULL, 'a' },
		{ "gzip", no_argument, NULL, 'z' },
		{ "deflate", no_argument, NULL, 'f' },
		{ "dump", no_argument, NULL, 'p' },
		{ "stream", no_argument, NULL, 'S' },
		{ "few-sizes", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		set_option(options, option, optarg);
}

static const struct options defaults = {
	.settings = {
		.validate = {
			.schema = &schema_bulk,
			.invalid = VALIDATE_REJECT,
			.limit_depth = 64,
			.element = {
				.limit_name = 4 * 1024,
				.limit_counters = 100000,
				.environment = { "default", 7 },
				.any_environment = true,
				.by_hour = true,
			},
		},
		.limit_body = 4 * 1024 * 1024,
		.limit_inflated = 32 * 1024 * 1024,
	},
	.encoding = BODY_IDENTITY,
	.announced = -1,
};

static bool
check_files(const struct workplace * workplace, const struct options * options,
    char * const * names)
{
	struct bytes input;
	bool same = true;

	for (; *names != NULL; names++) {
		input = read_file(*names);
		if (!check_body(workplace, options, *names, &input))
			same = false;
		free(input.bytes);
	}
	return (same);
}

/* Read a body and the length before it.  Return false at the end of all. */
static bool
read_next(struct bytes * input)
{
	unsigned char length[4];
	size_t got = fread(length, 1, sizeof(length), stdin);

	if (got == 0)
		return (false);
	input->length = (size_t)length[0] << 24 | (size_t)length[1] << 16 |
	    (size_t)length[2] << 8 | length[3];
	if (got < sizeof(length) || input->length > STREAM_BODY_MAX)
		fail("is no length", "standard input");
	input->bytes = alloc_bytes(input->length);
	if (fread(input->bytes, 1, input->length, stdin) != input->length)
		fail("ends within a body", "standard input");
	return (true);
}

static bool
check_stream(const struct workplace * workplace, const struct options * options)
{
	struct bytes input;
	char name[32];
	bool same = true;
	size_t number;

	for (number = 0; read_next(&input); number++) {
		snprintf(name, sizeof(name), "%zu", number);
		if (!check_body(workplace, options, name, &input))
			same = false;
		free(input.bytes);
	}
	return (same);
}

int
main(int argc, char ** argv)
{
	struct options options = defaults;
	struct workplace workplace;
	bool same;

	read_options(&options, argc, argv);
	if ((optind == argc) != options.stream)
		usage();
	if (digest_init() != 0)
		fail("there are no random numbers", "digest_init");
	/* What is left out is counted; a line for each reading says no more. */
	log_set_level(LOG_LEVEL_ERROR);
	workplace.arena = arena_create(4096);
	workplace.scratch = arena_create(4096);
	same = options.stream ? check_stream(&workplace, &options) :
	    check_files(&workplace, &options, argv + optind);
	arena_free(workplace.scratch);
	arena_free(workplace.arena);
	return (same ? 0 : 1);
}
