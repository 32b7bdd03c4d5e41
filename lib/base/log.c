#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/escape.h"
#include "lib/base/log.h"
#include "lib/base/log_output.h"

#define TEXT_MAX 2048
#define LINE_MAX_BYTES LOG_OUTPUT_MAX

static _Atomic int level_in_force = LOG_LEVEL_INFO;
static _Atomic uint64_t lines_lost;	/* Not yet reported. */

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

/* Return whether it could be written without waiting. */
static bool
write_text(enum log_level level, const char * text)
{
	static const char * const names[] = {
		"error", "warning", "info", "debug",
	};
	char line[LINE_MAX_BYTES];
	size_t used = (size_t)snprintf(line, 64, "flagtally[%ld]: %s: ",
	    (long)getpid(), names[level]);

	used = append_escaped(line, used, text);
	return (log_output_write(line, used));
}

void
log_report_lost(void)
{
	uint64_t lost = atomic_exchange(&lines_lost, 0);
	char text[120];

	if (lost == 0)
		return;
	snprintf(text, sizeof(text), "lines that are lost because the log "
	    "could not be written: %" PRIu64, lost);
	if (!write_text(LOG_LEVEL_WARNING, text))
		lines_lost += lost;
}

__attribute__((format(printf, 2, 0)))
static void
write_line(enum log_level level, const char * format, va_list arguments)
{
	char text[TEXT_MAX];

	if ((int)level > level_in_force)
		return;
	log_report_lost();
	vsnprintf(text, sizeof(text), format, arguments);
	if (!write_text(level, text))
		lines_lost++;
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
