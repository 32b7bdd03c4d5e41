#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/shmfile.h"
#include "lib/commit/repeats.h"

/*
 * A sender that gets no response repeats the body, byte by byte: Edge up to
 * five times, after 5 seconds each.  The committer claims a body here before it
 * makes the body's group durable, and settles it before the response.  A repeat
 * that arrives in between waits in the committer's queue, until the body is
 * settled or the repeat's own time is over (503).
 *
 * A process that is killed
 *  - before the claim has counted nothing;
 *  - between claim and commit leaves a claim without an owner, which the repeat
 *    takes over: counted once;
 *  - between commit and settling leaves the same, although the body is
 *    counted: the repeat counts it a second time.  No order avoids this
 *    moment, as table and Redis do not change in one step; settling first
 *    would lose the body instead;
 *  - between settling and the response has counted it, and the repeat gets 202:
 *    counted once.
 * So no counts are ever lost.  Nor does a crash of the host lose any: it ends
 * all claims, and may undo the latest changes of the table, so that a repeat is
 * counted again.
 *
 * An owner is a number, and a lock on the byte of the file at that place, far
 * beyond the file's end (an open file description lock, as fcntl(2) has it).
 * The kernel drops the lock when the process ends, however it ends.  So a
 * claim needs no deadline: a process that was stopped for an hour still owns
 * the bodies that it is about to count.  The first byte's lock guards the
 * table; it also ends with its holder, which never blocks.  A process that was
 * killed in the middle of a change leaves at worst a mark with parts of two
 * digests, which match no body.
 *
 * The table is an eight-way cache: a digest selects its set of eight marks.  A
 * body that finds no room in its set evicts the oldest one, preferably one that
 * is not being counted.  A body that was evicted, or is older than
 * REPEATS_LIFETIME, is counted again when it is repeated.
 *
 * Times are by the monotonic clock, which is never set.  It begins anew when
 * the host is started, so a mark of before may then look recent, or be ahead.
 * The former does no harm: a body that is the same to the byte is a repeat.
 */
#define WAYS 8

/* Attempts to lock, and milliseconds between them. */
#define LOCK_TRIES 100
#define LOCK_INTERVAL 1

/* A part of the file's name: change it with struct table. */
#define LAYOUT 2

struct mark {
	uint64_t digest[2];
	int64_t when;		/* Claimed or settled, monotonic; 0: none. */
	int64_t owner;		/* Of the claim; 0: it is counted. */
};

struct table {
	unsigned char key[DIGEST_MAC_KEY_SIZE];	/* Zero at first. */
	struct mark marks[REPEATS_SIZE];
};

struct repeats {
	pthread_mutex_t lock;	/* A file's locks do not keep threads apart. */
	struct table * table;
	char * path;
	int descriptor;		/* Of the file; -1: memory from malloc. */
	int previous;		/* Of the one before it, or -1. */
	int64_t owner;		/* This process. */
	bool locked;
	pthread_mutex_t renewal;	/* Held while another file is mapped or
					 * the key set, against its readers. */
};

static int
set_lock(int descriptor, short type, int64_t place)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET,
	    .l_start = (off_t)place, .l_len = 1 };

	return (fcntl(descriptor, F_OFD_SETLK, &lock));
}

/* Return whether the file's first byte could be locked. */
static bool
lock_file(int descriptor)
{
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (set_lock(descriptor, F_WRLCK, 0) == 0)
			return (true);
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return (false);
		poll(NULL, 0, LOCK_INTERVAL);
	}
	return (false);
}

static bool
is_zero(const unsigned char * bytes, size_t length)
{
	static const unsigned char zeros[DIGEST_MAC_KEY_SIZE];

	return (digest_equal(bytes, zeros, length));
}

/* Get an owner's number in the file. */
static bool
choose_owner(struct repeats * repeats)
{
	uint32_t number;
	int i;

	/* Another process may have this number. */
	for (i = 0; repeats->owner == 0 && i < LOCK_TRIES; i++) {
		digest_random(&number, sizeof(number));
		number = number >> 1 | 1;
		if (repeats->descriptor == -1 ||
		    set_lock(repeats->descriptor, F_WRLCK, number) == 0)
			repeats->owner = number;
	}
	return (repeats->owner != 0);
}

