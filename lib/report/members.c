#include "lib/base/fault.h"
#include "lib/json/json.h"
#include "lib/report/members.h"

/* As deep as limit_depth can be. */
#define DEPTH_MAX 1024

struct object {
	struct arena * arena;
	size_t depth;
	bool is_object;
	struct members_wanted * members;
	size_t count;
	struct members_wanted * next;	/* Whose value comes next, or NULL. */
};

static bool
skip_null(void * context)
{
	struct object * object = context;

	object->next = NULL;
	return (true);
}

static bool
skip_boolean(void * context, bool value)
{

	(void)value;
	return (skip_null(context));
}

static bool
take_value(void * context, const char * text, size_t length)
{
	struct object * object = context;

	/* flagtally's own member comes before one of the same name. */
	if (object->next != NULL && object->next->value.bytes == NULL)
		object->next->value = (struct text){ arena_copy(object->arena,
		    text, length), length };
	return (skip_null(context));
}

static bool
take_member_name(void * context, const char * text, size_t length)
{
	struct object * object = context;
	struct text name = { text, length };
	size_t i;

	object->next = NULL;
	for (i = 0; object->depth == 1 && i < object->count; i++)
		if (text_is(&name, object->members[i].name))
			object->next = &object->members[i];
	return (true);
}

static bool
enter_object(void * context)
{
	struct object * object = context;

	if (object->depth++ == 0)
		object->is_object = true;
	return (skip_null(context));
}

static bool
enter_array(void * context)
{
	struct object * object = context;

	object->depth++;
	return (skip_null(context));
}

static bool
leave_nested(void * context)
{
	struct object * object = context;

	object->depth--;
	return (true);
}

bool
members_read(struct arena * arena, struct text json,
    struct members_wanted * members, size_t count)
{
	static const struct json_handler handler = {
		.null = skip_null, .boolean = skip_boolean,
		.number = take_value, .string = take_value,
		.key = take_member_name, .object_start = enter_object,
		.object_end = leave_nested, .array_start = enter_array,
		.array_end = leave_nested,
	};
	struct object object = { .arena = arena, .members = members,
	    .count = count };
	struct arena * scratch = arena_create(0);
	struct fault fault = { .code = FAULT_NONE };
	struct json * parser = json_create(scratch, &handler, &object,
	    DEPTH_MAX, &fault);
	bool valid = json_feed(parser, json.bytes, json.length) &&
	    json_finish(parser);

	arena_free(scratch);
	return (valid && object.is_object);
}
