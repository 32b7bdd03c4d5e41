#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/shmfile.h"

/*
 * Whoever finds a file that fits maps it and never looks back.  Otherwise a
 * new file takes its place: it is complete before it gets its name, and the
 * lock on the file that it replaces sees to it that of several who want to
 * replace it one does, and all others find his.  That lock dies with its
 * holder; without it, two processes that start at once would each map a file
 * of its own.
 *
 * A file is written, not just made that long: a store into a hole of a mapped
 * file kills the process when the disk is full.
 */

/* More than a lock is ever held: tries, and milliseconds between them. */
#define LOCK_TRIES 100
#define LOCK_INTERVAL 10

/* How often a file may be replaced under our hands. */
#define OPEN_TRIES 10

struct header {
	char magic[8];
	uint64_t layout;
	uint64_t size;			/* Of what follows. */
};

static const char magic[8] = { 'f', 'l', 'a', 'g', 's', 'h', 'm', '\n' };

enum content {
	CONTENT_OURS,
	CONTENT_OTHER,			/* It may be replaced. */
	CONTENT_FOREIGN,		/* It may not. */
	CONTENT_UNREADABLE,
};

static enum content
examine(int descriptor, const struct header * wanted)
{
	static const char zero[sizeof(magic)];
	struct header found;
	struct stat file;
	size_t length;
	ssize_t count;

	if (fstat(descriptor, &file) != 0)
		return (CONTENT_UNREADABLE);
	if (!S_ISREG(file.st_mode))
		return (CONTENT_FOREIGN);
	count = pread(descriptor, &found, sizeof(found), 0);
	if (count == -1)
		return (CONTENT_UNREADABLE);
	if (count == (ssize_t)sizeof(found) &&
	    (uint64_t)file.st_size == sizeof(found) + wanted->size &&
	    memcmp(&found, wanted, sizeof(found)) == 0)
		return (CONTENT_OURS);
	/* A crash of the host leaves zeros. */
	length = (size_t)count < sizeof(magic) ? (size_t)count : sizeof(magic);
	if (memcmp(found.magic, magic, length) == 0 ||
	    memcmp(found.magic, zero, length) == 0)
		return (CONTENT_OTHER);
	return (CONTENT_FOREIGN);
}

/* Return whether all was written; otherwise errno says why. */
static bool
write_new(int descriptor, const struct header * header)
{
	size_t size = sizeof(*header) + (size_t)header->size;
	char * bytes = alloc_zeroed(size, 1);
	ssize_t written;

	memcpy(bytes, header, sizeof(*header));
	errno = ENOSPC;
	written = write(descriptor, bytes, size);
	free(bytes);
	return (written == (ssize_t)size);
}

/* Put a new file in the place of another.  The caller holds its lock. */
static int
replace(const char * path, const struct header * header)
{
	char fresh[PATH_MAX];
	int length = snprintf(fresh, sizeof(fresh), "%s.new", path);
	int descriptor, error;

	if (length < 0 || (size_t)length >= sizeof(fresh)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	/* One who was killed here may have left it behind. */
	unlink(fresh);
	descriptor = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	if (descriptor == -1)
		return (-1);
	if (write_new(descriptor, header) && rename(fresh, path) == 0) {
		close(descriptor);
		return (0);
	}
	error = errno;
	unlink(fresh);
	close(descriptor);
	errno = error;
	return (-1);
}

/* Return whether the file that is open is still the one of that name. */
static bool
is_in_place(int descriptor, const char * path)
{
	struct stat file, named;

	return (fstat(descriptor, &file) == 0 && lstat(path, &named) == 0 &&
	    file.st_dev == named.st_dev && file.st_ino == named.st_ino);
}

static int
lock(int descriptor)
{
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (flock(descriptor, LOCK_EX | LOCK_NB) == 0)
			return (0);
		if (errno != EWOULDBLOCK && errno != EINTR)
			return (-1);
		poll(NULL, 0, LOCK_INTERVAL);
	}
	errno = EWOULDBLOCK;
	return (-1);
}

/*
 * Do what the content of a file asks for.  Return 0 if it can be mapped, or -1
 * with errno: ESTALE means that another file has that name by now.
 */
static int
settle(int descriptor, const char * path, const struct header * header)
{

	switch (examine(descriptor, header)) {
	case CONTENT_OURS:
		return (0);
	case CONTENT_FOREIGN:
		errno = EEXIST;
		return (-1);
	case CONTENT_UNREADABLE:
		return (-1);
	case CONTENT_OTHER:
		break;
	}
	if (lock(descriptor) != 0 || (is_in_place(descriptor, path) &&
	    replace(path, header) != 0))
		return (-1);
	errno = ESTALE;
	return (-1);
}

/* Return a descriptor of a file that can be mapped, or -1 with errno. */
static int
open_file(const char * path, const struct header * header)
{
	int descriptor, error, i;

	for (i = 0; i < OPEN_TRIES; i++) {
		descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC |
		    O_NOFOLLOW | O_NONBLOCK, 0600);
		if (descriptor == -1 ||
		    settle(descriptor, path, header) == 0)
			return (descriptor);
		error = errno;
		close(descriptor);
		errno = error;
		if (error != ESTALE)
			break;
	}
	return (-1);
}

void *
shmfile_open(const char * path, uint64_t layout, size_t size)
{
	struct header header = { .layout = layout, .size = size };
	int descriptor, error;
	char * bytes;

	memcpy(header.magic, magic, sizeof(magic));
	descriptor = open_file(path, &header);
	if (descriptor == -1)
		return (NULL);
	bytes = mmap(NULL, sizeof(header) + size, PROT_READ | PROT_WRITE,
	    MAP_SHARED, descriptor, 0);
	error = errno;
	close(descriptor);
	errno = error;
	return (bytes == MAP_FAILED ? NULL : bytes + sizeof(header));
}

void
shmfile_close(void * memory, size_t size)
{

	munmap((char *)memory - sizeof(struct header),
	    sizeof(struct header) + size);
}
