#ifndef FLAGTALLY_PIPELINE_H
#define FLAGTALLY_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/text.h"

struct tally_node;

/*
 * Calls to Redis that are to be made in one pipeline: calls of scripts, each
 * with its identity, and plain commands.  One is built after the other:
 * calls_begin, then keys and arguments in any order, then calls_end.
 */
enum call_script {
	SCRIPT_APPLY,			/* apply.lua */
	SCRIPT_IMPACT,			/* impact.lua */
	SCRIPT_COUNT,
	SCRIPT_NONE = SCRIPT_COUNT,	/* A plain command. */
};

/*
 * A writer's id in hexadecimal digits.  It is followed by as many of the slot:
 * of the calls that go out together under one tag each has one of its own.
 */
#define CALLS_WRITER_LENGTH 28
#define CALLS_SLOT_LENGTH 4
#define CALLS_SLOT_MAX 0xffff

struct call {
	size_t offset, length;		/* Its bytes in requests, */
	size_t digest;			/* and in those of a script's call: */
	size_t writer;			/* the script's name and the id. */
	enum call_script script;
	bool settled;			/* Applied, or refused for good. */
	struct tally_node * node;	/* Whose counts; NULL: of nobody. */
};

struct calls {
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
 * calls_clear(calls):
 * Forget all calls; keep the memory unless it is much.
 */
void calls_clear(struct calls * calls);

/**
 * calls_begin(calls):
 * Begin a call.
 */
void calls_begin(struct calls * calls);

/**
 * calls_add_identity(calls, tag, writer, slot, sequence):
 * Add what every script begins with: the key of the writer and the slot under
 * the tag, and the sequence number as the first argument.  It is called first
 * after calls_begin.
 */
void calls_add_identity(struct calls * calls, const struct buffer * tag,
    const char * writer, unsigned int slot, int64_t sequence);

/**
 * calls_add_bytes(calls, bytes, length):
 * calls_add_text(calls, text):
 * calls_add_integer(calls, integer):
 * Add an argument.
 */
void calls_add_bytes(struct calls * calls, const void * bytes, size_t length);
void calls_add_text(struct calls * calls, const char * text);
void calls_add_integer(struct calls * calls, int64_t integer);

/**
 * calls_add_name(calls, before, name, length):
 * Add ${before}, and the name with percent-encoding, as one argument.
 */
void calls_add_name(struct calls * calls, const char * before,
    const char * name, size_t length);

/**
 * calls_add_key(calls, tag, rest, name, length):
 * Add a key: ${tag}, ${rest}, and the ${length} bytes at ${name}.
 */
void calls_add_key(struct calls * calls, const struct buffer * tag,
    const char * rest, const char * name, size_t length);

/**
 * calls_end(calls, script, node):
 * The call is complete: of ${script}, or of the command that its first
 * argument names, for what ${node} counts.
 */
void calls_end(struct calls * calls, enum call_script script,
    struct tally_node * node);

/**
 * calls_request(calls, call, digest, requests):
 * Append the call to ${requests}; Redis knows its script as ${digest}.
 */
void calls_request(const struct calls * calls, const struct call * call,
    const char * digest, struct buffer * requests);

/**
 * calls_readdress(calls, call, writer):
 * Give such a call another writer.
 */
void calls_readdress(struct calls * calls, const struct call * call,
    const char * writer);

/**
 * calls_writer_key(calls, call):
 * Return the key under which Redis remembers the writer of a script's call; it
 * is valid as long as the calls are not changed.
 */
struct text calls_writer_key(const struct calls * calls,
    const struct call * call);

/**
 * calls_load(calls, bytes, length):
 * Replace ${calls} by those that ${bytes} holds: the bytes of calls one after
 * the other.  Return NULL, or a static text that says what is wrong with the
 * bytes; ${calls} is empty then.
 */
const char * calls_load(struct calls * calls, const void * bytes,
    size_t length);

/**
 * calls_free(calls):
 * Free what the calls hold; leave them empty.
 */
void calls_free(struct calls * calls);

#endif
