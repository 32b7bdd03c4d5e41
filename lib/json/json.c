#include <stdio.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "lib/base/utf8.h"
#include "lib/json/json.h"
#include "lib/json/json_error.h"
#include "lib/json/json_path.h"
#include "lib/json/json_strict.h"
#include "lib/json/json_token.h"

/*
 * The position of a token is needed only for an error report, so the reader
 * keeps just enough to find it again: the position of the latest opening
 * bracket (mark), and the token that was unfinished at the end of the previous
 * piece (token).
 */

/*
 * yajl rescans an unfinished string from its start with each piece, so an
 * endless string would cost quadratic time before its length is known.  The
 * reader therefore limits the raw length too.  An escape takes at most six
 * bytes for each decoded one.
 */
#define RAW_STRING_MAX (JSON_STRING_MAX * 6 + 2)

/* In a pointer it is the name of a member whose name is at fault. */
#define GARBLED_NAME "\xef\xbf\xbd"

/* Whether a member of the current object is being read, and who knows its
 * name. */
enum member {
	NOT_NAMED,
	NAMED_BY_RULE,
	NAMED_BY_PATH,
};

const struct json_rule json_rule_none = { .name = { NULL, SIZE_MAX } };

/* A rule that ignores nothing, and what it means for an object or array. */
static const struct json_rule heard;
static const struct json_shape heard_shape = {
	.items = &heard, .expected = &json_rule_none };

struct json {
	struct json_cursor cursor;
	struct json_cursor * levels;	/* Of what is around, the outermost */
	struct json_cursor * level;	/* first; and where the next goes. */
	const struct json_shape * opens;	/* In a start callback. */
	struct json_path path;
	enum member member;
	bool ascii;			/* The piece is pure ASCII. */
	const char * garbled;		/* What is wrong with the string that
					 * is being read, or NULL. */
	const struct json_handler * handler;
	void * context;
	void * taker;
	struct fault * fault;
	yajl_handle yajl;
	yajl_alloc_funcs allocator;
	struct json_strict strict;
	size_t order_mark;		/* Bytes of the mark before the text. */

	const char * piece;		/* The current piece, */
	size_t piece_length;
	uint64_t base;			/* and its offset in the text. */

	struct json_token token;	/* The unfinished one before base. */
	uint64_t mark;			/* Of the latest opening bracket. */
	bool closing;			/* In the end callback of a */
	uint64_t closing_start;		/* container that opened here. */
	uint64_t end;			/* Of the top-level value. */
};

/*
 * yajl's memory comes from the arena.  Its realloc is not told the old size,
 * so each piece is preceded by its own.
 */
union piece_header {
	size_t size;
	_Alignas(ARENA_ALIGNMENT) unsigned char alignment;
};

static void *
yajl_take(void * context, size_t size)
{
	struct arena * arena = context;
	union piece_header * header = arena_take(arena,
	    sizeof(*header) + size);

	header->size = size;
	return (header + 1);
}

static void *
yajl_take_again(void * context, void * old, size_t size)
{
	void * new = yajl_take(context, size);
	const union piece_header * header = old;
	size_t old_size;

	if (old != NULL) {
		old_size = header[-1].size;
		memcpy(new, old, old_size < size ? old_size : size);
	}
	return (new);
}

static void
yajl_give_back(void * context, void * piece)
{

	/* The arena takes everything back when it is reset. */
	(void)context;
	(void)piece;
}

static uint64_t
consumed(const struct json * json)
{

	return (json->base + yajl_get_bytes_consumed(json->yajl));
}

/* Find the latest token that begins before ${end}. */
static void
json_find_token(const struct json * json, struct json_token * token,
    uint64_t end)
{
	static const struct json_token none;
	uint64_t from = json->base;

	*token = json->token;
	if (json->mark >= json->base) {
		*token = none;
		from = json->mark;
	}
	if (end > json->base + json->piece_length)
		end = json->base + json->piece_length;
	if (end > from)
		json_token_read(token, json->piece + (from - json->base), from,
		    (size_t)(end - from));
}

/*
 * Offset of the first byte of the current value, key or separator.  Error
 * paths are not inlined, which keeps the fast path small.
 */
__attribute__((noinline))
static uint64_t
token_start(const struct json * json)
{
	struct json_token token;

	if (json->closing)
		return (json->closing_start);
	json_find_token(json, &token, consumed(json));
	return (token.start);
}

