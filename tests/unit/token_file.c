#include <pthread.h>
#include <sys/stat.h>

#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"
#include "lib/auth/token_file.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

#define FIRST "default:development.hunter2"

static char path[PATH_MAX];
static char errors[16384];

static void
write_tokens(const char * text)
{

	temporary_write(path, text, strlen(text));
}

static struct token_file *
open_tokens(const char * text)
{

	write_tokens(text);
	return (token_file_open(path));
}

static enum token_verdict
verdict(struct token_file * store, const char * token)
{
	struct token_grant grant;
	char * copy = tap_copy(token, strlen(token));
	enum token_verdict result = token_file_check(store, copy, strlen(token),
	    TOKEN_CLIENT, &grant);

	free(copy);
	return (result);
}

/* What a file of this text says of a token. */
static enum token_verdict
verdict_of_file(const char * text, const char * token)
{
	struct token_file * store = open_tokens(text);
	enum token_verdict result = verdict(store, token);

	token_file_free(store);
	return (result);
}

/* The SHA-256 of a token as hexadecimal digits. */
static char *
hex_of(char hex[2 * DIGEST_SIZE + 1], const char * token)
{
	unsigned char digest[DIGEST_SIZE];

	digest_sha256(token, strlen(token), digest);
	digest_hex(hex, digest, sizeof(digest));
	return (hex);
}

/* Lines of a file that holds one token, and what the token may do. */
static const struct {
	const char * lines;
	const char * token;
	enum token_verdict verdict;
	const char * environment;
} rows[] = {
	{ FIRST, FIRST, TOKEN_GRANTED, "development" },
	{ FIRST "\n", FIRST, TOKEN_GRANTED, "development" },
	{ FIRST "\r\n", FIRST, TOKEN_GRANTED, "development" },
	{ "\n\n  \t\n" FIRST "\n\n", FIRST, TOKEN_GRANTED, "development" },
	{ " \t" FIRST " \t\n", FIRST, TOKEN_GRANTED, "development" },
	{ "# " FIRST "\n", FIRST, TOKEN_UNKNOWN, NULL },
	{ "#\n" FIRST " # a comment\n", FIRST, TOKEN_GRANTED, "development" },
	{ FIRST "# a comment\n", FIRST, TOKEN_GRANTED, "development" },
	{ "   # indented\n" FIRST, FIRST, TOKEN_GRANTED, "development" },
	{ FIRST " # type=frontend\n", FIRST, TOKEN_GRANTED, "development" },
	/* scopes */
	{ "*:*.s", "*:*.s", TOKEN_GRANTED, "*" },
	{ "*:prod.s", "*:prod.s", TOKEN_GRANTED, "prod" },
	{ "[]:prod.s", "[]:prod.s", TOKEN_GRANTED, "prod" },
	{ "p:**.s", "p:**.s", TOKEN_GRANTED, "**" },
	{ "p:e.", "p:e.", TOKEN_UNAVAILABLE, NULL },
	{ "p:e.a.b:c.d", "p:e.a.b:c.d", TOKEN_GRANTED, "e" },
	{ "p:e:f.s", "p:e:f.s", TOKEN_GRANTED, "e:f" },
	{ "a.b:e.s", "a.b:e.s", TOKEN_GRANTED, "e" },
	{ "p:caf\xc3\xa9.s", "p:caf\xc3\xa9.s", TOKEN_GRANTED, "caf\xc3\xa9" },
	/* types */
	{ FIRST " type=client", FIRST, TOKEN_GRANTED, "development" },
	{ FIRST "\ttype=backend", FIRST, TOKEN_GRANTED, "development" },
	{ FIRST "   type=admin  \n", FIRST, TOKEN_GRANTED, "development" },
	{ FIRST " type=frontend", FIRST, TOKEN_FORBIDDEN, NULL },
	/* what is not the token */
	{ FIRST, "", TOKEN_UNKNOWN, NULL },
	{ FIRST, "default:development.hunter", TOKEN_UNKNOWN, NULL },
	{ FIRST, "default:development.hunter22", TOKEN_UNKNOWN, NULL },
	{ FIRST, "default:development.Hunter2", TOKEN_UNKNOWN, NULL },
	{ FIRST, "default:production.hunter2", TOKEN_UNKNOWN, NULL },
	{ FIRST, " " FIRST, TOKEN_UNKNOWN, NULL },
	{ FIRST, FIRST "\n", TOKEN_UNKNOWN, NULL },
	{ FIRST, "Bearer " FIRST, TOKEN_UNKNOWN, NULL },
	{ "# nothing\n", "", TOKEN_UNKNOWN, NULL },
	{ "", FIRST, TOKEN_UNKNOWN, NULL },
	{ "\n", "", TOKEN_UNKNOWN, NULL },
};