/*
 * The file was deleted.  Its lock is held, and each process looks for the file
 * after taking that, so no other one uses the table any more.  The first one
 * takes it along to the new file.  Claims are owned there by the same numbers;
 * those of processes that have not come yet are locked in the old file only.
 */
static void
renew_file(struct repeats * repeats)
{
	struct table * table = repeats->table;
	struct table * saved = alloc_zeroed(1, sizeof(*saved));
	int descriptor;

	memcpy(saved, table, sizeof(*saved));
	pthread_mutex_lock(&repeats->renewal);
	descriptor = shmfile_renew(repeats->path, LAYOUT, table,
	    sizeof(*table));
	if (descriptor != -1) {
		repeats->locked = lock_file(descriptor);
		if (repeats->locked && is_zero(table->key, sizeof(table->key)))
			memcpy(table, saved, sizeof(*table));
		set_lock(repeats->descriptor, F_UNLCK, 0);
		if (repeats->previous != -1)
			close(repeats->previous);
		repeats->previous = repeats->descriptor;
		repeats->descriptor = descriptor;
		if (set_lock(descriptor, F_WRLCK, repeats->owner) != 0) {
			repeats->owner = 0;
			repeats->locked = choose_owner(repeats) &&
			    repeats->locked;
		}
	}
	pthread_mutex_unlock(&repeats->renewal);
	free(saved);
}

/* Make sure that the table has a key. */
static void
fill_key(struct repeats * repeats)
{
	unsigned char * key = repeats->table->key;

	if (!is_zero(key, sizeof(repeats->table->key)))
		return;
	pthread_mutex_lock(&repeats->renewal);
	digest_random(key, sizeof(repeats->table->key));
	pthread_mutex_unlock(&repeats->renewal);
}

void
repeats_lock(struct repeats * repeats)
{

	if (repeats == NULL)
		return;
	pthread_mutex_lock(&repeats->lock);
	repeats->locked = repeats->descriptor == -1 ||
	    lock_file(repeats->descriptor);
	if (repeats->locked && repeats->descriptor != -1 &&
	    !shmfile_is_there(repeats->path, LAYOUT, repeats->descriptor))
		renew_file(repeats);
	if (repeats->locked)
		fill_key(repeats);
}

void
repeats_unlock(struct repeats * repeats)
{

	if (repeats == NULL)
		return;
	if (repeats->locked && repeats->descriptor != -1)
		set_lock(repeats->descriptor, F_UNLCK, 0);
	repeats->locked = false;
	pthread_mutex_unlock(&repeats->lock);
}

/* Get an owner's number, and make sure that the table has a key. */
static bool
enter_table(struct repeats * repeats)
{
	bool owns = choose_owner(repeats);

	repeats_lock(repeats);
	repeats_unlock(repeats);
	return (owns && !is_zero(repeats->table->key,
	    sizeof(repeats->table->key)));
}

static void
leave_file(struct repeats * repeats)
{

	if (repeats->descriptor == -1)
		return;
	shmfile_close(repeats->table, sizeof(*repeats->table));
	close(repeats->descriptor);
	if (repeats->previous != -1)
		close(repeats->previous);
	repeats->previous = -1;
	repeats->table = NULL;
	repeats->descriptor = -1;
}

struct repeats *
repeats_open(const char * path)
{
	struct repeats * repeats = alloc_zeroed(1, sizeof(*repeats));

	pthread_mutex_init(&repeats->lock, NULL);
	pthread_mutex_init(&repeats->renewal, NULL);
	repeats->descriptor = repeats->previous = -1;
	if (path != NULL) {
		repeats->path = alloc_string(path);
		repeats->table = shmfile_open(path, LAYOUT,
		    sizeof(*repeats->table), &repeats->descriptor);
		if (repeats->table == NULL || !enter_table(repeats)) {
			log_warning("%s cannot be used, so repeated bodies "
			    "are recognized by this process alone: %s", path,
			    strerror(errno));
			leave_file(repeats);
		}
	}
	if (repeats->table == NULL) {
		repeats->table = alloc_zeroed(1, sizeof(*repeats->table));
		enter_table(repeats);
	}
	return (repeats);
}

