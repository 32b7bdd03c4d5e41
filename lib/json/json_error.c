#include <string.h>

#include "lib/json/json_error.h"

static const struct syntax_fault faults[] = {
	{ "invalid char in", "a byte that cannot stand here", SYNTAX_BEFORE },
	{ "inside a string, '\\'", "an unknown escape in a string",
	    SYNTAX_STOPPED },
	{ "invalid character inside", "a control character in a string",
	    SYNTAX_STOPPED },
	{ "invalid (non-hex)", "an escape without four hexadecimal digits",
	    SYNTAX_STOPPED },
	{ "invalid string in", "neither true, false nor null",
	    SYNTAX_STOPPED },
	{ "malformed number", "a number that lacks a digit", SYNTAX_STOPPED },
	{ "probable comment", "a comment is not JSON", SYNTAX_STOPPED },
	{ "object key and value", "a colon must follow the name",
	    SYNTAX_TOKEN },
	{ "after key and value",
	    "a comma or a closing brace must stand here", SYNTAX_AT },
	{ "after array element",
	    "a comma or a closing bracket must stand here", SYNTAX_TOKEN },
	{ "invalid object key", "a name must be a string", SYNTAX_TOKEN },
	{ "", "not JSON", SYNTAX_TOKEN },
};

const struct syntax_fault *
syntax_fault(const char * message)
{
	const struct syntax_fault * fault = faults;

	while (strstr(message, fault->yajl) == NULL)
		fault++;
	return (fault);
}
