#ifndef FLAGTALLY_LOG_H
#define FLAGTALLY_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The log: a line at a time to standard error, which every web server and
 * systemd collect.  Any thread may log.
 */
enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/**
 * log_set_level(level):
 * Write lines up to this level; info unless this is called.
 */
void log_set_level(enum log_level level);

/**
 * log_error(format, ...):
 * log_warning(format, ...):
 * log_info(format, ...):
 * log_debug(format, ...):
 * Write `flagtally[PID]: level: text` if the level is in force.  What is not
 * printable ASCII is written as \xHH, and a backslash as two, so that no text
 * from outside can forge a line, and a line is cut at 2 KiB.  None of these
 * ever waits: a line that cannot be written at once is lost, and counted.
 */
void log_error(const char * format, ...)
    __attribute__((format(printf, 1, 2)));
void log_warning(const char * format, ...)
    __attribute__((format(printf, 1, 2)));
void log_info(const char * format, ...)
    __attribute__((format(printf, 1, 2)));
void log_debug(const char * format, ...)
    __attribute__((format(printf, 1, 2)));

/**
 * log_report_lost():
 * Log how many lines were lost since this was last logged, if there are any and
 * the log can be written again.  Each line that is logged does so first; a
 * process that serves calls this now and then.
 */
void log_report_lost(void);

/* Keeps one kind of line from filling the log; statically {0}. */
struct log_limit {
	_Atomic int64_t next;		/* When a line may come again. */
	_Atomic uint64_t suppressed;	/* Lines that did not, since. */
};

/**
 * log_allowed(limit, seconds, suppressed):
 * Return whether a line may be written: once in ${seconds}.  If so,
 * ${suppressed} is how many were not since the one before.
 */
bool log_allowed(struct log_limit * limit, unsigned int seconds,
    uint64_t * suppressed);

#endif
