#include <stdbool.h>
#include <stddef.h>

#include "lib/base/fault.h"
#include "lib/json/json.h"
#include "lib/report/sdk_version.h"

/* Deep enough for a registration. */
#define DEPTH_MAX 16

struct sdk_version {
	struct arena * arena;
	size_t depth;
	bool wanted;			/* The next value is the version. */
	struct text version;
};

static bool
skip_null(void * context)
{
	struct sdk_version * reader = context;

	reader->wanted = false;
	return (true);
}

static bool
skip_boolean(void * context, bool value)
{

	(void)value;
	return (skip_null(context));
}

static bool
skip_number(void * context, const char * text, size_t length)
{

	(void)text;
	(void)length;
	return (skip_null(context));
}

static bool
take_version(void * context, const char * text, size_t length)
{
	struct sdk_version * reader = context;

	if (reader->wanted)
		reader->version = (struct text){ arena_copy(reader->arena,
		    text, length), length };
	return (skip_null(context));
}

static bool
take_member(void * context, const char * text, size_t length)
{
	struct sdk_version * reader = context;
	struct text name = { text, length };

	reader->wanted = reader->depth == 1 && text_is(&name, "sdkVersion");
	return (true);
}

static bool
enter(void * context)
{
	struct sdk_version * reader = context;

	reader->depth++;
	return (skip_null(context));
}

static bool
leave(void * context)
{
	struct sdk_version * reader = context;

	reader->depth--;
	return (true);
}

struct text
sdk_version_read(struct arena * arena, struct text json)
{
	static const struct json_handler handler = {
		.null = skip_null, .boolean = skip_boolean,
		.number = skip_number, .string = take_version,
		.key = take_member, .object_start = enter,
		.object_end = leave, .array_start = enter,
		.array_end = leave,
	};
	struct sdk_version reader = { .arena = arena, .version = { "", 0 } };
	struct arena * scratch = arena_create(0);
	struct fault fault = { .code = FAULT_NONE };
	struct json * parser = json_create(scratch, &handler, &reader,
	    DEPTH_MAX, &fault);

	if (!json_feed(parser, json.bytes, json.length) ||
	    !json_finish(parser))
		reader.version = (struct text){ "", 0 };
	arena_free(scratch);
	return (reader.version);
}
