#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/shmfile.h"

/*
 * The layout is a part of the file's name, so a file is either right or too
 * short, and there is nothing to examine, replace or lock.  Too short is one
 * that was just created, by this process or another, or cut by a crash of the
 * host.  Growing is idempotent: processes that start at once all grow the same
 * file, and a process that is killed meanwhile leaves the rest to the next.
 *
 * The file may be deleted all the same, say with all others beside it.  Then
 * processes that start later would share another one.  So each process has to
 * look from time to time whether its file is still there.
 *
 * The file's blocks are allocated: a store into a hole of a mapped file kills
 * the process when the disk is full.
 */

int
shmfile_name(char name[SHMFILE_NAME_MAX], const char * path, uint64_t layout)
{
	int length = snprintf(name, SHMFILE_NAME_MAX, "%s-%llx", path,
	    (unsigned long long)layout);

	if (length > 0 && length < SHMFILE_NAME_MAX)
		return (0);
	errno = ENAMETOOLONG;
	return (-1);
}

/*
 * For file systems that cannot allocate: append zeros.  Each write goes to the
 * end as it then is, so it never overwrites what another process has stored,
 * though the file may come out longer; the end is cut off again.
 */
static int
append_zeros(const char * name, int descriptor, off_t size)
{
	static const char zeros[4096];
	int appending = open(name, O_WRONLY | O_APPEND | O_CLOEXEC |
	    O_NOFOLLOW);
	struct stat file;
	int result = -1;

	if (appending == -1)
		return (-1);
	while (fstat(descriptor, &file) == 0) {
		if (file.st_size >= size) {
			result = file.st_size == size ? 0 :
			    ftruncate(descriptor, size);
			break;
		}
		if (write(appending, zeros, sizeof(zeros)) <= 0)
			break;
	}
	close(appending);
	return (result);
}

/* Return 0 if the file has its size, or -1 with errno. */
static int
fit_file(const char * name, int descriptor, off_t size)
{
	struct stat file;

	if (fstat(descriptor, &file) != 0)
		return (-1);
	if (!S_ISREG(file.st_mode) || file.st_size > size) {
		errno = EEXIST;
		return (-1);
	}
	if (file.st_size == size ||
	    fallocate(descriptor, 0, 0, size) == 0)
		return (0);
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return (-1);
	return (append_zeros(name, descriptor, size));
}

static void *
map_file(const char * name, size_t size, int * descriptor)
{
	void * memory;

	*descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK, 0600);
	if (*descriptor == -1 ||
	    fit_file(name, *descriptor, (off_t)size) != 0)
		return (NULL);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
	    *descriptor, 0);
	return (memory == MAP_FAILED ? NULL : memory);
}

void *
shmfile_open(const char * path, uint64_t layout, size_t size, int * kept)
{
	char name[SHMFILE_NAME_MAX];
	int descriptor, error;
	void * memory;

	if (shmfile_name(name, path, layout) != 0)
		return (NULL);
	memory = map_file(name, size, &descriptor);
	if (memory != NULL && kept != NULL) {
		*kept = descriptor;
		return (memory);
	}
	error = errno;
	if (descriptor != -1)
		close(descriptor);
	errno = error;
	return (memory);
}

bool
shmfile_is_there(const char * path, uint64_t layout, int descriptor)
{
	char name[SHMFILE_NAME_MAX];
	struct stat file, named;

	return (shmfile_name(name, path, layout) == 0 &&
	    fstat(descriptor, &file) == 0 && stat(name, &named) == 0 &&
	    named.st_dev == file.st_dev && named.st_ino == file.st_ino);
}

int
shmfile_renew(const char * path, uint64_t layout, void * memory, size_t size)
{
	char name[SHMFILE_NAME_MAX];
	int descriptor;
	void * other = shmfile_open(path, layout, size, &descriptor);

	if (shmfile_name(name, path, layout) != 0)
		return (-1);
	if (other == NULL) {
		log_warning_limited("%s was deleted while in use, and there "
		    "can be no new one: %s", name, strerror(errno));
		return (-1);
	}
	/* To other threads this is one step. */
	if (mremap(other, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
	    memory) == MAP_FAILED) {
		shmfile_close(other, size);
		close(descriptor);
		return (-1);
	}
	log_warning_limited("%s was deleted while in use; there is a new one",
	    name);
	return (descriptor);
}

void *
shmfile_look(const char * path, uint64_t layout, size_t size)
{
	void * memory = MAP_FAILED;
	char name[SHMFILE_NAME_MAX];
	struct stat file;
	int descriptor;

	if (shmfile_name(name, path, layout) != 0 || (descriptor = open(name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) == -1)
		return (NULL);
	if (fstat(descriptor, &file) == 0 && S_ISREG(file.st_mode) &&
	    file.st_size == (off_t)size)
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		    descriptor, 0);
	close(descriptor);
	return (memory == MAP_FAILED ? NULL : memory);
}

void
shmfile_close(void * memory, size_t size)
{

	munmap(memory, size);
}
