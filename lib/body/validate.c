#include <string.h>

#include "lib/base/log.h"
#include "lib/body/schema.h"
#include "lib/body/validate.h"

/*
 * The open objects and arrays of the text are levels, each with the shape
 * that the schema gives it.  What the schema does not know, and what is not
 * looked at any more because it is at fault, has the shape schema_any.
 *
 * A violation ends in one of three ways (violation()):
 * - In a sample of an impact metric whose type has not come yet, it may turn
 *   out not to matter: it is kept until the type is known.
 * - With VALIDATE_SKIP, inside an element of the body's arrays, the element is
 *   left out.
 * - Otherwise it is the body's fault, and the reader is stopped.
 */
#define LEFT_OUT_LOGGED 10

struct level {
	const struct json_shape * shape;
	struct json_cursor cursor;	/* While a deeper one is open. */
};

struct validate {
	struct json * json;
	struct json_cursor * cursor;
	struct element * element;
	struct tally * tally;
	struct fault * fault;
	enum validate_invalid invalid;

	struct level * levels;
	size_t depth;
	struct element_problem problem;

	size_t element_depth;		/* Level of the open element, or 0. */
	bool element_bad;		/* It is being left out. */
	enum fault_limit beyond;	/* Of the violation at hand. */

	/* A member that counts for one alternative only, with type unknown. */
	enum schema_alternative trial;
	size_t trial_depth;
	struct fault kept[ALTERNATIVE_COUNT];
};

/* The rule of what comes in a shape before any name has come. */
static const struct json_rule *
next_rule(const struct json_shape * shape)
{

	return (shape->items != NULL ? shape->items : &schema_ignored);
}

/* The members of a shape come, or its items; in a map a name says which. */
static void
expect(struct json_cursor * cursor, const struct json_shape * shape)
{

	cursor->rule = next_rule(shape);
	/* What is right there depends on what has come; see member_key. */
	cursor->expected = shape == &schema_sample[EITHER] ||
	    shape->kind != SHAPE_OBJECT ? &json_rule_none : shape->rules;
	cursor->bit = 1;
	cursor->seen = 0;
}

/* Look no more at anything that is open above the first ${depth} levels. */
static void
ignore_above(struct validate * batch, size_t depth)
{
	size_t i;

	for (i = depth; i < batch->depth; i++) {
		batch->levels[i].shape = &schema_any;
		expect(&batch->levels[i].cursor, &schema_any);
	}
	if (depth < batch->depth)
		expect(batch->cursor, &schema_any);
	else
		batch->cursor->rule = next_rule(batch->levels[depth - 1].shape);
}

/* A body may hold millions that are at fault; the log tells of the first. */
static void
leave_out(struct validate * batch, const struct fault * fault)
{

	if (batch->tally->dropped[DROP_INVALID]++ < LEFT_OUT_LOGGED)
		log_info("left out an element at %s, byte %llu: %s",
		    fault->pointer, (unsigned long long)fault->offset,
		    fault->detail);
}

static void
log_left_out(const struct validate * batch)
{
	uint64_t count = batch->tally->dropped[DROP_INVALID];

	if (count > LEFT_OUT_LOGGED)
		log_info("left out %llu more elements of the same body",
		    (unsigned long long)(count - LEFT_OUT_LOGGED));
}

/* Act on a violation.  Return whether to go on reading. */
static bool
violation(struct validate * batch, const struct fault * fault)
{

	if (fault->code == FAULT_INVALID && batch->trial != EITHER) {
		if (batch->kept[batch->trial].code == FAULT_NONE)
			batch->kept[batch->trial] = *fault;
		ignore_above(batch, batch->trial_depth);
		return (true);
	}
	if (fault->code == FAULT_INVALID && batch->invalid == VALIDATE_SKIP &&
	    batch->element_depth > 0) {
		if (!batch->element_bad)
			leave_out(batch, fault);
		batch->element_bad = true;
		batch->trial = EITHER;
		ignore_above(batch, batch->element_depth - 1);
		return (true);
	}
	*batch->fault = *fault;
	return (false);
}

__attribute__((format(printf, 3, 4)))
static bool
violates(struct validate * batch, enum fault_code code, const char * format,
    ...)
{
	struct fault fault = { .code = FAULT_NONE };
	va_list arguments;

	va_start(arguments, format);
	json_describe(batch->json, &fault, code, format, arguments);
	va_end(arguments);
	fault.limit = batch->beyond;
	batch->beyond = FAULT_LIMIT_NONE;
	return (violation(batch, &fault));
}

