#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/digest.h"
#include "lib/base/escape.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"
#include "lib/config/config.h"
#include "lib/config/config_file.h"
#include "lib/config/edit_distance.h"
#include "lib/config/units.h"
#include "lib/json/json.h"
#include "lib/redis/redis_url.h"

#ifndef LOCALSTATEDIR
#define LOCALSTATEDIR "/var"
#endif

#define VARIABLE_PREFIX "FLAGTALLY_"

/* The table of all keys; it needs the declarations above. */
#include "lib/config/config_keys.h"

_Static_assert(VALIDATE_REJECT == 0 && VALIDATE_SKIP == 1,
    "invalid_choices has the order of enum validate_invalid");
_Static_assert(LOG_LEVEL_ERROR == 0 && LOG_LEVEL_DEBUG == 3,
    "log_choices has the order of enum log_level");

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

/* Origin of a value: a line of the file, a variable, or the default. */
struct config_origin {
	enum { FROM_DEFAULT, FROM_FILE, FROM_VARIABLE } from;
	int line;
};

/* Bytes of a line without its end. */
#define LINE_LIMIT 4096

/* Context of the callbacks. */
struct loading {
	struct config * config;
	struct config_error * error;
	bool failed;
	FILE * file;
	int line;
	char text[LINE_LIMIT + 2];	/* The line, and in it the value, */
	const char * value;		/* or NULL: inih has it. */
};

__attribute__((format(printf, 2, 3)))
static void
fail(struct loading * loading, const char * format, ...)
{
	va_list arguments;

	if (loading->failed)
		return;
	loading->failed = true;
	va_start(arguments, format);
	vsnprintf(loading->error->text, sizeof(loading->error->text), format,
	    arguments);
	va_end(arguments);
}

static void *
member(struct config * config, const struct key * key)
{

	return ((char *)config + key->offset);
}

static const struct key *
find_key(const char * name)
{
	size_t i;

	for (i = 0; i < KEY_COUNT; i++)
		if (strcmp(keys[i].name, name) == 0)
			return (&keys[i]);
	return (NULL);
}

/* Return a text that suggests a similar key, or an empty one. */
static const char *
perhaps(const char * name, char out[80])
{
	size_t best = 4;		/* More is no misspelling. */
	size_t i, away;

	out[0] = '\0';
	for (i = 0; i < KEY_COUNT; i++) {
		away = edit_distance_of(name, keys[i].name);
		if (away >= best)
			continue;
		best = away;
		snprintf(out, 80, "; perhaps %s was meant", keys[i].name);
	}
	return (out);
}

/* A number is in a member of any unsigned type, an enum, or a bool. */
static uint64_t
number_at(const struct config * config, const struct key * key)
{
	const void * at = (const char *)config + key->offset;

	switch (key->size) {
	case sizeof(bool):
		return (*(const bool *)at);
	case sizeof(unsigned int):
		return (*(const unsigned int *)at);
	default:
		return (*(const uint64_t *)at);
	}
}

static void
set_number(struct config * config, const struct key * key, uint64_t number)
{
	void * at = member(config, key);

	switch (key->size) {
	case sizeof(bool):
		*(bool *)at = number != 0;
		break;
	case sizeof(unsigned int):
		*(unsigned int *)at = (unsigned int)number;
		break;
	default:
		*(uint64_t *)at = number;
	}
}

static const char *
read_choice(const struct key * key, const char * text, uint64_t * number)
{

	for (*number = 0; key->choices[*number] != NULL; ++*number)
		if (strcmp(key->choices[*number], text) == 0)
			return (NULL);
	return ("has no such value");
}

/* Parse a key's value.  Return NULL, or the error. */
static const char *
set_value(struct config * config, const struct key * key, const char * text)
{
	char ** string = member(config, key);
	uint64_t number;
	const char * why;

	if (key->type == TYPE_TEXT) {
		free(*string);
		*string = alloc_string(text);
		return (NULL);
	}
	why = key->type == TYPE_CHOICE ? read_choice(key, text, &number) :
	    units_parse(text, key->quantity, key->least, key->most, &number);
	if (why == NULL)
		set_number(config, key, number);
	return (why);
}

