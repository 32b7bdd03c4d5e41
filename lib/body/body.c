#include <string.h>

#include "lib/body/body.h"
#include "lib/body/decompress.h"

struct body {
	struct arena * arena;
	struct arena * scratch;
	struct validate * validate;
	struct decompress * unpack;		/* NULL for identity. */
	struct fault * fault;
	const struct body_settings * settings;
	uint64_t received;		/* Bytes as sent, */
	uint64_t inflated;		/* and bytes of JSON. */
};

struct body *
body_create(struct arena * arena, struct arena * scratch,
    const struct body_settings * settings, enum body_encoding encoding,
    struct tally * tally, struct fault * fault)
{
	struct body * body = arena_take(arena, sizeof(*body));

	memset(body, 0, sizeof(*body));
	body->settings = settings;
	body->fault = fault;
	body->arena = arena;
	body->scratch = scratch;
	body->validate = validate_create(arena, scratch, &settings->validate,
	    tally,
	    fault);
	if (encoding != BODY_IDENTITY)
		body->unpack = decompress_create(arena,
		    encoding == BODY_GZIP ?
		    DECOMPRESS_GZIP : DECOMPRESS_DEFLATE);
	return (body);
}

static bool
reject(struct body * body, enum fault_code code, uint64_t offset,
    const char * detail)
{

	fault_set(body->fault, code, offset, "", "%s", detail);
	return (false);
}

static bool
too_large(struct body * body, enum fault_limit limit, uint64_t offset,
    const char * detail)
{

	if (body->fault->code == FAULT_NONE)
		body->fault->limit = limit;
	return (reject(body, FAULT_TOO_LARGE, offset, detail));
}

/* Return how many of ${length} more bytes are within a limit. */
static size_t
bytes_within(uint64_t size, size_t length, uint64_t limit)
{

	if (limit == 0 || size + length <= limit)
		return (length);
	return ((size_t)(limit - size));
}

/* Return how many decompressed bytes the received ones may yield. */
static uint64_t
ratio_limit(const struct body * body)
{
	uint64_t ratio = body->settings->limit_ratio;

	if (ratio == 0 || body->received > UINT64_MAX / ratio)
		return (UINT64_MAX);
	return (body->received * ratio > BODY_RATIO_FLOOR ?
	    body->received * ratio : BODY_RATIO_FLOOR);
}

/* Each element checks its memory, too; this one includes the JSON reader. */
static bool
feed_batch(struct body * body, const void * bytes, size_t length)
{
	size_t limit = body->settings->validate.element.limit_memory;

	if (!validate_feed(body->validate, bytes, length))
		return (false);
	if (limit == 0 || arena_held(body->arena) +
	    arena_held(body->scratch) <= limit)
		return (true);
	return (too_large(body, FAULT_LIMIT_MEMORY, body->received,
	    "the body takes more memory than limit_memory"));
}

/*
 * Read the bytes within a limit before the rest is rejected, so that the first
 * fault is the same however the body is divided into pieces.
 */
static bool
take_json(void * context, const void * bytes, size_t length)
{
	struct body * body = context;
	uint64_t limit = body->settings->limit_inflated;
	size_t wanted = bytes_within(body->inflated, length, limit);

	body->inflated += wanted;
	if (!feed_batch(body, bytes, wanted))
		return (false);
	if (body->inflated > ratio_limit(body))
		return (too_large(body, FAULT_LIMIT_RATIO, body->received,
		    "the body grows more than limit_ratio when it is "
		    "decompressed"));
	if (wanted == length)
		return (true);
	return (too_large(body, FAULT_LIMIT_INFLATED, limit, "the body is "
	    "larger than limit_inflated when it is decompressed"));
}

static bool
feed(struct body * body, const void * bytes, size_t length)
{
	const char * why;

	if (body->unpack == NULL)
		return (feed_batch(body, bytes, length));
	why = decompress_feed(body->unpack, bytes, length, take_json, body);
	if (why != NULL)
		return (reject(body, FAULT_INVALID,
		    decompress_position(body->unpack), why));
	return (body->fault->code == FAULT_NONE);
}

bool
body_feed(struct body * body, const void * bytes, size_t length)
{
	uint64_t limit = body->settings->limit_body;
	size_t wanted = bytes_within(body->received, length, limit);

	body->received += wanted;
	if (body->settings->mac != NULL)
		digest_mac_feed(body->settings->mac, bytes, wanted);
	if (!feed(body, bytes, wanted))
		return (false);
	if (wanted == length)
		return (true);
	return (too_large(body, FAULT_LIMIT_BODY, limit,
	    "the body is larger than limit_body"));
}

bool
body_finish(struct body * body, int64_t announced)
{

	if (announced >= 0 && body->received < (uint64_t)announced)
		return (reject(body, FAULT_INVALID, body->received,
		    "the body is shorter than its Content-Length"));
	if (announced >= 0 && body->received > (uint64_t)announced)
		return (reject(body, FAULT_INVALID, body->received,
		    "the body is longer than its Content-Length"));
	if (body->unpack != NULL && !decompress_complete(body->unpack))
		return (reject(body, FAULT_INVALID, body->received,
		    "the compressed body ends too early"));
	return (validate_finish(body->validate));
}
