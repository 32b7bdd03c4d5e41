#ifndef FLAGTALLY_CHECK_H
#define FLAGTALLY_CHECK_H

#include "lib/auth/token_file.h"
#include "lib/config/config.h"
#include "lib/redis/redis.h"
#include "lib/redis/sink.h"

/*
 * --check-config and --check: whether flagtally can work as configured, in
 * words, on standard output.  Both functions return the exit status.
 */
#define CHECK_EXIT_CONFIG 78
#define CHECK_EXIT_LATER 75

/**
 * check_config(config, tokens):
 * Print a line, in the form of a comment in a configuration, with OK or an
 * error of the token file (${tokens} if there is one, else NULL) or the spool.
 * Return 0, or CHECK_EXIT_CONFIG if the token file cannot be used.
 */
int check_config(const struct config * config, struct token_file * tokens);

/* Creates a sink with these settings. */
typedef struct sink * check_make_sink(void * context,
    const struct sink_settings * settings);

/**
 * check_all(config, tokens, settings, make_sink, context):
 * Check the token file, the spool's directory and Redis, and print a line for
 * each.  For Redis, let the scripts count under another prefix, over a sink
 * from ${make_sink}, and remove the counts again.  Return 0, or
 * CHECK_EXIT_CONFIG, or CHECK_EXIT_LATER if only Redis is at fault.
 */
int check_all(const struct config * config, struct token_file * tokens,
    const struct sink_settings * settings, check_make_sink * make_sink,
    void * context);

#endif
