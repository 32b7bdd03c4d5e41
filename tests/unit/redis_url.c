#include "lib/config/config.h"
#include "lib/base/escape.h"
#include "lib/redis/redis_url.h"
#include "tests/unit/tap.h"

static const struct {
	const char * text;
	size_t length;
	const char * decoded;		/* NULL: it cannot be. */
	long decoded_length;
} encoded[] = {
	{ "", 0, "", 0 },
	{ "abc", 3, "abc", 3 },
	{ "%41", 3, "A", 1 },
	{ "%4a%4A", 6, "JJ", 2 },
	{ "a%20b", 5, "a b", 3 },
	{ "%25", 3, "%", 1 },
	{ "%2541", 5, "%41", 3 },
	{ "%00", 3, "\0", 1 },
	{ "a\0b", 3, "a\0b", 3 },
	{ "%ff%FF%c3%A9", 12, "\xff\xff\xc3\xa9", 4 },
	{ "+", 1, "+", 1 },
	{ "%09%0a", 6, "\t\n", 2 },
	{ "%", 1, NULL, 0 }, { "%4", 2, NULL, 0 }, { "a%", 2, NULL, 0 },
	{ "a%4", 3, NULL, 0 }, { "%%", 2, NULL, 0 }, { "%%41", 4, NULL, 0 },
	{ "%4%41", 5, NULL, 0 }, { "%g0", 3, NULL, 0 }, { "%0g", 3, NULL, 0 },
	{ "% 1", 3, NULL, 0 }, { "%+1", 3, NULL, 0 }, { "%-1", 3, NULL, 0 },
	{ "%0x", 3, NULL, 0 }, { "%/0", 3, NULL, 0 }, { "%:0", 3, NULL, 0 },
	{ "%@0", 3, NULL, 0 }, { "%`0", 3, NULL, 0 }, { "%G0", 3, NULL, 0 },
	{ "%4\0", 3, NULL, 0 }, { "%\0" "41", 4, NULL, 0 },
	{ "%\xe1" "1", 3, NULL, 0 },
};

static void
test_decode(void)
{
	size_t i;

	for (i = 0; i < sizeof(encoded) / sizeof(encoded[0]); i++) {
		char * text = tap_copy(encoded[i].text, encoded[i].length);
		long length = escape_percent_decode(text, encoded[i].length);

		if (encoded[i].decoded == NULL)
			is_integer(length, -1, "\"%s\" is not decoded",
			    encoded[i].text);
		else if (length < 0)
			ok(false, "\"%s\" is decoded", encoded[i].text);
		else
			is_bytes(text, (size_t)length, encoded[i].decoded,
			    (size_t)encoded[i].decoded_length,
			    "\"%s\" is decoded", encoded[i].text);
		free(text);
	}
}

/* What a URL stands for. */
static const struct {
	const char * url;
	bool tls;
	const char * unix_path;
	const char * host;
	int port;
	int database;
	const char * user;
	const char * password;
} valid[] = {
	{ "redis://h", false, NULL, "h", 6379, 0, NULL, NULL },
	{ "redis://h/", false, NULL, "h", 6379, 0, NULL, NULL },
	{ "redis://h/0", false, NULL, "h", 6379, 0, NULL, NULL },
	{ "redis://h/15", false, NULL, "h", 6379, 15, NULL, NULL },
	{ "redis://h:1", false, NULL, "h", 1, 0, NULL, NULL },
	{ "redis://h:65535/", false, NULL, "h", 65535, 0, NULL, NULL },
	{ "redis://127.0.0.1:6380/3", false, NULL, "127.0.0.1", 6380, 3, NULL,
	  NULL },
	{ "redis://cache-1.example.org", false, NULL, "cache-1.example.org",
	  6379, 0, NULL, NULL },
	{ "rediss://h:7000/2", true, NULL, "h", 7000, 2, NULL, NULL },
	{ "rediss://u:p@h", true, NULL, "h", 6379, 0, "u", "p" },
	{ "redis://[::1]", false, NULL, "::1", 6379, 0, NULL, NULL },
	{ "redis://[::1]/1", false, NULL, "::1", 6379, 1, NULL, NULL },
	{ "redis://[2001:db8::1]:6380/4", false, NULL, "2001:db8::1", 6380, 4,
	  NULL, NULL },
	{ "redis://u:p@[::1]:1/1", false, NULL, "::1", 1, 1, "u", "p" },
	{ "redis://:p@h", false, NULL, "h", 6379, 0, NULL, "p" },
	{ "redis://u:p@h", false, NULL, "h", 6379, 0, "u", "p" },
	{ "redis://u:@h", false, NULL, "h", 6379, 0, "u", "" },
	{ "redis://u@h:7/2", false, NULL, "h", 7, 2, "u", NULL },
	{ "unix://u%40@/s", false, "/s", NULL, 0, 0, "u@", NULL },
	{ "redis://u:a:b@h", false, NULL, "h", 6379, 0, "u", "a:b" },
	{ "redis://u%3Aw:p%40%2F%3f%23%25@h:5", false, NULL, "h", 5, 0, "u:w",
	  "p@/?#%" },
	{ "redis://:%c3%a9@h", false, NULL, "h", 6379, 0, NULL, "\xc3\xa9" },
	{ "unix:///run/redis.sock", false, "/run/redis.sock", NULL, 0, 0, NULL,
	  NULL },
	{ "unix:///s?db=0", false, "/s", NULL, 0, 0, NULL, NULL },
	{ "unix:///s?db=12", false, "/s", NULL, 0, 12, NULL, NULL },
	{ "unix://:p@/s", false, "/s", NULL, 0, 0, NULL, "p" },
	{ "unix://u:p@/s?db=1", false, "/s", NULL, 0, 1, "u", "p" },
	{ "unix:///a%20b%3Fdb=1", false, "/a b?db=1", NULL, 0, 0, NULL, NULL },
	{ "unix:///a@b:c/s", false, "/a@b:c/s", NULL, 0, 0, NULL, NULL },
	{ "unix:////s", false, "//s", NULL, 0, 0, NULL, NULL },
};

