#ifndef FLAGTALLY_REPLAY_H
#define FLAGTALLY_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/*
 * Replay brings to Redis what waits in the spool, whoever put it there.  It
 * has a connection and a thread of its own, so it never keeps requests
 * waiting, and it is the one who looks whether Redis is back.
 */
struct replay;

/**
 * replay_start(sink, spool, stats, interval):
 * Start a thread that replays, once Redis takes it, what is in the spool now
 * and what comes: every ${interval} milliseconds what has gathered.  It
 * takes over ${sink} and ${spool}, which nobody else may use.  Return NULL
 * with errno if the thread cannot be created; both are freed then.
 */
struct replay * replay_start(struct sink * sink, struct spool * spool,
    struct stats * stats, int64_t interval);

/**
 * replay_redis_lost(replay):
 * Redis did not take something in time: until it is back, replay_redis_serves
 * says false.  Any thread may call this and the next, also with NULL, for a
 * process that does not replay.
 */
void replay_redis_lost(struct replay * replay);

/**
 * replay_redis_serves(replay):
 * Return whether Redis is there, as far as is known.
 */
bool replay_redis_serves(const struct replay * replay);

/**
 * replay_stop(replay, deadline):
 * Stop the thread at the next point where nothing is half done, and free the
 * replay with its sink and spool.  Return false, with nothing freed, if it has
 * not come to one by ${deadline}; the process may end all the same, as replay
 * can be cut off anywhere.
 */
bool replay_stop(struct replay * replay, int64_t deadline);

/* Why a record is set aside of which nobody knows whether Redis has it. */
#define REPLAY_TOO_OLD "so old that nobody knows whether Redis has it"

/* How far replay_all has come. */
typedef void replay_progress(void * context, uint64_t replayed,
    uint64_t waiting);

enum replay_result {
	REPLAY_DONE,		/* Nothing waits any more. */
	REPLAY_BUSY,		/* Another process replays. */
	REPLAY_NO_REDIS,	/* Redis does not take it. */
	REPLAY_NO_SPOOL,	/* The spool cannot be used. */
};

/**
 * replay_all(sink, spool, stats, progress, context):
 * Replay everything now.  All stay the caller's.
 */
enum replay_result replay_all(struct sink * sink, struct spool * spool,
    struct stats * stats, replay_progress * progress, void * context);

#endif
