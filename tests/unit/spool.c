#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/digest.h"
#include "lib/spool/spool.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

/*
 * SQLite knows per process what is locked, so a child that uses the spool is
 * forked while its parent has none open; it opens one for itself.
 */
#define LIMIT ((uint64_t)64 * 1024 * 1024)
#define SMALL ((uint64_t)256 * 1024)

static char path[PATH_MAX * 3 / 4];
static char errors[65536];
static struct arena * arena;

/* Stands in for libc's: the file system is NFS, or ext4. */
static bool on_network;

int
statfs(const char * name, struct statfs * out)
{

	(void)name;
	memset(out, 0, sizeof(*out));
	out->f_type = on_network ? 0x6969 : 0xef53;
	return (0);
}

/* Stand in for libc's: of the next ones, one fails after it has worked. */
static int fail_sync;
static int syncs;

int
fdatasync(int descriptor)
{
	int result = (int)syscall(SYS_fdatasync, descriptor);

	syncs++;
	if (fail_sync > 0 && --fail_sync == 0) {
		errno = EIO;
		return (-1);
	}
	return (result);
}

int
fsync(int descriptor)
{

	return (fdatasync(descriptor));
}

/* From here on the spool is a new file in a new directory. */
static void
begin_place(void)
{
	static unsigned int number;

	number++;
	snprintf(path, sizeof(path), "%s/%u", temporary_directory, number);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%u/spool.db", temporary_directory,
	    number);
	temporary_errors(errors, sizeof(errors));
	arena_reset(arena);
}

static const char *
beside(const char * suffix)
{
	static char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return (name);
}

/* A counter of an application; ${count} in its bucket. */
static struct tally *
make_tally(const char * app, const char * feature, uint64_t count)
{
	struct tally * tally = tally_create(arena);
	struct text e = text_of("e"), a = text_of(app), f = text_of(feature);

	tally->when = 1;
	tally_feature(tally, &e, &a, 5, &f)->yes = count;
	tally->counters++;
	tally->largest = count;
	return (tally);
}

static enum spool_result
append(struct spool * spool, const char * app, const char * feature,
    uint64_t count)
{

	return (spool_append(spool, make_tally(app, feature, count)));
}

static enum spool_result
fold(struct spool * spool)
{
	enum spool_result result;
	bool more, begin = true;

	do {
		result = spool_fold(spool, begin, &more);
		begin = false;
	} while (more);
	return (result);
}

/* The sum of all yes of a tally. */
static uint64_t
sum_of(const struct tally * tally)
{
	const struct tally_node * node = tally->root->first;
	uint64_t sum = 0;

	for (; node != NULL; node = tally_next(node))
		if (node->kind == TALLY_FEATURE)
			sum += node->yes;
	return (sum);
}

/* Take cells and put a call of this text in their place, for each tag. */
static enum spool_result
take(struct spool * spool, const char * text, uint64_t * sum)
{
	struct tally * tally = tally_create(arena);
	struct spool_call calls[SPOOL_TAGS_MAX] = { { .id = 0 } };
	struct spool_change change = { .calls = calls };
	struct spool_batch batch;
	enum spool_result result = spool_take(spool, 0, 10000, tally, &batch);
	size_t i;

	*sum = sum_of(tally);
	if (result != SPOOL_DONE || batch.count == 0)
		return (result);
	for (i = 0; i < batch.count; i++)
		calls[i] = (struct spool_call){ .tag = batch.tags[i].tag,
		    .since = 1, .bytes = text, .length = strlen(text) };
	change.taken = &batch;
	change.call_count = batch.count;
	result = spool_change(spool, &change);
	spool_release(&batch);
	return (result);
}

/* Everything that was ever appended, wherever it is. */
static uint64_t
total(struct spool * spool)
{
	uint64_t sum;

	if (fold(spool) != SPOOL_DONE || take(spool, "x", &sum) != SPOOL_DONE)
		return (UINT64_MAX);
	return (sum);
}

