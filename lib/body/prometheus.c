#include <stdlib.h>
#include <string.h>

#include "lib/base/escape.h"
#include "lib/body/prometheus.h"

static bool
is_digit(char c)
{

	return (c >= '0' && c <= '9');
}

static bool
is_name(char c)
{
	unsigned char letter = (unsigned char)((c | 0x20) - 'a');

	return (letter < 26 || is_digit(c) || c == '_');
}

/* Return whether a text already is a valid name, as most senders' are. */
static bool
is_whole_name(const char * text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (!is_name(text[i]))
			return (false);
	return (length > 0 && !is_digit(text[0]));
}

size_t
prometheus_name(char * out, const char * text, size_t length)
{
	size_t used = 0;
	size_t i;

	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		/* Only a character's first byte counts. */
		if ((c & 0xc0) == 0x80)
			continue;
		out[used++] = is_name(text[i]) ? text[i] : '_';
		/* A character of four bytes is two UTF-16 code units. */
		if (c >= 0xf0)
			out[used++] = '_';
	}
	if (used == 0 || is_digit(out[0]))
		return (0);
	return (used);
}

static int
by_name(const void * a, const void * b)
{
	const struct prometheus_label * x = a, * y = b;
	size_t shorter = x->name_length < y->name_length ?
	    x->name_length : y->name_length;
	int order = memcmp(x->name, y->name, shorter);

	if (order != 0)
		return (order);
	if (x->name_length != y->name_length)
		return (x->name_length < y->name_length ? -1 : 1);
	return (0);
}

/* The most to sort by insertion. */
#define FEW 8

static void
insertion_sort(struct prometheus_label * labels, size_t count)
{
	size_t i, j;

	for (i = 1; i < count; i++) {
		struct prometheus_label label = labels[i];

		for (j = i; j > 0 && by_name(&label, &labels[j - 1]) < 0; j--)
			labels[j] = labels[j - 1];
		labels[j] = label;
	}
}

/* Of equal names the last is to win, so the sort must be stable; qsort need
 * not be. */
static void
merge_sort(struct prometheus_label * labels, struct prometheus_label * spare,
    size_t count)
{
	size_t half = count / 2;
	size_t i = 0, j = half, k;

	if (count <= FEW) {
		insertion_sort(labels, count);
		return;
	}
	merge_sort(labels, spare, half);
	merge_sort(labels + half, spare, count - half);
	memcpy(spare, labels, count * sizeof(*labels));
	for (k = 0; k < count; k++) {
		if (i < half && (j == count ||
		    by_name(&spare[i], &spare[j]) <= 0))
			labels[k] = spare[i++];
		else
			labels[k] = spare[j++];
	}
}


/* Turn the labels' names into Prometheus names; return the room for all. */
static size_t
name_labels(struct arena * arena, struct prometheus_label * labels,
    size_t count)
{
	size_t i, room = 1;

	for (i = 0; i < count; i++) {
		struct prometheus_label * label = &labels[i];
		char * name;

		if (!is_whole_name(label->name, label->name_length)) {
			name = arena_take(arena, label->name_length + 1);
			label->name_length = prometheus_name(name,
			    label->name, label->name_length);
			label->name = name;
		}
		room += label->name_length +
		    ESCAPE_LABEL_ROOM(label->value_length) + 4;
	}
	return (room);
}

/* Prometheus reserves names that begin so. */
static bool
is_reserved(const struct prometheus_label * label)
{

	return (label->name_length >= 2 &&
	    memcmp(label->name, "__", 2) == 0);
}

/*
 * A series is kept under its environment, and readers of several environments
 * add the label.  From a sender whose token is for another environment than its
 * label says, it would be a second label of this name.
 */
static bool
is_implied(const struct prometheus_label * label)
{

	return (label->name_length == strlen("environment") &&
	    memcmp(label->name, "environment", label->name_length) == 0);
}

char *
prometheus_labels(struct arena * arena, struct prometheus_label * labels,
    size_t count, size_t * length, size_t * left_out)
{
	struct prometheus_label * spare;
	size_t room = name_labels(arena, labels, count);
	char * out = arena_take(arena, room);
	size_t used = 0;
	size_t i;

	*left_out = 0;
	spare = arena_take(arena, count * sizeof(*spare) + 1);
	merge_sort(labels, spare, count);
	for (i = 0; i < count; i++) {
		if (labels[i].name_length == 0 || is_reserved(&labels[i])) {
			labels[i].name_length = 0;
			++*left_out;
			continue;
		}
		if (labels[i].value_length == 0 || is_implied(&labels[i]) ||
		    (i + 1 < count &&
		    by_name(&labels[i], &labels[i + 1]) == 0)) {
			labels[i].name_length = 0;
			continue;
		}
		if (used > 0)
			out[used++] = ',';
		memcpy(out + used, labels[i].name, labels[i].name_length);
		used += labels[i].name_length;
		out[used++] = '=';
		out[used++] = '"';
		used += escape_label(out + used, labels[i].value,
		    labels[i].value_length);
		out[used++] = '"';
	}
	*length = used;
	return (out);
}

bool
prometheus_has_label(const struct prometheus_label * labels, size_t count,
    const char * name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (labels[i].name_length == strlen(name) &&
		    memcmp(labels[i].name, name, labels[i].name_length) == 0)
			return (true);
	return (false);
}
