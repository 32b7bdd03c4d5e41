#include <hiredis/hiredis.h>

#include "lib/redis/slots.h"
#include "tests/unit/tap.h"

static const struct {
	const char * key;
	unsigned int slot;
} keys[] = {
	/* CRC-16/XMODEM of 123456789 is 0x31c3. */
	{ "123456789", 0x31c3 }, { "", 0 }, { "foo", 12182 },
	{ "{foo}", 12182 }, { "a{foo}b{c}", 12182 }, { "x}{foo}", 12182 },
	{ "{user1000}.following", 3443 }, { "user1000", 3443 },
	/* Braces that are no hash tag. */
	{ "foo{}{bar}", 8363 }, { "foo{{bar}}zap", 4015 }, { "{bar", 4015 },
};

static void
test_keys(void)
{
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		is_integer(slots_of_key(keys[i].key, strlen(keys[i].key)),
		    keys[i].slot, "the slot of \"%s\"", keys[i].key);
	is_integer(slots_of_key("foo\0{bar}", 9), 5061, "a NUL ends no key");
}

/* The ranges that were read, as text. */
static void
append_range(void * context, unsigned int first, unsigned int last,
    struct text host, int port)
{
	char * out = context;
	size_t used = strlen(out);

	snprintf(out + used, 400 - used, "%u-%u %.*s:%d;", first, last,
	    host.bytes == NULL ? 1 : (int)host.length,
	    host.bytes == NULL ? "*" : host.bytes, port);
}

#define TEXT(length, text) "$" #length "\r\n" text "\r\n"

/* A node of a shard, but for its role and health. */
#define NODE(port, role, health) "*10\r\n" TEXT(2, "id") TEXT(1, "x") \
	TEXT(4, "port") ":" port "\r\n" TEXT(8, "endpoint") TEXT(4, "10.1") \
	TEXT(4, "role") role TEXT(6, "health") health
#define MASTER TEXT(6, "master")
#define REPLICA TEXT(7, "replica")
#define ONLINE TEXT(6, "online")
#define FAILED TEXT(4, "fail")

static const struct {
	const char * reply;
	bool tls;
	const char * ranges;		/* "": it is none. */
} replies[] = {
	/* CLUSTER SLOTS: of Redis 4, and of 7 with more about each node. */
	{ "*2\r\n*4\r\n:0\r\n:8191\r\n*3\r\n" TEXT(4, "10.1") ":7000\r\n"
	  TEXT(1, "i") "*3\r\n" TEXT(4, "10.9") ":7009\r\n" TEXT(1, "j")
	  "*3\r\n:8192\r\n:16383\r\n*4\r\n" TEXT(4, "10.2") ":7001\r\n"
	  TEXT(1, "k") "*0\r\n", false,
	  "0-8191 10.1:7000;8192-16383 10.2:7001;" },
	/* Nodes that do not know what they are called. */
	{ "*3\r\n*3\r\n:0\r\n:0\r\n*3\r\n$-1\r\n:7000\r\n" TEXT(1, "i")
	  "*3\r\n:1\r\n:1\r\n*3\r\n$0\r\n\r\n:7001\r\n" TEXT(1, "i")
	  "*3\r\n:2\r\n:2\r\n*3\r\n$1\r\n?\r\n:7002\r\n" TEXT(1, "i"), false,
	  "0-0 *:7000;1-1 *:7001;2-2 *:7002;" },
	/* CLUSTER SHARDS, with two ranges, and a replica first. */
	{ "*1\r\n*4\r\n" TEXT(5, "slots") "*4\r\n:0\r\n:9\r\n:20\r\n:29\r\n"
	  TEXT(5, "nodes") "*2\r\n" NODE("7003", REPLICA, ONLINE)
	  NODE("7000", MASTER, ONLINE), false,
	  "0-9 10.1:7000;20-29 10.1:7000;" },
	/* A master that has failed beside the one in its place. */
	{ "*1\r\n*4\r\n" TEXT(5, "slots") "*2\r\n:0\r\n:9\r\n"
	  TEXT(5, "nodes") "*2\r\n" NODE("7000", MASTER, ONLINE)
	  NODE("7003", MASTER, FAILED), false, "0-9 10.1:7000;" },
	{ "*1\r\n*4\r\n" TEXT(5, "slots") "*2\r\n:0\r\n:9\r\n"
	  TEXT(5, "nodes") "*2\r\n" NODE("7000", MASTER, FAILED)
	  NODE("7003", MASTER, ONLINE), false, "0-9 10.1:7003;" },
	/* Ports of TLS. */
	{ "*1\r\n*4\r\n" TEXT(5, "slots") "*2\r\n:0\r\n:9\r\n"
	  TEXT(5, "nodes") "*1\r\n*8\r\n" TEXT(4, "port") ":7000\r\n"
	  TEXT(8, "tls-port") ":7500\r\n" TEXT(8, "endpoint") TEXT(1, "h")
	  TEXT(4, "role") MASTER, true, "0-9 h:7500;" },
	{ "*1\r\n*4\r\n" TEXT(5, "slots") "*2\r\n:0\r\n:9\r\n"
	  TEXT(5, "nodes") "*1\r\n" NODE("7000", MASTER, ONLINE), true, "" },
	/* What is no map, or has nothing in it. */
	{ "*0\r\n", false, "" }, { "+OK\r\n", false, "" },
	{ ":1\r\n", false, "" }, { "$-1\r\n", false, "" },
	{ "*1\r\n*0\r\n", false, "" }, { "*1\r\n*-1\r\n", false, "" },
	{ "*1\r\n:1\r\n", false, "" }, { "*1\r\n*1\r\n:1\r\n", false, "" },
	{ "*1\r\n*3\r\n:0\r\n:16384\r\n*3\r\n" TEXT(1, "h") ":1\r\n"
	  TEXT(1, "i"), false, "" },
	{ "*1\r\n*3\r\n:-1\r\n:5\r\n*3\r\n" TEXT(1, "h") ":1\r\n"
	  TEXT(1, "i"), false, "" },
	{ "*1\r\n*3\r\n:6\r\n:5\r\n*3\r\n" TEXT(1, "h") ":1\r\n"
	  TEXT(1, "i"), false, "" },
	{ "*1\r\n*3\r\n:0\r\n:5\r\n*3\r\n" TEXT(1, "h") ":65536\r\n"
	  TEXT(1, "i"), false, "" },
	{ "*1\r\n*3\r\n:0\r\n:5\r\n" TEXT(1, "h"), false, "" },
	{ "*1\r\n*4\r\n" TEXT(5, "slots") "*0\r\n" TEXT(5, "nodes") "*1\r\n"
	  NODE("7000", MASTER, ONLINE), false, "" },
	{ "*1\r\n*4\r\n" TEXT(5, "slots") "*2\r\n:0\r\n:9\r\n"
	  TEXT(5, "nodes") "*1\r\n" NODE("7000", REPLICA, ONLINE), false, "" },
	{ "*1\r\n*2\r\n" TEXT(5, "slots") "*2\r\n:0\r\n:9\r\n", false, "" },
};

