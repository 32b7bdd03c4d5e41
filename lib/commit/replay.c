#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/crashpoint.h"
#include "lib/base/log.h"
#include "lib/base/thread.h"
#include "lib/commit/replay.h"
#include "lib/redis/commands.h"

/*
 * Exactly once, from the spool.  Counts in the journal and in cells were never
 * sent.  One transaction turns cells into calls: it removes the cells and adds
 * the calls with their identity, before the first byte of them is sent
 * (take_cells).  Calls are sent unchanged, again and again, until Redis has
 * answered them, and each is removed by its own answer (send_calls).  A process
 * that is killed meanwhile leaves calls that the next one sends again: Redis
 * recognizes them by their identity (see sink.c), and applies none twice.
 *
 * A tag with unsettled calls gets no new ones, so that the slots of this writer
 * are free when they are assigned.  So a call that Redis rejects for now holds
 * up only its own tag.
 *
 * The removal of settled calls is synced before Redis is asked to forget their
 * writers (sink_settled).  Otherwise, if the power failed and the host was away
 * for longer than that takes, the calls would be there again and Redis would
 * not know them.  Until then Redis keeps a key for each slot that a writer has
 * used under a tag, of about 250 bytes.
 *
 * Redis forgets a writer after COMMANDS_WRITER_LIFETIME.  Calls that are nearly
 * as old by its clock are quarantined: whether they were applied can no
 * longer be found out.
 *
 * One process at a time folds and replays, under a lease that ends with it.
 * This only saves work: if two processes send the same calls, Redis applies
 * them once, and a transaction fails if another process has changed its cells,
 * or has removed a call that it moves to quarantine or gives another identity.
 *
 * Steps are small, so that requests do not wait for them: one transaction of
 * the spool changes some hundred cells, or adds as many calls as Redis applies
 * in some milliseconds.  While requests are being committed, replay pauses
 * after each sending for as long as that took.
 */

/* The most calls to load at once, and about the most bytes. */
#define CALLS_MAX 128
#define CALLS_BYTES ((size_t)1024 * 1024)

/* Counters to take at once, about; fewer if the spool has no room. */
#define TAKE_COUNTERS 2000
#define TAKE_COUNTERS_MIN 50

/* Calls in the first sending, before the speed of Redis is known. */
#define WINDOW_FIRST 16

/* Steps of fold, and of replay, that alternate. */
#define FOLD_STEPS 100
#define REPLAY_STEPS 32

/* The intervals below are in milliseconds. */

/* Between two probes of a Redis that is away. */
#define PROBE_INTERVAL 200

/* Between two folds of the journal. */
#define FOLD_INTERVAL 1000

/* Until calls that Redis rejects for now are sent again; doubles each time. */
#define STUCK_INTERVAL 1000
#define STUCK_INTERVAL_MAX 60000

/* The limit for a sending, and for SETTLED commands after it. */
#define SEND_TIME_MAX 4000
#define SETTLE_TIME_MAX 500

/* Leave time to requests until this long after the last commit. */
#define LIVE_TIME 1000
#define PAUSE_MAX 250

#define KEEP_BYTES ((size_t)256 * 1024)

/* A call of the spool that is loaded into the sink. */
struct loaded {
	int64_t id;
	int64_t tag;
	int64_t since;
	uint64_t counters;
};

/* The state of a replay, with or without a thread (replay_all). */
struct replay_worker {
	struct sink * sink;
	struct spool * spool;
	struct stats * stats;
	struct arena * arena;		/* For the tally of taken cells. */
	struct loaded loaded[CALLS_MAX];	/* As in the sink. */
	size_t count;
	size_t bytes;
	bool more;			/* Not all calls were loaded. */
	struct spool_call unusable;	/* A call that cannot be sent. */
	size_t window;			/* Calls in a sending. */
	int64_t took;			/* Milliseconds of the last one. */
	int64_t stuck;			/* Calls up to this one wait */
	int64_t stuck_until;		/* until this time, */
	int64_t stuck_interval;		/* longer each time. */
	int64_t tag;			/* The tag that was taken last. */
	size_t take;			/* Counters to take. */
	uint64_t replayed;		/* Calls. */
	int64_t next_fold;
};

