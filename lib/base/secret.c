#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/digest.h"
#include "lib/base/secret.h"

#define SECRET_MAX 1023

static char *
first_line(int descriptor, char * why, size_t size)
{
	char bytes[SECRET_MAX + 1];
	size_t used = 0;
	size_t length;
	ssize_t count;
	char * secret = NULL;

	/* A pipe can deliver it in pieces. */
	do {
		count = read(descriptor, bytes + used, sizeof(bytes) - used);
		if (count > 0)
			used += (size_t)count;
	} while ((count > 0 && used < sizeof(bytes)) ||
	    (count == -1 && errno == EINTR));
	length = 0;
	while (length < used && bytes[length] != '\r' &&
	    bytes[length] != '\n')
		length++;
	if (count == -1)
		snprintf(why, size, "%s", strerror(errno));
	else if (memchr(bytes, '\0', length) != NULL)
		snprintf(why, size, "there is a NUL in the password");
	else if (length == 0)
		snprintf(why, size, "no password in its first line");
	else if (length > SECRET_MAX)
		snprintf(why, size, "the password is longer than %d bytes",
		    SECRET_MAX);
	else
		secret = alloc_copy(bytes, length);
	digest_wipe(bytes, sizeof(bytes));
	return (secret);
}

char *
secret_read(const char * path, char * why, size_t size)
{
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	char * secret;

	if (descriptor == -1) {
		snprintf(why, size, "%s", strerror(errno));
		return (NULL);
	}
	secret = first_line(descriptor, why, size);
	close(descriptor);
	return (secret);
}

char *
secret_mask(const char * url)
{
	const char * rest = strstr(url, "://");
	const char * at, * colon;
	char * masked;
	size_t size;

	rest = rest == NULL ? url : rest + 3;
	at = strrchr(rest, '@');
	colon = strchr(rest, ':');
	if (at == NULL || colon == NULL || colon > at)
		return (alloc_string(url));
	size = (size_t)(colon - url) + sizeof(":***") + strlen(at);
	masked = alloc_bytes(size);
	snprintf(masked, size, "%.*s:***%s", (int)(colon - url), url, at);
	return (masked);
}

void
secret_hide(char ** environment, const char * name)
{
	size_t length = strlen(name);

	for (; *environment != NULL; environment++)
		if (strncmp(*environment, name, length) == 0 &&
		    (*environment)[length] == '=')
			digest_wipe(*environment + length + 1,
			    strlen(*environment + length + 1));
}

void
secret_wipe(char * secret)
{

	if (secret != NULL)
		digest_wipe(secret, strlen(secret));
	free(secret);
}
