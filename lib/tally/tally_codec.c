#include <math.h>
#include <string.h>

#include "lib/base/digest.h"
#include "lib/tally/tally_codec.h"

#define VERSION 2
#define CHECKSUM_SIZE 8
#define VARINT_MAX 10

/* How deep the tree is below its root; see tally.h. */
#define DEPTH_MAX 5

/* Any date's hour, and far from where its seconds would overflow. */
#define PERIOD_MAX INT32_MAX

/* A checksum against damage, not against forgery. */
static const unsigned char checksum_key[DIGEST_KEY_SIZE];

/* Little-endian (the order of LEB128 as well). */
static void
put_bytes(struct buffer * bytes, uint64_t number, size_t count)
{
	unsigned char * out = (unsigned char *)buffer_room(bytes, count);
	size_t i;

	for (i = 0; i < count; i++, number >>= 8)
		out[i] = (unsigned char)(number & 0xff);
	bytes->length += count;
}

static void
put_number(struct buffer * bytes, uint64_t number)
{
	unsigned char * out = (unsigned char *)buffer_room(bytes, VARINT_MAX);
	size_t i = 0;

	for (; number >= 0x80; number >>= 7)
		out[i++] = (unsigned char)((number & 0x7f) | 0x80);
	out[i++] = (unsigned char)number;
	bytes->length += i;
}

/* Negative ones between the others, so that small ones stay small. */
static void
put_signed(struct buffer * bytes, int64_t number)
{

	put_number(bytes, number < 0 ? ~((uint64_t)number << 1) :
	    (uint64_t)number << 1);
}

static void
put_text(struct buffer * bytes, const char * text, size_t length)
{

	put_number(bytes, length);
	buffer_append(bytes, text, length);
}

/* An ancestor is repeated ${again}, so its counts are not. */
static void
put_values(struct buffer * bytes, const struct tally_node * node, bool again)
{
	double value = again ? 0 : node->value;
	uint64_t bits;

	switch (node->kind) {
	case TALLY_BUCKET:
		put_signed(bytes, node->period);
		break;
	case TALLY_FEATURE:
		put_number(bytes, again ? 0 : node->yes);
		put_number(bytes, again ? 0 : node->no);
		break;
	case TALLY_VARIANT:
	case TALLY_BOUND:
		put_number(bytes, node->count);
		break;
	case TALLY_INSTANCE:
	case TALLY_METRIC:
		put_text(bytes, node->text, node->text_length);
		put_signed(bytes, node->when);
		break;
	case TALLY_SERIES:
		memcpy(&bits, &value, sizeof(bits));
		put_bytes(bytes, bits, sizeof(bits));
		put_number(bytes, again ? 0 : node->count);
		/* Only that of a gauge counts. */
		put_signed(bytes, tally_metric_type(node->parent) ==
		    TALLY_GAUGE ? node->when : 0);
		break;
	case TALLY_ROOT:
	case TALLY_ENVIRONMENT:
	case TALLY_APPLICATION:
	case TALLY_TOKEN:
		break;
	}
}

static void
put_node(struct buffer * bytes, const struct tally_node * node, bool again)
{

	put_bytes(bytes, node->kind, 1);
	put_text(bytes, node->name, node->length);
	put_values(bytes, node, again);
}

/* As deep as the tree. */
static void
put_ancestors(struct buffer * bytes, const struct tally_node * node)
{

	if (node->parent == NULL || node->parent->kind == TALLY_ROOT)
		return;
	put_ancestors(bytes, node->parent);
	put_node(bytes, node->parent, true);
}

