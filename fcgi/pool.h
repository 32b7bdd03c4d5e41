#ifndef FLAGTALLY_POOL_H
#define FLAGTALLY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/job.h"

/*
 * The threads that serve requests, and the jobs that they share: the pool
 * decides what each thread does next.  Any thread may call these functions, but
 * only a worker itself may pass itself as ${worker}.
 */
struct pool;

/* A thread of the pool. */
struct worker {
	struct job * job;		/* Its job now; NULL: none. */

	/* For the pool alone. */
	struct worker * next;
	bool detached;			/* The committer has its job now. */
	bool active;
	int64_t since;			/* When its event arrived; 0: none
					 * has. */
};

/* The next task of a thread. */
enum task {
	TASK_NONE,
	TASK_POLL,			/* Wait for an event, and act on it. */
	TASK_CONCLUDE,			/* Answer the request of its job. */
	TASK_EXIT,
};

/**
 * pool_create(count):
 * Return a pool for ${count} threads, which have yet to join it.
 */
struct pool * pool_create(size_t count);

/**
 * pool_join(pool, worker):
 * Add a thread; ${worker} must be all zero and outlive the pool.
 */
void pool_join(struct pool * pool, struct worker * worker);

/**
 * pool_next(pool, worker):
 * Take the worker's job back, if it has one, and wait for its next task.
 * Return that task, which is never TASK_NONE; unless it is TASK_EXIT, the
 * worker has a job for it.
 */
enum task pool_next(struct pool * pool, struct worker * worker);

/**
 * pool_note_event(pool, worker):
 * Note that the worker got an event, and that it is about to handle it without
 * blocking.
 */
void pool_note_event(struct pool * pool, struct worker * worker);

/**
 * pool_release_slot(pool, worker):
 * Give the worker's place among the active threads to another thread: the
 * worker may block from now on.
 */
void pool_release_slot(struct pool * pool, struct worker * worker);

/**
 * pool_detach_job(worker):
 * Note that the worker's job was handed to the committer.
 */
void pool_detach_job(struct worker * worker);

/**
 * pool_complete_jobs(pool, tickets):
 * Queue the jobs that own ${tickets}, which the committer is done with, to be
 * concluded.
 */
void pool_complete_jobs(void * pool, struct commit_ticket * tickets);

/**
 * pool_is_saturated(pool):
 * Return whether no thread could serve a request now.
 */
bool pool_is_saturated(struct pool * pool);

/**
 * pool_is_idle(pool, events):
 * Return whether no request is being served, and set ${events} to the number of
 * events so far.  If the pool is idle twice with the same number, there was no
 * request in between.
 */
bool pool_is_idle(struct pool * pool, size_t * events);

/**
 * pool_reclaim_slots(pool, now):
 * Release the slots of workers that have been busy for too long.  To be called
 * about once a second.
 */
void pool_reclaim_slots(struct pool * pool, int64_t now);

/**
 * pool_break_off(pool, now, time_max):
 * Call job_break_off for all jobs.
 */
void pool_break_off(struct pool * pool, int64_t now, int64_t time_max);

/**
 * pool_stop(pool):
 * From now on, conclude the jobs that the committer has, and then exit.
 */
void pool_stop(struct pool * pool);

/**
 * pool_free(pool):
 * Free the pool, which can be NULL, and its jobs.  All threads must have ended.
 */
void pool_free(struct pool * pool);

#endif
