#include <inttypes.h>

#include "lib/config/config.h"
#include "lib/base/log.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

#define ENVIRONMENT_MAX 8

static char path[PATH_MAX];
static struct config_error error;

static void
write_file(const char * text)
{

	temporary_write(path, text, strlen(text));
}

/* Load the file with these variables; both may be cleared. */
static struct config *
load(const char * text, const char * const * variables)
{
	char * environment[ENVIRONMENT_MAX + 2];
	struct config * config;
	size_t count = 0, i;

	write_file(text);
	environment[count++] = strdup("PATH=/bin");
	while (variables != NULL && variables[count - 1] != NULL) {
		environment[count] = strdup(variables[count - 1]);
		count++;
	}
	environment[count] = NULL;
	memset(&error, 0, sizeof(error));
	config = config_load(path, "flagtally", environment, &error);
	for (i = 0; i < count; i++)
		free(environment[i]);
	return (config);
}

/* A text key's value as text, or a number's as digits. */
static const char *
value_of(const struct config * config, size_t offset, size_t size,
    bool is_text)
{
	static char out[40];
	const char * at = (const char *)config + offset;
	const char * text;
	unsigned int word = 0;
	uint64_t number = 0;
	bool flag = false;

	if (is_text) {
		memcpy(&text, at, sizeof(text));
		return (text);
	}
	if (size == sizeof(flag))
		memcpy(&flag, at, size);
	else if (size == sizeof(word))
		memcpy(&word, at, size);
	else
		memcpy(&number, at, size);
	snprintf(out, sizeof(out), "%" PRIu64, number + word + flag);
	return (out);
}

#define AT(member) \
	offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define TEXT(name) #name, AT(name), true
#define NUMBER(name) #name, AT(name), false

/* Where the keys of modules' settings are. */
#define ELEMENT body.validate.element
#define invalid body.validate.invalid
#define feed sink.feed
#define publish sink.publish
#define limit_body body.limit_body
#define limit_inflated body.limit_inflated
#define limit_ratio body.limit_ratio
#define limit_depth body.validate.limit_depth
#define limit_memory ELEMENT.limit_memory
#define limit_counters ELEMENT.limit_counters
#define limit_name ELEMENT.limit_name
#define limit_labels ELEMENT.limit_labels
#define limit_strategies ELEMENT.limit_list[LIST_STRATEGIES]
#define limit_projects ELEMENT.limit_list[LIST_PROJECTS]
#define limit_connect_via ELEMENT.limit_list[LIST_CONNECT_VIA]
#define limit_tokens ELEMENT.limit_tokens
#define limit_registration ELEMENT.limit_registration
#define limit_features sink.limit_features
#define limit_variants sink.limit_variants
#define limit_out_of_range_buckets sink.limit_out_of_range
#define limit_apps sink.limit_applications
#define limit_environments sink.limit_environments
#define limit_instances sink.limit_instances
#define limit_series sink.limit_series
#define limit_seen_tokens sink.limit_seen_tokens

static const struct {
	const char * name;
	size_t offset, size;
	bool is_text;
	const char * value;
} defaults[] = {
	{ TEXT(listen), "" }, { NUMBER(listen_mode), "432" },
	{ NUMBER(threads), "32" },
	{ "redis", AT(redis_url), true,
	  "redis://127.0.0.1:6379/0" },
	{ TEXT(redis_password_file), "" }, { NUMBER(redis_timeout), "1000" },
	{ TEXT(prefix), "flagtally" }, { TEXT(tokens), "" },
	{ NUMBER(auth), "0" }, { TEXT(auth_header), "Authorization" },
	{ NUMBER(invalid), "0" }, { NUMBER(ack), "0" },
	{ NUMBER(spool_limit), "268435456" },
	{ NUMBER(flush_interval), "1000" },
	{ NUMBER(retention_hourly), "172800000" },
	{ NUMBER(retention_daily), "7776000000" },
	{ NUMBER(limit_ratio), "300" }, { NUMBER(limit_memory), "33554432" },
	{ NUMBER(limit_labels), "64" }, { NUMBER(limit_strategies), "256" },
	{ NUMBER(limit_projects), "512" }, { NUMBER(limit_connect_via), "32" },
	{ NUMBER(limit_tokens), "10000" },
	{ NUMBER(receive_timeout), "30000" },
	{ NUMBER(limit_cgi_params), "131072" },
	{ NUMBER(limit_body), "4194304" }, { NUMBER(limit_inflated),
	  "33554432" },
	{ NUMBER(limit_counters), "100000" }, { NUMBER(limit_depth), "64" },
	{ NUMBER(limit_name), "4096" }, { NUMBER(limit_features), "10000" },
	{ NUMBER(limit_apps), "1000" }, { NUMBER(limit_instances), "10000" },
	{ NUMBER(limit_series), "10000" }, { TEXT(path_prefix), "" },
	{ TEXT(default_environment), "default" }, { TEXT(cors_origins), "*" },
	{ NUMBER(limit_registration), "32768" },
	{ NUMBER(limit_variants), "20000" },
	{ NUMBER(limit_out_of_range_buckets), "1000" },
	{ NUMBER(limit_environments), "100" },
	{ NUMBER(limit_seen_tokens), "100000" },
	{ NUMBER(feed), "0" }, { NUMBER(publish), "0" },
	{ NUMBER(backstage), "0" }, { NUMBER(log_level), "2" },
};

