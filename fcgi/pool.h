#ifndef FLAGTALLY_POOL_H
#define FLAGTALLY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/job.h"

/*
 * The threads that serve requests, and the jobs that they share: which thread
 * does what next.  Any thread may call these functions, but for what they say
 * of a member only that one.
 */
struct pool;

/* A thread of the crew. */
struct member {
	struct job * job;		/* Its own now; NULL: it has none. */

	/* The crew's. */
	struct member * next;
	bool lent;			/* The committer has its job now. */
	bool active;
	int64_t since;			/* When its event came; 0: none did. */
};

/* What a thread is to do. */
enum duty {
	DUTY_NONE,
	DUTY_POLL,			/* Wait for an event, and act on it. */
	DUTY_CONCLUDE,			/* Answer the request of its job. */
	DUTY_END,
};

/**
 * pool_create(count):
 * Return a crew of ${count} threads, who have yet to join it.
 */
struct pool * pool_create(size_t count);

/**
 * pool_join(pool, member):
 * Here is a thread; ${member} is all zero and must outlive the crew.
 */
void pool_join(struct pool * pool, struct member * member);

/**
 * pool_next(pool, member):
 * Give back the member's job, if it has one, and wait for its next duty, never
 * DUTY_NONE.  It has a job for it, unless that is DUTY_END.
 */
enum duty pool_next(struct pool * pool, struct member * member);

/**
 * pool_polled(pool, member):
 * An event has come to the member, and only what takes no time follows.
 */
void pool_polled(struct pool * pool, struct member * member);

/**
 * pool_step_aside(pool, member):
 * What follows may take its time.
 */
void pool_step_aside(struct pool * pool, struct member * member);

/**
 * pool_lend(member):
 * The member's job has been handed to the committer.
 */
void pool_lend(struct member * member);

/**
 * pool_take_back(pool, tickets):
 * The committer hands back jobs, the owners of ${tickets}.
 */
void pool_take_back(void * pool, struct commit_ticket * tickets);

/**
 * pool_is_held(pool):
 * Return whether no thread could serve a request now.
 */
bool pool_is_held(struct pool * pool);

/**
 * pool_is_quiet(pool, events):
 * Return whether no request is in hand, and in ${events} how many events have
 * come so far.  If it is so twice with the same number, none came in between.
 */
bool pool_is_quiet(struct pool * pool, size_t * events);

/**
 * pool_relieve(pool, now):
 * To be called about once a second: let others go on where a thread takes
 * longer than it was thought to.
 */
void pool_relieve(struct pool * pool, int64_t now);

/**
 * pool_break_off(pool, now, time_max):
 * Do job_break_off for all jobs.
 */
void pool_break_off(struct pool * pool, int64_t now, int64_t time_max);

/**
 * pool_stop(pool):
 * From now on the duty is to conclude what has been handed to the committer,
 * and then to end.
 */
void pool_stop(struct pool * pool);

/**
 * pool_free(pool):
 * Free the crew, and its jobs, when all threads have ended.
 */
void pool_free(struct pool * pool);

#endif
