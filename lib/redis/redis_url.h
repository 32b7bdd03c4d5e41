#ifndef FLAGTALLY_REDIS_URL_H
#define FLAGTALLY_REDIS_URL_H

#include <stddef.h>

struct redis_address;

/**
 * redis_url_parse(url, redis):
 * Read one of these URLs into ${redis}, which must be all zero; the caller
 * frees it with redis_url_free:
 *	redis://[USER@]HOST[:PORT][/DATABASE], and rediss:// for TLS,
 *	redis-sentinel://[USER@]HOST[:PORT][/DATABASE]?master=NAME[&node=...],
 *	and rediss-sentinel:// for TLS to sentinels and servers,
 *	redis-cluster://[USER@]HOST[:PORT][/0][?node=...[&node=...]], and
 *	rediss-cluster:// for TLS,
 *	unix://[USER@]/PATH[?db=DATABASE].
 * USER is name:password, :password, or name if the password comes from
 * elsewhere.  A node is HOST[:PORT].  User, password and path may be
 * percent-encoded (RFC 3986); an IPv6 address is written in brackets.  Return
 * NULL, or a static text that says what is wrong.
 */
const char * redis_url_parse(const char * url, struct redis_address * redis);

/**
 * redis_url_free(redis):
 * Wipe the passwords of an address, and free all that it holds except the
 * settings of TLS.
 */
void redis_url_free(struct redis_address * redis);

#endif
