#include <string.h>

#include "lib/base/date.h"
#include "lib/base/digest.h"
#include "lib/base/number.h"
#include "lib/body/element.h"

bool
element_problem(struct element * element, enum fault_code code,
    const char * what, const char * why)
{

	element->problem.code = code;
	element->problem.limit = FAULT_LIMIT_NONE;
	element->problem.what = what;
	element->problem.why = why;
	return (false);
}

bool
element_beyond(struct element * element, enum fault_code code,
    enum fault_limit limit, const char * what)
{

	element_problem(element, code, what, NULL);
	element->problem.limit = limit;
	return (false);
}

static bool
invalid(struct element * element, const char * what)
{

	return (element_problem(element, FAULT_INVALID, what, NULL));
}

struct element *
element_create(struct arena * arena, struct arena * scratch,
    const struct element_settings * settings, struct tally * tally)
{
	struct element * element = arena_take(arena, sizeof(*element));

	memset(element, 0, sizeof(*element));
	element->scratch = scratch;
	element->settings = settings;
	element->tally = tally;
	return (element);
}

static void
list_clear(struct element_list * list)
{

	list->first = NULL;
	list->end = &list->first;
	list->count = 0;
	list->present = false;
}

/* Forget what was taken of the previous element. */
static void
forget(struct element * element)
{

	arena_reset(element->scratch);
	element->entries = 0;
	element->borrowed_count = 0;
}

static void
begin_element(struct element * element, unsigned int slots,
    unsigned int lists)
{
	unsigned int i;

	forget(element);
	memset(element->text, 0, slots * sizeof(element->text[0]));
	for (i = 0; i < lists; i++)
		list_clear(&element->list[i]);
}

void
element_clear(struct element * element)
{

	begin_element(element, SLOT_COUNT, LIST_COUNT);
}

void
element_piece(struct element * element, const char * text, size_t length)
{

	element->piece = text;
	element->piece_length = length;
}

void
element_piece_done(struct element * element)
{
	size_t i;

	for (i = 0; i < element->borrowed_count; i++) {
		struct text * text = element->borrowed[i];

		text->bytes = arena_copy(element->scratch, text->bytes,
		    text->length);
	}
	element->borrowed_count = 0;
	element->piece = NULL;
	element->piece_length = 0;
}

void
element_begin(void * context, unsigned int meaning)
{
	struct element * element = context;

	switch ((enum schema_meaning)meaning) {
	case MEANS_METRIC:
		begin_element(element, SLOT_METRIC_COUNT, LIST_METRIC_COUNT);
		break;
	case MEANS_APPLICATION:
		element_clear(element);
		break;
	case MEANS_TOGGLE:
		element->count[COUNT_YES] = element->count[COUNT_NO] = 0;
		break;
	case MEANS_IMPACT:
		begin_element(element, SLOT_COUNT, 0);
		element_impact_begin(element);
		break;
	case MEANS_SAMPLE:
		element_impact_sample_begin(element);
		list_clear(&element->labels);
		break;
	case MEANS_STRATEGIES:
		element->list[LIST_STRATEGIES].present = true;
		break;
	case MEANS_PROJECTS:
		element->list[LIST_PROJECTS].present = true;
		break;
	case MEANS_CONNECT_VIA:
		element->list[LIST_CONNECT_VIA].present = true;
		break;
	case MEANS_BUCKET:
		element->bound.bytes = NULL;
		break;
	case MEANS_VIA:
	case MEANS_REPORT:
	case MEANS_NOTHING:
		break;
	}
}

struct element_item *
element_append(struct element * element, struct element_list * list)
{
	struct element_item * item = arena_take(element->scratch,
	    sizeof(*item));

	memset(item, 0, sizeof(*item));
	*list->end = item;
	list->end = &item->next;
	list->count++;
	element->entries++;
	return (item);
}

bool
element_within_limits(struct element * element)
{
	size_t limit = element->settings->limit_counters;

	if (limit > 0 && (element->entries > limit ||
	    element->tally->counters > limit))
		return (element_beyond(element, FAULT_TOO_LARGE,
		    FAULT_LIMIT_COUNTERS,
		    "exceeds limit_counters"));
	return (element_has_room(element, 0));
}

bool
element_has_room(struct element * element, size_t size)
{
	size_t limit = element->settings->limit_memory;

	if (limit == 0 || arena_held(element->tally->arena) +
	    arena_held(element->scratch) + size <= limit)
		return (true);
	return (element_beyond(element, FAULT_TOO_LARGE, FAULT_LIMIT_MEMORY,
	    "takes more memory than limit_memory"));
}

/* Return whether a list has room for one more item; otherwise drop it. */
static bool
is_within(struct element * element, size_t count, size_t limit,
    enum tally_drop drop)
{

	if (limit == 0 || count < limit)
		return (true);
	element->tally->dropped[drop]++;
	return (false);
}