#define EXPECTED_MAX 100

/* Describe the values that a key accepts, for an error message. */
static const char *
expected(const struct key * key, char out[EXPECTED_MAX])
{
	size_t used = 0;
	size_t i;

	if (key->type == TYPE_QUANTITY)
		return (units_range(out, key->quantity, key->least,
		    key->most));
	for (i = 0; key->choices[i] != NULL && used < EXPECTED_MAX; i++)
		used += (size_t)snprintf(out + used, EXPECTED_MAX - used,
		    "%s%s", i == 0 ? "" : ", ", key->choices[i]);
	return (out);
}

static struct config_origin *
origin_of(struct config * config, const struct key * key)
{

	return (&config->origins[key - keys]);
}

/* A path in the file is relative to the file's directory. */
static void
place_beside(struct config * config, const struct key * key)
{
	static const size_t paths[] = {
		offsetof(struct config, tokens),
		offsetof(struct config, spool),
		offsetof(struct config, redis_password_file),
		offsetof(struct config, redis_sentinel_password_file),
		offsetof(struct config, redis_tls_ca),
		offsetof(struct config, redis_tls_cert),
		offsetof(struct config, redis_tls_key),
	};
	const char * slash = strrchr(config->file, '/');
	char ** text = member(config, key);
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]) &&
	    key->offset != paths[i]; i++)
		continue;
	if (i == sizeof(paths) / sizeof(paths[0]) || slash == NULL ||
	    (*text)[0] == '/' || (*text)[0] == '\0')
		return;
	snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - config->file),
	    config->file, *text);
	free(*text);
	*text = alloc_string(path);
}

/* The handler of inih: take a key and its value.  Return 0 to stop. */
static int
take_line(void * context, const char * section, const char * name,
    const char * value)
{
	struct loading * loading = context;
	struct config * config = loading->config;
	int line = loading->line;
	const struct key * key = find_key(name);
	struct config_origin * origin;
	const char * why;
	char meant[80], may[EXPECTED_MAX];

	(void)section;
	if (loading->value != NULL)
		value = loading->value;
	if (key == NULL) {
		fail(loading, "%s:%d: unknown key %s%s", config->file, line,
		    name, perhaps(name, meant));
		return (0);
	}
	origin = origin_of(config, key);
	if (origin->from == FROM_FILE) {
		fail(loading, "%s:%d: %s is already set in line %d",
		    config->file, line, name, origin->line);
		return (0);
	}
	origin->from = FROM_FILE;
	origin->line = line;
	why = set_value(config, key, value);
	if (why != NULL)
		fail(loading, "%s:%d: %s %s; allowed: %s", config->file,
		    line, name, why, expected(key, may));
	place_beside(config, key);
	return (why == NULL);
}