static void
test_defaults(void)
{
	struct config * config = load("", NULL);
	size_t i;

	ok(config != NULL, "an empty file will do: %s", error.text);
	if (config == NULL)
		return;
	for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		is_text(value_of(config, defaults[i].offset,
		    defaults[i].size, defaults[i].is_text), defaults[i].value,
		    "the default of %s", defaults[i].name);
	ok(strlen(config->spool) > 9 && strcmp(config->spool +
	    strlen(config->spool) - 9, "/spool.db") == 0,
	    "the default of spool is %s", config->spool);
	is_text(config->file, path, "the file that was read");
	is_text(config->redis.host, "127.0.0.1", "Redis's host");
	is_integer(config->redis.port, 6379, "Redis's port");
	is_integer(config->redis.database, 0, "Redis's database");
	ok(!config->redis.tls && config->redis.unix_path == NULL &&
	    config->redis.user == NULL && config->redis.password == NULL,
	    "and nothing else of it");
	config_free(config);
}

/* Values of one key, and what comes of them; NULL: an error. */
static const struct {
	const char * name;
	size_t offset, size;
	bool is_text;
	const char * text;
	const char * value;
} values[] = {
	{ NUMBER(threads), "1", "1" }, { NUMBER(threads), "1024", "1024" },
	{ NUMBER(threads), "0", NULL }, { NUMBER(threads), "1025", NULL },
	{ NUMBER(threads), "-1", NULL }, { NUMBER(threads), "", NULL },
	{ NUMBER(threads), "+4", NULL }, { NUMBER(threads), "4x", NULL },
	{ NUMBER(threads), "4K", NULL }, { NUMBER(threads), "4 4", NULL },
	{ NUMBER(threads), "0x10", NULL }, { NUMBER(threads), "1e2", NULL },
	{ NUMBER(threads), "4.0", NULL }, { NUMBER(threads), "many", NULL },
	{ NUMBER(threads), "010", "10" },
	{ NUMBER(threads), "18446744073709551617", NULL },
	{ NUMBER(threads), "99999999999999999999999", NULL },
	/* sizes */
	{ NUMBER(limit_body), "0", "0" }, { NUMBER(limit_body), "1", "1" },
	{ NUMBER(limit_body), "1K", "1024" },
	{ NUMBER(limit_body), "2M", "2097152" },
	{ NUMBER(limit_body), "3G", "3221225472" },
	{ NUMBER(limit_body), "1T", NULL }, { NUMBER(limit_body), "1KB", NULL },
	{ NUMBER(limit_body), "1KiB", NULL }, { NUMBER(limit_body), "K", NULL },
	{ NUMBER(limit_body), "1.5M", NULL },
	{ NUMBER(limit_body), "1s", NULL },
	{ NUMBER(limit_body), "-1K", NULL },
	{ NUMBER(limit_body), "17179869184G", NULL },
	{ NUMBER(limit_body), "18014398509481985K", NULL },
	{ NUMBER(limit_inflated), "0", "0" },
	{ NUMBER(limit_name), "1", "1" }, { NUMBER(limit_name), "0", NULL },
	{ NUMBER(limit_name), "64K", "65536" },
	{ NUMBER(limit_name), "65536", "65536" },
	{ NUMBER(limit_name), "65537", NULL },
	{ NUMBER(limit_name), "65K", NULL },
	{ NUMBER(limit_depth), "1", "1" }, { NUMBER(limit_depth), "0", NULL },
	{ NUMBER(limit_counters), "0", "0" },
	{ NUMBER(limit_counters), "1M", NULL },
	{ NUMBER(limit_features), "0", "0" }, { NUMBER(limit_apps), "0", "0" },
	{ NUMBER(limit_instances), "5", "5" }, { NUMBER(limit_series), "6",
	  "6" },
	{ NUMBER(feed), "1000", "1000" }, { NUMBER(feed), "1K", NULL },
	{ NUMBER(publish), "yes", "1" }, { NUMBER(publish), "on", NULL },
	/* durations */
	{ NUMBER(redis_timeout), "1", "1000" },
	{ NUMBER(redis_timeout), "1s", "1000" },
	{ NUMBER(redis_timeout), "10ms", "10" },
	{ NUMBER(redis_timeout), "9ms", NULL },
	{ NUMBER(redis_timeout), "0", NULL },
	{ NUMBER(redis_timeout), "1m", "60000" },
	{ NUMBER(redis_timeout), "60000ms", "60000" },
	{ NUMBER(redis_timeout), "60001ms", NULL },
	{ NUMBER(redis_timeout), "61", NULL },
	{ NUMBER(redis_timeout), "1K", NULL },
	{ NUMBER(redis_timeout), "1 s", NULL },
	{ NUMBER(redis_timeout), "1us", NULL },
	{ NUMBER(redis_timeout), "1sec", NULL },
	{ NUMBER(redis_timeout), "1w", NULL },
	{ NUMBER(retention_hourly), "0", "0" },
	{ NUMBER(retention_hourly), "1h", "3600000" },
	{ NUMBER(retention_daily), "0", "0" },
	{ NUMBER(retention_daily), "1d", "86400000" },
	{ NUMBER(retention_daily), "36500d", "3153600000000" },
	{ NUMBER(retention_daily), "36501d", NULL },
	{ NUMBER(retention_daily), "213503982334602d", NULL },
	{ NUMBER(retention_daily), "18446744073709551616d", NULL },
	{ NUMBER(flush_interval), "500ms", "500" },
	{ NUMBER(flush_interval), "2m", "120000" },
	{ NUMBER(flush_interval), "0", NULL },
	{ NUMBER(spool_limit), "1G", "1073741824" },
	/* modes */
	{ NUMBER(listen_mode), "0600", "384" },
	{ NUMBER(listen_mode), "777", "511" },
	{ NUMBER(listen_mode), "0", "0" },
	{ NUMBER(listen_mode), "01000", NULL },
	{ NUMBER(listen_mode), "0800", NULL },
	{ NUMBER(listen_mode), "660K", NULL },
	{ NUMBER(listen_mode), "rw", NULL }, { NUMBER(listen_mode), "", NULL },
	/* words */
	{ NUMBER(auth), "tokens", "0" }, { NUMBER(auth), "none", "1" },
	{ NUMBER(auth), "None", NULL }, { NUMBER(auth), "", NULL },
	{ NUMBER(auth), "no", NULL }, { NUMBER(auth), "none none", NULL },
	{ NUMBER(auth), "0", NULL },
	{ NUMBER(invalid), "reject", "0" }, { NUMBER(invalid), "skip", "1" },
	{ NUMBER(invalid), "keep", NULL },
	{ NUMBER(ack), "redis", "0" }, { NUMBER(ack), "spool", "1" },
	{ NUMBER(ack), "memory", NULL }, { NUMBER(ack), "disk", NULL },
	{ NUMBER(backstage), "local", "0" }, { NUMBER(backstage), "all", "1" },
	{ NUMBER(backstage), "off", "2" }, { NUMBER(backstage), "none", NULL },
	{ NUMBER(log_level), "error", "0" },
	{ NUMBER(log_level), "warning", "1" },
	{ NUMBER(log_level), "info", "2" }, { NUMBER(log_level), "debug", "3" },
	{ NUMBER(log_level), "warn", NULL }, { NUMBER(log_level), "3", NULL },
	/* texts */
	{ TEXT(listen), "/run/f.sock", "/run/f.sock" },
	{ TEXT(listen), "[::1]:9000", "[::1]:9000" },
	{ TEXT(prefix), "a:b=c", "a:b=c" }, { TEXT(prefix), "{a}", NULL },
	{ TEXT(prefix), "a{", NULL }, { TEXT(prefix), "}a", NULL },
	{ TEXT(path_prefix), "/flags", "/flags" },
	{ TEXT(path_prefix), "/", "/" }, { TEXT(path_prefix), "flags", NULL },
	{ TEXT(path_prefix), "", "" },
	{ TEXT(default_environment), "production", "production" },
	{ TEXT(default_environment), "", NULL },
	{ TEXT(cors_origins), "*", "*" }, { TEXT(cors_origins), "", "" },
	{ TEXT(cors_origins), "https://a.example", "https://a.example" },
	{ TEXT(cors_origins), "https://a.example,http://[::1]:8080 x://y",
	  "https://a.example,http://[::1]:8080 x://y" },
	{ TEXT(cors_origins), "a.example", NULL },
	{ TEXT(cors_origins), "https://", NULL },
	{ TEXT(cors_origins), "://a.example", NULL },
	{ TEXT(cors_origins), "https://a.example/", NULL },
	{ TEXT(cors_origins), "https://a.example *", NULL },
	{ TEXT(cors_origins), "a https://a.example", NULL },
	{ TEXT(cors_origins), "https://a\x7f" "b", NULL },
	{ TEXT(auth_header), "X-Token", "X-Token" },
	{ TEXT(spool), "/var/spool/f.db", "/var/spool/f.db" },
	{ TEXT(tokens), "/etc/my tokens", "/etc/my tokens" },
};

