#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/arena.h"

/*
 * Blocks are chained, the newest first.  A block is at least BLOCK_SIZE large
 * and each new one twice the one before, up to BLOCK_SIZE_MAX, so a large
 * request costs few calls of malloc and a small one little memory.
 */
#define BLOCK_SIZE ((size_t)32 * 1024)
#define BLOCK_SIZE_MAX ((size_t)1024 * 1024)

struct block {
	struct block * older;
	size_t size;			/* Bytes in data[]. */
	size_t filled;
	_Alignas(ARENA_ALIGNMENT) unsigned char data[];
};

struct arena {
	struct block * newest;
	size_t keep;
	size_t used;
	size_t held;
};

struct arena *
arena_create(size_t keep)
{
	struct arena * arena = alloc_zeroed(1, sizeof(*arena));

	arena->keep = keep;
	return (arena);
}

static struct block *
block_create(struct arena * arena, size_t size)
{
	struct block * block;

	/* Rounding up or adding the header can overflow. */
	if (size > SIZE_MAX / 2)
		size = SIZE_MAX - sizeof(*block);
	block = alloc_bytes(sizeof(*block) + size);

	block->older = arena->newest;
	block->size = size;
	block->filled = 0;
	arena->newest = block;
	arena->held += sizeof(*block) + size;
	return (block);
}

#ifdef ARENA_MALLOC

void *
arena_take(struct arena * arena, size_t size)
{
	arena->used += size;
	return (block_create(arena, size)->data);
}

#else

/* Not inlined, which keeps arena_take small. */
__attribute__((noinline))
static struct block *
block_for(struct arena * arena, size_t size)
{
	struct block * newest = arena->newest;
	size_t wanted = BLOCK_SIZE;

	if (newest != NULL && newest->size >= BLOCK_SIZE) {
		wanted = newest->size * 2;
		if (wanted > BLOCK_SIZE_MAX)
			wanted = BLOCK_SIZE_MAX;
	}
	if (wanted < size)
		wanted = size;
	return (block_create(arena, wanted));
}

void *
arena_take(struct arena * arena, size_t size)
{
	struct block * block = arena->newest;
	size_t rounded = (size + ARENA_ALIGNMENT - 1) &
	    ~(size_t)(ARENA_ALIGNMENT - 1);
	void * piece;

	/* Rounding up can overflow; the allocation then refuses the size. */
	if (rounded < size)
		rounded = size;
	if (block == NULL || block->size - block->filled < rounded)
		block = block_for(arena, rounded);
	piece = block->data + block->filled;
	block->filled += rounded;
	arena->used += rounded;
	return (piece);
}

#endif

char *
arena_copy(struct arena * arena, const void * from, size_t length)
{
	char * copy = arena_take(arena, length + 1);

	if (length > 0)
		memcpy(copy, from, length);
	copy[length] = '\0';
	return (copy);
}

size_t
arena_used(const struct arena * arena)
{

	return (arena->used);
}

size_t
arena_held(const struct arena * arena)
{

	return (arena->held);
}

static void
give_back(struct arena * arena)
{
	struct block * block, * older;
	struct block * kept = NULL;

	for (block = arena->newest; block != NULL; block = older) {
		older = block->older;
#ifndef ARENA_MALLOC
		if (kept == NULL && block->size <= arena->keep) {
			kept = block;
			kept->older = NULL;
			kept->filled = 0;
			continue;
		}
#endif
		free(block);
	}
	arena->newest = kept;
	arena->used = 0;
	arena->held = kept == NULL ? 0 : sizeof(*kept) + kept->size;
}

void
arena_reset(struct arena * arena)
{

	/* Often nothing was taken. */
	if (arena->used > 0)
		give_back(arena);
}

void
arena_free(struct arena * arena)
{

	if (arena == NULL)
		return;
	arena->keep = 0;
	give_back(arena);
	free(arena->newest);
	free(arena);
}
