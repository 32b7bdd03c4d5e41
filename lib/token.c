#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/alloc.h"
#include "lib/arena.h"
#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/log.h"
#include "lib/token.h"

/*
 * The set is an open hash table over the digests, which are as good as random
 * themselves, so their first bytes are the hash.  A probe thus depends on the
 * digest of what was sent, never on how much of a secret was guessed; the
 * digests are compared in constant time all the same.
 */
#define LINE_SIZE 4096
#define REFRESH_MS 1000

struct entry {
	unsigned char digest[DIGEST_SIZE];
	const char * environment;	/* NULL: the entry is free. */
	bool forbidden;
};

struct set {
	struct entry * entries;
	size_t size;			/* A power of two. */
	size_t count;
	struct arena * names;
	const char * recent;		/* Neighbours share environments. */
};

struct token_store {
	char * path;
	pthread_rwlock_t lock;		/* Guards set. */
	pthread_mutex_t reading;	/* For one thread at a time. */
	struct set * set;		/* NULL: none could be read so far. */
	struct stat seen;		/* The file as it was read. */
	_Atomic int64_t next_look;
};

/* Sets */

static struct set *
set_create(void)
{
	struct set * set = alloc_zeroed(1, sizeof(*set));

	set->size = 64;
	set->entries = alloc_zeroed(set->size, sizeof(*set->entries));
	set->names = arena_create(0);
	return (set);
}

static void
set_free(struct set * set)
{

	if (set == NULL)
		return;
	arena_free(set->names);
	free(set->entries);
	free(set);
}

/* The entry with this digest, or the free one where it would go. */
static struct entry *
set_find(const struct set * set, const unsigned char * digest)
{
	size_t i;

	memcpy(&i, digest, sizeof(i));
	for (;; i++) {
		struct entry * entry = &set->entries[i & (set->size - 1)];

		if (entry->environment == NULL ||
		    digest_equal(entry->digest, digest, DIGEST_SIZE))
			return (entry);
	}
}

static void
set_grow(struct set * set)
{
	struct entry * old = set->entries;
	size_t old_size = set->size;
	size_t i;

	if (set->count * 4 < old_size * 3)
		return;
	set->size = old_size * 2;
	set->entries = alloc_zeroed(set->size, sizeof(*set->entries));
	for (i = 0; i < old_size; i++)
		if (old[i].environment != NULL)
			*set_find(set, old[i].digest) = old[i];
	free(old);
}

static const char *
set_name(struct set * set, const char * name, size_t length)
{

	if (set->recent == NULL || strlen(set->recent) != length ||
	    memcmp(set->recent, name, length) != 0)
		set->recent = arena_copy(set->names, name, length);
	return (set->recent);
}

/* Lines */

struct line {
	unsigned char digest[DIGEST_SIZE];
	const char * environment;
	size_t environment_length;
	bool forbidden;
};

/* `project:environment.secret` */
static const char *
parse_token(const char * word, struct line * line)
{
	const char * colon = strchr(word, ':');
	const char * dot = colon == NULL ? NULL : strchr(colon, '.');

	if (dot == NULL)
		return ("not of the form project:environment.secret");
	if (colon == word || dot == colon + 1 || dot[1] == '\0')
		return ("project, environment or secret is empty");
	line->environment = colon + 1;
	line->environment_length = (size_t)(dot - colon - 1);
	digest_sha256(word, strlen(word), line->digest);
	return (NULL);
}

static const char *
parse_attribute(const char * word, struct line * line)
{

	if (strncmp(word, "type=", 5) != 0)
		return ("an attribute other than type=");
	word += 5;
	line->forbidden = strcmp(word, "frontend") == 0;
	if (!line->forbidden && strcmp(word, "client") != 0 &&
	    strcmp(word, "backend") != 0 && strcmp(word, "admin") != 0)
		return ("type is none of client, backend, frontend, admin");
	return (NULL);
}

/* Split a line into words; return what is wrong with it, or NULL. */
static const char *
parse_line(char * text, struct line * line)
{
	static const char space[] = " \t\r\n";
	char * rest;
	char * word = strtok_r(text, space, &rest);
	const char * why;

	line->environment = NULL;
	line->forbidden = false;
	if (word == NULL)
		return (NULL);
	if (strncmp(word, "sha256:", 7) == 0) {
		if (digest_parse_hex(line->digest, word + 7,
		    strlen(word + 7)) != 0)
			return ("sha256: is not followed by 64 hexadecimal "
			    "digits");
		line->environment = strtok_r(NULL, space, &rest);
		if (line->environment == NULL)
			return ("no environment after the digest");
		line->environment_length = strlen(line->environment);
	} else if ((why = parse_token(word, line)) != NULL)
		return (why);
	if (line->environment_length > TOKEN_ENVIRONMENT_MAX)
		return ("the environment is longer than 255 bytes");
	while ((word = strtok_r(NULL, space, &rest)) != NULL)
		if ((why = parse_attribute(word, line)) != NULL)
			return (why);
	return (NULL);
}

