#ifndef FLAGTALLY_LOG_OUTPUT_H
#define FLAGTALLY_LOG_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Where the log goes: standard error, without ever waiting for its reader.
 */

/* A pipe takes a line of this size as a whole or not at all (PIPE_BUF). */
#define LOG_OUTPUT_MAX 2048

/**
 * log_output_start():
 * Make the output non-blocking, for this process alone: others that share
 * standard error are not affected.  To be called once, before other threads
 * start and after inherited descriptors have been closed.
 */
void log_output_start(void);

/**
 * log_output_write(line, length):
 * Write a line of at most LOG_OUTPUT_MAX bytes, with its newline.  Return false
 * if that is not possible without waiting; the line is lost then.  Any thread
 * may call this.
 */
bool log_output_write(const char * line, size_t length);

#endif
