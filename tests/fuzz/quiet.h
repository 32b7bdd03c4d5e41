#ifndef FLAGTALLY_TESTS_FUZZ_QUIET_H
#define FLAGTALLY_TESTS_FUZZ_QUIET_H

#include <stdarg.h>

#include "lib/base/log.h"
#include "tests/fuzz/fuzz.h"

/*
 * Stands in for lib/log: a fuzzer tries a thousand damaged files a second, and
 * each would be worth a line.  All is formatted, but nothing written.
 */
__attribute__((format(printf, 1, 0)))
static inline void
quiet_format(const char * format, va_list arguments)
{
	char text[2048];

	must(vsnprintf(text, sizeof(text), format, arguments) >= 0);
}

#define QUIET(name)							\
	void name(const char * format, ...)				\
	{								\
		va_list arguments;					\
									\
		va_start(arguments, format);				\
		quiet_format(format, arguments);			\
		va_end(arguments);					\
	}

QUIET(log_error)
QUIET(log_warning)
QUIET(log_info)
QUIET(log_debug)

void
log_set_level(enum log_level level)
{

	(void)level;
}

bool
log_allowed(struct log_limit * limit, uint64_t * suppressed)
{

	(void)limit;
	*suppressed = 0;
	return (true);
}

void
log_limited(struct log_limit * limit, enum log_level level,
    const char * format, ...)
{
	va_list arguments;

	(void)limit;
	(void)level;
	va_start(arguments, format);
	quiet_format(format, arguments);
	va_end(arguments);
}

bool
log_ended(struct log_limit * limit)
{

	(void)limit;
	return (true);
}

#endif
