#include <string.h>

#include "lib/base/escape.h"
#include "lib/report/results.h"

void *
results_take(struct results * results, size_t size)
{
	void * memory;

	if (arena_used(results->arena) + size > results->limit) {
		results->full = true;
		return (NULL);
	}
	memory = arena_take(results->arena, size);
	memset(memory, 0, size);
	return (memory);
}

struct text
results_copy(struct results * results, struct text text)
{
	char * copy = results_take(results, text.length + 1);

	if (copy != NULL && text.length > 0)
		memcpy(copy, text.bytes, text.length);
	return ((struct text){ copy, copy == NULL ? 0 : text.length });
}

struct text
results_decode(struct results * results, struct text text)
{
	char * copy = results_take(results, text.length + 1);
	long decoded;

	if (copy == NULL)
		return ((struct text){ NULL, 0 });
	memcpy(copy, text.bytes, text.length);
	decoded = escape_percent_decode(copy, text.length);
	return ((struct text){ copy, decoded < 0 ? text.length :
	    (size_t)decoded });
}

int
results_compare(struct text a, struct text b)
{
	size_t length = a.length < b.length ? a.length : b.length;
	int order = length == 0 ? 0 : memcmp(a.bytes, b.bytes, length);

	return (order != 0 ? order : (a.length > b.length) -
	    (a.length < b.length));
}

bool
results_same(struct text a, struct text b)
{

	return (a.length == b.length && results_compare(a, b) == 0);
}

bool
results_split(struct text whole, struct text * before, struct text * after)
{
	const char * colon = memchr(whole.bytes, ':', whole.length);

	if (colon == NULL)
		return (false);
	*before = (struct text){ whole.bytes,
	    (size_t)(colon - whole.bytes) };
	*after = (struct text){ colon + 1,
	    whole.length - before->length - 1 };
	return (true);
}

uint64_t
results_sum(uint64_t a, uint64_t b)
{

	return (a > UINT64_MAX - b ? UINT64_MAX : a + b);
}
