#ifndef FLAGTALLY_ADDRESS_H
#define FLAGTALLY_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/redis/confirm.h"
#include "lib/redis/redis_tls.h"

/* Whether rediss:// is built in. */
#ifdef HAVE_HIREDIS_SSL
#define REDIS_TLS_BUILT true
#else
#define REDIS_TLS_BUILT false
#endif

/* The kind of an address's hosts. */
enum redis_kind {
	REDIS_SERVER,			/* One server: a host, or a path. */
	REDIS_SENTINEL,			/* Sentinels that name the master. */
	REDIS_ONE_SENTINEL,		/* One of these, without data. */
	REDIS_CLUSTER,			/* Some nodes of a cluster. */
};

struct redis_node {
	char * host;
	int port;
};

/* Where Redis is, from a URL and perhaps a password file. */
struct redis_address {
	enum redis_kind kind;
	bool tls;
	char * unix_path;		/* Of a Unix socket, or NULL. */
	char * host;			/* Of one server, or NULL. */
	int port;
	struct redis_node * nodes;	/* Sentinels, or of a cluster. */
	size_t node_count;
	char * master;			/* As the sentinels call it. */
	int database;
	char * user;			/* NULL: none. */
	char * password;		/* NULL: none. */
	char * sentinel_user;		/* Of the sentinels, likewise. */
	char * sentinel_password;
	struct tls_settings tls_settings; /* If tls. */
	struct confirm confirm;		/* Of exchanges that need it. */
};

#endif
