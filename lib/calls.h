#ifndef FLAGTALLY_CALLS_H
#define FLAGTALLY_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buffer.h"

struct tally_node;

/*
 * Calls to Redis that are to be made in one pipeline: calls of scripts, each
 * with a sequence number, and plain commands.  One is built after the other:
 * calls_begin, then keys and arguments in any order, then calls_end.
 */
enum call_script {
	SCRIPT_APPLY,			/* apply.lua */
	SCRIPT_IMPACT,			/* impact.lua */
	SCRIPT_COUNT,
	SCRIPT_NONE = SCRIPT_COUNT,	/* A plain command. */
};

enum call_state {
	CALL_WAITING,		/* Not sent, or nobody knows its fate. */
	CALL_FAILED,		/* Not applied: an error that may pass. */
	CALL_SETTLED,		/* Applied, or refused for good. */
};

struct call {
	size_t offset, length;		/* Its bytes in requests. */
	size_t sequence;		/* Likewise, of its number's digits. */
	enum call_script script;
	enum call_state state;
	struct tally_node * node;	/* Whose counts; NULL: of nobody. */
};

struct calls {
	struct buffer requests;		/* In RESP, one after the other. */
	struct call * list;
	size_t count, size;
	/* Of the call that is being built: */
	struct buffer keys, arguments, text;
	size_t key_count, argument_count;
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
 * calls_add_sequence(calls, sequence):
 * Add the sequence number, which is the first argument of every script.
 */
void calls_add_sequence(struct calls * calls, int64_t sequence);

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
 * calls_end(calls, script, digest, node):
 * The call is complete: of the script that Redis knows as ${digest}, or of the
 * command that its first argument names, for what ${node} counts.
 */
void calls_end(struct calls * calls, enum call_script script,
    const char * digest, struct tally_node * node);

/**
 * calls_renumber(calls, call, sequence):
 * Give a call that is known not to have been applied another number.
 */
void calls_renumber(struct calls * calls, const struct call * call,
    int64_t sequence);

/**
 * calls_free(calls):
 * Free what the calls hold; leave them empty.
 */
void calls_free(struct calls * calls);

#endif
