#ifndef FLAGTALLY_JSON_H
#define FLAGTALLY_JSON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/fault.h"
#include "lib/base/number.h"
#include "lib/json/json_rule.h"

/*
 * A strict reader of one JSON text (RFC 8259) in pieces of any size.  yajl
 * parses; the reader adds the checks that yajl lacks (see json_strict.h; UTF-8
 * is checked after decoding) and limits the depth.  It passes over a byte-order
 * mark before the text, as RFC 8259 allows, but counts it in offsets.  It
 * tracks the path, so a handler that rejects a value need not.
 */
struct json;

/* Longest string or key, in bytes after decoding, and longest number. */
#define JSON_STRING_MAX ((size_t)64 * 1024)
#define JSON_NUMBER_MAX NUMBER_LENGTH_MAX

/* What a taker refuses: a value, a name of a map, or what an object or array
 * comes to at its end. */
enum json_part {
	JSON_VALUE,
	JSON_NAME,
	JSON_END,
};

/*
 * Callbacks.  Text is UTF-8, not NUL-terminated, and valid only during the
 * call.  A number is passed as written in the body.  Return true to go on; a
 * callback that returns false must have recorded the fault.
 */
struct json_handler {
	bool (* null)(void * context);
	bool (* boolean)(void * context, bool value);
	bool (* number)(void * context, const char * text, size_t length);
	bool (* string)(void * context, const char * text, size_t length);
	bool (* key)(void * context, const char * text, size_t length);
	bool (* object_start)(void * context);
	bool (* object_end)(void * context);
	bool (* array_start)(void * context);
	bool (* array_end)(void * context);
	/* A string (or key) has a lone surrogate, is not UTF-8, or is too
	 * long; ${detail} is the static sentence that says so.  It replaces
	 * the event.  NULL: the text is rejected. */
	bool (* garbled)(void * context, bool key, const char * detail);

	/* What takes values directly, by rule->use, names of maps, and the
	 * beginning and end of what has a meaning; see json_set_taker. */
	json_take * const * takes;
	json_take_name * take_name;
	json_begin * begin;
	json_end * end;
	/* It has refused one. */
	bool (* refused)(void * context, enum json_part part);
};

/*
 * Fast path.  Clients mostly write members in the order of the schema, and
 * most values are ignored.  The handler publishes the ${expected} rule; when
 * the next key is its name and its bit is not set in ${seen}, the reader makes
 * it the current ${rule}, expects the rule after it, and skips the key
 * callback.  It also skips value callbacks for types in rule->quiet, and passes
 * those in rule->direct to a taker instead.
 *
 * Each object or array has a cursor of its own, with the shape of its rule.  If
 * the shape is direct, the reader skips the callback of its start and, unless a
 * required member is missing, that of its end.
 *
 * Initially no rule is expected and every event is passed on.
 */
struct json_cursor {
	const struct json_rule * rule;	/* Of the next value. */
	const struct json_rule * expected;
	uint32_t bit;			/* Of the expected rule. */
	uint32_t seen;			/* Members of this object so far. */
	const struct json_shape * shape;	/* Of this object or array. */
};

/**
 * json_create(arena, handler, context, depth, fault):
 * Return a reader that lives in ${arena}, accepts up to ${depth} nested objects
 * and arrays, and records the first error in ${fault}.
 */
struct json * json_create(struct arena * arena,
    const struct json_handler * handler, void * context, size_t depth,
    struct fault * fault);

/**
 * json_set_taker(json, taker):
 * Pass ${taker} to the handler's takes, take_name, begin and end.
 */
void json_set_taker(struct json * json, void * taker);

/**
 * json_cursor(json):
 * Return the reader's cursor, which callbacks may change.
 */
struct json_cursor * json_cursor(struct json * json);

/**
 * json_open_as(json, shape):
 * Give ${shape} to the object or array of the current start callback.
 */
void json_open_as(struct json * json, const struct json_shape * shape);

/**
 * json_depth(json):
 * Return the number of objects and arrays that are open; in an end callback,
 * without the one that ends.
 */
size_t json_depth(const struct json * json);

/**
 * json_element_depth(json):
 * Return the depth of the open object or array that is an element of the body,
 * also if it is the one that ends; 0 if there is none.
 */
size_t json_element_depth(const struct json * json);

/**
 * json_skip(json, depth, shape):
 * Give ${shape} to all open objects and arrays deeper than ${depth}.
 */
void json_skip(struct json * json, size_t depth,
    const struct json_shape * shape);

/**
 * json_feed(json, text, length):
 * Read the next ${length} bytes.  Return false, with the fault recorded, if
 * the text is invalid; do not feed the reader again then.
 */
bool json_feed(struct json * json, const void * text, size_t length);

/**
 * json_finish(json):
 * Finish the text.  Return false, with the fault recorded, unless it was one
 * complete JSON text.
 */
bool json_finish(struct json * json);

/**
 * json_length(json):
 * Return the number of bytes read.
 */
uint64_t json_length(const struct json * json);

/**
 * json_describe(json, fault, code, format, arguments):
 * Record in ${fault} an error in the value or key of the current callback: its
 * JSON Pointer, the offset of its first byte, and the formatted detail.  In an
 * end callback the error is that of the whole object or array.
 */
void json_describe(struct json * json, struct fault * fault,
    enum fault_code code, const char * format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

#endif
