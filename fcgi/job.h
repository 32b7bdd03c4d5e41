#ifndef FLAGTALLY_JOB_H
#define FLAGTALLY_JOB_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/params.h"
#include "fcgi/request.h"

/*
 * A request that came over FastCGI, on its connection, and what is kept for the
 * next one.  While it is being committed no thread belongs to it.
 */
struct job {
	struct job * next;		/* The server's. */
	struct FCGX_Request * fcgi;
	struct request request;

	pthread_mutex_t lock;		/* Guards what follows. */
	int descriptor;			/* Of the connection, or JOB_NONE. */
	int64_t received, moved;	/* Bytes of the body, and when that
					 * number was seen first. */
	bool broken_off;
};

#define JOB_NONE (-1)

/* A peer that sends nothing, or does not read an answer, which is small, for
 * so many milliseconds is given up. */
#define JOB_RECEIVE_TIMEOUT 10000
#define JOB_SEND_TIMEOUT 2000

/**
 * job_setup():
 * Make libfcgi ready, also by what it looks for in the environment.  No other
 * thread may run yet: each that looks up a host's name reads that.  Return 0,
 * or -1 after the log has said why.
 */
int job_setup(void);

/**
 * job_init(job):
 * job_free(job):
 * Make a job ready, and free what it holds.
 */
void job_init(struct job * job);
void job_free(struct job * job);

/**
 * job_begin(job, descriptor, params, time_max):
 * Take up the request that arrives over ${descriptor}, in ${time_max}
 * milliseconds at most beside those for its body; its ${params} is NULL if it
 * is still to be read, and freed.  With ${large}, it is read no further.
 * Return false if there is no request; the connection is of no more use then.
 */
bool job_begin(struct job * job, int descriptor, struct params * params,
    bool large, int64_t time_max);

/**
 * job_end(job):
 * Send what is left of the answer, and forget the request.  Return whether the
 * connection, which is the caller's again, can serve another request: its peer
 * keeps it and reads its answers, and all of this request has arrived.  The
 * rest of a body is never waited for.
 */
bool job_end(struct job * job);

/**
 * job_break_off(job, now, time_max):
 * Have a request end that is too late at ${now}: one that is still arriving
 * after its deadline, or for ${time_max} milliseconds, or not at all for
 * JOB_RECEIVE_TIMEOUT, and one whose peer does not take the answer.  It is
 * answered if it can be; that may take a second call, some time later.  Any
 * thread may call this at any time.
 */
void job_break_off(struct job * job, int64_t now, int64_t time_max);

#endif
