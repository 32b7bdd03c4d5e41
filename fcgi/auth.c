#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/auth.h"
#include "fcgi/response.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"

/* How many internal redirects a header is looked for behind. */
#define REDIRECTS_MAX 5

/* As much of an address is logged as the longest one has. */
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
redirected(char name[NAME_SIZE], const char * variable, int redirects)
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
find_token(const struct callers * callers, const struct cgi * cgi,
    size_t * length)
{
	char name[NAME_SIZE];
	const char * token = NULL;
	int i;

	for (i = 0; (token == NULL || *token == '\0') &&
	    redirected(name, callers->variable, i); i++)
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

/* A core dump, or whoever may see the environment, is to find no token. */
static void
wipe(const struct cgi * cgi, const char * variable)
{
	char name[NAME_SIZE];
	int i;

	for (i = 0; redirected(name, variable, i); i++)
		cgi_wipe(cgi, name);
}

static enum token_verdict
verdict_of(const struct callers * callers, const char * token,
    size_t length, enum token_kind kind, struct token_grant * grant)
{
	enum token_verdict verdict = TOKEN_UNKNOWN;

	if (callers->tokens != NULL)
		verdict = token_file_admit(callers->tokens, token, length,
		    kind, grant);
	if (callers->issuer == NULL || verdict == TOKEN_GRANTED ||
	    verdict == TOKEN_FORBIDDEN)
		return (verdict);
	switch (token_set_check(callers->issuer, token, length, kind, grant)) {
	case TOKEN_GRANTED:
		return (TOKEN_GRANTED);
	case TOKEN_UNAVAILABLE:
		return (TOKEN_UNAVAILABLE);
	default:
		/* As far as the file goes. */
		return (verdict);
	}
}

static const char *
reason(const struct callers * callers, enum token_verdict verdict,
    bool missing)
{

	if (verdict == TOKEN_UNAVAILABLE)
		return ("the tokens cannot be read at the moment");
	if (callers->tokens == NULL && callers->issuer == NULL)
		return ("no tokens are configured, so nobody may come in");
	if (verdict == TOKEN_FORBIDDEN)
		return ("a token of this type may not report here");
	return (missing ? "it has no token" : "its token is unknown");
}

static void
complain(const struct cgi * cgi, enum token_verdict verdict,
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
auth_forget(const struct callers * callers,
    const struct cgi * cgi)
{

	wipe(cgi, callers->variable);
	/* Whatever the header is called, the token may be here, too. */
	wipe(cgi, "HTTP_AUTHORIZATION");
}

bool
auth_admit(const struct callers * callers, struct cgi * cgi,
    enum token_kind kind, struct token_grant * grant)
{
	size_t length;
	const char * token = find_token(callers, cgi, &length);
	bool missing = length == 0;
	enum token_verdict verdict = TOKEN_GRANTED;

	if (callers->open)
		token_file_grant(grant, "*", 1);
	else
		verdict = verdict_of(callers, token, length, kind,
		    grant);
	digest_sha256(token, length, grant->digest);
	auth_forget(callers, cgi);
	switch (verdict) {
	case TOKEN_GRANTED:
		return (true);
	case TOKEN_FORBIDDEN:
		response_send(cgi, RESPONSE_NO_ACCESS,
		    "a token of this type may not report here");
		break;
	case TOKEN_UNAVAILABLE:
		response_send(cgi, RESPONSE_UNAVAILABLE,
		    "the tokens cannot be read at the moment");
		break;
	case TOKEN_UNKNOWN:
		response_send(cgi, RESPONSE_NO_ACCESS,
		    "no token that may report metrics was sent");
		break;
	}
	complain(cgi, verdict, missing,
	    reason(callers, verdict, missing));
	return (false);
}