/* inih accepts sections, and does not report one that has no key. */
static void
refuse_section(struct loading * loading, const char * line)
{
	const char * text = line;

	/* Skip a byte-order mark. */
	if (loading->line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	if (*text == '[')
		fail(loading, "%s:%d: a section, which is not allowed: "
		    "%.*s", loading->config->file, loading->line,
		    (int)strcspn(text, "\r\n"), text);
}

/* Return the value in a line, as inih reads it. */
static const char *
find_value(char * text)
{
	char * end = text;

	while (*end != '\0' &&
	    !(*end == ';' && isspace((unsigned char)end[-1])))
		end++;
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return (text);
}

/*
 * inih takes lines of about 200 bytes, and a URL can be longer.  Give it a
 * longer line up to the = alone, and the value to take_line().
 */
static void
shorten_line(struct loading * loading, char * text, int size)
{
	size_t key = strcspn(loading->text, "=:");

	if (loading->text[key] != '\0')
		key++;
	snprintf(text, (size_t)size, "%.*s", (int)key, loading->text);
	loading->value = find_value(loading->text + key);
}

/*
 * Read a line for inih.  inih does not always report the line number, and would
 * take an indented line as a continuation.
 */
static char *
read_line(char * text, int size, void * context)
{
	struct loading * loading = context;
	char * line = loading->text;
	int length = 0;
	int c = EOF;

	while (length < LINE_LIMIT + 1 && (c = getc(loading->file)) != EOF) {
		if (length == 0 && (c == ' ' || c == '\t'))
			continue;
		line[length++] = (char)c;
		if (c == '\n' || c == '\0')
			break;
	}
	line[length] = '\0';
	loading->line++;
	loading->value = NULL;
	if (c == '\0')
		fail(loading, "%s:%d: there is a NUL in this line",
		    loading->config->file, loading->line);
	else if (length == LINE_LIMIT + 1 && c != '\n')
		fail(loading, "%s:%d: the line is longer than %d bytes; a "
		    "variable such as FLAGTALLY_REDIS can have a longer value",
		    loading->config->file, loading->line, LINE_LIMIT);
	refuse_section(loading, line);
	if (length < size - 1)
		memcpy(text, line, (size_t)length + 1);
	else
		shorten_line(loading, text, size - 1);
	return (loading->failed || length == 0 ? NULL : text);
}

static void
load_file(struct loading * loading)
{
	const char * name = loading->config->file;
	char buffer[4096];
	int result;

	loading->file = fopen(name, "re");
	if (loading->file == NULL) {
		fail(loading, "%s: %s", name, strerror(errno));
		return;
	}
	/* A buffer of our own, so that a password in `redis` can be wiped. */
	setvbuf(loading->file, buffer, _IOFBF, sizeof(buffer));
	result = ini_parse_stream(read_line, loading, take_line, loading);
	if (ferror(loading->file))
		fail(loading, "%s cannot be read: %s", name, strerror(errno));
	if (result != 0)
		fail(loading, "%s:%d: neither key = value nor a comment",
		    name, result);
	fclose(loading->file);
	digest_wipe(buffer, sizeof(buffer));
	digest_wipe(loading->text, sizeof(loading->text));
}

static void
take_variable(struct loading * loading, const char * variable)
{
	size_t length = strcspn(variable, "=");
	char name[64];
	char meant[80], may[EXPECTED_MAX];
	const struct key * key;
	const char * why;
	size_t i;

	if (length < strlen(VARIABLE_PREFIX) || variable[length] == '\0')
		return;
	/* A name that does not fit is longer than any key. */
	for (i = strlen(VARIABLE_PREFIX); i < length &&
	    i - strlen(VARIABLE_PREFIX) < sizeof(name) - 1; i++)
		name[i - strlen(VARIABLE_PREFIX)] =
		    (char)tolower((unsigned char)variable[i]);
	name[i - strlen(VARIABLE_PREFIX)] = '\0';
	key = i == length ? find_key(name) : NULL;
	if (key == NULL) {
		fail(loading, "unknown variable %.*s%s", (int)length,
		    variable, perhaps(name, meant));
		return;
	}
	why = set_value(loading->config, key, variable + length + 1);
	if (why != NULL)
		fail(loading, "%.*s %s; allowed: %s", (int)length, variable,
		    why, expected(key, may));
	origin_of(loading->config, key)->from = FROM_VARIABLE;
}

static void
load_variables(struct loading * loading, char * const * environment)
{

	for (; *environment != NULL; environment++)
		if (strncmp(*environment, VARIABLE_PREFIX,
		    strlen(VARIABLE_PREFIX)) == 0 &&
		    strncmp(*environment, CONFIG_FILE_VARIABLE "=",
		    strlen(CONFIG_FILE_VARIABLE "=")) != 0)
			take_variable(loading, *environment);
}

static void
load_defaults(struct config * config)
{
	size_t i;

	for (i = 0; i < KEY_COUNT; i++)
		if (set_value(config, &keys[i], keys[i].initial) != NULL)
			abort();
}

/* Read the password file of a ${key}, if it names one. */
static char *
read_password(struct loading * loading, const char * key, const char * path)
{
	char why[200];
	char * password;

	if (path[0] == '\0')
		return (NULL);
	password = secret_read(path, why, sizeof(why));
	if (password == NULL)
		fail(loading, "%s: %s: %s", key, path, why);
	return (password);
}

static void
read_redis_password(struct loading * loading)
{
	struct config * config = loading->config;
	struct redis_address * redis = &config->redis;

	if (config->redis_password_file[0] == '\0') {
		if (redis->user != NULL && redis->password == NULL)
			fail(loading, "redis names a user without a password, "
			    "and there is no redis_password_file");
		return;
	}
	if (redis->password != NULL && redis->password[0] != '\0') {
		fail(loading, "the password is both in redis and in "
		    "redis_password_file: remove one");
		return;
	}
	secret_wipe(redis->password);
	redis->password = read_password(loading, "redis_password_file",
	    config->redis_password_file);
}

/* User and password of the sentinels. */
static void
read_sentinel(struct loading * loading)
{
	struct config * config = loading->config;
	struct redis_address * redis = &config->redis;
	const char * user = config->redis_sentinel_user;
	const char * path = config->redis_sentinel_password_file;

	if (redis->kind != REDIS_SENTINEL && (user[0] != '\0' ||
	    path[0] != '\0'))
		fail(loading, "redis_sentinel_user and "
		    "redis_sentinel_password_file are for redis-sentinel://");
	if (user[0] != '\0' && path[0] == '\0')
		fail(loading, "redis_sentinel_user is set without "
		    "redis_sentinel_password_file");
	if (user[0] != '\0')
		redis->sentinel_user = alloc_string(user);
	redis->sentinel_password = read_password(loading,
	    "redis_sentinel_password_file", path);
}

/* From here on there is one copy of the password. */
static void
check_tls(struct loading * loading)
{
	struct config * config = loading->config;
	struct tls_settings * settings = &config->redis.tls_settings;
	struct tls * tls;
	const char * why;

	settings->authorities = config->redis_tls_ca;
	settings->certificate = config->redis_tls_cert;
	settings->key = config->redis_tls_key;
	if (!config->redis.tls) {
		if (settings->authorities[0] != '\0' ||
		    settings->certificate[0] != '\0' ||
		    settings->key[0] != '\0')
			fail(loading, "redis_tls_ca, redis_tls_cert and "
			    "redis_tls_key are for URLs with TLS, such as "
			    "rediss://");
		return;
	}
	/* Report unusable values at the start. */
	tls = redis_tls_create(settings, &why);
	if (tls == NULL)
		fail(loading, "redis asks for TLS (rediss://): %s", why);
	redis_tls_free(tls);
}

static void
check_redis(struct loading * loading)
{
	struct config * config = loading->config;
	char * url = config->redis_url;
	const char * why = redis_url_parse(url, &config->redis);

	if (why != NULL)
		fail(loading, "redis is not a URL of a Redis server: %s", why);
	read_redis_password(loading);
	read_sentinel(loading);
	config->redis.confirm.replicas = config->redis_replicas;
	config->redis.confirm.aof = config->redis_aof != 0;
	config->redis_url = secret_mask(url);
	secret_wipe(url);
	check_tls(loading);
}

/* The longest environment that a token can name. */
#define ENVIRONMENT_MAX 255

/*
 * Return whether the text is `*`, or a list of origins with commas or blanks
 * between.  Origins go into headers, so they are printable ASCII.
 */
static bool
is_origins(const char * text)
{
	static const char between[] = ", \t";
	const char * colon;
	size_t length;

	if (strcmp(text, "*") == 0)
		return (true);
	for (text += strspn(text, between); *text != '\0';
	    text += length + strspn(text + length, between)) {
		length = strcspn(text, between);
		colon = strstr(text, "://");
		if (colon == NULL || colon == text ||
		    colon + 3 >= text + length)
			return (false);
		if (memchr(colon + 3, '/', (size_t)(text + length -
		    (colon + 3))) != NULL)
			return (false);
		if (strspn(text, "+-.:[]_%0123456789"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz/") < length)
			return (false);
	}
	return (true);
}

/* Checks that concern more than one key. */
static void
check(struct loading * loading)
{
	struct config * config = loading->config;

	check_redis(loading);
	if (config->retention_hourly < 1000 && config->retention_daily < 1000)
		fail(loading, "retention_hourly and retention_daily are both "
		    "0: nothing would be counted");
	if (config->spool[0] == '\0')
		fail(loading, "spool is empty: set it to the file for counts "
		    "while Redis is away");
	if (strpbrk(config->prefix, "{}") != NULL)
		fail(loading, "prefix has a brace in it, which would change "
		    "the hash tags of all keys");
	if (config->default_environment[0] == '\0' ||
	    strlen(config->default_environment) > ENVIRONMENT_MAX)
		fail(loading, "default_environment must have 1 to %d "
		    "bytes", ENVIRONMENT_MAX);
	if (!is_origins(config->cors_origins))
		fail(loading, "cors_origins is neither * nor a list of origins "
		    "like https://app.example.org");
	if (config->path_prefix[0] != '\0' && config->path_prefix[0] != '/')
		fail(loading, "path_prefix does not begin with /");
}

/* Settings of modules that are keys in another form, or follow from keys. */
static void
derive(struct config * config)
{
	struct sink_settings * sink = &config->sink;

	sink->prefix = config->prefix;
	sink->retention_hourly = (int64_t)(config->retention_hourly / 1000);
	sink->retention_daily = (int64_t)(config->retention_daily / 1000);
	config->body.validate.element.by_hour = sink->retention_hourly > 0;
}

struct config *
config_load(const char * path, const char * program,
    char * const * environment, struct config_error * error)
{
	struct config * config = alloc_zeroed(1, sizeof(*config));
	struct loading loading = { .config = config, .error = error };

	config->origins = alloc_zeroed(KEY_COUNT, sizeof(*config->origins));
	config->file = config_file_find(path, program, environment);
	load_defaults(config);
	if (config->file != NULL)
		load_file(&loading);
	if (!loading.failed)
		load_variables(&loading, environment);
	if (!loading.failed)
		check(&loading);
	derive(config);
	if (loading.failed) {
		config_free(config);
		return (NULL);
	}
	return (config);
}

static void
print_setting(const struct config * config, const struct key * key,
    FILE * file)
{
	char written[UNITS_TEXT_MAX];
	const char * text;

	if (key->type == TYPE_TEXT) {
		memcpy(&text, (const char *)config + key->offset,
		    sizeof(text));
		escape_print(file, text);
	} else if (key->type == TYPE_CHOICE)
		fputs(key->choices[number_at(config, key)], file);
	else
		fputs(units_format(written, key->quantity,
		    number_at(config, key)), file);
}

void
config_print(const struct config * config, FILE * file)
{
	size_t i;

	for (i = 0; i < KEY_COUNT; i++) {
		const struct config_origin * origin = &config->origins[i];
		char variable[64];
		size_t j;

		snprintf(variable, sizeof(variable), "%s%s", VARIABLE_PREFIX,
		    keys[i].name);
		for (j = 0; variable[j] != '\0'; j++)
			variable[j] = (char)toupper((unsigned char)variable[j]);
		fprintf(file, "%s = ", keys[i].name);
		print_setting(config, &keys[i], file);
		if (origin->from == FROM_FILE) {
			fputs(" ; ", file);
			escape_print(file, config->file);
			fprintf(file, ":%d\n", origin->line);
		} else
			fprintf(file, " ; %s\n", origin->from ==
			    FROM_VARIABLE ? variable : "default");
	}
}

void
config_free(struct config * config)
{
	size_t i;

	if (config == NULL)
		return;
	for (i = 0; i < KEY_COUNT; i++)
		if (keys[i].type == TYPE_TEXT)
			secret_wipe(*(char **)member(config, &keys[i]));
	redis_url_free(&config->redis);
	free(config->origins);
	free(config->file);
	free(config);
}