static void
test_rows(void)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct token_file * store = open_tokens(rows[i].lines);
		const char * environment = rows[i].environment;
		struct token_grant grant;

		is_integer(token_file_check(store, rows[i].token,
		    strlen(rows[i].token), TOKEN_CLIENT, &grant), rows[i].verdict,
		    "\"%s\" and \"%s\"", rows[i].lines, rows[i].token);
		if (environment != NULL) {
			is_text(grant.environment, environment,
			    "its environment");
			is_integer(grant.environment_length,
			    strlen(environment), "the length of that");
			is_integer(grant.any_environment,
			    strcmp(environment, "*") == 0,
			    "whether it is any");
		}
		token_file_free(store);
	}
}

/* Each type is for its own paths. */
static void
test_kinds(void)
{
	static const struct {
		const char * type;
		enum token_verdict client, frontend;
	} types[] = {
		{ "", TOKEN_GRANTED, TOKEN_FORBIDDEN },
		{ " type=client", TOKEN_GRANTED, TOKEN_FORBIDDEN },
		{ " type=backend", TOKEN_GRANTED, TOKEN_FORBIDDEN },
		{ " type=admin", TOKEN_GRANTED, TOKEN_FORBIDDEN },
		{ " type=frontend", TOKEN_FORBIDDEN, TOKEN_GRANTED },
	};
	struct token_grant grant;
	char line[200];
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct token_file * store;

		snprintf(line, sizeof(line), "p:first.x\n%s%s\np:last.x\n",
		    FIRST, types[i].type);
		store = open_tokens(line);
		is_integer(token_file_check(store, FIRST, strlen(FIRST),
		    TOKEN_CLIENT, &grant), types[i].client,
		    "%s for backends", line);
		is_integer(token_file_check(store, FIRST, strlen(FIRST),
		    TOKEN_FRONTEND, &grant), types[i].frontend,
		    "%s for frontends", line);
		is_text(grant.environment, "development", "its environment");
		is_integer(token_file_check(store, "p:other.x", 9,
		    TOKEN_FRONTEND, &grant), TOKEN_UNKNOWN, "another token");
		token_file_free(store);
	}
}

/* Lines with %s where the digest stands. */
static const struct {
	const char * format;
	enum token_verdict verdict;
	const char * environment;
} digests[] = {
	{ "sha256:%s prod\n", TOKEN_GRANTED, "prod" },
	{ "sha256:%s\tprod", TOKEN_GRANTED, "prod" },
	{ " sha256:%s  * \n", TOKEN_GRANTED, "*" },
	{ "sha256:%s prod type=backend # x\n", TOKEN_GRANTED, "prod" },
	{ "sha256:%s prod type=frontend\n", TOKEN_FORBIDDEN, NULL },
	{ "sha256:%s\n", TOKEN_UNAVAILABLE, NULL },
	{ "sha256:%s # prod\n", TOKEN_UNAVAILABLE, NULL },
	{ "sha256:%s0 prod\n", TOKEN_UNAVAILABLE, NULL },
	{ "sha256:%.63s prod\n", TOKEN_UNAVAILABLE, NULL },
	{ "sha256:%.63sg prod\n", TOKEN_UNAVAILABLE, NULL },
	{ "sha256:%.0s prod\n", TOKEN_UNAVAILABLE, NULL },
	{ "sha256: %s prod\n", TOKEN_UNAVAILABLE, NULL },
	{ "sha512:%s prod\n", TOKEN_UNAVAILABLE, NULL },
	{ "%s prod\n", TOKEN_UNAVAILABLE, NULL },
};

