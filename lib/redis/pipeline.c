#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/escape.h"
#include "lib/redis/pipeline.h"

/* Of a SHA-1 in hexadecimal, which is how Redis names scripts. */
#define DIGEST_LENGTH 40

/* What stands in the place of the digest, and is as long. */
static const char script_names[SCRIPT_COUNT][DIGEST_LENGTH + 1] = {
	[SCRIPT_APPLY] = "apply...................................",
	[SCRIPT_IMPACT] = "impact..................................",
};

void
pipeline_clear(struct pipeline * calls)
{

	buffer_clear(&calls->requests);
	calls->count = 0;
}

void
pipeline_begin(struct pipeline * calls)
{

	buffer_clear(&calls->keys);
	buffer_clear(&calls->arguments);
	calls->key_count = 0;
	calls->argument_count = 0;
}

void
pipeline_add_bytes(struct pipeline * calls, const void * bytes, size_t length)
{

	buffer_string(&calls->arguments, bytes, length);
	calls->argument_count++;
}

void
pipeline_add_text(struct pipeline * calls, const char * text)
{

	pipeline_add_bytes(calls, text, strlen(text));
}

void
pipeline_add_integer(struct pipeline * calls, int64_t integer)
{

	buffer_integer(&calls->arguments, integer);
	calls->argument_count++;
}

void
pipeline_add_identity(struct pipeline * calls, const struct buffer * tag,
    const char * writer, unsigned int slot, int64_t sequence)
{
	char id[PIPELINE_WRITER_LENGTH + PIPELINE_SLOT_LENGTH + 1];

	/* A slot that comes twice would lose counts. */
	if (slot > PIPELINE_SLOT_MAX)
		abort();
	snprintf(id, sizeof(id), "%.*s%04x", PIPELINE_WRITER_LENGTH, writer,
	    slot);
	pipeline_add_key(calls, tag, ":writer:", id, strlen(id));
	pipeline_add_integer(calls, sequence);
}

void
pipeline_readdress(struct pipeline * calls, const struct call * call,
    const char * writer)
{

	memcpy(calls->requests.bytes + call->writer, writer,
	    PIPELINE_WRITER_LENGTH);
}

struct text
pipeline_writer_key(const struct pipeline * calls, const struct call * call)
{
	size_t end = call->writer + PIPELINE_WRITER_LENGTH +
	    PIPELINE_SLOT_LENGTH;
	size_t start = call->writer;
	struct text key;

	/* It follows the line with its length. */
	while (calls->requests.bytes[start - 1] != '\n')
		start--;
	key.bytes = calls->requests.bytes + start;
	key.length = end - start;
	return (key);
}

void
pipeline_add_name(struct pipeline * calls, const char * before,
    const char * name,
    size_t length)
{
	struct buffer * text = &calls->text;
	char * room;

	buffer_clear(text);
	buffer_append(text, before, strlen(before));
	room = buffer_room(text, ESCAPE_PERCENT_ROOM(length));
	text->length += escape_percent(room, name, length);
	pipeline_add_bytes(calls, text->bytes, text->length);
}

void
pipeline_add_key(struct pipeline * calls, const struct buffer * tag,
    const char * rest, const char * name, size_t length)
{
	struct buffer * text = &calls->text;

	buffer_clear(text);
	buffer_append(text, tag->bytes, tag->length);
	buffer_append(text, rest, strlen(rest));
	buffer_append(text, name, length);
	buffer_string(&calls->keys, text->bytes, text->length);
	/* The writer's key is the first one, and ends with its id. */
	if (calls->key_count++ == 0)
		calls->writer_end = calls->keys.length - strlen("\r\n");
}

static struct call *
append(struct pipeline * calls)
{

	if (calls->count == calls->size) {
		calls->size = calls->size == 0 ? 16 : calls->size * 2;
		calls->list = alloc_resize(calls->list, calls->size,
		    sizeof(*calls->list));
	}
	return (&calls->list[calls->count++]);
}

void
pipeline_end(struct pipeline * calls, enum call_script script,
    struct tally_node * node)
{
	struct buffer * requests = &calls->requests;
	struct call * call = append(calls);

	memset(call, 0, sizeof(*call));
	call->offset = requests->length;
	call->script = script;
	call->node = node;
	if (script == SCRIPT_NONE)
		buffer_array(requests, calls->argument_count);
	else {
		buffer_array(requests, 3 + calls->key_count +
		    calls->argument_count);
		buffer_text(requests, "EVALSHA");
		buffer_text(requests, script_names[script]);
		call->digest = requests->length - DIGEST_LENGTH - 2;
		buffer_integer(requests, (int64_t)calls->key_count);
		call->writer = requests->length + calls->writer_end -
		    PIPELINE_WRITER_LENGTH - PIPELINE_SLOT_LENGTH;
	}
	buffer_append(requests, calls->keys.bytes, calls->keys.length);
	buffer_append(requests, calls->arguments.bytes,
	    calls->arguments.length);
	call->length = requests->length - call->offset;
}

