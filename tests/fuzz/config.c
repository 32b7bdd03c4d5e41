#include "lib/config/config.h"
#include "lib/base/digest.h"
#include "tests/fuzz/memory.h"

/*
 * The configuration: an INI file, and after a NUL the variables of the
 * environment, which end with a NUL each.  What is in force is written as an
 * INI file, and that must be taken again, and mean the same.
 */
#define FILE_NUMBER 900
#define PASSWORD_NUMBER 901
#define PATH_OF_FILE "/proc/self/fd/900"
#define VARIABLES_MAX 8

/* No other file may be read: it could be a device. */
static bool
is_harmless(const char * text, size_t length)
{
	static const char word[] = "password_file";
	static const char path[] = "/proc/self/fd/901";
	size_t i, j;

	for (i = 0; i + sizeof(word) - 1 <= length; i++) {
		if (strncasecmp(text + i, word, sizeof(word) - 1) != 0)
			continue;
		j = i + sizeof(word) - 1;
		while (j < length && (text[j] == ' ' || text[j] == '=' ||
		    text[j] == ':'))
			j++;
		if (length - j < sizeof(path) - 1 ||
		    memcmp(text + j, path, sizeof(path) - 1) != 0)
			return (false);
		j += sizeof(path) - 1;
		if (j < length && text[j] != '\n' && text[j] != '\0')
			return (false);
	}
	return (true);
}

/* A text that an INI file can hold as it is, in a line of its own, and that is
 * printed as it is: a backslash is not, as people must be able to tell. */
static bool
is_writable(const char * text)
{
	size_t length = strlen(text);
	size_t i;

	for (i = 0; i < length; i++)
		if ((text[i] < 0x21 || text[i] > 0x7e) && text[i] != ' ')
			return (false);
	return (length < 1000 && strpbrk(text, ";\"\\") == NULL &&
	    (length == 0 || (text[0] != ' ' && text[length - 1] != ' ')));
}

static void
must_be_same(const struct config * a, const struct config * b)
{
	struct sink_settings settings[2];

	memcpy(&settings[0], &a->sink, sizeof(settings[0]));
	memcpy(&settings[1], &b->sink, sizeof(settings[1]));
	must(strcmp(a->listen, b->listen) == 0);
	must(a->listen_mode == b->listen_mode && a->threads == b->threads);
	must(strcmp(a->redis_url, b->redis_url) == 0);
	must(a->redis_timeout == b->redis_timeout);
	must(strcmp(a->prefix, b->prefix) == 0);
	must(strcmp(a->path_prefix, b->path_prefix) == 0);
	must(strcmp(a->auth_header, b->auth_header) == 0);
	must(a->auth == b->auth && a->ack == b->ack &&
	    a->backstage == b->backstage && a->log_level == b->log_level);
	must(a->spool_limit == b->spool_limit &&
	    a->flush_interval == b->flush_interval);
	must(a->retention_hourly == b->retention_hourly &&
	    a->retention_daily == b->retention_daily);
	must(memcmp(&a->body, &b->body, sizeof(a->body)) == 0);
	settings[0].prefix = settings[1].prefix = NULL;
	must(memcmp(&settings[0], &settings[1], sizeof(settings[0])) == 0);
}

/* What is printed is an INI file that means the same. */
static void
write_again(const struct config * config)
{
	struct config_error error = { "" };
	char * none[] = { NULL };
	struct config * again;
	char * text = NULL;
	size_t length;
	FILE * out = open_memstream(&text, &length);

	must(out != NULL);
	config_print(config, out);
	must(fclose(out) == 0);
	/* Passwords are masked. */
	if (config->redis.password == NULL && is_writable(config->listen) &&
	    is_writable(config->redis_url) && is_writable(config->prefix) &&
	    is_writable(config->tokens) && is_writable(config->spool) &&
	    is_writable(config->path_prefix) &&
	    is_writable(config->auth_header)) {
		memory_file(FILE_NUMBER, text, length);
		again = config_load(PATH_OF_FILE, "fuzz", none, &error);
		if (again == NULL)
			fprintf(stderr, "%s\n%s", error.text, text);
		must(again != NULL);
		must_be_same(config, again);
		config_free(again);
	}
	free(text);
}

static void
check(const struct config * config)
{

	must(config->threads >= 1 && config->threads <= 1024);
	must(config->body.validate.limit_depth >= 1 && config->body.validate.limit_depth <= 1024);
	must(config->body.validate.element.limit_name >= 1 && config->body.validate.element.limit_name <= 65536);
	must(config->listen_mode <= 0777);
	must(config->retention_hourly >= 1000 ||
	    config->retention_daily >= 1000);
	must(strpbrk(config->prefix, "{}") == NULL);
	must((config->redis.host != NULL) + (config->redis.unix_path != NULL) +
	    (config->redis.nodes != NULL) == 1);
	must(config->auth <= CONFIG_AUTH_NONE);
	must(config->ack <= CONFIG_ACK_SPOOL);
	must(config->body.validate.invalid <= VALIDATE_SKIP);
	must(config->backstage <= CONFIG_ACCESS_OFF);
	write_again(config);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	static const char secret[] = "swordfish\nmore\n";
	struct config_error error = { "" };
	char * text = fuzz_copy(bytes, length);
	char * variables[VARIABLES_MAX + 1] = { NULL };
	size_t file = strlen(text);
	size_t at = file + 1;
	struct config * config;
	size_t i;

	must(digest_init() == 0);
	for (i = 0; i < VARIABLES_MAX && at < length; i++) {
		variables[i] = text + at;
		at += strlen(text + at) + 1;
	}
	if (is_harmless(text, length)) {
		memory_file(FILE_NUMBER, text, file);
		memory_file(PASSWORD_NUMBER, secret, sizeof(secret) - 1);
		config = config_load(PATH_OF_FILE, "fuzz", variables, &error);
		must((config == NULL) == (error.text[0] != '\0'));
		must(strnlen(error.text, sizeof(error.text)) <
		    sizeof(error.text));
		if (config != NULL)
			check(config);
		config_free(config);
	}
	free(text);
	return (0);
}
