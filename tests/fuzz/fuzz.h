#ifndef FLAGTALLY_TESTS_FUZZ_FUZZ_H
#define FLAGTALLY_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What all harnesses share.  A harness is one function, which a fuzzer calls
 * with one input after the other; tests/fuzz/replay.c calls it where there is
 * no fuzzer.
 */

/**
 * LLVMFuzzerTestOneInput(bytes, length):
 * Try one input.  Return 0; what must not be ends the process.
 */
int LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length);

/**
 * must(condition):
 * End the process, and say where and what, unless the condition holds.
 */
#define must(condition) \
	((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))

__attribute__((noreturn))
static inline void
fuzz_fail(const char * condition, const char * file, int line)
{

	fprintf(stderr, "%s:%d: this must hold: %s\n", file, line, condition);
	abort();
}

/* An input from whose front a harness takes what it decides with. */
struct fuzz {
	const uint8_t * bytes;
	size_t length;
};

/**
 * fuzz_byte(fuzz):
 * Take a byte off the front; 0 if there is none left.
 */
static inline unsigned int
fuzz_byte(struct fuzz * fuzz)
{

	if (fuzz->length == 0)
		return (0);
	fuzz->length--;
	return (*fuzz->bytes++);
}

/**
 * fuzz_copy(bytes, length):
 * Return a copy with a NUL after it, in memory that ends there, so that the
 * address sanitizer sees whoever reads on.  The caller frees it.
 */
static inline char *
fuzz_copy(const void * bytes, size_t length)
{
	char * copy = malloc(length + 1);

	if (copy == NULL)
		abort();
	if (length > 0)
		memcpy(copy, bytes, length);
	copy[length] = '\0';
	return (copy);
}

/**
 * fuzz_exact(bytes, length):
 * As fuzz_copy, but without the NUL.
 */
static inline char *
fuzz_exact(const void * bytes, size_t length)
{
	char * copy = calloc(1, length == 0 ? 1 : length);

	if (copy == NULL)
		abort();
	if (length > 0)
		memcpy(copy, bytes, length);
	return (copy);
}

/**
 * fuzz_utf8(bytes, length):
 * Return whether the bytes are valid UTF-8 (RFC 3629), by a reading of its
 * table that owes nothing to the library.
 */
static inline bool
fuzz_utf8(const void * bytes, size_t length)
{
	const uint8_t * p = bytes;
	size_t i = 0;

	while (i < length) {
		uint8_t c = p[i++];
		uint8_t low = 0x80, high = 0xbf;
		unsigned int more;

		if (c < 0x80)
			continue;
		if (c < 0xc2 || c > 0xf4)
			return (false);
		more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		if (c == 0xe0)
			low = 0xa0;
		if (c == 0xed)
			high = 0x9f;
		if (c == 0xf0)
			low = 0x90;
		if (c == 0xf4)
			high = 0x8f;
		for (; more > 0; more--, low = 0x80, high = 0xbf)
			if (i == length || p[i] < low || p[i++] > high)
				return (false);
	}
	return (true);
}

#endif
