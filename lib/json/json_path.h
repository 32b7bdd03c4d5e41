#ifndef FLAGTALLY_JSON_PATH_H
#define FLAGTALLY_JSON_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"

/*
 * Where a reader of JSON is: the objects and arrays that are open, and which
 * member or element of each is being read.
 */

/* Of a longer name the pointer does not speak; see json_path_write. */
#define JSON_PATH_NAME_MAX 128

struct json_path_frame {
	bool array;
	uint64_t start;			/* Position of its bracket. */
	uint64_t index;			/* Elements complete so far. */
	const char * name;		/* Of the member at hand, or NULL. */
	size_t length;
	char kept[JSON_PATH_NAME_MAX];
};

/* The first frame is the text itself, whose one element is its value. */
struct json_path {
	struct json_path_frame * frames;
	struct json_path_frame * top;	/* The innermost, */
	struct json_path_frame * last;	/* and the last that there is. */
};

/**
 * json_path_init(path, arena, depth_max):
 * Make an empty path of up to ${depth_max} frames, whose memory is taken from
 * ${arena} and goes with it.
 */
void json_path_init(struct json_path * path, struct arena * arena,
    size_t depth_max);

/**
 * json_path_copy(frame):
 * Copy the frame's name, which goes away.
 */
void json_path_copy(struct json_path_frame * frame);

/**
 * json_path_keep(path):
 * Copy the names that have not been copied: they go away.
 */
void json_path_keep(struct json_path * path);

/* What happens with each event stands here, to become part of the reader. */

/**
 * json_path_full(path):
 * Return whether no object or array can be opened any more.
 */
static inline bool
json_path_full(const struct json_path * path)
{

	return (path->top == path->last);
}

/**
 * json_path_open(path, array, start):
 * An object or array opens at position ${start}; the path must not be full.
 */
static inline void
json_path_open(struct json_path * path, bool array, uint64_t start)
{
	struct json_path_frame * frame = ++path->top;

	frame->array = array;
	frame->start = start;
	frame->index = 0;
	frame->name = NULL;
}

/**
 * json_path_close(path):
 * The innermost one closes.  Return the position at which it opened.
 */
static inline uint64_t
json_path_close(struct json_path * path)
{
	struct json_path_frame * frame = path->top--;

	return (frame->start);
}

/**
 * json_path_name(path, name, length, lasts):
 * The name of the next member, or NULL if none is at hand.  If it ${lasts}, it
 * stays where it is until json_path_keep is called; otherwise it is copied.
 */
static inline void
json_path_name(struct json_path * path, const char * name, size_t length,
    bool lasts)
{
	struct json_path_frame * frame = path->top;

	frame->name = name;
	frame->length = length;
	if (!lasts)
		json_path_copy(frame);
}

/**
 * json_path_next(path):
 * A value has ended.
 */
static inline void
json_path_next(struct json_path * path)
{

	path->top->index++;
}

/**
 * json_path_outermost(path):
 * Return whether no object or array is open.
 */
static inline bool
json_path_outermost(const struct json_path * path)
{

	return (path->top == path->frames);
}

/**
 * json_path_complete(path):
 * Return whether the text's one value has ended.
 */
static inline bool
json_path_complete(const struct json_path * path)
{

	return (path->frames->index > 0);
}

/**
 * json_path_write(path, out, size):
 * Write the path as a JSON Pointer (RFC 6901) with a NUL.  It ends before a
 * name that exceeds JSON_PATH_NAME_MAX, holds a NUL, or does not fit into
 * ${size} bytes, and so leads to the object that holds the member.
 */
void json_path_write(const struct json_path * path, char * out, size_t size);

#endif
