#include <stdio.h>
#include <string.h>
#include <unistr.h>
#include <yajl/yajl_parse.h>

#include "lib/json.h"
#include "lib/path.h"
#include "lib/strict.h"

/*
 * Where a fault is.  Nothing is computed while all goes well but the end of
 * each token (previous_end), and that is mostly a subtraction of pointers.
 * The first byte of the token at hand is found when somebody asks for it: it
 * is the first byte after the token before that is neither white space nor a
 * comma or colon.  A token that began in a piece we no longer have is noted
 * at the end of that piece (pending).
 */

/*
 * yajl scans a string that spans pieces again from its start with each piece,
 * so an endless string would cost quadratic time before the limit on its
 * length could be seen.  Every byte of a string takes at most six in the body.
 */
#define RAW_STRING_MAX (JSON_STRING_MAX * 6 + 2)

struct json {
	struct arena * arena;
	const struct json_handler * handler;
	void * context;
	struct fault * fault;
	yajl_handle yajl;
	yajl_alloc_funcs allocator;
	struct strict strict;

	const char * piece;		/* What is being read, */
	size_t piece_length;
	uint64_t base;			/* and where its first byte is. */

	uint64_t previous_end;		/* End of the token before. */
	bool pending;			/* A token began in an earlier piece: */
	uint64_t pending_start;
	char pending_first;		/* Its first byte. */

	bool at_container;		/* The value at hand is a container: */
	uint64_t container_start;
	bool complete;			/* The text's one value has ended. */

