#include <string.h>

#include "lib/json/json_strict.h"

/*
 * A state machine over the few bytes that matter.  Outside an escape it skips
 * ahead with memchr, so a body without backslashes, the usual case, costs three
 * calls of memchr.
 */
enum {
	TEXT,			/* Not in an escape. */
	ESCAPE,			/* After a backslash. */
	DIGITS,			/* In the four digits after \u. */
	PAIR,			/* After a high surrogate: a \ must follow. */
	PAIR_ESCAPE,		/* After that backslash: a 'u' must follow. */
};

void
json_strict_init(struct json_strict * strict)
{

	memset(strict, 0, sizeof(*strict));
	strict->state = TEXT;
}

/* The first occurrence of a byte, or the end of the text. */
static size_t
find_byte(const unsigned char * text, size_t from, size_t length, int byte)
{
	const unsigned char * found = memchr(text + from, byte, length - from);

	return (found == NULL ? length : (size_t)(found - text));
}

/*
 * The first byte from ${from} on that matters outside an escape, or the end.
 * \f and \v, which yajl accepts as white space, are searched for only once per
 * buffer (${space} is the first of them): repeating the search after each
 * escape would be quadratic.
 */
static size_t
next_of_interest(const unsigned char * text, size_t from, size_t length,
    size_t * space)
{

	if (*space < from || from == 0)
		*space = find_byte(text, from,
		    find_byte(text, from, length, '\f'),
		    '\v');
	return (find_byte(text, from, *space, '\\'));
}

static bool
fault_at(struct json_strict * strict, uint64_t offset, const char * detail)
{

	strict->offset = offset;
	strict->detail = detail;
	return (false);
}

static bool
lone_high(struct json_strict * strict)
{

	return (fault_at(strict, strict->high,
	    "a high surrogate is not followed by a low one"));
}

/* Check a complete UTF-16 unit. */
static bool
check_unit(struct json_strict * strict)
{
	bool high = strict->unit >= 0xd800 && strict->unit <= 0xdbff;
	bool low = strict->unit >= 0xdc00 && strict->unit <= 0xdfff;

	if (strict->after_high && !low)
		return (lone_high(strict));
	if (!strict->after_high && low)
		return (fault_at(strict, strict->escape,
		    "a low surrogate does not follow a high one"));
	strict->after_high = high;
	strict->high = strict->escape;
	strict->state = high ? PAIR : TEXT;
	return (true);
}

static bool
take_digit(struct json_strict * strict, unsigned char c)
{

	if (c >= '0' && c <= '9')
		c = (unsigned char)(c - '0');
	else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		c = (unsigned char)((c | 0x20) - 'a' + 10);
	else {
		/* Not a valid escape; yajl reports it. */
		strict->state = TEXT;
		strict->after_high = false;
		return (true);
	}
	strict->unit = strict->unit << 4 | c;
	if (++strict->digits < 4)
		return (true);
	return (check_unit(strict));
}

static void
begin_escape(struct json_strict * strict, uint64_t position, unsigned int state)
{

	strict->escape = position;
	strict->state = state;
}

/* Advance by one byte.  Return false if the text is invalid. */
static bool
take_byte(struct json_strict * strict, uint64_t position, unsigned char c)
{

	switch (strict->state) {
	case TEXT:
		if (c == '\\') {
			begin_escape(strict, position, ESCAPE);
			return (true);
		}
		if (c == '\f' || c == '\v')
			return (fault_at(strict, position, c == '\f' ?
			    "a form feed is not white space in JSON" :
			    "a vertical tab is not white space in JSON"));
		return (true);
	case PAIR:
		if (c != '\\')
			return (lone_high(strict));
		begin_escape(strict, position, PAIR_ESCAPE);
		return (true);
	case ESCAPE:
	case PAIR_ESCAPE:
		if (c != 'u' && strict->state == PAIR_ESCAPE)
			return (lone_high(strict));
		strict->state = c == 'u' ? DIGITS : TEXT;
		strict->digits = 0;
		strict->unit = 0;
		return (true);
	default:
		return (take_digit(strict, c));
	}
}

/* No JSON text begins with 0xfe or 0xff. */
static bool
is_utf16(struct json_strict * strict, unsigned char c)
{

	if (strict->position != 0 || (c != 0xfe && c != 0xff))
		return (false);
	fault_at(strict, 0, "the body begins with a byte-order mark of UTF-16, "
	    "but must be UTF-8");
	return (true);
}

size_t
json_strict_scan(struct json_strict * strict, const unsigned char * text,
    size_t length)
{
	size_t space = 0;
	size_t i = 0;

	if (length > 0 && is_utf16(strict, text[0]))
		return (0);
	while (i < length) {
		if (strict->state == TEXT) {
			i = next_of_interest(text, i, length, &space);
			if (i == length)
				break;
		}
		if (!take_byte(strict, strict->position + i, text[i]))
			break;
		i++;
	}
	strict->position += i;
	return (i);
}

bool
json_strict_forgive(struct json_strict * strict)
{

	switch (strict->state) {
	case PAIR:
		strict->state = TEXT;
		strict->after_high = false;
		return (true);
	case PAIR_ESCAPE:
		strict->state = ESCAPE;
		strict->after_high = false;
		return (true);
	case DIGITS:
		/* The last digit comes again, and then the unit is right. */
		strict->digits--;
		strict->unit >>= 4;
		strict->after_high = !strict->after_high;
		return (true);
	default:
		return (false);
	}
}
