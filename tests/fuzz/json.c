#include "lib/json/json.h"
#include "tests/fuzz/fault.h"

/*
 * The reader of JSON against a parser of RFC 8259 that is as plain as can be:
 * what one takes the other must take, and what one rejects the other must.
 * The first byte of the input says how the text is cut into pieces.
 */
#define DEPTH 8

struct plain {
	const uint8_t * at, * end;
	unsigned int depth;
};

static bool value(struct plain * plain);

static void
space(struct plain * plain)
{

	while (plain->at < plain->end && (*plain->at == ' ' ||
	    *plain->at == '\t' || *plain->at == '\n' || *plain->at == '\r'))
		plain->at++;
}

static bool
take(struct plain * plain, uint8_t c)
{

	if (plain->at == plain->end || *plain->at != c)
		return (false);
	plain->at++;
	return (true);
}

static bool
word(struct plain * plain, const char * text)
{

	for (; *text != '\0'; text++)
		if (!take(plain, (uint8_t)*text))
			return (false);
	return (true);
}

static bool
unit(struct plain * plain, unsigned int * code)
{
	unsigned int i;

	*code = 0;
	for (i = 0; i < 4; i++) {
		uint8_t c = plain->at < plain->end ? *plain->at++ : 0;

		*code *= 16;
		if (c >= '0' && c <= '9')
			*code += c - 48u;
		else if (c >= 'a' && c <= 'f')
			*code += c - 87u;	/* From a on. */
		else if (c >= 'A' && c <= 'F')
			*code += c - 55u;	/* From A on. */
		else
			return (false);
	}
	return (true);
}

static bool
escape(struct plain * plain)
{
	unsigned int code;

	if (plain->at == plain->end)
		return (false);
	if (*plain->at != 'u')
		return (strchr("\"\\/bfnrt", *plain->at) != NULL &&
		    *plain->at++ != '\0');
	plain->at++;
	if (!unit(plain, &code) || (code >= 0xdc00 && code <= 0xdfff))
		return (false);
	if (code < 0xd800 || code > 0xdbff)
		return (true);
	return (word(plain, "\\u") && unit(plain, &code) && code >= 0xdc00 &&
	    code <= 0xdfff);
}

static bool
string(struct plain * plain)
{
	const uint8_t * start = plain->at;

	if (!take(plain, '"'))
		return (false);
	while (plain->at < plain->end && *plain->at != '"') {
		if (*plain->at < 0x20)
			return (false);
		if (*plain->at++ == '\\' && !escape(plain))
			return (false);
	}
	return (take(plain, '"') &&
	    fuzz_utf8(start, (size_t)(plain->at - start)));
}

static bool
digits(struct plain * plain)
{
	const uint8_t * start = plain->at;

	while (plain->at < plain->end && *plain->at >= '0' &&
	    *plain->at <= '9')
		plain->at++;
	return (plain->at > start);
}

static bool
number(struct plain * plain)
{

	take(plain, '-');
	if (!take(plain, '0') && !digits(plain))
		return (false);
	if (take(plain, '.') && !digits(plain))
		return (false);
	if (!take(plain, 'e') && !take(plain, 'E'))
		return (true);
	if (!take(plain, '+'))
		take(plain, '-');
	return (digits(plain));
}

static bool
members(struct plain * plain, bool named, uint8_t close)
{

	if (plain->depth++ == DEPTH)
		return (false);
	space(plain);
	if (!take(plain, close)) {
		do {
			space(plain);
			if (named) {
				if (!string(plain))
					return (false);
				space(plain);
				if (!take(plain, ':'))
					return (false);
			}
			if (!value(plain))
				return (false);
		} while (take(plain, ','));
		if (!take(plain, close))
			return (false);
	}
	plain->depth--;
	return (true);
}