static int64_t
records(struct spool * spool, enum spool_state state)
{
	struct spool_depth depth[SPOOL_STATE_COUNT];

	return (spool_depth(spool, depth) != SPOOL_DONE ? -1 :
	    (int64_t)depth[state].records);
}

static bool
first_id(void * context, const struct spool_call * call)
{

	*(int64_t *)context = call->id;
	return (false);
}

/* The way of a count */

static void
test_way(void)
{
	struct spool * spool;
	struct spool_change change = { .settled_count = 1 };
	int64_t id = 0;
	uint64_t sum;
	int before;

	begin_place();
	spool = spool_open(path, LIMIT, false);
	is_integer(append(spool, "a", "f", 3), SPOOL_DONE, "appended");
	is_integer(append(spool, "a", "f", 4), SPOOL_DONE, "and more of it");
	append(spool, "b", "f", 10);
	is_integer(records(spool, SPOOL_QUEUED), 3, "three groups");
	is_integer(fold(spool), SPOOL_DONE, "folded");
	is_integer(records(spool, SPOOL_QUEUED), 2, "into two tags");
	is_integer(take(spool, "call", &sum), SPOOL_DONE, "taken");
	is_integer(sum, 17, "what was appended adds up");
	is_integer(records(spool, SPOOL_QUEUED), 0, "nothing is left");
	is_integer(records(spool, SPOOL_IN_DOUBT), 2, "but calls");
	append(spool, "a", "f", 5);
	append(spool, "c", "f", 6);
	fold(spool);
	is_integer(take(spool, "call", &sum), SPOOL_DONE, "taken again");
	is_integer(sum, 6, "but not of a tag that has calls");
	spool_read(spool, SPOOL_IN_DOUBT, 0, first_id, &id);
	change.settled = &id;
	before = syncs;
	is_integer(spool_change(spool, &change), SPOOL_DONE, "settled");
	is_integer(syncs > before, 1, "for good, even if the power fails");
	take(spool, "call", &sum);
	is_integer(sum, 5, "then the tag is free");
	spool_free(spool);
	spool = spool_open(path, LIMIT, false);
	is_integer(records(spool, SPOOL_IN_DOUBT), 3, "calls stay");
	spool_free(spool);
}

/* Counts beyond 2^63-1 are kept apart; none is lost. */
static void
test_laps(void)
{
	struct spool * spool;
	uint64_t sum, first;

	begin_place();
	spool = spool_open(path, LIMIT, false);
	append(spool, "a", "f", INT64_MAX);
	fold(spool);
	append(spool, "a", "f", 5);
	fold(spool);
	append(spool, "b", "f", INT64_MAX - 1);
	append(spool, "b", "f", 4);
	fold(spool);
	take(spool, "call", &first);
	is_integer(first, INT64_MAX, "as much as a counter of Redis holds");
	take(spool, "call", &sum);
	is_integer(sum, INT64_MAX - 1, "of the next tag, too");
	spool_free(spool);
}

