#ifndef FLAGTALLY_CONFIG_H
#define FLAGTALLY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/redis/redis.h"

/*
 * The configuration: FLAGTALLY_NAME in the environment, over an INI file, over
 * defaults.  A key's name in the environment is in upper case.
 */

enum config_auth {
	CONFIG_AUTH_TOKENS,
	CONFIG_AUTH_NONE,
};

enum config_ack {
	CONFIG_ACK_REDIS,
	CONFIG_ACK_SPOOL,
};

enum config_backstage {
	CONFIG_BACKSTAGE_LOCAL,
	CONFIG_BACKSTAGE_ALL,
	CONFIG_BACKSTAGE_OFF,
	CONFIG_BACKSTAGE_USER,
};

enum config_invalid {
	CONFIG_INVALID_REJECT,
	CONFIG_INVALID_SKIP,
};

/* Durations are in milliseconds, sizes in bytes; NULL and "" mean none. */
struct config {
	char * listen;
	uint64_t listen_mode;
	uint64_t threads;
	char * redis_url;
	char * redis_password_file;
	char * redis_sentinel_user;
	char * redis_sentinel_password_file;
	uint64_t redis_replicas;
	uint64_t redis_aof;		/* 0 or 1 */
	char * redis_tls_ca;
	char * redis_tls_cert;
	char * redis_tls_key;
	uint64_t redis_timeout;
	char * prefix;
	char * tokens;
	uint64_t auth;			/* enum config_auth */
	char * auth_header;
	char * token_set;
	uint64_t token_ttl;
	uint64_t token_stale;
	char * default_environment;
	char * cors_origins;
	uint64_t invalid;		/* enum config_invalid */
	uint64_t ack;			/* enum config_ack */
	char * spool;
	uint64_t spool_limit;
	uint64_t flush_interval;
	uint64_t retention_hourly;
	uint64_t retention_daily;
	uint64_t feed;
	uint64_t publish;		/* 0 or 1 */
	uint64_t receive_timeout;
	uint64_t limit_cgi_params;
	uint64_t limit_body;
	uint64_t limit_inflated;
	uint64_t limit_ratio;
	uint64_t limit_memory;
	uint64_t limit_counters;
	uint64_t limit_depth;
	uint64_t limit_name;
	uint64_t limit_labels;
	uint64_t limit_strategies;
	uint64_t limit_projects;
	uint64_t limit_connect_via;
	uint64_t limit_tokens;
	uint64_t limit_registration;
	uint64_t limit_features;
	uint64_t limit_variants;
	uint64_t limit_out_of_range_buckets;
	uint64_t limit_apps;
	uint64_t limit_environments;
	uint64_t limit_instances;
	uint64_t limit_series;
	uint64_t limit_seen_tokens;
	uint64_t limit_scrape;
	char * path_prefix;
	uint64_t backstage;		/* enum config_backstage */
	uint64_t page;			/* enum config_backstage */
	uint64_t log_level;		/* enum log_level */
	uint64_t sandbox;		/* 0 or 1 */
	uint64_t core_dumps;		/* 0 or 1 */

	struct redis_address redis;
	struct config_origin * origins;	/* Where each value came from. */
	char * file;			/* The INI file, or NULL. */
};

struct config_error {
	char text[512];
};

/**
 * config_load(path, program, environment, error):
 * Return the configuration in force, which the caller frees, or NULL with the
 * first error in ${error}.  Unknown keys are errors.  The INI file is ${path},
 * else the one that FLAGTALLY_CONFIG names (either must exist), else
 * flagtally.ini in the directory of the file ${program}, else the system's.
 * Relative paths in it are relative to its directory.  ${environment} has the
 * form of environ.
 */
struct config * config_load(const char * path, const char * program,
    char * const * environment, struct config_error * error);

/**
 * config_print(config, file):
 * Print the configuration in force as an INI file, with the origin of each
 * value in a comment.  Passwords are masked.
 */
void config_print(const struct config * config, FILE * file);

/**
 * config_free(config):
 * Free the configuration and wipe its secrets.
 */
void config_free(struct config * config);

#endif