/* Each value once in the file and once in the environment. */
static void
test_value(size_t row, bool in_file)
{
	char line[200], variable[200];
	const char * variables[] = { variable, NULL };
	struct config * config;
	size_t i;

	snprintf(line, sizeof(line), "%s = %s\n", values[row].name,
	    values[row].text);
	snprintf(variable, sizeof(variable), "FLAGTALLY_%s=%s",
	    values[row].name, values[row].text);
	for (i = 0; variable[i] != '='; i++)
		if (variable[i] >= 'a' && variable[i] <= 'z')
			variable[i] = (char)(variable[i] - 'a' + 'A');
	config = load(in_file ? line : "", in_file ? NULL : variables);
	if (config == NULL) {
		is_text(NULL, values[row].value, "%s: %s",
		    in_file ? line : variable, error.text);
		ok(strstr(error.text, in_file ? values[row].name :
		    "FLAGTALLY_") != NULL ||
		    strstr(error.text, values[row].name) != NULL,
		    "what is wrong is named");
	} else
		is_text(value_of(config, values[row].offset,
		    values[row].size, values[row].is_text), values[row].value, "%s",
		    in_file ? line : variable);
	config_free(config);
}

static void
test_precedence(void)
{
	static const char file[] = "threads = 5\nprefix = file\n"
	    "redis_timeout = 5s\nredis = redis://file/1\n";
	static const char * const variables[] = {
		"FLAGTALLY_THREADS=6", "FLAGTALLY_LOG_LEVEL=debug",
		"FLAGTALLY_PREFIX=", "FLAGTALLY_REDIS=redis://variable/2",
		"NOTFLAGTALLY_THREADS=7", "FLAGTALLYTHREADS=8", NULL,
	};
	struct config * config = load(file, variables);

	ok(config != NULL, "file and environment: %s", error.text);
	if (config == NULL)
		return;
	is_integer(config->threads, 6, "the environment wins over the file");
	is_text(config->prefix, "", "with an empty value too");
	is_integer(config->redis_timeout, 5000,
	    "the file wins over the default");
	is_integer(config->log_level, LOG_LEVEL_DEBUG,
	    "the environment wins over the default");
	is_text(config->redis.host, "variable", "the URL in force is read");
	is_integer(config->redis.database, 2, "to its end");
	is_integer(config->limit_depth, 64, "and the default is left");
	config_free(config);
}

