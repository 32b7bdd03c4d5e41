#include <hiredis/hiredis.h>

#include "lib/redis/reply.h"

static void
convert_integers(struct redis_reply * reply, const redisReply * from)
{
	size_t i;

	reply->type = REDIS_NOTHING;
	if (from->elements > REDIS_INTEGERS_MAX)
		return;
	for (i = 0; i < from->elements; i++) {
		if (from->element[i]->type != REDIS_REPLY_INTEGER)
			return;
		reply->integers[i] = from->element[i]->integer;
	}
	reply->type = REDIS_ARRAY;
	reply->count = from->elements;
}

static void
convert_array(struct redis_reply * reply, const redisReply * from)
{
	size_t i;

	convert_integers(reply, from);
	if (from->elements == 0 || from->element[0]->type != REDIS_REPLY_STRING)
		return;
	for (i = 1; i < from->elements; i++)
		if (from->element[i]->type != REDIS_REPLY_STRING)
			return;
	reply->type = REDIS_TEXTS;
	reply->count = from->elements;
	reply->texts = from;
}

static void
convert_mixed(struct redis_reply * reply, const redisReply * from)
{

	convert_array(reply, from);
	if (reply->type != REDIS_NOTHING || from->elements == 0 ||
	    from->element[0]->type != REDIS_REPLY_STRING)
		return;
	reply->type = REDIS_MIXED;
	reply->text = from->element[0]->str;
	reply->length = (size_t)from->element[0]->len;
}

struct text
reply_text(const struct redis_reply * reply, size_t i)
{
	const redisReply * array = reply->texts;
	struct text text = { array->element[i]->str,
	    (size_t)array->element[i]->len };

	return (text);
}

size_t
reply_part_count(const void * part)
{
	const redisReply * from = part;

	return (from != NULL && from->type == REDIS_REPLY_ARRAY ?
	    from->elements : 0);
}

const void *
reply_part(const void * part, size_t i)
{
	const redisReply * from = part;

	return (i < reply_part_count(part) ? from->element[i] : NULL);
}

struct text
reply_part_text(const void * part)
{
	const redisReply * from = part;
	struct text text = { NULL, 0 };

	if (from != NULL && (from->type == REDIS_REPLY_STRING ||
	    from->type == REDIS_REPLY_STATUS))
		text = (struct text){ from->str, (size_t)from->len };
	return (text);
}

int64_t
reply_part_integer(const void * part)
{
	const redisReply * from = part;

	return (from != NULL && from->type == REDIS_REPLY_INTEGER ?
	    from->integer : -1);
}

void
reply_convert(struct redis_reply * reply, const void * of_hiredis,
    const char * secret)
{
	const redisReply * from = of_hiredis;

	reply->text = from->str;
	reply->length = (size_t)from->len;
	reply->count = 0;
	reply->part = from;
	reply->error = (struct error_reply){ .code = ERROR_OTHER };
	switch (from->type) {
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS:
		reply->type = REDIS_TEXT;
		break;
	case REDIS_REPLY_INTEGER:
		reply->type = REDIS_INTEGER;
		reply->count = 1;
		reply->integers[0] = from->integer;
		break;
	case REDIS_REPLY_ARRAY:
		convert_mixed(reply, from);
		break;
	case REDIS_REPLY_ERROR:
		reply->type = REDIS_ERROR;
		reply->error = error_reply_of((struct text){ reply->text,
		    reply->length }, secret);
		reply->text = "";
		reply->length = 0;
		break;
	default:
		reply->type = REDIS_NOTHING;
		break;
	}
}
