#include "lib/json/json_token.h"

enum {
	BETWEEN,
	STRING,
	ESCAPE,			/* In a string, after a backslash. */
	LITERAL,
	MINUS,			/* In a number, after what the name says. */
	ZERO,
	DIGITS,
	POINT,
	FRACTION,
	EXPONENT,
	EXPONENT_SIGN,
	EXPONENT_DIGITS,
};

static bool
token_is_digit(char c)
{

	return (c >= '0' && c <= '9');
}

/* The state of a number after one more byte; BETWEEN if the number ended. */
static unsigned int
number_step(unsigned int state, char c)
{
	bool digit = token_is_digit(c);
	bool exponent = c == 'e' || c == 'E';

	switch (state) {
	case MINUS:
		return (c == '0' ? ZERO : digit ? DIGITS : BETWEEN);
	case DIGITS:
		if (digit)
			return (DIGITS);
		/* FALLTHROUGH */
	case ZERO:
		return (c == '.' ? POINT : exponent ? EXPONENT : BETWEEN);
	case POINT:
		return (digit ? FRACTION : BETWEEN);
	case FRACTION:
		return (digit ? FRACTION : exponent ? EXPONENT : BETWEEN);
	case EXPONENT:
		if (c == '+' || c == '-')
			return (EXPONENT_SIGN);
		/* FALLTHROUGH */
	default:
		return (digit ? EXPONENT_DIGITS : BETWEEN);
	}
}

/* The first byte of a token, or white space. */
static void
begin_token(struct json_token * token, char c, uint64_t position)
{

	if (c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
	    token->misplaced)
		return;
	token->start = position;
	token->first = c;
	token->misplaced = token->value && c != ',' && c != ':' &&
	    c != ']' && c != '}';
	token->value = c != ',' && c != ':' && c != '[' && c != '{';
	if (c == '"')
		token->state = STRING;
	else if (c == '-' || token_is_digit(c))
		token->state = c == '-' ? MINUS : c == '0' ? ZERO : DIGITS;
	else if (c == 't' || c == 'f' || c == 'n') {
		token->state = LITERAL;
		token->left = c == 'f' ? 4 : 3;
	}
}

static void
step(struct json_token * token, char c, uint64_t position)
{

	switch (token->state) {
	case STRING:
		if (c == '\\')
			token->state = ESCAPE;
		else if (c == '"')
			token->state = BETWEEN;
		return;
	case ESCAPE:
		token->state = STRING;
		return;
	case LITERAL:
		if (--token->left == 0)
			token->state = BETWEEN;
		return;
	case BETWEEN:
		begin_token(token, c, position);
		return;
	default:
		token->state = number_step(token->state, c);
		/* The byte that ended the number is not part of it. */
		if (token->state == BETWEEN)
			begin_token(token, c, position);
		return;
	}
}

void
json_token_read(struct json_token * token, const char * text,
    uint64_t position,
    size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		step(token, text[i], position + i);
}

bool
json_token_open(const struct json_token * token)
{

	return (token->state != BETWEEN);
}
