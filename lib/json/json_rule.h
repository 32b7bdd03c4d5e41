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

struct schema_shape;

struct schema_rule {
	struct text name;		/* Of the member; none for items. */
	unsigned int quiet;		/* Types with which nothing is to do, */
	unsigned int accepts;		/* of those that it may have. */
	unsigned int use;		/* The tables' affair, as is all else. */
	unsigned int slot;		/* A slot, list or count. */
	unsigned int alternative;
	bool element;			/* An element of the body's arrays. */
	const struct schema_shape * shape;	/* Of an object or array. */
};

enum schema_shape_kind {
	SHAPE_ANY,			/* Anything inside is skipped. */
	SHAPE_OBJECT,			/* Members by name. */
	SHAPE_MAP,			/* Any names, all of one rule. */
	SHAPE_ARRAY,
};

struct schema_shape {
	enum schema_shape_kind kind;
	unsigned int meaning;
	const struct schema_rule * rules;	/* Of an object's members, and
						 * one that is of none. */
	unsigned int count;
	const struct schema_rule * items;	/* Of an array or map. */
	uint32_t required;			/* Members, as bits. */
};

/* The rule of no member: no name is its. */
extern const struct schema_rule schema_nothing;

/**
 * schema_is(rule, name, length):
 * Return whether a rule is that of the member with this name.
 */
static inline bool
schema_is(const struct schema_rule * rule, const char * name, size_t length)
{

	return (rule->name.length == length &&
	    text_same(rule->name.bytes, name, length));
}

#endif