bool
element_may_report(struct element * element, const struct text * environment)
{
	const struct element_settings * settings = element->settings;

	if (settings->any_environment ||
	    (environment->length == settings->environment.length &&
	    memcmp(environment->bytes, settings->environment.bytes,
	    environment->length) == 0))
		return (true);
	element->tally->dropped[DROP_ENVIRONMENT]++;
	return (false);
}

static bool
in_piece(const struct element * element, const char * text)
{

	return ((uintptr_t)text - (uintptr_t)element->piece <
	    element->piece_length);
}

/* Borrow a text from the piece, and copy it when the piece is done; copy it now
 * if too many are borrowed. */
static void
borrow(struct element * element, struct text * kept)
{

	if (element->borrowed_count < ELEMENT_BORROWED_MAX)
		element->borrowed[element->borrowed_count++] = kept;
	else
		kept->bytes = arena_copy(element->scratch, kept->bytes,
		    kept->length);
}

/* Keep a text for as long as the element is read. */
static void
keep_any(struct element * element, struct text * kept, const char * text,
    size_t length)
{

	kept->bytes = text;
	kept->length = length;
	if (in_piece(element, text))
		borrow(element, kept);
	else
		kept->bytes = arena_copy(element->scratch, text, length);
}

void
element_share(struct element * element, struct text * kept,
    const struct text * from)
{

	*kept = *from;
	if (in_piece(element, from->bytes))
		borrow(element, kept);
}

static bool
may_be_name(struct element * element, size_t length)
{

	return (length <= element->settings->limit_name ||
	    element_beyond(element, FAULT_INVALID, FAULT_LIMIT_NAME,
	    "is longer than limit_name"));
}

/* Keep a name, or another text with the same limit. */
static bool
keep(struct element * element, struct text * kept, const char * text,
    size_t length)
{

	if (!may_be_name(element, length))
		return (false);
	keep_any(element, kept, text, length);
	return (true);
}

bool
element_take_name(void * context, const struct json_rule * rule,
    const char * text, size_t length)
{
	struct element * element = context;

	if (!rule->element)
		return (keep(element, &element->key, text, length));
	/* A toggle begins with its name. */
	forget(element);
	list_clear(&element->list[LIST_VARIANTS]);
	return (keep(element, &element->text[SLOT_FEATURE_NAME], text, length));
}

static bool
is_digits(const char * text, size_t length)
{
	size_t i = 0;

	while (i < length && text[i] >= '0' && text[i] <= '9')
		i++;
	return (i == length && length > 0 && length <= NUMBER_LENGTH_MAX);
}

