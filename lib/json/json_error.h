#ifndef FLAGTALLY_JSON_ERROR_H
#define FLAGTALLY_JSON_ERROR_H

/*
 * What yajl says of a text that it does not understand, in our words, and where
 * the byte at fault is.
 */
struct syntax_fault {
	const char * yajl;		/* Part of its message. */
	const char * detail;
	enum {
		SYNTAX_STOPPED,		/* Where yajl has stopped, */
		SYNTAX_BEFORE,		/* the byte before, */
		SYNTAX_TOKEN,		/* the first of the token that it has */
		SYNTAX_AT,		/* just read, or to which it has gone
					 * back, or nearly. */
	} place;
};

/**
 * syntax_fault(message):
 * Return what a message of yajl means.
 */
const struct syntax_fault * syntax_fault(const char * message);

#endif
