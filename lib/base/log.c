#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/escape.h"
#include "lib/base/log.h"
#include "lib/base/log_output.h"

#define TEXT_MAX 2048
#define LINE_MAX_BYTES LOG_OUTPUT_MAX
#define LINE_START_MAX 64

static _Atomic int level_in_force = LOG_LEVEL_INFO;
static _Atomic uint64_t lines_lost;	/* Not yet reported. */
static _Atomic int64_t renewed;		/* Added to the time of limits. */
static bool to_journal;			/* It takes <N> for a priority. */
static bool is_service;			/* It knows who writes. */

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

void
log_start(void)
{
	const char * stream = getenv("JOURNAL_STREAM");
	const char * process = getenv("SYSTEMD_EXEC_PID");
	char name[64];
	struct stat file;

	if (stream == NULL || fstat(STDERR_FILENO, &file) != 0)
		return;
	snprintf(name, sizeof(name), "%ju:%ju", (uintmax_t)file.st_dev,
	    (uintmax_t)file.st_ino);
	to_journal = strcmp(stream, name) == 0;
	snprintf(name, sizeof(name), "%ld", (long)getpid());
	is_service = to_journal && process != NULL &&
	    strcmp(process, name) == 0;
}

/* Write the prefix of a line; return its length. */
static size_t
start_line(char line[LINE_START_MAX], enum log_level level)
{
	static const struct {
		const char * name;
		int priority;		/* syslog's number for it. */
	} levels[] = {
		{ "error", 3 }, { "warning", 4 }, { "info", 6 }, { "debug", 7 },
	};
	size_t used = 0;

	if (to_journal)
		used = (size_t)snprintf(line, LINE_START_MAX, "<%d>",
		    levels[level].priority);
	if (!is_service)
		used += (size_t)snprintf(line + used, LINE_START_MAX - used,
		    "flagtally[%ld]: %s: ", (long)getpid(),
		    levels[level].name);
	return (used);
}

/* Return whether it could be written without waiting. */
static bool
write_line_text(enum log_level level, const char * text)
{
	char line[LINE_MAX_BYTES];
	size_t used = append_escaped(line, start_line(line, level), text);

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
	if (!write_line_text(LOG_LEVEL_WARNING, text))
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
	if (!write_line_text(level, text))
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

void
log_renew(void)
{

	renewed += LOG_LIMIT_SECONDS * INT64_C(1000);
}

bool
log_allowed(struct log_limit * limit, uint64_t * suppressed)
{
	int64_t now = clock_monotonic() + renewed + 1;
	int64_t next = limit->next;

	if (now < next || !atomic_compare_exchange_strong(&limit->next, &next,
	    now + LOG_LIMIT_SECONDS * INT64_C(1000))) {
		limit->suppressed++;
		return (false);
	}
	*suppressed = atomic_exchange(&limit->suppressed, 0);
	limit->written = true;
	return (true);
}

void
log_limited(struct log_limit * limit, enum log_level level,
    const char * format, ...)
{
	char text[TEXT_MAX], more[80] = "";
	uint64_t suppressed;
	va_list arguments;

	if ((int)level > level_in_force || !log_allowed(limit, &suppressed))
		return;
	log_report_lost();
	if (suppressed > 0)
		snprintf(more, sizeof(more), " (%" PRIu64 " more like it "
		    "since the last such line)", suppressed);
	va_start(arguments, format);
	vsnprintf(text, sizeof(text) - strlen(more), format, arguments);
	va_end(arguments);
	memcpy(text + strlen(text), more, strlen(more) + 1);
	if (!write_line_text(level, text))
		lines_lost++;
}

bool
log_ended(struct log_limit * limit)
{

	return (limit->written && atomic_exchange(&limit->written, false));
}