/* What a rule is about, for a message: the member's name, or an item. */
static const char *
subject(const struct json_rule * rule, char out[FAULT_QUOTE_MAX])
{

	if (rule == NULL || rule->name.bytes == NULL)
		return ("this value");
	return (fault_quote(out, rule->name.bytes, rule->name.length));
}

static bool
violates_with(struct validate * batch, const struct json_rule * rule,
    const struct element_problem * problem)
{
	char quoted[FAULT_QUOTE_MAX];

	batch->beyond = problem->limit;
	return (violates(batch, problem->code, "%s %s%s%s",
	    subject(rule, quoted), problem->what,
	    problem->why == NULL ? "" : ": ",
	    problem->why == NULL ? "" : problem->why));
}

/*
 * An element that is no object has no level of its own; it is open for just
 * as long as it takes to find it at fault.
 */
static bool
violates_type(struct validate * batch, const struct json_rule * rule)
{
	char quoted[FAULT_QUOTE_MAX];
	bool bare = rule->element && batch->element_depth == 0;
	bool go_on;

	if (bare)
		batch->element_depth = batch->depth + 1;
	go_on = violates(batch, FAULT_INVALID, "%s must be %s",
	    rule == &schema_body ? "the body" : subject(rule, quoted),
	    schema_expected(rule->accepts));
	if (bare) {
		batch->element_depth = 0;
		batch->element_bad = false;
	}
	return (go_on);
}

/*
 * The type of an impact metric has come, or its end: what was wrong with
 * samples for an alternative matters if it is this one.
 */
static bool
settle_alternative(struct validate * batch)
{
	enum schema_alternative alternative = batch->element->alternative;
	struct fault fault = batch->kept[alternative];

	if (alternative == EITHER || fault.code == FAULT_NONE)
		return (true);
	batch->kept[alternative].code = FAULT_NONE;
	return (violation(batch, &fault));
}