struct replay {
	pthread_t thread;
	pthread_mutex_t lock;		/* Held to set these two. */
	pthread_cond_t stop;
	_Atomic bool stopping;
	bool ended;
	int64_t interval;
	_Atomic bool lost;
	_Atomic bool doubted;		/* Since then no call was taken. */
	bool away;			/* The last probe failed. */
	_Atomic int64_t live;		/* When a group was committed last. */
	struct replay_worker worker;
};

/* Calls */

/* Load a call into the sink; if it cannot be sent, keep it with the reason. */
static bool
load_call(void * context, const struct spool_call * call)
{
	struct replay_worker * worker = context;
	const char * why;

	/* The spool may have started again, with another file. */
	if (worker->count > 0 &&
	    call->id <= worker->loaded[worker->count - 1].id)
		return (true);
	if (worker->count == CALLS_MAX || worker->bytes > CALLS_BYTES) {
		worker->more = true;
		return (false);
	}
	why = sink_load(worker->sink, call->bytes, call->length,
	    call->stored);
	if (why != NULL) {
		/* Quarantine it before the calls after it are loaded. */
		worker->unusable = *call;
		worker->unusable.reason = why;
		worker->unusable.bytes = alloc_copy(call->bytes, call->length);
		worker->more = true;
		return (false);
	}
	worker->loaded[worker->count++] = (struct loaded){ call->id,
	    call->tag, call->since, call->counters };
	worker->bytes += call->length;
	return (true);
}

static enum replay_result
quarantine_unusable(struct replay_worker * worker)
{
	struct spool_call * call = &worker->unusable;
	struct spool_change change = { .settled = &call->id,
	    .settled_count = 1, .refused = call, .refused_count = 1 };
	enum spool_result result;

	log_error_limited("a call in the spool is quarantined: %s",
	    call->reason);
	result = spool_change(worker->spool, &change);
	if (result == SPOOL_DONE)
		stats_add(worker->stats, STATS_SPOOLED_QUARANTINED, 1);
	free((void *)(uintptr_t)call->bytes);
	memset(call, 0, sizeof(*call));
	return (result == SPOOL_DONE ? REPLAY_BUSY : REPLAY_NO_SPOOL);
}

/*
 * Send the calls, a window at a time.  The window grows if Redis answers in
 * time, and shrinks if it does not.
 */
static enum sink_result
send_loaded(struct replay_worker * worker)
{
	int64_t began = clock_monotonic();
	int64_t deadline = began + SEND_TIME_MAX;
	enum sink_result result = SINK_APPLIED;
	size_t sent = 0;

	while (result == SINK_APPLIED && sent < worker->count &&
	    clock_remaining(deadline) > 0) {
		result = sink_send(worker->sink, worker->window, deadline);
		sent += worker->window;
		if (result == SINK_APPLIED && worker->window < CALLS_MAX)
			worker->window *= 2;
		else if (!sink_answered(worker->sink) && worker->window > 1)
			worker->window /= 2;
	}
	worker->took = clock_monotonic() - began;
	return (result);
}

/* The change that settles the calls. */
struct settling {
	int64_t ids[CALLS_MAX];
	struct spool_call refused[CALLS_MAX];
	struct spool_call again[CALLS_MAX];	/* With a new identity. */
	struct spool_change change;
	uint64_t counters;
};

static void
settle_call(struct replay_worker * worker, struct settling * settling, size_t i,
    bool foreign)
{
	const struct call * call = sink_call(worker->sink, i);
	const struct loaded * loaded = &worker->loaded[i];
	struct spool_call record = { .tag = loaded->tag,
	    .since = loaded->since, .stored = sink_time(worker->sink, call),
	    .counters = loaded->counters,
	    .reason = call->reason, .bytes = sink_bytes(worker->sink, call),
	    .length = call->length };

	if (call->outcome == CALL_OPEN && !foreign)
		return;
	settling->ids[settling->change.settled_count++] = loaded->id;
	if (foreign)
		settling->again[settling->change.call_count++] = record;
	else if (call->outcome == CALL_REFUSED)
		settling->refused[settling->change.refused_count++] = record;
	else
		settling->counters += loaded->counters;
}