static bool
json_in_piece(const struct json * json, const char * text, size_t length)
{
	uintptr_t from = (uintptr_t)json->piece;
	uintptr_t at = (uintptr_t)text;

	/* The closing quote must be in the piece too. */
	return (at >= from && at + length < from + json->piece_length);
}

/* Copy the current member's name from the cursor's rule into the path. */
static void
name_path(struct json * json)
{
	const struct text * name = &json->cursor.rule->name;

	if (json->member == NAMED_BY_RULE)
		json_path_name(&json->path, name->bytes, name->length, true);
	else if (json->member == NOT_NAMED)
		json_path_name(&json->path, NULL, 0, true);
	else
		return;
	json->member = NAMED_BY_PATH;
}

void
json_describe(struct json * json, struct fault * fault, enum fault_code code,
    const char * format, va_list arguments)
{
	char pointer[FAULT_POINTER_MAX];

	name_path(json);
	json_path_write(&json->path, pointer, sizeof(pointer));
	fault_vset(fault, code, token_start(json), pointer, format, arguments);
}

/* Reject the text itself, at ${offset}. */
static bool
reject_text(struct json * json, uint64_t offset, const char * detail)
{
	char pointer[FAULT_POINTER_MAX];

	name_path(json);
	json_path_write(&json->path, pointer, sizeof(pointer));
	fault_set(json->fault, FAULT_INVALID, offset, pointer, "%s", detail);
	return (false);
}

__attribute__((noinline))
static bool
reject_token(struct json * json, const char * detail)
{

	return (reject_text(json, token_start(json), detail));
}

static bool
is_ascii(const char * text, size_t length)
{
	uint64_t all = 0;

	for (; length >= 64; length -= 64, text += 64)
		all |= text_word(text) | text_word(text + 8) |
		    text_word(text + 16) | text_word(text + 24) |
		    text_word(text + 32) | text_word(text + 40) |
		    text_word(text + 48) | text_word(text + 56);
	for (; length > 0; length--)
		all |= (unsigned char)*text++;
	return ((all & 0x8080808080808080u) == 0);
}

/* What is wrong with a string or key, or NULL. */
static const char *
string_fault(struct json * json, const char * text, size_t length)
{
	const char * garbled = json->garbled;

	json->garbled = NULL;
	if (length > JSON_STRING_MAX)
		return ("a string is longer than 64 KiB");
	/* Escapes cannot decode to bad UTF-8; see json_strict.h. */
	if (!json->ascii && !is_ascii(text, length) &&
	    !utf8_is_valid(text, length))
		return ("a string is not valid UTF-8");
	return (garbled);
}

__attribute__((noinline))
static bool
garbled_string(struct json * json, bool key, const char * detail)
{

	if (json->handler->garbled == NULL)
		return (reject_token(json, detail));
	return (json->handler->garbled(json->context, key, detail));
}

/*
 * yajl's callbacks.  Each makes the checks that yajl lacks, passes the event
 * on, and advances the path.
 */

static int
value_done(struct json * json)
{

	json_path_next(&json->path);
	json->member = NOT_NAMED;
	return (1);
}

/* As value_done, after a callback; the top-level value may have ended. */
static int
told_value_done(struct json * json)
{

	if (json_path_outermost(&json->path))
		json->end = consumed(json);
	return (value_done(json));
}

static bool
json_ignores(const struct json * json, unsigned int type)
{

	return ((json->cursor.rule->quiet & type) != 0);
}

static bool
json_is_direct(const struct json * json, unsigned int type)
{

	return ((json->cursor.rule->direct & type) != 0);
}

/* Such a value is never the top-level one. */
static inline int __attribute__((always_inline))
take_directly(struct json * json, unsigned int type, const char * text,
    size_t length)
{
	const struct json_rule * rule = json->cursor.rule;

	if (!json->handler->takes[rule->use](json->taker, rule, type, text,
	    length) && !json->handler->refused(json->context, JSON_VALUE))
		return (0);
	return (value_done(json));
}

static int
yajl_on_null(void * context)
{
	struct json * json = context;

	if (json_ignores(json, JSON_NULL))
		return (value_done(json));
	if (!json->handler->null(json->context))
		return (0);
	return (told_value_done(json));
}

static int
yajl_on_boolean(void * context, int value)
{
	struct json * json = context;

	if (json_ignores(json, JSON_BOOLEAN))
		return (value_done(json));
	if (!json->handler->boolean(json->context, value != 0))
		return (0);
	return (told_value_done(json));
}

