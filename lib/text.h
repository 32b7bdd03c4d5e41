#ifndef FLAGTALLY_TEXT_H
#define FLAGTALLY_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A piece of text that somebody else owns: UTF-8, or whatever it was given as,
 * not NUL-terminated; bytes is NULL where there is none.
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
 * text_same(a, b, length):
 * Return whether two texts are the same that are of one length.  Names are
 * short, and compared by words sooner than memcmp could be called.
 */
static inline int
text_same(const char * a, const char * b, size_t length)
{
	uint64_t x, y;
	size_t i = 0;

	if (length < sizeof(x)) {
		while (i < length && a[i] == b[i])
			i++;
		return (i == length);
	}
	for (; i + sizeof(x) < length; i += sizeof(x)) {
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		if (x != y)
			return (0);
	}
	/* The last word may begin within the one before. */
	memcpy(&x, a + length - sizeof(x), sizeof(x));
	memcpy(&y, b + length - sizeof(y), sizeof(y));
	return (x == y);
}

/**
 * text_is(text, string):
 * Return whether the text is the same as a C string.
 */
static inline int
text_is(const struct text * text, const char * string)
{

	return (text->bytes != NULL && text->length == strlen(string) &&
	    memcmp(text->bytes, string, text->length) == 0);
}

#endif
