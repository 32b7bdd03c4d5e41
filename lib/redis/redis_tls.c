#include "lib/redis/redis_tls.h"

#ifdef HAVE_HIREDIS_SSL
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"

/* Where systems keep the certificates of authorities. */
static const char directory[] = "/etc/ssl/certs";
static const char * const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/cert.pem",
};

struct tls {
	SSL_CTX * context;
	SSL_SESSION * session;		/* The latest, or NULL, of */
	char * host;			/* the latest connection's server; no */
	int port;			/* host: there was none. */
};

/*
 * Keep the session for the next handshake: a copy, as OpenSSL spoils its own
 * when the connection is lost.
 */
static int
take_session(SSL * connection, SSL_SESSION * session)
{
	struct tls * tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection));

	if (tls == NULL)
		return (0);
	SSL_SESSION_free(tls->session);
	tls->session = SSL_SESSION_dup(session);
	return (0);
}

/* Whether a directory has files with names that OpenSSL looks for. */
static bool
has_hashed_names(const char * path)
{
	DIR * files = opendir(path);
	const struct dirent * file;
	bool found = false;

	if (files == NULL)
		return (false);
	while (!found && (file = readdir(files)) != NULL)
		found = strlen(file->d_name) == 10 &&
		    strspn(file->d_name, "0123456789abcdef") == 8 &&
		    strcmp(file->d_name + 8, ".0") == 0;
	closedir(files);
	return (found);
}

static bool
trust_system(SSL_CTX * context)
{
	size_t i;

	if (has_hashed_names(directory))
		return (SSL_CTX_load_verify_locations(context, NULL,
		    directory) == 1);
	for (i = 0; i < sizeof(bundles) / sizeof(bundles[0]); i++)
		if (access(bundles[i], R_OK) == 0)
			return (SSL_CTX_load_verify_locations(context,
			    bundles[i], NULL) == 1);
	return (SSL_CTX_set_default_verify_paths(context) == 1);
}

static bool
trust(SSL_CTX * context, const char * path)
{
	struct stat status;
	bool is_directory;

	if (path[0] == '\0')
		return (trust_system(context));
	if (stat(path, &status) != 0)
		return (false);
	is_directory = S_ISDIR(status.st_mode);
	return (SSL_CTX_load_verify_locations(context,
	    is_directory ? NULL : path, is_directory ? path : NULL) == 1);
}

/* Return NULL, or what cannot be used. */
static const char *
set_up(SSL_CTX * context, const struct tls_settings * settings)
{
	const char * key = settings->key[0] != '\0' ? settings->key :
	    settings->certificate;

	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
		return ("TLS 1.2 is not available");
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (!trust(context, settings->authorities))
		return ("redis_tls_ca holds no certificates that can be read");
	if (settings->certificate[0] == '\0')
		return (settings->key[0] == '\0' ? NULL :
		    "redis_tls_key requires redis_tls_cert");
	if (SSL_CTX_use_certificate_chain_file(context,
	    settings->certificate) != 1)
		return ("redis_tls_cert holds no certificate that can be read");
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		return ("there is no key that can be read, or it is not the "
		    "certificate's: redis_tls_key");
	return (NULL);
}

struct tls *
redis_tls_create(const struct tls_settings * settings, const char ** why)
{
	struct tls * tls = alloc_zeroed(1, sizeof(*tls));

#ifdef STATIC_BINARY
	/* OpenSSL's configuration on this host may name modules to load. */
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
#endif
	ERR_clear_error();
	tls->context = SSL_CTX_new(TLS_client_method());
	*why = tls->context == NULL ? "OpenSSL cannot be set up" :
	    set_up(tls->context, settings);
	if (*why != NULL) {
		redis_tls_free(tls);
		return (NULL);
	}
	SSL_CTX_set_app_data(tls->context, tls);
	SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(tls->context, take_session);
	return (tls);
}

