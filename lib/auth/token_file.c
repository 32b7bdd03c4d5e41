#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auth/token_file.h"
#include "lib/base/alloc.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"
#include "lib/base/thread.h"

/*
 * The set is an open hash table of digests.  These are as good as random, so
 * their first bytes serve as the hash.  The time of a probe depends on the
 * digest of the token that was sent, never on how much of a secret was guessed;
 * digests are compared in constant time all the same.
 *
 * Each request checks the file with one stat, so a file that replaces it counts
 * from the next request on.  The thread that sees a change reads the file,
 * which takes a while if it is large.  Meanwhile other requests use the old
 * tokens.  A request whose token is not among them waits for the new ones: its
 * token may have just been added, and a client that gets a 403 loses the counts
 * it has to report.
 */
#define LINE_SIZE 4096
#define READ_SIZE 16384

/* Milliseconds between two attempts to open a file that cannot be opened. */
#define RETRY_MS 1000

/*
 * A file that is written in place is read when it has not changed for this many
 * milliseconds.  Until then it may be incomplete, and a further change may
 * leave its time stamps the same.
 */
#define SETTLE_MS 50
#define SETTLE_TRIES 10

/* Most duplicate tokens to log; of the rest only the number is logged. */
#define REPEATED_MAX 5

struct entry {
	unsigned char digest[DIGEST_SIZE];
	uint32_t name;			/* Index into the names of
					 * environments, with FRONTEND or not;
					 * 0: the entry is free. */
};

/* A bit in an entry's name: the token is of kind TOKEN_FRONTEND. */
#define FRONTEND ((uint32_t)1 << 31)

struct set {
	struct entry * entries;
	size_t size;			/* A power of two. */
	size_t count;
	size_t repeated;
	struct arena * names_arena;
	const char ** names;		/* From 1 on. */
	uint32_t name_count;
	size_t names_size;
};

struct token_file {
	char * path;
	pthread_rwlock_t lock;		/* Guards set. */
	pthread_mutex_t reading;	/* Guards the rest. */
	struct set * set;		/* NULL: no file could be read yet. */
	struct stat seen;		/* The file as it was read. */
	int64_t next_look;		/* After it could not be opened. */
};

/* Sets */

static struct set *
set_create(void)
{
	struct set * set = alloc_zeroed(1, sizeof(*set));

	set->size = 64;
	set->entries = alloc_zeroed(set->size, sizeof(*set->entries));
	set->names_arena = arena_create(0);
	return (set);
}

static void
set_free(struct set * set)
{

	if (set == NULL)
		return;
	arena_free(set->names_arena);
	free(set->names);
	free(set->entries);
	free(set);
}

