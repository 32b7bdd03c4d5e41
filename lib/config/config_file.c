#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/config/config_file.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

#define FILE_NAME "flagtally.ini"

static const char *
variable_of_file(char * const * environment)
{
	size_t length = strlen(CONFIG_FILE_VARIABLE "=");

	for (; *environment != NULL; environment++)
		if (strncmp(*environment, CONFIG_FILE_VARIABLE "=",
		    length) == 0)
			return (*environment + length);
	return (NULL);
}

/* Return the path if the file exists, else NULL. */
static char *
if_there(const char * directory, size_t length)
{
	char path[PATH_MAX];
	int size = snprintf(path, sizeof(path), "%.*s/%s", (int)length,
	    directory, FILE_NAME);

	if (size < 0 || (size_t)size >= sizeof(path) ||
	    access(path, F_OK) != 0)
		return (NULL);
	return (alloc_string(path));
}

char *
config_file_find(const char * path, const char * program,
    char * const * environment)
{
	const char * slash = strrchr(program, '/');
	char * found = NULL;

	if (path == NULL)
		path = variable_of_file(environment);
	if (path != NULL)
		return (alloc_string(path));
	if (slash != NULL)
		found = if_there(program, (size_t)(slash - program));
	if (found == NULL)
		found = if_there(SYSCONFDIR, strlen(SYSCONFDIR));
	return (found);
}
