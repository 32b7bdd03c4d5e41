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
is_digit(char c)
{

	return (c >= '0' && c <= '9');
}

/* The state of a number after one more byte, or BETWEEN if it has ended. */
static unsigned int
number_step(unsigned int state, char c)
{
	bool digit = is_digit(c);
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
begin(struct json_token * lexeme, char c, uint64_t position)
{

	if (c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
	    lexeme->misplaced)
		return;
	lexeme->start = position;
	lexeme->first = c;
	lexeme->misplaced = lexeme->value && c != ',' && c != ':' &&
	    c != ']' && c != '}';
	lexeme->value = c != ',' && c != ':' && c != '[' && c != '{';
	if (c == '"')
		lexeme->state = STRING;
	else if (c == '-' || is_digit(c))
		lexeme->state = c == '-' ? MINUS : c == '0' ? ZERO : DIGITS;
	else if (c == 't' || c == 'f' || c == 'n') {
		lexeme->state = LITERAL;
		lexeme->left = c == 'f' ? 4 : 3;
	}
}

static void
step(struct json_token * lexeme, char c, uint64_t position)
{

	switch (lexeme->state) {
	case STRING:
		if (c == '\\')
			lexeme->state = ESCAPE;
		else if (c == '"')
			lexeme->state = BETWEEN;
		return;
	case ESCAPE:
		lexeme->state = STRING;
		return;
	case LITERAL:
		if (--lexeme->left == 0)
			lexeme->state = BETWEEN;
		return;
	case BETWEEN:
		begin(lexeme, c, position);
		return;
	default:
		lexeme->state = number_step(lexeme->state, c);
		/* What has ended it is not part of it. */
		if (lexeme->state == BETWEEN)
			begin(lexeme, c, position);
		return;
	}
}

void
json_token_read(struct json_token * lexeme, const char * text,
    uint64_t position,
    size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		step(lexeme, text[i], position + i);
}

bool
json_token_open(const struct json_token * lexeme)
{

	return (lexeme->state != BETWEEN);
}
