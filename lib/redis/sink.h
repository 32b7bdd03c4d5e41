#ifndef FLAGTALLY_SINK_H
#define FLAGTALLY_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/redis/cluster.h"
#include "lib/redis/contract.h"
#include "lib/redis/pipeline.h"
#include "lib/stats/stats.h"
#include "lib/tally/tally.h"

/*
 * The sink applies tallies to Redis, exactly once, under the keys of
 * flagtally(7).  It belongs to one thread.
 */
struct sink;

enum sink_result {
	SINK_APPLIED,		/* All is in Redis but for what was refused. */
	SINK_UNSENT,		/* Nothing has been sent. */
	SINK_UNKNOWN,		/* Calls are open: applied or not. */
};

/**
 * sink_create(settings, cluster):
 * Return a sink that writes to ${cluster}, which it owns from now on.
 * ${settings} must outlive it.
 */
struct sink * sink_create(const struct sink_settings * settings,
    struct cluster * cluster);

/**
 * sink_hasten(sink, hasty):
 * If ${hasty}, give up from now on as soon as Redis takes much longer than
 * usual (session.h), because the caller has another place for the counts.
 */
void sink_hasten(struct sink * sink, bool hasty);

/**
 * sink_commit(sink, tally, deadline):
 * Apply ${tally} to Redis by ${deadline}.  Return SINK_APPLIED if no call is
 * left open; sink_call has the outcome of each.  Add what the caps dropped to
 * the tally's dropped.  ${tally} must outlive the use of its calls.
 */
enum sink_result sink_commit(struct sink * sink, struct tally * tally,
    int64_t deadline);

/**
 * sink_prepare(sink, tally, deadline):
 * Make calls of ${tally}, but send none of them.  Under each tag all earlier
 * calls of this sink must be settled.  Return false if Redis could not be
 * asked by ${deadline} which applications it admits.
 */
bool sink_prepare(struct sink * sink, struct tally * tally, int64_t deadline);

/**
 * sink_clear(sink):
 * Remove all calls.
 */
void sink_clear(struct sink * sink);

/**
 * sink_time(sink, call):
 * Return the time by the clock of the server that has the keys of a call, in
 * milliseconds since 1970; 0 if none was ever reached.
 */
int64_t sink_time(const struct sink * sink, const struct call * call);

/* Why a call is refused that Redis may have applied or not. */
#define SINK_TOO_OLD "so old that whether Redis applied it is unknown"

/**
 * sink_load(sink, bytes, length, stored):
 * Append the call with these bytes to the calls.  ${stored} is sink_time at the
 * time when it was stored in the spool; 0: unknown.  Return NULL, or an error
 * in the bytes as a static text.
 */
const char * sink_load(struct sink * sink, const void * bytes, size_t length,
    int64_t stored);

/**
 * sink_send(sink, most, deadline):
 * Send the first ${most} open calls once, in one pipeline.  Refuse calls as
 * SINK_TOO_OLD that were stored so long ago that Redis forgets their writer.
 * Return SINK_APPLIED if each of them got its reply.
 */
enum sink_result sink_send(struct sink * sink, size_t most, int64_t deadline);

/**
 * sink_put_off(sink):
 * Return whether Redis serves, and has only put off single calls of the last
 * sending: they are left open, and no other call has to wait for them.
 */
bool sink_put_off(const struct sink * sink);

/**
 * sink_answered(sink):
 * Return whether Redis has answered all of the last sending, be it with errors.
 */
bool sink_answered(const struct sink * sink);

/**
 * sink_count(sink):
 * sink_call(sink, number):
 * sink_bytes(sink, call):
 * Return how many calls are ready, one of them, and its bytes as sink_load
 * takes them; valid until the sink is used again.
 */
size_t sink_count(const struct sink * sink);
const struct call * sink_call(const struct sink * sink, size_t number);
const char * sink_bytes(const struct sink * sink, const struct call * call);

/**
 * sink_new_writer(sink):
 * Take a new identity: calls that are left open no longer belong to this sink.
 */
void sink_new_writer(struct sink * sink);

/**
 * sink_readdress(sink):
 * Give those of the calls that were not applied, because Redis has another's
 * number in their place (CALL_FOREIGN), a new identity.  Return how many.
 */
size_t sink_readdress(struct sink * sink);

/**
 * sink_readdress_all(sink):
 * Give all calls a new identity.  None of them may have been applied.
 */
void sink_readdress_all(struct sink * sink);

/**
 * sink_retire(sink, deadline):
 * Record that the sink commits no longer.  If no call of its last commit is
 * open, remove its writer from Redis; otherwise it would expire after a month.
 */
void sink_retire(struct sink * sink, int64_t deadline);

/**
 * sink_settled(sink, deadline):
 * Have Redis forget the writers of the calls, if all are settled, within the
 * hour: by then no copy of them can still be on its way.  No crash may bring
 * the calls back from now on.  If Redis cannot be asked by ${deadline}, it
 * forgets them after a month.
 */
void sink_settled(struct sink * sink, int64_t deadline);

/**
 * sink_command(sink, words, deadline):
 * Send a command, whose ${words} end with NULL.  Return whether Redis has done
 * it; sink_reason says why not.
 */
bool sink_command(struct sink * sink, const char * const * words,
    int64_t deadline);

/**
 * sink_probe(sink, deadline):
 * Return whether Redis is there and takes changes.
 */
bool sink_probe(struct sink * sink, int64_t deadline);


/**
 * sink_reason(sink):
 * Return the reason of the last failure.
 */
const char * sink_reason(const struct sink * sink);

/**
 * sink_free(sink):
 * Free the sink and its connection.
 */
void sink_free(struct sink * sink);

#endif