static void
test_digests(void)
{
	char hex[2 * DIGEST_SIZE + 1], text[300];
	size_t i;

	hex_of(hex, FIRST);
	for (i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
		const char * from = digests[i].format;
		const char * at = strchr(from, '%');
		size_t most = at[1] == '.' ? (size_t)atoi(at + 2) : 64;
		struct token_file * store;
		struct token_grant grant;

		snprintf(text, sizeof(text), "%.*s%.*s%s", (int)(at - from),
		    from, (int)most, hex, strchr(at, 's') + 1);
		store = open_tokens(text);
		is_integer(token_file_check(store, FIRST, strlen(FIRST), TOKEN_CLIENT, &grant),
		    digests[i].verdict, "%s", from);
		if (digests[i].environment != NULL)
			is_text(grant.environment, digests[i].environment,
			    "its environment");
		is_integer(verdict(store, hex), digests[i].verdict ==
		    TOKEN_UNAVAILABLE ? TOKEN_UNAVAILABLE : TOKEN_UNKNOWN,
		    "the digest itself is no token");
		token_file_free(store);
	}
}

static void
test_upper_case_digest(void)
{
	char hex[2 * DIGEST_SIZE + 1], text[300];
	struct token_file * store;
	size_t i;

	hex_of(hex, FIRST);
	for (i = 0; hex[i] != '\0'; i++)
		if (hex[i] >= 'a')
			hex[i] = (char)(hex[i] - 'a' + 'A');
	snprintf(text, sizeof(text), "sha256:%s e\n", hex);
	store = open_tokens(text);
	is_integer(verdict(store, FIRST), TOKEN_GRANTED,
	    "a digest in upper case");
	token_file_free(store);
}

/* Lines that are at fault; the second line is, and the log says so. */
static const char * const broken[] = {
	"nocolon", "nocolon.hunter", "project:nodot", ":e.s", "p:.s", "p:e.",
	":.", ":", ".", "a.b:c", "sha256:", "sha256:00 e", "two words",
	FIRST " frontend", FIRST " type", FIRST " type=", FIRST " type=x",
	FIRST " type=Client", FIRST " TYPE=client", FIRST " typ=client",
	FIRST " type =client", FIRST " type= client", FIRST " name=x",
	FIRST " =client", FIRST " p:e.s2", FIRST " type=client x",
	FIRST " type=client,", ("type=client " FIRST),
	/* what editors, mail programs and shells put in */
	"\xef\xbb\xbf" FIRST, "\xef\xbb\xbf# a comment", "\"" FIRST "\"",
	"'" FIRST "'", "`" FIRST "`", FIRST "\"", "p:e.a'b",
	"\xe2\x80\x9c" FIRST "\xe2\x80\x9d", "\xc2\xab" FIRST "\xc2\xbb",
	FIRST "\xc2\xa0", "\xc2\xa0" FIRST, FIRST "\xc2\xa0type=frontend",
	FIRST "\xe2\x80\xaf", FIRST "\xe2\x80\x8b", "\xe2\x80\x8b" FIRST,
	FIRST "\xe2\x81\xa0", FIRST "\xe2\x80\x8e", "p:e.a\xc2\xad" "b",
	FIRST "\xe3\x80\x80", FIRST "\xe2\x80\x83", "\xe2\x80\xa8" FIRST,
	"p:e.a\x01", "p:e.a\x1b[0m", "p:e.\x7f", FIRST "\v", FIRST "\f",
	"\xc2\xa0",
};

/* What the log says of characters that are not to be seen. */
static const struct {
	const char * line;
	const char * why;
} told[] = {
	{ "\xef\xbb\xbf" FIRST, "there is a byte-order mark" },
	{ "\"" FIRST "\"", "there are quotes" },
	{ FIRST "\xc2\xa0", "there is a no-break space" },
	{ FIRST "\xe2\x80\x8b", "there is a zero-width space or mark" },
	{ FIRST "\xe2\x80\x83", "there is white space that is not ASCII" },
	{ FIRST "\x01", "there is a control character" },
};

