#ifndef FLAGTALLY_SHMFILE_H
#define FLAGTALLY_SHMFILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Memory that all processes of a host share: a file of fixed size that each of
 * them maps.  What one has stored is there for all others, and stays when that
 * one is killed.  It need not survive a crash of the host.
 */

/**
 * shmfile_open(path, layout, size):
 * Return the ${size} bytes that all share who give the same arguments, at
 * first zero and aligned for numbers of 64 bits.  The file ${path} is made,
 * with mode 0600, if it is not there; its directory must be.  If it is empty,
 * cut short, or of another ${layout} or size, a new file takes its place, and
 * who has mapped the old one keeps that.  The file must not be cut while it is
 * mapped.  Return NULL with errno if it cannot be used; EEXIST means that it
 * is no file of this kind, and it has been left alone.
 */
void * shmfile_open(const char * path, uint64_t layout, size_t size);

/**
 * shmfile_close(memory, size):
 * Give the memory back; the file stays.
 */
void shmfile_close(void * memory, size_t size);

#endif
