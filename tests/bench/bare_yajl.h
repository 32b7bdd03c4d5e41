#ifndef FLAGTALLY_BARE_YAJL_H
#define FLAGTALLY_BARE_YAJL_H

#include <stddef.h>
#include <yajl/yajl_parse.h>

/* Callbacks that do nothing. */

static int
take_nothing(void * context)
{

	(void)context;
	return (1);
}

static int
take_boolean(void * context, int value)
{

	(void)context;
	(void)value;
	return (1);
}

static int
take_number(void * context, const char * text, size_t length)
{

	(void)context;
	(void)text;
	(void)length;
	return (1);
}

static int
take_string(void * context, const unsigned char * text, size_t length)
{

	(void)context;
	(void)text;
	(void)length;
	return (1);
}

static const yajl_callbacks bare_yajl = {
	.yajl_null = take_nothing,
	.yajl_boolean = take_boolean,
	.yajl_number = take_number,
	.yajl_string = take_string,
	.yajl_map_key = take_string,
	.yajl_start_map = take_nothing,
	.yajl_end_map = take_nothing,
	.yajl_start_array = take_nothing,
	.yajl_end_array = take_nothing,
};

#endif