static void
test_told(void)
{
	size_t i;

	for (i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		temporary_errors(errors, sizeof(errors));
		token_file_free(open_tokens(told[i].line));
		temporary_errors(errors, sizeof(errors));
		ok(strstr(errors, told[i].why) != NULL, "%s", told[i].why);
	}
	temporary_errors(errors, sizeof(errors));
	token_file_free(open_tokens("# \"caf\xc3\xa9\"\xc2\xa0\n" FIRST));
	temporary_errors(errors, sizeof(errors));
	ok(strstr(errors, "there ") == NULL, "comments hold what they like");
}

static void
test_broken(void)
{
	char text[600], place[PATH_MAX + 10];
	size_t i;

	snprintf(place, sizeof(place), "%s:2", path);
	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct token_file * store;

		snprintf(text, sizeof(text), "p:e.hunter0\n%s\np:e.third\n",
		    broken[i]);
		temporary_errors(errors, sizeof(errors));
		store = open_tokens(text);
		temporary_errors(errors, sizeof(errors));
		is_integer(verdict(store, "p:e.hunter0"), TOKEN_UNAVAILABLE,
		    "a file with \"%s\" is at fault", broken[i]);
		ok(strstr(errors, place) != NULL, "the log says which line");
		ok(strstr(errors, "hunter") == NULL,
		    "and gives no token away");
		token_file_free(store);
	}
}

static void
test_environment_length(void)
{
	static const struct {
		size_t length;
		enum token_verdict verdict;
	} lengths[] = {
		{ 1, TOKEN_GRANTED }, { 254, TOKEN_GRANTED },
		{ 255, TOKEN_GRANTED }, { 256, TOKEN_UNAVAILABLE },
		{ 1000, TOKEN_UNAVAILABLE },
	};
	char token[1100], hex[2 * DIGEST_SIZE + 1], text[1300];
	size_t i;

	for (i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t length = lengths[i / 2].length;
		struct token_file * store;
		struct token_grant grant;

		memset(token, 'e', sizeof(token));
		memcpy(token, "p:", 2);
		strcpy(token + 2 + length, ".s");
		if (i % 2 == 0)
			strcpy(text, token);
		else
			snprintf(text, sizeof(text), "sha256:%s %.*s",
			    hex_of(hex, token), (int)length, token + 2);
		store = open_tokens(text);
		is_integer(token_file_check(store, token, strlen(token), TOKEN_CLIENT, &grant),
		    lengths[i / 2].verdict, "an environment of %zu bytes",
		    length);
		if (lengths[i / 2].verdict == TOKEN_GRANTED)
			is_bytes(grant.environment, grant.environment_length,
			    token + 2, length, "is granted");
		token_file_free(store);
	}
}

/* A line that is much too long is told, whatever would be left of it. */
static void
test_long_line(void)
{
	static char text[100100];
	struct token_file * store;

	memset(text, 's', sizeof(text));
	memcpy(text, "p:e.", 4);
	strcpy(text + 100000, "\n");
	store = open_tokens(text);
	is_integer(verdict(store, FIRST), TOKEN_UNAVAILABLE,
	    "a line of 100000 bytes is too long");
	token_file_free(store);
	memset(text, 's', sizeof(text));
	memcpy(text, "p:e.", 4);
	strcpy(text + 2000, "\n");
	store = open_tokens(text);
	text[2000] = '\0';
	is_integer(verdict(store, text), TOKEN_GRANTED,
	    "a token of 2000 bytes is not");
	token_file_free(store);
}

static void
test_nul(void)
{
	static const char token[] = FIRST "\0x";
	struct token_file * store = open_tokens(FIRST);
	struct token_grant grant;

	is_integer(token_file_check(store, token, sizeof(token) - 1, TOKEN_CLIENT, &grant),
	    TOKEN_UNKNOWN, "a token and what follows a NUL");
	is_integer(token_file_check(store, token, sizeof(token) - 2, TOKEN_CLIENT, &grant),
	    TOKEN_UNKNOWN, "a token and a NUL");
	is_integer(token_file_check(store, token, sizeof(token) - 3, TOKEN_CLIENT, &grant),
	    TOKEN_GRANTED, "a token");
	is_integer(token_file_check(store, token, 0, TOKEN_CLIENT, &grant), TOKEN_UNKNOWN,
	    "no token");
	token_file_free(store);
}

