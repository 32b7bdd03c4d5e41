#ifndef FLAGTALLY_ERROR_REPLY_H
#define FLAGTALLY_ERROR_REPLY_H

#include <stdbool.h>

#include "lib/base/text.h"

/*
 * An error that a server has sent.  Servers repeat the arguments of commands
 * that they do not know, so its text may hold a part of the password.  Its code
 * is found in the text as it came; the log, and whatever else a person reads,
 * gets error_reply_print's text.
 */

/* By its first words; one that has none of these is ERROR_OTHER. */
enum error_code {
	ERROR_OTHER,
	ERROR_NOSCRIPT,
	ERROR_REFUSED,			/* By our own scripts. */
	ERROR_WRONGTYPE,
	ERROR_LOADING,
	ERROR_READONLY,
	ERROR_OOM,
	ERROR_MISCONF,
	ERROR_NOREPLICAS,
	ERROR_MASTERDOWN,
	ERROR_CLUSTERDOWN,
	ERROR_BUSY,
	ERROR_NOAUTH,
	ERROR_CLIENTS,			/* Too many. */
	ERROR_AWAY,			/* By `cluster`, for a master. */
	ERROR_NOPERM,
	ERROR_MOVED,
	ERROR_ASK,
	ERROR_CROSSSLOT,
	ERROR_TRYAGAIN,
	ERROR_ACL,			/* A script lacks a right. */
	ERROR_UNKNOWN_COMMAND,
	ERROR_ERR,			/* Any other ERR. */
	ERROR_COUNT,
};

struct error_reply {
	enum error_code code;
	struct text raw;		/* Never to be printed. */
	const char * secret;		/* The password, or NULL. */
};

/* Of a text to print, with its NUL. */
#define ERROR_REPLY_MAX 256

/**
 * error_reply_of(raw, secret):
 * Return the error with this text from a server to which the password
 * ${secret} was sent, unless that is NULL; both must outlive it.
 */
struct error_reply error_reply_of(struct text raw, const char * secret);

/**
 * error_reply_print(error, text):
 * Return ${text}, in which the error is now as it may be printed: as the server
 * sent it, or without what may hold a part of the password.
 */
const char * error_reply_print(const struct error_reply * error,
    char text[ERROR_REPLY_MAX]);

/**
 * error_reply_is_permanent(error):
 * Return whether the error would come again.
 */
bool error_reply_is_permanent(const struct error_reply * error);

/**
 * error_reply_meaning(error):
 * Return what an error says of a URL that names one server, as a static text,
 * or NULL if the URL is not at fault.
 */
const char * error_reply_meaning(const struct error_reply * error);

#endif
