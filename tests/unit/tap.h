#ifndef FLAGTALLY_TESTS_UNIT_TAP_H
#define FLAGTALLY_TESTS_UNIT_TAP_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A producer of the Test Anything Protocol.  A check prints one line, and why
 * it failed if it did; main returns tap_done().
 */
static struct {
	unsigned int checks;
	unsigned int failed;
} tap;

/*
 * A test must not depend on how it was started: signals that the parent ignores
 * or blocks are as usual (tests/harness/__init__.py does the same).
 */
__attribute__((constructor))
static void
tap_as_usual(void)
{
	struct sigaction action;
	sigset_t none;
	int number;

	for (number = 1; number < SIGRTMIN; number++)
		if (sigaction(number, NULL, &action) == 0 &&
		    action.sa_handler == SIG_IGN)
			signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/**
 * ok(condition, format, ...):
 * is_integer(got, wanted, format, ...):
 * is_text(got, wanted, format, ...):
 * is_bytes(got, got_length, wanted, wanted_length, format, ...):
 * Check a condition, two integers, two C strings (either may be NULL) or two
 * pieces of memory; the format says what is checked.  Return whether it holds.
 */
#define ok(condition, ...) \
	tap_ok((condition), #condition, __FILE__, __LINE__, __VA_ARGS__)
#define is_integer(got, wanted, ...) \
	tap_integer((int64_t)(got), (int64_t)(wanted), __FILE__, __LINE__, \
	    __VA_ARGS__)
#define is_text(got, wanted, ...) \
	tap_text((got), (wanted), __FILE__, __LINE__, __VA_ARGS__)
#define is_bytes(got, got_length, wanted, wanted_length, ...) \
	tap_bytes((got), (got_length), (wanted), (wanted_length), __FILE__, \
	    __LINE__, __VA_ARGS__)

__attribute__((format(printf, 2, 0)))
static inline void
tap_line(bool passed, const char * format, va_list arguments)
{
	char text[200];
	char * c;

	tap.checks++;
	if (!passed)
		tap.failed++;
	vsnprintf(text, sizeof(text), format, arguments);
	/* A line break would end the line, and # begin a directive. */
	for (c = text; *c != '\0'; c++)
		if (*c < 0x20 || *c > 0x7e || *c == '#')
			*c = '?';
	printf("%sok %u - %s\n", passed ? "" : "not ", tap.checks, text);
	fflush(stdout);
}

__attribute__((format(printf, 5, 6)))
static inline bool
tap_ok(bool passed, const char * condition, const char * file, int line,
    const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tap_line(passed, format, arguments);
	va_end(arguments);
	if (!passed)
		printf("# got false, wanted %s, at %s:%d\n", condition, file,
		    line);
	return (passed);
}

__attribute__((format(printf, 5, 6)))
static inline bool
tap_integer(int64_t got, int64_t wanted, const char * file, int line,
    const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tap_line(got == wanted, format, arguments);
	va_end(arguments);
	if (got != wanted)
		printf("# got %lld, wanted %lld, at %s:%d\n", (long long)got,
		    (long long)wanted, file, line);
	return (got == wanted);
}

/* Print bytes so that no line break and no # can come of them. */
static inline void
tap_print(const void * bytes, size_t length)
{
	const unsigned char * text = bytes;
	size_t i;

	if (bytes == NULL) {
		printf("NULL");
		return;
	}
	putchar('"');
	for (i = 0; i < length && i < 400; i++)
		if (text[i] >= 0x20 && text[i] < 0x7f && text[i] != '#')
			putchar(text[i]);
		else
			printf("\\x%02x", text[i]);
	printf("%s (%zu)", i < length ? "\"..." : "\"", length);
}

static inline void
tap_difference(const void * got, size_t got_length, const void * wanted,
    size_t wanted_length, const char * file, int line)
{

	printf("# got ");
	tap_print(got, got_length);
	printf(", wanted ");
	tap_print(wanted, wanted_length);
	printf(", at %s:%d\n", file, line);
}

__attribute__((format(printf, 5, 6)))
static inline bool
tap_text(const char * got, const char * wanted, const char * file, int line,
    const char * format, ...)
{
	bool same = got == NULL || wanted == NULL ? got == wanted :
	    strcmp(got, wanted) == 0;
	va_list arguments;

	va_start(arguments, format);
	tap_line(same, format, arguments);
	va_end(arguments);
	if (!same)
		tap_difference(got, got == NULL ? 0 : strlen(got), wanted,
		    wanted == NULL ? 0 : strlen(wanted), file, line);
	return (same);
}

__attribute__((format(printf, 7, 8)))
static inline bool
tap_bytes(const void * got, size_t got_length, const void * wanted,
    size_t wanted_length, const char * file, int line, const char * format,
    ...)
{
	bool same = got_length == wanted_length &&
	    (got_length == 0 || memcmp(got, wanted, got_length) == 0);
	va_list arguments;

	va_start(arguments, format);
	tap_line(same, format, arguments);
	va_end(arguments);
	if (!same)
		tap_difference(got, got_length, wanted, wanted_length, file,
		    line);
	return (same);
}

/**
 * tap_copy(bytes, length):
 * Return a copy that ends where its memory ends, so that the address
 * sanitizer sees whoever reads on.  The caller frees it.
 */
static inline char *
tap_copy(const void * bytes, size_t length)
{
	char * copy = malloc(length == 0 ? 1 : length);

	if (copy == NULL)
		abort();
	if (length > 0)
		memcpy(copy, bytes, length);
	return (copy);
}

/**
 * tap_seed():
 * Seed random(3) with TAP_SEED from the environment, else with a fresh seed,
 * and print which.
 */
static inline void
tap_seed(void)
{
	const char * given = getenv("TAP_SEED");
	unsigned int seed = 0;
	FILE * file;

	if (given != NULL)
		seed = (unsigned int)strtoul(given, NULL, 10);
	else if ((file = fopen("/dev/urandom", "rb")) != NULL) {
		if (fread(&seed, sizeof(seed), 1, file) != 1)
			seed = 1;
		fclose(file);
	}
	printf("# TAP_SEED=%u\n", seed);
	srandom(seed);
}

/**
 * tap_done():
 * Print the plan.  Return the status to exit with.
 */
static inline int
tap_done(void)
{

	printf("1..%u\n", tap.checks);
	return (tap.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

#endif