/* Remove the settled calls; return their number, or -1 if the spool fails. */
static int64_t
settle_loaded(struct replay_worker * worker)
{
	struct settling * settling = alloc_zeroed(1, sizeof(*settling));
	struct spool_change * change = &settling->change;
	bool foreign[CALLS_MAX] = { false };
	enum spool_result result = SPOOL_DONE;
	int64_t count;
	size_t i;

	for (i = 0; i < worker->count; i++)
		foreign[i] = sink_call(worker->sink, i)->outcome ==
		    CALL_FOREIGN;
	sink_readdress(worker->sink);
	for (i = 0; i < worker->count; i++)
		settle_call(worker, settling, i, foreign[i]);
	change->settled = settling->ids;
	change->refused = settling->refused;
	change->calls = settling->again;
	count = (int64_t)change->settled_count;
	CRASH_POINT("replay-sent");
	if (count > 0)
		result = spool_change(worker->spool, change);
	CRASH_POINT("replay-removed");
	if (result == SPOOL_DONE) {
		stats_add(worker->stats, STATS_COUNTERS_APPLIED,
		    settling->counters);
		stats_add(worker->stats, STATS_REPLAYED, (uint64_t)count);
		stats_add(worker->stats, STATS_SPOOLED_QUARANTINED,
		    change->refused_count);
		worker->replayed += (uint64_t)count;
	} else
		count = -1;
	free(settling);
	return (count);
}

/* If Redis replies, but rejects these calls for now, continue with others. */
static enum replay_result
leave_stuck(struct replay_worker * worker)
{
	static struct log_limit limit;
	uint64_t more;

	if (!sink_answered(worker->sink) || !sink_probe(worker->sink,
	    clock_monotonic() + SEND_TIME_MAX))
		return (REPLAY_NO_REDIS);
	if (log_allowed(&limit, &more))
		log_warning("Redis rejects some calls for now; others "
		    "continue: %s", sink_reason(worker->sink));
	/* The first that are left set the time for all after them. */
	if (worker->stuck == 0) {
		worker->stuck_interval = worker->stuck_interval == 0 ?
		    STUCK_INTERVAL : worker->stuck_interval * 2;
		if (worker->stuck_interval > STUCK_INTERVAL_MAX)
			worker->stuck_interval = STUCK_INTERVAL_MAX;
		worker->stuck_until = clock_monotonic() +
		    worker->stuck_interval;
	}
	worker->stuck = worker->loaded[worker->count - 1].id;
	return (REPLAY_BUSY);
}

/*
 * Send calls of the spool.  Return REPLAY_DONE if there are none but stuck
 * ones.
 */
static enum replay_result
send_calls(struct replay_worker * worker)
{
	enum sink_result result;
	int64_t settled;

	if (worker->stuck != 0 && clock_monotonic() >= worker->stuck_until)
		worker->stuck = 0;
	sink_clear(worker->sink);
	worker->count = worker->bytes = 0;
	worker->more = false;
	if (spool_read(worker->spool, SPOOL_IN_DOUBT, worker->stuck,
	    load_call, worker) != SPOOL_DONE)
		return (REPLAY_NO_SPOOL);
	if (worker->unusable.reason != NULL)
		return (quarantine_unusable(worker));
	if (worker->count == 0)
		return (REPLAY_DONE);
	result = send_loaded(worker);
	settled = settle_loaded(worker);
	if (settled < 0)
		return (REPLAY_NO_SPOOL);
	if (result == SINK_APPLIED) {
		sink_settled(worker->sink, clock_monotonic() +
		    SETTLE_TIME_MAX);
		if (worker->stuck == 0)
			worker->stuck_interval = 0;
	}
	if (result == SINK_APPLIED || settled > 0)
		return (REPLAY_BUSY);
	return (leave_stuck(worker));
}