static bool
value(struct plain * plain)
{
	bool valid;

	space(plain);
	if (plain->at == plain->end)
		return (false);
	switch (*plain->at) {
	case '{':
		plain->at++;
		valid = members(plain, true, '}');
		break;
	case '[':
		plain->at++;
		valid = members(plain, false, ']');
		break;
	case '"':
		valid = string(plain);
		break;
	case 't':
		valid = word(plain, "true");
		break;
	case 'f':
		valid = word(plain, "false");
		break;
	case 'n':
		valid = word(plain, "null");
		break;
	default:
		valid = number(plain);
		break;
	}
	space(plain);
	return (valid);
}

static bool
is_plain_json(const uint8_t * bytes, size_t length)
{
	struct plain plain = { bytes, bytes + length, 0 };

	if (length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
		plain.at += 3;
	return (value(&plain) && plain.at == plain.end);
}

/* The events, as a number that depends on each of them. */
static void
note(void * context, char kind, const char * text, size_t length)
{
	uint64_t * sum = context;
	size_t i;

	*sum = (*sum ^ (uint8_t)kind) * 0x100000001b3;
	for (i = 0; i < length; i++)
		*sum = (*sum ^ (uint8_t)text[i]) * 0x100000001b3;
}

static bool
on_null(void * context)
{

	note(context, 'z', NULL, 0);
	return (true);
}

static bool
on_boolean(void * context, bool is)
{

	note(context, is ? 't' : 'f', NULL, 0);
	return (true);
}

static bool
on_number(void * context, const char * text, size_t length)
{

	note(context, 'n', text, length);
	return (true);
}

static bool
on_string(void * context, const char * text, size_t length)
{

	must(fuzz_utf8(text, length));
	note(context, 's', text, length);
	return (true);
}

static bool
on_key(void * context, const char * text, size_t length)
{

	must(fuzz_utf8(text, length));
	note(context, 'k', text, length);
	return (true);
}

static bool
on_object_start(void * context)
{

	note(context, '{', NULL, 0);
	return (true);
}

static bool
on_object_end(void * context)
{

	note(context, '}', NULL, 0);
	return (true);
}

static bool
on_array_start(void * context)
{

	note(context, '[', NULL, 0);
	return (true);
}

static bool
on_array_end(void * context)
{

	note(context, ']', NULL, 0);
	return (true);
}

static const struct json_handler handler = {
	.null = on_null,
	.boolean = on_boolean,
	.number = on_number,
	.string = on_string,
	.key = on_key,
	.object_start = on_object_start,
	.object_end = on_object_end,
	.array_start = on_array_start,
	.array_end = on_array_end,
};

static bool
read_text(struct arena * arena, const uint8_t * bytes, size_t length,
    size_t piece, struct fault * fault, uint64_t * sum)
{
	struct json * json;
	size_t at, size;
	bool valid = true;

	memset(fault, 0, sizeof(*fault));
	*sum = 0;
	json = json_create(arena, &handler, sum, DEPTH, fault);
	for (at = 0; valid && at < length; at += size) {
		char * copy;

		size = length - at < piece ? length - at : piece;
		copy = fuzz_exact(bytes + at, size);
		valid = json_feed(json, copy, size);
		free(copy);
	}
	valid = valid && json_finish(json);
	arena_reset(arena);
	return (valid);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	static struct arena * arena;
	struct fuzz fuzz = { bytes, length };
	size_t piece = 1 + fuzz_byte(&fuzz) % 32;
	struct fault cut, whole;
	uint64_t cut_sum, whole_sum;
	bool valid;

	/* It differs from the plain parser in its limits, and means to. */
	if (length > 2048)
		return (0);
	if (arena == NULL)
		arena = arena_create(65536);
	valid = read_text(arena, fuzz.bytes, fuzz.length, piece, &cut,
	    &cut_sum);
	must(read_text(arena, fuzz.bytes, fuzz.length, 4096, &whole,
	    &whole_sum) == valid);
	must(cut_sum == whole_sum || !valid);
	must(valid == is_plain_json(fuzz.bytes, fuzz.length));
	fault_must_equal(&cut, &whole);
	if (!valid)
		fault_must_fit(&cut, fuzz.length);
	return (0);
}
