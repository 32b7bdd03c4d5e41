#ifndef FLAGTALLY_REPLY_H
#define FLAGTALLY_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/text.h"
#include "lib/redis/error_reply.h"

/* A server's reply to one request. */

enum redis_type {
	REDIS_NOTHING,			/* A null, or an unknown type. */
	REDIS_TEXT,			/* A string or a status. */
	REDIS_INTEGER,
	REDIS_ARRAY,			/* Of integers, REDIS_INTEGERS_MAX
					 * at most. */
	REDIS_TEXTS,			/* An array of strings; see
					 * reply_text. */
	REDIS_MIXED,			/* Another array that begins with a
					 * string, its text. */
	REDIS_ERROR,
	REDIS_UNCONFIRMED,		/* See redis_confirm. */
};

#define REDIS_INTEGERS_MAX 1024

struct redis_reply {
	enum redis_type type;
	const char * text;		/* Of a string or status. */
	size_t length;
	size_t count;			/* Elements of an array. */
	int64_t integers[REDIS_INTEGERS_MAX];	/* Or the one integer. */
	struct error_reply error;	/* Of REDIS_ERROR. */
	const void * texts;		/* Of REDIS_TEXTS. */
	const void * part;		/* All of it; see reply_part. */
};

/* Takes the reply to the request with this number, counted from 0. */
typedef void redis_take(void * context, size_t number,
    const struct redis_reply * reply);

/**
 * reply_convert(reply, of_hiredis, secret):
 * Have ${reply} be a view of a reply of hiredis, which must outlive it, from a
 * server to which the password ${secret} was sent, unless that is NULL.
 */
void reply_convert(struct redis_reply * reply, const void * of_hiredis,
    const char * secret);

/**
 * reply_text(reply, i):
 * Return string number ${i} of a reply of type REDIS_TEXTS; it is valid as long
 * as the reply.
 */
struct text reply_text(const struct redis_reply * reply, size_t i);

/**
 * reply_part_count(part):
 * reply_part(part, i):
 * reply_part_text(part):
 * reply_part_integer(part):
 * Read a reply that has arrays in arrays, of which reply->part is the whole:
 * return how many elements a part has, element number ${i}, its text, and its
 * integer.  Absent values are 0, NULL, a text without bytes, or -1.
 * All are valid as long as the reply.
 */
size_t reply_part_count(const void * part);
const void * reply_part(const void * part, size_t i);
struct text reply_part_text(const void * part);
int64_t reply_part_integer(const void * part);

#endif
