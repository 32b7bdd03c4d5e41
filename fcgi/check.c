#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/check.h"
#include "lib/auth/token_file.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/escape.h"
#include "lib/base/log.h"
#include "lib/redis/bucket.h"
#include "lib/spool/spool.h"
#include "lib/tally/tally.h"

#define REASON_MAX (2 * PATH_MAX + 400)
#define PREFIX_MAX 8192

/* Milliseconds to add to the redis_timeout of the configuration. */
#define REDIS_TIME 2000

__attribute__((format(printf, 2, 3)))
static bool
report_why(char * reason, const char * format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, REASON_MAX, format, arguments);
	va_end(arguments);
	return (false);
}

static uintmax_t
user_id(void)
{

	return ((uintmax_t)geteuid());
}

/* The directory of a file's path. */
static void
directory_of(char directory[PATH_MAX], const char * path)
{
	const char * slash = strrchr(path, '/');

	if (slash == NULL)
		snprintf(directory, PATH_MAX, ".");
	else
		snprintf(directory, PATH_MAX, "%.*s", slash == path ? 1 :
		    (int)(slash - path), path);
}

static bool
can_write_to(const char * path)
{

	return (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0);
}

/* Return whether the directory is there, or is created with the spool. */
static bool
check_directory(const char * directory, char * reason)
{
	char parent[PATH_MAX];
	struct stat file;

	if (stat(directory, &file) == 0)
		return (S_ISDIR(file.st_mode) ? can_write_to(directory) ||
		    report_why(reason, "%s belongs to user %ju, and user %ju "
		    "cannot write to it: %s", directory,
		    (uintmax_t)file.st_uid, user_id(), strerror(errno)) :
		    report_why(reason, "%s is no directory", directory));
	if (errno != ENOENT)
		return (report_why(reason, "%s: %s", directory,
		    strerror(errno)));
	directory_of(parent, directory);
	/* Another user could not use what root creates. */
	return ((user_id() != 0 && can_write_to(parent)) ||
	    report_why(reason, "there is no directory %s; create it for the "
	    "user that flagtally runs as: install -d -m 700 -o USER %s",
	    directory, directory));
}

/* Return whether the spool can be used, or write why not. */
static bool
check_spool(const struct config * config, char * reason)
{
	char directory[PATH_MAX];
	struct stat file;

	if (config->spool[0] == '\0')
		return (report_why(reason, "spool is empty in the "
		    "configuration"));
	directory_of(directory, config->spool);
	if (!check_directory(directory, reason))
		return (false);
	if (stat(config->spool, &file) != 0)
		return (errno == ENOENT || report_why(reason, "%s: %s",
		    config->spool, strerror(errno)));
	if (!S_ISREG(file.st_mode))
		return (report_why(reason, "%s is no file", config->spool));
	return (faccessat(AT_FDCWD, config->spool, R_OK | W_OK,
	    AT_EACCESS) == 0 || report_why(reason, "%s belongs to user %ju, "
	    "and user %ju cannot use it: %s", config->spool,
	    (uintmax_t)file.st_uid, user_id(), strerror(errno)));
}

/* Remove a spool that was only for a trial. */
static void
remove_trial(const char * path)
{
	static const char * const parts[] = {
		"", "-wal", "-shm", "-journal", ".lock",
	};
	char name[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (snprintf(name, sizeof(name), "%s%s", path, parts[i]) <
		    (int)sizeof(name))
			unlink(name);
}

/* Look at the spool, if there is one, and change nothing. */
static enum spool_result
look_at_file(const struct config * config, char * reason)
{
	struct spool_depth depth[SPOOL_STATE_COUNT];
	enum spool_result result;
	struct spool * spool;
	struct stat file;

	/* An empty file becomes a spool. */
	if (stat(config->spool, &file) != 0 || file.st_size == 0)
		return (SPOOL_DONE);
	spool = spool_open(config->spool, config->spool_limit, true);
	result = spool_depth(spool, depth);
	if (result != SPOOL_DONE)
		report_why(reason, "%s", spool_why(spool));
	else if (spool_is_full(spool, depth)) {
		report_why(reason, "%s is full: spool_limit is reached",
		    config->spool);
		result = SPOOL_FULL;
	}
	spool_free(spool);
	return (result);
}

/* Have a spool beside that of the configuration take a group. */
static enum spool_result
try_disk(const struct config * config, char * reason)
{
	enum spool_result result;
	struct spool * spool;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s.check-%ld", config->spool,
	    (long)getpid());
	spool = spool_open(path, config->spool_limit, false);
	result = spool_test(spool);
	if (result != SPOOL_DONE)
		report_why(reason, "%s%s", result == SPOOL_FULL ?
		    "the disk is full: " : "", spool_why(spool));
	spool_free(spool);
	remove_trial(path);
	return (result);
}

