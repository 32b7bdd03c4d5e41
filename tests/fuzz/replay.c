#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/*
 * Calls a harness where there is no fuzzer: with each input of the corpora,
 * directories and files named on the command line, or of the harness's own
 * corpus in the tree if none is named.  A corpus is a file of inputs, each
 * after a line with its length, as tests/fuzz/corpus.py makes it; its name
 * ends with .corpus.  What a harness finds ends the process, so a last line
 * means that all is well.  TAP goes to standard output.
 */
static size_t inputs;

static void
fail(const char * name, const char * what)
{

	printf("Bail out! %s: %s\n", name, what);
	exit(EXIT_FAILURE);
}

static uint8_t *
read_file(const char * name, size_t * length)
{
	FILE * in = fopen(name, "rb");
	uint8_t * bytes;
	struct stat file;

	if (in == NULL || fstat(fileno(in), &file) != 0)
		fail(name, strerror(errno));
	*length = (size_t)file.st_size;
	bytes = malloc(*length + 1);
	if (bytes == NULL || fread(bytes, 1, *length, in) != *length)
		fail(name, "cannot be read");
	bytes[*length] = '\0';
	fclose(in);
	return (bytes);
}

static void
try(const uint8_t * bytes, size_t length)
{
	char * copy = fuzz_exact(bytes, length);

	LLVMFuzzerTestOneInput((const uint8_t *)copy, length);
	free(copy);
	inputs++;
}

static void
try_corpus(const char * name)
{
	size_t length, size;
	uint8_t * bytes = read_file(name, &length);
	const uint8_t * at = bytes;
	char * end;

	while (at < bytes + length) {
		size = strtoul((const char *)at, &end, 10);
		if (end == (const char *)at || *end != '\n' ||
		    size + 1 > (size_t)(bytes + length - (uint8_t *)end))
			fail(name, "is no corpus");
		at = (const uint8_t *)end + 1;
		try(at, size);
		at += size + 1;
	}
	free(bytes);
}

static void
try_file(const char * name)
{
	size_t length;
	uint8_t * bytes;

	if (strlen(name) > 7 && strcmp(name + strlen(name) - 7, ".corpus") == 0) {
		try_corpus(name);
		return;
	}
	bytes = read_file(name, &length);
	try(bytes, length);
	free(bytes);
}

static void
try_path(const char * name)
{
	DIR * directory = opendir(name);
	struct dirent * entry;
	char path[PATH_MAX];

	if (directory == NULL) {
		try_file(name);
		return;
	}
	while ((entry = readdir(directory)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
		if (entry->d_name[0] != '.')
			try_file(path);
	}
	closedir(directory);
}

int
main(int argc, char ** argv)
{
	const char * source = getenv("srcdir");
	const char * base = strrchr(argv[0], '/');
	char path[PATH_MAX];
	int i;

	base = base == NULL ? argv[0] : base + 1;
	for (i = 1; i < argc; i++)
		try_path(argv[i]);
	if (argc == 1) {
		snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s.corpus",
		    source == NULL ? "." : source, base);
		try_path(path);
	}
	printf("%sok 1 - %s takes all %zu inputs\n1..1\n",
	    inputs > 0 ? "" : "not ", base, inputs);
	return (inputs > 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