static bool
take_count(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{
	struct element * element = context;
	const char * what;

	if (type == JSON_STRING && !is_digits(text, length))
		return (invalid(element, "is not a number"));
	what = number_count(text, length, &element->count[rule->slot]);
	return (what == NULL || invalid(element, what));
}

static bool
take_date(struct element * element, const char * text, size_t length,
    int64_t * instant)
{
	const char * why;

	if (date_parse_next(&element->date, text, length, instant, &why) == 0)
		return (true);
	return (element_problem(element, FAULT_INVALID,
	    "is not a date-time of RFC 3339", why));
}

static bool
take_nothing(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{

	(void)context;
	(void)rule;
	(void)type;
	(void)text;
	(void)length;
	return (true);
}

static bool
take_text(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{
	struct element * element = context;

	(void)type;
	return (keep(element, &element->text[rule->slot], text, length));
}

static bool
take_timestamp(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{
	struct element * element = context;

	(void)rule;
	(void)type;
	return (take_date(element, text, length, &element->timestamp));
}

static bool
take_sdk_type(struct element * element, const char * text, size_t length)
{
	struct text type = { text, length };

	if (text_is(&type, "frontend") || text_is(&type, "backend"))
		return (true);
	return (invalid(element, "must be \"frontend\" or \"backend\""));
}

static bool
take_variant(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{
	struct element * element = context;
	struct element_item * item;
	const char * what;
	uint64_t count;

	(void)rule;
	(void)type;
	if ((what = number_count(text, length, &count)) != NULL)
		return (invalid(element, what));
	if (count == 0)
		return (true);
	item = element_append(element, &element->list[LIST_VARIANTS]);
	element_share(element, &item->name, &element->key);
	item->count = count;
	return (element_within_limits(element));
}

bool
element_take_number_text(struct element * element, struct text * kept,
    const char * text, size_t length)
{
	char number[NUMBER_TEXT_MAX];

	kept->length = number_canonical(number, text, length);
	if (kept->length == 0)
		return (invalid(element, "is too large for a double"));
	kept->bytes = arena_copy(element->scratch, number, kept->length);
	return (true);
}

static bool
take_label(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{
	struct element * element = context;
	size_t limit = element->settings->limit_labels;
	struct element_item * item;

	(void)rule;
	if (limit > 0 && element->labels.count >= limit) {
		/* Without the label it would merge into another series. */
		element->sample->crowded = true;
		return ((type == JSON_NUMBER ||
		    may_be_name(element, length)) &&
		    element_within_limits(element));
	}
	item = element_append(element, &element->labels);
	element_share(element, &item->name, &element->key);
	if (type == JSON_NUMBER ?
	    !element_take_number_text(element, &item->value, text, length) :
	    !keep(element, &item->value, text, length))
		return (false);
	return (element_within_limits(element));
}

static bool
take_number(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{
	struct element * element = context;
	struct element_sample * sample = element->sample;
	double * number = rule->alternative == NUMERIC ?
	    &sample->value : &sample->sum;

	if (type == JSON_NULL) {
		sample->null[rule->alternative] = true;
		return (true);
	}
	if (number_double(text, length, number))
		return (true);
	return (invalid(element, "is too large for a double"));
}

static bool
take_token(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{
	struct element * element = context;
	struct text environment = element->settings->any_environment ?
	    text_of("*") : element->settings->environment;
	size_t size = DIGEST_SIZE + environment.length;
	unsigned char * name;

	(void)rule;
	(void)type;
	if (!is_within(element, element->tally->tokens,
	    element->settings->limit_tokens, DROP_TOKENS))
		return (true);
	name = arena_take(element->scratch, size);
	digest_sha256(text, length, name);
	memcpy(name + DIGEST_SIZE, environment.bytes, environment.length);
	tally_token(element->tally, name, size);
	element->entries = 0;
	return (element_within_limits(element));
}

/* Take a value that is kept as its text, after a check. */
static bool
take_checked(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{
	struct element * element = context;
	int64_t instant;

	(void)type;
	if (rule->use == USE_SDK_TYPE &&
	    !take_sdk_type(element, text, length))
		return (false);
	if (rule->use == USE_DATE_TEXT &&
	    !take_date(element, text, length, &instant))
		return (false);
	if (rule->use == USE_INTEGER && !number_is_integer(text, length))
		return (invalid(element, "is not an integer"));
	/* A metric's sdkType is checked but not kept. */
	if (rule->slot != SLOT_COUNT)
		keep_any(element, &element->text[rule->slot], text, length);
	return (true);
}

/* Return whether a registration's list takes another item. */
static bool
list_takes(struct element * element, enum schema_list list)
{
	static const enum tally_drop drops[LIST_COUNT] = {
		[LIST_STRATEGIES] = DROP_STRATEGIES,
		[LIST_PROJECTS] = DROP_PROJECTS,
		[LIST_CONNECT_VIA] = DROP_CONNECT_VIA,
	};

	return (is_within(element, element->list[list].count,
	    element->settings->limit_list[list], drops[list]));
}

static bool
take_item(void * context, const struct json_rule * rule, unsigned int type,
    const char * text, size_t length)
{
	struct element * element = context;
	enum schema_list list = (enum schema_list)rule->slot;

	(void)type;
	if (!may_be_name(element, length))
		return (false);
	if (!list_takes(element, list))
		return (true);
	keep_any(element, &element_append(element, &element->list[list])->name,
	    text, length);
	return (element_within_limits(element));
}

/* How to take a value, by enum schema_use. */
json_take * const element_takes[] = {
	[USE_NOTHING] = take_nothing,
	[USE_TEXT] = take_text,
	[USE_COUNT] = take_count,
	[USE_INTEGER] = take_checked,
	[USE_DATE_TEXT] = take_checked,
	[USE_TIMESTAMP] = take_timestamp,
	[USE_SDK_TYPE] = take_checked,
	[USE_IMPACT_TYPE] = element_impact_take_type,
	[USE_VARIANT] = take_variant,
	[USE_LABEL] = take_label,
	[USE_LIST_ITEM] = take_item,
	[USE_NUMBER] = take_number,
	[USE_BOUND] = element_impact_take_bound,
	[USE_TOKEN] = take_token,
	[USE_REPORT] = element_take_report,
	[USE_START] = element_take_start,
};

static void
end_via(struct element * element)
{
	struct element_item * item;

	if (!list_takes(element, LIST_CONNECT_VIA))
		return;
	item = element_append(element, &element->list[LIST_CONNECT_VIA]);
	element_share(element, &item->name, &element->text[SLOT_VIA_APP_NAME]);
	element_share(element, &item->value,
	    &element->text[SLOT_VIA_INSTANCE_ID]);
}

bool
element_end(void * context, unsigned int meaning)
{
	struct element * element = context;

	switch ((enum schema_meaning)meaning) {
	case MEANS_METRIC:
		return (element_metric_count(element));
	case MEANS_APPLICATION:
		return (element_application_count(element));
	case MEANS_IMPACT:
		return (element_impact_count(element));
	case MEANS_TOGGLE:
		return (element_toggle_count(element));
	case MEANS_REPORT:
		return (element_report_count(element));
	case MEANS_SAMPLE:
		element_impact_sample_end(element);
		return (element_within_limits(element));
	case MEANS_BUCKET:
		element_impact_bucket_end(element);
		return (element_within_limits(element));
	case MEANS_VIA:
		end_via(element);
		return (element_within_limits(element));
	case MEANS_STRATEGIES:
	case MEANS_PROJECTS:
	case MEANS_CONNECT_VIA:
	case MEANS_NOTHING:
		break;
	}
	return (true);
}
