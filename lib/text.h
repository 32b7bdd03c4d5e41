#ifndef FLAGTALLY_TEXT_H
#define FLAGTALLY_TEXT_H

#include <stddef.h>
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
