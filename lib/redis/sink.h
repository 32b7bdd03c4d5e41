#ifndef FLAGTALLY_SINK_H
#define FLAGTALLY_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/redis/contract.h"
#include "lib/redis/redis.h"
#include "lib/stats/stats.h"
#include "lib/tally/tally.h"

/*
 * The sink puts tallies into Redis: it knows the keys (version 1 of the
 * contract with readers, see README.md), and how a tally gets there exactly
 * once.  It belongs to one thread.
 */
struct sink;

enum sink_result {
	SINK_APPLIED,		/* All is in Redis but for what was refused. */
	SINK_UNSENT,		/* Nothing has been sent. */
	SINK_UNKNOWN,		/* Calls are left whose fate is not known. */
};

/*
 * Takes a call that Redis refuses for good (a key of another type, say) and so
 * has not applied: its bytes, as sink_load takes them, and Redis' words.
 * Returns true if it is kept, so that it is not lost.
 */
typedef bool sink_refused(void * context, const void * bytes, size_t length,
    const char * reason);

/**
 * sink_create(settings, redis):
 * Return a sink that writes over ${redis}, which it takes over.  ${settings}
 * must outlive it.
 */
struct sink * sink_create(const struct sink_settings * settings,
    struct redis * redis);

/**
 * sink_on_refusal(sink, refused, context):
 * Hand what is refused from now on to ${refused}.  What that does not keep is
 * lost; the log says so, and its nodes in the tally are marked as refused.
 */
void sink_on_refusal(struct sink * sink, sink_refused * refused,
    void * context);

/**
 * sink_hasten(sink, hasty):
 * The caller has another place for what Redis does not take in the time that is
 * usual for it: from now on give up as soon as it does not (session.h).
 */
void sink_hasten(struct sink * sink, bool hasty);

/**
 * sink_commit(sink, tally, deadline):
 * Put ${tally} into Redis by ${deadline}.  Return SINK_APPLIED if all of it is
 * there exactly once, but for what was refused.  What was dropped on the way
 * is added to the tally's dropped.  After SINK_UNKNOWN the calls that are left
 * can be had from sink_left; to send them again, ${tally} must still be there,
 * or sink_detach have been called.
 */
enum sink_result sink_commit(struct sink * sink, struct tally * tally,
    int64_t deadline);

/**
 * sink_detach(sink):
 * The tally that was to be committed goes away.  Calls of it that are left can
 * still be sent; what becomes of them is told to nobody.
 */
void sink_detach(struct sink * sink);

/**
 * sink_prepare(sink, tally, deadline):
 * Make of ${tally} calls of a new writer, ready for sink_left and sink_send,
 * but send none of them.  Return false if Redis could not be asked by
 * ${deadline} which applications it admits.
 */
bool sink_prepare(struct sink * sink, struct tally * tally, int64_t deadline);

/**
 * sink_load(sink, bytes, length):
 * Make ready calls that sink_left has given, for sink_send.  Return NULL, or a
 * static text that says what is wrong with the bytes.
 */
const char * sink_load(struct sink * sink, const void * bytes, size_t length);

/**
 * sink_send(sink, deadline):
 * Send the calls that are ready once.  Return SINK_APPLIED, or SINK_UNKNOWN if
 * some are left, which may be sent again.
 */
enum sink_result sink_send(struct sink * sink, int64_t deadline);

/**
 * sink_left(sink, bytes):
 * Append the calls that are not settled to ${bytes}, with their identity.
 * Return their number.
 */
size_t sink_left(const struct sink * sink, struct buffer * bytes);

/**
 * sink_new_writer(sink):
 * Take a new identity: the calls that are left are somebody else's now.
 */
void sink_new_writer(struct sink * sink);

/**
 * sink_readdress(sink):
 * Give the calls that are ready, of which none may have been applied, a new
 * identity.
 */
void sink_readdress(struct sink * sink);

/**
 * sink_retire(sink, deadline):
 * The sink commits no more.  If nothing is left of its last commit, have Redis
 * forget its writer, which nobody will hear of again; it would forget it by
 * itself after a month.
 */
void sink_retire(struct sink * sink, int64_t deadline);

/**
 * sink_settled(sink, deadline):
 * The calls that were ready are all applied or refused, and nobody will send
 * them again.  Have Redis forget their writer within the hour: by then no copy
 * of them can be on its way any more.  If this cannot be done by ${deadline}
 * Redis forgets it after a month.
 */
void sink_settled(struct sink * sink, int64_t deadline);

/**
 * sink_probe(sink, deadline):
 * Return whether Redis is there and takes changes.
 */
bool sink_probe(struct sink * sink, int64_t deadline);

/**
 * sink_settings_of(sink):
 * Return the settings of a sink.
 */
const struct sink_settings * sink_settings_of(const struct sink * sink);

/**
 * sink_reason(sink):
 * Return a text that says what went wrong last.
 */
const char * sink_reason(const struct sink * sink);

/**
 * sink_free(sink):
 * Free the sink and its connection.
 */
void sink_free(struct sink * sink);

#endif