/* Files that are at fault, and words that the error has. */
static const struct {
	const char * text;
	const char * words[3];
} broken[] = {
	{ "thread = 4\n", { ":1", "thread", "threads" } },
	{ "\n\nlimit_boddy = 4\n", { ":3", "limit_boddy", "limit_body" } },
	{ "Threads = 4\n", { ":1", "Threads", "threads" } },
	{ "log-level = info\n", { ":1", "log-level", "log_level" } },
	{ "REDIS = redis://h\n", { ":1", "REDIS", NULL } },
	{ "zzzzzzzzzzzz = 1\n", { ":1", "zzzzzzzzzzzz", NULL } },
	{ "config = x\n", { ":1", "config", NULL } },
	{ "redis_url = redis://h\n", { ":1", "redis_url", NULL } },
	{ "threads = 4\nprefix = x\nthreads = 5\n", { ":3", "threads", "1" } },
	{ "threads = 4\nthreads = 4\n", { ":2", "threads", "1" } },
	{ "[flagtally]\nthreads = 4\n", { "flagtally", "section", NULL } },
	{ "threads = 4\n[redis]\ntimeout = 4\n", { "redis", "section", NULL } },
	{ "[]\n", { ":1", "[]", "section" } },
	{ "threads = 4\n\n[empty]\n", { ":3", "[empty]", "section" } },
	{ "  [empty]\n", { ":1", "[empty]", "section" } },
	{ "\xef\xbb\xbf[empty]", { ":1", "[empty]", "section" } },
	{ "redis = redis://u@h\n", { "redis", "password", NULL } },
	{ "threads\n", { ":1", NULL, NULL } },
	{ "prefix = a\nnonsense\n", { ":2", NULL, NULL } },
	{ "= 4\n", { ":1", NULL, NULL } },
	{ "[threads\n", { ":1", NULL, NULL } },
	{ "threads = 0\n", { ":1", "threads", "allowed: 1 to 1024" } },
	{ "limit_name = 64M\n", { ":1", "limit_name", "1 to 64K" } },
	{ "spool_limit = 1\n", { ":1", "spool_limit", "256K or more" } },
	{ "redis_timeout = 1\nack = disk\n",
	  { ":2", "ack", "redis, spool" } },
	{ "# x\n\nthreads = 4K\n", { ":3", "threads", NULL } },
	{ "auth = maybe\n", { ":1", "auth", NULL } },
	{ "redis = http://h\n", { "redis", NULL, NULL } },
	{ "redis = \n", { "redis", NULL, NULL } },
	{ "redis = redis://h:0\n", { "redis", "port", NULL } },
	{ "retention_hourly = 0\nretention_daily = 0\n",
	  { "retention_hourly", "retention_daily", NULL } },
	{ "redis_password_file = /nonexistent/file\n",
	  { "/nonexistent/file", NULL, NULL } },
	{ "redis_password_file = /\n", { "/: ", NULL, NULL } },
	{ "redis_sentinel_user = u\n", { "redis_sentinel_user",
	  "redis-sentinel://", NULL } },
	{ "redis_sentinel_password_file = /etc/hostname\n",
	  { "redis_sentinel_password_file", "redis-sentinel://", NULL } },
	{ "redis = redis-sentinel://h?master=m\nredis_sentinel_user = u\n",
	  { "without", "redis_sentinel_password_file", NULL } },
	{ "redis = redis-sentinel://h\n", { "redis", "master", NULL } },
	/* the first thing that is wrong */
	{ "first = 1\nsecond = 2\n", { ":1", "first", NULL } },
	{ "threads = 0\nprefix = {\n", { ":1", "threads", NULL } },
};

static void
test_broken(void)
{
	size_t i, word;

	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct config * config = load(broken[i].text, NULL);

		ok(config == NULL, "\"%s\" is at fault", broken[i].text);
		for (word = 0; word < 3; word++)
			if (broken[i].words[word] != NULL)
				ok(strstr(error.text, broken[i].words[word])
				    != NULL, "\"%s\" says \"%s\"", error.text,
				    broken[i].words[word]);
		config_free(config);
	}
}

static void
test_no_suggestion(void)
{

	ok(load("zzzzzzzzzzzz = 1\n", NULL) == NULL &&
	    strstr(error.text, "perhaps") == NULL,
	    "nothing is suggested for what is like no key: %s", error.text);
}

/* How a file may be written. */
static void
test_syntax(void)
{
	static const char * const files[] = {
		"threads=4\n", "threads = 4", "  threads   =   4  \r\n",
		"threads: 4\n", "# a comment\nthreads = 4\n",
		"; a comment\nthreads = 4\n", "threads = 4 ; a comment\n",
		"\n\n\nthreads = 4\n\n", "#threads = 5\nthreads = 4\n",
		"\xef\xbb\xbfthreads = 4\n",
	};
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct config * config = load(files[i], NULL);

		is_integer(config == NULL ? 0 : config->threads, 4,
		    "\"%s\" %s", files[i], error.text);
		config_free(config);
	}
}

