#ifndef FLAGTALLY_EDIT_DISTANCE_H
#define FLAGTALLY_EDIT_DISTANCE_H

#include <stddef.h>

/**
 * edit_distance_distance(a, b):
 * Return Levenshtein's distance of two words: how many letters have to be put
 * in, left out or changed to make one of the other.  It is SIZE_MAX if ${b} has
 * 64 bytes or more.
 */
size_t edit_distance_distance(const char * a, const char * b);

#endif
