#ifndef FLAGTALLY_CONFIG_H
#define FLAGTALLY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/log.h"
#include "lib/body/body.h"
#include "lib/redis/address.h"
#include "lib/redis/contract.h"

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

/* The clients that can see the page, or backstage. */
enum config_access {
	CONFIG_ACCESS_LOCAL,	/* Those on this host, without a proxy. */
	CONFIG_ACCESS_ALL,
	CONFIG_ACCESS_OFF,
	CONFIG_ACCESS_USER,	/* Those that the web server authenticated. */
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
	bool redis_aof;
	char * redis_tls_ca;
	char * redis_tls_cert;
	char * redis_tls_key;
	uint64_t redis_timeout;
	char * prefix;
	char * tokens;
	enum config_auth auth;
	char * auth_header;
	char * token_set;
	uint64_t token_ttl;
	uint64_t token_stale;
	char * default_environment;
	char * cors_origins;
	enum config_ack ack;
	char * spool;
	uint64_t spool_limit;
	uint64_t flush_interval;
	uint64_t retention_hourly;
	uint64_t retention_daily;
	uint64_t receive_timeout;
	uint64_t limit_cgi_params;
	uint64_t limit_scrape;
	char * path_prefix;
	enum config_access backstage;
	enum config_access page;
	enum log_level log_level;
	bool sandbox;
	bool core_dumps;

	/* Settings of modules; the main program adds what is no key. */
	struct body_settings body;
	struct sink_settings sink;

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