/* A NUL would hide the rest of its line. */
static void
test_nul_in_file(void)
{
	static const char text[] = "p:e.a\np:e.b\0p:e.c\np:e.d\n";
	struct token_file * store;

	temporary_write(path, text, sizeof(text) - 1);
	temporary_errors(errors, sizeof(errors));
	store = token_file_open(path);
	temporary_errors(errors, sizeof(errors));
	ok(strstr(errors, "tokens:2: ") != NULL &&
	    strstr(errors, "NUL") != NULL, "a NUL is told with its line: %s",
	    errors);
	is_integer(verdict(store, "p:e.a"), TOKEN_UNAVAILABLE,
	    "and nothing of the file counts");
	token_file_free(store);
}

/* Lines of each length around the end of what is read at once. */
static void
test_pieces(void)
{
	enum { LINES = 40 };
	static char text[LINES * 4200];
	static char token[4200];
	size_t first, used, i;
	unsigned int wrong = 0;

	for (first = 4040; first < 4096; first++) {
		struct token_file * store;

		used = 0;
		for (i = 0; i < LINES; i++) {
			size_t length = i == 0 ? first : 100 * i + 7;

			used += (size_t)sprintf(text + used, "p:e.%0*zu\n",
			    (int)length - 4, i);
		}
		/* The last line need not end. */
		text[used - 1] = '\0';
		store = open_tokens(text);
		for (i = 0; i < LINES; i++) {
			sprintf(token, "p:e.%0*zu", (int)(i == 0 ? first :
			    100 * i + 7) - 4, i);
			wrong += verdict(store, token) != TOKEN_GRANTED;
		}
		token_file_free(store);
	}
	is_integer(wrong, 0, "lines of all lengths are read whole");
	memset(text, 'x', 4096);
	memcpy(text, "p:e.", 4);
	strcpy(text + 4095, "\n");
	i = (size_t)verdict_of_file(text, "p:e.x");
	is_integer(i, TOKEN_UNKNOWN, "a line of 4095 bytes is taken");
	strcpy(text + 4095, "x\n");
	i = (size_t)verdict_of_file(text, "p:e.x");
	is_integer(i, TOKEN_UNAVAILABLE, "one of 4096 is not");
}

/* Of lines that say what others have said the log mentions a few. */
static void
test_repeated(void)
{
	static char text[100 * 10];
	size_t lines = 0;
	const char * p;
	int i;

	for (i = 0; i < 100; i++)
		strcpy(text + strlen(text), "p:e.same\n");
	temporary_errors(errors, sizeof(errors));
	is_integer(verdict_of_file(text, "p:e.same"), TOKEN_GRANTED,
	    "a token that stands there a hundred times");
	temporary_errors(errors, sizeof(errors));
	for (p = errors; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	ok(lines < 10 && strstr(errors, "94 more lines") != NULL,
	    "the log does not say each time: %s", errors);
}

static const struct {
	const char * token;
	const char * environment;
} forms[] = {
	{ "p:e.s", "e" }, { "*:*.s", "*" }, { "p:e:f.s.t", "e:f" },
	{ "a.b:e.s", "e" }, { "p:e.", NULL }, { ":e.s", NULL },
	{ "p:.s", NULL }, { "p:e", NULL }, { "p.e", NULL }, { "", NULL },
	{ ".:e.s", "e" }, { "p.s:e", NULL },
};

static void
test_environment(void)
{
	struct token_grant grant;
	size_t size, i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char * found = token_file_environment(forms[i].token,
		    strlen(forms[i].token), &size);

		if (found != NULL)
			token_file_grant(&grant, found, size);
		is_text(found == NULL ? NULL : grant.environment,
		    forms[i].environment, "the environment of \"%s\"",
		    forms[i].token);
	}
}