/* Return the entry with this digest, or the free one to put it in. */
static struct entry *
set_find(const struct set * set, const unsigned char * digest)
{
	size_t i;

	memcpy(&i, digest, sizeof(i));
	for (;; i++) {
		struct entry * entry = &set->entries[i & (set->size - 1)];

		if (entry->name == 0 ||
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
		if (old[i].name != 0)
			*set_find(set, old[i].digest) = old[i];
	free(old);
}

/* Return the index of a name.  Only consecutive equal names share one: files
 * are usually sorted by environment, and a second copy costs only memory. */
static uint32_t
set_name(struct set * set, const char * name, size_t length)
{
	const char * recent = set->name_count == 0 ? NULL :
	    set->names[set->name_count];

	if (recent != NULL && strlen(recent) == length &&
	    memcmp(recent, name, length) == 0)
		return (set->name_count);
	if (set->name_count + 1 >= set->names_size) {
		set->names_size = set->names_size * 2 + 8;
		set->names = alloc_resize(set->names, set->names_size,
		    sizeof(*set->names));
	}
	if (set->name_count + 1 == FRONTEND)
		abort();
	set->names[++set->name_count] = arena_copy(set->names_arena, name,
	    length);
	return (set->name_count);
}

/* Lines */

struct line {
	unsigned char digest[DIGEST_SIZE];
	const char * environment;
	size_t environment_length;
	bool frontend;
};

const char *
token_file_environment(const char * token, size_t length, size_t * size)
{
	const char * end = token + length;
	const char * colon = memchr(token, ':', length);
	const char * dot = colon == NULL ? NULL :
	    memchr(colon, '.', (size_t)(end - colon));

	if (dot == NULL || colon == token || dot == colon + 1 ||
	    dot + 1 == end || dot - colon - 1 > TOKEN_ENVIRONMENT_MAX)
		return (NULL);
	*size = (size_t)(dot - colon - 1);
	return (colon + 1);
}

/* `project:environment.secret` */
static const char *
parse_token(const char * word, struct line * line)
{
	size_t length = strlen(word);

	line->environment = token_file_environment(word, length,
	    &line->environment_length);
	if (line->environment == NULL)
		return ("not of the form project:environment.secret, with "
		    "something in each place and at most 255 bytes as the "
		    "environment");
	digest_sha256(word, length, line->digest);
	return (NULL);
}

static const char *
parse_attribute(const char * word, struct line * line)
{

	if (strncmp(word, "type=", 5) != 0)
		return ("an attribute other than type=");
	word += 5;
	line->frontend = strcmp(word, "frontend") == 0;
	if (!line->frontend && strcmp(word, "client") != 0 &&
	    strcmp(word, "backend") != 0 && strcmp(word, "admin") != 0)
		return ("type is none of client, backend, frontend, admin");
	return (NULL);
}

/* Characters that no token contains, in UTF-8; the last byte is a range. */
static const struct foreign {
	const char * prefix;
	unsigned char first, last;
	const char * why;
} foreign[] = {
	{ "\xef\xbb", 0xbf, 0xbf, "there is a byte-order mark" },
	{ "", '"', '"', "there are quotes" },
	{ "", '\'', '\'', "there are quotes" },
	{ "", '`', '`', "there are quotes" },
	{ "\xc2", 0xab, 0xab, "there are quotes" },
	{ "\xc2", 0xbb, 0xbb, "there are quotes" },
	{ "\xe2\x80", 0x98, 0x9f, "there are quotes" },
	{ "\xc2", 0xa0, 0xa0, "there is a no-break space" },
	{ "\xe2\x80", 0xaf, 0xaf, "there is a no-break space" },
	{ "\xe2\x80", 0x8b, 0x8f, "there is a zero-width space or mark" },
	{ "\xe2\x80", 0xaa, 0xae, "there is a zero-width space or mark" },
	{ "\xe2\x81", 0xa0, 0xaf, "there is a zero-width space or mark" },
	{ "\xc2", 0xad, 0xad, "there is a zero-width space or mark" },
	{ "\xe2\x80", 0x80, 0x8a, "there is white space that is not ASCII" },
	{ "\xe2\x80", 0xa8, 0xa9, "there is white space that is not ASCII" },
	{ "\xe2\x81", 0x9f, 0x9f, "there is white space that is not ASCII" },
	{ "\xe3\x80", 0x80, 0x80, "there is white space that is not ASCII" },
	{ "", 0x01, 0x08, "there is a control character" },
	{ "", 0x0b, 0x0c, "there is a control character" },
	{ "", 0x0e, 0x1f, "there is a control character" },
	{ "", 0x7f, 0x7f, "there is a control character" },
};

/*
 * Editors and mail programs insert invisible characters, and shells leave
 * quotes.  A token with one of these never matches the token that a client
 * sends.  Return the name of the first such character, or NULL.
 */
static const char *
find_foreign(const char * text)
{
	const struct foreign * row;

	for (; *text != '\0'; text++) {
		/* Nearly all characters: files have hundreds of thousands. */
		if ((*text >= '(' && *text <= '_') ||
		    (*text >= 'a' && *text <= '~'))
			continue;
		for (row = foreign; row < foreign + sizeof(foreign) /
		    sizeof(foreign[0]); row++) {
			size_t length = strlen(row->prefix);

			if (strncmp(text, row->prefix, length) == 0 &&
			    (unsigned char)text[length] >= row->first &&
			    (unsigned char)text[length] <= row->last)
				return (row->why);
		}
	}
	return (NULL);
}

/* Split a line into words; return an error text, or NULL. */
static const char *
parse_line(char * text, struct line * line)
{
	static const char space[] = " \t\r\n";
	char * rest;
	char * word = strtok_r(text, space, &rest);
	const char * why;

	line->environment = NULL;
	line->frontend = false;
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

/* Add the token of a line to the set.  Return an error text, or NULL. */
static const char *
add_line(struct set * set, char * text, const char * path, unsigned long at)
{
	struct line line = { .environment = NULL };
	struct entry * entry;
	const char * why;

	text[strcspn(text, "#")] = '\0';
	why = find_foreign(text);
	if (why == NULL)
		why = parse_line(text, &line);
	if (why != NULL || line.environment == NULL)
		return (why);
	set_grow(set);
	entry = set_find(set, line.digest);
	if (entry->name == 0)
		set->count++;
	else if (++set->repeated <= REPEATED_MAX)
		log_warning("%s:%lu: duplicate token; this line counts", path,
		    at);
	memcpy(entry->digest, line.digest, sizeof(entry->digest));
	entry->name = set_name(set, line.environment,
	    line.environment_length) | (line.frontend ? FRONTEND : 0);
	return (NULL);
}

/* Files */

/* Reads a file line by line. */
struct token_reader {
	int descriptor;
	unsigned long at;		/* The line's number. */
	size_t begin, end;		/* Of the bytes that are left. */
	bool ended;
	char bytes[READ_SIZE + 1];
};

/* Read some more; return an error text, or NULL. */
static const char *
read_piece(struct token_reader * reader)
{
	ssize_t count;

	reader->end -= reader->begin;
	memmove(reader->bytes, reader->bytes + reader->begin, reader->end);
	reader->begin = 0;
	do
		count = read(reader->descriptor, reader->bytes + reader->end,
		    READ_SIZE - reader->end);
	while (count == -1 && errno == EINTR);
	if (count == -1)
		return (strerror(errno));
	reader->end += (size_t)count;
	reader->ended = count == 0;
	return (NULL);
}

/* Find the next line, which is NULL after the last one.  Return an error text,
 * or NULL. */
static const char *
next_line(struct token_reader * reader, char ** line)
{
	const char * why = NULL;
	char * newline;
	size_t length;

	for (*line = NULL; why == NULL; why = read_piece(reader)) {
		char * begin = reader->bytes + reader->begin;

		length = reader->end - reader->begin;
		newline = memchr(begin, '\n', length);
		if (newline == NULL && length < LINE_SIZE && !reader->ended)
			continue;
		if (newline != NULL)
			length = (size_t)(newline - begin);
		else if (length == 0)
			return (NULL);
		reader->at++;
		if (length >= LINE_SIZE)
			return ("the line is longer than 4095 bytes");
		if (memchr(begin, '\0', length) != NULL)
			return ("there is a NUL in the line");
		begin[length] = '\0';
		reader->begin += length + (newline != NULL);
		*line = begin;
		return (NULL);
	}
	reader->at++;
	return (why);
}

/* Read a set from an open file; return NULL and log if the file is invalid. */
static struct set *
read_set(int descriptor, const char * path)
{
	struct token_reader reader = { .descriptor = descriptor };
	struct set * set = set_create();
	const char * why;
	char * line;

	do {
		why = next_line(&reader, &line);
		if (why == NULL && line != NULL)
			why = add_line(set, line, path, reader.at);
	} while (why == NULL && line != NULL);
	digest_wipe(reader.bytes, sizeof(reader.bytes));
	if (set->repeated > REPEATED_MAX)
		log_warning("%s: %zu more lines have duplicate tokens", path,
		    set->repeated - REPEATED_MAX);
	if (why == NULL)
		return (set);
	log_error("%s:%lu: %s", path, reader.at, why);
	set_free(set);
	return (NULL);
}

/* Stores */

static void
replace_set(struct token_file * store, struct set * set)
{
	struct set * old;

	pthread_rwlock_wrlock(&store->lock);
	old = store->set;
	store->set = set;
	pthread_rwlock_unlock(&store->lock);
	set_free(old);
	log_info("%zu tokens read from %s", set->count, store->path);
	if (set->count == 0)
		log_warning("%s holds no token: all requests get 403",
		    store->path);
}

/* The file cannot be used: log what that means for requests. */
static void
log_consequence(const struct token_file * store)
{

	if (store->set == NULL)
		log_error_limited("requests get 503 until %s can be read",
		    store->path);
	else
		log_warning_limited("the tokens of the previous %s stay in "
		    "force until it is repaired", store->path);
}

static void
log_unreadable(const struct token_file * store, int error)
{
	struct stat file;

	if (error == EACCES && stat(store->path, &file) == 0)
		log_error_limited("%s belongs to user %ju, and user %ju cannot "
		    "read it: chown %ju %s", store->path,
		    (uintmax_t)file.st_uid, (uintmax_t)geteuid(),
		    (uintmax_t)geteuid(), store->path);
	else
		log_error_limited("%s: %s", store->path, strerror(error));
	log_consequence(store);
}

/* The caller holds store->reading, here and in reload_if_changed. */
static void
read_file(struct token_file * store)
{
	int descriptor = open(store->path, O_RDONLY | O_CLOEXEC);
	struct set * set;

	if (descriptor == -1 || fstat(descriptor, &store->seen) != 0) {
		log_unreadable(store, errno);
		memset(&store->seen, 0, sizeof(store->seen));
		store->next_look = clock_monotonic() + RETRY_MS;
		if (descriptor != -1)
			close(descriptor);
		return;
	}
	if ((store->seen.st_mode & S_IRWXO) != 0)
		log_warning_limited("%s is open to every user of this host",
		    store->path);
	set = read_set(descriptor, store->path);
	close(descriptor);
	if (set != NULL)
		replace_set(store, set);
	else
		log_consequence(store);
}

struct token_file *
token_file_open(const char * path)
{
	struct token_file * store = alloc_zeroed(1, sizeof(*store));

	store->path = alloc_string(path);
	pthread_rwlock_init(&store->lock, NULL);
	pthread_mutex_init(&store->reading, NULL);
	token_file_reload(store);
	return (store);
}

void
token_file_reload(struct token_file * store)
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

/* Wait until the file has not changed for SETTLE_MS, but not for long. */
static void
let_settle(struct token_file * store, struct stat * file)
{
	int64_t age;
	int i;

	/* A file with another inode replaced it, and is complete. */
	for (i = 0; i < SETTLE_TRIES && file->st_ino == store->seen.st_ino;
	    i++) {
		age = clock_now_ms() - ((int64_t)file->st_mtim.tv_sec * 1000 +
		    file->st_mtim.tv_nsec / 1000000);
		if (age < 0 || age >= SETTLE_MS)
			return;
		poll(NULL, 0, SETTLE_MS - (int)age);
		if (stat(store->path, file) != 0)
			return;
	}
}

static void
reload_if_changed(struct token_file * store)
{
	struct stat file;

	if (store->next_look > 0 && clock_monotonic() < store->next_look)
		return;
	store->next_look = 0;
	/* Log only once that the file is gone: then seen is all zero. */
	if (stat(store->path, &file) != 0) {
		if (store->seen.st_ino != 0)
			read_file(store);
	} else if (!same_file(&file, &store->seen)) {
		thread_will_block();
		let_settle(store, &file);
		read_file(store);
	}
}

bool
token_file_refresh(struct token_file * store, bool wait)
{

	if (pthread_mutex_trylock(&store->reading) != 0) {
		if (!wait)
			return (false);
		thread_will_block();
		pthread_mutex_lock(&store->reading);
	}
	reload_if_changed(store);
	pthread_mutex_unlock(&store->reading);
	return (true);
}

void
token_file_grant(struct token_grant * grant, const char * environment,
    size_t length)
{

	grant->any_environment = length == 1 && environment[0] == '*';
	grant->environment_length = length;
	memcpy(grant->environment, environment, length);
	grant->environment[length] = '\0';
}

static enum token_kind
kind_of(const struct entry * entry)
{

	return ((entry->name & FRONTEND) != 0 ? TOKEN_FRONTEND : TOKEN_CLIENT);
}

enum token_verdict
token_file_check(struct token_file * store, const char * token, size_t length,
    enum token_kind kind, struct token_grant * grant)
{
	enum token_verdict verdict = TOKEN_UNAVAILABLE;
	unsigned char digest[DIGEST_SIZE];
	const struct entry * entry;
	const char * name;

	digest_sha256(token, length, digest);
	pthread_rwlock_rdlock(&store->lock);
	if (store->set != NULL) {
		entry = set_find(store->set, digest);
		verdict = TOKEN_UNKNOWN;
		if (entry->name != 0)
			verdict = kind_of(entry) == kind ?
			    TOKEN_GRANTED : TOKEN_FORBIDDEN;
		if (verdict == TOKEN_GRANTED) {
			name = store->set->names[entry->name & ~FRONTEND];
			token_file_grant(grant, name, strlen(name));
		}
	}
	pthread_rwlock_unlock(&store->lock);
	return (verdict);
}

enum token_verdict
token_file_admit(struct token_file * store, const char * token, size_t length,
    enum token_kind kind, struct token_grant * grant)
{
	bool looked = token_file_refresh(store, false);
	enum token_verdict verdict = token_file_check(store, token, length,
	    kind, grant);

	if (verdict == TOKEN_GRANTED || looked)
		return (verdict);
	token_file_refresh(store, true);
	return (token_file_check(store, token, length, kind, grant));
}

enum token_file_state
token_file_state(struct token_file * store)
{
	enum token_file_state state = TOKEN_FILE_UNUSABLE;

	token_file_refresh(store, true);
	pthread_rwlock_rdlock(&store->lock);
	if (store->set != NULL)
		state = store->set->count > 0 ? TOKEN_FILE_OK :
		    TOKEN_FILE_EMPTY;
	pthread_rwlock_unlock(&store->lock);
	return (state);
}

void
token_file_free(struct token_file * store)
{

	if (store == NULL)
		return;
	set_free(store->set);
	pthread_rwlock_destroy(&store->lock);
	pthread_mutex_destroy(&store->reading);
	free(store->path);
	free(store);
}
