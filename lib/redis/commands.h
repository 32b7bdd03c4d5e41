#ifndef FLAGTALLY_COMMANDS_H
#define FLAGTALLY_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/redis/contract.h"
#include "lib/redis/pipeline.h"
#include "lib/tally/tally.h"

/*
 * A group is a tally as the calls to Redis that apply it.  All that one hash
 * tag holds, {env:app} or {env}, changes in script calls that carry the
 * writer's id and a number, and a slot that no other call of the group
 * has under that tag: a call that has been applied changes nothing when it is
 * repeated.  A call holds about COMMANDS_INCREMENTS_MAX increments at most, so
 * that none keeps Redis long.
 */
#define COMMANDS_INCREMENTS_MAX 1000

/* Seconds until Redis removes a writer that no longer writes. */
#define COMMANDS_WRITER_LIFETIME ((int64_t)30 * 24 * 3600)

/* The writer of calls, and the settings of the keys. */
struct commands_writer {
	const struct sink_settings * settings;
	const char * id;
	const char * number;		/* Of the group. */
	unsigned int slot;		/* Of the next call under a tag. */
	int64_t now;			/* Our clock; seconds since 1970. */
};

/**
 * commands_encode(pipeline, writer, tally):
 * Replace the calls of ${pipeline} by those for ${tally}, without nodes that
 * are TALLY_DROPPED, and set the call of each node that a call counts.  The
 * tally must outlive the use of the calls.
 */
void commands_encode(struct pipeline * pipeline,
    struct commands_writer * writer,
    const struct tally * tally);


/**
 * commands_member(text, application):
 * commands_environment(text, environment):
 * commands_token(text, token):
 * Replace the buffer's content by the name of an application in P:apps,
 * `env:app`, of an environment in P:environments, or of a token in
 * P:tokens:seen.
 */
void commands_member(struct buffer * text,
    const struct tally_node * application);
void commands_environment(struct buffer * text,
    const struct tally_node * environment);
void commands_token(struct buffer * text, const struct tally_node * token);

#endif