void
repeats_begin(struct repeats * repeats, struct digest_mac * mac)
{

	pthread_mutex_lock(&repeats->renewal);
	digest_mac_begin(mac, repeats->table->key);
	pthread_mutex_unlock(&repeats->renewal);
}

static bool
is_owned(int descriptor, int64_t owner)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
	    .l_start = (off_t)owner, .l_len = 1 };

	return (descriptor != -1 &&
	    fcntl(descriptor, F_OFD_GETLK, &lock) == 0 &&
	    lock.l_type != F_UNLCK);
}

/* Return whether the process that claimed this body still runs. */
static bool
has_owner(const struct repeats * repeats, const struct mark * mark)
{

	/* A process does not see its own locks. */
	return (mark->owner == repeats->owner || (mark->owner > 0 &&
	    (is_owned(repeats->descriptor, mark->owner) ||
	    is_owned(repeats->previous, mark->owner))));
}

/* Return the first mark of a digest's set.  The digest's own bits would not do:
 * with some keys they are the same for all bodies that are alike. */
static struct mark *
find_set(struct repeats * repeats, const uint64_t digest[2])
{
	uint64_t hash = digest_keyed_hash(repeats->table->key, digest,
	    DIGEST_MAC_SIZE);

	return (&repeats->table->marks[hash % (REPEATS_SIZE / WAYS) * WAYS]);
}

/* Return the mark of a digest, or NULL. */
static struct mark *
find_mark(struct repeats * repeats, const uint64_t digest[2])
{
	struct mark * set = find_set(repeats, digest);
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (set[i].when != 0 && set[i].digest[0] == digest[0] &&
		    set[i].digest[1] == digest[1])
			return (&set[i]);
	return (NULL);
}

/* A time that is ahead is from before the host was started. */
static bool
is_recent(const struct mark * mark, int64_t now)
{

	return (mark->when > now - REPEATS_LIFETIME && mark->when <= now);
}

/*
 * Return the mark to evict: a free one, else the oldest counted body, else the
 * oldest claim.  A mark that is ahead is free, or it would be the oldest late.
 */
static struct mark *
oldest_mark(struct repeats * repeats, const uint64_t digest[2], int64_t now)
{
	struct mark * set = find_set(repeats, digest);
	struct mark * oldest = &set[0];
	size_t i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].owner == 0 && !is_recent(&set[i], now))
			return (&set[i]);
		if ((set[i].owner == 0) == (oldest->owner == 0) ?
		    set[i].when < oldest->when : set[i].owner == 0)
			oldest = &set[i];
	}
	return (oldest);
}

enum repeats_state
repeats_claim(struct repeats * repeats,
    const unsigned char digest[DIGEST_MAC_SIZE])
{
	int64_t now = clock_monotonic();
	struct mark * mark;
	uint64_t words[2];

	if (repeats == NULL || !repeats->locked)
		return (REPEATS_NEW);
	memcpy(words, digest, sizeof(words));
	mark = find_mark(repeats, words);
	if (mark != NULL && is_recent(mark, now)) {
		if (mark->owner == 0)
			return (REPEATS_COUNTED);
		if (has_owner(repeats, mark))
			return (REPEATS_BUSY);
	}
	if (mark == NULL)
		mark = oldest_mark(repeats, words, now);
	/* Owner first: a process killed here must not leave a counted body. */
	mark->owner = repeats->owner;
	memcpy(mark->digest, words, sizeof(words));
	mark->when = now;
	return (REPEATS_NEW);
}

void
repeats_settle(struct repeats * repeats,
    const unsigned char digest[DIGEST_MAC_SIZE], bool counted)
{
	struct mark * mark;
	uint64_t words[2];

	if (repeats == NULL || !repeats->locked)
		return;
	memcpy(words, digest, sizeof(words));
	mark = find_mark(repeats, words);
	/* It may have been evicted, and claimed by another process. */
	if (mark == NULL || mark->owner != repeats->owner)
		return;
	mark->when = counted ? clock_monotonic() : 0;
	mark->owner = 0;
}

void
repeats_close(struct repeats * repeats)
{

	if (repeats == NULL)
		return;
	if (repeats->descriptor == -1)
		free(repeats->table);
	leave_file(repeats);
	pthread_mutex_destroy(&repeats->lock);
	pthread_mutex_destroy(&repeats->renewal);
	free(repeats->path);
	free(repeats);
}