static bool
take(struct validate * batch, unsigned int type, const char * text,
    size_t length)
{
	const struct json_rule * rule = batch->cursor->rule;

	if ((rule->accepts & type) == 0)
		return (violates_type(batch, rule));
	if (!element_take(batch->element, rule, type, text, length,
	    &batch->problem))
		return (violates_with(batch, rule, &batch->problem));
	if (rule->use == USE_IMPACT_TYPE)
		return (settle_alternative(batch));
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
violates_once(struct validate * batch, const struct json_rule * rule)
{
	char quoted[FAULT_QUOTE_MAX];

	return (violates(batch, FAULT_INVALID, "%s stands twice in one object",
	    subject(rule, quoted)));
}

/* A member that is known, but did not come where it was expected. */
static bool
member_key(struct validate * batch, const struct json_shape * shape,
    const char * text, size_t length)
{
	struct json_cursor * cursor = batch->cursor;
	unsigned int member = schema_member(shape, text, length);
	const struct json_rule * rule = &shape->rules[member];
	uint32_t bit = (uint32_t)1 << member;

	cursor->rule = &schema_ignored;
	if (batch->trial_depth == batch->depth)
		batch->trial = EITHER;
	if (member == shape->count)
		return (true);
	if (shape == &schema_sample[EITHER] && rule->alternative != EITHER) {
		batch->trial = rule->alternative;
		batch->trial_depth = batch->depth;
	}
	if ((cursor->seen & bit) != 0)
		return (violates_once(batch, rule));
	cursor->seen |= bit;
	cursor->rule = rule;
	if (shape != &schema_sample[EITHER]) {
		cursor->expected = rule + 1;
		cursor->bit = bit << 1;
	}
	return (true);
}

static bool
on_key(void * context, const char * text, size_t length)
{
	struct validate * batch = context;
	const struct json_shape * shape =
	    batch->levels[batch->depth - 1].shape;

	switch (shape->kind) {
	case SHAPE_OBJECT:
		return (member_key(batch, shape, text, length));
	case SHAPE_MAP:
		if (element_key(batch->element, text, length,
		    &batch->problem))
			return (true);
		batch->beyond = batch->problem.limit;
		return (violates(batch, batch->problem.code, "a name %s",
		    batch->problem.what));
	case SHAPE_ARRAY:
	case SHAPE_ANY:
		break;
	}
	return (true);
}

static void
open_element(struct validate * batch)
{
	size_t i;

	batch->element_depth = batch->depth;
	batch->element_bad = false;
	batch->trial = EITHER;
	for (i = 0; i < ALTERNATIVE_COUNT; i++)
		batch->kept[i].code = FAULT_NONE;
}

static bool
open_level(struct validate * batch, unsigned int type)
{
	const struct json_rule * rule = batch->cursor->rule;
	const struct json_shape * shape = &schema_any;
	bool fits = (rule->accepts & type) != 0;

	if (!fits && !violates_type(batch, rule))
		return (false);
	if (fits)
		shape = rule->shape;
	if (shape == &schema_sample[EITHER])
		shape = &schema_sample[batch->element->alternative];
	if (batch->depth > 0)
		batch->levels[batch->depth - 1].cursor = *batch->cursor;
	batch->levels[batch->depth++].shape = shape;
	expect(batch->cursor, shape);
	if (fits && rule->element)
		open_element(batch);
	element_begin(batch->element, shape->meaning);
	return (true);
}

/* The level has closed. */
static void
leave_level(struct validate * batch)
{

	if (batch->depth > 0)
		*batch->cursor = batch->levels[batch->depth - 1].cursor;
}

static bool
on_object_start(void * context)
{

	return (open_level(context, JSON_OBJECT));
}

static bool
on_array_start(void * context)
{

	return (open_level(context, JSON_ARRAY));
}

static bool
violates_missing(struct validate * batch, const struct json_shape * shape,
    uint32_t required)
{
	char quoted[FAULT_QUOTE_MAX];
	uint32_t missing = required & ~batch->cursor->seen;
	const struct json_rule * rule = shape->rules;

	for (; (missing & 1) == 0; missing >>= 1)
		rule++;
	return (violates(batch, FAULT_INVALID, "%s is missing",
	    subject(rule, quoted)));
}

/* What a sample lacks depends on its metric's type, which has yet to come. */
static bool
check_sample(struct validate * batch, const struct json_shape * shape)
{
	enum schema_alternative i;

	for (i = NUMERIC; i < ALTERNATIVE_COUNT; i++) {
		uint32_t required = schema_sample_required[i];

		if ((batch->cursor->seen & required) == required)
			continue;
		batch->trial = i;
		batch->trial_depth = batch->depth;
		if (!violates_missing(batch, shape, required))
			return (false);
		batch->trial = EITHER;
	}
	return (true);
}

/* The object has ended with the shape it began with: is it complete? */
static bool
close_object(struct validate * batch, const struct json_shape * shape)
{

	if ((batch->cursor->seen & shape->required) != shape->required)
		return (violates_missing(batch, shape, shape->required));
	if (shape == &schema_sample[EITHER] && !check_sample(batch, shape))
		return (false);
	if (batch->element_bad || element_end(batch->element, shape->meaning,
	    &batch->problem))
		return (true);
	return (violates_with(batch, NULL, &batch->problem));
}

static bool
on_object_end(void * context)
{
	struct validate * batch = context;
	const struct json_shape * shape =
	    batch->levels[--batch->depth].shape;
	bool go_on = true;

	if (batch->trial_depth == batch->depth + 1)
		batch->trial = EITHER;
	if (shape->kind == SHAPE_OBJECT)
		go_on = close_object(batch, shape);
	if (batch->element_depth == batch->depth + 1) {
		batch->element_depth = 0;
		batch->element_bad = false;
	}
	leave_level(batch);
	return (go_on);
}

static bool
on_array_end(void * context)
{
	struct validate * batch = context;

	batch->depth--;
	leave_level(batch);
	return (true);
}

static const struct json_handler handler = {
	.null = on_null,
	.boolean = on_boolean,
	.number = on_number,
	.string = on_string,
	.key = on_key,
	.object_start = on_object_start,
	.object_end = on_object_end,
	.array_start = on_array_start,
	.array_end = on_array_end,
};

struct validate *
validate_create(struct arena * arena, struct arena * scratch,
    const struct validate_settings * settings, struct tally * tally,
    struct fault * fault)
{
	struct validate * batch = arena_take(arena, sizeof(*batch));

	memset(batch, 0, sizeof(*batch));
	batch->tally = tally;
	batch->fault = fault;
	batch->invalid = settings->invalid;
	batch->levels = arena_take(arena,
	    settings->limit_depth * sizeof(*batch->levels));
	batch->element = element_create(arena, scratch, &settings->element,
	    tally);
	batch->json = json_create(arena, &handler, batch,
	    settings->limit_depth, fault);
	batch->cursor = json_cursor(batch->json);
	batch->cursor->rule = &schema_body;
	return (batch);
}

bool
validate_feed(struct validate * batch, const void * text, size_t length)
{
	bool valid;

	element_piece(batch->element, text, length);
	valid = json_feed(batch->json, text, length);
	element_piece_done(batch->element);
	return (valid);
}

bool
validate_finish(struct validate * batch)
{
	bool whole = json_finish(batch->json);

	if (whole)
		log_left_out(batch);
	return (whole);
}
