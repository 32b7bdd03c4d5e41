#ifndef FLAGTALLY_REPLAY_H
#define FLAGTALLY_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/*
 * Replay brings to Redis what waits in the spool, whichever process put it
 * there.  It has a connection and a thread of its own, so it never keeps
 * requests waiting, and it tracks whether Redis is back.
 */
struct replay;

/**
 * replay_start(sink, spool, stats, interval):
 * Start a thread that folds the journal of the spool and, once Redis takes it,
 * replays what is in the spool now and what comes: every ${interval}
 * milliseconds what has gathered.  It takes over ${sink} and ${spool}.  Return
 * NULL with errno if the thread cannot be created; both are freed then.
 */
struct replay * replay_start(struct sink * sink, struct spool * spool,
    struct stats * stats, int64_t interval);

/**
 * replay_redis_lost(replay):
 * Redis did not take something in time: until it is back, replay_redis_serves
 * returns false.  Any thread may call this and the next two, also with NULL,
 * in a process that does not replay.
 */
void replay_redis_lost(struct replay * replay);

/**
 * replay_redis_serves(replay):
 * Return whether Redis serves, as last known.
 */
bool replay_redis_serves(const struct replay * replay);

/**
 * replay_live(replay):
 * A group is being committed, so that replay leaves half of Redis's time to
 * others for a second.
 */
void replay_live(struct replay * replay);

/**
 * replay_stop(replay, deadline):
 * Stop the thread at the next point where nothing is half done, and free the
 * replay with its sink and spool.  Return false, with nothing freed, if it has
 * not come to one by ${deadline}; the process may end all the same, as replay
 * can be cut off anywhere.
 */
bool replay_stop(struct replay * replay, int64_t deadline);

/* How far replay_all has come. */
typedef void replay_progress(void * context, uint64_t replayed,
    uint64_t waiting);

enum replay_result {
	REPLAY_DONE,		/* Nothing waits any more. */
	REPLAY_BUSY,		/* There is more, or another process replays. */
	REPLAY_NO_REDIS,	/* Redis does not take it. */
	REPLAY_NO_SPOOL,	/* The spool cannot be used. */
};

/**
 * replay_all(sink, spool, stats, progress, context):
 * Fold and replay everything now.  Without Redis fold, and return
 * REPLAY_NO_REDIS even if nothing waits.  All stay the caller's.
 */
enum replay_result replay_all(struct sink * sink, struct spool * spool,
    struct stats * stats, replay_progress * progress, void * context);

/**
 * replay_fold(spool, deadline):
 * Fold the journal until ${deadline}, unless another process does.
 */
void replay_fold(struct spool * spool, int64_t deadline);

#endif
