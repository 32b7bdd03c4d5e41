#include <stdint.h>
#include <string.h>

#include "lib/redis/reply.h"
#include "lib/redis/slots.h"

/* CRC-16/XMODEM, four bits at a time. */
static uint16_t
crc16(const char * bytes, size_t length)
{
	static const uint16_t table[16] = {
		0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
		0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
	};
	unsigned int crc = 0;
	size_t i;

	for (i = 0; i < length; i++) {
		unsigned int byte = (unsigned char)bytes[i];

		crc = (crc << 4 ^ table[(crc >> 12 ^ byte >> 4) & 15]) & 0xffff;
		crc = (crc << 4 ^ table[(crc >> 12 ^ byte) & 15]) & 0xffff;
	}
	return ((uint16_t)crc);
}

unsigned int
slots_of_key(const char * key, size_t length)
{
	const char * open = memchr(key, '{', length);
	const char * close;

	if (open != NULL) {
		close = memchr(open, '}', length - (size_t)(open - key));
		if (close != NULL && close > open + 1) {
			length = (size_t)(close - open) - 1;
			key = open + 1;
		}
	}
	return (crc16(key, length) % SLOTS_COUNT);
}

/* An empty host or ? stands for that of the node that was asked. */
static struct text
known_host(struct text host)
{

	if (host.length == 0 || text_is(&host, "?"))
		host.bytes = NULL;
	return (host);
}

static bool
is_range(int64_t first, int64_t last, int64_t port)
{

	return (first >= 0 && first <= last && last < SLOTS_COUNT &&
	    port > 0 && port <= 65535);
}

/* The value of a name in an array of names and values. */
static const void *
value_of(const void * part, const char * name)
{
	size_t i;

	for (i = 0; i + 1 < reply_part_count(part); i += 2) {
		struct text text = reply_part_text(reply_part(part, i));

		if (text_is(&text, name))
			return (reply_part(part, i + 1));
	}
	return (NULL);
}

/*
 * The master of a shard.  One that has failed is listed as one as long as it
 * does not know that a replica has taken its place.
 */
static const void *
master_of(const void * nodes)
{
	const void * master = NULL;
	size_t i;

	for (i = 0; i < reply_part_count(nodes); i++) {
		const void * node = reply_part(nodes, i);
		struct text role = reply_part_text(value_of(node, "role"));
		struct text health = reply_part_text(value_of(node, "health"));

		if (!text_is(&role, "master"))
			continue;
		if (master == NULL || text_is(&health, "online"))
			master = node;
	}
	return (master);
}

static bool
read_shard(const void * shard, bool tls, slots_take * take, void * context)
{
	const void * slots = value_of(shard, "slots");
	const void * node = master_of(value_of(shard, "nodes"));
	int64_t port = reply_part_integer(value_of(node, tls ? "tls-port" :
	    "port"));
	struct text host = reply_part_text(value_of(node, "endpoint"));
	bool any = false;
	size_t i;

	for (i = 0; i + 1 < reply_part_count(slots); i += 2) {
		int64_t first = reply_part_integer(reply_part(slots, i));
		int64_t last = reply_part_integer(reply_part(slots, i + 1));

		if (!is_range(first, last, port))
			continue;
		any = true;
		if (take != NULL)
			take(context, (unsigned int)first, (unsigned int)last,
			    known_host(host), (int)port);
	}
	return (any);
}

/* First slot, last slot, the master, replicas. */
static bool
read_range(const void * range, slots_take * take, void * context)
{
	const void * node = reply_part(range, 2);
	int64_t first = reply_part_integer(reply_part(range, 0));
	int64_t last = reply_part_integer(reply_part(range, 1));
	int64_t port = reply_part_integer(reply_part(node, 1));

	if (!is_range(first, last, port))
		return (false);
	if (take != NULL)
		take(context, (unsigned int)first, (unsigned int)last,
		    known_host(reply_part_text(reply_part(node, 0))),
		    (int)port);
	return (true);
}

bool
slots_read(const void * part, bool tls, slots_take * take, void * context)
{
	bool any = false;
	size_t i;

	for (i = 0; i < reply_part_count(part); i++) {
		const void * element = reply_part(part, i);
		bool is_shard = reply_part_text(reply_part(element, 0)).bytes !=
		    NULL;

		if (is_shard ? read_shard(element, tls, take, context) :
		    read_range(element, take, context))
			any = true;
	}
	return (any);
}

/* Read a number of at most five digits off the front. */
static bool
take_slot_number(struct text * text, int * number)
{
	size_t digits = 0;

	*number = 0;
	while (digits < text->length && digits < 5 &&
	    text->bytes[digits] >= '0' && text->bytes[digits] <= '9')
		*number = *number * 10 + (text->bytes[digits++] - '0');
	text->bytes += digits;
	text->length -= digits;
	return (digits > 0);
}

bool
slots_redirection(const struct error_reply * error, unsigned int * slot,
    struct text * host, int * port)
{
	size_t word = error->code == ERROR_MOVED ? strlen("MOVED ") :
	    strlen("ASK ");
	struct text rest = error->raw, end;
	int number;

	if ((error->code != ERROR_MOVED && error->code != ERROR_ASK) ||
	    rest.length < word || rest.bytes[word - 1] != ' ')
		return (false);
	rest.bytes += word;
	rest.length -= word;
	if (!take_slot_number(&rest, &number) || number >= SLOTS_COUNT ||
	    rest.length == 0 || *rest.bytes != ' ')
		return (false);
	*slot = (unsigned int)number;
	host->bytes = rest.bytes + 1;
	for (end = rest; end.length > 0 &&
	    rest.bytes[end.length - 1] != ':'; end.length--)
		;
	if (end.length < 2)
		return (false);
	host->length = end.length - 2;
	*host = known_host(*host);
	end.bytes = rest.bytes + end.length;
	end.length = rest.length - end.length;
	return (take_slot_number(&end, port) && end.length == 0 && *port > 0 &&
	    *port <= 65535);
}
