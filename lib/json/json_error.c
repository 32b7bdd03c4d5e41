#include <string.h>

#include "lib/json/json_error.h"

static const struct json_error_fault faults[] = {
	{ "invalid char in", "an unexpected byte",
	    JSON_ERROR_BEFORE },
	{ "inside a string, '\\'", "an unknown escape in a string",
	    JSON_ERROR_STOPPED },
	{ "invalid character inside", "a control character in a string",
	    JSON_ERROR_STOPPED },
	{ "invalid (non-hex)", "an escape without four hexadecimal digits",
	    JSON_ERROR_STOPPED },
	{ "invalid string in", "neither true, false nor null",
	    JSON_ERROR_STOPPED },
	{ "malformed number", "a number that lacks a digit",
	    JSON_ERROR_STOPPED },
	{ "probable comment", "a comment is not JSON", JSON_ERROR_STOPPED },
	{ "object key and value", "a colon must follow the name",
	    JSON_ERROR_TOKEN },
	{ "after key and value",
	    "a comma or a closing brace must follow", JSON_ERROR_AT },
	{ "after array element",
	    "a comma or a closing bracket must follow", JSON_ERROR_TOKEN },
	{ "invalid object key", "a name must be a string", JSON_ERROR_TOKEN },
	{ "", "not JSON", JSON_ERROR_TOKEN },
};

const struct json_error_fault *
json_error_fault(const char * message)
{
	const struct json_error_fault * fault = faults;

	while (strstr(message, fault->yajl) == NULL)
		fault++;
	return (fault);
}
