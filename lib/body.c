#include <string.h>

#include "lib/body.h"
#include "lib/unpack.h"

struct body {
	struct batch * batch;
	struct unpack * unpack;		/* NULL for identity. */
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
	body->batch = batch_create(arena, scratch, &settings->batch, tally,
	    fault);
	if (encoding != BODY_IDENTITY)
		body->unpack = unpack_create(arena,
		    encoding == BODY_GZIP ? UNPACK_GZIP : UNPACK_DEFLATE);
	return (body);
}

static bool
reject(struct body * body, enum fault_code code, const char * detail)
{

	fault_set(body->fault, code, body->received, "", "%s", detail);
	return (false);
}

static bool
within(uint64_t size, uint64_t limit)
{

	return (limit == 0 || size <= limit);
}

static bool
take_json(void * context, const void * bytes, size_t length)
{
	struct body * body = context;

	body->inflated += length;
	if (!within(body->inflated, body->settings->limit_inflated))
		return (reject(body, FAULT_TOO_LARGE, "the body is larger "
		    "than limit_inflated when it is unpacked"));
	return (batch_feed(body->batch, bytes, length));
}

bool
body_feed(struct body * body, const void * bytes, size_t length)
{
	const char * why;

	body->received += length;
	if (!within(body->received, body->settings->limit_body))
		return (reject(body, FAULT_TOO_LARGE,
		    "the body is larger than limit_body"));
	if (body->unpack == NULL)
		return (batch_feed(body->batch, bytes, length));
	why = unpack_feed(body->unpack, bytes, length, take_json, body);
	if (why != NULL)
		return (reject(body, FAULT_INVALID, why));
	return (body->fault->code == FAULT_NONE);
}

bool
body_finish(struct body * body, int64_t announced)
{

	if (announced >= 0 && body->received < (uint64_t)announced)
		return (reject(body, FAULT_INVALID,
		    "the body is shorter than its Content-Length"));
	if (announced >= 0 && body->received > (uint64_t)announced)
		return (reject(body, FAULT_INVALID,
		    "the body is longer than its Content-Length"));
	if (body->unpack != NULL && !unpack_complete(body->unpack))
		return (reject(body, FAULT_INVALID,
		    "the compressed body ends too early"));
	return (batch_finish(body->batch));
}