/* What has just been put in the file's place counts. */
static void
test_admit(void)
{
	struct token_file * store = open_tokens("p:e.a\n");
	struct token_grant grant;
	char next[PATH_MAX];
	unsigned int wrong = 0;
	char token[20];
	int i;

	temporary_path(next, "next");
	for (i = 0; i < 200; i++) {
		snprintf(token, sizeof(token), "p:e.%d\n", i);
		temporary_write(next, token, strlen(token));
		rename(next, path);
		wrong += token_file_admit(store, token, strlen(token) - 1,
		    TOKEN_CLIENT, &grant) != TOKEN_GRANTED;
		wrong += token_file_admit(store, "p:e.a", 5, TOKEN_CLIENT, &grant) !=
		    TOKEN_UNKNOWN;
	}
	is_integer(wrong, 0, "200 files, each of which counts at once");
	token_file_free(store);
}

static void
test_reload(void)
{
	struct token_file * store = open_tokens(FIRST "\np:e.b\n");

	is_integer(verdict(store, "p:e.b"), TOKEN_GRANTED, "as opened");
	write_tokens("p:e.c\n" FIRST " type=frontend\n");
	is_integer(verdict(store, "p:e.b"), TOKEN_GRANTED,
	    "a change alone does nothing");
	token_file_reload(store);
	is_integer(verdict(store, "p:e.b"), TOKEN_UNKNOWN, "a token has gone");
	is_integer(verdict(store, "p:e.c"), TOKEN_GRANTED, "one has come");
	is_integer(verdict(store, FIRST), TOKEN_FORBIDDEN, "one has changed");
	write_tokens("p:e.d\nbroken\n");
	token_file_reload(store);
	is_integer(verdict(store, "p:e.c"), TOKEN_GRANTED,
	    "a broken file changes nothing");
	is_integer(verdict(store, "p:e.d"), TOKEN_UNKNOWN,
	    "not even by what is right in it");
	unlink(path);
	token_file_reload(store);
	is_integer(verdict(store, "p:e.c"), TOKEN_GRANTED,
	    "nor does a file that has gone");
	mkdir(path, 0700);
	token_file_reload(store);
	is_integer(verdict(store, "p:e.c"), TOKEN_GRANTED,
	    "nor a directory in its place");
	rmdir(path);
	write_tokens("");
	token_file_reload(store);
	is_integer(verdict(store, "p:e.c"), TOKEN_UNKNOWN,
	    "an empty file takes all tokens away");
	token_file_free(store);
}

/* A store whose file is bad at first, and then mended. */
static void
test_mended(void)
{
	static const char * const first[] = { NULL, "broken\n", "dir" };
	size_t i;

	for (i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		struct token_file * store;

		unlink(path);
		if (i == 1)
			write_tokens(first[i]);
		if (i == 2)
			mkdir(path, 0700);
		temporary_errors(errors, sizeof(errors));
		log_renew();
		store = token_file_open(path);
		temporary_errors(errors, sizeof(errors));
		ok(strstr(errors, path) != NULL &&
		    strstr(errors, "error: ") != NULL,
		    "the log names the file, case %zu", i);
		is_integer(verdict(store, FIRST), TOKEN_UNAVAILABLE,
		    "no file could be read, case %zu", i);
		is_integer(verdict(store, ""), TOKEN_UNAVAILABLE,
		    "whatever the token");
		rmdir(path);
		write_tokens(FIRST "\n");
		token_file_reload(store);
		is_integer(verdict(store, FIRST), TOKEN_GRANTED,
		    "until it has been mended");
		token_file_free(store);
	}
}

static void
test_refresh(void)
{
	struct token_file * store = open_tokens(FIRST "\n");

	write_tokens("p:e.second\n");
	ok(token_file_refresh(store, false), "nobody else reads it");
	is_integer(verdict(store, "p:e.second"), TOKEN_GRANTED,
	    "a changed file is read again");
	is_integer(verdict(store, FIRST), TOKEN_UNKNOWN,
	    "and what was in it is forgotten");
	write_tokens("p:e.third\n");
	ok(token_file_refresh(store, true), "whoever waits has looked");
	is_integer(verdict(store, "p:e.third"), TOKEN_GRANTED,
	    "it is looked at each time");
	token_file_free(store);
}

