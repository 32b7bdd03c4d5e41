#include <inttypes.h>

#include "lib/base/escape.h"
#include "lib/base/utf8.h"
#include "lib/report/exposition_text.h"

static void
write_text(FILE * out, struct text text)
{

	fwrite(text.bytes, 1, text.length, out);
}

/* Escape a part of a text that begins and ends anywhere. */
static void
write_escaped(FILE * out, const char * bytes, size_t length)
{
	char escaped[ESCAPE_LABEL_ROOM(256)];
	size_t i, size, room;

	for (i = 0; i < length; i += size) {
		size = length - i < 256 ? length - i : 256;
		room = escape_label(escaped, bytes + i, size);
		fwrite(escaped, 1, room, out);
	}
}

static void
write_label(FILE * out, const char * before, const char * name,
    struct text value)
{
	size_t begin = 0;
	size_t i = 0;
	uint32_t code;

	fprintf(out, "%s%s=\"", before, name);
	if (utf8_is_valid(value.bytes, value.length))
		i = value.length;
	while (i < value.length) {
		size_t size = utf8_decode(value.bytes + i, value.length - i,
		    &code);

		if (size == 0) {
			/* A text in this format is valid UTF-8. */
			write_escaped(out, value.bytes + begin, i - begin);
			fputs("\xef\xbf\xbd", out);
			begin = i + 1;
		}
		i += size == 0 ? 1 : size;
	}
	write_escaped(out, value.bytes + begin, i - begin);
	putc('"', out);
}

void
exposition_text_family(FILE * out, const char * name, const char * type,
    const char * help)
{

	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
exposition_text_metric(FILE * out, const struct impact_metric * metric)
{
	size_t i;

	fputs("# HELP ", out);
	write_text(out, metric->name);
	putc(' ', out);
	for (i = 0; i < metric->help.length; i++)
		if (metric->help.bytes[i] == '\n')
			fputs("\\n", out);
		else {
			if (metric->help.bytes[i] == '\\')
				putc('\\', out);
			putc(metric->help.bytes[i], out);
		}
	fputs("\n# TYPE ", out);
	write_text(out, metric->name);
	putc(' ', out);
	write_text(out, metric->type);
	putc('\n', out);
}

void
exposition_text_counter(FILE * out, const char * family,
    const struct report_application * application, struct text feature,
    const char * label, struct text value, uint64_t count)
{

	fputs(family, out);
	write_label(out, "{", "environment", application->environment);
	write_label(out, ",", "app_name", application->name);
	write_label(out, ",", "feature", feature);
	write_label(out, ",", label, value);
	fprintf(out, "} %" PRIu64 "\n", count);
}

void
exposition_text_series(FILE * out, const struct impact_metric * metric,
    const struct impact_series * series)
{
	size_t i;

	for (i = 0; i < series->count; i++) {
		const struct impact_sample * sample = &series->samples[i];

		write_text(out, metric->name);
		write_text(out, sample->suffix);
		write_label(out, "{", "environment", metric->environment);
		if (sample->labels.length > 0)
			putc(',', out);
		write_text(out, sample->labels);
		if (sample->le.length > 0)
			write_label(out, ",", "le", sample->le);
		fputs("} ", out);
		write_text(out, sample->value);
		putc('\n', out);
	}
}
