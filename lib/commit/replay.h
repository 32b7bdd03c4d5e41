#ifndef FLAGTALLY_REPLAY_H
#define FLAGTALLY_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/*
 * Replay sends the counts in the spool to Redis, whichever process stored them.
 * It has a connection and a thread of its own, so requests never wait for it.
 * It also keeps track of whether Redis is back.
 */
struct replay;

/**
 * replay_start(sink, spool, stats, interval):
 * Start a thread that folds the journal of the spool and, while Redis can be
 * reached, replays what has gathered, every ${interval} milliseconds.  It owns
 * ${sink} and ${spool} from now on.  If the thread cannot be created, free both
 * and return NULL with errno.
 */
struct replay * replay_start(struct sink * sink, struct spool * spool,
    struct stats * stats, int64_t interval);

/**
 * replay_redis_lost(replay):
 * Note that Redis did not take a group in time: replay_redis_serves returns
 * false until Redis is to be tried again.  Any thread may call this and the
 * next four functions, also with NULL, in a process that does not replay.
 */
void replay_redis_lost(struct replay * replay);

/**
 * replay_redis_took(replay):
 * Note that Redis has taken calls.  Log that it does again, after a line of
 * replay_log_lost.
 */
void replay_redis_took(struct replay * replay);

/**
 * replay_log_lost(reason):
 * Log that a group went to the spool, once in a while.
 */
void replay_log_lost(const char * reason);

/**
 * replay_redis_serves(replay):
 * Return whether Redis takes groups, as last known.
 */
bool replay_redis_serves(const struct replay * replay);

/**
 * replay_live(replay):
 * Note that a group is being committed: for a second, replay leaves half of
 * Redis's time to requests.
 */
void replay_live(struct replay * replay);

/**
 * replay_stop(replay, deadline):
 * Stop the thread after its current step, and free the replay, which may be
 * NULL, with its sink and spool.  Return false, with nothing freed, if the step
 * has not ended by ${deadline}.  The process can exit even then, since replay
 * can be killed anywhere.
 */
bool replay_stop(struct replay * replay, int64_t deadline);

/* Called with the progress of replay_all, in calls and records. */
typedef void replay_progress(void * context, uint64_t replayed,
    uint64_t waiting);

enum replay_result {
	REPLAY_DONE,		/* Nothing waits in the spool. */
	REPLAY_BUSY,		/* There is more, or another process replays. */
	REPLAY_NO_REDIS,	/* Redis does not take the counts. */
	REPLAY_NO_SPOOL,	/* The spool cannot be used. */
};

/**
 * replay_all(sink, spool, stats, progress, context):
 * Fold and replay everything now.  Without Redis, only fold, and return
 * REPLAY_NO_REDIS even if nothing waits.  The caller keeps ${sink} and
 * ${spool}.
 */
enum replay_result replay_all(struct sink * sink, struct spool * spool,
    struct stats * stats, replay_progress * progress, void * context);

/**
 * replay_fold(spool, deadline):
 * Fold the journal until ${deadline}, unless another process has the lease.
 */
void replay_fold(struct spool * spool, int64_t deadline);

#endif
