#ifndef FLAGTALLY_CONFIG_KEYS_H
#define FLAGTALLY_CONFIG_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/config/config.h"
#include "lib/config/units.h"
#include "lib/json/json.h"

/* All keys of the configuration: part of config.c. */

enum type {
	TYPE_TEXT,
	TYPE_QUANTITY,
	TYPE_CHOICE,			/* One of names, kept as its number. */
};

struct key {
	const char * name;
	enum type type;
	size_t offset, size;		/* Of the member of struct config. */
	const char * initial;
	const char * const * choices;	/* Ends with NULL. */
	enum quantity quantity;
	uint64_t least, most;
};

static const char * const auth_choices[] = { "tokens", "none", NULL };
static const char * const invalid_choices[] = { "reject", "skip", NULL };
static const char * const ack_choices[] = { "redis", "spool", NULL };
static const char * const access_choices[] = {
	"local", "all", "off", "user", NULL,
};
static const char * const yes_choices[] = { "no", "yes", NULL };
static const char * const switch_choices[] = { "off", "on", NULL };
static const char * const log_choices[] = {
	"error", "warning", "info", "debug", NULL,
};

#define AT(member)							\
	offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define TEXT(key, initial)						\
	{ #key, TYPE_TEXT, AT(key), initial, NULL, 0, 0, 0 }
#define NUMBER(key, quantity, initial, least, most)			\
	NUMBER_AT(key, key, quantity, initial, least, most)
#define NUMBER_AT(key, member, quantity, initial, least, most)		\
	{ #key, TYPE_QUANTITY, AT(member), initial, NULL, quantity,	\
	  least, most }
#define CHOICE(key, initial, choices)					\
	CHOICE_AT(key, key, initial, choices)
#define CHOICE_AT(key, member, initial, choices)			\
	{ #key, TYPE_CHOICE, AT(member), initial, choices, 0, 0, 0 }

/* Of a limit of one of the modules' settings, which begins at 0: no limit. */
#define LIMIT(key, member, quantity, initial)				\
	NUMBER_AT(key, member, quantity, initial, 0, MOST)
#define ELEMENT body.validate.element

#define MOST UNITS_MAX
#define DAY_MS ((uint64_t)86400 * 1000)

static const struct key keys[] = {
	TEXT(listen, ""),
	NUMBER(listen_mode, UNITS_MODE, "0660", 0, 0777),
	NUMBER(threads, UNITS_COUNT, "32", 1, 1024),
	{ "redis", TYPE_TEXT, AT(redis_url), "redis://127.0.0.1:6379/0",
	  NULL, 0, 0, 0 },
	TEXT(redis_password_file, ""),
	TEXT(redis_sentinel_user, ""),
	TEXT(redis_sentinel_password_file, ""),
	NUMBER(redis_replicas, UNITS_COUNT, "0", 0, 100),
	CHOICE(redis_aof, "no", yes_choices),
	TEXT(redis_tls_ca, ""),
	TEXT(redis_tls_cert, ""),
	TEXT(redis_tls_key, ""),
	NUMBER(redis_timeout, UNITS_DURATION, "1s", 10, 60000),
	TEXT(prefix, "flagtally"),
	TEXT(tokens, ""),
	CHOICE(auth, "tokens", auth_choices),
	TEXT(auth_header, "Authorization"),
	TEXT(token_set, ""),
	NUMBER(token_ttl, UNITS_DURATION, "5s", 100, DAY_MS),
	NUMBER(token_stale, UNITS_DURATION, "24h", 0, 365 * DAY_MS),
	TEXT(default_environment, "default"),
	TEXT(cors_origins, "*"),
	CHOICE_AT(invalid, body.validate.invalid, "reject", invalid_choices),
	CHOICE(ack, "redis", ack_choices),
	TEXT(spool, LOCALSTATEDIR "/lib/flagtally/spool.db"),
	NUMBER(spool_limit, UNITS_SIZE, "256M", 1 << 18, MOST),
	NUMBER(flush_interval, UNITS_DURATION, "1s", 10, 3600000),
	NUMBER(retention_hourly, UNITS_DURATION, "48h", 0, 36500 * DAY_MS),
	NUMBER(retention_daily, UNITS_DURATION, "90d", 0, 36500 * DAY_MS),
	LIMIT(feed, sink.feed, UNITS_COUNT, "0"),
	CHOICE_AT(publish, sink.publish, "no", yes_choices),
	NUMBER(receive_timeout, UNITS_DURATION, "30s", 1000, 3600000),
	NUMBER(limit_cgi_params, UNITS_SIZE, "128K", 1 << 12, 1 << 24),
	LIMIT(limit_body, body.limit_body, UNITS_SIZE, "4M"),
	LIMIT(limit_inflated, body.limit_inflated, UNITS_SIZE, "32M"),
	LIMIT(limit_ratio, body.limit_ratio, UNITS_COUNT, "300"),
	LIMIT(limit_memory, ELEMENT.limit_memory, UNITS_SIZE, "32M"),
	NUMBER_AT(limit_counters, ELEMENT.limit_counters,
	    UNITS_COUNT, "100000", 0, 10000000),
	NUMBER_AT(limit_depth, body.validate.limit_depth,
	    UNITS_COUNT, "64", 1, 1024),
	NUMBER_AT(limit_name, ELEMENT.limit_name,
	    UNITS_SIZE, "4K", 1, JSON_STRING_MAX),
	LIMIT(limit_labels, ELEMENT.limit_labels, UNITS_COUNT, "64"),
	LIMIT(limit_strategies, ELEMENT.limit_list[LIST_STRATEGIES],
	    UNITS_COUNT, "256"),
	LIMIT(limit_projects, ELEMENT.limit_list[LIST_PROJECTS],
	    UNITS_COUNT, "512"),
	LIMIT(limit_connect_via, ELEMENT.limit_list[LIST_CONNECT_VIA],
	    UNITS_COUNT, "32"),
	LIMIT(limit_tokens, ELEMENT.limit_tokens, UNITS_COUNT, "10000"),
	LIMIT(limit_registration, ELEMENT.limit_registration,
	    UNITS_SIZE, "32K"),
	LIMIT(limit_features, sink.limit_features, UNITS_COUNT, "10000"),
	LIMIT(limit_variants, sink.limit_variants, UNITS_COUNT, "20000"),
	LIMIT(limit_out_of_range_buckets, sink.limit_out_of_range,
	    UNITS_COUNT, "1000"),
	LIMIT(limit_apps, sink.limit_applications, UNITS_COUNT, "1000"),
	LIMIT(limit_environments, sink.limit_environments, UNITS_COUNT, "100"),
	LIMIT(limit_instances, sink.limit_instances, UNITS_COUNT, "10000"),
	LIMIT(limit_series, sink.limit_series, UNITS_COUNT, "10000"),
	LIMIT(limit_seen_tokens, sink.limit_seen_tokens, UNITS_COUNT, "100000"),
	NUMBER(limit_scrape, UNITS_COUNT, "100000", 0, MOST),
	TEXT(path_prefix, ""),
	CHOICE(backstage, "local", access_choices),
	CHOICE(page, "local", access_choices),
	CHOICE(log_level, "info", log_choices),
	CHOICE(sandbox, "on", switch_choices),
	CHOICE(core_dumps, "off", switch_choices),
};

#endif
