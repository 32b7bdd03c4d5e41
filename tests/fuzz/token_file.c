#include "lib/base/digest.h"
#include "lib/auth/token_file.h"
#include "tests/fuzz/memory.h"
#include "tests/fuzz/quiet.h"

/*
 * The token file.  Whatever it contains, a text that is no token must not be
 * accepted; and if each line is `project:environment.secret` alone, each of them
 * must be accepted with its environment.
 */
#define FILE_NUMBER 902
#define PATH_OF_FILE "/proc/self/fd/902"

/* A line without blanks, comment or attributes that is a token by the text. */
static bool
is_token(const char * line, size_t length, const char ** environment,
    size_t * size)
{
	const char * colon = memchr(line, ':', length);
	const char * dot = colon == NULL ? NULL : memchr(colon, '.',
	    length - (size_t)(colon - line));

	if (dot == NULL || colon == line || dot == colon + 1 ||
	    dot + 1 == line + length || length > 1000)
		return (false);
	*environment = colon + 1;
	*size = (size_t)(dot - colon - 1);
	return (strncmp(line, "sha256:", 7) != 0 &&
	    *size <= TOKEN_ENVIRONMENT_MAX);
}

static bool
is_graph(const char * text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (text[i] < 0x21 || text[i] > 0x7e || text[i] == '#')
			return (false);
	return (length > 0);
}

/* Whether all lines are tokens and nothing else. */
static bool
are_tokens(const char * text)
{
	const char * environment;
	size_t length, size;

	for (; *text != '\0'; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		if (!is_graph(text, length) ||
		    !is_token(text, length, &environment, &size))
			return (false);
	}
	return (true);
}

static void
check_line(struct token_file * store, const char * line, size_t length,
    bool all)
{
	char * token = fuzz_exact(line, length);
	struct token_grant grant;
	const char * environment;
	size_t size;

	memset(&grant, 0, sizeof(grant));
	if (token_file_check(store, token, length, TOKEN_CLIENT, &grant) == TOKEN_GRANTED) {
		must(grant.environment_length <= TOKEN_ENVIRONMENT_MAX);
		must(strlen(grant.environment) == grant.environment_length);
		must(grant.any_environment ==
		    (strcmp(grant.environment, "*") == 0));
	} else
		must(!all);
	if (all && is_token(line, length, &environment, &size))
		must(grant.environment_length == size &&
		    memcmp(grant.environment, environment, size) == 0);
	free(token);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	char * text = fuzz_copy(bytes, length);
	bool all = strlen(text) == length && are_tokens(text);
	struct token_file * store;
	struct token_grant grant;
	const char * line;
	size_t size;

	must(digest_init() == 0);
	memory_file(FILE_NUMBER, text, length);
	store = token_file_open(PATH_OF_FILE);
	for (line = text; *line != '\0'; line += size + (line[size] == '\n')) {
		size = strcspn(line, "\n");
		check_line(store, line, size, all);
	}
	must(token_file_check(store, "", 0, TOKEN_CLIENT, &grant) != TOKEN_GRANTED);
	must(token_file_check(store, "*:*", 3, TOKEN_CLIENT, &grant) != TOKEN_GRANTED);
	token_file_reload(store);
	token_file_free(store);
	free(text);
	return (0);
}
