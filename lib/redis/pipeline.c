#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/escape.h"
#include "lib/redis/pipeline.h"

/* Of a SHA-1 in hexadecimal, which is how Redis names scripts. */
#define DIGEST_LENGTH 40

/* The name of a script, in place of its digest, and as long. */
static const char script_names[SCRIPT_COUNT][DIGEST_LENGTH + 1] = {
	[SCRIPT_APPLY] = "apply...................................",
	[SCRIPT_IMPACT] = "impact..................................",
	[SCRIPT_TOUCH] = "touch...................................",
};

void
pipeline_clear(struct pipeline * pipeline)
{

	size_t i;

	for (i = 0; i < pipeline->count; i++)
		free(pipeline->list[i].reason);
	buffer_clear(&pipeline->requests);
	pipeline->count = 0;
}

void
pipeline_begin(struct pipeline * pipeline)
{

	buffer_clear(&pipeline->keys);
	buffer_clear(&pipeline->arguments);
	pipeline->key_count = 0;
	pipeline->argument_count = 0;
}

void
pipeline_add_bytes(struct pipeline * pipeline, const void * bytes,
    size_t length)
{

	buffer_string(&pipeline->arguments, bytes, length);
	pipeline->argument_count++;
}

void
pipeline_add_text(struct pipeline * pipeline, const char * text)
{

	pipeline_add_bytes(pipeline, text, strlen(text));
}

void
pipeline_add_integer(struct pipeline * pipeline, int64_t integer)
{

	buffer_integer(&pipeline->arguments, integer);
	pipeline->argument_count++;
}

void
pipeline_add_identity(struct pipeline * pipeline, const struct buffer * tag,
    const char * writer, unsigned int slot, const char * number)
{
	char id[PIPELINE_WRITER_LENGTH + PIPELINE_SLOT_LENGTH + 1];

	snprintf(id, sizeof(id), "%.*s%08x", PIPELINE_WRITER_LENGTH, writer,
	    slot);
	pipeline_add_key(pipeline, tag, ":writer:", id, strlen(id));
	pipeline_add_text(pipeline, number);
}

void
pipeline_readdress(struct pipeline * pipeline, const struct call * call,
    const char * writer)
{

	if (call->script != SCRIPT_TOUCH)
		memcpy(pipeline->requests.bytes + call->writer, writer,
		    PIPELINE_WRITER_LENGTH);
}

const char *
pipeline_bytes(const struct pipeline * pipeline, const struct call * call)
{

	return (pipeline->requests.bytes + call->offset);
}

size_t
pipeline_building(const struct pipeline * pipeline)
{

	return (pipeline->keys.length + pipeline->arguments.length);
}

void
pipeline_add_name(struct pipeline * pipeline, const char * before,
    const char * name,
    size_t length)
{
	struct buffer * text = &pipeline->text;
	char * room;

	buffer_clear(text);
	buffer_append(text, before, strlen(before));
	room = buffer_room(text, ESCAPE_PERCENT_ROOM(length));
	text->length += escape_percent(room, name, length);
	pipeline_add_bytes(pipeline, text->bytes, text->length);
}

void
pipeline_add_key(struct pipeline * pipeline, const struct buffer * tag,
    const char * rest, const char * name, size_t length)
{
	struct buffer * text = &pipeline->text;

	buffer_clear(text);
	buffer_append(text, tag->bytes, tag->length);
	buffer_append(text, rest, strlen(rest));
	buffer_append(text, name, length);
	buffer_string(&pipeline->keys, text->bytes, text->length);
	/* The writer's key is the first one, and ends with its id. */
	if (pipeline->key_count++ == 0)
		pipeline->writer_end = pipeline->keys.length - strlen("\r\n");
}

static struct call *
append(struct pipeline * pipeline)
{

	if (pipeline->count == pipeline->size) {
		pipeline->size = pipeline->size == 0 ? 16 : pipeline->size * 2;
		pipeline->list = alloc_resize(pipeline->list, pipeline->size,
		    sizeof(*pipeline->list));
	}
	return (&pipeline->list[pipeline->count++]);
}

void
pipeline_end(struct pipeline * pipeline, enum call_script script,
    struct tally_node * node)
{
	struct buffer * requests = &pipeline->requests;
	struct call * call = append(pipeline);

