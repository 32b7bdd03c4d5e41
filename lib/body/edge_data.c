#include <stdarg.h>
#include <string.h>

#include "lib/body/edge_data.h"
#include "lib/json/json.h"

/*
 * Edge adds members from version to version, and readers get all of them, so
 * the body is stored as it is.  It is parsed only to check that it is JSON, and
 * to find the identifier.
 */
struct edge_reader {
	struct json * json;
	struct arena * arena;
	struct fault * fault;
	struct edge_data * data;
	size_t depth;
	bool identifies;		/* The next value is the identifier. */
};

__attribute__((format(printf, 2, 3)))
static bool
reject_data(struct edge_reader * reader, const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	json_describe(reader->json, reader->fault, FAULT_INVALID, format,
	    arguments);
	va_end(arguments);
	return (false);
}

/* A value that is not a string begins. */
static bool
begin_value(struct edge_reader * reader)
{

	if (reader->depth == 0)
		return (reject_data(reader, "the body must be an object"));
	if (reader->identifies)
		return (reject_data(reader, "the identifier must be a string"));
	return (true);
}

static bool
take_null(void * context)
{

	return (begin_value(context));
}

static bool
take_boolean(void * context, bool value)
{

	(void)value;
	return (begin_value(context));
}

static bool
copy_number(void * context, const char * text, size_t length)
{

	(void)text;
	(void)length;
	return (begin_value(context));
}

static bool
take_string(void * context, const char * text, size_t length)
{
	struct edge_reader * reader = context;

	if (!reader->identifies)
		return (reader->depth > 0 || begin_value(reader));
	reader->identifies = false;
	if (length == 0 || length > EDGE_DATA_NAME_MAX)
		return (reject_data(reader, "the identifier must have 1 to %d "
		    "bytes", EDGE_DATA_NAME_MAX));
	reader->data->identifier.bytes = arena_copy(reader->arena, text,
	    length);
	reader->data->identifier.length = length;
	return (true);
}

static bool
take_key(void * context, const char * text, size_t length)
{
	struct edge_reader * reader = context;

	reader->identifies = reader->depth == 1 &&
	    length == strlen("identifier") &&
	    memcmp(text, "identifier", length) == 0;
	if (reader->identifies && reader->data->identifier.length > 0)
		return (reject_data(reader, "there are two identifiers"));
	return (true);
}

static bool
begin_object(void * context)
{
	struct edge_reader * reader = context;

	if (reader->depth > 0 && !begin_value(reader))
		return (false);
	reader->depth++;
	return (true);
}

static bool
begin_array(void * context)
{
	struct edge_reader * reader = context;

	if (!begin_value(reader))
		return (false);
	reader->depth++;
	return (true);
}

static bool
end_nested(void * context)
{
	struct edge_reader * reader = context;

	reader->depth--;
	return (true);
}

bool
edge_data_read(struct arena * arena, const struct text * body, size_t depth,
    struct edge_data * data, struct fault * fault)
{
	static const struct json_handler handler = {
		.null = take_null, .boolean = take_boolean,
		.number = copy_number, .string = take_string,
		.key = take_key, .object_start = begin_object,
		.object_end = end_nested, .array_start = begin_array,
		.array_end = end_nested,
	};
	struct edge_reader reader = { .arena = arena, .fault = fault,
	    .data = data };
	const char * brace;

	memset(data, 0, sizeof(*data));
	reader.json = json_create(arena, &handler, &reader, depth, fault);
	if (!json_feed(reader.json, body->bytes, body->length) ||
	    !json_finish(reader.json))
		return (false);
	if (data->identifier.length == 0) {
		fault_set(fault, FAULT_INVALID, 0, "",
		    "the identifier is missing");
		return (false);
	}
	brace = memchr(body->bytes, '{', body->length);
	data->members.bytes = brace + 1;
	data->members.length = body->length -
	    (size_t)(brace + 1 - body->bytes);
	return (true);
}