static int
yajl_on_number(void * context, const char * text, size_t length)
{
	struct json * json = context;

	if (length > JSON_NUMBER_MAX)
		return (reject_token(json, "a number is longer than 4 KiB"));
	if (json_is_direct(json, JSON_NUMBER))
		return (take_directly(json, JSON_NUMBER, text, length));
	if (json_ignores(json, JSON_NUMBER))
		return (value_done(json));
	if (!json->handler->number(json->context, text, length))
		return (0);
	return (told_value_done(json));
}

static int
yajl_on_string(void * context, const unsigned char * text, size_t length)
{
	struct json * json = context;
	const char * string = (const char *)text;
	const char * detail = string_fault(json, string, length);

	if (detail == NULL && json_is_direct(json, JSON_STRING))
		return (take_directly(json, JSON_STRING, string, length));
	if (json_ignores(json, JSON_STRING) &&
	    (detail == NULL || json->handler->garbled != NULL))
		return (value_done(json));
	if (detail != NULL ? !garbled_string(json, false, detail) :
	    !json->handler->string(json->context, string, length))
		return (0);
	return (told_value_done(json));
}

__attribute__((noinline))
static int
other_key(struct json * json, const char * key, size_t length)
{
	const char * detail = string_fault(json, key, length);

	if (detail != NULL && json->handler->garbled == NULL)
		return (reject_token(json, detail));
	json->member = NAMED_BY_PATH;
	if (detail != NULL) {
		json_path_name(&json->path, GARBLED_NAME,
		    strlen(GARBLED_NAME), true);
		return (garbled_string(json, true, detail));
	}
	json_path_name(&json->path, key, length,
	    json_in_piece(json, key, length));
	if (json->cursor.rule->named)
		return (json->handler->take_name(json->taker,
		    json->cursor.rule, key, length) ||
		    json->handler->refused(json->context, JSON_NAME));
	return (json->handler->key(json->context, key, length));
}

static int
yajl_on_key(void * context, const unsigned char * text, size_t length)
{
	struct json * json = context;
	struct json_cursor * cursor = &json->cursor;
	const struct json_rule * expected = cursor->expected;

	if (!json_rule_is(expected, (const char *)text, length) ||
	    (cursor->seen & cursor->bit) != 0)
		return (other_key(json, (const char *)text, length));
	cursor->seen |= cursor->bit;
	cursor->bit <<= 1;
	cursor->rule = expected;
	cursor->expected = expected + 1;
	json->member = NAMED_BY_RULE;
	return (1);
}

/* The members of ${shape} follow, or its items. */
static void
expect(struct json_cursor * cursor, const struct json_shape * shape)
{

	cursor->rule = shape->items;
	cursor->expected = shape->expected;
	cursor->bit = 1;
	cursor->seen = 0;
	cursor->shape = shape;
}

/* Return the shape of an object or array that starts, or NULL to stop. */
__attribute__((noinline))
static const struct json_shape *
ask_for_shape(struct json * json, unsigned int type)
{
	const struct json_rule * rule = json->cursor.rule;

	json->opens = rule->shape == NULL ? &heard_shape : rule->shape;
	if (type == JSON_ARRAY ? !json->handler->array_start(json->context) :
	    !json->handler->object_start(json->context))
		return (NULL);
	return (json->opens);
}

static int
container_start(struct json * json, unsigned int type)
{
	const struct json_rule * rule = json->cursor.rule;
	const struct json_shape * shape = rule->shape;

	json->mark = consumed(json) - 1;
	if (json_path_full(&json->path)) {
		json->fault->limit = FAULT_LIMIT_DEPTH;
		return (reject_token(json, "nested too deeply (limit_depth)"));
	}
	name_path(json);
	if (((rule->accepts & type) == 0 || !shape->direct) &&
	    (shape = ask_for_shape(json, type)) == NULL)
		return (0);
	*json->level++ = json->cursor;
	expect(&json->cursor, shape);
	if (shape->meaning != 0)
		json->handler->begin(json->taker, shape->meaning);
	json_path_open(&json->path, type == JSON_ARRAY, json->mark);
	json->member = NOT_NAMED;
	return (1);
}

