#include <stdlib.h>

#include "lib/redis/error_reply.h"
#include "tests/unit/tap.h"

#define HIDDEN " (the rest may hold the password)"

static const struct {
	const char * raw;
	const char * secret;
	enum error_code code;
	const char * printed;		/* NULL: as it is. */
} errors[] = {
	{ "NOSCRIPT No matching script", NULL, ERROR_NOSCRIPT, NULL },
	{ "WRONGTYPE", "secret", ERROR_WRONGTYPE, NULL },
	{ "", "secret", ERROR_OTHER, NULL },
	{ "", "", ERROR_OTHER, NULL }, { "ERR x", "", ERROR_ERR, NULL },
	/* A code is a whole word. */
	{ "BUSYGROUP exists", NULL, ERROR_OTHER, NULL },
	{ "ASKING", NULL, ERROR_OTHER, NULL },
	{ "MOVEDx 1", NULL, ERROR_OTHER, NULL },
	{ "ERROR", NULL, ERROR_OTHER, NULL },
	{ "moved 1 h:1", NULL, ERROR_OTHER, NULL },
	{ " MOVED 1 h:1", NULL, ERROR_OTHER, NULL },
	/* The longest words count. */
	{ "ERR", NULL, ERROR_ERR, NULL },
	{ "ERR unknown", NULL, ERROR_ERR, NULL },
	{ "ERR unknown command 'x'", NULL, ERROR_UNKNOWN_COMMAND, NULL },
	{ "ERR unknown command, x", NULL, ERROR_UNKNOWN_COMMAND, NULL },
	{ "ERR max number of clients reached", NULL, ERROR_CLIENTS, NULL },
	{ "ERR ACL failure in script: x", NULL, ERROR_ACL, NULL },
	/* The code does not depend on the password. */
	{ "MOVED 1 127.0.0.1:1", "xMOVEDx", ERROR_MOVED, "MOVED" HIDDEN },
	{ "MOVED 1 127.0.0.1:1", "7.0.0", ERROR_MOVED, "MOVED" HIDDEN },
	{ "NOSCRIPT No", "noSCript", ERROR_NOSCRIPT, "NOSCRIPT" HIDDEN },
	{ "ERR unknown command 'AUTH'", "auth", ERROR_UNKNOWN_COMMAND,
	  "ERR unknown command" HIDDEN },
	{ "ERR 'secre'", "secret", ERROR_ERR, "ERR" HIDDEN },
	{ "ERR 'ecret'", "Secret", ERROR_ERR, "ERR" HIDDEN },
	{ "ERR 'sec'", "secret", ERROR_ERR, NULL },
	{ "ERR 'ab'", "ab", ERROR_ERR, "ERR" HIDDEN },
	{ "ERR 'a b'", "ab", ERROR_ERR, NULL },
	/* Nor is what may be the password taken for a code. */
	{ "SECRET", "secret", ERROR_OTHER, "an error" HIDDEN },
	{ "SECRETX x", "secret", ERROR_OTHER, "an error" HIDDEN },
	{ "secret", "secret", ERROR_OTHER, "an error" HIDDEN },
	{ "OTHER secret", "secret", ERROR_OTHER, "OTHER" HIDDEN },
	{ "OTHER: secret", "secret", ERROR_OTHER, "an error" HIDDEN },
};

static void
test_errors(void)
{
	char text[ERROR_REPLY_MAX];
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		size_t length = strlen(errors[i].raw);
		char * copy = tap_copy(errors[i].raw, length);
		struct error_reply error = error_reply_of((struct text){
		    copy, length }, errors[i].secret);

		is_integer(error.code, errors[i].code, "the code of \"%s\"",
		    errors[i].raw);
		is_text(error_reply_print(&error, text), errors[i].printed !=
		    NULL ? errors[i].printed : errors[i].raw,
		    "\"%s\" is printed", errors[i].raw);
		free(copy);
	}
}

/* A long one is cut, and what is cut off does no harm. */
static void
test_long(void)
{
	static char raw[100000];
	char text[ERROR_REPLY_MAX];
	struct error_reply error;

	memset(raw, 'x', sizeof(raw));
	error = error_reply_of((struct text){ raw, sizeof(raw) }, "secret");
	is_integer((long long)strlen(error_reply_print(&error, text)),
	    ERROR_REPLY_MAX - 1, "a long error is cut");
	memcpy(raw + ERROR_REPLY_MAX - 4, "secret", 6);
	is_bytes(error_reply_print(&error, text) + ERROR_REPLY_MAX - 4, 3,
	    "sec", 3, "with three letters of the password at most");
	memcpy(raw + ERROR_REPLY_MAX - 5, "secret", 6);
	is_text(error_reply_print(&error, text), "an error" HIDDEN,
	    "or with none");
}

int
main(void)
{

	test_errors();
	test_long();
	return (tap_done());
}