/* An unchanged file is not read again: the log says when it is. */
static void
test_refresh_unchanged(void)
{
	struct token_file * store = open_tokens(FIRST "\n");

	ok(temporary_errors(errors, sizeof(errors)) > 0,
	    "the log says that a file is read");
	token_file_refresh(store, true);
	is_integer(temporary_errors(errors, sizeof(errors)), 0,
	    "a file that has not changed is not read again");
	token_file_free(store);
}

static void
test_twice(void)
{
	struct token_file * store = open_tokens(FIRST "\np:e.x\n"
	    FIRST " type=frontend\n");

	is_integer(verdict(store, FIRST), TOKEN_FORBIDDEN,
	    "of a token that stands twice the last line counts");
	is_integer(verdict(store, "p:e.x"), TOKEN_GRANTED, "others count too");
	token_file_free(store);
	store = open_tokens(FIRST " type=frontend\n" FIRST "\n");
	is_integer(verdict(store, FIRST), TOKEN_GRANTED,
	    "in whichever order");
	token_file_free(store);
}

/* More tokens than there is room for at first. */
static void
test_many(void)
{
	enum { MANY = 5000 };
	static char text[MANY * 40];
	size_t used = 0;
	struct token_file * store;
	struct token_grant grant;
	unsigned int wrong = 0;
	char token[40], environment[20];
	int i;

	for (i = 0; i < MANY; i++)
		used += (size_t)sprintf(text + used, "p:env%d.s%d%s\n",
		    i / 3, i, i % 5 == 0 ? " type=frontend" : "");
	store = open_tokens(text);
	for (i = 0; i < MANY; i++) {
		enum token_verdict wanted = i % 5 == 0 ? TOKEN_FORBIDDEN :
		    TOKEN_GRANTED;

		snprintf(token, sizeof(token), "p:env%d.s%d", i / 3, i);
		snprintf(environment, sizeof(environment), "env%d", i / 3);
		wrong += token_file_check(store, token, strlen(token), TOKEN_CLIENT, &grant) !=
		    wanted;
		wrong += wanted == TOKEN_GRANTED &&
		    strcmp(grant.environment, environment) != 0;
		snprintf(token, sizeof(token), "p:env%d.s%d", i / 3 + 1, i);
		wrong += verdict(store, token) != TOKEN_UNKNOWN;
	}
	is_integer(wrong, 0, "5000 tokens");
	token_file_free(store);
}

static struct token_file * shared;
static _Atomic int misses;

static void *
check_often(void * context)
{
	int i;

	(void)context;
	for (i = 0; i < 2000; i++)
		if (verdict(shared, FIRST) != TOKEN_GRANTED ||
		    verdict(shared, "p:e.x") != TOKEN_UNKNOWN)
			misses++;
	return (NULL);
}

/* A token that is in both files is known all the time. */
static void
test_threads(void)
{
	pthread_t threads[4];
	int i;

	shared = open_tokens(FIRST "\n");
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, check_often, NULL);
	for (i = 0; i < 100; i++) {
		char next[PATH_MAX];

		temporary_path(next, "next");
		temporary_write(next, i % 2 == 0 ? FIRST "\np:e.1\n" :
		    "p:e.2\n" FIRST "\n", sizeof(FIRST "\np:e.1\n") - 1);
		rename(next, path);
		token_file_reload(shared);
		token_file_refresh(shared, true);
	}
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	is_integer(misses, 0, "tokens can be looked up while they are read");
	token_file_free(shared);
}

int
main(void)
{

	if (digest_init() != 0)
		return (EXIT_FAILURE);
	temporary_create();
	temporary_catch_errors();
	temporary_path(path, "tokens");
	test_rows();
	test_kinds();
	test_digests();
	test_upper_case_digest();
	test_broken();
	test_told();
	test_environment_length();
	test_long_line();
	test_nul();
	test_nul_in_file();
	test_pieces();
	test_repeated();
	test_environment();
	test_admit();
	test_reload();
	test_mended();
	test_refresh();
	test_refresh_unchanged();
	test_twice();
	test_many();
	test_threads();
	token_file_free(NULL);
	return (tap_done());
}
