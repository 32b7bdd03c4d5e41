#include <math.h>
#include <string.h>

#include "lib/base/digest.h"
#include "lib/tally/tally_codec.h"

#define VERSION 1
#define CHECKSUM_SIZE 8
#define VARINT_MAX 10

/* How deep the tree is below its root (see tally.h), and recursion goes. */
#define DEPTH_MAX 5

/* Any date's hour, and far from where its seconds would overflow. */
#define PERIOD_MAX INT32_MAX

/* A checksum against damage; it keeps nobody from making another. */
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

static void
put_values(struct buffer * bytes, const struct tally_node * node)
{
	uint64_t bits;

	switch (node->kind) {
	case TALLY_BUCKET:
		put_signed(bytes, node->period);
		break;
	case TALLY_FEATURE:
		put_number(bytes, node->yes);
		put_number(bytes, node->no);
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
		memcpy(&bits, &node->value, sizeof(bits));
		put_bytes(bytes, bits, sizeof(bits));
		put_number(bytes, node->count);
		put_signed(bytes, node->when);
		break;
	case TALLY_ROOT:
	case TALLY_ENVIRONMENT:
	case TALLY_APPLICATION:
	case TALLY_TOKEN:
		break;
	}
}

/* As deep as the tree. */
static void
put_children(struct buffer * bytes, const struct tally_node * parent)
{
	const struct tally_node * node;
	uint64_t count = 0;

	for (node = parent->first; node != NULL; node = node->next)
		count++;
	put_number(bytes, count);
	for (node = parent->first; node != NULL; node = node->next) {
		put_bytes(bytes, node->kind, 1);
		put_text(bytes, node->name, node->length);
		put_values(bytes, node);
		put_children(bytes, node);
	}
}

void
tally_codec_encode(struct buffer * bytes, const struct tally * tally)
{
	size_t start = bytes->length;

	put_bytes(bytes, VERSION, 1);
	put_signed(bytes, tally->when);
	put_children(bytes, tally->root);
	put_bytes(bytes, digest_keyed_hash(checksum_key,
	    bytes->bytes + start, bytes->length - start), CHECKSUM_SIZE);
}

/* Reading.  The first thing that is wrong is told by failed. */

struct reader {
	struct tally * tally;
	const unsigned char * next, * end;
	bool failed;
};

static uint64_t
get_bytes(struct reader * reader, size_t count)
{
	uint64_t number = 0;
	size_t i;

	if ((size_t)(reader->end - reader->next) < count) {
		reader->failed = true;
		return (0);
	}
	for (i = 0; i < count; i++)
		number |= (uint64_t)*reader->next++ << (8 * i);
	return (number);
}

/* In as few bytes as it can be: what is read is packed as it was. */
static uint64_t
get_number(struct reader * reader)
{
	uint64_t number = 0;
	uint64_t byte;
	unsigned int i;

	for (i = 0; i < VARINT_MAX && !reader->failed; i++) {
		byte = get_bytes(reader, 1);
		if ((i == VARINT_MAX - 1 && byte > 1) || (i > 0 && byte == 0))
			break;
		number |= (byte & 0x7f) << (7 * i);
		if (byte < 0x80)
			return (number);
	}
	reader->failed = true;
	return (0);
}

static int64_t
get_signed(struct reader * reader)
{
	uint64_t number = get_number(reader);

	return ((int64_t)((number & 1) != 0 ? ~(number >> 1) : number >> 1));
}

/* A count of what Redis counts, which has no sign. */
static uint64_t
get_count(struct reader * reader)
{
	uint64_t count = get_number(reader);

	if (count > INT64_MAX) {
		reader->failed = true;
		return (0);
	}
	if (count > reader->tally->largest)
		reader->tally->largest = count;
	return (count);
}

static const char *
get_text(struct reader * reader, size_t * length)
{
	uint64_t wanted = get_number(reader);
	const char * text = (const char *)reader->next;

	*length = 0;
	if (reader->failed ||
	    wanted > (uint64_t)(reader->end - reader->next)) {
		reader->failed = true;
		return ("");
	}
	*length = (size_t)wanted;
	reader->next += wanted;
	return (text);
}

static bool
may_stand(enum tally_kind parent, enum tally_kind kind)
{
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

	return (kind > TALLY_ROOT && kind <= TALLY_TOKEN &&
	    parents[kind] == parent);
}

