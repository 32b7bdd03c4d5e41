#include <limits.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/buffer.h"
#include "tests/unit/tap.h"

/* Redis's protocol: "*2\r\n$3\r\nGET\r\n$1\r\na\r\n" */

static void
test_strings(void)
{
	static const struct {
		const char * bytes;
		size_t length;
		const char * wanted;
		size_t wanted_length;
	} rows[] = {
		{ "", 0, "$0\r\n\r\n", 6 },
		{ "a", 1, "$1\r\na\r\n", 7 },
		{ "a\0b", 3, "$3\r\na\0b\r\n", 9 },
		{ "\r\n", 2, "$2\r\n\r\n\r\n", 8 },
		{ "0123456789", 10, "$10\r\n0123456789\r\n", 17 },
		{ "\xff\xfe", 2, "$2\r\n\xff\xfe\r\n", 8 },
	};
	struct buffer buffer = { NULL, 0, 0 };
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char * bytes = tap_copy(rows[i].bytes, rows[i].length);

		buffer_clear(&buffer);
		buffer_string(&buffer, bytes, rows[i].length);
		is_bytes(buffer.bytes, buffer.length, rows[i].wanted,
		    rows[i].wanted_length, "a string of %zu bytes",
		    rows[i].length);
		free(bytes);
	}
	buffer_clear(&buffer);
	buffer_string(&buffer, NULL, 0);
	is_bytes(buffer.bytes, buffer.length, "$0\r\n\r\n", 6,
	    "a string of nothing");
	buffer_clear(&buffer);
	buffer_text(&buffer, "PING");
	buffer_text(&buffer, "");
	is_bytes(buffer.bytes, buffer.length, "$4\r\nPING\r\n$0\r\n\r\n", 16,
	    "C strings");
	buffer_free(&buffer);
}

static void
test_integers(void)
{
	static const struct {
		int64_t integer;
		const char * wanted;
	} rows[] = {
		{ 0, "$1\r\n0\r\n" },
		{ 9, "$1\r\n9\r\n" },
		{ 10, "$2\r\n10\r\n" },
		{ -1, "$2\r\n-1\r\n" },
		{ 9007199254740991, "$16\r\n9007199254740991\r\n" },
		{ INT64_MAX, "$19\r\n9223372036854775807\r\n" },
		{ INT64_MIN, "$20\r\n-9223372036854775808\r\n" },
	};
	struct buffer buffer = { NULL, 0, 0 };
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buffer_clear(&buffer);
		buffer_integer(&buffer, rows[i].integer);
		is_bytes(buffer.bytes, buffer.length, rows[i].wanted,
		    strlen(rows[i].wanted), "the integer %lld",
		    (long long)rows[i].integer);
	}
	buffer_free(&buffer);
}

static void
test_arrays(void)
{
	static const struct {
		size_t count;
		const char * wanted;
	} rows[] = {
		{ 0, "*0\r\n" },
		{ 1, "*1\r\n" },
		{ 10, "*10\r\n" },
		{ 1000, "*1000\r\n" },
		{ 4294967296, "*4294967296\r\n" },
		{ SIZE_MAX, "*18446744073709551615\r\n" },
	};
	struct buffer buffer = { NULL, 0, 0 };
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buffer_clear(&buffer);
		buffer_array(&buffer, rows[i].count);
		is_bytes(buffer.bytes, buffer.length, rows[i].wanted,
		    strlen(rows[i].wanted), "an array of %zu", rows[i].count);
	}
	buffer_clear(&buffer);
	buffer_array(&buffer, 2);
	buffer_text(&buffer, "GET");
	buffer_integer(&buffer, -7);
	is_bytes(buffer.bytes, buffer.length,
	    "*2\r\n$3\r\nGET\r\n$2\r\n-7\r\n", 21, "a whole request");
	buffer_free(&buffer);
}