/* Cells */

static int64_t
tag_of(const struct spool_batch * batch, const struct call * call)
{
	size_t i;

	for (i = 0; i < batch->count; i++)
		if (batch->tags[i].node == call->node)
			return (batch->tags[i].tag);
	return (0);
}

/* Replace the cells in the spool by the sink's calls. */
static enum replay_result
store_calls(struct replay_worker * worker, const struct tally * tally,
    const struct spool_batch * batch)
{
	size_t count = sink_count(worker->sink);
	struct spool_call * calls = alloc_zeroed(count + 1, sizeof(*calls));
	struct spool_change change = { .taken = batch, .calls = calls,
	    .call_count = count };
	enum spool_result result;
	size_t i;

	for (i = 0; i < count; i++) {
		const struct call * call = sink_call(worker->sink, i);

		calls[i] = (struct spool_call){ .tag = tag_of(batch, call),
		    .since = clock_now_ms(),
		    .stored = sink_time(worker->sink, call),
		    .counters = i == 0 ? tally->counters : 0,
		    .bytes = sink_bytes(worker->sink, call),
		    .length = call->length };
	}
	CRASH_POINT("replay-taken");
	result = spool_change(worker->spool, &change);
	CRASH_POINT("replay-stored");
	free(calls);
	if (result == SPOOL_FULL && worker->take > TAKE_COUNTERS_MIN) {
		worker->take /= 4;
		return (REPLAY_BUSY);
	}
	if (result == SPOOL_DONE && worker->take < TAKE_COUNTERS)
		worker->take *= 2;
	return (result == SPOOL_DONE || result == SPOOL_CHANGED ?
	    REPLAY_BUSY : REPLAY_NO_SPOOL);
}

/*
 * Turn some cells into calls with an identity.  Return REPLAY_DONE if there are
 * no cells.
 */
static enum replay_result
take_cells(struct replay_worker * worker)
{
	enum replay_result result = REPLAY_DONE;
	struct spool_batch batch;
	struct tally * tally;

	arena_reset(worker->arena);
	tally = tally_create(worker->arena);
	if (spool_take(worker->spool, worker->tag, worker->take, tally,
	    &batch) != SPOOL_DONE)
		return (REPLAY_NO_SPOOL);
	if (batch.count > 0) {
		if (sink_prepare(worker->sink, tally, clock_monotonic() +
		    SEND_TIME_MAX)) {
			stats_dropped(worker->stats, tally->dropped);
			result = store_calls(worker, tally, &batch);
		} else
			result = REPLAY_NO_REDIS;
	} else if (worker->tag != 0)
		result = REPLAY_BUSY;
	worker->tag = batch.after;
	sink_clear(worker->sink);
	spool_release(&batch);
	return (result);
}

/* Send some calls, or take some cells.  Return REPLAY_BUSY if there may be
 * more. */
static enum replay_result
replay_step(struct replay_worker * worker)
{
	enum replay_result result = send_calls(worker);

	return (result == REPLAY_DONE ? take_cells(worker) : result);
}

/* Fold some of the journal.  Return whether there is more. */
static bool
fold_steps(struct replay_worker * worker, bool begin)
{
	bool more = true;
	size_t i;

	for (i = 0; i < FOLD_STEPS && more; i++)
		if (spool_fold(worker->spool, begin && i == 0, &more) !=
		    SPOOL_DONE && !more)
			return (false);
	return (more);
}

/* The thread */

static void
init_worker(struct replay_worker * worker, struct sink * sink,
    struct spool * spool, struct stats * stats)
{

	memset(worker, 0, sizeof(*worker));
	worker->sink = sink;
	worker->spool = spool;
	worker->stats = stats;
	worker->arena = arena_create(KEEP_BYTES);
	worker->window = WINDOW_FIRST;
	worker->take = TAKE_COUNTERS;
}

