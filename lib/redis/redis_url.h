#ifndef FLAGTALLY_REDIS_URL_H
#define FLAGTALLY_REDIS_URL_H

#include <stddef.h>

struct redis_address;

/**
 * redis_url_parse(url, redis):
 * Read redis://[[user]:password@]host[:port][/database], rediss:// likewise,
 * or unix://[[user]:password@]/path[?db=database] into ${redis}, which must be
 * all zero; the caller frees its strings.  The user may also stand alone, as
 * user@: the password comes from elsewhere then.  User, password and path may
 * be percent-encoded (RFC 3986), an IPv6 address stands in brackets.  Return
 * NULL, or what is wrong as a static text.
 */
const char * redis_url_parse(const char * url, struct redis_address * redis);

#endif