const struct tally_node *
tally_codec_encode(struct buffer * bytes, const struct tally * tally,
    const struct tally_node * node)
{
	size_t start = bytes->length;
	size_t count;

	put_bytes(bytes, VERSION, 1);
	put_signed(bytes, tally->when);
	if (node == NULL)
		node = tally->root->first;
	else
		put_ancestors(bytes, node);
	for (count = 0; node != NULL && (count == 0 ||
	    (count < TALLY_CODEC_NODES_MAX &&
	    bytes->length - start < TALLY_CODEC_BYTES_MAX)); count++) {
		put_node(bytes, node, false);
		node = tally_next(node);
	}
	put_bytes(bytes, digest_keyed_hash(checksum_key,
	    bytes->bytes + start, bytes->length - start), CHECKSUM_SIZE);
	return (node);
}

/* Reading.  The first error sets failed. */

struct decoder {
	const unsigned char * next, * end;
	bool failed;
};

static uint64_t
get_bytes(struct decoder * decoder, size_t count)
{
	uint64_t number = 0;
	size_t i;

	if ((size_t)(decoder->end - decoder->next) < count) {
		decoder->failed = true;
		return (0);
	}
	for (i = 0; i < count; i++)
		number |= (uint64_t)*decoder->next++ << (8 * i);
	return (number);
}

/* Accept only the shortest form, so that encoding gives the same bytes. */
static uint64_t
get_number(struct decoder * decoder)
{
	uint64_t number = 0;
	uint64_t byte;
	unsigned int i;

	for (i = 0; i < VARINT_MAX && !decoder->failed; i++) {
		byte = get_bytes(decoder, 1);
		if ((i == VARINT_MAX - 1 && byte > 1) || (i > 0 && byte == 0))
			break;
		number |= (byte & 0x7f) << (7 * i);
		if (byte < 0x80)
			return (number);
	}
	decoder->failed = true;
	return (0);
}

static int64_t
get_signed(struct decoder * decoder)
{
	uint64_t number = get_number(decoder);

	return ((int64_t)((number & 1) != 0 ? ~(number >> 1) : number >> 1));
}

/* A count, at most the largest number of Redis. */
static uint64_t
get_count(struct decoder * decoder)
{
	uint64_t count = get_number(decoder);

	if (count > INT64_MAX) {
		decoder->failed = true;
		return (0);
	}
	return (count);
}

static const char *
get_text(struct decoder * decoder, size_t * length)
{
	uint64_t wanted = get_number(decoder);
	const char * text = (const char *)decoder->next;

	*length = 0;
	if (decoder->failed ||
	    wanted > (uint64_t)(decoder->end - decoder->next)) {
		decoder->failed = true;
		return ("");
	}
	*length = (size_t)wanted;
	decoder->next += wanted;
	return (text);
}

/* The depth of each kind. */
static const struct {
	unsigned int depth;
	enum tally_kind parent;
} levels[] = {
	[TALLY_ENVIRONMENT] = { 1, TALLY_ROOT },
	[TALLY_APPLICATION] = { 2, TALLY_ENVIRONMENT },
	[TALLY_BUCKET] = { 3, TALLY_APPLICATION },
	[TALLY_FEATURE] = { 4, TALLY_BUCKET },
	[TALLY_VARIANT] = { 5, TALLY_FEATURE },
	[TALLY_INSTANCE] = { 3, TALLY_APPLICATION },
	[TALLY_METRIC] = { 2, TALLY_ENVIRONMENT },
	[TALLY_SERIES] = { 3, TALLY_METRIC },
	[TALLY_BOUND] = { 4, TALLY_SERIES },
	[TALLY_TOKEN] = { 1, TALLY_ROOT },
};

static bool
name_fits(const struct tally_node * node)
{

	if (node->kind == TALLY_TOKEN)
		return (node->length >= DIGEST_SIZE);
	if (node->kind == TALLY_METRIC)
		return (node->length > 0 && (node->name[0] == TALLY_COUNTER ||
		    node->name[0] == TALLY_GAUGE ||
		    node->name[0] == TALLY_HISTOGRAM));
	return (node->kind != TALLY_BUCKET || node->length == sizeof(int64_t));
}

