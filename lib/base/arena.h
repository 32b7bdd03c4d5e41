#ifndef FLAGTALLY_ARENA_H
#define FLAGTALLY_ARENA_H

#include <stddef.h>

/*
 * An arena allocates memory that is released all at once.  A request's data
 * lives in one arena, which is reset when the request is over; nothing is freed
 * piece by piece.
 *
 * With ARENA_MALLOC (address sanitizer builds) each piece is a malloc of its
 * own, so that the sanitizer sees where a piece ends.
 */
struct arena;

/* Alignment of every piece, in bytes. */
#define ARENA_ALIGNMENT 16

/**
 * arena_create(keep):
 * Return a new, empty arena, which holds no memory yet.  After a reset it
 * keeps up to ${keep} bytes for the next use and returns the rest to malloc.
 * The caller frees it with arena_free.
 */
struct arena * arena_create(size_t keep);

/**
 * arena_take(arena, size):
 * Return ${size} bytes, aligned to ARENA_ALIGNMENT and not cleared, which are
 * valid until the next reset.  Abort if there is no memory.
 */
void * arena_take(struct arena * arena, size_t size);

/**
 * arena_copy(arena, from, length):
 * Return a copy of the ${length} bytes at ${from}, valid until the next reset,
 * with a NUL after the last byte.
 */
char * arena_copy(struct arena * arena, const void * from, size_t length);

/**
 * arena_used(arena):
 * Return the number of bytes allocated since the last reset.
 */
size_t arena_used(const struct arena * arena);

/**
 * arena_held(arena):
 * Return the number of bytes held from malloc.
 */
size_t arena_held(const struct arena * arena);

/**
 * arena_reset(arena):
 * Release all pieces.  Pointers into the arena become invalid.
 */
void arena_reset(struct arena * arena);

/**
 * arena_free(arena):
 * Free the arena and all its pieces.
 */
void arena_free(struct arena * arena);

#endif
