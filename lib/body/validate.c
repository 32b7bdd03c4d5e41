#include <string.h>

#include "lib/base/log.h"
#include "lib/body/schema.h"
#include "lib/body/validate.h"

/*
 * Each open object or array of the text has the shape that the schema gives it.
 * Unknown members, and the rest of an element that is at fault, have the shape
 * schema_any, in which nothing more can be at fault.
 *
 * A violation ends in one of three ways (violation()):
 * - In a sample of an impact metric whose type is not known yet, it may turn
 *   out not to matter: it is kept until then.
 * - With VALIDATE_SKIP, inside an element of the body's arrays, the element is
 *   left out.
 * - With VALIDATE_LENIENT, outside of these, the value is left out, as if it
 *   were absent; and if an object lacks a member, it counts nothing.
 * - Otherwise it is the body's fault, and the reader is stopped.
 */

struct validate {
	struct json * json;
	struct json_cursor * cursor;
	struct element * element;
	struct tally * tally;
	struct fault * fault;
	enum validate_invalid invalid;
	struct fault left_out;		/* Of the first part left out. */
	enum fault_limit beyond;	/* Of the current violation. */

	/* A member that counts for one alternative only, with type unknown. */
	enum schema_alternative trial;
	size_t trial_depth;
	struct fault kept[ALTERNATIVE_COUNT];
};

static void
leave_out(struct validate * validate, const struct fault * fault)
{

	if (validate->tally->dropped[DROP_INVALID]++ == 0)
		validate->left_out = *fault;
}

/* Log the first part left out of a body; many bodies can have many. */
static void
log_left_out(const struct validate * validate)
{
	static struct log_limit limit;
	const struct fault * first = &validate->left_out;
	uint64_t suppressed;

	if (first->code != FAULT_NONE &&
	    log_allowed(&limit, &suppressed))
		log_info("left out %llu parts of a body, the first at %s, "
		    "byte %llu: %s (%llu more bodies like it since the last "
		    "such line)", (unsigned long long)
		    validate->tally->dropped[DROP_INVALID], first->pointer,
		    (unsigned long long)first->offset, first->detail,
		    (unsigned long long)suppressed);
}

/* Return whether a part at fault is left out, instead of the whole body.  If an
 * element is not an object, the current rule is its own. */
static bool
may_be_left_out(const struct validate * validate, enum fault_code code)
{

	if (validate->invalid == VALIDATE_LENIENT)
		return (code == FAULT_INVALID || code == FAULT_OVERFLOW);
	return (code == FAULT_INVALID && validate->invalid == VALIDATE_SKIP &&
	    (validate->cursor->rule->element ||
	    json_element_depth(validate->json) > 0));
}

/* Act on a violation.  Return whether to go on reading. */
static bool
violation(struct validate * validate, const struct fault * fault)
{
	size_t element = json_element_depth(validate->json);

	if (fault->code == FAULT_INVALID && validate->trial != EITHER) {
		if (validate->kept[validate->trial].code == FAULT_NONE)
			validate->kept[validate->trial] = *fault;
		json_skip(validate->json, validate->trial_depth, &schema_any);
		return (true);
	}
	if (!may_be_left_out(validate, fault->code)) {
		*validate->fault = *fault;
		return (false);
	}
	leave_out(validate, fault);
	if (element > 0) {
		validate->trial = EITHER;
		json_skip(validate->json, element - 1, &schema_any);
	}
	return (true);
}

/*
 * Return whether a message about a fault is read.  It costs a search for the
 * fault's place, and a body can have a fault in every other byte.
 */
static bool
is_reported(const struct validate * validate, enum fault_code code)
{

	if (code == FAULT_INVALID && validate->trial != EITHER)
		return (validate->kept[validate->trial].code == FAULT_NONE);
	return (validate->left_out.code == FAULT_NONE ||
	    !may_be_left_out(validate, code));
}

__attribute__((format(printf, 3, 4)))
static bool
violates(struct validate * validate, enum fault_code code, const char * format,
    ...)
{
	struct fault fault = { .code = FAULT_NONE };
	va_list arguments;

	if (is_reported(validate, code)) {
		va_start(arguments, format);
		json_describe(validate->json, &fault, code, format, arguments);
		va_end(arguments);
	} else
		fault.code = code;
	fault.limit = validate->beyond;
	validate->beyond = FAULT_LIMIT_NONE;
	return (violation(validate, &fault));
}

/* Name the value of a rule, for a message: the member's name, or an item. */
static const char *
subject(const struct json_rule * rule, char out[FAULT_QUOTE_MAX])
{

	if (rule == NULL || rule->name.bytes == NULL)
		return ("this value");
	return (fault_quote(out, rule->name.bytes, rule->name.length));
}

