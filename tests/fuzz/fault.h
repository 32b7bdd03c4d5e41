#ifndef FLAGTALLY_TESTS_FUZZ_FAULT_H
#define FLAGTALLY_TESTS_FUZZ_FAULT_H

#include "lib/base/fault.h"
#include "tests/fuzz/fuzz.h"

/**
 * fault_must_fit(fault, length):
 * What is told of a fault in ${length} bytes must be what a person can be
 * shown: within them, bounded, and free of bytes that could forge anything.
 */
static inline void
fault_must_fit(const struct fault * fault, uint64_t length)
{
	size_t pointer = strnlen(fault->pointer, sizeof(fault->pointer));
	size_t detail = strnlen(fault->detail, sizeof(fault->detail));
	size_t i;

	must(fault->code != FAULT_NONE);
	must(fault->offset <= length);
	must(pointer < sizeof(fault->pointer));
	must(pointer == 0 || fault->pointer[0] == '/');
	must(fuzz_utf8(fault->pointer, pointer));
	must(detail > 0 && detail < sizeof(fault->detail));
	for (i = 0; i < detail; i++)
		must(fault->detail[i] >= 0x20 && fault->detail[i] < 0x7f);
}

/**
 * fault_must_equal(a, b):
 * Two readings of the same bytes must tell the same.
 */
static inline void
fault_must_equal(const struct fault * a, const struct fault * b)
{

	must(a->code == b->code);
	if (a->code == FAULT_NONE)
		return;
	must(a->offset == b->offset);
	must(strcmp(a->pointer, b->pointer) == 0);
	must(strcmp(a->detail, b->detail) == 0);
}

#endif
