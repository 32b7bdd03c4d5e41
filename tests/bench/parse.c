#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/arena.h"
#include "lib/body/body.h"
#include "lib/base/digest.h"
#include "lib/tally/tally.h"
#include "tests/bench/bare_yajl.h"

/*
 * Reads a body into a sealed tally, again and again, and in turns with it the
 * same bytes in the same pieces with bare yajl, whose callbacks do nothing.
 *
 * usage: parse ROUNDS MILLISECONDS FILE...
 *        parse --once bare|whole FILE
 *
 * A line of the first is FILE, and then for bare yajl and for the whole each:
 * nanoseconds of CPU time and allocations for one body.  The second reads the
 * body once within measured(), for callgrind --toggle-collect=measured.
 */
#define PIECE_SIZE 8192			/* As libfcgi gives them. */
#define KEEP_BYTES ((size_t)128 * 1024)	/* As a request's thread keeps. */

struct bytes {
	char * bytes;
	size_t length;
};

struct workplace {
	struct arena * arena;
	struct arena * scratch;
	struct body_settings settings;
};

typedef void read_body(struct workplace * workplace,
    const struct bytes * body);

/* Every allocation of the process is counted on its way to the C library. */
void * __libc_malloc(size_t size);
void * __libc_calloc(size_t count, size_t size);
void * __libc_realloc(void * old, size_t size);
void * malloc(size_t size);
void * calloc(size_t count, size_t size);
void * realloc(void * old, size_t size);

static uint64_t allocations;

void *
malloc(size_t size)
{

	allocations++;
	return (__libc_malloc(size));
}

void *
calloc(size_t count, size_t size)
{

	allocations++;
	return (__libc_calloc(count, size));
}

void *
realloc(void * old, size_t size)
{

	allocations++;
	return (__libc_realloc(old, size));
}

static void
fail(const char * file, const char * what)
{

	fprintf(stderr, "parse: %s: %s\n", file, what);
	exit(1);
}

/* Bare yajl */

static void
read_bare(struct workplace * workplace, const struct bytes * body)
{
	yajl_handle yajl = yajl_alloc(&bare_yajl, NULL, NULL);
	size_t at, length;

	(void)workplace;
	for (at = 0; at < body->length; at += length) {
		length = body->length - at < PIECE_SIZE ?
		    body->length - at : PIECE_SIZE;
		if (yajl_parse(yajl, (const unsigned char *)body->bytes + at,
		    length) != yajl_status_ok)
			fail("yajl", "the body is not JSON");
	}
	if (yajl_complete_parse(yajl) != yajl_status_ok)
		fail("yajl", "the body is not complete");
	yajl_free(yajl);
}

/* The whole way to the tally */

static void
read_whole(struct workplace * workplace, const struct bytes * bytes)
{
	struct fault fault = { .code = FAULT_NONE };
	struct tally * tally = tally_create(workplace->arena);
	struct body * body = body_create(workplace->arena, workplace->scratch,
	    &workplace->settings, BODY_IDENTITY, tally, &fault);
	size_t at, length;

	for (at = 0; at < bytes->length; at += length) {
		length = bytes->length - at < PIECE_SIZE ?
		    bytes->length - at : PIECE_SIZE;
		if (!body_feed(body, bytes->bytes + at, length))
			fail(fault.pointer, fault.detail);
	}
	if (!body_finish(body, (int64_t)bytes->length))
		fail(fault.pointer, fault.detail);
	if (tally_empty(tally))
		fail("the tally", "it is empty");
	arena_reset(workplace->arena);
	arena_reset(workplace->scratch);
}

/* Measuring */

static int64_t
cpu_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (now.tv_sec * INT64_C(1000000000) + now.tv_nsec);
}

/* Read the body for a while; print what one reading took. */
static void
measure(struct workplace * workplace, const struct bytes * body,
    read_body * read, int64_t nanoseconds)
{
	uint64_t before = allocations;
	int64_t began = cpu_time();
	int64_t taken;
	int count = 0;

	do {
		read(workplace, body);
		count++;
		taken = cpu_time() - began;
	} while (taken < nanoseconds);
	printf("\t%.1f\t%.1f", (double)taken / count,
	    (double)(allocations - before) / count);
}

/* The name of a body that an SDK posts begins with sdk-. */
static void
set_schema(struct workplace * workplace, const char * path)
{
	struct validate_settings * validate = &workplace->settings.validate;
	const char * slash = strrchr(path, '/');
	const char * name = slash == NULL ? path : slash + 1;
	bool sdk = strncmp(name, "sdk-", 4) == 0;

	validate->schema = sdk ? &schema_report : &schema_bulk;
	validate->invalid = sdk ? VALIDATE_LENIENT : VALIDATE_REJECT;
	validate->element.any_environment = !sdk;
	validate->element.environment = text_of("production");
}

static void
load(struct workplace * workplace, struct bytes * body, const char * path)
{
	FILE * file = fopen(path, "rb");
	long length = 0;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 ||
	    (length = ftell(file)) < 1 || fseek(file, 0, SEEK_SET) != 0)
		fail(path, "cannot be read");
	set_schema(workplace, path);
	body->length = (size_t)length;
	body->bytes = alloc_bytes(body->length);
	if (fread(body->bytes, 1, body->length, file) != body->length)
		fail(path, "cannot be read");
	fclose(file);
}

__attribute__((noinline))
static void
measured(struct workplace * workplace, const struct bytes * body,
    read_body * read)
{

	read(workplace, body);
}

static void
once(struct workplace * workplace, const char * which, const char * path)
{
	read_body * read = strcmp(which, "bare") == 0 ? read_bare : read_whole;
	struct bytes body;

	load(workplace, &body, path);
	/* The first time finds the symbols and makes the arenas. */
	read(workplace, &body);
	measured(workplace, &body, read);
	free(body.bytes);
}

static void
compare(struct workplace * workplace, int rounds, int64_t nanoseconds,
    const char * path)
{
	struct bytes body;
	int i;

	load(workplace, &body, path);
	read_bare(workplace, &body);
	read_whole(workplace, &body);
	for (i = 0; i < rounds; i++) {
		printf("%s", path);
		measure(workplace, &body, read_bare, nanoseconds);
		measure(workplace, &body, read_whole, nanoseconds);
		printf("\n");
	}
	free(body.bytes);
}

int
main(int argc, char ** argv)
{
	struct workplace workplace = {
		.settings.validate.schema = &schema_bulk,
		.settings.validate.invalid = VALIDATE_REJECT,
		.settings.validate.limit_depth = 64,
		.settings.validate.element.limit_name = 4096,
		.settings.validate.element.any_environment = true,
		.settings.validate.element.by_hour = true,
	};
	int i;

	if (argc < 4 || digest_init() != 0)
		fail("usage", "parse ROUNDS MILLISECONDS FILE...");
	workplace.arena = arena_create(KEEP_BYTES);
	workplace.scratch = arena_create(KEEP_BYTES);
	if (strcmp(argv[1], "--once") == 0)
		once(&workplace, argv[2], argv[3]);
	else
		for (i = 3; i < argc; i++)
			compare(&workplace, atoi(argv[1]),
			    atoll(argv[2]) * 1000000, argv[i]);
	arena_free(workplace.arena);
	arena_free(workplace.scratch);
	return (0);
}