static void
test_variables(void)
{
	static const char * const rows[][3] = {
		{ "FLAGTALLY_THREAD=4", "FLAGTALLY_THREAD", "threads" },
		{ "FLAGTALLY_=4", "FLAGTALLY_", "unknown" },
		{ "FLAGTALLY_NO_SUCH_KEY_AT_ALL=", "NO_SUCH_KEY", "unknown" },
		{ "FLAGTALLY_REDIS_URL=redis://h", "REDIS_URL", "unknown" },
		{ "FLAGTALLY_THREADS=0", "FLAGTALLY_THREADS", "range" },
		{ "FLAGTALLY_THREADS= 4", "FLAGTALLY_THREADS", "number" },
		{ "FLAGTALLY_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=1", "AAAA", "unknown" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char * variables[] = { rows[i][0], NULL };
		struct config * config = load("", variables);

		ok(config == NULL && strstr(error.text, rows[i][1]) != NULL &&
		    strstr(error.text, rows[i][2]) != NULL, "%s: \"%s\"",
		    rows[i][0], error.text);
		config_free(config);
	}
}

static struct config *
load_from(const char * given, const char * program, const char * variable)
{
	char * environment[2] = { NULL, NULL };
	struct config * config;

	if (variable != NULL)
		environment[0] = strdup(variable);
	memset(&error, 0, sizeof(error));
	config = config_load(given, program, environment, &error);
	free(environment[0]);
	return (config);
}

/* A file that is named must be there, and be a file. */
static void
test_no_file(const char * given, const char * variable, const char * wanted)
{
	struct config * config = load_from(given, "flagtally", variable);

	ok(config == NULL && strstr(error.text, wanted) != NULL,
	    "%s cannot be read: %s", wanted, error.text);
	config_free(config);
}

/* Which file is read. */
static void
test_file(void)
{
	char beside[PATH_MAX], other[PATH_MAX], program[PATH_MAX];
	char variable[PATH_MAX + 40];
	struct config * config;

	temporary_path(beside, "flagtally.ini");
	temporary_path(program, "flagtally");
	temporary_path(other, "other.ini");
	snprintf(variable, sizeof(variable), "FLAGTALLY_CONFIG=%s", other);
	temporary_write(beside, "threads = 11\n", 13);
	temporary_write(other, "threads = 12\n", 13);
	write_file("threads = 13\n");
	config = load_from(path, program, variable);
	is_integer(config->threads, 13, "the file that is given comes first");
	config_free(config);
	config = load_from(NULL, program, variable);
	is_integer(config->threads, 12, "then what FLAGTALLY_CONFIG names");
	is_text(config->file, other, "which is the file");
	config_free(config);
	config = load_from(NULL, program, NULL);
	is_integer(config->threads, 11, "then the one beside the program");
	config_free(config);
	unlink(other);
	test_no_file(NULL, variable, other);
	test_no_file(other, NULL, other);
	test_no_file(temporary_directory, NULL, temporary_directory);
	unlink(beside);
	config = load_from(NULL, program, NULL);
	ok(config == NULL || config->file == NULL ||
	    strcmp(config->file, beside) != 0,
	    "but the one beside the program need not");
	config_free(config);
}

/* Password files: what is in them, and the password that is read. */
static void
test_password_files(void)
{
	static const struct {
		const char * url;
		const char * text;
		const char * password;
	} rows[] = {
		{ "redis://h", "hunter2\n", "hunter2" },
		{ "redis://h", "hunter2", "hunter2" },
		{ "redis://h", "hunter2\r\n", "hunter2" },
		{ "redis://h", "hunter2\nmore\n", "hunter2" },
		{ "redis://h", " p w #;%41 \n", " p w #;%41 " },
		{ "unix:///s", "hunter2\n", "hunter2" },
		{ "redis://:hunter2@h", "hunter2\n", NULL },
		{ "redis://u:hunter2@h", "hunter2\n", NULL },
		{ "redis://u@h", "hunter2\n", "hunter2" },
		{ "unix://u@/s", "hunter2\n", "hunter2" },
		{ "redis://u:@h", "hunter2\n", "hunter2" },
		{ "redis://h", "", NULL },
		{ "redis://h", "\nhunter2\n", NULL },
	};
	char file[PATH_MAX], text[PATH_MAX * 2];
	size_t i;

	temporary_path(file, "password");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config * config;

		temporary_write(file, rows[i].text, strlen(rows[i].text));
		snprintf(text, sizeof(text),
		    "redis = %s\nredis_password_file = %s\n", rows[i].url,
		    file);
		config = load(text, NULL);
		is_text(config == NULL ? NULL : config->redis.password,
		    rows[i].password, "%s and a file with \"%s\": %s",
		    rows[i].url, rows[i].text, error.text);
		ok(strstr(error.text, "hunter2") == NULL,
		    "the error does not give it away");
		config_free(config);
	}
}

