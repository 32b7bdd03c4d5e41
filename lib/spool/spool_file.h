#ifndef FLAGTALLY_SPOOL_FILE_H
#define FLAGTALLY_SPOOL_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * The files of a database that several processes share: PATH, SQLite's files
 * beside it (PATH-wal, PATH-shm, PATH-journal), and files to lock (PATH.lock,
 * PATH.lease).  They are created for their owner alone, whatever the umask.
 */

/**
 * spool_file_find(path, file):
 * Fill in ${file} for ${path}; if there is no file, create an empty one.
 * Return 0, or -1 with errno.  The caller holds PATH.lock, so that no other
 * thread has the new file open: it would lose its locks when this one closes
 * the file.
 */
int spool_file_find(const char * path, struct stat * file);

/**
 * spool_file_has(path, file):
 * Return whether ${path} is still the same file as ${file}.
 */
bool spool_file_has(const char * path, const struct stat * file);

/**
 * spool_file_size(path, suffix):
 * Return the size of the file ${path}${suffix}, or 0 if it does not exist.
 */
uint64_t spool_file_size(const char * path, const char * suffix);

/**
 * spool_file_holds(path, suffix, lock):
 * Return whether ${lock}, which spool_file_lock has returned for them, is still
 * that of the file at ${path}${suffix}; false if it is -1.
 */
bool spool_file_holds(const char * path, const char * suffix, int lock);

/**
 * spool_file_lock(path, suffix, deadline):
 * Lock the file ${path}${suffix}; create it, and its directory, if necessary.
 * If another process has the lock, wait until ${deadline}.  Return a
 * descriptor, which holds the lock until it is closed, or -1 with errno;
 * EWOULDBLOCK means that another process has the lock.
 */
int spool_file_lock(const char * path, const char * suffix, int64_t deadline);

/**
 * spool_file_rename_damaged(path, why):
 * Rename the database and SQLite's files to ${path}.damaged-TIME..., and log
 * that with ${why}.  The caller holds PATH.lock.
 */
void spool_file_rename_damaged(const char * path, const char * why);

/**
 * spool_file_is_remote(path):
 * Return whether the file is on a network file system or FUSE, where processes
 * cannot share memory through it.
 */
bool spool_file_is_remote(const char * path);

#endif