/* All kinds of nodes come back from their cells as they went in. */
static void
test_kinds(void)
{
	struct tally * tally, * back;
	struct text e = text_of("e"), a = text_of("a"), f = text_of("f");
	struct text m = text_of("m"), help = text_of("help"), l = text_of("");
	struct text i = text_of("i"), json = text_of("{}"), le = text_of("1");
	struct spool_batch batch;
	struct tally_node * node;
	const struct tally_node * read;
	struct spool * spool;
	size_t kinds[TALLY_TOKEN + 1] = { 0 };
	int round;

	begin_place();
	tally = tally_create(arena);
	back = tally_create(arena);
	tally->when = 7;
	node = tally_feature(tally, &e, &a, -3, &f);
	node->no = 2;
	tally_child(tally, node, TALLY_VARIANT, "", 0)->count = 4;
	tally_set_instance(tally, tally_application(tally, &e, &a), &i,
	    &json);
	tally_set_gauge(tally, tally_series(tally, tally_metric(tally, &e,
	    TALLY_GAUGE, &m, &help), &l), 1.5);
	node = tally_series(tally, tally_metric(tally, &e, TALLY_HISTOGRAM,
	    &m, &help), &l);
	node->value = 0.25;
	node->count = 3;
	tally_bound(tally, node, &le)->count = 3;
	tally_token(tally, "0123456789abcdef0123456789abcdef", DIGEST_SIZE);
	spool = spool_open(path, LIMIT, false);
	for (round = 0; round < 2; round++) {
		spool_append(spool, tally);
		fold(spool);
	}
	is_integer(spool_take(spool, 0, 1000, back, &batch), SPOOL_DONE,
	    "taken");
	is_integer(batch.count, 3, "an application, an environment, tokens");
	spool_release(&batch);
	for (read = back->root->first; read != NULL; read = tally_next(read)) {
		kinds[read->kind]++;
		if (read->kind == TALLY_FEATURE)
			ok(read->no == 4 && read->parent->period == -3,
			    "a feature adds up");
		else if (read->kind == TALLY_VARIANT)
			is_integer(read->count, 8, "a variant, too");
		else if (read->kind == TALLY_METRIC)
			is_bytes(read->text, read->text_length, "help", 4,
			    "a metric has its help");
		else if (read->kind == TALLY_BOUND)
			ok(read->count == 6 && read->parent->count == 6 &&
			    read->parent->value == 0.5, "a histogram adds up");
		else if (read->kind == TALLY_INSTANCE)
			is_integer(read->when, 7, "an instance has its time");
		else if (read->kind == TALLY_SERIES &&
		    tally_metric_type(read->parent) == TALLY_GAUGE)
			ok(read->value == 1.5 && read->when == 7,
			    "a gauge does not");
	}
	ok(kinds[TALLY_TOKEN] == 1 && kinds[TALLY_SERIES] == 2 &&
	    kinds[TALLY_INSTANCE] == 1 && kinds[TALLY_VARIANT] == 1,
	    "each is there once");
	spool_free(spool);
}

/* A clock that was ahead for a moment does not hold up what arrives later. */
static void
test_latest(void)
{
	static const int64_t whens[] = { 9000, 9, 7, 8 };
	struct text e = text_of("e"), a = text_of("a"), l = text_of("");
	struct text g = text_of("g"), i = text_of("i");
	struct tally * back;
	struct spool_batch batch;
	const struct tally_node * read;
	struct spool * spool;
	int round;

	begin_place();
	back = tally_create(arena);
	spool = spool_open(path, LIMIT, false);
	for (round = 0; round < 4; round++) {
		struct tally * tally = tally_create(arena);
		char word[2] = { (char)('0' + round), '\0' };
		struct text text = text_of(word);

		tally->when = whens[round];
		tally_set_instance(tally, tally_application(tally, &e, &a), &i,
		    &text);
		tally_set_gauge(tally, tally_series(tally, tally_metric(tally,
		    &e, TALLY_GAUGE, &g, &text), &l), round);
		tally_series(tally, tally_metric(tally, &e, TALLY_COUNTER, &g,
		    &text), &l)->value = 1;
		spool_append(spool, tally);
		/* Two merge in the cells, and two in memory. */
		if (round < 2)
			fold(spool);
	}
	fold(spool);
	is_integer(spool_take(spool, 0, 1000, back, &batch), SPOOL_DONE,
	    "the latest are taken");
	spool_release(&batch);
	for (read = back->root->first; read != NULL; read = tally_next(read))
		if (read->kind == TALLY_INSTANCE || read->kind == TALLY_METRIC)
			ok(read->text_length == 1 && read->text[0] == '3' &&
			    read->when == 8, "what was appended last stays");
		else if (read->kind == TALLY_SERIES)
			is_integer((int64_t)read->value, tally_metric_type(
			    read->parent) == TALLY_GAUGE ? 3 : 4,
			    "of a gauge, and not of a counter");
	spool_free(spool);
}