static void
test_long_password(void)
{
	char file[PATH_MAX], text[PATH_MAX * 2];
	static char password[3001];
	struct config * config;
	size_t length;

	temporary_path(file, "password");
	snprintf(text, sizeof(text), "redis_password_file = %s\n", file);
	memset(password, 'p', sizeof(password) - 1);
	for (length = 500; length <= 3000; length += 1250) {
		temporary_write(file, password, length);
		config = load(text, NULL);
		ok(config == NULL ||
		    strlen(config->redis.password) == length,
		    "a password of %zu bytes is read whole or not at all",
		    length);
		if (length == 500)
			ok(config != NULL, "of 500 bytes it is read");
		config_free(config);
	}
}

static void
test_redis(void)
{
	static const struct {
		const char * url;
		const char * unix_path;
		const char * host;
		int port;
		int database;
		const char * user;
		const char * password;
	} rows[] = {
		{ "redis://cache:6380/3", NULL, "cache", 6380, 3, NULL, NULL },
		{ "redis://:p@cache", NULL, "cache", 6379, 0, NULL, "p" },
		{ "redis://u:p%40x@[::1]:7/1", NULL, "::1", 7, 1, "u", "p@x" },
		{ "unix:///run/r.sock?db=4", "/run/r.sock", NULL, 0, 4, NULL,
		  NULL },
		{ "unix://u:p@/run/r.sock", "/run/r.sock", NULL, 0, 0, "u",
		  "p" },
	};
	char text[200];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config * config;

		snprintf(text, sizeof(text), "redis = %s\n", rows[i].url);
		config = load(text, NULL);
		if (!ok(config != NULL, "%s %s", rows[i].url, error.text))
			continue;
		is_text(config->redis.unix_path, rows[i].unix_path, "path");
		is_text(config->redis.host, rows[i].host, "host");
		if (rows[i].host != NULL)
			is_integer(config->redis.port, rows[i].port, "port");
		is_integer(config->redis.database, rows[i].database,
		    "database");
		is_text(config->redis.user, rows[i].user, "user");
		is_text(config->redis.password, rows[i].password, "password");
		ok(!config->redis.tls, "no TLS");
		config_free(config);
	}
}

/* Servers and sentinels have passwords of their own. */
static void
test_sentinel(void)
{
	static const char * const variables[] = {
		"FLAGTALLY_REDIS=redis-sentinel://u:hunter2@h/2?master=m"
		"&node=i:7",
		NULL,
	};
	char file[PATH_MAX], text[PATH_MAX * 2];
	struct config * config;
	char * out = NULL;
	size_t length;
	FILE * stream;

	temporary_path(file, "password");
	temporary_write(file, "tiger\n", 6);
	snprintf(text, sizeof(text), "redis_sentinel_user = s\n"
	    "redis_sentinel_password_file = %s\n", file);
	config = load(text, variables);
	if (!ok(config != NULL, "sentinels: %s", error.text))
		return;
	is_text(config->redis.password, "hunter2", "a server's password");
	is_text(config->redis.sentinel_user, "s", "a sentinel's user");
	is_text(config->redis.sentinel_password, "tiger", "and its password");
	is_integer(config->redis.database, 2, "the database");
	stream = open_memstream(&out, &length);
	config_print(config, stream);
	fclose(stream);
	ok(strstr(out, "redis = redis-sentinel://u:***@h/2?master=m&node=i:7 "
	    ";") != NULL && strstr(out, "hunter2") == NULL &&
	    strstr(out, "tiger") == NULL, "passwords are masked: %s", out);
	free(out);
	config_free(config);
}

/* Built with TLS or without: it is either taken or refused with a reason. */
static void
test_tls(void)
{
	struct config * config = load("redis = rediss://h\n", NULL);

	ok(config != NULL ? config->redis.tls :
	    strstr(error.text, "TLS") != NULL, "rediss:// %s", error.text);
	config_free(config);
}

/* What config_print writes. */
static char *
print(const struct config * config)
{
	char * text = NULL;
	size_t length;
	FILE * file = open_memstream(&text, &length);

	config_print(config, file);
	fclose(file);
	return (text);
}

static void
test_print(void)
{
	static const char * const variables[] = {
		"FLAGTALLY_LOG_LEVEL=debug", NULL,
	};
	static const char * const lines[][2] = {
		{ "\nthreads = 5 ; ", ":2\n" },
		{ "\nlog_level = debug ; FLAGTALLY_LOG_LEVEL\n", "" },
		{ "\nlimit_depth = 64 ; default\n", "" },
		{ "\nlisten_mode = 0660 ; default\n", "" },
		{ "\nauth = none ; ", ":3\n" },
		{ "\nspool_limit = 256M ; default\n", "" },
		{ "\nlimit_counters = 0 ; ", ":4\n" },
		{ "\nredis_timeout = 1500ms ; ", ":5\n" },
		{ "\nflush_interval = 2m ; ", ":6\n" },
		{ "\nlimit_body = 1025K ; ", ":7\n" },
		{ "\nretention_daily = 90d ; default\n", "" },
	};
	struct config * config = load("\nthreads = 5\nauth = none\n"
	    "  limit_counters = 0\n\tredis_timeout = 1500ms\n"
	    "flush_interval = 120\nlimit_body = 1049600\n",
	    variables);
	char * text = print(config);
	char wanted[PATH_MAX + 100];
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		snprintf(wanted, sizeof(wanted), "%s%s%s", lines[i][0],
		    lines[i][1][0] == '\0' ? "" : path, lines[i][1]);
		ok(strstr(text, wanted) != NULL, "printed: %s", wanted);
	}
	for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		snprintf(wanted, sizeof(wanted), "%s = ", defaults[i].name);
		ok(strstr(text, wanted) != NULL, "%s is printed",
		    defaults[i].name);
	}
	free(text);
	config_free(config);
}

