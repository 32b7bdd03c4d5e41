#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/redis/error_reply.h"

#define PART 4				/* So much of a password is too much. */

#define OF_CLUSTER "this Redis is one node of a cluster: the URL must begin " \
    "with redis-cluster://"

/* ERR comes after all that begin with it. */
static const struct {
	const char * words;
	const char * meaning;		/* Or NULL. */
} codes[ERROR_COUNT] = {
	[ERROR_NOSCRIPT] = { "NOSCRIPT", NULL },
	[ERROR_REFUSED] = { "REFUSED", NULL },
	[ERROR_WRONGTYPE] = { "WRONGTYPE", NULL },
	[ERROR_LOADING] = { "LOADING", NULL },
	[ERROR_READONLY] = { "READONLY", "this Redis is a replica: the URL "
	    "must lead to its master" },
	[ERROR_OOM] = { "OOM", NULL },
	[ERROR_MISCONF] = { "MISCONF", NULL },
	[ERROR_NOREPLICAS] = { "NOREPLICAS", NULL },
	[ERROR_MASTERDOWN] = { "MASTERDOWN", NULL },
	[ERROR_CLUSTERDOWN] = { "CLUSTERDOWN", NULL },
	[ERROR_BUSY] = { "BUSY", NULL },
	[ERROR_NOAUTH] = { "NOAUTH", NULL },
	[ERROR_CLIENTS] = { "ERR max number of clients", NULL },
	[ERROR_AWAY] = { "AWAY", NULL },
	[ERROR_NOPERM] = { "NOPERM", NULL },
	[ERROR_MOVED] = { "MOVED", OF_CLUSTER },
	[ERROR_ASK] = { "ASK", NULL },
	[ERROR_CROSSSLOT] = { "CROSSSLOT", OF_CLUSTER },
	[ERROR_TRYAGAIN] = { "TRYAGAIN", NULL },
	[ERROR_ACL] = { "ERR ACL failure", NULL },
	[ERROR_UNKNOWN_COMMAND] = { "ERR unknown command", NULL },
	[ERROR_ERR] = { "ERR", NULL },
};

static bool
begins_with(struct text text, const char * words)
{
	size_t length = strlen(words);

	return (text.length >= length &&
	    memcmp(text.bytes, words, length) == 0 && (text.length == length ||
	    !isalnum((unsigned char)text.bytes[length])));
}

struct error_reply
error_reply_of(struct text raw, const char * secret)
{
	struct error_reply error = { ERROR_OTHER, raw, secret };
	unsigned int code;

	for (code = ERROR_OTHER + 1; code < ERROR_COUNT; code++)
		if (begins_with(raw, codes[code].words)) {
			error.code = code;
			break;
		}
	return (error);
}

static bool
holds_part(struct text text, const char * secret)
{
	size_t size = strlen(secret);
	size_t part = size < PART ? size : PART;
	size_t i, j;

	if (size == 0)
		return (false);
	for (i = 0; i + part <= text.length; i++)
		for (j = 0; j + part <= size; j++)
			if (strncasecmp(text.bytes + i, secret + j, part) == 0)
				return (true);
	return (false);
}

/* The first words that may be printed: ours, or the server's own code. */
static struct text
first_words(const struct error_reply * error)
{
	struct text words = { error->raw.bytes, 0 };

	if (error->code != ERROR_OTHER)
		return (text_of(codes[error->code].words));
	while (words.length < error->raw.length &&
	    words.bytes[words.length] >= 'A' &&
	    words.bytes[words.length] <= 'Z')
		words.length++;
	if ((words.length < error->raw.length &&
	    words.bytes[words.length] != ' ') || words.length == 0 ||
	    holds_part(words, error->secret))
		words = text_of("an error");
	return (words);
}

const char *
error_reply_print(const struct error_reply * error, char text[ERROR_REPLY_MAX])
{
	struct text shown = error->raw;

	if (shown.length >= ERROR_REPLY_MAX)
		shown.length = ERROR_REPLY_MAX - 1;
	if (error->secret == NULL || !holds_part(shown, error->secret)) {
		snprintf(text, ERROR_REPLY_MAX, "%.*s", (int)shown.length,
		    shown.bytes);
		return (text);
	}
	shown = first_words(error);
	snprintf(text, ERROR_REPLY_MAX, "%.*s (the rest may hold the "
	    "password)", (int)shown.length, shown.bytes);
	return (text);
}

bool
error_reply_is_permanent(const struct error_reply * error)
{

	return (error->code == ERROR_REFUSED || error->code == ERROR_WRONGTYPE);
}

const char *
error_reply_meaning(const struct error_reply * error)
{

	return (codes[error->code].meaning);
}
