#ifndef FLAGTALLY_DIGEST_H
#define FLAGTALLY_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digests and random bytes, from libsodium.  Any thread may call these. */

#define DIGEST_SIZE 32
#define DIGEST_KEY_SIZE 16

/**
 * digest_init():
 * Make the rest usable.  Return 0, or -1 if the system has no random numbers.
 */
int digest_init(void);

/**
 * digest_sha256(bytes, length, digest):
 * Write the SHA-256 (FIPS 180-4) of ${length} bytes to ${digest}.
 */
void digest_sha256(const void * bytes, size_t length,
    unsigned char digest[DIGEST_SIZE]);

/**
 * digest_hex(out, bytes, length):
 * Write ${length} bytes as lower-case hexadecimal digits, with a NUL, to
 * ${out}, which has room for 2 * length + 1.
 */
void digest_hex(char * out, const void * bytes, size_t length);

#define DIGEST_BASE64_MAX 48

/**
 * digest_base64(out, bytes, length):
 * Write ${length} bytes in base64 (RFC 4648, section 4) with a NUL to ${out},
 * which has room for 33 bytes.
 */
void digest_base64(char out[DIGEST_BASE64_MAX], const unsigned char * bytes,
    size_t length);

/**
 * digest_parse_hex(digest, text, length):
 * Read the hexadecimal digits of a digest.  Return 0, or -1 if ${text} is not
 * 2 * DIGEST_SIZE of them.
 */
int digest_parse_hex(unsigned char digest[DIGEST_SIZE], const char * text,
    size_t length);

/**
 * digest_equal(a, b, length):
 * Return whether the bytes are the same, in a time that does not tell where
 * they differ.
 */
bool digest_equal(const void * a, const void * b, size_t length);

/**
 * digest_random(bytes, length):
 * Fill ${bytes} with random ones.
 */
void digest_random(void * bytes, size_t length);

/**
 * digest_keyed_hash(key, bytes, length):
 * Return the SipHash-2-4 (Aumasson, Bernstein 2012) of ${length} bytes.
 */
uint64_t digest_keyed_hash(const unsigned char key[DIGEST_KEY_SIZE],
    const void * bytes, size_t length);

/* A keyed hash of bytes that arrive in pieces. */
#define DIGEST_MAC_SIZE 16
#define DIGEST_MAC_KEY_SIZE 32
struct digest_mac {
	_Alignas(16) unsigned char state[256];
};

/**
 * digest_mac_begin(mac, key):
 * digest_mac_feed(mac, bytes, length):
 * digest_mac_end(mac, result):
 * Hash the bytes that are fed, in whatever pieces, with Poly1305 (RFC 8439).
 * With one key for many texts it is no authenticator, because a result that is
 * published gives the key away.  As long as key and results stay secret, two
 * texts of N bytes that were chosen without them have the same result with a
 * probability below N / 2^102.  It takes a third of the time of BLAKE2b.
 */
void digest_mac_begin(struct digest_mac * mac,
    const unsigned char key[DIGEST_MAC_KEY_SIZE]);
void digest_mac_feed(struct digest_mac * mac, const void * bytes,
    size_t length);
void digest_mac_end(struct digest_mac * mac,
    unsigned char result[DIGEST_MAC_SIZE]);

/**
 * digest_wipe(bytes, length):
 * Overwrite a secret; the compiler does not leave it out.
 */
void digest_wipe(void * bytes, size_t length);

#endif