/* What is printed is a file that says the same. */
static void
test_print_again(void)
{
	static const char first[] = "listen = /run/f.sock\nlisten_mode = 0600\n"
	    "threads = 7\nredis = unix:///run/r.sock?db=1\n"
	    "redis_timeout = 1500ms\nprefix = x:y\ntokens = /etc/my tokens\n"
	    "auth = none\nauth_header = X-Token\ninvalid = skip\n"
	    "ack = spool\nspool = /s.db\nspool_limit = 1M\n"
	    "flush_interval = 2s\nbackstage = off\n"
	    "retention_hourly = 1h\nretention_daily = 7d\nlimit_body = 1M\n"
	    "limit_inflated = 0\nlimit_counters = 0\nlimit_depth = 9\n"
	    "limit_name = 100\nlimit_features = 1\nlimit_apps = 2\n"
	    "limit_instances = 3\nlimit_series = 4\nlimit_variants = 5\n"
	    "limit_out_of_range_buckets = 6\n"
	    "limit_environments = 7\nlimit_seen_tokens = 8\n"
	    "limit_registration = 9K\npath_prefix = /flags\n"
	    "feed = 10\npublish = yes\n"
	    "log_level = error\n";
	const char * const texts[] = { "", first };
	size_t i, row;

	for (i = 0; i < 2; i++) {
		struct config * before = load(texts[i], NULL);
		char * text = print(before);
		struct config * after = load(text, NULL);

		ok(after != NULL, "what is printed can be read: %s",
		    error.text);
		for (row = 0; after != NULL && row < sizeof(defaults) /
		    sizeof(defaults[0]); row++) {
			char wanted[400];

			snprintf(wanted, sizeof(wanted), "%s",
			    value_of(before, defaults[row].offset,
			    defaults[row].size, defaults[row].is_text));
			is_text(value_of(after, defaults[row].offset,
			    defaults[row].size, defaults[row].is_text), wanted, "%s again",
			    defaults[row].name);
		}
		free(text);
		config_free(before);
		config_free(after);
	}
}

/* URLs with a password, and how they are printed. */
static const struct {
	const char * url;
	const char * printed;
} masks[] = {
	{ "redis://h", "redis://h" },
	{ "redis://h:6379/0", "redis://h:6379/0" },
	{ "redis://[::1]:6379", "redis://[::1]:6379" },
	{ "redis://:hunter2@h:6379/1", "redis://:***@h:6379/1" },
	{ "redis://u:hunter2@h", "redis://u:***@h" },
	{ "redis://u:hunter2:hunter2@h", "redis://u:***@h" },
	{ "redis://u:hunter2@hunter2@h", "redis://u:***@h" },
	{ "redis://u:%68unter2@h", "redis://u:***@h" },
	{ "redis://:hunter2://@h", NULL },
	{ "redis://u:@h", NULL },
	{ "unix:///run/r.sock?db=1", "unix:///run/r.sock?db=1" },
	{ "unix://:hunter2@/run/r.sock", "unix://:***@/run/r.sock" },
	{ "unix://u:hunter2@/r@s?db=1", NULL },
};

static void
test_masks(void)
{
	char text[200];
	size_t i;

	for (i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		struct config * config;
		char * printed;

		snprintf(text, sizeof(text), "redis = %s\n", masks[i].url);
		config = load(text, NULL);
		ok(strstr(error.text, "unter2") == NULL,
		    "no password in an error: %s", error.text);
		ok(config != NULL || masks[i].printed == NULL, "%s: %s",
		    masks[i].url, error.text);
		if (config == NULL)
			continue;
		printed = print(config);
		ok(strstr(printed, "unter2") == NULL, "%s: no password",
		    masks[i].url);
		snprintf(text, sizeof(text), "\nredis = %s ; ",
		    masks[i].printed == NULL ? "" : masks[i].printed);
		ok(masks[i].printed == NULL || strstr(printed, text) != NULL,
		    "%s is printed with *** in its place", masks[i].url);
		free(printed);
		config_free(config);
	}
}

/* A password from a file is not printed, the file's name is. */
static void
test_mask_file(void)
{
	char file[PATH_MAX], text[PATH_MAX * 2];
	struct config * config;
	char * printed;

	temporary_path(file, "password");
	temporary_write(file, "hunter2\n", 8);
	snprintf(text, sizeof(text), "redis_password_file = %s\n", file);
	config = load(text, NULL);
	printed = print(config);
	ok(strstr(printed, "hunter2") == NULL,
	    "the password of a file is not printed");
	ok(strstr(printed, file) != NULL, "but the file's name is");
	free(printed);
	config_free(config);
}

/* Paths in the file are relative to it, those of variables to where we are. */
static void
test_relative_paths(void)
{
	const char * const variables[] = { "FLAGTALLY_SPOOL=over/it.db", NULL };
	char file[PATH_MAX], wanted[PATH_MAX];
	struct config * config;

	temporary_path(file, "secret");
	temporary_write(file, "hunter2\n", 8);
	temporary_path(wanted, "my tokens");
	config = load("tokens = my tokens\nspool = a/../spool.db\n"
	    "redis_password_file = secret\nprefix = a/b\n", NULL);
	ok(strcmp(config->tokens, wanted) == 0, "tokens: %s", config->tokens);
	ok(strcmp(config->redis.password, "hunter2") == 0,
	    "the password's file");
	temporary_path(wanted, "a/../spool.db");
	ok(strcmp(config->spool, wanted) == 0, "spool: %s", config->spool);
	ok(strcmp(config->prefix, "a/b") == 0, "the prefix is no path");
	config_free(config);
	config = load("spool = spool.db\ntokens =\n", variables);
	ok(strcmp(config->spool, "over/it.db") == 0, "a variable: %s",
	    config->spool);
	ok(config->tokens[0] == '\0', "no path stays none");
	config_free(config);
}