static const char *
add_line(struct set * set, char * text, const char * path, unsigned long at)
{
	struct line line;
	struct entry * entry;
	const char * why;

	text[strcspn(text, "#")] = '\0';
	why = parse_line(text, &line);
	if (why != NULL || line.environment == NULL)
		return (why);
	set_grow(set);
	entry = set_find(set, line.digest);
	if (entry->environment != NULL)
		log_warning("%s:%lu: the token stands here again; this line "
		    "counts", path, at);
	else
		set->count++;
	memcpy(entry->digest, line.digest, sizeof(entry->digest));
	entry->environment = set_name(set, line.environment,
	    line.environment_length);
	entry->forbidden = line.forbidden;
	return (NULL);
}

/* Read a set from an open file; NULL, and the log says why, if it is bad. */
static struct set *
read_set(FILE * file, const char * path)
{
	struct set * set = set_create();
	char text[LINE_SIZE];
	unsigned long at = 0;
	const char * why = NULL;

	while (why == NULL && fgets(text, sizeof(text), file) != NULL) {
		at++;
		if (strlen(text) == sizeof(text) - 1 &&
		    text[sizeof(text) - 2] != '\n')
			why = "the line is too long";
		else
			why = add_line(set, text, path, at);
	}
	digest_wipe(text, sizeof(text));
	if (why == NULL && ferror(file))
		why = strerror(errno);
	if (why == NULL)
		return (set);
	log_error("%s:%lu: %s", path, at, why);
	set_free(set);
	return (NULL);
}

/* Stores */

static void
replace_set(struct token_store * store, struct set * set)
{
	struct set * old;

	pthread_rwlock_wrlock(&store->lock);
	old = store->set;
	store->set = set;
	pthread_rwlock_unlock(&store->lock);
	set_free(old);
	log_info("%zu tokens read from %s", set->count, store->path);
	if (set->count == 0)
		log_warning("%s holds no token: all requests are answered "
		    "403", store->path);
}

/* The caller holds store->reading. */
static void
read_file(struct token_store * store)
{
	FILE * file = fopen(store->path, "re");
	char buffer[8192];
	struct set * set;

	if (file == NULL) {
		log_error("%s: %s", store->path, strerror(errno));
		memset(&store->seen, 0, sizeof(store->seen));
		return;
	}
	/* Our own buffer, so that it can be wiped. */
	setvbuf(file, buffer, _IOFBF, sizeof(buffer));
	if (fstat(fileno(file), &store->seen) != 0)
		memset(&store->seen, 0, sizeof(store->seen));
	if ((store->seen.st_mode & S_IRWXO) != 0)
		log_warning("%s is open to every user of this host",
		    store->path);
	set = read_set(file, store->path);
	fclose(file);
	digest_wipe(buffer, sizeof(buffer));
	if (set != NULL)
		replace_set(store, set);
}

struct token_store *
token_store_open(const char * path)
{
	struct token_store * store = alloc_zeroed(1, sizeof(*store));

	store->path = alloc_string(path);
	pthread_rwlock_init(&store->lock, NULL);
	pthread_mutex_init(&store->reading, NULL);
	token_store_reload(store);
	return (store);
}

void
token_store_reload(struct token_store * store)
{

	pthread_mutex_lock(&store->reading);
	read_file(store);
	pthread_mutex_unlock(&store->reading);
}

static bool
same_time(const struct timespec * a, const struct timespec * b)
{

	return (a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec);
}

static bool
same_file(const struct stat * a, const struct stat * b)
{

	return (a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim) &&
	    same_time(&a->st_ctim, &b->st_ctim));
}

void
token_store_refresh(struct token_store * store)
{
	int64_t now = clock_monotonic();
	int64_t next = store->next_look;
	struct stat file;

	if (now < next || !atomic_compare_exchange_strong(&store->next_look,
	    &next, now + REFRESH_MS))
		return;
	pthread_mutex_lock(&store->reading);
	/* A file that has gone is mentioned once: then seen is all zero. */
	if (stat(store->path, &file) != 0) {
		if (store->seen.st_ino != 0)
			read_file(store);
	} else if (!same_file(&file, &store->seen))
		read_file(store);
	pthread_mutex_unlock(&store->reading);
}

static void
fill_grant(struct token_grant * grant, const char * environment)
{

	grant->any_environment = strcmp(environment, "*") == 0;
	grant->environment_length = strlen(environment);
	memcpy(grant->environment, environment, grant->environment_length + 1);
}

enum token_verdict
token_check(struct token_store * store, const char * token, size_t length,
    struct token_grant * grant)
{
	enum token_verdict verdict = TOKEN_UNAVAILABLE;
	unsigned char digest[DIGEST_SIZE];
	const struct entry * entry;

	digest_sha256(token, length, digest);
	pthread_rwlock_rdlock(&store->lock);
	if (store->set != NULL) {
		entry = set_find(store->set, digest);
		verdict = TOKEN_UNKNOWN;
		if (entry->environment != NULL)
			verdict = entry->forbidden ? TOKEN_FORBIDDEN :
			    TOKEN_GRANTED;
		if (verdict == TOKEN_GRANTED)
			fill_grant(grant, entry->environment);
	}
	pthread_rwlock_unlock(&store->lock);
	return (verdict);
}

void
token_store_free(struct token_store * store)
{

	if (store == NULL)
		return;
	set_free(store->set);
	pthread_rwlock_destroy(&store->lock);
	pthread_mutex_destroy(&store->reading);
	free(store->path);
	free(store);
}