/* Return what becomes of the next group that the spool is to take. */
static enum spool_result
try_spool(const struct config * config, char * reason)
{
	enum spool_result result = look_at_file(config, reason);
	char directory[PATH_MAX];
	struct stat file;

	directory_of(directory, config->spool);
	/* The directory is created with the spool. */
	if (result != SPOOL_DONE || stat(directory, &file) != 0)
		return (result);
	return (try_disk(config, reason));
}

/*
 * Root can read every file.  The owner of the spool's directory is the user
 * that has to read this one, unless systemd passes the file on.
 */
static void
warn_of_reader(const struct config * config)
{
	char directory[PATH_MAX];
	struct stat place, tokens;

	directory_of(directory, config->spool);
	if (user_id() != 0 || stat(directory, &place) != 0 ||
	    stat(config->tokens, &tokens) != 0 || place.st_uid == 0 ||
	    tokens.st_uid == place.st_uid ||
	    (tokens.st_mode & S_IROTH) != 0 ||
	    ((tokens.st_mode & S_IRGRP) != 0 &&
	    tokens.st_gid == place.st_gid))
		return;
	log_warning("%s can be read by user %ju, and the spool belongs to "
	    "user %ju; unless systemd hands it over (LoadCredential): chown "
	    "%ju %s", config->tokens, (uintmax_t)tokens.st_uid,
	    (uintmax_t)place.st_uid, (uintmax_t)place.st_uid,
	    config->tokens);
}

/* Return whether tokens can be looked up; the log says why not. */
static bool
check_tokens(const struct config * config, struct token_file * tokens,
    char * reason)
{
	struct token_grant grant;

	if (tokens == NULL)
		return (true);
	if (token_file_check(tokens, "", 0, TOKEN_CLIENT, &grant) ==
	    TOKEN_UNAVAILABLE)
		return (report_why(reason, "no token is in force, as %s "
		    "cannot be used", config->tokens));
	warn_of_reader(config);
	return (true);
}

/* Print the user of this process: a check as root proves little. */
static void
print_user(void)
{

	printf(" for user %ju%s\n", user_id(), user_id() == 0 ?
	    ", which is root; run this as the user that flagtally runs "
	    "as" : "");
}

int
check_config(const struct config * config, struct token_file * tokens)
{
	char reason[REASON_MAX];
	int status = 0;

	if (!check_tokens(config, tokens, reason)) {
		fputs("; not OK: ", stdout);
		status = CHECK_EXIT_CONFIG;
	} else if (!check_spool(config, reason) ||
	    look_at_file(config, reason) != SPOOL_DONE)
		fputs("; OK, but the spool cannot be used: ", stdout);
	else {
		fputs("; OK", stdout);
		print_user();
		return (0);
	}
	escape_print(stdout, reason);
	putchar('\n');
	return (status);
}

/* Redis */

