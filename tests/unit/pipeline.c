#include <stdlib.h>

#include "lib/redis/pipeline.h"
#include "tests/unit/tap.h"

static const char writer[] = "0123456789abcdef0123456789ab";
static const char other[] = "ffffffffffffffffffffffffffff";
static const char digest[] = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

/* A call with an identity, and one without. */
static void
build(struct pipeline * calls, unsigned int slot)
{
	struct buffer tag = { NULL, 0, 0 };

	buffer_append(&tag, "p:{e:a}", 7);
	pipeline_begin(calls);
	pipeline_add_identity(calls, &tag, writer, slot, "7-0");
	pipeline_add_key(calls, &tag, ":seen", "", 0);
	pipeline_add_text(calls, "text");
	pipeline_add_name(calls, "variant:", "a b\0c", 5);
	pipeline_end(calls, SCRIPT_APPLY, NULL);
	pipeline_begin(calls);
	buffer_clear(&tag);
	buffer_append(&tag, "p", 1);
	pipeline_add_key(calls, &tag, ":apps", "", 0);
	pipeline_add_integer(calls, -1);
	pipeline_end(calls, SCRIPT_TOUCH, NULL);
	buffer_free(&tag);
}

static void
test_requests(void)
{
	static const char wanted[] =
	    "*8\r\n$7\r\nEVALSHA\r\n"
	    "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n"
	    "$1\r\n2\r\n$51\r\np:{e:a}:writer:"
	    "0123456789abcdef0123456789ab000000ff\r\n"
	    "$12\r\np:{e:a}:seen\r\n$3\r\n7-0\r\n$4\r\ntext\r\n"
	    "$17\r\nvariant:a%20b%00c\r\n"
	    "*5\r\n$7\r\nEVALSHA\r\n"
	    "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n"
	    "$1\r\n1\r\n$6\r\np:apps\r\n$2\r\n-1\r\n";
	struct pipeline calls = { .count = 0 };
	struct buffer requests = { NULL, 0, 0 };
	struct text key;

	build(&calls, 0xff);
	is_integer(calls.count, 2, "there are two calls");
	pipeline_request(&calls, &calls.list[0], digest, &requests);
	pipeline_request(&calls, &calls.list[1], digest, &requests);
	is_bytes(requests.bytes, requests.length, wanted,
	    sizeof(wanted) - 1, "they are what Redis is sent");
	key = pipeline_key(&calls, &calls.list[0]);
	is_bytes(key.bytes, key.length,
	    "p:{e:a}:writer:0123456789abcdef0123456789ab000000ff", 51,
	    "the key of the writer is found");
	key = pipeline_key(&calls, &calls.list[1]);
	is_bytes(key.bytes, key.length, "p:apps", 6,
	    "and that of a call without one");
	buffer_free(&requests);
	pipeline_free(&calls);
}

static void
test_load(void)
{
	struct pipeline calls = { .count = 0 };
	struct pipeline loaded = { .count = 0 };
	struct text key;
	size_t i, wrong = 0;

	build(&calls, 1);
	build(&calls, 2);
	for (i = 0; i < calls.count; i++)
		wrong += pipeline_load(&loaded, pipeline_bytes(&calls,
		    &calls.list[i]), calls.list[i].length) != NULL;
	is_integer(wrong, 0, "calls can be loaded, one by one");
	is_integer(loaded.count, 4, "all of them");
	for (i = 0; i < loaded.count; i++)
		wrong += loaded.list[i].offset != calls.list[i].offset ||
		    loaded.list[i].length != calls.list[i].length ||
		    loaded.list[i].script != calls.list[i].script ||
		    loaded.list[i].digest != calls.list[i].digest ||
		    loaded.list[i].writer != calls.list[i].writer ||
		    loaded.list[i].outcome != CALL_OPEN;
	is_integer(wrong, 0, "they are as they were");
	pipeline_readdress(&loaded, &loaded.list[2], other);
	key = pipeline_key(&loaded, &loaded.list[2]);
	is_bytes(key.bytes, key.length,
	    "p:{e:a}:writer:ffffffffffffffffffffffffffff00000002", 51,
	    "another writer keeps the slot");
	key = pipeline_key(&loaded, &loaded.list[0]);
	is_bytes(key.bytes, key.length,
	    "p:{e:a}:writer:0123456789abcdef0123456789ab00000001", 51,
	    "and the other calls are as they were");
	ok(pipeline_load(&loaded, "", 0) != NULL && loaded.count == 4,
	    "no bytes are no call");
	ok(pipeline_load(&loaded, calls.requests.bytes,
	    calls.requests.length) != NULL && loaded.count == 4,
	    "several calls are not one");
	pipeline_free(&calls);
	pipeline_free(&loaded);
}

/* Bytes that are not calls are refused, and do no harm. */
static void
test_damage(void)
{
	struct pipeline calls = { .count = 0 };
	struct pipeline loaded = { .count = 0 };
	size_t first, i, wrong = 0;
	int round;

	tap_seed();
	build(&calls, 3);
	first = calls.list[0].length;
	for (i = 1; i < first; i++) {
		char * cut = tap_copy(calls.requests.bytes, i);
		bool fine = pipeline_load(&loaded, cut, i) == NULL;

		wrong += fine || loaded.count != 0;
		free(cut);
	}
	is_integer(wrong, 0, "what is cut short is refused, and nothing is "
	    "left of it");
	for (round = 0; round < 20000; round++) {
		char * bytes = tap_copy(calls.requests.bytes, first);
		size_t changes = 1 + (size_t)random() % 3;

		for (i = 0; i < changes; i++)
			bytes[(size_t)random() % first] =
			    "*$0129\r\nx"[random() % 9];
		if (pipeline_load(&loaded, bytes, first) == NULL)
			pipeline_readdress(&loaded, &loaded.list[0], other);
		pipeline_clear(&loaded);
		free(bytes);
	}
	ok(true, "20,000 damaged ones do no harm");
	pipeline_free(&calls);
	pipeline_free(&loaded);
}

int
main(void)
{

	test_requests();
	test_load();
	test_damage();
	return (tap_done());
}
