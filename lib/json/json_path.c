#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/json_path.h"

void
json_path_init(struct json_path * path, struct arena * arena, size_t depth_max)
{

	path->frames = arena_take(arena, (depth_max + 1) *
	    sizeof(*path->frames));
	path->top = path->frames;
	path->last = path->frames + depth_max;
	memset(path->frames, 0, sizeof(*path->frames));
	path->frames->array = true;
}

void
json_path_copy(struct json_path_frame * frame)
{

	/* A name that is too long is never written out. */
	if (frame->length <= JSON_PATH_NAME_MAX) {
		memcpy(frame->kept, frame->name, frame->length);
		frame->name = frame->kept;
	}
}

void
json_path_keep(struct json_path * path)
{
	struct json_path_frame * frame;

	for (frame = path->frames + 1; frame <= path->top; frame++)
		if (!frame->array && frame->name != NULL &&
		    frame->name != frame->kept)
			json_path_copy(frame);
}

/*
 * Append ~0 for ~ and ~1 for / (RFC 6901, section 3).  Return false if there
 * is no room, or if a NUL would end the pointer, which is a C string.
 */
static bool
append_token(char * out, size_t size, size_t * used, const char * text,
    size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		bool escaped = text[i] == '~' || text[i] == '/';

		if (*used + 2 >= size || text[i] == '\0')
			return (false);
		out[(*used)++] = escaped ? '~' : text[i];
		if (escaped)
			out[(*used)++] = text[i] == '~' ? '0' : '1';
	}
	return (true);
}

void
json_path_write(const struct json_path * path, char * out, size_t size)
{
	char number[24];
	const struct json_path_frame * frame;
	size_t used = 0;
	size_t end;

	for (frame = path->frames + 1; frame <= path->top; frame++) {
		const char * text = frame->name;
		size_t length = frame->length;

		if (frame->array) {
			text = number;
			length = (size_t)snprintf(number, sizeof(number),
			    "%" PRIu64, frame->index);
		}
		if (text == NULL || length > JSON_PATH_NAME_MAX || used +
		    2 > size)
			break;
		end = used + 1;
		if (!append_token(out, size, &end, text, length))
			break;
		out[used] = '/';
		used = end;
	}
	out[used] = '\0';
}
