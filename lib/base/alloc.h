#ifndef FLAGTALLY_ALLOC_H
#define FLAGTALLY_ALLOC_H

#include <stddef.h>

/*
 * Allocation that never fails: it aborts instead.  yajl and libfcgi do not
 * survive a failed malloc, so handling one elsewhere would gain nothing.
 */

/**
 * alloc_bytes(size):
 * alloc_zeroed(count, size):
 * alloc_resize(old, count, size):
 * alloc_string(string):
 * As malloc, calloc, reallocarray and strdup; abort, with a message, if there
 * is no memory or the size overflows.  The caller frees the memory.
 */
void * alloc_bytes(size_t size);
void * alloc_zeroed(size_t count, size_t size);
void * alloc_resize(void * old, size_t count, size_t size);
char * alloc_string(const char * string);

/**
 * alloc_copy(bytes, length):
 * Return a copy of ${length} bytes with a NUL after them.
 */
char * alloc_copy(const void * bytes, size_t length);

#endif
