#include <math.h>
#include <zlib.h>

#include "lib/body/body.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"
#include "lib/base/number.h"
#include "lib/tally/tally_codec.h"
#include "tests/fuzz/fault.h"

/*
 * A body, from its bytes to a tally.  The first bytes of the input are the
 * settings and how the body is cut into pieces; it must come to the same
 * uncut, the tally must hold what a tally may hold, and be the same after it
 * has been packed and unpacked.
 */
enum wrapping {
	AS_IT_IS,
	RAW_GZIP,			/* The input is the compressed body. */
	RAW_DEFLATE,
	IN_GZIP,			/* The input is put into a gzip member. */
	IN_TWO_MEMBERS,
	WRAPPING_COUNT,
};

struct plan {
	struct body_settings settings;
	enum body_encoding encoding;
	int64_t announced;
	unsigned int piece, step;	/* How it is cut. */
};

struct result {
	bool valid;
	struct fault fault;
	struct tally * tally;
	struct buffer packed;
};

static struct arena * arena, * scratch;

/* One gzip member (RFC 1952) of one stored block (RFC 1951). */
static void
wrap_member(struct buffer * out, const uint8_t * bytes, size_t length)
{
	static const char head[10] = { 0x1f, (char)0x8b, 8, [9] = 3 };
	unsigned long sum = crc32(0, bytes, (unsigned int)length);
	uint8_t block[5] = { 1, (uint8_t)length, (uint8_t)(length >> 8),
	    (uint8_t)~length, (uint8_t)(~length >> 8) };
	uint8_t tail[8];
	size_t i;

	for (i = 0; i < 4; i++) {
		tail[i] = (uint8_t)(sum >> (8 * i));
		tail[4 + i] = (uint8_t)((uint64_t)length >> (8 * i));
	}
	buffer_append(out, head, sizeof(head));
	buffer_append(out, block, sizeof(block));
	buffer_append(out, bytes, length);
	buffer_append(out, tail, sizeof(tail));
}

static void
wrap(struct buffer * out, struct fuzz * fuzz, enum wrapping wrapping)
{
	size_t half = wrapping == IN_TWO_MEMBERS ? fuzz->length / 2 : 0;

	if (wrapping < IN_GZIP || fuzz->length > 0xffff) {
		buffer_append(out, fuzz->bytes, fuzz->length);
		return;
	}
	if (half > 0)
		wrap_member(out, fuzz->bytes, half);
	wrap_member(out, fuzz->bytes + half, fuzz->length - half);
}

static void
make_plan(struct plan * plan, struct fuzz * fuzz, enum wrapping * wrapping)
{
	struct validate_settings * batch = &plan->settings.validate;
	unsigned int choices = fuzz_byte(fuzz);
	unsigned int limits = fuzz_byte(fuzz);

	memset(plan, 0, sizeof(*plan));
	*wrapping = fuzz_byte(fuzz) % WRAPPING_COUNT;
	plan->piece = 1 + fuzz_byte(fuzz) % 64;
	plan->step = choices >> 5;
	batch->schema = &schema_bulk;
	batch->invalid = (choices & 1) != 0 ? VALIDATE_SKIP : VALIDATE_REJECT;
	if ((choices & 16) != 0) {
		batch->schema = (choices & 1) != 0 ? &schema_register :
		    &schema_report;
		batch->invalid = VALIDATE_LENIENT;
		batch->element.skip_zeros = true;
		batch->element.sender[SLOT_SDK_TYPE] = text_of("frontend");
		batch->element.sender[SLOT_SDK_VERSION] = text_of("js:1");
	}
	batch->limit_depth = (limits & 1) != 0 ? 7 : 64;
	batch->element.any_environment = (choices & 2) == 0;
	batch->element.environment = text_of("production");
	batch->element.by_hour = (choices & 4) == 0;
	batch->element.limit_name = (limits & 2) != 0 ? 10 : 4096;
	batch->element.limit_counters = (limits & 4) != 0 ? 5 :
	    (limits & 8) != 0 ? 0 : 100000;
	plan->settings.limit_body = (limits & 16) != 0 ? 200 : 4 << 20;
	plan->settings.limit_inflated = (limits & 32) != 0 ? 100 : 1 << 20;
	plan->announced = (choices & 8) != 0 ? 0 : -1;
	plan->encoding = *wrapping == AS_IT_IS ? BODY_IDENTITY :
	    *wrapping == RAW_DEFLATE ? BODY_DEFLATE : BODY_GZIP;
}

/* The pieces are of ${piece} bytes, then one more each time, or all at once. */
static bool
feed(struct body * body, const struct buffer * bytes, size_t piece,
    size_t step)
{
	size_t at, length;
	bool going = true;

	for (at = 0; going && at < bytes->length; at += length) {
		char * copy;

		length = bytes->length - at < piece ? bytes->length - at :
		    piece;
		copy = fuzz_exact(bytes->bytes + at, length);
		going = body_feed(body, copy, length);
		free(copy);
		piece += step;
	}
	return (going);
}