void
pipeline_request(const struct pipeline * calls, const struct call * call,
    const char * digest, struct buffer * requests)
{
	size_t at = requests->length;

	buffer_append(requests, calls->requests.bytes + call->offset,
	    call->length);
	if (call->script != SCRIPT_NONE)
		memcpy(requests->bytes + at + call->digest - call->offset,
		    digest, DIGEST_LENGTH);
}

/*
 * Loading.  The bytes are RESP arrays of strings; only the places of what may
 * have to be changed are looked for.
 */

struct reader {
	const char * bytes;
	size_t length;
	size_t at;
};

/* Read a line such as *3 or $40 and its number. */
static bool
read_count(struct reader * reader, char mark, size_t * count)
{
	size_t at = reader->at;
	size_t number = 0;
	size_t digits = 0;

	if (at >= reader->length || reader->bytes[at++] != mark)
		return (false);
	for (; at < reader->length && reader->bytes[at] >= '0' &&
	    reader->bytes[at] <= '9' && digits < 9; at++, digits++)
		number = number * 10 + (size_t)(reader->bytes[at] - '0');
	if (digits == 0 || reader->length - at < 2 ||
	    memcmp(reader->bytes + at, "\r\n", 2) != 0)
		return (false);
	reader->at = at + 2;
	*count = number;
	return (true);
}

static bool
read_string(struct reader * reader, struct text * string)
{
	size_t length;

	if (!read_count(reader, '$', &length) ||
	    reader->length - reader->at < length + 2)
		return (false);
	string->bytes = reader->bytes + reader->at;
	string->length = length;
	reader->at += length + 2;
	return (true);
}

static bool
find_script(const struct text * name, enum call_script * script)
{

	for (*script = 0; *script < SCRIPT_COUNT; ++*script)
		if (text_is(name, script_names[*script]))
			return (true);
	return (false);
}

/* The part of a script's call from its name up to its keys. */
static bool
read_script(struct reader * reader, struct call * call, size_t count)
{
	struct text name, keys, key = { NULL, 0 };
	size_t key_count = 0;
	size_t i;

	if (count < 5 || !read_string(reader, &name) ||
	    !find_script(&name, &call->script) ||
	    !read_string(reader, &keys) || keys.length > 6)
		return (false);
	for (i = 0; i < keys.length; i++)
		key_count = key_count * 10 + (size_t)(keys.bytes[i] - '0');
	if (key_count < 1 || key_count > count - 4)
		return (false);
	for (i = 0; i < key_count; i++) {
		if (!read_string(reader, &key))
			return (false);
		if (i == 0 && key.length < PIPELINE_WRITER_LENGTH +
		    PIPELINE_SLOT_LENGTH)
			return (false);
		if (i == 0)
			call->writer = (size_t)(key.bytes - reader->bytes) +
			    key.length - PIPELINE_WRITER_LENGTH -
			    PIPELINE_SLOT_LENGTH;
	}
	call->digest = (size_t)(name.bytes - reader->bytes);
	return (true);
}

static bool
read_call(struct reader * reader, struct call * call)
{
	struct text word;
	size_t start = reader->at;
	size_t count, i;

	memset(call, 0, sizeof(*call));
	call->offset = start;
	call->script = SCRIPT_NONE;
	if (!read_count(reader, '*', &count) || count == 0 ||
	    !read_string(reader, &word))
		return (false);
	if (text_is(&word, "EVALSHA") && !read_script(reader, call, count))
		return (false);
	/* Once more from the start, as how much has been read depends. */
	reader->at = start;
	read_count(reader, '*', &count);
	for (i = 0; i < count; i++)
		if (!read_string(reader, &word))
			return (false);
	call->length = reader->at - start;
	return (true);
}

const char *
pipeline_load(struct pipeline * calls, const void * bytes, size_t length)
{
	struct reader reader;
	struct call call;

	pipeline_clear(calls);
	buffer_append(&calls->requests, bytes, length);
	reader.bytes = calls->requests.bytes;
	reader.length = length;
	reader.at = 0;
	while (reader.at < length) {
		if (!read_call(&reader, &call)) {
			pipeline_clear(calls);
			return ("no calls of scripts");
		}
		*append(calls) = call;
	}
	return (NULL);
}

void
pipeline_free(struct pipeline * calls)
{

	buffer_free(&calls->requests);
	buffer_free(&calls->keys);
	buffer_free(&calls->arguments);
	buffer_free(&calls->text);
	free(calls->list);
	memset(calls, 0, sizeof(*calls));
}
