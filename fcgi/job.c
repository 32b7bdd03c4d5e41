#include <errno.h>
#include <fcgiapp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/job.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

/*
 * libfcgi's accept blocks, and binds a connection to a thread.  So flagtally
 * accepts connections itself, and lends one to a request by setting ipcFd,
 * which libfcgi makes public for this purpose; with a listening socket of -1
 * libfcgi never accepts one itself.  It reads parameters that were collected
 * from a file in memory, and everything else from the connection.
 *
 * Time-outs of the socket would cost two system calls for each connection.
 * Instead, job_break_off is called for all jobs each second, and shuts a late
 * connection down, so that a thread that blocks in read or write returns.
 */

/* Milliseconds that libfcgi waits for the close of a peer that broke the
 * protocol.  All others linger in conn, without a thread. */
#define LINGER_MAX "10"

int
job_setup(void)
{

	/* Its default would hold a thread for two seconds. */
	if (setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", LINGER_MAX, 0) == 0 &&
	    FCGX_Init() == 0)
		return (0);
	log_error("cannot wait for requests: %s", strerror(errno));
	return (-1);
}

void
job_init(struct job * job)
{

	memset(job, 0, sizeof(*job));
	job->fcgi = alloc_zeroed(1, sizeof(*job->fcgi));
	FCGX_InitRequest(job->fcgi, JOB_NONE, 0);
	job->fcgi->ipcFd = JOB_NONE;
	job->descriptor = JOB_NONE;
	request_init(&job->request);
	job->request.ticket.owner = job;
	pthread_mutex_init(&job->lock, NULL);
}

void
job_free(struct job * job)
{

	FCGX_Free(job->fcgi, 0);
	free(job->fcgi);
	request_free(&job->request);
	pthread_mutex_destroy(&job->lock);
}

static void
set_descriptor(struct job * job, int descriptor)
{

	pthread_mutex_lock(&job->lock);
	job->descriptor = descriptor;
	pthread_mutex_unlock(&job->lock);
}

static void
begin_exchange(struct job * job, int descriptor, int64_t since,
    int64_t time_max)
{
	struct cgi * cgi = &job->request.cgi;

	pthread_mutex_lock(&job->lock);
	memset(cgi, 0, sizeof(*cgi));
	cgi->fcgi = job->fcgi;
	cgi->began = since;
	cgi->time_max = time_max;
	cgi->unread = -1;
	cgi->reading = true;
	job->moved = clock_monotonic();
	job->received = 0;
	job->broken_off = false;
	job->descriptor = descriptor;
	pthread_mutex_unlock(&job->lock);
}

/* Have libfcgi read the parameters.  Return false if it cannot. */
static bool
accept_request(struct job * job, int descriptor, const struct params * params,
    bool large)
{
	int file = JOB_NONE;
	bool accepted;

	if (params != NULL) {
		file = params_file(params, large);
		if (file == JOB_NONE)
			return (false);
	}
	job->fcgi->ipcFd = file == JOB_NONE ? descriptor : file;
	job->fcgi->keepConnection = 1;
	accepted = FCGX_Accept_r(job->fcgi) == 0;
	job->request.cgi.reading = false;
	if (accepted && file != JOB_NONE)
		close(file);
	/* It has closed a connection with an invalid request. */
	job->fcgi->ipcFd = accepted ? descriptor : JOB_NONE;
	return (accepted);
}

bool
job_begin(struct job * job, int descriptor, struct params * params, bool large,
    int64_t time_max)
{
	bool accepted;

	begin_exchange(job, descriptor, params == NULL ? clock_monotonic() :
	    params_since(params), time_max);
	accepted = accept_request(job, descriptor, params, large);
	params_free(params);
	if (!accepted)
		set_descriptor(job, JOB_NONE);
	return (accepted);
}

/*
 * Return whether another response can be sent without blocking: a peer that
 * does not read our responses must not block a thread with the next one.
 */
static bool
peer_can_read(int descriptor)
{
	struct pollfd peer = { .fd = descriptor, .events = POLLOUT };

	return (poll(&peer, 1, 0) == 1 && (peer.revents & POLLOUT) != 0);
}

/*
 * Like FCGX_Finish_r, but leave the connection open.  Send the response first,
 * since the rest of the body may arrive late or never.  Send the end of the
 * request last: only then may the peer send its next request, and libfcgi must
 * not read a part of that with the rest of this one.
 */
bool
job_end(struct job * job)
{
	struct cgi * cgi = &job->request.cgi;
	FCGX_Request * fcgi = job->fcgi;
	bool usable = fcgi->keepConnection;

	cgi->writing = clock_monotonic();
	usable = FCGX_FFlush(fcgi->out) == 0 && usable;
	cgi_discard(cgi);
	usable = FCGX_FClose(fcgi->err) == 0 && usable;
	usable = FCGX_FClose(fcgi->out) == 0 && usable;
	usable = usable && cgi->ended && !cgi->failed &&
	    FCGX_GetError(fcgi->in) == 0 && peer_can_read(fcgi->ipcFd);
	set_descriptor(job, JOB_NONE);
	FCGX_Free(fcgi, 0);
	fcgi->ipcFd = JOB_NONE;
	return (usable);
}

/* Return whether nothing has arrived for too long. */
static bool
is_silent(struct job * job, int64_t now)
{
	int64_t received = job->request.cgi.received;

	if (received != job->received) {
		job->received = received;
		job->moved = now;
	}
	return (now - job->moved >= JOB_RECEIVE_TIMEOUT);
}

static bool
is_late(struct job * job, int64_t now, int64_t time_max)
{
	const struct cgi * cgi = &job->request.cgi;

	return (cgi->reading && (cgi->began + time_max <= now ||
	    cgi_deadline(cgi) <= now || is_silent(job, now)));
}

void
job_break_off(struct job * job, int64_t now, int64_t time_max)
{
	int64_t writing;

	pthread_mutex_lock(&job->lock);
	writing = job->request.cgi.writing;
	if (job->descriptor == JOB_NONE)
		;
	else if (writing != 0 && now - writing >= JOB_SEND_TIMEOUT)
		shutdown(job->descriptor, SHUT_RDWR);
	else if (is_late(job, now, time_max)) {
		/* libfcgi writes while it reads, if the peer queries values. */
		shutdown(job->descriptor, job->broken_off ? SHUT_RDWR :
		    SHUT_RD);
		job->broken_off = true;
	}
	pthread_mutex_unlock(&job->lock);
}
