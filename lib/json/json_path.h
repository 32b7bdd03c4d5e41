#ifndef FLAGTALLY_JSON_PATH_H
#define FLAGTALLY_JSON_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"

/*
 * The path of the value being read: the open objects and arrays, and the
 * current member or element of each.
 */

/* A pointer ends before a longer name; see json_path_write. */
#define JSON_PATH_NAME_MAX 128

struct json_path_frame {
	bool array;
	uint64_t start;			/* Offset of its bracket. */
	uint64_t index;			/* Elements complete so far. */
	const char * name;		/* Of the current member, or NULL. */
	size_t length;
	char kept[JSON_PATH_NAME_MAX];
};

/* The first frame is the text, whose only element is the top-level value. */
struct json_path {
	struct json_path_frame * frames;
	struct json_path_frame * top;	/* The innermost, */
	struct json_path_frame * last;	/* and the last that there is. */
};

/**
 * json_path_init(path, arena, depth_max):
 * Make an empty path of up to ${depth_max} frames, which live in ${arena}.
 */
void json_path_init(struct json_path * path, struct arena * arena,
    size_t depth_max);

/**
 * json_path_copy(frame):
 * Copy the frame's name, because the piece that holds it ends.
 */
void json_path_copy(struct json_path_frame * frame);

/**
 * json_path_keep(path):
 * Copy all names that still point into the current piece.
 */
void json_path_keep(struct json_path * path);

/* The functions below run for each event, so they are inline. */

/**
 * json_path_full(path):
 * Return true if the depth limit is reached.
 */
static inline bool
json_path_full(const struct json_path * path)
{

	return (path->top == path->last);
}

/**
 * json_path_open(path, array, start):
 * Enter an object or array that opens at offset ${start}.  The path must not be
 * full.
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
 * Leave the innermost object or array, and return the offset of its bracket.
 */
static inline uint64_t
json_path_close(struct json_path * path)
{
	struct json_path_frame * frame = path->top--;

	return (frame->start);
}

/**
 * json_path_name(path, name, length, lasts):
 * Set the current member's name, or NULL if it is unknown.  If ${lasts}, the
 * name stays valid until json_path_keep is called; otherwise it is copied.
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
 * Advance past a value.
 */
static inline void
json_path_next(struct json_path * path)
{

	path->top->index++;
}

/**
 * json_path_outermost(path):
 * Return true if no object or array is open.
 */
static inline bool
json_path_outermost(const struct json_path * path)
{

	return (path->top == path->frames);
}

/**
 * json_path_complete(path):
 * Return true if the top-level value has ended.
 */
static inline bool
json_path_complete(const struct json_path * path)
{

	return (path->frames->index > 0);
}

/**
 * json_path_write(path, out, size):
 * Write the path as a NUL-terminated JSON Pointer (RFC 6901).  It ends before a
 * name that exceeds JSON_PATH_NAME_MAX, holds a NUL, or does not fit into
 * ${size} bytes; the pointer is then that of the enclosing object.
 */
void json_path_write(const struct json_path * path, char * out, size_t size);

#endif
