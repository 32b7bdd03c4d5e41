#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/number.h"

/* A number is digits * 10^exponent; digits has no leading or trailing 0. */
struct decimal {
	bool negative;
	const char * digits;		/* Can include the '.'. */
	size_t span;			/* Bytes from the first to the last. */
	int64_t exponent;
	int64_t count;			/* Of digits; 0 if the number is 0. */
};

/* Larger exponents do not change the value of a text of 4 KiB. */
#define EXPONENT_MAX 1000000

static int64_t
read_exponent(const char * text, const char * end)
{
	bool negative = false;
	int64_t exponent = 0;

	if (text < end && (*text == '+' || *text == '-'))
		negative = *text++ == '-';
	for (; text < end; text++)
		if (exponent < EXPONENT_MAX)
			exponent = exponent * 10 + (*text - '0');
	return (negative ? -exponent : exponent);
}

static void
decimal_read(struct decimal * decimal, const char * text, size_t length)
{
	const char * end = text + length;
	const char * point = NULL;
	const char * first = NULL;
	const char * last = NULL;
	const char * p;

	decimal->negative = text[0] == '-';
	for (p = text + decimal->negative; p < end; p++) {
		if (*p == '.') {
			point = p;
			continue;
		}
		if (*p == 'e' || *p == 'E')
			break;
		if (*p != '0') {
			first = first == NULL ? p : first;
			last = p;
		}
	}
	decimal->count = 0;
	decimal->exponent = 0;
	if (first == NULL)
		return;
	if (point == NULL)
		point = p;
	decimal->digits = first;
	decimal->span = (size_t)(last - first) + 1;
	decimal->count = last - first + 1 - (first < point && point < last);
	/* The last digit's place; 0 is the digit before the point. */
	decimal->exponent = last < point ? point - last - 1 : point - last;
	if (p < end)
		decimal->exponent += read_exponent(p + 1, end);
}

const char *
number_count_any(const char * text, size_t length, uint64_t * count)
{
	static const char range[] = "is not in 0..9007199254740991";
	struct decimal decimal;
	uint64_t value = 0;
	size_t i;

	decimal_read(&decimal, text, length);
	*count = 0;
	if (decimal.count == 0)
		return (NULL);
	if (decimal.exponent < 0)
		return ("is not an integer");
	if (decimal.negative || decimal.count + decimal.exponent > 16)
		return (range);
	for (i = 0; i < decimal.span; i++)
		if (decimal.digits[i] != '.')
			value = value * 10 +
			    (uint64_t)(decimal.digits[i] - '0');
	for (; decimal.exponent > 0; decimal.exponent--)
		value *= 10;
	if (value > NUMBER_COUNT_MAX)
		return (range);
	*count = value;
	return (NULL);
}

bool
number_is_integer(const char * text, size_t length)
{
	struct decimal decimal;

	decimal_read(&decimal, text, length);
	return (decimal.count == 0 || decimal.exponent >= 0);
}

/*
 * Most numbers have few digits: they are digits / 10^places.  Up to 15 digits
 * both are exact doubles, so the quotient is the nearest double (Clinger, "How
 * to Read Floating Point Numbers Accurately", 1990).  Up to 19 digits the
 * quotient is taken of integers and rounded here.
 */
#define EXACT_DIGITS 15
#define SHORT_DIGITS 19
#define SHORT_PLACES 18

struct short_decimal {
	bool negative;
	uint64_t digits;
	unsigned int places;		/* Digits after the point. */
};

static const uint64_t powers[SHORT_PLACES + 1] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
	1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
	100000000000000, 1000000000000000, 10000000000000000,
	100000000000000000, 1000000000000000000,
};

static bool
read_short(struct short_decimal * decimal, const char * text, size_t length)
{
	uint64_t value = 0;
	size_t point = length;
	size_t i = text[0] == '-';

	decimal->negative = i > 0;
	if (length > SHORT_DIGITS + 1 + i)
		return (false);
	for (; i < length; i++) {
		unsigned int digit = (unsigned int)text[i] - '0';

		if (digit <= 9)
			value = value * 10 + digit;
		else if (text[i] == '.')
			point = i;
		else
			return (false);
	}
	decimal->digits = value;
	decimal->places = point == length ? 0 :
	    (unsigned int)(length - point - 1);
	/* One more digit fits only in place of the point. */
	return (point < length || length <= SHORT_DIGITS);
}