/* Return whether to go on after an object or array. */
static inline bool
conclude(struct json * json, unsigned int type)
{
	const struct json_handler * handler = json->handler;
	const struct json_shape * shape = json->cursor.shape;

	if (shape->direct && (shape->required & ~json->cursor.seen) == 0)
		return (shape->meaning == 0 ||
		    handler->end(json->taker, shape->meaning) ||
		    handler->refused(json->context, JSON_END));
	return (type == JSON_ARRAY ? handler->array_end(json->context) :
	    handler->object_end(json->context));
}

static int
container_end(struct json * json, unsigned int type)
{

	json->closing = true;
	json->closing_start = json_path_close(&json->path);
	json->member = NAMED_BY_PATH;
	if (!conclude(json, type))
		return (0);
	json->closing = false;
	json->cursor = *--json->level;
	return (told_value_done(json));
}

static int
yajl_on_object_start(void * context)
{

	return (container_start(context, JSON_OBJECT));
}

static int
yajl_on_object_end(void * context)
{

	return (container_end(context, JSON_OBJECT));
}

static int
yajl_on_array_start(void * context)
{

	return (container_start(context, JSON_ARRAY));
}

static int
yajl_on_array_end(void * context)
{

	return (container_end(context, JSON_ARRAY));
}

static const yajl_callbacks callbacks = {
	.yajl_null = yajl_on_null,
	.yajl_boolean = yajl_on_boolean,
	.yajl_number = yajl_on_number,
	.yajl_string = yajl_on_string,
	.yajl_start_map = yajl_on_object_start,
	.yajl_map_key = yajl_on_key,
	.yajl_end_map = yajl_on_object_end,
	.yajl_start_array = yajl_on_array_start,
	.yajl_end_array = yajl_on_array_end,
};

struct json *
json_create(struct arena * arena, const struct json_handler * handler,
    void * context, size_t depth, struct fault * fault)
{
	struct json * json = arena_take(arena, sizeof(*json));

	memset(json, 0, sizeof(*json));
	json->handler = handler;
	json->context = context;
	json->fault = fault;
	json->levels = arena_take(arena, depth * sizeof(*json->levels));
	json->level = json->levels;
	expect(&json->cursor, &heard_shape);
	json->ascii = true;
	json_path_init(&json->path, arena, depth);
	json->allocator.malloc = yajl_take;
	json->allocator.realloc = yajl_take_again;
	json->allocator.free = yajl_give_back;
	json->allocator.ctx = arena;
	json_strict_init(&json->strict);
	json->yajl = yajl_alloc(&callbacks, &json->allocator, json);
	/* string_valid checks UTF-8, more strictly than yajl. */
	yajl_config(json->yajl, yajl_dont_validate_strings, 1);
	return (json);
}

void
json_set_taker(struct json * json, void * taker)
{

	json->taker = taker;
}

struct json_cursor *
json_cursor(struct json * json)
{

	return (&json->cursor);
}

void
json_open_as(struct json * json, const struct json_shape * shape)
{

	json->opens = shape;
}

size_t
json_depth(const struct json * json)
{

	return ((size_t)(json->path.top - json->path.frames));
}

size_t
json_element_depth(const struct json * json)
{
	const struct json_cursor * outer;

	for (outer = json->levels; outer < json->level; outer++)
		if (outer->rule->element)
			return ((size_t)(outer - json->levels) + 1);
	return (0);
}

/* Return the cursor at a depth. */
static struct json_cursor *
cursor_at(struct json * json, size_t depth)
{
	struct json_cursor * cursor = &json->levels[depth];

	return (cursor < json->level ? cursor : &json->cursor);
}

void
json_skip(struct json * json, size_t depth, const struct json_shape * shape)
{
	struct json_cursor * cursor = cursor_at(json, depth);
	size_t deepest = json_depth(json);

	if (depth == deepest)
		cursor->rule = cursor->shape->items;
	while (depth < deepest)
		expect(cursor_at(json, ++depth), shape);
}

static bool
reject_long(struct json * json, const struct json_token * token)
{

	return (reject_text(json, token->start, token->first == '"' ?
	    "a string is longer than 64 KiB" :
	    "a number is longer than 4 KiB"));
}

