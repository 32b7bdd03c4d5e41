#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "tests/unit/tap.h"

#define PIECES 2000

struct piece {
	unsigned char * bytes;
	size_t size;
	unsigned char fill;
};

static bool
is_filled(const struct piece * piece)
{
	size_t i;

	for (i = 0; i < piece->size; i++)
		if (piece->bytes[i] != piece->fill)
			return (false);
	return (true);
}

/* Fill all pieces, then see that none has been written over by another. */
static void
take_many(struct arena * arena, const char * name, size_t size_max)
{
	static struct piece pieces[PIECES];
	size_t total = 0, used, i;
	unsigned int misaligned = 0, damaged = 0;

	for (i = 0; i < PIECES; i++) {
		struct piece * piece = &pieces[i];

		piece->size = (size_t)random() % (size_max + 1);
		piece->fill = (unsigned char)(i * 7 + 1);
		piece->bytes = arena_take(arena, piece->size);
		misaligned += (uintptr_t)piece->bytes % ARENA_ALIGNMENT != 0;
		if (piece->size > 0)
			memset(piece->bytes, piece->fill, piece->size);
		total += piece->size;
	}
	for (i = 0; i < PIECES; i++)
		damaged += !is_filled(&pieces[i]);
	used = arena_used(arena);
	is_integer(misaligned, 0, "%s: all pieces are aligned", name);
	is_integer(damaged, 0, "%s: no piece overlaps another", name);
	ok(used >= total && used < total + (size_t)PIECES * ARENA_ALIGNMENT,
	    "%s: %zu bytes taken, %zu used", name, total, used);
}

static void
test_sizes(size_t keep)
{
	static const struct {
		const char * name;
		size_t size_max;
	} rows[] = {
		{ "tiny pieces", 3 },
		{ "small pieces", 100 },
		{ "pieces about as large as a block", 40000 },
		{ "small pieces after large ones", 100 },
	};
	struct arena * arena = arena_create(keep);
	size_t i;

	is_integer(arena_used(arena), 0, "a new arena is empty");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		take_many(arena, rows[i].name, rows[i].size_max);
		arena_reset(arena);
		is_integer(arena_used(arena), 0, "%s: none after the reset",
		    rows[i].name);
	}
	arena_free(arena);
}

/* Just below, at and just above the sizes at which blocks may change. */
static void
test_boundaries(void)
{
	static const size_t sizes[] = {
		0, 1, 15, 16, 17, 4095, 4096, 32752, 32767, 32768, 32769,
		65536, 1048575, 1048576, 1048577, 5000000,
	};
	struct arena * arena = arena_create(65536);
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct piece before = { NULL, 24, 0xaa };
		struct piece piece = { NULL, sizes[i], 0xbb };
		struct piece after = { NULL, 24, 0xcc };

		before.bytes = arena_take(arena, before.size);
		memset(before.bytes, before.fill, before.size);
		piece.bytes = arena_take(arena, piece.size);
		after.bytes = arena_take(arena, after.size);
		memset(after.bytes, after.fill, after.size);
		memset(piece.bytes, piece.fill, piece.size);
		ok(is_filled(&before) && is_filled(&after),
		    "%zu bytes leave their neighbours alone", sizes[i]);
	}
	arena_free(arena);
}

static void
test_copy(void)
{
	static const struct {
		const char * bytes;
		size_t length;
	} rows[] = {
		{ "", 0 }, { "a", 1 }, { "a\0b", 3 },
		{ "0123456789abcdef", 16 },
		{ "\0\0", 2 },
	};
	struct arena * arena = arena_create(0);
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char * from = tap_copy(rows[i].bytes, rows[i].length);
		char * copy = arena_copy(arena, from, rows[i].length);

		memset(from, 'x', rows[i].length);
		is_bytes(copy, rows[i].length + 1, rows[i].bytes,
		    rows[i].length + 1, "a copy of %zu bytes and a NUL",
		    rows[i].length);
		free(from);
	}
	is_bytes(arena_copy(arena, NULL, 0), 1, "", 1, "a copy of nothing");
	ok(arena_used(arena) >= 27, "copies count as used");
	arena_free(arena);
}

static void
test_free(void)
{
	struct arena * arena = arena_create(1000);

	arena_free(NULL);
	arena_free(arena);
	arena = arena_create(1000);
	arena_reset(arena);
	arena_reset(arena);
	is_integer(arena_used(arena), 0, "an empty arena can be reset");
	arena_free(arena);
}

/* Take a size for which there is no memory; whoever gets it exits with 0. */
static int
status_of_taking(size_t size)
{
	struct rlimit none = { 0, 0 };
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		struct arena * arena = arena_create(0);

		setrlimit(RLIMIT_CORE, &none);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		arena_take(arena, 1);
		_exit(arena_take(arena, size) == NULL ? 2 : 0);
	}
	if (child == -1 || waitpid(child, &status, 0) != child)
		return (0);
	return (status);
}

static void
test_no_memory(void)
{
	static const struct {
		const char * name;
		size_t size;
	} rows[] = {
		{ "PTRDIFF_MAX", PTRDIFF_MAX },
		{ "SIZE_MAX / 2", SIZE_MAX / 2 },
		{ "SIZE_MAX - 4096", SIZE_MAX - 4096 },
		{ "SIZE_MAX - 32", SIZE_MAX - 32 },
		{ "SIZE_MAX - 15", SIZE_MAX - 15 },
		{ "SIZE_MAX - 14", SIZE_MAX - 14 },
		{ "SIZE_MAX", SIZE_MAX },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status = status_of_taking(rows[i].size);

		ok(WIFSIGNALED(status) || WEXITSTATUS(status) == 1,
		    "%s bytes end the process (status %#x)", rows[i].name,
		    (unsigned int)status);
	}
}

int
main(void)
{

	tap_seed();
	test_sizes(0);
	test_sizes(65536);
	test_sizes(SIZE_MAX);
	test_boundaries();
	test_copy();
	test_free();
	test_no_memory();
	return (tap_done());
}