/* A bucket's name is its period: tally_bucket relies on that. */
static void
get_period(struct decoder * decoder, struct tally_node * node)
{

	node->period = get_signed(decoder);
	if (node->period < -PERIOD_MAX || node->period > PERIOD_MAX ||
	    memcmp(node->name, &node->period, sizeof(node->period)) != 0)
		decoder->failed = true;
}

static void
get_series(struct decoder * decoder, struct tally_node * node)
{
	uint64_t bits = get_bytes(decoder, sizeof(bits));

	memcpy(&node->value, &bits, sizeof(bits));
	if (isnan(node->value))
		decoder->failed = true;
	node->count = get_count(decoder);
	node->when = get_signed(decoder);
}

/* Read the values of a node, which depend on its kind. */
static void
get_values(struct decoder * decoder, struct tally_node * node)
{

	switch (node->kind) {
	case TALLY_BUCKET:
		get_period(decoder, node);
		break;
	case TALLY_FEATURE:
		node->yes = get_count(decoder);
		node->no = get_count(decoder);
		break;
	case TALLY_VARIANT:
	case TALLY_BOUND:
		node->count = get_count(decoder);
		break;
	case TALLY_INSTANCE:
	case TALLY_METRIC:
		node->text = get_text(decoder, &node->text_length);
		node->when = get_signed(decoder);
		break;
	case TALLY_SERIES:
		get_series(decoder, node);
		break;
	case TALLY_ROOT:
	case TALLY_ENVIRONMENT:
	case TALLY_APPLICATION:
	case TALLY_TOKEN:
		break;
	}
}

/*
 * Read all nodes, and add them to ${tally} unless it is NULL.  The kinds of
 * the path's nodes are checked in both cases.
 */
static void
get_nodes(struct decoder * decoder, struct tally * tally)
{
	struct tally_node * path[DEPTH_MAX + 1] = { NULL };
	enum tally_kind kinds[DEPTH_MAX + 1] = { TALLY_ROOT };
	unsigned int depth = 0;

	if (tally != NULL)
		path[0] = tally->root;
	while (decoder->next < decoder->end && !decoder->failed) {
		uint64_t kind = get_bytes(decoder, 1);
		struct tally_node node = { .kind = (enum tally_kind)kind };

		if (kind == TALLY_ROOT || kind > TALLY_TOKEN ||
		    levels[kind].depth > depth + 1 ||
		    levels[kind].parent != kinds[levels[kind].depth - 1]) {
			decoder->failed = true;
			return;
		}
		depth = levels[kind].depth;
		kinds[depth] = node.kind;
		node.name = get_text(decoder, &node.length);
		if (decoder->failed || !name_fits(&node)) {
			decoder->failed = true;
			return;
		}
		get_values(decoder, &node);
		if (tally != NULL && !decoder->failed)
			path[depth] = tally_put(tally, path[depth - 1], &node);
	}
}

const char *
tally_codec_decode(struct tally * tally, const void * bytes, size_t length)
{
	struct decoder checksum = { .next = bytes };
	struct decoder decoder, again;
	int64_t when;

	if (length > 0 && *checksum.next != VERSION)
		return ("an encoded tally of another version");
	if (length < 1 + CHECKSUM_SIZE)
		return ("an encoded tally that is cut short");
	decoder.next = checksum.next + 1;
	decoder.end = checksum.next + length - CHECKSUM_SIZE;
	decoder.failed = false;
	checksum.next = decoder.end;
	checksum.end = decoder.end + CHECKSUM_SIZE;
	if (get_bytes(&checksum, CHECKSUM_SIZE) != digest_keyed_hash(
	    checksum_key, bytes, length - CHECKSUM_SIZE))
		return ("an encoded tally that is damaged");
	when = get_signed(&decoder);
	again = decoder;
	get_nodes(&decoder, NULL);
	if (decoder.failed)
		return ("an encoded tally that makes no sense");
	tally->when = when;
	get_nodes(&again, tally);
	return (NULL);
}
