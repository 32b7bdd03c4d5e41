#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/auth.h"
#include "fcgi/response.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"

/* Look for a header behind at most this many internal redirects. */
#define REDIRECTS_MAX 5

/* The longest IPv6 address: log no more of a REMOTE_ADDR. */
#define ADDRESS_MAX 45

#define NAME_SIZE 256

/* RFC 9110, section 5.6.3. */
#define SPACE " \t"

char *
auth_variable(const char * header)
{
	size_t size = strlen("HTTP_") + strlen(header) + 1;
	char * name = alloc_bytes(size);
	char * p;

	snprintf(name, size, "HTTP_%s", header);
	for (p = name; *p != '\0'; p++)
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	return (name);
}

/*
 * Each internal redirect of Apache puts REDIRECT_ before the name.  Return
 * false if there were too many of them.
 */
static bool
redirect_name(char name[NAME_SIZE], const char * variable, int redirects)
{
	size_t used = 0;
	int i;

	if (redirects > REDIRECTS_MAX || (size_t)redirects *
	    strlen("REDIRECT_") + strlen(variable) >= NAME_SIZE)
		return (false);
	for (i = 0; i < redirects; i++) {
		memcpy(name + used, "REDIRECT_", strlen("REDIRECT_"));
		used += strlen("REDIRECT_");
	}
	memcpy(name + used, variable, strlen(variable) + 1);
	return (true);
}

/*
 * Return the token and its ${length}, without the white space around it, which
 * HTTP/2 and other front ends pass on; "" if there is none.
 */
static const char *
find_token(const struct auth * auth, const struct cgi * cgi,
    size_t * length)
{
	char name[NAME_SIZE];
	const char * token = NULL;
	int i;

	for (i = 0; (token == NULL || *token == '\0') &&
	    redirect_name(name, auth->variable, i); i++)
		token = cgi_parameter(cgi, name);
	*length = 0;
	if (token == NULL)
		return ("");
	token += strspn(token, SPACE);
	if (strncasecmp(token, "Bearer ", 7) == 0 ||
	    strncasecmp(token, "Bearer\t", 7) == 0)
		token += 7 + strspn(token + 7, SPACE);
	*length = strlen(token);
	while (*length > 0 && strchr(SPACE, token[*length - 1]) != NULL)
		--*length;
	return (token);
}

/* A core dump, or /proc/PID/environ, must not show a token. */
static void
wipe_variable(const struct cgi * cgi, const char * variable)
{
	char name[NAME_SIZE];
	int i;

	for (i = 0; redirect_name(name, variable, i); i++)
		cgi_wipe(cgi, name);
}

static enum token_verdict
verdict_of(const struct auth * auth, const char * token,
    size_t length, enum token_kind kind, struct token_grant * grant)
{
	enum token_verdict verdict = TOKEN_UNKNOWN;

	if (auth->tokens != NULL)
		verdict = token_file_admit(auth->tokens, token, length,
		    kind, grant);
	if (auth->token_set == NULL || verdict == TOKEN_GRANTED ||
	    verdict == TOKEN_FORBIDDEN)
		return (verdict);
	switch (token_set_check(auth->token_set, token, length, kind, grant)) {
	case TOKEN_GRANTED:
		return (TOKEN_GRANTED);
	case TOKEN_UNAVAILABLE:
		return (TOKEN_UNAVAILABLE);
	default:
		/* The set does not have it: the file's verdict counts. */
		return (verdict);
	}
}

enum auth_state
auth_state(const struct auth * auth)
{
	enum token_file_state file = auth->tokens == NULL ? TOKEN_FILE_EMPTY :
	    token_file_state(auth->tokens);
	enum token_set_state set = auth->token_set == NULL ? TOKEN_SET_FAILED :
	    token_set_state(auth->token_set);

	if (auth->open)
		return (AUTH_OK);
	if (auth->token_set == NULL)
		return (file == TOKEN_FILE_OK ? AUTH_OK : AUTH_FAILED);
	if (set != TOKEN_SET_OK && set != TOKEN_SET_STALE &&
	    file != TOKEN_FILE_OK)
		return (AUTH_FAILED);
	return (set != TOKEN_SET_OK || file == TOKEN_FILE_UNUSABLE ?
	    AUTH_PARTIAL : AUTH_OK);
}

static const char *
denial_reason(const struct auth * auth, enum token_verdict verdict,
    bool missing)
{

	if (verdict == TOKEN_UNAVAILABLE)
		return ("the tokens cannot be read now");
	if (auth->tokens == NULL && auth->token_set == NULL)
		return ("no tokens are configured");
	if (verdict == TOKEN_FORBIDDEN)
		return ("a token of this type cannot report here");
	return (missing ? "it has no token" : "its token is unknown");
}

static void
log_denial(const struct cgi * cgi, enum token_verdict verdict,
    bool missing, const char * why)
{
	static struct log_limit limits[2 * (TOKEN_UNAVAILABLE + 1)];
	const char * address = cgi_parameter(cgi, "REMOTE_ADDR");

	log_limited(&limits[2 * (int)verdict + missing], LOG_LEVEL_WARNING,
	    "turned away a request from %.*s: %s", ADDRESS_MAX,
	    address == NULL || *address == '\0' ? "an unknown address" :
	    address, why);
}

void
auth_wipe(const struct auth * auth,
    const struct cgi * cgi)
{

	wipe_variable(cgi, auth->variable);
	/* The token may be here, too, whatever the configured header. */
	wipe_variable(cgi, "HTTP_AUTHORIZATION");
}

bool
auth_check(const struct auth * auth, struct cgi * cgi,
    enum token_kind kind, struct token_grant * grant)
{
	size_t length;
	const char * token = find_token(auth, cgi, &length);
	bool missing = length == 0;
	enum token_verdict verdict = TOKEN_GRANTED;

	if (auth->open)
		token_file_grant(grant, "*", 1);
	else
		verdict = verdict_of(auth, token, length, kind,
		    grant);
	digest_sha256(token, length, grant->digest);
	auth_wipe(auth, cgi);
	switch (verdict) {
	case TOKEN_GRANTED:
		return (true);
	case TOKEN_FORBIDDEN:
		response_send(cgi, RESPONSE_NO_ACCESS,
		    "a token of this type cannot report here");
		break;
	case TOKEN_UNAVAILABLE:
		response_send(cgi, RESPONSE_UNAVAILABLE,
		    "the tokens cannot be read now");
		break;
	case TOKEN_UNKNOWN:
		response_send(cgi, RESPONSE_NO_ACCESS,
		    "no token that may report metrics was sent");
		break;
	}
	log_denial(cgi, verdict, missing,
	    denial_reason(auth, verdict, missing));
	return (false);
}