/* Wait until this time, or until replay_stop. */
static void
pause_replay(struct replay * replay, int64_t until)
{

	pthread_mutex_lock(&replay->lock);
	while (!replay->stopping &&
	    thread_wait(&replay->stop, &replay->lock, until))
		;
	pthread_mutex_unlock(&replay->lock);
}

/* Limits the lines about groups that Redis did not take. */
static struct log_limit lost_limit;

static void
log_found(void)
{

	log_ended(&lost_limit);
	log_info_limited("Redis takes changes again");
}

/*
 * Probe a Redis that was lost, by this process or by one that has noted so and
 * may have ended since.  If it serves, calls are tried again; but unless
 * probes had failed, too, only a call that it takes shows that they succeed.
 */
static void
look_for_redis(struct replay * replay)
{
	struct replay_worker * worker = &replay->worker;

	if (!replay->lost &&
	    stats_get_gauge(worker->stats, STATS_REDIS_DOWN) == 0)
		return;
	if (!sink_probe(worker->sink, clock_monotonic() + SEND_TIME_MAX)) {
		replay->away = replay->lost;
		return;
	}
	if (replay->away)
		log_found();
	replay->away = false;
	replay->lost = false;
}

/* While requests are being committed, leave half of the time to them. */
static void
yield_to_requests(struct replay * replay)
{
	int64_t now = clock_monotonic();
	int64_t pause = replay->worker.took;

	replay->worker.took = 0;
	if (pause > 0 && replay->live != 0 && now - replay->live < LIVE_TIME)
		pause_replay(replay, now + (pause < PAUSE_MAX ? pause :
		    PAUSE_MAX));
}

static enum replay_result
replay_steps(struct replay * replay)
{
	enum replay_result result = REPLAY_BUSY;
	size_t i;

	for (i = 0; i < REPLAY_STEPS && result == REPLAY_BUSY &&
	    !replay->lost && !replay->stopping; i++) {
		uint64_t before = replay->worker.replayed;

		result = replay_step(&replay->worker);
		if (replay->worker.replayed != before)
			replay_redis_took(replay);
		yield_to_requests(replay);
	}
	if (result == REPLAY_NO_REDIS)
		replay_redis_lost(replay);
	return (replay->lost ? REPLAY_NO_REDIS : result);
}

/* Test a spool that stored nothing when it was last used. */
static void
look_for_spool(struct replay_worker * worker)
{

	if (stats_get_gauge(worker->stats, STATS_SPOOL_RESULT) != SPOOL_DONE)
		stats_spool(worker->stats, spool_test(worker->spool));
}

/* Fold and replay what has gathered. */
static void
replay_pass(struct replay * replay)
{
	struct replay_worker * worker = &replay->worker;
	int64_t now = clock_monotonic();
	enum replay_result result = REPLAY_BUSY;
	bool begin = true;
	bool fold = now >= worker->next_fold;

	if (!spool_lock(worker->spool))
		return;
	if (fold)
		worker->next_fold = now + (replay->interval < FOLD_INTERVAL ?
		    replay->interval : FOLD_INTERVAL);
	do {
		fold = fold && fold_steps(worker, begin);
		begin = false;
		if (result == REPLAY_BUSY || (fold && result == REPLAY_DONE))
			result = replay_steps(replay);
	} while (!replay->stopping && (fold || result == REPLAY_BUSY));
	spool_unlock(worker->spool);
}

static void *
replay_thread(void * context)
{
	struct replay * replay = context;
	int64_t began;

	/* Wait for the interval even if there is more to do: more counters
	 * gather meanwhile, and equal ones add up. */
	do {
		began = clock_monotonic();
		look_for_redis(replay);
		look_for_spool(&replay->worker);
		replay_pass(replay);
		pause_replay(replay, began + (replay->lost ? PROBE_INTERVAL :
		    replay->interval));
	} while (!replay->stopping);
	pthread_mutex_lock(&replay->lock);
	replay->ended = true;
	pthread_cond_signal(&replay->stop);
	pthread_mutex_unlock(&replay->lock);
	return (NULL);
}