static bool
name_fits(enum tally_kind kind, const char * name, size_t length)
{

	if (kind == TALLY_TOKEN)
		return (length == DIGEST_SIZE);
	if (kind == TALLY_METRIC)
		return (length > 0 && (name[0] == TALLY_COUNTER ||
		    name[0] == TALLY_GAUGE || name[0] == TALLY_HISTOGRAM));
	return (kind != TALLY_BUCKET || length == sizeof(int64_t));
}

/* Its name is its period too, and another would hide it from tally_bucket. */
static void
get_period(struct reader * reader, struct tally_node * node)
{

	node->period = get_signed(reader);
	if (node->period < -PERIOD_MAX || node->period > PERIOD_MAX ||
	    memcmp(node->name, &node->period, sizeof(node->period)) != 0)
		reader->failed = true;
}

static void
get_node_text(struct reader * reader, struct tally_node * node)
{
	const char * text = get_text(reader, &node->text_length);

	node->text = arena_copy(reader->tally->arena, text,
	    node->text_length);
	node->when = get_signed(reader);
}

static void
get_series(struct reader * reader, struct tally_node * node)
{
	uint64_t bits = get_bytes(reader, sizeof(bits));

	memcpy(&node->value, &bits, sizeof(bits));
	if (isnan(node->value))
		reader->failed = true;
	node->count = get_count(reader);
	node->when = get_signed(reader);
}

static void
get_values(struct reader * reader, struct tally_node * node)
{
	struct tally * tally = reader->tally;

	switch (node->kind) {
	case TALLY_BUCKET:
		get_period(reader, node);
		break;
	case TALLY_FEATURE:
		node->yes = get_count(reader);
		node->no = get_count(reader);
		tally->counters += (size_t)(node->yes > 0) +
		    (size_t)(node->no > 0);
		return;
	case TALLY_VARIANT:
	case TALLY_BOUND:
		node->count = get_count(reader);
		break;
	case TALLY_INSTANCE:
	case TALLY_METRIC:
		get_node_text(reader, node);
		break;
	case TALLY_SERIES:
		get_series(reader, node);
		break;
	case TALLY_ROOT:
	case TALLY_ENVIRONMENT:
	case TALLY_APPLICATION:
	case TALLY_TOKEN:
		break;
	}
	if (tally_is_counter(node->kind))
		tally->counters++;
}

static void
get_children(struct reader * reader, struct tally_node * parent,
    unsigned int depth)
{
	uint64_t count = get_number(reader);

	for (; count > 0 && !reader->failed; count--) {
		enum tally_kind kind = (enum tally_kind)get_bytes(reader, 1);
		size_t length, before;
		const char * name = get_text(reader, &length);
		struct tally_node * node;

		if (reader->failed || depth == DEPTH_MAX ||
		    !may_stand(parent->kind, kind) ||
		    !name_fits(kind, name, length)) {
			reader->failed = true;
			return;
		}
		before = reader->tally->node_count;
		node = tally_child(reader->tally, parent, kind, name, length);
		/* It stands there already. */
		if (reader->tally->node_count == before)
			reader->failed = true;
		else {
			get_values(reader, node);
			get_children(reader, node, depth + 1);
		}
	}
}

const char *
tally_codec_decode(struct tally * tally, const void * bytes, size_t length)
{
	struct reader reader = { .tally = tally, .next = bytes };
	struct reader checksum = { .tally = tally };

	if (length > 0 && *reader.next != VERSION)
		return ("a packed tally of another version");
	if (length < 1 + CHECKSUM_SIZE)
		return ("a packed tally that is cut short");
	reader.end = reader.next + length - CHECKSUM_SIZE;
	checksum.next = reader.end;
	checksum.end = reader.end + CHECKSUM_SIZE;
	if (get_bytes(&checksum, CHECKSUM_SIZE) != digest_keyed_hash(
	    checksum_key, bytes, length - CHECKSUM_SIZE))
		return ("a packed tally that is damaged");
	reader.next++;
	tally->largest = 0;
	tally->when = get_signed(&reader);
	get_children(&reader, tally->root, 0);
	if (reader.failed || reader.next != reader.end)
		return ("a packed tally that makes no sense");
	return (NULL);
}