/* Return advice on an error of Redis. */
static const char *
advice_on(const char * error)
{
	static const struct {
		const char * part;
		const char * advice;
	} rows[] = {
		{ "it is no master", "compare its ROLE with what the sentinels "
		  "report" },
		{ "sentinel ", "see master= and the nodes in redis, "
		  "redis_sentinel_user and redis_sentinel_password_file" },
		{ "NOAUTH", "Redis requires a password: set "
		  "redis_password_file, and the user in redis if it is not "
		  "the default one" },
		{ "WRONGPASS", "the user or the password is wrong: see redis "
		  "and redis_password_file" },
		{ "invalid password", "the password is wrong: see "
		  "redis_password_file" },
		{ "without any password", "Redis has no password, but one is "
		  "set: see redis_password_file" },
		{ "no password is set", "Redis has no password, but one is "
		  "set: see redis_password_file" },
		{ "NOPERM", "the user lacks a right: users.acl among the "
		  "examples has all of them" },
		/* In a script, of Redis up to 7.2, and of later ones. */
		{ "user executing the script", "the user lacks a right: "
		  "users.acl among the examples has all of them" },
		{ "ACL failure in script", "the user lacks a right: "
		  "users.acl among the examples has all of them" },
		{ "READONLY", "this is a replica: redis has to lead to its "
		  "master" },
		{ "MOVED", "this is one node of a cluster: redis has to begin "
		  "with redis-cluster://" },
		{ "CROSSSLOT", "this is one node of a cluster: redis has to "
		  "begin with redis-cluster://" },
		{ "have the counts in time", "a replica is away or slow: see "
		  "redis_replicas" },
		{ "do not confirm the counts", "a replica is away or slow: "
		  "see redis_replicas" },
		{ "cluster support disabled", "this is no node of a cluster: "
		  "redis must begin with redis://" },
		{ "CLUSTERDOWN", "see redis-cli --cluster check" },
		{ "OOM", "Redis has reached its maxmemory" },
		{ "MISCONF", "Redis cannot write to its disk" },
		{ "LOADING", "Redis has just been started: try again" },
		{ "DB index", "the number of the database in redis is too "
		  "large" },
		{ "WRONGTYPE", "the key is of another type: see token_set" },
		{ "unknown command", "this is no Redis 6.2 or later" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strstr(error, rows[i].part) != NULL)
			return (rows[i].advice);
	return ("see whether Redis runs, and redis in the configuration");
}

/* Return the hour, or the day, to count in. */
static int64_t
counts_period(const struct sink_settings * settings)
{
	int64_t began = clock_now();

	return (settings->retention_hourly > 0 ? date_hour(began) :
	    date_day(began));
}

/* Counts of each kind, so that each script runs. */
static struct tally *
make_counts(struct arena * arena, int64_t period)
{
	const struct text name = { "check", 5 }, none = { "", 0 };
	struct tally * tally = tally_create(arena);
	struct tally_node * application, * feature, * metric;

	feature = tally_feature(tally, &name, &name, period, &name);
	tally_add(tally, &feature->yes, 1);
	application = tally_application(tally, &name, &name);
	tally_set_instance(tally, application, &name, &name);
	metric = tally_metric(tally, &name, TALLY_GAUGE, &name, &name);
	tally_set_gauge(tally, tally_series(tally, metric, &none), 1);
	return (tally);
}

static bool
unlink_key(struct sink * sink, const char * key, int64_t deadline)
{
	const char * const words[] = { "UNLINK", key, NULL };

	return (sink_command(sink, words, deadline));
}

/*
 * Try the commands that the scripts need only when a cap is reached or a write
 * has failed, each with a key of its own.
 */
static bool
try_rare_commands(struct sink * sink, const struct sink_settings * settings,
    int64_t deadline)
{
	static const char * const rows[][4] = {
		{ "DEL" }, { "EXISTS" }, { "HDEL", "f" }, { "HGETALL" },
		{ "HINCRBY", "f", "1" },
		{ "SADD", "m" }, { "SMEMBERS" }, { "SMISMEMBER", "m" },
		{ "ZCOUNT", "0", "1" },
		{ "ZRANGE", "0", "1" }, { "ZREM", "m" },
		{ "ZREMRANGEBYSCORE", "0", "1" },
		{ "ZREMRANGEBYRANK", "0", "0" },
	};
	char key[PREFIX_MAX + 100];
	bool done = true;
	size_t i;

	for (i = 0; done && i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char * const words[] = { rows[i][0], key, rows[i][1],
		    rows[i][2], NULL };

		snprintf(key, sizeof(key), "%s:{check}:%s", settings->prefix,
		    rows[i][0]);
		done = sink_command(sink, words, deadline) &&
		    unlink_key(sink, key, deadline);
	}
	return (done);
}

/* Remove all keys that the counts have created. */
static bool
remove_counts(struct sink * sink, const struct sink_settings * settings,
    int64_t period, int64_t deadline)
{
	static const char * const rests[] = {
		":apps", ":environments", ":{check:check}:seen",
		":{check:check}:instances", ":{check:check}:instances:seen",
		":{check:check}:feed",
		":{check}:impact", ":{check}:impact:check",
		":{check}:impact:check:when", ":{check}:sizes",
	};
	static const char * const lists[] = { "apps", "environments" };
	struct periods periods = { .count = 0 };
	char key[2 * PREFIX_MAX + 100];
	bool done = true;
	size_t i;

	sink_retire(sink, deadline);
	for (i = 0; done && i < sizeof(rests) / sizeof(rests[0]); i++) {
		snprintf(key, sizeof(key), "%s%s", settings->prefix, rests[i]);
		done = unlink_key(sink, key, deadline);
	}
	for (i = 0; done && i < sizeof(lists) / sizeof(lists[0]); i++) {
		snprintf(key, sizeof(key), "%s:{%s:%s}:shares",
		    settings->prefix, settings->prefix, lists[i]);
		done = unlink_key(sink, key, deadline);
	}
	bucket_of(&periods, settings, period);
	for (i = 0; done && i < periods.count; i++) {
		snprintf(key, sizeof(key), "%s:{check:check}:%s",
		    settings->prefix, periods.list[i].name);
		done = unlink_key(sink, key, deadline);
	}
	return (done);
}

static bool
check_scripts(const struct config * config, check_make_sink * make_sink,
    void * context, char * reason)
{
	const struct sink_settings * from = &config->sink;
	int64_t deadline = clock_monotonic() + REDIS_TIME +
	    (int64_t)config->redis_timeout;
	struct sink_settings settings = *from;
	int64_t period = counts_period(from);
	struct arena * arena = arena_create(0);
	char prefix[PREFIX_MAX];
	struct sink * sink;
	bool works;

	/* Warnings about Redis would only say the same. */
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(prefix, sizeof(prefix), "%s:check", from->prefix);
	settings.prefix = prefix;
	sink = make_sink(context, &settings);
	works = sink_commit(sink, make_counts(arena, period), deadline) ==
	    SINK_APPLIED && try_rare_commands(sink, &settings, deadline) &&
	    remove_counts(sink, &settings, period, deadline);
	if (!works)
		report_why(reason, "%s (%s)", sink_reason(sink),
		    advice_on(sink_reason(sink)));
	sink_free(sink);
	arena_free(arena);
	return (works);
}

/* Print the line about a part; return whether it is good. */
static bool
print_part(const char * part, const char * where, bool good,
    const char * reason)
{

	printf("%-7s %s: ", part, good ? "OK" : "not OK");
	escape_print(stdout, good ? where : reason);
	putchar('\n');
	fflush(stdout);
	return (good);
}

/* Return whether tokens can be looked up in Redis. */
static bool
check_set(const struct config * config, struct token_set * set, char * reason)
{

	switch (token_set_state(set)) {
	case TOKEN_SET_OK:
		return (true);
	case TOKEN_SET_MISSING:
		return (report_why(reason, "there is no set %s in Redis: the "
		    "service that issues tokens has to add one",
		    config->token_set));
	default:
		return (report_why(reason, "%s (%s)", token_set_why(set),
		    advice_on(token_set_why(set))));
	}
}

int
check_all(const struct config * config, struct token_file * tokens,
    struct token_set * set, check_make_sink * make_sink, void * context)
{
	enum spool_result tried = SPOOL_FAILED;
	char reason[REASON_MAX] = "";
	bool admits, spool, found, redis;

	admits = print_part("tokens", tokens != NULL ? config->tokens :
	    config->auth == CONFIG_AUTH_NONE ? "not needed" :
	    "none in a file", check_tokens(config, tokens, reason), reason);
	if (check_spool(config, reason))
		tried = try_spool(config, reason);
	spool = print_part("spool", config->spool, tried == SPOOL_DONE,
	    reason);
	found = set == NULL || print_part("token_set", config->token_set,
	    check_set(config, set, reason), reason);
	redis = print_part("redis", config->redis_url, check_scripts(config,
	    make_sink, context, reason), reason);
	fputs(admits && spool && found && redis ? "OK" : "not OK", stdout);
	print_user();
	return (!admits || (!spool && tried != SPOOL_FULL) ?
	    CHECK_EXIT_CONFIG : spool && found && redis ? 0 :
	    CHECK_EXIT_LATER);
}
