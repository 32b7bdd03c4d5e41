#ifndef FLAGTALLY_JOB_H
#define FLAGTALLY_JOB_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/params.h"
#include "fcgi/request.h"

/*
 * A FastCGI request on its connection.  Its memory is reused for the next one.
 * While it is being committed, no thread belongs to it.
 */
struct job {
	struct job * next;		/* For the pool. */
	struct FCGX_Request * fcgi;
	struct request request;

	pthread_mutex_t lock;		/* Guards what follows. */
	int descriptor;			/* Of the connection, or JOB_NONE. */
	int64_t received, moved;	/* Bytes of the body at the last look,
					 * and when there were fewer. */
	bool broken_off;
};

#define JOB_NONE (-1)

/* Milliseconds after which a peer is given up that sends nothing, or does not
 * read a piece of our response. */
#define JOB_RECEIVE_TIMEOUT 10000
#define JOB_SEND_TIMEOUT 2000

/**
 * job_setup():
 * Initialize libfcgi, and set the variable of the environment that it reads.
 * No other thread may run yet, since getaddrinfo reads the environment.  Return
 * 0; on error, log and return -1.
 */
int job_setup(void);

/**
 * job_init(job):
 * job_free(job):
 * Initialize a job, and free what it holds.
 */
void job_init(struct job * job);
void job_free(struct job * job);

/**
 * job_begin(job, descriptor, params, time_max):
 * Begin the request that arrives over ${descriptor}, within ${time_max}
 * milliseconds beside those for its body.  ${params} is NULL if its parameters
 * are still in the socket; else they are freed.  With ${large}, read no further
 * than its beginning.  Return false if there is no valid request; then the
 * connection is unusable.
 */
bool job_begin(struct job * job, int descriptor, struct params * params,
    bool large, int64_t time_max);

/**
 * job_end(job):
 * Send the rest of the response, and free the request.  The caller owns the
 * connection again.  Return whether it can serve another request: its peer
 * keeps it open and reads our responses, and all of this request has arrived.
 * Never wait for the rest of a body.
 */
bool job_end(struct job * job);

/**
 * job_break_off(job, now, time_max):
 * Break the request off if it is too late at ${now}: if it is still arriving
 * after its deadline, or after ${time_max} milliseconds, if nothing has
 * arrived for JOB_RECEIVE_TIMEOUT, or if its peer does not read the response.
 * Its thread still responds, if the peer lets it; if not, a second call ends
 * that, too.  Any thread may call this at any time.
 */
void job_break_off(struct job * job, int64_t now, int64_t time_max);

#endif
