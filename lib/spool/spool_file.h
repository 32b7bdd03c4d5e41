#ifndef FLAGTALLY_SPOOL_FILE_H
#define FLAGTALLY_SPOOL_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * A database that several processes share, as a file: PATH, what SQLite keeps
 * beside it (PATH-wal, PATH-shm, PATH-journal), and files to lock (PATH.lock,
 * say).  What is made is for its owner alone, whatever the umask.
 */

/**
 * spool_file_find(path, file):
 * Fill ${file} with what is at ${path}; if there is nothing, make an empty
 * file.  Return 0, or -1 with errno.  The caller holds a lock that all have
 * to hold who call this: whoever has a database open in the process that makes
 * it would lose its locks.
 */
int spool_file_find(const char * path, struct stat * file);

/**
 * spool_file_has(path, file):
 * Return whether ${file} is still what is at ${path}.
 */
bool spool_file_has(const char * path, const struct stat * file);

/**
 * spool_file_size(path, suffix):
 * Return the size of the file ${path}${suffix}, 0 if there is none.
 */
uint64_t spool_file_size(const char * path, const char * suffix);

/**
 * spool_file_lock(path, suffix, deadline):
 * Make the file ${path}${suffix}, and its directory, if need be, and lock it,
 * until ${deadline} if another has it.  Return a descriptor, whose end is the
 * end of the lock, or -1 with errno; EWOULDBLOCK means that another has it.
 */
int spool_file_lock(const char * path, const char * suffix, int64_t deadline);

/**
 * spool_file_put_aside(path, why):
 * Rename the database and what is beside it to ${path}.damaged-TIME..., and
 * say so and ${why} in the log.  The caller holds the lock.
 */
void spool_file_put_aside(const char * path, const char * why);

/**
 * spool_file_is_remote(path):
 * Return whether other hosts, or the far side of FUSE, may use the file, so
 * that memory cannot be shared through it.
 */
bool spool_file_is_remote(const char * path);

#endif