/* Append pieces of growing size and compare with what was appended. */
static void
test_growth(void)
{
	static unsigned char wanted[200000];
	struct buffer buffer = { NULL, 0, 0 };
	size_t used = 0, step, i;
	unsigned int too_small = 0;

	for (i = 0; i < sizeof(wanted); i++)
		wanted[i] = (unsigned char)random();
	for (step = 0; used < sizeof(wanted); step++) {
		size_t length = step % 611;

		if (length > sizeof(wanted) - used)
			length = sizeof(wanted) - used;
		buffer_append(&buffer, wanted + used, length);
		used += length;
		too_small += buffer.size < buffer.length;
	}
	is_bytes(buffer.bytes, buffer.length, wanted, sizeof(wanted),
	    "what is appended stays as it was");
	is_integer(too_small, 0, "the size is never below the length");
	buffer_free(&buffer);
}

static void
test_room(void)
{
	static const size_t sizes[] = {
		0, 1, 255, 256, 257, 511, 512, 513, 65536, 1000000,
	};
	struct buffer buffer = { NULL, 0, 0 };
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char * room;

		buffer_free(&buffer);
		buffer_append(&buffer, "ab", 2);
		room = buffer_room(&buffer, sizes[i]);
		is_integer(buffer.length, 2, "room for %zu adds no length",
		    sizes[i]);
		ok(room == buffer.bytes + 2 && buffer.size >= 2 + sizes[i],
		    "room for %zu is at the end", sizes[i]);
		memset(room, 'c', sizes[i]);
		buffer.length += sizes[i];
		buffer_append(&buffer, "d", 1);
		ok(memcmp(buffer.bytes, "ab", 2) == 0 &&
		    buffer.bytes[buffer.length - 1] == 'd',
		    "room for %zu is inside the memory", sizes[i]);
	}
	buffer_free(&buffer);
}

static void
test_clear(void)
{
	struct buffer buffer = { NULL, 0, 0 };
	const char * bytes;

	buffer_clear(&buffer);
	is_integer(buffer.length, 0, "an empty buffer can be cleared");
	buffer_append(&buffer, NULL, 0);
	is_integer(buffer.length, 0, "nothing can be appended");
	buffer_append(&buffer, "abc", 3);
	bytes = buffer.bytes;
	buffer_clear(&buffer);
	is_integer(buffer.length, 0, "clearing forgets the bytes");
	ok(buffer.bytes == bytes && buffer.size >= 3,
	    "clearing keeps the memory");
	(void)buffer_room(&buffer, (size_t)64 * 1024 * 1024);
	buffer_clear(&buffer);
	ok(buffer.size < (size_t)64 * 1024 * 1024,
	    "clearing gives much memory back");
	buffer_text(&buffer, "x");
	is_bytes(buffer.bytes, buffer.length, "$1\r\nx\r\n", 7,
	    "a cleared buffer can be used again");
	buffer_free(&buffer);
	ok(buffer.bytes == NULL && buffer.length == 0 && buffer.size == 0,
	    "freeing leaves an empty buffer");
	buffer_free(&buffer);
	buffer_append(&buffer, "y", 1);
	is_bytes(buffer.bytes, buffer.length, "y", 1,
	    "a freed buffer can be used again");
	buffer_free(&buffer);
}

static int
status_of_room(size_t length)
{
	struct rlimit none = { 0, 0 };
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		struct buffer buffer = { NULL, 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		buffer_append(&buffer, "x", 1);
		_exit(buffer_room(&buffer, length) == NULL ? 2 : 0);
	}
	if (child == -1 || waitpid(child, &status, 0) != child)
		return (0);
	return (status);
}

static void
test_no_memory(void)
{
	static const size_t sizes[] = {
		SIZE_MAX / 4, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX,
	};
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int status = status_of_room(sizes[i]);

		ok(WIFSIGNALED(status) || WEXITSTATUS(status) == 1,
		    "room for %zu ends the process (status %#x)", sizes[i],
		    (unsigned int)status);
	}
}

int
main(void)
{

	tap_seed();
	test_strings();
	test_integers();
	test_arrays();
	test_growth();
	test_room();
	test_clear();
	test_no_memory();
	return (tap_done());
}
