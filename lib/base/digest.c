#include <sodium.h>
#include <string.h>

#include "lib/base/digest.h"

_Static_assert(DIGEST_SIZE == crypto_hash_sha256_BYTES, "SHA-256");
_Static_assert(DIGEST_KEY_SIZE == crypto_shorthash_KEYBYTES, "SipHash");
_Static_assert(DIGEST_MAC_SIZE == crypto_onetimeauth_BYTES &&
    DIGEST_MAC_KEY_SIZE == crypto_onetimeauth_KEYBYTES &&
    sizeof(struct digest_mac) == sizeof(crypto_onetimeauth_state), "Poly1305");

int
digest_init(void)
{

	return (sodium_init() < 0 ? -1 : 0);
}

void
digest_sha256(const void * bytes, size_t length,
    unsigned char digest[DIGEST_SIZE])
{

	crypto_hash_sha256(digest, bytes, length);
}

void
digest_hex(char * out, const void * bytes, size_t length)
{

	sodium_bin2hex(out, 2 * length + 1, bytes, length);
}

void
digest_base64(char out[DIGEST_BASE64_MAX], const unsigned char * bytes,
    size_t length)
{

	sodium_bin2base64(out, DIGEST_BASE64_MAX, bytes, length,
	    sodium_base64_VARIANT_ORIGINAL);
}

int
digest_parse_hex(unsigned char digest[DIGEST_SIZE], const char * text,
    size_t length)
{
	const char * end;
	size_t size;

	if (length != (size_t)2 * DIGEST_SIZE ||
	    sodium_hex2bin(digest, DIGEST_SIZE, text, length, NULL, &size,
	    &end) != 0)
		return (-1);
	return (size == DIGEST_SIZE && end == text + length ? 0 : -1);
}

bool
digest_equal(const void * a, const void * b, size_t length)
{

	return (sodium_memcmp(a, b, length) == 0);
}

void
digest_random(void * bytes, size_t length)
{

	randombytes_buf(bytes, length);
}

uint64_t
digest_keyed_hash(const unsigned char key[DIGEST_KEY_SIZE],
    const void * bytes, size_t length)
{
	unsigned char hash[crypto_shorthash_BYTES];
	uint64_t number;

	crypto_shorthash(hash, bytes, length, key);
	memcpy(&number, hash, sizeof(number));
	return (number);
}

static crypto_onetimeauth_state *
poly1305(struct digest_mac * mac)
{

	return ((crypto_onetimeauth_state *)(void *)mac->state);
}

void
digest_mac_begin(struct digest_mac * mac,
    const unsigned char key[DIGEST_MAC_KEY_SIZE])
{

	crypto_onetimeauth_init(poly1305(mac), key);
}

void
digest_mac_feed(struct digest_mac * mac, const void * bytes, size_t length)
{

	crypto_onetimeauth_update(poly1305(mac), bytes, length);
}

void
digest_mac_end(struct digest_mac * mac, unsigned char result[DIGEST_MAC_SIZE])
{

	crypto_onetimeauth_final(poly1305(mac), result);
}

void
digest_wipe(void * bytes, size_t length)
{

	sodium_memzero(bytes, length);
}
