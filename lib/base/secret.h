#ifndef FLAGTALLY_SECRET_H
#define FLAGTALLY_SECRET_H

#include <stddef.h>

/*
 * Reads passwords without leaving copies, masks them in output, and erases them
 * from the environment.
 */

/**
 * secret_read(path, why, size):
 * Return the first line of the file ${path}, which the caller wipes, or NULL
 * with the reason in ${why}, which has ${size} bytes.
 */
char * secret_read(const char * path, char * why, size_t size);

/**
 * secret_mask(url):
 * Return a copy of a URL with *** in place of its password; the caller frees
 * it.
 */
char * secret_mask(const char * url);

/**
 * secret_hide(environment, name):
 * Overwrite the value of the variable ${name} in place, so that it is gone from
 * /proc/PID/environ too.  The variable is empty afterwards.
 */
void secret_hide(char ** environment, const char * name);

/**
 * secret_wipe(secret):
 * Overwrite a secret, which can be NULL, and free it.
 */
void secret_wipe(char * secret);

#endif
