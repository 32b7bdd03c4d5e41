#include <string.h>

#include "lib/base/escape.h"
#include "lib/body/element.h"

/*
 * The registration of an instance as JSON, complete enough to be forwarded to
 * another server: members in a fixed order, without those that are absent or
 * null.
 */
struct writer {
	char * out;
	size_t used;
};

static const struct {
	enum schema_slot slot;
	const char * name;
} before_lists[] = {
	{ SLOT_APP_NAME, "appName" },
	{ SLOT_ENVIRONMENT, "environment" },
	{ SLOT_INSTANCE_ID, "instanceId" },
	{ SLOT_CONNECTION_ID, "connectionId" },
	{ SLOT_INTERVAL, "interval" },
	{ SLOT_STARTED, "started" },
}, after_lists[] = {
	{ SLOT_SDK_VERSION, "sdkVersion" },
	{ SLOT_SDK_TYPE, "sdkType" },
	{ SLOT_SDK_FLAVOR, "sdkFlavor" },
	{ SLOT_SDK_FLAVOR_VERSION, "sdkFlavorVersion" },
	{ SLOT_YGGDRASIL_VERSION, "yggdrasilVersion" },
	{ SLOT_PLATFORM_NAME, "platformName" },
	{ SLOT_PLATFORM_VERSION, "platformVersion" },
	{ SLOT_SPEC_VERSION, "specVersion" },
};

#define ELEMENTS_OF(array) (sizeof(array) / sizeof((array)[0]))

/* No member's name, with quotes, colon and commas, takes more. */
#define NAME_ROOM 48

static void
write_bytes(struct writer * writer, const char * bytes, size_t length)
{

	memcpy(writer->out + writer->used, bytes, length);
	writer->used += length;
}

static void
write_raw(struct writer * writer, const char * text)
{

	write_bytes(writer, text, strlen(text));
}

static void
write_string(struct writer * writer, const struct text * text)
{

	writer->used += escape_json(writer->out + writer->used, text->bytes,
	    text->length);
}

static void
write_name(struct writer * writer, const char * name)
{

	if (writer->used > 1)
		write_raw(writer, ",");
	write_raw(writer, "\"");
	write_raw(writer, name);
	write_raw(writer, "\":");
}

static void
write_slot(struct writer * writer, const struct element * element,
    enum schema_slot slot, const char * name)
{
	const struct text * text = &element->text[slot];

	if (text->bytes == NULL)
		return;
	write_name(writer, name);
	if (slot == SLOT_INTERVAL)
		write_bytes(writer, text->bytes, text->length);
	else
		write_string(writer, text);
}

static void
write_via(struct writer * writer, const struct element_item * item)
{

	write_raw(writer, "{\"appName\":");
	write_string(writer, &item->name);
	write_raw(writer, ",\"instanceId\":");
	write_string(writer, &item->value);
	write_raw(writer, "}");
}

static void
write_list(struct writer * writer, const struct element * element,
    enum schema_list list, const char * name)
{
	const struct element_item * item = element->list[list].first;

	if (!element->list[list].present)
		return;
	write_name(writer, name);
	write_raw(writer, "[");
	for (; item != NULL; item = item->next) {
		if (list == LIST_CONNECT_VIA)
			write_via(writer, item);
		else
			write_string(writer, &item->name);
		if (item->next != NULL)
			write_raw(writer, ",");
	}
	write_raw(writer, "]");
}

static size_t
room_for(const struct element * element)
{
	const struct element_item * item;
	size_t room = 2 + (SLOT_COUNT + LIST_COUNT) * (NAME_ROOM + 2);
	size_t i;

	for (i = 0; i < SLOT_COUNT; i++)
		room += ESCAPE_JSON_ROOM(element->text[i].length);
	for (i = 0; i < LIST_COUNT; i++)
		for (item = element->list[i].first; item != NULL;
		    item = item->next)
			room += ESCAPE_JSON_ROOM(item->name.length) +
			    ESCAPE_JSON_ROOM(item->value.length) + NAME_ROOM;
	return (room);
}

static struct text
registration_json(struct element * element, size_t room)
{
	struct writer writer = { NULL, 0 };
	struct text json;
	size_t i;

	writer.out = arena_take(element->scratch, room);
	write_raw(&writer, "{");
	for (i = 0; i < ELEMENTS_OF(before_lists); i++)
		write_slot(&writer, element, before_lists[i].slot,
		    before_lists[i].name);
	write_list(&writer, element, LIST_STRATEGIES, "strategies");
	write_list(&writer, element, LIST_PROJECTS, "projects");
	write_list(&writer, element, LIST_CONNECT_VIA, "connectVia");
	for (i = 0; i < ELEMENTS_OF(after_lists); i++)
		write_slot(&writer, element, after_lists[i].slot,
		    after_lists[i].name);
	write_raw(&writer, "}");
	json.bytes = writer.out;
	json.length = writer.used;
	return (json);
}

bool
element_application_count(struct element * element)
{
	const struct element_settings * settings = element->settings;
	struct text * environment = &element->text[SLOT_ENVIRONMENT];
	struct text * instance = &element->text[SLOT_INSTANCE_ID];
	size_t room;
	struct text json;
	size_t i;

	/* An invalid date was left out. */
	if (element->text[SLOT_APP_NAME].bytes == NULL)
		return (true);
	for (i = 0; i < SLOT_COUNT; i++)
		if (element->text[i].bytes == NULL)
			element->text[i] = settings->sender[i];
	if (environment->bytes == NULL)
		*environment = settings->environment;
	if (instance->length == 0)
		*instance = text_of("default");
	room = room_for(element);
	if (!element_has_room(element, room))
		return (false);
	json = registration_json(element, room);
	if (settings->limit_registration > 0 &&
	    json.length > settings->limit_registration) {
		element->tally->dropped[DROP_REGISTRATIONS]++;
		return (true);
	}
	tally_set_instance(element->tally, tally_application(element->tally,
	    environment, &element->text[SLOT_APP_NAME]), instance, &json);
	return (element_within_limits(element));
}
