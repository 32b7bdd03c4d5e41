#ifndef FLAGTALLY_FAULT_H
#define FLAGTALLY_FAULT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An error in a request's body: its kind, position and reason.  The first fault
 * wins.  Only fcgi/response.c turns a code into a status.
 */
enum fault_code {
	FAULT_NONE = 0,
	FAULT_INVALID,		/* Not JSON, or not the schema. */
	FAULT_OVERFLOW,		/* Its counts add up to more than 2^53-1. */
	FAULT_TOO_LARGE,	/* Exceeds a limit. */
	FAULT_INCOMPLETE,	/* The body could not be read to its end. */
};

/* The configured limit that the body exceeds, if any. */
enum fault_limit {
	FAULT_LIMIT_NONE = 0,
	FAULT_LIMIT_CGI_PARAMS,
	FAULT_LIMIT_BODY,
	FAULT_LIMIT_INFLATED,
	FAULT_LIMIT_RATIO,
	FAULT_LIMIT_MEMORY,
	FAULT_LIMIT_COUNTERS,
	FAULT_LIMIT_DEPTH,
	FAULT_LIMIT_NAME,
	FAULT_LIMIT_TIME,
	FAULT_LIMIT_COUNT,
};

#define FAULT_POINTER_MAX 512
#define FAULT_DETAIL_MAX 256

struct fault {
	enum fault_code code;
	enum fault_limit limit;
	uint64_t offset;		/* Of the byte at fault. */
	char pointer[FAULT_POINTER_MAX];/* RFC 6901; valid UTF-8. */
	char detail[FAULT_DETAIL_MAX];	/* Human-readable. */
};

/**
 * fault_set(fault, code, offset, pointer, format, ...):
 * Record a fault unless one is recorded already.  ${pointer} is truncated
 * after the last member that fits, the detail to FAULT_DETAIL_MAX - 1 bytes,
 * and never within a character.  Pass text from a body through fault_quote
 * first.
 */
void fault_set(struct fault * fault, enum fault_code code, uint64_t offset,
    const char * pointer, const char * format, ...)
    __attribute__((format(printf, 5, 6)));

/**
 * fault_vset(fault, code, offset, pointer, format, arguments):
 * As fault_set, with a va_list.
 */
void fault_vset(struct fault * fault, enum fault_code code, uint64_t offset,
    const char * pointer, const char * format, va_list arguments)
    __attribute__((format(printf, 5, 0)));

/* Size of the text that fault_quote makes, with its NUL. */
#define FAULT_QUOTE_MAX 80

/**
 * fault_quote(out, text, length):
 * Write ${length} bytes of ${text} to ${out} in double quotes, with bytes other
 * than printable ASCII as \xHH and an ellipsis if truncated.  Return ${out}.
 */
const char * fault_quote(char out[FAULT_QUOTE_MAX], const char * text,
    size_t length);

#endif