/* The element did not accept a value. */
static bool
violates_with(struct validate * validate, const struct json_rule * rule)
{
	const struct element_problem * problem = &validate->element->problem;
	char quoted[FAULT_QUOTE_MAX];

	validate->beyond = problem->limit;
	return (violates(validate, problem->code, "%s %s%s%s",
	    subject(rule, quoted), problem->what,
	    problem->why == NULL ? "" : ": ",
	    problem->why == NULL ? "" : problem->why));
}

static bool
violates_type(struct validate * validate, const struct json_rule * rule)
{
	char quoted[FAULT_QUOTE_MAX];

	return (violates(validate, FAULT_INVALID, "%s must be %s",
	    json_depth(validate->json) == 0 ? "the body" :
	    subject(rule, quoted), schema_expected(rule)));
}

/*
 * The type of an impact metric is known, or the metric ends: report the fault
 * of its samples for this alternative, if there was one.
 */
static bool
settle_alternative(struct validate * validate)
{
	enum schema_alternative alternative = validate->element->alternative;
	struct fault fault = validate->kept[alternative];

	if (alternative == EITHER || fault.code == FAULT_NONE)
		return (true);
	validate->kept[alternative].code = FAULT_NONE;
	return (violation(validate, &fault));
}

static bool
take(struct validate * validate, unsigned int type, const char * text,
    size_t length)
{
	const struct json_rule * rule = validate->cursor->rule;

	if ((rule->accepts & type) == 0)
		return (violates_type(validate, rule));
	if (!element_takes[rule->use](validate->element, rule, type, text,
	    length))
		return (violates_with(validate, rule));
	if (rule->use == USE_IMPACT_TYPE)
		return (settle_alternative(validate));
	return (true);
}

static bool
on_null(void * context)
{

	return (take(context, JSON_NULL, NULL, 0));
}

static bool
on_boolean(void * context, bool value)
{

	(void)value;
	return (take(context, JSON_BOOLEAN, NULL, 0));
}

static bool
on_number(void * context, const char * text, size_t length)
{

	return (take(context, JSON_NUMBER, text, length));
}

static bool
on_string(void * context, const char * text, size_t length)
{

	return (take(context, JSON_STRING, text, length));
}

static bool
violates_once(struct validate * validate, const struct json_rule * rule)
{
	char quoted[FAULT_QUOTE_MAX];

	return (violates(validate, FAULT_INVALID,
	    "%s appears twice in one object",
	    subject(rule, quoted)));
}

/* Find a known member that is not the expected next one. */
static bool
member_key(struct validate * validate, const struct json_shape * shape,
    const char * text, size_t length)
{
	struct json_cursor * cursor = validate->cursor;
	unsigned int member = schema_member(shape, text, length);
	const struct json_rule * rule = &shape->rules[member];
	uint32_t bit = (uint32_t)1 << member;

	cursor->rule = &schema_ignored;
	if (shape == &schema_sample[EITHER])
		validate->trial = EITHER;
	if (member == shape->count)
		return (true);
	if (shape == &schema_sample[EITHER] && rule->alternative != EITHER) {
		validate->trial = rule->alternative;
		validate->trial_depth = json_depth(validate->json);
	}
	if ((cursor->seen & bit) != 0)
		return (violates_once(validate, rule));
	cursor->seen |= bit;
	cursor->rule = rule;
	if (shape != &schema_sample[EITHER]) {
		cursor->expected = rule + 1;
		cursor->bit = bit << 1;
	}
	return (true);
}

/* A name in a map is at fault; if it is left out, skip its value, too. */
static bool
violates_name(struct validate * validate, enum fault_code code,
    const char * what)
{
	bool go_on = violates(validate, code, "a name %s", what);

	validate->cursor->rule = &schema_ignored;
	return (go_on);
}

static bool
on_refused(void * context, enum json_part part)
{
	struct validate * validate = context;
	const struct element_problem * problem = &validate->element->problem;

	if (part != JSON_NAME)
		return (violates_with(validate, part == JSON_END ? NULL :
		    validate->cursor->rule));
	validate->beyond = problem->limit;
	return (violates_name(validate, problem->code, problem->what));
}

static bool
on_garbled(void * context, bool key, const char * detail)
{
	struct validate * validate = context;
	const struct json_rule * rule = validate->cursor->rule;
	char quoted[FAULT_QUOTE_MAX];

	if (!key)
		return (violates(validate, FAULT_INVALID, "%s: %s",
		    subject(rule, quoted), detail));
	if (validate->cursor->shape->kind == SHAPE_MAP)
		return (violates_name(validate, FAULT_INVALID, detail));
	/* No known member has such a name. */
	return (member_key(validate, validate->cursor->shape, "", 0));
}

