#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/spool/spool_file.h"

static char *
join_path(char out[PATH_MAX], const char * path, const char * suffix)
{

	if (snprintf(out, PATH_MAX, "%s%s", path, suffix) >= PATH_MAX)
		out[0] = '\0';
	return (out);
}

/* Create a file, and its directory if necessary, whatever the umask. */
static int
create_file(const char * path)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
	int descriptor = open(path, flags, 0600);
	char parent[PATH_MAX];
	char * slash = strrchr(join_path(parent, path, ""), '/');

	if (descriptor == -1 && errno == ENOENT && slash != NULL) {
		*slash = '\0';
		if (mkdir(parent, 0700) == 0)
			chmod(parent, 0700);
		descriptor = open(path, flags, 0600);
		/* SQLite syncs the file's directory, but not the parent. */
		if (descriptor != -1)
			syncfs(descriptor);
	}
	if (descriptor != -1)
		fchmod(descriptor, 0600);
	return (descriptor);
}

int
spool_file_find(const char * path, struct stat * file)
{
	int descriptor;

	if (stat(path, file) == 0) {
		if ((file->st_mode & S_IRWXO) != 0)
			log_warning_limited("%s is open to every user of this "
			    "host", path);
		return (0);
	}
	if (errno != ENOENT || (descriptor = create_file(path)) == -1)
		return (-1);
	close(descriptor);
	return (stat(path, file));
}

bool
spool_file_has(const char * path, const struct stat * file)
{
	struct stat now;

	return (stat(path, &now) == 0 && now.st_dev == file->st_dev &&
	    now.st_ino == file->st_ino);
}

uint64_t
spool_file_size(const char * path, const char * suffix)
{
	char name[PATH_MAX];
	struct stat file;

	return (stat(join_path(name, path, suffix), &file) == 0 ?
	    (uint64_t)file.st_size : 0);
}

/* Try to lock a file, and check that it was not deleted meanwhile. */
static int
try_lock(const char * path)
{
	int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat file;
	int error = EWOULDBLOCK;

	if (descriptor == -1 && errno == ENOENT)
		descriptor = create_file(path);
	if (descriptor == -1) {
		if (errno == EEXIST)
			errno = EWOULDBLOCK;
		return (-1);
	}
	if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
		error = errno;
	else if (fstat(descriptor, &file) == 0 && spool_file_has(path, &file))
		return (descriptor);
	close(descriptor);
	errno = error;
	return (-1);
}

bool
spool_file_holds(const char * path, const char * suffix, int lock)
{
	char name[PATH_MAX];
	struct stat file;

	join_path(name, path, suffix);
	return (lock != -1 && fstat(lock, &file) == 0 &&
	    spool_file_has(name, &file));
}

int
spool_file_lock(const char * path, const char * suffix, int64_t deadline)
{
	static const struct timespec moment = { .tv_nsec = 1000000 };
	char name[PATH_MAX];
	int descriptor;

	join_path(name, path, suffix);
	while ((descriptor = try_lock(name)) == -1 && errno == EWOULDBLOCK &&
	    clock_remaining(deadline) > 0)
		nanosleep(&moment, NULL);
	return (descriptor);
}

void
spool_file_rename_damaged(const char * path, const char * why)
{
	static const char * const parts[] = { "", "-wal", "-shm", "-journal" };
	int64_t now = clock_now_ms();
	char suffix[64], from[PATH_MAX], aside[PATH_MAX], to[PATH_MAX];
	struct stat file;
	size_t i;

	do {
		snprintf(suffix, sizeof(suffix), ".damaged-%lld",
		    (long long)now++);
		join_path(aside, path, suffix);
	} while (lstat(aside, &file) == 0 ||
	    lstat(join_path(to, aside, parts[1]), &file) == 0);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		join_path(from, path, parts[i]);
		join_path(to, aside, parts[i]);
		if (rename(from, to) == 0)
			log_error_limited("%s is renamed to %s, and nothing "
			    "in it is sent: %s", from, to, why);
		else if (errno != ENOENT)
			log_error_limited("%s cannot be renamed to %s: %s",
			    from, to, strerror(errno));
	}
}

bool
spool_file_is_remote(const char * path)
{
	/* NFS, SMB, CIFS, SMB2, 9p, NCP, AFS, kAFS, */
	/* Ceph, FUSE, Coda, Lustre, GFS2, OCFS2, GPFS, VirtualBox */
	static const uint32_t types[] = {
		0x6969, 0x517b, 0xff534d42, 0xfe534d42,
		0x01021997, 0x564c, 0x5346414f, 0x6b414653,
		0x00c36400, 0x65735546, 0x73757245, 0x0bd00bd0,
		0x01161970, 0x7461636f, 0x47504653, 0x786f4256,
	};
	struct statfs system;
	size_t i;

	if (statfs(path, &system) != 0)
		return (true);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if ((uint32_t)system.f_type == types[i])
			return (true);
	return (false);
}
