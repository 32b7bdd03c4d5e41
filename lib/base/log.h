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
 * log_start():
 * Find out whether standard error is systemd's journal, which takes a line's
 * priority from `<N>` at its beginning and knows the process of a service
 * itself.  To be called before other threads start.
 */
void log_start(void);

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
 * Write `flagtally[PID]: level: text` if the level is in force.  Everything
 * but printable ASCII is written as \xHH, and a backslash as two, so that no
 * text from outside can forge a line, and a line is cut at 2 KiB.  In the
 * journal `<N>` comes first, and of a service's main process the text follows
 * at once.  None of these ever waits: a line that cannot be written at once is
 * lost, and counted.
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

/*
 * Keeps one kind of line from filling the log, for all threads and objects of
 * the process: it is static, and {0} at first.
 */
struct log_limit {
	_Atomic int64_t next;		/* When to write a line again. */
	_Atomic uint64_t suppressed;	/* Lines that were not, since. */
	_Atomic bool written;		/* One was, and has not been ended. */
};

#define LOG_LIMIT_SECONDS 10

/**
 * log_renew():
 * Have every limit allow its next line, as if LOG_LIMIT_SECONDS had passed:
 * what an operator has just asked for must not be suppressed.
 */
void log_renew(void);

/**
 * log_allowed(limit, suppressed):
 * Return whether a line may be written: once in LOG_LIMIT_SECONDS.  If so,
 * ${suppressed} is how many were not since the one before.
 */
bool log_allowed(struct log_limit * limit, uint64_t * suppressed);

/**
 * log_limited(limit, level, format, ...):
 * Write a line of ${level} if ${limit} allows it, with the number of those
 * that were suppressed since the one before, if there are any.
 */
void log_limited(struct log_limit * limit, enum log_level level,
    const char * format, ...) __attribute__((format(printf, 3, 4)));

/**
 * log_ended(limit):
 * The trouble that lines under ${limit} are about is over.  Return whether
 * that is to be logged: it is once after such a line was written.
 */
bool log_ended(struct log_limit * limit);

/**
 * log_error_limited(format, ...):
 * log_warning_limited(format, ...):
 * log_info_limited(format, ...):
 * Do as log_limited does, with a limit of this place in the source.
 */
#define LOG_HERE(level, ...)						\
	do {								\
		static struct log_limit log_limit_here;			\
									\
		log_limited(&log_limit_here, level, __VA_ARGS__);	\
	} while (0)
#define log_error_limited(...) LOG_HERE(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning_limited(...) LOG_HERE(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info_limited(...) LOG_HERE(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
