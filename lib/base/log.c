#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/escape.h"
#include "lib/base/log.h"

#define TEXT_MAX 2048
#define LINE_MAX_BYTES 2048

static _Atomic int level_in_force = LOG_LEVEL_INFO;

void
log_set_level(enum log_level level)
{

	level_in_force = (int)level;
}

/* Append the text, escaped, and the end of the line. */
static size_t
append_escaped(char * line, size_t used, const char * text)
{

	/* A newline must follow. */
	for (; *text != '\0' && used + ESCAPE_BYTE_MAX < LINE_MAX_BYTES; text++)
		used += escape_byte(line + used, *text);
	line[used++] = '\n';
	return (used);
}

__attribute__((format(printf, 2, 0)))
static void
write_line(enum log_level level, const char * format, va_list arguments)
{
	static const char * const names[] = {
		"error", "warning", "info", "debug",
	};
	char text[TEXT_MAX];
	char line[LINE_MAX_BYTES];
	size_t used;

	if ((int)level > level_in_force)
		return;
	vsnprintf(text, sizeof(text), format, arguments);
	used = (size_t)snprintf(line, 64, "flagtally[%ld]: %s: ",
	    (long)getpid(), names[level]);
	used = append_escaped(line, used, text);
	/* There is nobody to tell that a line could not be written. */
	if (write(STDERR_FILENO, line, used) == -1)
		return;
}

void
log_error(const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(LOG_LEVEL_ERROR, format, arguments);
	va_end(arguments);
}

void
log_warning(const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(LOG_LEVEL_WARNING, format, arguments);
	va_end(arguments);
}

void
log_info(const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(LOG_LEVEL_INFO, format, arguments);
	va_end(arguments);
}

void
log_debug(const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(LOG_LEVEL_DEBUG, format, arguments);
	va_end(arguments);
}

bool
log_allowed(struct log_limit * limit, unsigned int seconds,
    uint64_t * suppressed)
{
	int64_t now = clock_monotonic() + 1;
	int64_t next = limit->next;

	if (now < next || !atomic_compare_exchange_strong(&limit->next, &next,
	    now + (int64_t)seconds * 1000)) {
		limit->suppressed++;
		return (false);
	}
	*suppressed = atomic_exchange(&limit->suppressed, 0);
	return (true);
}