static bool
on_key(void * context, const char * text, size_t length)
{
	struct validate * validate = context;
	const struct json_shape * shape = validate->cursor->shape;

	switch (shape->kind) {
	case SHAPE_OBJECT:
		return (member_key(validate, shape, text, length));
	case SHAPE_MAP:
		validate->cursor->rule = shape->items;
		return (element_take_name(validate->element, shape->items,
		    text, length) || on_refused(validate, JSON_NAME));
	case SHAPE_ARRAY:
	case SHAPE_ANY:
		break;
	}
	return (true);
}

/* A value of the wrong type starts, or what is not direct: an impact metric, or
 * a sample of one. */
static bool
open_container(struct validate * validate, unsigned int type)
{
	const struct json_rule * rule = validate->cursor->rule;
	size_t i;

	if ((rule->accepts & type) == 0) {
		json_open_as(validate->json, &schema_any);
		return (violates_type(validate, rule));
	}
	if (rule->element)
		for (i = 0; i < ALTERNATIVE_COUNT; i++)
			validate->kept[i].code = FAULT_NONE;
	else
		json_open_as(validate->json,
		    &schema_sample[validate->element->alternative]);
	return (true);
}

static bool
on_object_start(void * context)
{

	return (open_container(context, JSON_OBJECT));
}

static bool
on_array_start(void * context)
{

	return (open_container(context, JSON_ARRAY));
}

static bool
violates_missing(struct validate * validate, const struct json_shape * shape,
    uint32_t required)
{
	char quoted[FAULT_QUOTE_MAX];
	uint32_t missing = required & ~validate->cursor->seen;
	const struct json_rule * rule = shape->rules;

	for (; (missing & 1) == 0; missing >>= 1)
		rule++;
	return (violates(validate, FAULT_INVALID, "%s is missing",
	    subject(rule, quoted)));
}

/* Which members a sample lacks depends on its metric's type, if known. */
static bool
check_sample(struct validate * validate, const struct json_shape * shape)
{
	enum schema_alternative i;

	for (i = NUMERIC; i < ALTERNATIVE_COUNT; i++) {
		uint32_t required = schema_sample_required[i];

		if ((validate->cursor->seen & required) == required)
			continue;
		validate->trial = i;
		validate->trial_depth = json_depth(validate->json);
		if (!violates_missing(validate, shape, required))
			return (false);
		validate->trial = EITHER;
	}
	return (true);
}

/* An object has ended that lacks a member, or is not direct. */
static bool
on_object_end(void * context)
{
	struct validate * validate = context;
	const struct json_shape * shape = validate->cursor->shape;

	if (shape == &schema_sample[EITHER])
		validate->trial = EITHER;
	if ((validate->cursor->seen & shape->required) != shape->required)
		return (violates_missing(validate, shape, shape->required));
	if (shape == &schema_sample[EITHER] && !check_sample(validate, shape))
		return (false);
	return (element_end(validate->element, shape->meaning) ||
	    on_refused(validate, JSON_END));
}

#define HANDLER								\
	.null = on_null,						\
	.boolean = on_boolean,						\
	.number = on_number,						\
	.string = on_string,						\
	.key = on_key,							\
	.object_start = on_object_start,				\
	.object_end = on_object_end,					\
	.array_start = on_array_start,					\
	.takes = element_takes,						\
	.take_name = element_take_name,					\
	.begin = element_begin,						\
	.end = element_end,						\
	.refused = on_refused

static const struct json_handler strict_handler = { HANDLER };
static const struct json_handler lenient_handler = { HANDLER,
	.garbled = on_garbled };

struct validate *
validate_create(struct arena * arena, struct arena * scratch,
    const struct validate_settings * settings, struct tally * tally,
    struct fault * fault)
{
	struct validate * validate = arena_take(arena, sizeof(*validate));

	memset(validate, 0, sizeof(*validate));
	validate->tally = tally;
	validate->fault = fault;
	validate->invalid = settings->invalid;
	validate->element = element_create(arena, scratch, &settings->element,
	    tally);
	validate->json = json_create(arena,
	    settings->invalid == VALIDATE_LENIENT ? &lenient_handler :
	    &strict_handler, validate, settings->limit_depth, fault);
	json_set_taker(validate->json, validate->element);
	validate->cursor = json_cursor(validate->json);
	validate->cursor->rule = settings->schema;
	return (validate);
}

bool
validate_feed(struct validate * validate, const void * text, size_t length)
{
	bool valid;

	element_piece(validate->element, text, length);
	valid = json_feed(validate->json, text, length);
	element_piece_done(validate->element);
	return (valid);
}

bool
validate_finish(struct validate * validate)
{
	bool whole = json_finish(validate->json);

	if (whole)
		log_left_out(validate);
	return (whole);
}