	struct path path;
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

static bool
is_space(char c)
{

	return (c == ' ' || c == '\n' || c == '\t' || c == '\r');
}

static bool
separates(char c)
{

	return (c == ',' || c == ':' || is_space(c));
}

/* Position of the first byte from ${position} on that begins a token. */
static uint64_t
token_from(const struct json * json, uint64_t position)
{
	size_t i = position > json->base ? (size_t)(position - json->base) : 0;

	while (i < json->piece_length && separates(json->piece[i]))
		i++;
	return (json->base + i);
}

/* Position of the first byte of the value or key at hand. */
static uint64_t
token_start(const struct json * json)
{

	if (json->at_container)
		return (json->container_start);
	if (json->pending)
		return (json->pending_start);
	return (token_from(json, json->previous_end));
}

static bool
in_piece(const struct json * json, const char * text, size_t length)
{
	uintptr_t from = (uintptr_t)json->piece;
	uintptr_t at = (uintptr_t)text;

	/* A string's closing quote must lie in it as well. */
	return (at >= from && at + length < from + json->piece_length);
}

/* The token at hand is done with. */
static void
token_done(struct json * json, uint64_t end)
{

	json->previous_end = end;
	json->pending = false;
	json->at_container = false;
}

static uint64_t
consumed(const struct json * json)
{

	return (json->base + yajl_get_bytes_consumed(json->yajl));
}

/* A string or key has been taken: where does it end? */
static uint64_t
string_end(const struct json * json, const char * text, size_t length,
    bool here)
{

	if (here)
		return (json->base + (size_t)(text - json->piece) + length + 1);
	return (consumed(json));
}

static void
value_done(struct json * json)
{

	if (!path_next(&json->path))
		json->complete = true;
}

void
json_describe(struct json * json, struct fault * fault, enum fault_code code,
    const char * format, va_list arguments)
{
	char pointer[FAULT_POINTER_MAX];

	path_write(&json->path, pointer, sizeof(pointer));
	fault_vset(fault, code, token_start(json), pointer, format, arguments);
}

/* Reject the text itself, at ${offset}. */
static bool
reject_text(struct json * json, uint64_t offset, const char * detail)
{
	char pointer[FAULT_POINTER_MAX];

	path_write(&json->path, pointer, sizeof(pointer));
	fault_set(json->fault, FAULT_INVALID, offset, pointer, "%s", detail);
	return (false);
}

static bool
reject_token(struct json * json, const char * detail)
{

	return (reject_text(json, token_start(json), detail));
}

static bool
is_ascii(const char * text, size_t length)
{
	uint64_t word, all = 0;
	size_t i;

	if (length < sizeof(word)) {
		for (i = 0; i < length; i++)
			all |= (unsigned char)text[i];
		return (all < 0x80);
	}
	/* The last word may begin within the one before. */
	memcpy(&all, text + length - sizeof(all), sizeof(all));
	for (i = 0; i + sizeof(word) < length; i += sizeof(word)) {
		memcpy(&word, text + i, sizeof(word));
		all |= word;
	}
	return ((all & 0x8080808080808080u) == 0);
}

static bool
string_valid(struct json * json, const char * text, size_t length)
{

	if (length > JSON_STRING_MAX)
		return (reject_token(json, "a string is longer than 64 KiB"));
	if (!is_ascii(text, length) &&
	    u8_check((const uint8_t *)text, length) != NULL)
		return (reject_token(json, "a string is not valid UTF-8"));
	return (true);
}

/*
 * yajl's callbacks.  Each checks what yajl does not, passes the event on, and
 * then moves the path along.
 */

static int
on_null(void * context)
{
	struct json * json = context;

	if (!json->handler->null(json->context))
		return (0);
	token_done(json, consumed(json));
	value_done(json);
	return (1);
}

static int
on_boolean(void * context, int value)
{
	struct json * json = context;

	if (!json->handler->boolean(json->context, value != 0))
		return (0);
	token_done(json, consumed(json));
	value_done(json);
	return (1);
}

static int
on_number(void * context, const char * text, size_t length)
{
	struct json * json = context;

	if (length > JSON_NUMBER_MAX)
		return (reject_token(json, "a number is longer than 4 KiB"));
	if (!json->handler->number(json->context, text, length))
		return (0);
	token_done(json, consumed(json));
	value_done(json);
	return (1);
}

static int
on_string(void * context, const unsigned char * text, size_t length)
{
	struct json * json = context;
	const char * string = (const char *)text;

	if (!string_valid(json, string, length) ||
	    !json->handler->string(json->context, string, length))
		return (0);
	token_done(json, string_end(json, string, length,
	    in_piece(json, string, length)));
	value_done(json);
	return (1);
}

static int
on_key(void * context, const unsigned char * text, size_t length)
{
	struct json * json = context;
	const struct json_handler * handler = json->handler;
	const char * key = (const char *)text;
	bool here = in_piece(json, key, length);
	bool taken = handler->expected != NULL &&
	    handler->expected(json->context, key, length);

	if (!taken && !string_valid(json, key, length))
		return (0);
	path_name(&json->path, key, length, here);
	if (!taken && !handler->key(json->context, key, length))
		return (0);
	token_done(json, string_end(json, key, length, here));
	return (1);
}

static int
container_start(struct json * json, bool array)
{
	uint64_t end = consumed(json);

	json->at_container = true;
	json->container_start = end - 1;
	if (json->path.depth == json->path.depth_max)
		return (reject_token(json, "nested too deeply"));
	if (array ? !json->handler->array_start(json->context) :
	    !json->handler->object_start(json->context))
		return (0);
	path_open(&json->path, array, end - 1);
	token_done(json, end);
	return (1);
}

static int
container_end(struct json * json, bool array)
{
	uint64_t end = consumed(json);

	json->at_container = true;
	json->container_start = path_close(&json->path);
	if (array ? !json->handler->array_end(json->context) :
	    !json->handler->object_end(json->context))
		return (0);
	token_done(json, end);
	value_done(json);
	return (1);
}

static int
on_object_start(void * context)
{

	return (container_start(context, false));
}

static int
on_object_end(void * context)
{

	return (container_end(context, false));
}

static int
on_array_start(void * context)
{

	return (container_start(context, true));
}

static int
on_array_end(void * context)
{

	return (container_end(context, true));
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object_start,
	.yajl_map_key = on_key,
	.yajl_end_map = on_object_end,
	.yajl_start_array = on_array_start,
	.yajl_end_array = on_array_end,
};

struct json *
json_create(struct arena * arena, const struct json_handler * handler,
    void * context, size_t depth, struct fault * fault)
{
	struct json * json = arena_take(arena, sizeof(*json));

	memset(json, 0, sizeof(*json));
	json->arena = arena;
	json->handler = handler;
	json->context = context;
	json->fault = fault;
	path_init(&json->path, arena, depth);
	json->allocator.malloc = yajl_take;
	json->allocator.realloc = yajl_take_again;
	json->allocator.free = yajl_give_back;
	json->allocator.ctx = arena;
	strict_init(&json->strict);
	json->yajl = yajl_alloc(&callbacks, &json->allocator, json);
	/* Strings are checked after decoding, and strictly. */
	yajl_config(json->yajl, yajl_dont_validate_strings, 1);
	return (json);
}

/* The token after the one before, be it a separator. */
static uint64_t
next_token(const struct json * json)
{
	uint64_t position = json->previous_end;
	size_t i = position > json->base ? (size_t)(position - json->base) : 0;

	if (json->pending)
		return (json->pending_start);
	while (i < json->piece_length && is_space(json->piece[i]))
		i++;
	return (json->base + i);
}

static char
first_byte(const struct json * json)
{

	return (json->pending ? json->pending_first :
	    json->piece[token_start(json) - json->base]);
}

static bool
reject_long(struct json * json)
{

	return (reject_token(json, first_byte(json) == '"' ?
	    "a string is longer than 64 KiB" :
	    "a number is longer than 4 KiB"));
}

/* The token that yajl has just read, behind any separators. */
static uint64_t
bad_token(const struct json * json, uint64_t stopped)
{

	/* A number ends where the next piece begins, if that is no digit. */
	if (stopped > json->base && strchr(",:[]{}",
	    json->piece[stopped - 1 - json->base]) != NULL)
		return (stopped - 1);
	return (token_start(json));
}

/*
 * What yajl says of a text it does not understand, in our words, and where the
 * byte at fault is: where yajl has stopped, or before, or the first byte of a
 * token that cannot stand there.
 */
static bool
reject_syntax(struct json * json)
{
	static const struct {
		const char * yajl;
		const char * detail;
		enum { STOPPED, BEFORE, NEXT, TOKEN } place;
	} texts[] = {
		{ "invalid char in", "a byte that cannot stand here", BEFORE },
		{ "inside a string, '\\'", "an unknown escape in a string",
		    STOPPED },
		{ "invalid character inside",
		    "a control character in a string", STOPPED },
		{ "invalid (non-hex)",
		    "an escape without four hexadecimal digits", STOPPED },
		{ "invalid string in", "neither true, false nor null",
		    STOPPED },
		{ "malformed number", "a number that lacks a digit",
		    STOPPED },
		{ "probable comment", "a comment is not JSON", STOPPED },
		{ "object key and value", "a colon must follow the name",
		    NEXT },
		{ "after key and value",
		    "a comma or a closing brace must stand here", NEXT },
		{ "after array element",
		    "a comma or a closing bracket must stand here", NEXT },
		{ "invalid object key", "a name must be a string", TOKEN },
		{ "", "not JSON", TOKEN },
	};
	const unsigned char * text = yajl_get_error(json->yajl, 0, NULL, 0);
	uint64_t most = token_start(json) + RAW_STRING_MAX;
	uint64_t stopped = consumed(json);
	size_t i = 0;

	while (strstr((const char *)text, texts[i].yajl) == NULL)
		i++;
	/* In smaller pieces it would have been too long before it was wrong. */
	if (stopped > most && (stopped > most + 1 ||
	    texts[i].place == STOPPED || first_byte(json) != '"'))
		return (reject_long(json));
	switch (texts[i].place) {
	case STOPPED:
		break;
	case BEFORE:
		stopped--;
		break;
	case NEXT:
		stopped = next_token(json);
		break;
	case TOKEN:
		stopped = bad_token(json, stopped);
		break;
	}
	return (reject_text(json, stopped, texts[i].detail));
}

/* Nothing but white space may follow the one value of the text. */
static bool
check_tail(struct json * json)
{
	uint64_t position = next_token(json);

	return (position == json->base + json->piece_length || reject_text(
	    json, position, "something follows the JSON text"));
}

/* The piece goes away: keep what is still needed of it. */
static bool
piece_done(struct json * json)
{
	uint64_t end = json->base + json->piece_length;

	if (!json->pending) {
		json->pending_start = token_from(json, json->previous_end);
		if (json->pending_start < end)
			json->pending_first = first_byte(json);
		json->pending = json->pending_start < end;
	}
	if (json->pending && end - json->pending_start > RAW_STRING_MAX)
		return (reject_long(json));
	path_keep(&json->path);
	json->base = end;
	return (true);
}

static bool
feed_clean(struct json * json, const char * text, size_t length)
{
	yajl_status status;

	json->piece = text;
	json->piece_length = length;
	if (length == 0)
		return (true);
	status = json->complete ? yajl_status_ok : yajl_parse(json->yajl,
	    (const unsigned char *)text, length);
	if (json->fault->code != FAULT_NONE)
		return (false);
	if (json->complete) {
		if (!check_tail(json))
			return (false);
		json->base += length;
		return (true);
	}
	if (status != yajl_status_ok)
		return (reject_syntax(json));
	return (piece_done(json));
}

bool
json_feed(struct json * json, const void * text, size_t length)
{
	size_t clean = strict_scan(&json->strict, text, length);

	if (!feed_clean(json, text, clean))
		return (false);
	return (clean == length || reject_text(json, json->strict.offset,
	    json->strict.detail));
}

bool
json_finish(struct json * json)
{

	if (json->complete)
		return (true);
	/* A number is only complete with the byte after it. */
	json->piece_length = 0;
	(void)yajl_complete_parse(json->yajl);
	if (json->fault->code != FAULT_NONE)
		return (false);
	if (json->complete)
		return (true);
	return (reject_text(json, json->base, json->base == 0 ?
	    "the body is empty" : "the JSON text ends too early"));
}

uint64_t
json_length(const struct json * json)
{

	return (json->base);
}