static bool
expect_host(SSL * connection, const char * host)
{
	X509_VERIFY_PARAM * expected = SSL_get0_param(connection);
	unsigned char address[sizeof(struct in6_addr)];
	char * name;
	bool named;

	/* A certificate has addresses apart, and SNI has names only. */
	if (inet_pton(AF_INET, host, address) == 1 ||
	    inet_pton(AF_INET6, host, address) == 1)
		return (X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1);
	X509_VERIFY_PARAM_set_hostflags(expected,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_host(expected, host, 0) != 1)
		return (false);
	/* SSL_set_tlsext_host_name without its cast; OpenSSL copies it. */
	name = alloc_string(host);
	named = SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME,
	    TLSEXT_NAMETYPE_host_name, name) == 1;
	free(name);
	return (named);
}

/* A session that is resumed is not verified again, so it is for the server
 * that gave it, and for no other. */
static void
set_session_server(struct tls * tls, const char * host, int port)
{

	if (tls->host != NULL && strcmp(tls->host, host) == 0 &&
	    tls->port == port)
		return;
	SSL_SESSION_free(tls->session);
	tls->session = NULL;
	free(tls->host);
	tls->host = alloc_string(host);
	tls->port = port;
}

SSL *
redis_tls_begin(struct tls * tls, const char * host, int port)
{
	SSL * connection = SSL_new(tls->context);

	set_session_server(tls, host, port);
	if (connection == NULL)
		return (NULL);
	if (!expect_host(connection, host)) {
		SSL_free(connection);
		return (NULL);
	}
	if (tls->session != NULL)
		SSL_set_session(connection, tls->session);
	return (connection);
}

void
redis_tls_abandon(SSL * connection)
{

	SSL_free(connection);
}

enum tls_result
redis_tls_handshake(SSL * connection, int descriptor, int64_t deadline)
{
	struct pollfd wait = { .fd = descriptor };
	int left, ready, result;

	/* A server that always has another byte does not hold us. */
	do {
		ERR_clear_error();
		result = SSL_do_handshake(connection);
		if (result == 1)
			return (TLS_DONE);
		switch (SSL_get_error(connection, result)) {
		case SSL_ERROR_WANT_READ:
			wait.events = POLLIN;
			break;
		case SSL_ERROR_WANT_WRITE:
			wait.events = POLLOUT;
			break;
		default:
			return (TLS_FAILED);
		}
		left = clock_remaining(deadline);
		ready = left == 0 ? 0 : poll(&wait, 1, left);
	} while (ready == 1 || (ready == -1 && errno == EINTR));
	return (ready == 0 ? TLS_LATE : TLS_FAILED);
}

void
redis_tls_read_alert(SSL * connection)
{
	char dropped[256];

	ERR_clear_error();
	(void)SSL_read(connection, dropped, sizeof(dropped));
}

bool
redis_tls_pending(const SSL * connection)
{

	return (SSL_pending(connection) > 0);
}

bool
redis_tls_reused(const SSL * connection)
{

	return (SSL_session_reused(connection) == 1);
}

const char *
redis_tls_error(const SSL * connection)
{
	long verified = SSL_get_verify_result(connection);
	unsigned long error = ERR_peek_last_error();

	if (verified != X509_V_OK)
		return (X509_verify_cert_error_string(verified));
	return (error == 0 ? NULL : ERR_reason_error_string(error));
}

void
redis_tls_free(struct tls * tls)
{

	if (tls == NULL)
		return;
	if (tls->context != NULL)
		SSL_CTX_set_app_data(tls->context, NULL);
	SSL_CTX_free(tls->context);
	SSL_SESSION_free(tls->session);
	free(tls->host);
	free(tls);
}
#else
#include <stddef.h>

struct tls *
redis_tls_create(const struct tls_settings * settings, const char ** why)
{

	(void)settings;
	*why = "this program was built without TLS";
	return (NULL);
}

void
redis_tls_free(struct tls * tls)
{

	(void)tls;
}
#endif
