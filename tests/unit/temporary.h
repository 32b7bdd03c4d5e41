#ifndef FLAGTALLY_TESTS_UNIT_TEMPORARY_H
#define FLAGTALLY_TESTS_UNIT_TEMPORARY_H

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A directory for a test's files, which goes with the test. */
static char temporary_directory[PATH_MAX / 2];

static inline int
temporary_unlink(const char * path, const struct stat * file, int type,
    struct FTW * at)
{

	(void)file;
	(void)type;
	(void)at;
	return (remove(path));
}

static inline void
temporary_remove(void)
{

	nftw(temporary_directory, temporary_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

/**
 * temporary_create():
 * Make the directory; it is removed at exit.
 */
static inline void
temporary_create(void)
{
	const char * parent = getenv("TMPDIR");

	if (parent == NULL || parent[0] == '\0')
		parent = "/tmp";
	snprintf(temporary_directory, sizeof(temporary_directory),
	    "%s/flagtally-unit.XXXXXX", parent);
	if (mkdtemp(temporary_directory) == NULL) {
		perror(temporary_directory);
		exit(EXIT_FAILURE);
	}
	atexit(temporary_remove);
}

/**
 * temporary_path(out, name):
 * Write the path of a file in the directory to ${out} and return it.
 */
static inline const char *
temporary_path(char out[PATH_MAX], const char * name)
{

	snprintf(out, PATH_MAX, "%s/%s", temporary_directory, name);
	return (out);
}

/**
 * temporary_write(path, bytes, length):
 * Make ${path} a new file with these bytes, for its owner alone.
 */
static inline void
temporary_write(const char * path, const void * bytes, size_t length)
{
	int descriptor;

	unlink(path);
	descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (descriptor == -1 ||
	    write(descriptor, bytes, length) != (ssize_t)length) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	close(descriptor);
}

/**
 * temporary_catch_errors():
 * Send standard error to a file of the directory from here on.
 */
static inline void
temporary_catch_errors(void)
{
	char path[PATH_MAX];
	int descriptor = open(temporary_path(path, "stderr"),
	    O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (descriptor == -1 || dup2(descriptor, STDERR_FILENO) == -1) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	close(descriptor);
}

/**
 * temporary_errors(out, size):
 * Write to ${out} what has gone to standard error since the last call, cut at
 * ${size} - 1 bytes, with a NUL.  Return its length.
 */
static inline size_t
temporary_errors(char * out, size_t size)
{
	ssize_t length = pread(STDERR_FILENO, out, size - 1, 0);

	if (length < 0 || ftruncate(STDERR_FILENO, 0) != 0) {
		printf("Bail out! standard error cannot be read\n");
		exit(EXIT_FAILURE);
	}
	out[length] = '\0';
	return ((size_t)length);
}

#endif