	memset(call, 0, sizeof(*call));
	call->offset = requests->length;
	call->script = script;
	call->node = node;
	buffer_array(requests, 3 + pipeline->key_count +
	    pipeline->argument_count);
	buffer_text(requests, "EVALSHA");
	buffer_text(requests, script_names[script]);
	call->digest = requests->length - DIGEST_LENGTH - 2;
	buffer_integer(requests, (int64_t)pipeline->key_count);
	if (script != SCRIPT_TOUCH)
		call->writer = requests->length + pipeline->writer_end -
		    PIPELINE_WRITER_LENGTH - PIPELINE_SLOT_LENGTH;
	buffer_append(requests, pipeline->keys.bytes, pipeline->keys.length);
	buffer_append(requests, pipeline->arguments.bytes,
	    pipeline->arguments.length);
	call->length = requests->length - call->offset;
}

void
pipeline_request(const struct pipeline * pipeline, const struct call * call,
    const char * digest, struct buffer * requests)
{
	size_t at = requests->length;

	buffer_append(requests, pipeline->requests.bytes + call->offset,
	    call->length);
	memcpy(requests->bytes + at + call->digest - call->offset, digest,
	    DIGEST_LENGTH);
}

/*
 * Loading.  The bytes are RESP arrays of strings; find only the places that may
 * have to be changed.
 */

struct call_reader {
	const char * bytes;
	size_t length;
	size_t at;
};

/* Read a line such as *3 or $40 and its number. */
static bool
read_count(struct call_reader * reader, char mark, size_t * count)
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
read_string(struct call_reader * reader, struct text * string)
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
read_script(struct call_reader * reader, struct call * call, size_t count)
{
	struct text name, keys, key = { NULL, 0 };
	size_t key_count = 0;
	size_t i;

	if (count < 4 || !read_string(reader, &name) ||
	    !find_script(&name, &call->script) ||
	    !read_string(reader, &keys) || keys.length > 6)
		return (false);
	for (i = 0; i < keys.length; i++)
		key_count = key_count * 10 + (size_t)(keys.bytes[i] - '0');
	if (key_count < 1 || key_count > count - 3)
		return (false);
	for (i = 0; i < key_count; i++) {
		if (!read_string(reader, &key))
			return (false);
		if (i > 0 || call->script == SCRIPT_TOUCH)
			continue;
		if (key.length < PIPELINE_WRITER_LENGTH + PIPELINE_SLOT_LENGTH)
			return (false);
		call->writer = (size_t)(key.bytes - reader->bytes) +
		    key.length - PIPELINE_WRITER_LENGTH - PIPELINE_SLOT_LENGTH;
	}
	call->digest = (size_t)(name.bytes - reader->bytes);
	return (true);
}

static bool
read_call(struct call_reader * reader, struct call * call)
{
	struct text word;
	size_t start = reader->at;
	size_t count, i;

	memset(call, 0, sizeof(*call));
	call->offset = start;
	if (!read_count(reader, '*', &count) || count == 0 ||
	    !read_string(reader, &word))
		return (false);
	if (!text_is(&word, "EVALSHA") || !read_script(reader, call, count))
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
pipeline_load(struct pipeline * pipeline, const void * bytes, size_t length)
{
	size_t before = pipeline->requests.length;
	struct call_reader reader;
	struct call call;

	buffer_append(&pipeline->requests, bytes, length);
	reader.bytes = pipeline->requests.bytes;
	reader.length = pipeline->requests.length;
	reader.at = before;
	if (read_call(&reader, &call) && reader.at == reader.length) {
		*append(pipeline) = call;
		return (NULL);
	}
	pipeline->requests.length = before;
	return ("no call of a script");
}

struct text
pipeline_key(const struct pipeline * pipeline, const struct call * call)
{
	struct call_reader reader = { .bytes = pipeline->requests.bytes,
	    .length = call->offset + call->length,
	    .at = call->digest + DIGEST_LENGTH + 2 };
	struct text count, key = { NULL, 0 };

	/* After the digest there are the number of keys, and the keys. */
	if (read_string(&reader, &count))
		read_string(&reader, &key);
	return (key);
}

bool
pipeline_next_string(const void * bytes, size_t length, size_t * at,
    struct text * string)
{
	struct call_reader reader = { .bytes = bytes, .length = length,
	    .at = *at };
	size_t count;

	read_count(&reader, '*', &count);
	if (!read_string(&reader, string))
		return (false);
	*at = reader.at;
	return (true);
}

void
pipeline_free(struct pipeline * pipeline)
{

	pipeline_clear(pipeline);
	buffer_free(&pipeline->requests);
	buffer_free(&pipeline->keys);
	buffer_free(&pipeline->arguments);
	buffer_free(&pipeline->text);
	free(pipeline->list);
	memset(pipeline, 0, sizeof(*pipeline));
}