static void
read_body(struct result * result, const struct plan * plan,
    const struct buffer * bytes, size_t piece)
{
	struct body * body;

	memset(result, 0, sizeof(*result));
	result->tally = tally_create(arena);
	body = body_create(arena, scratch, &plan->settings, plan->encoding,
	    result->tally, &result->fault);
	result->valid = feed(body, bytes, piece, plan->step) &&
	    body_finish(body, plan->announced);
	if (result->valid)
		tally_codec_encode(&result->packed, result->tally, NULL);
	arena_reset(scratch);
}

static bool
is_lenient(const struct plan * plan)
{

	return (plan->settings.validate.invalid == VALIDATE_LENIENT);
}

static void
check_node(const struct tally_node * node, const struct plan * plan,
    size_t * counters)
{
	size_t limit = plan->settings.validate.element.limit_name;

	switch (node->kind) {
	case TALLY_ENVIRONMENT:
		must(node->first != NULL);
		break;
	case TALLY_APPLICATION:
		/* One that an SDK names has been seen. */
		must(node->first != NULL || is_lenient(plan));
		break;
	case TALLY_FEATURE:
		must(node->yes <= NUMBER_COUNT_MAX &&
		    node->no <= NUMBER_COUNT_MAX);
		*counters += (size_t)(node->yes > 0) +
		    (size_t)(node->no > 0);
		break;
	case TALLY_VARIANT:
	case TALLY_BOUND:
		must(node->count <= NUMBER_COUNT_MAX);
		break;
	case TALLY_SERIES:
		must(isfinite(node->value));
		must(node->count <= NUMBER_COUNT_MAX);
		break;
	case TALLY_TOKEN:
		must(node->length >= DIGEST_SIZE);
		(*counters)++;
		return;
	case TALLY_BUCKET:
		must(node->length == sizeof(int64_t));
		return;
	case TALLY_ROOT:
	case TALLY_INSTANCE:
	case TALLY_METRIC:
		break;
	}
	if (tally_is_counter(node->kind))
		(*counters)++;
	must(fuzz_utf8(node->name, node->length));
	if (node->kind < TALLY_METRIC)
		must(node->length <= (limit < 10 ? 10 : limit));
}

/* As deep as the tree, which is no deeper than its kinds. */
static void
check_tree(const struct tally_node * node, const struct plan * plan,
    size_t * counters, unsigned int depth)
{
	const struct tally_node * child;

	must(depth <= 5);
	for (child = node->first; child != NULL; child = child->next) {
		must(child->parent == node);
		check_node(child, plan, counters);
		check_tree(child, plan, counters, depth + 1);
	}
}

static void
check_tally(const struct tally * tally, const struct plan * plan)
{
	size_t limit = plan->settings.validate.element.limit_counters;
	size_t counters = 0;

	check_tree(tally->root, plan, &counters, 0);
	/* Toggles of a bucket without a start are counted, but nowhere. */
	must(is_lenient(plan) ? counters <= tally->counters :
	    counters == tally->counters);
	must(limit == 0 || counters <= limit);
}

static void
check_packed(const struct buffer * packed)
{
	char * bytes = fuzz_exact(packed->bytes, packed->length);
	struct tally * tally = tally_create(arena);
	struct buffer again = { NULL, 0, 0 };

	must(tally_codec_decode(tally, bytes, packed->length) == NULL);
	free(bytes);
	tally_codec_encode(&again, tally, NULL);
	must(again.length == packed->length &&
	    memcmp(again.bytes, packed->bytes, again.length) == 0);
	buffer_free(&again);
}

static void
initialize(void)
{

	if (arena != NULL)
		return;
	must(digest_init() == 0);
	log_set_level(LOG_LEVEL_ERROR);
	arena = arena_create(65536);
	scratch = arena_create(65536);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	struct fuzz fuzz = { bytes, length };
	struct buffer body = { NULL, 0, 0 };
	struct result cut, whole;
	enum wrapping wrapping;
	struct plan plan;

	initialize();
	make_plan(&plan, &fuzz, &wrapping);
	wrap(&body, &fuzz, wrapping);
	if (plan.announced == 0)
		plan.announced = (int64_t)body.length;
	read_body(&cut, &plan, &body, plan.piece);
	read_body(&whole, &plan, &body, SIZE_MAX / 2);
	must(cut.valid == whole.valid);
	fault_must_equal(&cut.fault, &whole.fault);
	if (!cut.valid)
		fault_must_fit(&cut.fault, plan.settings.limit_inflated +
		    plan.settings.limit_body);
	else {
		must(cut.fault.code == FAULT_NONE);
		must(cut.packed.length == whole.packed.length &&
		    memcmp(cut.packed.bytes, whole.packed.bytes,
		    cut.packed.length) == 0);
		check_tally(cut.tally, &plan);
		check_packed(&cut.packed);
	}
	buffer_free(&cut.packed);
	buffer_free(&whole.packed);
	buffer_free(&body);
	arena_reset(arena);
	return (0);
}
