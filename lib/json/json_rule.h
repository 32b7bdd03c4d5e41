#ifndef FLAGTALLY_JSON_RULE_H
#define FLAGTALLY_JSON_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/text.h"

/* Types of JSON values, as bits. */
enum {
	JSON_NULL = 1,
	JSON_BOOLEAN = 2,
	JSON_NUMBER = 4,
	JSON_STRING = 8,
	JSON_OBJECT = 16,
	JSON_ARRAY = 32,
};

struct json_shape;

struct json_rule {
	struct text name;		/* Of the member; none for items. */
	unsigned int quiet;		/* Types with which nothing is to do, */
	unsigned int accepts;		/* of those that it may have. */
	unsigned int use;		/* The tables' affair, */
	unsigned int slot;		/* as are these. */
	unsigned int alternative;
	bool element;			/* An element of the body's arrays. */
	const struct json_shape * shape;	/* Of an object or array. */
};

enum json_shape_kind {
	SHAPE_ANY,			/* Anything inside is skipped. */
	SHAPE_OBJECT,			/* Members by name. */
	SHAPE_MAP,			/* Any names, all of one rule. */
	SHAPE_ARRAY,
};

struct json_shape {
	enum json_shape_kind kind;
	unsigned int meaning;
	const struct json_rule * rules;	/* Of an object's members, and
						 * one that is of none. */
	unsigned int count;
	const struct json_rule * items;	/* Of an array or map. */
	uint32_t required;			/* Members, as bits. */
};

/* The rule of no member: no name is its. */
extern const struct json_rule json_rule_none;

/**
 * json_rule_is(rule, name, length):
 * Return whether a rule is that of the member with this name.
 */
static inline bool
json_rule_is(const struct json_rule * rule, const char * name, size_t length)
{

	return (rule->name.length == length &&
	    text_same(rule->name.bytes, name, length));
}

#endif
