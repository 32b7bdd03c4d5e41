#ifndef FLAGTALLY_JSON_ERROR_H
#define FLAGTALLY_JSON_ERROR_H

/*
 * Translates yajl's error messages, and says which byte each one is about.
 */
struct json_error_fault {
	const char * yajl;		/* A part of yajl's message. */
	const char * detail;
	enum {
		JSON_ERROR_STOPPED,	/* The byte where yajl stopped. */
		JSON_ERROR_BEFORE,	/* The byte before it. */
		JSON_ERROR_TOKEN,	/* The first of the token just read. */
		JSON_ERROR_AT,		/* The first of the token to which yajl
					 * has moved back, or nearly. */
	} place;
};

/**
 * json_error_fault(message):
 * Return the entry for a message of yajl.
 */
const struct json_error_fault * json_error_fault(const char * message);

#endif
