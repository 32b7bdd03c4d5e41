#include <inttypes.h>

#include "lib/base/digest.h"
#include "tests/unit/tap.h"

/* From FIPS 180-4's examples, which NIST publishes beside it. */
static const struct {
	const char * text;
	size_t repeated;
	const char * hex;
} sha256[] = {
	{ "", 1, "e3b0c44298fc1c149afbf4c8996fb924"
	    "27ae41e4649b934ca495991b7852b855" },
	{ "abc", 1, "ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
	    "248d6a61d20638b8e5c026930c3e6039"
	    "a33ce45964ff2167f6ecedd419db06c1" },
	{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
	    "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu", 1,
	    "cf5b16a778af8380036ce59e7b049237"
	    "0b249b11e8f07a51afac45037afee9d1" },
	{ "a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67"
	    "f1809a48a497200e046d39ccc7112cd0" },
};

static void
test_sha256(void)
{
	size_t i, j;

	for (i = 0; i < sizeof(sha256) / sizeof(sha256[0]); i++) {
		size_t once = strlen(sha256[i].text);
		size_t length = once * sha256[i].repeated;
		char * text = malloc(length + 1);
		unsigned char digest[DIGEST_SIZE];
		char hex[2 * DIGEST_SIZE + 1];

		for (j = 0; j < length; j++)
			text[j] = sha256[i].text[j % once];
		digest_sha256(text, length, digest);
		digest_hex(hex, digest, sizeof(digest));
		is_text(hex, sha256[i].hex, "SHA-256 of %zu bytes", length);
		free(text);
	}
}

static void
test_hex(void)
{
	static const struct {
		const char * bytes;
		size_t length;
		const char * hex;
	} rows[] = {
		{ "", 0, "" },
		{ "\0", 1, "00" },
		{ "\x01\x23\x45\x67\x89\xab\xcd\xef", 8, "0123456789abcdef" },
		{ "\xff\x00\x80", 3, "ff0080" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[20];

		memset(out, '#', sizeof(out));
		digest_hex(out, rows[i].bytes, rows[i].length);
		is_text(out, rows[i].hex, "%zu bytes in hexadecimal",
		    rows[i].length);
		ok(out[2 * rows[i].length + 1] == '#',
		    "no more than 2 * %zu + 1 bytes are written",
		    rows[i].length);
	}
}

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e"

static const struct {
	const char * text;
	size_t length;
	int result;
} hex_texts[] = {
	{ HEX "1f", 64, 0 },
	{ HEX "1F", 64, 0 },
	{ HEX "1f0", 64, 0 },
	{ HEX "1f", 63, -1 },
	{ HEX "1f", 62, -1 },
	{ HEX "1f", 0, -1 },
	{ HEX "1f0", 65, -1 },
	{ HEX "1f20", 66, -1 },
	{ HEX "1g", 64, -1 },
	{ HEX "1 ", 64, -1 },
	{ HEX "1\n", 64, -1 },
	{ HEX "1\0", 64, -1 },
	{ HEX "1:", 64, -1 },
	{ HEX "1/", 64, -1 },
	{ HEX "1@", 64, -1 },
	{ HEX "1`", 64, -1 },
	{ HEX "1\xe6", 64, -1 },
	{ "g" HEX "1", 64, -1 },
	{ "0x" HEX, 64, -1 },
	{ " " HEX "1", 64, -1 },
	{ "-1" HEX, 64, -1 },
};

static void
test_parse_hex(void)
{
	unsigned char digest[DIGEST_SIZE];
	size_t i, j;

	for (i = 0; i < sizeof(hex_texts) / sizeof(hex_texts[0]); i++) {
		char * text = tap_copy(hex_texts[i].text, hex_texts[i].length);

		is_integer(digest_parse_hex(digest, text, hex_texts[i].length),
		    hex_texts[i].result, "hexadecimal digits, row %zu", i);
		free(text);
		if (hex_texts[i].result != 0)
			continue;
		for (j = 0; j < DIGEST_SIZE && digest[j] == j;)
			j++;
		is_integer(j, DIGEST_SIZE, "the bytes of row %zu", i);
	}
}

static void
test_equal(void)
{
	unsigned char a[40], b[40];
	unsigned int wrong = 0;
	size_t i;

	memset(a, 0x5a, sizeof(a));
	memcpy(b, a, sizeof(b));
	ok(digest_equal(a, b, sizeof(a)), "the same bytes are equal");
	ok(digest_equal(a, b, 0), "no bytes are equal");
	for (i = 0; i < sizeof(a) * 8; i++) {
		b[i / 8] ^= (unsigned char)(1u << i % 8);
		wrong += digest_equal(a, b, sizeof(a));
		wrong += !digest_equal(a, b, i / 8);
		b[i / 8] = a[i / 8];
	}
	is_integer(wrong, 0, "each bit makes a difference");
}

static void
test_random_bytes(void)
{
	unsigned char a[64], b[64];
	unsigned char guarded[16];
	unsigned char all = 0;
	int i;

	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	digest_random(a, sizeof(a));
	digest_random(b, sizeof(b));
	ok(memcmp(a, b, sizeof(a)) != 0, "random bytes differ");
	/* Each byte is 0 in 64 tries with a chance of 2^-512. */
	for (i = 0; i < 64; i++) {
		memset(guarded, 0, sizeof(guarded));
		digest_random(guarded + 4, 8);
		all |= guarded[4];
		all |= guarded[11];
		if (memcmp(guarded, "\0\0\0\0", 4) != 0 ||
		    memcmp(guarded + 12, "\0\0\0\0", 4) != 0)
			break;
	}
	is_integer(i, 64, "no more bytes are filled than were asked for");
	ok(all != 0, "and all that were");
}

/* Aumasson and Bernstein, "SipHash", appendix A, and vectors.h beside it. */
static void
test_keyed_hash(void)
{
	static const struct {
		size_t length;
		uint64_t hash;
	} rows[] = {
		{ 0, 0x726fdb47dd0e0e31 }, { 1, 0x74f839c593dc67fd },
		{ 2, 0x0d6c8009d9a94f5a }, { 7, 0xab0200f58b01d137 },
		{ 8, 0x93f5f5799a932462 }, { 15, 0xa129ca6149be45e5 },
	};
	unsigned char key[DIGEST_KEY_SIZE];
	unsigned char bytes[16];
	unsigned char i;
	size_t row;

	for (i = 0; i < 16; i++)
		key[i] = bytes[i] = i;
	for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		char * copy = tap_copy(bytes, rows[row].length);
		uint64_t hash = digest_keyed_hash(key, copy,
		    rows[row].length);

		ok(hash == rows[row].hash, "SipHash of %zu bytes is %016"
		    PRIx64, rows[row].length, hash);
		free(copy);
	}
	key[15] ^= 0x80;
	ok(digest_keyed_hash(key, bytes, 15) != rows[5].hash,
	    "SipHash depends on the key");
}

static void
test_wipe(void)
{
	char secret[] = "secret of 16 byt";

	digest_wipe(secret + 1, 14);
	is_bytes(secret, 17, "s\0\0\0\0\0\0\0\0\0\0\0\0\0\0t", 17,
	    "a secret is wiped, and nothing around it");
}

int
main(void)
{

	is_integer(digest_init(), 0, "there are random numbers");
	is_integer(digest_init(), 0, "and so again");
	test_sha256();
	test_hex();
	test_parse_hex();
	test_equal();
	test_random_bytes();
	test_keyed_hash();
	test_wipe();
	return (tap_done());
}
