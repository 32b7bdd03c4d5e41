#ifndef FLAGTALLY_JSON_ERROR_H
#define FLAGTALLY_JSON_ERROR_H

/*
 * What yajl says of a text that it does not understand, in our words, and where
 * the byte at fault is.
 */
struct json_error_fault {
	const char * yajl;		/* Part of its message. */
	const char * detail;
	enum {
		JSON_ERROR_STOPPED,		/* Where yajl has stopped, */
		JSON_ERROR_BEFORE,		/* the byte before, */
		JSON_ERROR_TOKEN,	/* the first of the token that it has */
		JSON_ERROR_AT,		/* just read, or to which it has gone
					 * back, or nearly. */
	} place;
};

/**
 * json_error_fault(message):
 * Return what a message of yajl means.
 */
const struct json_error_fault * json_error_fault(const char * message);

#endif
