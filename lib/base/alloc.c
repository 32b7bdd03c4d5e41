#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"

static void *
checked(void * memory)
{
	static const char message[] = "flagtally: out of memory\n";

	if (memory == NULL) {
		if (write(STDERR_FILENO, message, sizeof(message) - 1) == -1)
			abort();
		abort();
	}
	return (memory);
}

void *
alloc_bytes(size_t size)
{

	return (checked(malloc(size == 0 ? 1 : size)));
}

void *
alloc_zeroed(size_t count, size_t size)
{

	return (checked(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size)));
}

void *
alloc_resize(void * old, size_t count, size_t size)
{

	if (size != 0 && count > SIZE_MAX / size)
		return (checked(NULL));
	return (checked(realloc(old, count * size == 0 ? 1 : count * size)));
}

char *
alloc_copy(const void * bytes, size_t length)
{
	char * copy = alloc_bytes(length + 1);

	memcpy(copy, bytes, length);
	copy[length] = '\0';
	return (copy);
}

char *
alloc_string(const char * string)
{

	return (alloc_copy(string, strlen(string)));
}
