#ifndef FLAGTALLY_SHMFILE_H
#define FLAGTALLY_SHMFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Memory that all processes of a host share: a file of fixed size that each of
 * them maps.  What one has stored is there for all others, and stays when that
 * one is killed.  It need not survive a crash of the host.
 */

/* Of the longest name of a file, with its NUL. */
#define SHMFILE_NAME_MAX 4096

/**
 * shmfile_name(name, path, layout):
 * Write the name of the file of ${path} and ${layout} to ${name}.  Return 0, or
 * -1 with errno if it is too long.
 */
int shmfile_name(char name[SHMFILE_NAME_MAX], const char * path,
    uint64_t layout);

/**
 * shmfile_open(path, layout, size, descriptor):
 * Return the ${size} bytes that all share who give the same arguments, at
 * first zero and aligned for numbers of 64 bits; NULL with errno if the file
 * cannot be used.  It is named by ${path} and ${layout}, which says what the
 * bytes mean, so memory of another layout is another file.  The file is
 * created with mode 0600 if it is not there, and grows to its size if it is
 * shorter; its directory must exist.  EEXIST means that it is longer or no
 * file, and it has been left alone.  It must not be cut while it is mapped.
 * If ${descriptor} is not NULL it is set to the open file, for locks; the
 * caller closes it.
 */
void * shmfile_open(const char * path, uint64_t layout, size_t size,
    int * descriptor);

/**
 * shmfile_is_there(path, layout, descriptor):
 * Return whether the open file is still at its name, and was not deleted.
 */
bool shmfile_is_there(const char * path, uint64_t layout, int descriptor);

/**
 * shmfile_renew(path, layout, memory, size):
 * Map the file that is at this name now, or a new one, in place of the one that
 * is mapped at ${memory}, and log that.  Return its descriptor, or -1 if it
 * cannot be opened.  Meanwhile other threads can use the memory, but see the
 * new bytes at some moment.
 */
int shmfile_renew(const char * path, uint64_t layout, void * memory,
    size_t size);

/**
 * shmfile_look(path, layout, size):
 * Return the memory to read it only: nothing is created or grows, and what is
 * stored there is not shared.  Return NULL if there is no file of that size.
 */
void * shmfile_look(const char * path, uint64_t layout, size_t size);

/**
 * shmfile_close(memory, size):
 * Give the memory back; the file stays.
 */
void shmfile_close(void * memory, size_t size);

#endif