static void
test_replies(void)
{
	size_t i;

	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		redisReader * reader = redisReaderCreate();
		char ranges[400] = "";
		void * reply = NULL;
		bool any;

		redisReaderFeed(reader, replies[i].reply,
		    strlen(replies[i].reply));
		ok(redisReaderGetReply(reader, &reply) == REDIS_OK &&
		    reply != NULL, "reply %zu is whole", i);
		any = slots_read(reply, replies[i].tls, append_range, ranges);
		is_text(ranges, replies[i].ranges, "reply %zu: its ranges", i);
		is_integer(any, replies[i].ranges[0] != '\0',
		    "reply %zu: whether there is any", i);
		freeReplyObject(reply);
		redisReaderFree(reader);
	}
}

static const struct {
	const char * error;
	unsigned int slot;
	const char * host;		/* "*": that of the node. */
	int port;			/* 0: it is no redirection. */
} errors[] = {
	{ "MOVED 3999 127.0.0.1:6381", 3999, "127.0.0.1", 6381 },
	{ "ASK 0 h.example.org:1", 0, "h.example.org", 1 },
	{ "MOVED 16383 ::1:65535", 16383, "::1", 65535 },
	{ "MOVED 1 :7000", 1, "*", 7000 }, { "ASK 1 ?:7000", 1, "*", 7000 },
	{ "MOVED 16384 h:1", 0, NULL, 0 }, { "MOVED x h:1", 0, NULL, 0 },
	{ "MOVED 1 h", 0, NULL, 0 }, { "MOVED 1 h:", 0, NULL, 0 },
	{ "MOVED 1 h:0", 0, NULL, 0 }, { "MOVED 1 h:65536", 0, NULL, 0 },
	{ "MOVED 1 h:7x", 0, NULL, 0 }, { "MOVED 1", 0, NULL, 0 },
	{ "MOVED ", 0, NULL, 0 }, { "MOVED", 0, NULL, 0 }, { "M", 0, NULL, 0 },
	{ "", 0, NULL, 0 }, { "ASK", 0, NULL, 0 },
	{ "ASKING 1 h:1", 0, NULL, 0 }, { "MISCONF 1 h:1", 0, NULL, 0 },
	{ "ERR MOVED 1 h:1", 0, NULL, 0 }, { "TRYAGAIN", 0, NULL, 0 },
	{ "MOVED 1:7000", 0, NULL, 0 }, { "MOVED (the rest ...)", 0, NULL, 0 },
};

static void
test_errors(void)
{
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		size_t length = strlen(errors[i].error);
		char * copy = tap_copy(errors[i].error, length);
		struct error_reply error = error_reply_of((struct text){
		    copy, length }, NULL);
		struct text host = { NULL, 0 };
		unsigned int slot = 0;
		int port = 0;
		bool is_one = slots_redirection(&error, &slot, &host, &port);

		is_integer(is_one, errors[i].port != 0, "\"%s\"",
		    errors[i].error);
		if (is_one && errors[i].port != 0) {
			is_integer(slot, errors[i].slot, "its slot");
			is_integer(port, errors[i].port, "its port");
			if (host.bytes == NULL)
				is_text("*", errors[i].host, "its host");
			else
				is_bytes(host.bytes, host.length,
				    errors[i].host, strlen(errors[i].host),
				    "its host");
		}
		free(copy);
	}
}

int
main(void)
{

	test_keys();
	test_replies();
	test_errors();
	return (tap_done());
}