#define LINE_LIMIT 4096

static void
test_long_line(size_t length)
{
	static const char * const forms[] = {
		"prefix = %s\nthreads = 4\n", " prefix:%s ; %s\nthreads = 4\n",
		"prefix =\t%s\t \r\nthreads = 4", "threads = 4\nprefix = %s",
		"# threads = 5 %s\n;=%s\nprefix = %s\nthreads=4\n",
	};
	static char text[3 * LINE_LIMIT + 100], wanted[LINE_LIMIT + 1];
	size_t i;

	/* A semicolon without white space before it is part of a value. */
	for (i = 0; i < length; i++)
		wanted[i] = "?n=h:7;#"[i % 8];
	wanted[length] = '\0';
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct config * config;
		const char * form = forms[i];
		char * end = text;

		for (; *form != '\0'; form++)
			if (strncmp(form, "%s", 2) == 0) {
				end = stpcpy(end, wanted);
				form++;
			} else
				*end++ = *form;
		*end = '\0';
		config = load(text, NULL);
		ok(config != NULL && config->threads == 4,
		    "form %zu, %zu bytes: %s", i, length, error.text);
		is_text(config == NULL ? "" : config->prefix, wanted,
		    "its value");
		config_free(config);
	}
}

static void
test_too_long_lines(void)
{
	static const struct {
		const char * before;
		size_t length;
		const char * error;
	} lines[] = {
		{ "prefix = ", LINE_LIMIT - 9, "" },
		{ "prefix = ", LINE_LIMIT - 8, "longer than 4096 bytes" },
		{ "# ", LINE_LIMIT - 1, "longer than 4096 bytes" },
		{ "prefix", 1000, "neither key = value nor a comment" },
		{ "[", 1000, "a section" },
		{ "prefiks = ", 1000, "perhaps prefix was meant" },
	};
	static char text[LINE_LIMIT + 100];
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct config * config;
		char * end = stpcpy(stpcpy(text, "threads = 4\n"),
		    lines[i].before);

		memset(end, 'x', lines[i].length);
		strcpy(end + lines[i].length, "\n");
		config = load(text, NULL);
		is_integer(config == NULL, lines[i].error[0] != '\0',
		    "%s and %zu bytes: %s", lines[i].before, lines[i].length,
		    error.text);
		ok(strstr(error.text, lines[i].error) != NULL &&
		    (config != NULL || strstr(error.text, ":2: ") != NULL),
		    "the error has the line, and \"%s\"", lines[i].error);
		config_free(config);
	}
}

/* Lines about as long as inih takes them, and far beyond. */
static void
test_long_lines(void)
{
	size_t length;

	for (length = 180; length <= 210; length++)
		test_long_line(length);
	test_long_line(1000);
	test_long_line(2000);
	test_too_long_lines();
}

static char nul_variable[PATH_MAX + 64];

/* A NUL would hide the rest of its line. */
static void
test_nul(void)
{
	static const char text[] = "threads = 4\nprefix = a\0b\n";
	char file[PATH_MAX];
	struct config * config;

	temporary_write(path, text, sizeof(text) - 1);
	config = config_load(path, "", (char *[]){ NULL }, &error);
	ok(config == NULL && strstr(error.text, ":2: ") != NULL &&
	    strstr(error.text, "NUL") != NULL, "a NUL in a line: %s",
	    error.text);
	config_free(config);
	temporary_path(file, "password");
	temporary_write(file, "hunter\0two\n", 11);
	snprintf(nul_variable, sizeof(nul_variable),
	    "FLAGTALLY_REDIS_PASSWORD_FILE=%s", file);
	temporary_write(path, "", 0);
	config = config_load(path, "", (char *[]){ nul_variable, NULL },
	    &error);
	ok(config == NULL && strstr(error.text, "NUL") != NULL,
	    "a NUL in a password: %s", error.text);
	config_free(config);
}

/* Once the configuration is read, the password stands in one place. */
static void
test_one_place(void)
{
	struct config * config = load("redis = redis://u:hunter2@h\n", NULL);

	is_text(config->redis.password, "hunter2", "the password");
	is_text(config->redis_url, "redis://u:***@h", "the URL is masked");
	config_free(config);
}

int
main(void)
{
	size_t i;

	temporary_create();
	temporary_path(path, "given.ini");
	test_defaults();
	for (i = 0; i < 2 * sizeof(values) / sizeof(values[0]); i++)
		test_value(i / 2, i % 2 == 0);
	test_precedence();
	test_broken();
	test_no_suggestion();
	test_syntax();
	test_variables();
	test_file();
	test_password_files();
	test_long_password();
	test_redis();
	test_sentinel();
	test_tls();
	test_print();
	test_print_again();
	test_masks();
	test_mask_file();
	test_relative_paths();
	test_long_lines();
	test_nul();
	test_one_place();
	config_free(NULL);
	return (tap_done());
}
