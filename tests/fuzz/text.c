#include "lib/config/config.h"
#include "lib/base/fault.h"
#include "lib/body/prometheus.h"
#include "lib/base/escape.h"
#include "lib/redis/redis_url.h"
#include "tests/fuzz/fuzz.h"

/*
 * What makes one text of another: quoting, percent-encoding and back, URLs of
 * Redis, and the names and labels of Prometheus.  The first byte chooses.
 */
static bool
is_bare(char c)
{

	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("._~-", c) != NULL));
}

static void
check_percent(const char * text, size_t length)
{
	char * out = malloc(ESCAPE_PERCENT_ROOM(length) + 1);
	size_t used = escape_percent(out, text, length);
	size_t i;

	must(used <= ESCAPE_PERCENT_ROOM(length));
	for (i = 0; i < used; i++)
		must(is_bare(out[i]) || out[i] == '%');
	must(escape_percent_decode(out, used) == (long)length);
	must(length == 0 || memcmp(out, text, length) == 0);
	free(out);
}

static void
check_decode(const char * text, size_t length)
{
	char * copy = fuzz_exact(text, length);
	long used = escape_percent_decode(copy, length);

	must(used >= -1 && used <= (long)length);
	free(copy);
}

static void
check_json(const char * text, size_t length)
{
	char * out = malloc(ESCAPE_JSON_ROOM(length));
	size_t used, i;

	must(out != NULL);
	used = escape_json(out, text, length);
	must(used >= 2 && used <= ESCAPE_JSON_ROOM(length));
	must(out[0] == '"' && out[used - 1] == '"');
	for (i = 1; i < used - 1; i++) {
		must((uint8_t)out[i] >= 0x20);
		must(out[i] != '"');
		if (out[i] == '\\')
			i++;
	}
	must(i == used - 1);
	free(out);
}

static void
check_json_ascii(const char * text, size_t length)
{
	char * out = malloc(ESCAPE_JSON_ROOM(length));
	size_t used, i;

	must(out != NULL);
	used = escape_json_ascii(out, text, length);
	must(used >= 2 && used <= ESCAPE_JSON_ROOM(length));
	must(out[0] == '"' && out[used - 1] == '"');
	for (i = 1; i < used - 1; i++) {
		must(out[i] >= 0x20 && out[i] < 0x7f && out[i] != '"');
		if (out[i] == '\\')
			i++;
	}
	must(i == used - 1);
	free(out);
}

static void
check_fault_quote(const char * text, size_t length)
{
	char out[FAULT_QUOTE_MAX];
	size_t i;

	must(fault_quote(out, text, length) == out);
	must(strnlen(out, sizeof(out)) < sizeof(out));
	for (i = 0; out[i] != '\0'; i++)
		must(out[i] >= 0x20 && out[i] < 0x7f);
}

static void
check_url(const char * text)
{
	struct redis_address redis = { .tls = false };
	const char * why = redis_url_parse(text, &redis);

	if (why == NULL) {
		must((redis.unix_path != NULL) + (redis.host != NULL) +
		    (redis.nodes != NULL) == 1);
		must(redis.host == NULL || (redis.host[0] != '\0' &&
		    redis.port > 0 && redis.port <= 65535));
		must(redis.unix_path == NULL || redis.unix_path[0] == '/');
		must(redis.database >= 0);
	} else
		must(*why != '\0');
	redis_url_free(&redis);
}

static bool
is_name(const char * text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (!(is_bare(text[i]) && strchr(".~-", text[i]) == NULL) &&
		    text[i] != '_')
			return (false);
	return (length > 0 && !(text[0] >= '0' && text[0] <= '9'));
}

/* The texts between NULs: a label's name, its value, the next one's name... */
static size_t
split_labels(struct prometheus_label * labels, size_t most, char * text,
    size_t length)
{
	size_t count = 0;
	char * end = text + length;

	while (count < most && text < end) {
		struct prometheus_label * label = &labels[count];

		label->name_length = strnlen(text, (size_t)(end - text));
		/* Names are changed in place, so each has a copy. */
		label->name = fuzz_exact(text, label->name_length);
		text += label->name_length;
		text += text < end;
		label->value_length = strnlen(text, (size_t)(end - text));
		label->value = text;
		text += label->value_length;
		text += text < end;
		count++;
	}
	return (count);
}

/* a="b",c="d": names in their order, and values whose quotes are escaped. */
static void
check_label_text(const char * text, size_t length)
{
	const char * previous = NULL;
	size_t previous_length = 0;
	size_t i = 0;

	while (i < length) {
		const char * name = text + i;
		size_t size = 0;
		int order;

		while (i < length && text[i] != '=') {
			i++;
			size++;
		}
		must(is_name(name, size));
		order = previous == NULL ? -1 : memcmp(previous, name,
		    previous_length < size ? previous_length : size);
		must(order < 0 || (order == 0 && previous_length < size));
		previous = name;
		previous_length = size;
		must(i + 1 < length && text[++i] == '"');
		for (i++; i < length && text[i] != '"'; i++) {
			must(text[i] != '\n');
			if (text[i] == '\\')
				i++;
		}
		must(i < length && text[i++] == '"');
		must(i == length || (text[i] == ',' && i + 1 < length));
		i += i < length;
	}
}

static void
check_prometheus(char * text, size_t length)
{
	struct prometheus_label labels[6];
	struct arena * arena = arena_create(0);
	char * out = fuzz_exact(text, length);
	const char * names[6];
	size_t used = prometheus_name(out, text, length);
	size_t count, i, left_out = 0;
	const char * written;

	must(used <= length);
	must(used == 0 || is_name(out, used));
	count = split_labels(labels, 6, text, length);
	for (i = 0; i < count; i++)
		names[i] = labels[i].name;
	written = prometheus_labels(arena, labels, count, &used, &left_out);
	must(left_out <= count);
	check_label_text(written, used);
	for (i = 0; i < count; i++)
		free((void *)(uintptr_t)names[i]);
	arena_free(arena);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	struct fuzz fuzz = { bytes, length };
	unsigned int which = fuzz_byte(&fuzz) % 3;
	char * text = fuzz_copy(fuzz.bytes, fuzz.length);

	if (which == 0)
		check_url(text);
	else if (which == 1 || !fuzz_utf8(text, fuzz.length)) {
		check_percent(text, fuzz.length);
		check_decode(text, fuzz.length);
		check_fault_quote(text, fuzz.length);
	} else {
		check_json(text, fuzz.length);
		check_json_ascii(text, fuzz.length);
		check_prometheus(text, fuzz.length);
	}
	free(text);
	return (0);
}
