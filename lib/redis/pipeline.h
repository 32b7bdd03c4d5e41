#ifndef FLAGTALLY_PIPELINE_H
#define FLAGTALLY_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/text.h"

struct tally_node;

/*
 * Calls of scripts to be made in one pipeline, each with its identity unless
 * it can be repeated without harm.  One is built after the other:
 * pipeline_begin, then keys and arguments in any order, then pipeline_end.
 */
enum call_script {
	SCRIPT_APPLY,			/* apply.lua */
	SCRIPT_IMPACT,			/* impact.lua */
	SCRIPT_TOUCH,			/* touch.lua: it has no identity. */
	SCRIPT_COUNT,
};

/*
 * A writer's id in hexadecimal digits, and the digits of the slot after it: of
 * the calls that go out together under one tag each has a slot of its own.
 */
#define PIPELINE_WRITER_LENGTH 28
#define PIPELINE_SLOT_LENGTH 8

enum call_outcome {
	CALL_OPEN,			/* Not sent, or its fate is unknown. */
	CALL_APPLIED,
	CALL_REFUSED,			/* Redis will never apply it. */
	CALL_FOREIGN,			/* Its place has another's number. */
};

struct call {
	size_t offset, length;		/* Its bytes in requests, */
	size_t digest;			/* and in them the script's name */
	size_t writer;			/* and the id, if there is one. */
	enum call_script script;
	enum call_outcome outcome;
	int64_t stored;			/* Time of its first sending or before,
					 * by Redis's clock, in ms; 0: none. */
	char * reason;			/* CALL_REFUSED: Redis's words. */
	struct tally_node * node;	/* Its application or environment;
					 * NULL: none. */
};

struct pipeline {
	/* In RESP, one after the other, with the name of the script where
	 * Redis wants its digest, so that they can be kept. */
	struct buffer requests;
	struct call * list;
	size_t count, size;
	/* Of the call that is being built: */
	struct buffer keys, arguments, text;
	size_t key_count, argument_count;
	size_t writer_end;		/* In keys. */
};

/**
 * pipeline_clear(pipeline):
 * Forget all calls; keep the memory unless it is much.
 */
void pipeline_clear(struct pipeline * pipeline);

/**
 * pipeline_begin(pipeline):
 * Begin a call.
 */
void pipeline_begin(struct pipeline * pipeline);

/**
 * pipeline_add_identity(pipeline, tag, writer, slot, number):
 * Add what every script begins with: the key of the writer and the slot under
 * the tag, and the number as the first argument.  It is called first after
 * pipeline_begin.
 */
void pipeline_add_identity(struct pipeline * pipeline,
    const struct buffer * tag,
    const char * writer, unsigned int slot, const char * number);

/**
 * pipeline_add_bytes(pipeline, bytes, length):
 * pipeline_add_text(pipeline, text):
 * pipeline_add_integer(pipeline, integer):
 * Add an argument.
 */
void pipeline_add_bytes(struct pipeline * pipeline, const void * bytes,
    size_t length);
void pipeline_add_text(struct pipeline * pipeline, const char * text);
void pipeline_add_integer(struct pipeline * pipeline, int64_t integer);

/**
 * pipeline_add_name(pipeline, before, name, length):
 * Add ${before}, and the name with percent-encoding, as one argument.
 */
void pipeline_add_name(struct pipeline * pipeline, const char * before,
    const char * name, size_t length);

/**
 * pipeline_add_key(pipeline, tag, rest, name, length):
 * Add a key: ${tag}, ${rest}, and the ${length} bytes at ${name}.
 */
void pipeline_add_key(struct pipeline * pipeline, const struct buffer * tag,
    const char * rest, const char * name, size_t length);

/**
 * pipeline_end(pipeline, script, node):
 * The call of ${script} is complete, for what ${node} counts.
 */
void pipeline_end(struct pipeline * pipeline, enum call_script script,
    struct tally_node * node);

/**
 * pipeline_request(pipeline, call, digest, requests):
 * Append the call to ${requests}; Redis knows its script as ${digest}.
 */
void pipeline_request(const struct pipeline * pipeline,
    const struct call * call,
    const char * digest, struct buffer * requests);

/**
 * pipeline_readdress(pipeline, call, writer):
 * Give such a call another writer, unless it is a plain command.
 */
void pipeline_readdress(struct pipeline * pipeline, const struct call * call,
    const char * writer);

/**
 * pipeline_bytes(pipeline, call):
 * Return the bytes of a call, call->length of them, valid until the pipeline
 * changes.
 */
const char * pipeline_bytes(const struct pipeline * pipeline,
    const struct call * call);

/**
 * pipeline_building(pipeline):
 * Return how many bytes the call has that is being built.
 */
size_t pipeline_building(const struct pipeline * pipeline);

/**
 * pipeline_key(pipeline, call):
 * Return the first key of a call: that under which Redis remembers the writer,
 * if the call has an identity.  It is valid as long as the calls are not
 * changed.
 */
struct text pipeline_key(const struct pipeline * pipeline,
    const struct call * call);

/**
 * pipeline_load(pipeline, bytes, length):
 * Append the call with these bytes.  Return NULL, or an error in the bytes as a
 * static text, with nothing appended.
 */
const char * pipeline_load(struct pipeline * pipeline, const void * bytes,
    size_t length);

/**
 * pipeline_next_string(bytes, length, at, string):
 * Read the next string of a call from ${*at} on, and set ${*at} behind it.
 * Return false, and leave ${*at}, if the ${length} bytes have no further string
 * or are damaged there.
 */
bool pipeline_next_string(const void * bytes, size_t length, size_t * at,
    struct text * string);

/**
 * pipeline_free(pipeline):
 * Free what the calls hold; leave them empty.
 */
void pipeline_free(struct pipeline * pipeline);

#endif
