#ifndef FLAGTALLY_CGI_H
#define FLAGTALLY_CGI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The input and output of one request, over FastCGI or as plain CGI (RFC 3875)
 * through the environment, standard input and standard output.
 */
struct cgi;
struct cors;
struct FCGX_Request;

/*
 * A body can take a millisecond longer for each this many bytes: enough for
 * a slow client, while one that sends a byte now and then does not hold a
 * thread for ever.
 */
#define CGI_BYTES_PER_MS 64

/* Most bytes of a body to discard to keep a FastCGI connection. */
#define CGI_DISCARD_MAX ((size_t)256 * 1024)

struct cgi {
	struct FCGX_Request * fcgi;	/* NULL: plain CGI. */
	int64_t began;			/* On the clock of deadlines. */
	int64_t time_max;		/* Milliseconds to arrive, beside those
					 * for its body. */
	_Atomic int64_t received;	/* Bytes of the body. */
	_Atomic bool reading;		/* It is still arriving. */
	_Atomic int64_t writing;	/* Since when a piece of the response is
					 * being sent; 0: none is. */
	int64_t unread;			/* CGI: bytes of the body left, or -1
					 * if unknown. */
	const struct cors * cors;	/* Of the path; NULL: there is none. */
	int status;			/* Of the response; 0: none yet. */
	bool ended;			/* The body was read to its end. */
	bool failed;			/* The connection is unusable. */
};

/**
 * cgi_parameter(cgi, name):
 * Return a CGI meta-variable, or NULL if there is none.
 */
const char * cgi_parameter(const struct cgi * cgi,
    const char * name);

/**
 * cgi_deadline(cgi):
 * Return the time by which the next bytes of the request have to arrive.  Any
 * thread may call this.
 */
int64_t cgi_deadline(const struct cgi * cgi);

/**
 * cgi_wipe(cgi, name):
 * Overwrite a meta-variable, so that it is empty, and the buffers that it came
 * through.
 */
void cgi_wipe(const struct cgi * cgi, const char * name);

enum cgi_status {
	CGI_MORE,		/* There are bytes. */
	CGI_END,		/* The body has ended. */
	CGI_BROKEN,		/* The peer broke off. */
	CGI_LATE,		/* The peer takes too long. */
};

/**
 * cgi_read(cgi, bytes, size, length):
 * Read up to ${size} bytes of the body, and set ${length} to their number.
 */
enum cgi_status cgi_read(struct cgi * cgi, void * bytes,
    size_t size, size_t * length);

/**
 * cgi_discard(cgi):
 * Discard what has arrived of a FastCGI request's body, without blocking, and
 * at most CGI_DISCARD_MAX bytes.  Set cgi->ended if that was its end, so that
 * the connection can serve the next request; otherwise set cgi->failed.
 */
void cgi_discard(struct cgi * cgi);

/**
 * cgi_write(cgi, bytes, length):
 * Send bytes of the response.  Return 0, or -1 if the peer is gone.
 */
int cgi_write(struct cgi * cgi, const void * bytes,
    size_t length);

/**
 * cgi_is_abandoned(cgi):
 * Return whether the web server has given up a request whose body has been
 * read: it has closed or reset the connection.  A web server that has closed
 * only its own direction, or sent an abort record, still reads the response.
 */
bool cgi_is_abandoned(const struct cgi * cgi);

/**
 * cgi_end_response(cgi):
 * End the response of a CGI program before the program ends.
 */
void cgi_end_response(const struct cgi * cgi);

#endif
