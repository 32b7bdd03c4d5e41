#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/calls.h"
#include "lib/quote.h"

/* Of a sequence number, with zeros before it, so that another fits. */
#define SEQUENCE_DIGITS 16

void
calls_clear(struct calls * calls)
{

	buffer_clear(&calls->requests);
	calls->count = 0;
}

void
calls_begin(struct calls * calls)
{

	buffer_clear(&calls->keys);
	buffer_clear(&calls->arguments);
	calls->key_count = 0;
	calls->argument_count = 0;
}

void
calls_add_bytes(struct calls * calls, const void * bytes, size_t length)
{

	buffer_string(&calls->arguments, bytes, length);
	calls->argument_count++;
}

void
calls_add_text(struct calls * calls, const char * text)
{

	calls_add_bytes(calls, text, strlen(text));
}

void
calls_add_integer(struct calls * calls, int64_t integer)
{

	buffer_integer(&calls->arguments, integer);
	calls->argument_count++;
}

static void
format_sequence(char digits[SEQUENCE_DIGITS], int64_t sequence)
{
	size_t i;

	for (i = SEQUENCE_DIGITS; i > 0; sequence /= 10)
		digits[--i] = (char)('0' + sequence % 10);
}

void
calls_add_sequence(struct calls * calls, int64_t sequence)
{
	char digits[SEQUENCE_DIGITS];

	format_sequence(digits, sequence);
	calls_add_bytes(calls, digits, sizeof(digits));
}

void
calls_renumber(struct calls * calls, const struct call * call,
    int64_t sequence)
{

	format_sequence(calls->requests.bytes + call->sequence, sequence);
}

void
calls_add_name(struct calls * calls, const char * before, const char * name,
    size_t length)
{
	struct buffer * text = &calls->text;
	char * room;

	buffer_clear(text);
	buffer_append(text, before, strlen(before));
	room = buffer_room(text, QUOTE_PERCENT_ROOM(length));
	text->length += quote_percent(room, name, length);
	calls_add_bytes(calls, text->bytes, text->length);
}

void
calls_add_key(struct calls * calls, const struct buffer * tag,
    const char * rest, const char * name, size_t length)
{
	struct buffer * text = &calls->text;

	buffer_clear(text);
	buffer_append(text, tag->bytes, tag->length);
	buffer_append(text, rest, strlen(rest));
	buffer_append(text, name, length);
	buffer_string(&calls->keys, text->bytes, text->length);
	calls->key_count++;
}

static struct call *
append(struct calls * calls)
{

	if (calls->count == calls->size) {
		calls->size = calls->size == 0 ? 16 : calls->size * 2;
		calls->list = alloc_resize(calls->list, calls->size,
		    sizeof(*calls->list));
	}
	return (&calls->list[calls->count++]);
}

void
calls_end(struct calls * calls, enum call_script script, const char * digest,
    struct tally_node * node)
{
	struct buffer * requests = &calls->requests;
	struct call * call = append(calls);

	call->offset = requests->length;
	call->script = script;
	call->node = node;
	call->state = CALL_WAITING;
	if (script == SCRIPT_NONE)
		buffer_array(requests, calls->argument_count);
	else {
		buffer_array(requests, 3 + calls->key_count +
		    calls->argument_count);
		buffer_text(requests, "EVALSHA");
		buffer_text(requests, digest);
		buffer_integer(requests, (int64_t)calls->key_count);
	}
	buffer_append(requests, calls->keys.bytes, calls->keys.length);
	call->sequence = requests->length + strlen("$16\r\n");
	buffer_append(requests, calls->arguments.bytes,
	    calls->arguments.length);
	call->length = requests->length - call->offset;
}

void
calls_free(struct calls * calls)
{

	buffer_free(&calls->requests);
	buffer_free(&calls->keys);
	buffer_free(&calls->arguments);
	buffer_free(&calls->text);
	free(calls->list);
	memset(calls, 0, sizeof(*calls));
}