/* What has changed between spool_take and spool_change is not taken. */
static void
test_changed(void)
{
	struct spool * one, * two;
	struct tally * tally;
	struct spool_batch batch;
	struct spool_change change = { .taken = &batch };

	begin_place();
	tally = tally_create(arena);
	one = spool_open(path, LIMIT, false);
	two = spool_open(path, LIMIT, false);
	append(one, "a", "f", 1);
	fold(one);
	spool_take(one, 0, 100, tally, &batch);
	append(two, "a", "f", 2);
	fold(two);
	is_integer(spool_change(one, &change), SPOOL_CHANGED,
	    "cells that were added to are not removed");
	spool_release(&batch);
	is_integer(total(one), 3, "and all of it is there");
	change.taken = NULL;
	change.released = 4711;
	is_integer(spool_change(one, &change), SPOOL_CHANGED,
	    "what is not in quarantine cannot be released");
	spool_free(one);
	spool_free(two);
}

/* Two settle the same call, which the lease prevents: it is replaced once. */
static void
test_replaced(void)
{
	struct spool * spool;
	struct spool_call call = { .reason = "no", .bytes = "x", .length = 1 };
	struct spool_change change = { .settled_count = 1 };
	int64_t id = 0;
	uint64_t sum;

	begin_place();
	spool = spool_open(path, LIMIT, false);
	append(spool, "a", "f", 1);
	fold(spool);
	take(spool, "call", &sum);
	spool_read(spool, SPOOL_IN_DOUBT, 0, first_id, &id);
	change.settled = &id;
	change.refused = &call;
	change.refused_count = 1;
	is_integer(spool_change(spool, &change), SPOOL_DONE, "refused");
	is_integer(spool_change(spool, &change), SPOOL_CHANGED,
	    "and not a second time");
	change.refused_count = 0;
	change.calls = &call;
	change.call_count = 1;
	is_integer(spool_change(spool, &change), SPOOL_CHANGED,
	    "nor does it get another identity");
	is_integer(records(spool, SPOOL_QUARANTINED), 1, "one is set aside");
	is_integer(records(spool, SPOOL_IN_DOUBT), 0, "and none is in doubt");
	change.call_count = 0;
	is_integer(spool_change(spool, &change), SPOOL_DONE,
	    "what is gone can be settled again");
	spool_free(spool);
}

/* Two fold at once, which the lease prevents: nothing counts twice. */
static void
test_two_fold(void)
{
	struct spool * spools[2];
	uint64_t wanted = 0;
	bool more[2] = { true, true };
	int i;

	begin_place();
	spools[0] = spool_open(path, LIMIT, false);
	spools[1] = spool_open(path, LIMIT, false);
	for (i = 0; i < 3000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		append(spools[i % 2], "a", name, 1);
		wanted++;
	}
	spool_fold(spools[0], true, &more[0]);
	spool_fold(spools[1], true, &more[1]);
	while (more[0] || more[1])
		for (i = 0; i < 2; i++)
			if (more[i])
				spool_fold(spools[i], false, &more[i]);
	is_integer(total(spools[0]), wanted, "each counts once");
	ok(spool_lock(spools[0]) && !spool_lock(spools[1]),
	    "one has the lease");
	spool_unlock(spools[0]);
	ok(spool_lock(spools[1]), "then the other");
	spool_free(spools[0]);
	spool_free(spools[1]);
}

/* Limits and disks */

