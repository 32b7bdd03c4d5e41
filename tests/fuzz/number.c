#include <inttypes.h>
#include <math.h>

#include "lib/json/json.h"
#include "lib/base/number.h"
#include "lib/config/units.h"
#include "tests/fuzz/fuzz.h"

/*
 * Numbers as JSON writes them, against a slow reading with as many digits as
 * it takes; doubles that are written and read back; and quantities.
 */
#define DIGITS_MAX 600

/* What a number comes to: all its digits, and where the point is. */
struct slow {
	bool negative;
	char digits[DIGITS_MAX];
	size_t count;
	long point;			/* Digits before it. */
};

static bool
is_digit(char c)
{

	return (c >= '0' && c <= '9');
}

static size_t
take_digits(struct slow * slow, const char * at)
{
	size_t i;

	for (i = 0; is_digit(at[i]); i++)
		slow->digits[slow->count++] = at[i];
	return (i);
}

/* Read the number; false if it is none, by the grammar of RFC 8259. */
static bool
slow_read(struct slow * slow, const char * at)
{
	size_t length;
	long exponent;
	char * end;

	memset(slow, 0, sizeof(*slow));
	slow->negative = *at == '-';
	at += slow->negative;
	length = take_digits(slow, at);
	if (length == 0 || (length > 1 && *at == '0'))
		return (false);
	slow->point = (long)length;
	at += length;
	if (*at == '.') {
		length = take_digits(slow, ++at);
		if (length == 0)
			return (false);
		at += length;
	}
	if (*at == 'e' || *at == 'E') {
		at++;
		if (!is_digit(at[*at == '+' || *at == '-']))
			return (false);
		exponent = strtol(at, &end, 10);
		if (exponent > 100000 || exponent < -100000)
			exponent = exponent < 0 ? -100000 : 100000;
		slow->point += exponent;
		at = end;
	}
	return (*at == '\0');
}

static bool
slow_is_integer(const struct slow * slow)
{
	size_t i;

	for (i = 0; i < slow->count; i++)
		if ((long)i >= slow->point && slow->digits[i] != '0')
			return (false);
	return (true);
}

/* An integer's value, or false if it is no count. */
static bool
slow_count(const struct slow * slow, uint64_t * count)
{
	bool zero = true;
	size_t i;
	long at;

	for (i = 0; i < slow->count; i++)
		zero = zero && slow->digits[i] == '0';
	*count = 0;
	if (zero)
		return (true);
	if (slow->negative)
		return (false);
	for (at = 0; at < slow->point; at++) {
		unsigned int digit = (size_t)at < slow->count ?
		    (unsigned int)(slow->digits[at] - '0') : 0;

		if (*count > NUMBER_COUNT_MAX)
			return (false);
		*count = *count * 10 + digit;
	}
	return (*count <= NUMBER_COUNT_MAX);
}

static void
check_double(double value)
{
	char text[NUMBER_TEXT_MAX + 1];
	double back = 0;
	size_t length;

	if (!isfinite(value))
		return;
	memset(text, '!', sizeof(text));
	length = number_text(text, value);
	must(length > 0 && length < NUMBER_TEXT_MAX);
	must(number_double(text, length, &back) && back == value);
}

static void
check_number(const char * text, size_t length)
{
	struct slow slow;
	uint64_t count = 0, wanted = 0;
	char form[NUMBER_TEXT_MAX], wanted_form[NUMBER_TEXT_MAX];
	const char * why;
	double number = 0;

	if (length >= DIGITS_MAX || strlen(text) != length ||
	    !slow_read(&slow, text))
		return;
	why = number_count(text, length, &count);
	must(number_is_integer(text, length) == slow_is_integer(&slow));
	if (!slow_is_integer(&slow))
		must(why != NULL);
	else if (slow_count(&slow, &wanted))
		must(why == NULL && count == wanted);
	else
		must(why != NULL);
	if (number_double(text, length, &number)) {
		must(number == strtod(text, NULL));
		check_double(number);
		must(number_canonical(form, text, length) ==
		    number_text(wanted_form, number));
		must(memcmp(form, wanted_form,
		    number_text(wanted_form, number)) == 0);
	} else
		must(!isfinite(strtod(text, NULL)) &&
		    number_canonical(form, text, length) == 0);
}

static void
check_quantity(const char * text, unsigned int kind)
{
	uint64_t number = 0, again = 0;
	char digits[40];

	if (units_parse(text, kind, 3, UNITS_MAX, &number) != NULL)
		return;
	must(number >= 3 && number <= UNITS_MAX);
	snprintf(digits, sizeof(digits), kind == UNITS_MODE ?
	    "%" PRIo64 : "%" PRIu64 "%s", number,
	    kind == UNITS_DURATION ? "ms" : "");
	must(units_parse(digits, kind, 0, UNITS_MAX, &again) == NULL);
	must(again == number);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	char * text = fuzz_copy(bytes, length);
	double any;

	check_number(text, length);
	check_quantity(text, length % 4);
	if (length >= sizeof(any)) {
		memcpy(&any, bytes, sizeof(any));
		check_double(any);
	}
	free(text);
	return (0);
}
