#ifndef FLAGTALLY_CHECK_H
#define FLAGTALLY_CHECK_H

#include "lib/auth/token_file.h"
#include "lib/config/config.h"
#include "lib/redis/redis.h"
#include "lib/redis/sink.h"

/*
 * --check-config and --check: whether it can work as it is configured, in
 * words, on standard output.  Both return the status to exit with.
 */
#define CHECK_EXIT_CONFIG 78
#define CHECK_EXIT_LATER 75

/**
 * check_config(config, tokens):
 * Print a line, a comment of a configuration, that says OK or what is wrong
 * with the token file (${tokens} if there is one, else NULL) or the spool.
 * Return 0, or CHECK_EXIT_CONFIG if the token file cannot be used.
 */
int check_config(const struct config * config, struct token_file * tokens);

/* Makes a sink with these settings. */
typedef struct sink * check_make_sink(void * context,
    const struct sink_settings * settings);

/**
 * check_all(config, tokens, settings, make_sink, context):
 * Check the token file, the spool's directory and Redis, a line for each.  In
 * Redis counts are made by the scripts, by a sink that ${make_sink} makes with
 * ${settings} but another prefix, and removed again.  Return 0, or
 * CHECK_EXIT_CONFIG, or CHECK_EXIT_LATER if only Redis is at fault.
 */
int check_all(const struct config * config, struct token_file * tokens,
    const struct sink_settings * settings, check_make_sink * make_sink,
    void * context);

#endif