static void
test_limit(void)
{
	struct spool * spool;
	enum spool_result result = SPOOL_DONE;
	uint64_t sum, wanted = 0, got = 0;
	char name[1000];
	int i, rounds;

	begin_place();
	spool = spool_open(path, SMALL, false);
	for (i = 0; result == SPOOL_DONE && i < 10000; i++) {
		memset(name, 'x', sizeof(name));
		snprintf(name, sizeof(name) - 500, "%d", i);
		name[strlen(name)] = 'y';
		name[sizeof(name) - 1] = '\0';
		result = append(spool, "a", name, 1);
		wanted += result == SPOOL_DONE;
	}
	is_integer(result, SPOOL_FULL, "it is full after %d", i);
	is_integer(spool_test(spool), SPOOL_FULL, "and a test says so");
	for (rounds = 0; rounds < 100 && got < wanted; rounds++) {
		struct spool_change change = { .settled_count = 1 };
		int64_t id = 0;

		fold(spool);
		if (take(spool, "call", &sum) != SPOOL_DONE)
			break;
		got += sum;
		spool_read(spool, SPOOL_IN_DOUBT, 0, first_id, &id);
		change.settled = &id;
		spool_change(spool, &change);
	}
	is_integer(got, wanted, "all of it drains");
	is_integer(append(spool, "a", "f", 1), SPOOL_DONE, "there is room");
	is_integer(spool_test(spool), SPOOL_DONE, "and a test says so");
	spool_free(spool);
}

/* fdatasync fails after it has worked: the truth is looked up. */
static void
test_commit(const char * what)
{
	struct spool * spool;
	uint64_t wanted = 0;
	int i, unknown = 0;

	begin_place();
	spool = spool_open(path, LIMIT, false);
	for (i = 1; i < 30; i++) {
		enum spool_result result;

		fail_sync = i % 5 + 1;
		result = append(spool, "a", "f", 1);
		wanted += result == SPOOL_DONE;
		unknown += result != SPOOL_DONE;
		fail_sync = 0;
	}
	is_integer(unknown, 0, "%s: a failed COMMIT is repeated", what);
	is_integer(total(spool), wanted, "%s: and counts once", what);
	spool_free(spool);
}

/* The files, and what happens to them */

static void
test_foreign(void)
{
	sqlite3 * db;
	struct stat before, after;
	struct spool * spool;

	begin_place();
	sqlite3_open(path, &db);
	sqlite3_exec(db, "CREATE TABLE dashboard (x)", NULL, NULL, NULL);
	sqlite3_close(db);
	stat(path, &before);
	spool = spool_open(path, LIMIT, false);
	is_integer(append(spool, "a", "f", 1), SPOOL_FAILED,
	    "another's database is refused");
	spool_free(spool);
	stat(path, &after);
	ok(before.st_ino == after.st_ino && before.st_size == after.st_size,
	    "and left alone");
	temporary_errors(errors, sizeof(errors));
	ok(strstr(errors, "it is no spool of flagtally") != NULL,
	    "the log says why");
	begin_place();
	spool = spool_open(path, LIMIT, true);
	is_integer(records(spool, SPOOL_QUEUED), -1, "who only looks");
	ok(access(path, F_OK) != 0, "creates nothing");
	spool_free(spool);
}

static void
test_deleted(const char * suffix)
{
	struct spool * one, * two;

	begin_place();
	one = spool_open(path, LIMIT, false);
	two = spool_open(path, LIMIT, false);
	append(one, "a", "f", 1);
	append(two, "a", "f", 2);
	unlink(beside(suffix));
	if (suffix[0] == '\0')
		unlink(beside("-wal"));
	is_integer(append(one, "a", "f", 4), SPOOL_DONE, "%s is deleted: "
	    "appended", suffix);
	is_integer(append(two, "a", "f", 8), SPOOL_DONE, "by the other, too");
	spool_free(one);
	spool_free(two);
	one = spool_open(path, LIMIT, false);
	is_integer(total(one), 15, "%s was deleted, and all is there",
	    suffix);
	spool_free(one);
	temporary_errors(errors, sizeof(errors));
	ok(strstr(errors, "was deleted while in use; its content is saved") !=
	    NULL, "the log says so");
}

