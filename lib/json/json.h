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
 * does the parsing; what it is too lax about is checked here (see strict.h;
 * strings are checked after decoding), and so is the depth.  The reader knows
 * at all times where it is, so whoever rejects a value need not.
 */
struct json;

/* Longest string or key, in bytes after decoding, and longest number. */
#define JSON_STRING_MAX ((size_t)64 * 1024)
#define JSON_NUMBER_MAX NUMBER_LENGTH_MAX

/*
 * What the reader calls.  Text is UTF-8, not NUL-terminated, and valid during
 * the call only.  A number's text is as it stands in the body.  Each returns
 * true to go on; before it returns false it must have called json_reject.
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
};

/*
 * What the handler lets the reader know, so that it need not be called each
 * time: senders write members in the order of the schema, mostly, and nothing
 * comes of most values.  A key that is the name of the rule ${expected}, if
 * the bit of that is not set in ${seen}, makes it the ${rule} of the value and
 * the one after it the expected one, and the handler is not told of the key;
 * nor is it of values of a type with which the rule says nothing is to do.
 * At first nothing is expected and everything is told.
 */
struct json_cursor {
	const struct json_rule * rule;	/* Of the value that comes. */
	const struct json_rule * expected;
	uint32_t bit;			/* Of the expected one. */
	uint32_t seen;			/* Members of the object at hand. */
};

/**
 * json_create(arena, handler, context, depth, fault):
 * Return a reader whose memory is taken from ${arena} and goes with it, which
 * accepts up to ${depth} nested objects and arrays and records what is wrong
 * in ${fault}.
 */
struct json * json_create(struct arena * arena,
    const struct json_handler * handler, void * context, size_t depth,
    struct fault * fault);

/**
 * json_cursor(json):
 * Return the reader's cursor, which the handler may change when it is called.
 */
struct json_cursor * json_cursor(struct json * json);

/**
 * json_feed(json, text, length):
 * Read the next ${length} bytes.  Return false, with the fault recorded, if
 * the text is at fault; the reader must not be fed again then.
 */
bool json_feed(struct json * json, const void * text, size_t length);

/**
 * json_finish(json):
 * The text has ended.  Return false, with the fault recorded, unless it was
 * one whole JSON text.
 */
bool json_finish(struct json * json);

/**
 * json_length(json):
 * Return how many bytes have been read.
 */
uint64_t json_length(const struct json * json);

/**
 * json_describe(json, fault, code, format, arguments):
 * Record in ${fault} that something is wrong with the value or key for which
 * the reader is calling the handler: its pointer, the offset of its first
 * byte, and the formatted detail.  At the end of an object or array that is
 * the object or array.
 */
void json_describe(struct json * json, struct fault * fault,
    enum fault_code code, const char * format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

#endif
