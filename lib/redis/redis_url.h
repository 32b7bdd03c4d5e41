#ifndef FLAGTALLY_REDIS_URL_H
#define FLAGTALLY_REDIS_URL_H

#include <stddef.h>

struct redis_address;

/**
 * url_parse_redis(url, redis):
 * Read redis://[[user]:password@]host[:port][/database], rediss:// likewise,
 * or unix://[[user]:password@]/path[?db=database] into ${redis}, which must be
 * all zero; the caller frees its strings.  The user may also stand alone, as
 * user@: the password comes from elsewhere then.  User, password and path may
 * be percent-encoded (RFC 3986), an IPv6 address stands in brackets.  Return
 * NULL, or what is wrong as a static text.
 */
const char * url_parse_redis(const char * url, struct redis_address * redis);

/**
 * url_decode(text, length):
 * Undo percent-encoding in place.  Return the new length, or -1 if a % is not
 * followed by two hexadecimal digits.
 */
long url_decode(char * text, size_t length);

#endif