/* Return digits / 10^places, which must be exact doubles. */
static double
divide_exactly(const struct short_decimal * decimal)
{

	return ((double)decimal->digits / (double)powers[decimal->places]);
}

#ifdef __SIZEOF_INT128__

__extension__ typedef unsigned __int128 wide;

/*
 * Return the double nearest to digits / 10^places, with at least 2^49 for the
 * digits.  The quotient is taken with 64 bits after the point, so it has at
 * least 54 bits.  Bits beyond the 53 of a double, and whether there is a
 * remainder, decide how to round.
 */
static double
divide_nearest(const struct short_decimal * decimal)
{
	wide numerator = (wide)decimal->digits << 64;
	wide quotient = numerator / powers[decimal->places];
	bool exact = quotient * powers[decimal->places] == numerator;
	uint64_t high = (uint64_t)(quotient >> 64);
	unsigned int bits = high != 0 ?
	    128 - (unsigned int)__builtin_clzll(high) :
	    64 - (unsigned int)__builtin_clzll((uint64_t)quotient);
	unsigned int drop = bits - DBL_MANT_DIG;
	uint64_t mantissa = (uint64_t)(quotient >> drop);
	wide half = (wide)1 << (drop - 1);
	wide rest = quotient & ((half << 1) - 1);

	if (rest > half || (rest == half && (!exact || (mantissa & 1) != 0)))
		mantissa++;
	/* These are powers of two, so nothing is rounded again. */
	return (drop < 64 ?
	    (double)mantissa / (double)((uint64_t)1 << (64 - drop)) :
	    (double)mantissa * (double)((uint64_t)1 << (drop - 64)));
}

#endif

static bool
short_double(const char * text, size_t length, double * number)
{
#if FLT_EVAL_METHOD == 0
	struct short_decimal decimal;

	if (!read_short(&decimal, text, length))
		return (false);
	if (decimal.digits < powers[EXACT_DIGITS])
		*number = divide_exactly(&decimal);
	else
#ifdef __SIZEOF_INT128__
		*number = divide_nearest(&decimal);
#else
		return (false);
#endif
	*number = decimal.negative ? -*number : *number;
	return (true);
#else
	return (false);
#endif
}

bool
number_double(const char * text, size_t length, double * number)
{
	char copy[NUMBER_LENGTH_MAX + 1];

	if (short_double(text, length, number))
		return (true);
	memcpy(copy, text, length);
	copy[length] = '\0';
	*number = strtod(copy, NULL);
	return (isfinite(*number));
}

size_t
number_text(char out[NUMBER_TEXT_MAX], double number)
{
	int precision;
	int length = 0;

	if (fabs(number) < 9007199254740992.0 && number == trunc(number))
		return ((size_t)snprintf(out, NUMBER_TEXT_MAX, "%lld",
		    (long long)number));
	for (precision = 15; precision <= 17; precision++) {
		length = snprintf(out, NUMBER_TEXT_MAX, "%.*g", precision,
		    number);
		if (strtod(out, NULL) == number)
			break;
	}
	return ((size_t)length);
}

size_t
number_canonical(char out[NUMBER_TEXT_MAX], const char * text, size_t length)
{
	struct short_decimal decimal;
	double number;

	/* Up to 15 digits, %.15g returns the same digits. */
	if (read_short(&decimal, text, length) && decimal.digits > 0 &&
	    decimal.digits < powers[EXACT_DIGITS]) {
		while (decimal.places > 0 && text[length - 1] == '0') {
			decimal.places--;
			decimal.digits /= 10;
			length--;
		}
		length -= decimal.places == 0 && text[length - 1] == '.';
		/* %g writes numbers below 0.0001 with an exponent. */
		if (decimal.places <= 4 ||
		    decimal.digits >= powers[decimal.places - 4]) {
			memcpy(out, text, length);
			return (length);
		}
	}
	if (!number_double(text, length, &number))
		return (0);
	return (number_text(out, number));
}
