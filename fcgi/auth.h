#ifndef FLAGTALLY_AUTH_H
#define FLAGTALLY_AUTH_H

#include <stdbool.h>

#include "fcgi/cgi.h"
#include "lib/auth/token_file.h"
#include "lib/auth/token_set.h"

/* Who may come in, and how it is told. */
struct callers {
	bool open;			/* Everybody. */
	struct token_file * tokens;	/* NULL: there is no file of tokens. */
	struct token_set * issuer;		/* NULL: none are in Redis. */
	char * variable;		/* HTTP_ and the token header's name. */
};

/**
 * auth_admit(callers, cgi, kind, grant):
 * Return whether the request has a token of ${kind}; ${grant} says what for.
 * Otherwise it has been answered, and the log says so now and then.  In either
 * case the token is nowhere in the request any more.
 */
bool auth_admit(const struct callers * callers, struct cgi * cgi,
    enum token_kind kind, struct token_grant * grant);

/**
 * auth_forget(callers, cgi):
 * Wipe the token of a request that nobody is going to ask for it.
 */
void auth_forget(const struct callers * callers,
    const struct cgi * cgi);

/**
 * auth_variable(header):
 * Return the meta-variable that holds a header, HTTP_AUTHORIZATION for
 * Authorization; the caller frees it.
 */
char * auth_variable(const char * header);

#endif
