#ifndef FLAGTALLY_CHECK_H
#define FLAGTALLY_CHECK_H

#include "lib/auth/token_file.h"
#include "lib/auth/token_set.h"
#include "lib/config/config.h"
#include "lib/redis/address.h"
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
 * check_all(config, tokens, set, make_sink, context):
 * Check the token file, the spool, ${set} unless it is NULL, and Redis, and
 * print a line for each.  Only look at the spool; have one beside it take a
 * group, and remove that.  For Redis, let the scripts count under another
 * prefix, over a sink from ${make_sink}, and remove the counts again.  Return
 * 0, or CHECK_EXIT_CONFIG, or CHECK_EXIT_LATER if only Redis is at fault, or
 * the spool is full.
 */
int check_all(const struct config * config, struct token_file * tokens,
    struct token_set * set, check_make_sink * make_sink, void * context);

#endif