static void
test_valid(void)
{
	size_t i;

	for (i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
		struct redis_address redis = { .tls = false };
		const char * url = valid[i].url;

		is_text(redis_url_parse(url, &redis), NULL, "%s", url);
		is_integer(redis.tls, valid[i].tls, "%s: TLS", url);
		is_text(redis.unix_path, valid[i].unix_path, "%s: path", url);
		is_text(redis.host, valid[i].host, "%s: host", url);
		if (valid[i].host != NULL)
			is_integer(redis.port, valid[i].port, "%s: port", url);
		is_integer(redis.database, valid[i].database, "%s: database",
		    url);
		is_text(redis.user, valid[i].user, "%s: user", url);
		is_text(redis.password, valid[i].password, "%s: password",
		    url);
		redis_url_free(&redis);
	}
}

/* Nodes and names, as one text. */
static const struct {
	const char * url;
	const char * text;
	enum redis_kind kind;
} several[] = {
	{ "redis-sentinel://h?master=m", "0 m 0 h:26379",
	  REDIS_SENTINEL },
	{ "redis-sentinel://h/?master=m", "0 m 0 h:26379",
	  REDIS_SENTINEL },
	{ "rediss-sentinel://h:1/2?master=a.b-c_D9", "1 a.b-c_D9 2 h:1",
	  REDIS_SENTINEL },
	{ "redis-sentinel://u:p@h:1?node=i:2&master=m&node=[::1]",
	  "0 m 0 h:1 i:2 ::1:26379",
	  REDIS_SENTINEL },
	{ "redis-sentinel://[::1]:5/3?master=m&node=[::2]:6&node=j",
	  "0 m 3 ::1:5 ::2:6 j:26379",
	  REDIS_SENTINEL },
	{ "redis-cluster://h", "0 - 0 h:6379", REDIS_CLUSTER },
	{ "redis-cluster://u:p@h:7000/0?node=i&node=[::1]:7001",
	  "0 - 0 h:7000 i:6379 ::1:7001", REDIS_CLUSTER },
	{ "rediss-cluster://[::1]/?node=i:1", "1 - 0 ::1:6379 i:1",
	  REDIS_CLUSTER },
};

static void
test_several(void)
{
	size_t i, j;

	for (i = 0; i < sizeof(several) / sizeof(several[0]); i++) {
		struct redis_address redis = { .tls = false };
		const char * url = several[i].url;
		char text[200] = "";
		int used;

		is_text(redis_url_parse(url, &redis), NULL, "%s", url);
		is_integer(redis.kind, several[i].kind, "%s: kind", url);
		is_text(redis.host, NULL, "%s: no server", url);
		used = snprintf(text, sizeof(text), "%d %s %d", redis.tls,
		    redis.master == NULL ? "-" : redis.master,
		    redis.database);
		for (j = 0; j < redis.node_count; j++)
			used += snprintf(text + used, sizeof(text) -
			    (size_t)used, " %s:%d", redis.nodes[j].host,
			    redis.nodes[j].port);
		is_text(text, several[i].text, "%s: nodes", url);
		redis_url_free(&redis);
	}
}

