#ifndef FLAGTALLY_TEXT_H
#define FLAGTALLY_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A view of text that its creator owns, in UTF-8 or raw bytes, not
 * NUL-terminated.  bytes is NULL if there is none.
 */
struct text {
	const char * bytes;
	size_t length;
};

/**
 * text_of(string):
 * Return the text of a C string.
 */
static inline struct text
text_of(const char * string)
{
	struct text text = { string, strlen(string) };

	return (text);
}

/**
 * text_word(text):
 * text_half(text):
 * Return the next eight or four bytes of a text as a number.
 */
static inline uint64_t
text_word(const char * text)
{
	uint64_t word;

	memcpy(&word, text, sizeof(word));
	return (word);
}

static inline uint32_t
text_half(const char * text)
{
	uint32_t half;

	memcpy(&half, text, sizeof(half));
	return (half);
}

/**
 * text_same(a, b, length):
 * Return true if two texts of the same length are equal.  Names are short;
 * comparing them by words is faster than calling memcmp.
 */
static inline int
text_same(const char * a, const char * b, size_t length)
{
	size_t i = 0;

	if (length >= 8) {
		for (; length - i > 16; i += 8)
			if (text_word(a + i) != text_word(b + i))
				return (0);
		/* The last word can overlap the one before. */
		return (text_word(a + i) == text_word(b + i) &&
		    text_word(a + length - 8) == text_word(b + length - 8));
	}
	if (length >= 4)
		return (text_half(a) == text_half(b) &&
		    text_half(a + length - 4) == text_half(b + length - 4));
	/* One to three bytes: the first, the middle, and the last. */
	return (length == 0 || (a[0] == b[0] &&
	    a[length / 2] == b[length / 2] && a[length - 1] == b[length - 1]));
}

/**
 * text_is(text, string):
 * Return true if the text equals a C string.
 */
static inline int
text_is(const struct text * text, const char * string)
{

	return (text->bytes != NULL && text->length == strlen(string) &&
	    memcmp(text->bytes, string, text->length) == 0);
}

#endif
