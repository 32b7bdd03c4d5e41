#ifndef FLAGTALLY_SECRET_H
#define FLAGTALLY_SECRET_H

#include <stddef.h>

/*
 * Passwords on their way in: read without leaving copies behind, kept out of
 * what is printed, and taken out of the environment.
 */

/**
 * secret_read(path, why, size):
 * Return the first line of the file ${path}; the caller wipes it.  Return NULL
 * with a text that says what is wrong, ${size} bytes at most, in ${why}.
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
 * Overwrite the value of the variable ${name}, where the system shows it to
 * whoever asks for the environment of this process, too; it is empty then.
 */
void secret_hide(char ** environment, const char * name);

/**
 * secret_wipe(secret):
 * Overwrite a secret, which may be NULL, and free it.
 */
void secret_wipe(char * secret);

#endif
