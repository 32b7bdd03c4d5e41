#ifndef FLAGTALLY_CONFIG_FILE_H
#define FLAGTALLY_CONFIG_FILE_H

/* The variable that names the configuration file. */
#define CONFIG_FILE_VARIABLE "FLAGTALLY_CONFIG"

/**
 * config_file_find(path, program, environment):
 * Return the path of the configuration file: ${path}, else what
 * CONFIG_FILE_VARIABLE names, else the one in the directory of the file
 * ${program} or in the system's if it is there, else NULL.  The caller frees
 * it.
 */
char * config_file_find(const char * path, const char * program,
    char * const * environment);

#endif
