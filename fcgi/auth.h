#ifndef FLAGTALLY_AUTH_H
#define FLAGTALLY_AUTH_H

#include <stdbool.h>

#include "fcgi/cgi.h"
#include "lib/auth/token_file.h"
#include "lib/auth/token_set.h"

/* How requests are authenticated. */
struct auth {
	bool open;			/* Without tokens: auth = none. */
	struct token_file * tokens;	/* NULL: there is no token file. */
	struct token_set * token_set;	/* NULL: there is none in Redis. */
	char * variable;		/* HTTP_ and the token header's name. */
};

enum auth_state {
	AUTH_OK,
	AUTH_PARTIAL,			/* Some good tokens get 503. */
	AUTH_FAILED,			/* No token is accepted. */
};

/**
 * auth_state(auth):
 * Return what becomes of requests with good tokens now.  It may wait for Redis,
 * for TOKEN_SET_TIME_MAX.
 */
enum auth_state auth_state(const struct auth * auth);

/**
 * auth_check(auth, cgi, kind, grant):
 * Return true if the request has a token of ${kind}, and fill in ${grant}.
 * Otherwise respond with 403 or 503, log that, with a limit, and return false.
 * In either case, wipe the token.
 */
bool auth_check(const struct auth * auth, struct cgi * cgi,
    enum token_kind kind, struct token_grant * grant);

/**
 * auth_wipe(auth, cgi):
 * Wipe the token of a request without checking it.
 */
void auth_wipe(const struct auth * auth,
    const struct cgi * cgi);

/**
 * auth_variable(header):
 * Return the meta-variable that holds a header, HTTP_AUTHORIZATION for
 * Authorization; the caller frees it.
 */
char * auth_variable(const char * header);

#endif
