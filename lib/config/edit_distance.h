#ifndef FLAGTALLY_EDIT_DISTANCE_H
#define FLAGTALLY_EDIT_DISTANCE_H

#include <stddef.h>

/**
 * edit_distance_of(a, b):
 * Return the Levenshtein distance of two words: the number of insertions,
 * deletions and substitutions that turn one into the other.  Return SIZE_MAX if
 * ${b} has 64 bytes or more.
 */
size_t edit_distance_of(const char * a, const char * b);

#endif
