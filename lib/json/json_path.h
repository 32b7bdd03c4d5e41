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

/* Of a longer name the pointer does not speak; see path_write. */
#define PATH_NAME_MAX 128

struct path_frame {
	bool array;
	uint64_t start;			/* Position of its bracket. */
	uint64_t index;			/* Elements complete so far. */
	const char * name;		/* Of the member at hand, or NULL. */
	size_t length;
	char kept[PATH_NAME_MAX];
};

/* The first frame is the text itself, whose one element is its value. */
struct path {
	struct path_frame * frames;
	struct path_frame * top;	/* The innermost, */
	struct path_frame * last;	/* and the last that there is. */
};

/**
 * path_init(path, arena, depth_max):
 * Make an empty path of up to ${depth_max} frames, whose memory is taken from
 * ${arena} and goes with it.
 */
void path_init(struct path * path, struct arena * arena, size_t depth_max);

/**
 * path_copy(frame):
 * Copy the frame's name, which goes away.
 */
void path_copy(struct path_frame * frame);

/**
 * path_keep(path):
 * Copy the names that have not been copied: they go away.
 */
void path_keep(struct path * path);

/* What happens with each event stands here, to become part of the reader. */

/**
 * path_full(path):
 * Return whether no object or array can be opened any more.
 */
static inline bool
path_full(const struct path * path)
{

	return (path->top == path->last);
}

/**
 * path_open(path, array, start):
 * An object or array opens at position ${start}; the path must not be full.
 */
static inline void
path_open(struct path * path, bool array, uint64_t start)
{
	struct path_frame * frame = ++path->top;

	frame->array = array;
	frame->start = start;
	frame->index = 0;
	frame->name = NULL;
}

/**
 * path_close(path):
 * The innermost one closes.  Return the position at which it opened.
 */
static inline uint64_t
path_close(struct path * path)
{
	struct path_frame * frame = path->top--;

	return (frame->start);
}

/**
 * path_name(path, name, length, lasts):
 * The name of the next member, or NULL if none is at hand.  If it ${lasts}, it
 * stays where it is until path_keep is called; otherwise it is copied.
 */
static inline void
path_name(struct path * path, const char * name, size_t length, bool lasts)
{
	struct path_frame * frame = path->top;

	frame->name = name;
	frame->length = length;
	if (!lasts)
		path_copy(frame);
}

/**
 * path_next(path):
 * A value has ended.
 */
static inline void
path_next(struct path * path)
{

	path->top->index++;
}

/**
 * path_outermost(path):
 * Return whether no object or array is open.
 */
static inline bool
path_outermost(const struct path * path)
{

	return (path->top == path->frames);
}

/**
 * path_complete(path):
 * Return whether the text's one value has ended.
 */
static inline bool
path_complete(const struct path * path)
{

	return (path->frames->index > 0);
}

/**
 * path_write(path, out, size):
 * Write the path as a JSON Pointer (RFC 6901) with a NUL.  It ends before a
 * name that is longer than PATH_NAME_MAX, holds a NUL, or does not fit into
 * ${size} bytes, and so leads to the object that holds the member.
 */
void path_write(const struct path * path, char * out, size_t size);

#endif