static const char * const invalid[] = {
	"", "redis", "redis:", "redis:/", "redis://", "rediss://", "unix://",
	"h", "h:6379", "127.0.0.1:6379", "/run/redis.sock", "redis:h",
	"redis:/h", "http://h", "redisx://h", "xredis://h", " redis://h",
	"tcp://h", "redis+tls://h", "unix:/s",
	/* hosts and ports */
	"redis:///0", "redis://:6379", "redis://:6379/0", "redis://u:p@",
	"redis://:p@:6379", "redis://u:p@/0", "redis://h:0", "redis://h:65536",
	"redis://h:-1", "redis://h:+1", "redis://h: 1", "redis://h:1 ",
	"redis://h:x", "redis://h:1x", "redis://h:0x10", "redis://h:1.0",
	"redis://h:4294967297", "redis://h:18446744073709551617",
	"redis://h:99999999999999999999999/0", "redis://h:6379:6380",
	/* an IPv6 address stands in brackets */
	"redis://[::1", "redis://[]", "redis://[]:6379", "redis://[::1]x",
	"redis://[::1]6379", "redis://[::1]:", "redis://[::1]:0",
	"redis://[::1]:x", "redis://[::1]:65536", "redis://::1",
	"redis://::1/0", "redis://2001:db8::1/0", "redis://fe80::1:6379/0",
	/* databases and queries */
	"redis://h/-1", "redis://h/+1", "redis://h/ 1", "redis://h/a",
	"redis://h/1a", "redis://h/1/", "redis://h//1", "redis://h/1.0",
	"redis://h/4294967296", "redis://h/18446744073709551617",
	"redis://h/1?x", "redis://h?db=1", "redis://h/?db=1",
	/* sentinels */
	"redis-sentinel://h", "redis-sentinel://h/0", "redis-sentinel://h?",
	"redis-sentinel://?master=m", "redis-sentinel://h?master=",
	"redis-sentinel://h?master=a%20b", "redis-sentinel://h?master=a@b",
	"redis-sentinel://h?master=m&master=m", "redis-sentinel://h?node=i",
	"redis-sentinel://h?master=m&", "redis-sentinel://h?master=m&&node=i",
	"redis-sentinel://h?master=m&node=", "redis-sentinel://h?master=m&n=i",
	"redis-sentinel://h?master=m&node=i:0", "redis-sentinel:///m",
	"redis-sentinel://h?master=m&node=::1",
	"redis-sentinel://h,i?master=m&node=i:x",
	"redis-sentinel://h/x?master=m", "sentinel://h?master=m",
	"redis-cluster://h/1", "redis-cluster://h?", "redis-cluster://h?node=",
	"redis-cluster://h?master=m", "redis-cluster://",
	"rediss-cluster://h?node=i&", "cluster://h",
	"redis-sentinel://h?master=m?node=i", "redis://h?master=m",
	"redis://h?node=i",
	/* users and passwords */
	"redis://@h", "unix://@/s", "redis://u%zz@h", "redis://u%4:p@h", "redis://u:p%zz@h",
	"redis://u%00:p@h", "redis://u:p%00q@h", "redis://:%@h",
	"redis://%:p@h",
	/* Unix sockets */
	"unix://s", "unix://run/s", "unix://:p@s", "unix://u@s",
	"unix://:p@", "unix://?db=1", "unix://s?db=/1", "unix:///s?",
	"unix:///s?db", "unix:///s?db=", "unix:///s?db=-1", "unix:///s?db=x",
	"unix:///s?db=1x", "unix:///s?db=1&x=2", "unix:///s?x=1",
	"unix:///s?DB=1", "unix:///s?db=18446744073709551616",
	"unix:///s%", "unix:///s%4", "unix:///s%zz", "unix:///s%00",
	"unix:///s%00x?db=1",
};

static void
test_invalid(void)
{
	size_t i;

	for (i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		struct redis_address redis = { .tls = false };
		const char * why = redis_url_parse(invalid[i], &redis);

		ok(why != NULL && why[0] != '\0', "\"%s\" is refused",
		    invalid[i]);
		redis_url_free(&redis);
	}
}

static void
test_long(void)
{
	enum { LENGTH = 20000 };
	struct redis_address redis = { .tls = false };
	char * url = malloc(3 * LENGTH + 20);
	size_t i;

	strcpy(url, "redis://:");
	for (i = 0; i < LENGTH; i++)
		memcpy(url + 9 + 3 * i, "%78", 3);
	strcpy(url + 9 + 3 * LENGTH, "@h");
	is_text(redis_url_parse(url, &redis), NULL, "a long password");
	ok(redis.password != NULL && strlen(redis.password) == LENGTH &&
	    strspn(redis.password, "x") == LENGTH, "is read whole");
	redis_url_free(&redis);
	free(url);
}

int
main(void)
{

	test_decode();
	test_valid();
	test_several();
	test_invalid();
	test_long();
	return (tap_done());
}