static void
free_replay(struct replay * replay)
{

	arena_free(replay->worker.arena);
	sink_free(replay->worker.sink);
	spool_free(replay->worker.spool);
	pthread_mutex_destroy(&replay->lock);
	pthread_cond_destroy(&replay->stop);
	free(replay);
}

struct replay *
replay_start(struct sink * sink, struct spool * spool, struct stats * stats,
    int64_t interval)
{
	struct replay * replay = alloc_zeroed(1, sizeof(*replay));
	int error;

	init_worker(&replay->worker, sink, spool, stats);
	replay->interval = interval;
	pthread_mutex_init(&replay->lock, NULL);
	thread_init_condition(&replay->stop);
	error = pthread_create(&replay->thread, NULL, replay_thread, replay);
	if (error == 0)
		return (replay);
	free_replay(replay);
	errno = error;
	return (NULL);
}

void
replay_redis_lost(struct replay * replay)
{

	if (replay != NULL)
		replay->lost = replay->doubted = true;
}

void
replay_redis_took(struct replay * replay)
{

	if (replay == NULL || !replay->doubted)
		return;
	replay->lost = replay->doubted = false;
	if (log_ended(&lost_limit))
		log_found();
}

void
replay_log_lost(const char * reason)
{

	log_limited(&lost_limit, LOG_LEVEL_WARNING, "Redis did not take a "
	    "group in time, so it went to the spool: %s", reason);
}

bool
replay_redis_serves(const struct replay * replay)
{

	return (replay == NULL || !replay->lost);
}

void
replay_live(struct replay * replay)
{

	if (replay != NULL)
		replay->live = clock_monotonic();
}

bool
replay_stop(struct replay * replay, int64_t deadline)
{

	if (replay == NULL)
		return (true);
	pthread_mutex_lock(&replay->lock);
	replay->stopping = true;
	pthread_cond_signal(&replay->stop);
	pthread_mutex_unlock(&replay->lock);
	if (!thread_join(replay->thread, &replay->stop, &replay->lock,
	    &replay->ended, deadline))
		return (false);
	free_replay(replay);
	return (true);
}

/* Without a thread */

static void
report_progress(struct replay_worker * worker, replay_progress * progress,
    void * context)
{
	struct spool_depth depth[SPOOL_STATE_COUNT];

	if (progress != NULL &&
	    spool_depth(worker->spool, depth) == SPOOL_DONE)
		progress(context, worker->replayed,
		    depth[SPOOL_QUEUED].records +
		    depth[SPOOL_IN_DOUBT].records);
}

enum replay_result
replay_all(struct sink * sink, struct spool * spool, struct stats * stats,
    replay_progress * progress, void * context)
{
	enum replay_result result = REPLAY_BUSY;
	struct replay_worker worker;
	bool begin = true;
	bool fold = true;
	size_t i;

	if (!spool_lock(spool))
		return (REPLAY_BUSY);
	init_worker(&worker, sink, spool, stats);
	if (!sink_probe(sink, clock_monotonic() + SEND_TIME_MAX))
		result = REPLAY_NO_REDIS;
	while (fold || result == REPLAY_BUSY) {
		fold = fold && fold_steps(&worker, begin);
		begin = false;
		if (fold && result == REPLAY_DONE)
			result = REPLAY_BUSY;
		for (i = 0; i < REPLAY_STEPS && result == REPLAY_BUSY; i++)
			result = replay_step(&worker);
		report_progress(&worker, progress, context);
	}
	if (result == REPLAY_DONE && worker.stuck != 0)
		result = REPLAY_NO_REDIS;
	arena_free(worker.arena);
	spool_unlock(spool);
	return (result);
}

void
replay_fold(struct spool * spool, int64_t deadline)
{
	bool more = true;
	bool begin = true;

	if (!spool_lock(spool))
		return;
	while (more && clock_remaining(deadline) > 0) {
		if (spool_fold(spool, begin, &more) != SPOOL_DONE)
			break;
		begin = false;
	}
	spool_unlock(spool);
}
