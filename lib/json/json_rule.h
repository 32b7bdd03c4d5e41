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
	struct text name;		/* The member's; empty for items. */
	unsigned int quiet;		/* Of accepts: make no callback. */
	unsigned int direct;		/* Likewise: they go to the taker. */
	unsigned int accepts;		/* Allowed types. */
	unsigned int use;		/* These three belong to the tables; */
	unsigned int slot;		/* see lib/body/schema.h. */
	unsigned int alternative;
	bool element;			/* Items are elements of the body. */
	bool named;			/* In a map: so do the names. */
	const struct json_shape * shape;	/* Of an object or array. */
};

enum json_shape_kind {
	SHAPE_ANY,			/* Everything inside is skipped. */
	SHAPE_OBJECT,			/* Members by name. */
	SHAPE_MAP,			/* Any names, one rule for all. */
	SHAPE_ARRAY,
};

struct json_shape {
	enum json_shape_kind kind;
	bool direct;			/* Make no callback for it. */
	unsigned int meaning;
	const struct json_rule * rules;	/* Of an object's members, then
						 * json_rule_none. */
	unsigned int count;
	const struct json_rule * items;	/* Of an array or map, or of what is
					 * no member. */
	const struct json_rule * expected;	/* The first one. */
	uint32_t required;			/* Members, as bits. */
};

/*
 * Take a value of a type in rule->direct, or the name of a value whose rule is
 * ${rule}; ${text} is that of a string or number.  Return false if it is not
 * acceptable; the taker then remembers why.
 */
typedef bool json_take(void * taker, const struct json_rule * rule,
    unsigned int type, const char * text, size_t length);
typedef bool json_take_name(void * taker, const struct json_rule * rule,
    const char * text, size_t length);

/* Begin or end an object or array that means something; likewise. */
typedef void json_begin(void * taker, unsigned int meaning);
typedef bool json_end(void * taker, unsigned int meaning);

/* Matches no name; ends a list of rules. */
extern const struct json_rule json_rule_none;

/**
 * json_rule_is(rule, name, length):
 * Return true if ${name} is the name of the rule's member.
 */
static inline bool
json_rule_is(const struct json_rule * rule, const char * name, size_t length)
{

	return (rule->name.length == length &&
	    text_same(rule->name.bytes, name, length));
}

#endif