static void
test_damaged(void)
{
	struct spool * spool;
	FILE * file;

	begin_place();
	spool = spool_open(path, LIMIT, false);
	append(spool, "a", "f", 1);
	fold(spool);
	spool_free(spool);
	file = fopen(path, "r+b");
	fseek(file, 4096, SEEK_SET);
	for (int i = 0; i < 100000; i++)
		fputc('!', file);
	fclose(file);
	spool = spool_open(path, LIMIT, false);
	is_integer(append(spool, "a", "f", 2), SPOOL_DONE,
	    "a damaged spool is replaced");
	is_integer(total(spool), 2, "by a new one");
	spool_free(spool);
	temporary_errors(errors, sizeof(errors));
	ok(strstr(errors, "is renamed to") != NULL, "the log says so");
}

/* A record that is damaged is set aside, and no other one. */
static void
test_damaged_record(void)
{
	struct spool * spool;
	sqlite3 * db;

	begin_place();
	spool = spool_open(path, LIMIT, false);
	append(spool, "a", "f", 1);
	append(spool, "a", "f", 2);
	append(spool, "a", "f", 4);
	sqlite3_open(path, &db);
	sqlite3_exec(db, "UPDATE journal SET bytes = x'02ffff' || bytes "
	    "WHERE id = 2", NULL, NULL, NULL);
	sqlite3_close(db);
	is_integer(fold(spool), SPOOL_DONE, "the rest is folded");
	is_integer(total(spool), 5, "and counts");
	is_integer(records(spool, SPOOL_QUARANTINED), 1,
	    "a damaged record is in quarantine");
	spool_free(spool);
	temporary_errors(errors, sizeof(errors));
	ok(strstr(errors, "a record of the spool is quarantined: an encoded "
	    "tally that is damaged") != NULL, "the log says so");
}

/* Killed at any moment: what append has said is there. */
static void
test_killed(const char * what)
{
	int round;
	uint64_t said = 0, got = 0;

	begin_place();
	for (round = 0; round < 15; round++) {
		int ends[2];
		char c;
		pid_t child;
		struct spool * spool;

		if (pipe(ends) != 0 || (child = fork()) == -1)
			abort();
		if (child == 0) {
			spool = spool_open(path, LIMIT, false);
			for (;;) {
				if (append(spool, "a", "f", 1) == SPOOL_DONE &&
				    write(ends[1], "x", 1) != 1)
					_exit(1);
				fold(spool);
			}
		}
		close(ends[1]);
		for (int i = 0; i < 5 + round * 3 && read(ends[0], &c, 1) == 1;
		    i++)
			said++;
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(ends[0], &c, 1) == 1)
			said++;
		close(ends[0]);
	}
	{
		struct spool * spool = spool_open(path, LIMIT, false);

		got = total(spool);
		spool_free(spool);
	}
	ok(got >= said && got <= said + 15, "%s: killed 15 times: %llu of "
	    "%llu", what, (unsigned long long)got, (unsigned long long)said);
}

int
main(void)
{

	tap_seed();
	temporary_create();
	temporary_catch_errors();
	signal(SIGPIPE, SIG_IGN);
	if (digest_init() != 0)
		return (EXIT_FAILURE);
	arena = arena_create(1 << 20);
	test_way();
	test_laps();
	test_kinds();
	test_latest();
	test_changed();
	test_replaced();
	test_two_fold();
	test_limit();
	test_foreign();
	test_deleted("");
	test_deleted("-wal");
	test_damaged();
	test_damaged_record();
	for (on_network = false; ; on_network = true) {
		test_commit(on_network ? "journal" : "WAL");
		test_killed(on_network ? "journal" : "WAL");
		if (on_network)
			break;
	}
	arena_free(arena);
	return (tap_done());
}