/* Translate yajl's syntax error. */
static bool
reject_syntax(struct json * json)
{
	const unsigned char * text = yajl_get_error(json->yajl, 0, NULL, 0);
	const struct json_error_fault * fault =
	    json_error_fault((const char *)text);
	uint64_t stopped = consumed(json);
	struct json_token token;
	uint64_t most;

	/* yajl may have moved back to the start of the token. */
	json_find_token(json, &token,
	    stopped + (fault->place == JSON_ERROR_AT));
	most = token.start + RAW_STRING_MAX;
	/* In smaller pieces the length limit would have been met first; the
	 * error must not depend on the pieces. */
	if (stopped > most && (stopped > most + 1 ||
	    fault->place == JSON_ERROR_STOPPED || token.first != '"'))
		return (reject_long(json, &token));
	if (fault->place == JSON_ERROR_BEFORE)
		stopped--;
	else if (fault->place != JSON_ERROR_STOPPED)
		stopped = token.start;
	return (reject_text(json, stopped, fault->detail));
}

/* Only white space can follow the top-level value. */
static bool
check_tail(struct json * json)
{
	size_t i = json->end > json->base ? (size_t)(json->end - json->base) :
	    0;

	for (; i < json->piece_length; i++)
		if (memchr(" \t\r\n", json->piece[i], 4) == NULL)
			return (reject_text(json, json->base + i,
			    "something follows the JSON text"));
	return (true);
}

/* The piece ends: save the state that refers to its bytes. */
static bool
piece_done(struct json * json)
{
	uint64_t end = json->base + json->piece_length;

	json_find_token(json, &json->token, end);
	if (json_token_open(&json->token) &&
	    end - json->token.start > RAW_STRING_MAX)
		return (reject_long(json, &json->token));
	name_path(json);
	json_path_keep(&json->path);
	json->base = end;
	return (true);
}

/* Feed yajl with bytes that have passed the strict checks, or check that only
 * white space follows the end of the text. */
static bool
feed_clean(struct json * json, const char * text, size_t length)
{
	bool complete = json_path_complete(&json->path);
	yajl_status status = yajl_status_ok;

	json->piece = text;
	json->piece_length = length;
	if (length == 0)
		return (true);
	if (!complete) {
		json->ascii = is_ascii(text, length) &&
		    (json->ascii || !json_token_open(&json->token));
		status = yajl_parse(json->yajl, (const unsigned char *)text,
		    length);
		complete = json_path_complete(&json->path);
	}
	if (json->fault->code != FAULT_NONE)
		return (false);
	if (complete) {
		if (!check_tail(json))
			return (false);
		json->base += length;
		return (true);
	}
	if (status != yajl_status_ok)
		return (reject_syntax(json));
	return (piece_done(json));
}

/*
 * Pass over a byte-order mark before the text, as RFC 8259, section 8.1,
 * allows, or the part of it that is in this piece.  Return false if it breaks
 * off.
 */
static bool
pass_order_mark(struct json * json, const char ** text, size_t * length)
{
	static const char mark[] = "\xef\xbb\xbf";

	while (json->base == json->order_mark && mark[json->base] != '\0' &&
	    *length > 0) {
		if (**text != mark[json->base])
			return (json->base == 0 || reject_text(json, 0,
			    "half a byte-order mark before the text"));
		(*text)++;
		(*length)--;
		json->mark = ++json->base;
		json->order_mark++;
		json->strict.position++;
	}
	return (true);
}

/*
 * A lone surrogate is certain before the end of its string, so the string that
 * yajl is within when it has read all bytes before is the one that has it.
 */
bool
json_feed(struct json * json, const void * text, size_t length)
{
	const char * rest = text;

	if (!pass_order_mark(json, &rest, &length))
		return (false);
	for (;;) {
		size_t clean = json_strict_scan(&json->strict,
		    (const unsigned char *)rest, length);

		if (!feed_clean(json, rest, clean))
			return (false);
		if (clean == length)
			return (true);
		if (json->handler->garbled == NULL ||
		    !json_strict_forgive(&json->strict))
			return (reject_text(json, json->strict.offset,
			    json->strict.detail));
		json->garbled = json->strict.detail;
		rest += clean;
		length -= clean;
	}
}

bool
json_finish(struct json * json)
{

	if (json_path_complete(&json->path))
		return (true);
	/* A number at the end of the text needs a final push. */
	json->piece_length = 0;
	(void)yajl_complete_parse(json->yajl);
	if (json->fault->code != FAULT_NONE)
		return (false);
	if (json_path_complete(&json->path))
		return (true);
	return (reject_text(json, json->base,
	    json->base == 0 || (json->order_mark == 3 && json->base == 3) ?
	    "the body is empty" : "the JSON text ends too early"));
}

uint64_t
json_length(const struct json * json)
{

	return (json->base);
}
