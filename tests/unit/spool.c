#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
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

/* Likewise, so that something can happen just before; and they are counted. */
static void (*before_flock)(void);
static unsigned int flocks;

int
flock(int descriptor, int operation)
{
	void (*before)(void) = before_flock;

	flocks++;
	before_flock = NULL;
	if (before != NULL)
		before();
	return ((int)syscall(SYS_flock, descriptor, operation));
}

/* Places */

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
}

static const char *
beside(const char * suffix)
{
	static char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return (name);
}

static int64_t
size_of(const char * suffix)
{
	struct stat file;

	return (lstat(beside(suffix), &file) == 0 ? file.st_size : -1);
}

static int
mode_of(const char * suffix)
{
	struct stat file;

	return (lstat(beside(suffix), &file) == 0 ?
	    (int)(file.st_mode & 07777) : -1);
}

/*
 * Count the names in the spool's directory that begin with spool.db.damaged-
 * and end with the suffix (or with a digit, for ""); the last is left in out.
 */
static int
count_damaged(const char * suffix, char out[PATH_MAX])
{
	char * directory = strdup(path);
	DIR * open;
	struct dirent * entry;
	int count = 0;

	*strrchr(directory, '/') = '\0';
	open = opendir(directory);
	while (open != NULL && (entry = readdir(open)) != NULL) {
		const char * name = entry->d_name;
		size_t digits = strspn(name + strcspn(name, "-") + (strchr(name,
		    '-') != NULL), "0123456789");
		const char * end = name + strlen("spool.db.damaged-") + digits;

		if (strncmp(name, "spool.db.damaged-", 17) == 0 &&
		    strcmp(end, suffix) == 0) {
			count++;
			snprintf(out, PATH_MAX, "%s/%s", directory, name);
		}
	}
	if (open != NULL)
		closedir(open);
	free(directory);
	return (count);
}

static bool
is_logged(const char * text)
{

	temporary_errors(errors, sizeof(errors));
	return (strstr(errors, text) != NULL);
}

/* Records */

static enum spool_result
append(struct spool * spool, const char * text, int64_t * id)
{
	struct spool_record record = { .kind = SPOOL_TALLY, .since = 1,
	    .reason = "", .bytes = text, .length = strlen(text) };
	enum spool_result result = spool_append(spool, &record);

	if (id != NULL)
		*id = record.id;
	return (result);
}

/* A record of so many bytes. */
static enum spool_result
append_bytes(struct spool * spool, size_t length, int64_t * id)
{
	char * text = malloc(length + 1);
	enum spool_result result;

	memset(text, 'x', length);
	text[length] = '\0';
	result = append(spool, text, id);
	free(text);
	return (result);
}

static int64_t
depth(struct spool * spool, enum spool_kind kind)
{
	struct spool_depth out;

	return (spool_depth(spool, kind, &out) == SPOOL_DONE ?
	    (int64_t)out.records : -1);
}

/* Texts, with a space after each. */
struct list {
	char text[8192];
	size_t most;
	int64_t last;
	size_t count;
};

static bool
take_text(void * context, const struct spool_record * record)
{
	struct list * list = context;
	size_t used = strlen(list->text);

	if (record->length < 100)
		snprintf(list->text + used, sizeof(list->text) - used,
		    "%.*s ", (int)record->length, (const char *)record->bytes);
	if (record->id <= list->last)
		snprintf(list->text, sizeof(list->text), "out of order");
	list->last = record->id;
	return (++list->count != list->most);
}

/* The tallies as one text, the first ${most} or, if that is 0, all. */
static const char *
texts(struct spool * spool, int64_t after, size_t most)
{
	static struct list list;

	memset(&list, 0, sizeof(list));
	list.most = most;
	list.last = after;
	if (spool_read(spool, SPOOL_TALLY, after, take_text, &list) !=
	    SPOOL_DONE)
		return ("failed");
	return (list.text);
}

/* All ids, as an array. */
struct ids {
	int64_t list[20000];
	size_t count;
};

static bool
take_id(void * context, const struct spool_record * record)
{
	struct ids * ids = context;

	ids->list[ids->count++] = record->id;
	return (ids->count < sizeof(ids->list) / sizeof(ids->list[0]));
}

static struct ids *
ids_of(struct spool * spool)
{
	static struct ids ids;

	ids.count = 0;
	if (spool_read(spool, SPOOL_TALLY, 0, take_id, &ids) != SPOOL_DONE)
		ids.count = 0;
	return (&ids);
}

/* Children */

struct child {
	pid_t pid;
	int from;			/* What it writes. */
	int to;				/* What it waits for. */
};

/* Run a function in a child; it returns the child's status. */
static void
start(struct child * child, int (*function)(int in, int out))
{
	int up[2], down[2];

	if (pipe(up) != 0 || pipe(down) != 0 || (child->pid = fork()) == -1) {
		printf("Bail out! %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (child->pid == 0) {
		close(up[0]);
		close(down[1]);
		_exit(function(down[0], up[1]));
	}
	close(up[1]);
	close(down[0]);
	child->from = up[0];
	child->to = down[1];
}

/* Return its status, or 1000 and the signal that ended it. */
static int
finish(struct child * child)
{
	int status;

	/* Closing it does not tell: its siblings have it open, too. */
	(void)!write(child->to, "q", 1);
	close(child->to);
	waitpid(child->pid, &status, 0);
	close(child->from);
	return (WIFEXITED(status) ? WEXITSTATUS(status) :
	    1000 + WTERMSIG(status));
}

static bool
told(int descriptor)
{
	char c;

	return (read(descriptor, &c, 1) == 1 && c == 'x');
}

static bool
tell(int descriptor)
{

	return (write(descriptor, "x", 1) == 1);
}

/* Write over the database, in a child: closing it would drop our locks. */
static void
overwrite(off_t from, const void * bytes, size_t length, off_t cut)
{
	pid_t pid = fork();
	int status, descriptor;

	if (pid == 0) {
		descriptor = open(path, O_WRONLY);
		_exit(descriptor == -1 ||
		    pwrite(descriptor, bytes, length, from) !=
		    (ssize_t)length ||
		    (cut >= 0 && ftruncate(descriptor, cut) != 0));
	}
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		printf("Bail out! the file cannot be damaged\n");
		exit(EXIT_FAILURE);
	}
}

static const void *
rubbish(size_t length)
{
	static unsigned char bytes[4 * 1024 * 1024];
	size_t i;

	for (i = 0; i < length; i++)
		bytes[i] = (unsigned char)random();
	return (bytes);
}

/* Records, one process */

static bool
take_copy(void * context, const struct spool_record * record)
{
	struct spool_record * copy = context;

	*copy = *record;
	copy->reason = strdup(record->reason);
	copy->bytes = record->bytes == NULL ? NULL :
	    tap_copy(record->bytes, record->length);
	return (true);
}

static void
check_record(struct spool * spool, struct spool_record record)
{
	struct spool_record got = { .kind = SPOOL_KIND_COUNT };
	const char * reason = record.reason == NULL ? "" : record.reason;

	is_integer(spool_append(spool, &record), SPOOL_DONE,
	    "a record of %zu bytes", record.length);
	is_integer(spool_read(spool, record.kind, record.id - 1, take_copy,
	    &got), SPOOL_DONE, "it is read");
	ok(got.id == record.id && got.kind == record.kind &&
	    got.since == record.since && got.counters == record.counters &&
	    got.weight == record.weight, "all its numbers");
	is_text(got.reason, reason, "its reason");
	ok(got.bytes != NULL, "there are bytes, even if they are none");
	is_bytes(got.bytes, got.length, record.bytes, record.length,
	    "its bytes");
	free((void *)(uintptr_t)got.reason);
	free((void *)(uintptr_t)got.bytes);
}

static void
test_records(void)
{
	struct spool * spool;
	struct spool_depth measured;

	begin_place();
	spool = spool_open(path, LIMIT);
	is_integer(spool_depth(spool, SPOOL_TALLY, &measured), SPOOL_DONE,
	    "a new spool can be measured");
	ok(measured.records == 0 && measured.bytes == 0 &&
	    measured.oldest == 0, "and is empty");
	is_text(texts(spool, 0, 0), "", "nothing is read from it");
	check_record(spool, (struct spool_record){ .kind = SPOOL_TALLY,
	    .since = 1700000000123, .counters = 17, .weight = 3,
	    .reason = "", .bytes = "a\0b\xff\n", .length = 5 });
	check_record(spool, (struct spool_record){ .kind = SPOOL_CALLS,
	    .since = 2, .reason = NULL, .bytes = NULL, .length = 0 });
	check_record(spool, (struct spool_record){ .kind = SPOOL_ASIDE,
	    .since = INT64_MAX, .counters = UINT64_MAX, .weight = UINT64_MAX,
	    .reason = "it's \"refused\" caf\xc3\xa9", .bytes = "",
	    .length = 0 });
	check_record(spool, (struct spool_record){ .kind = SPOOL_TALLY,
	    .since = 1600000000000, .reason = "", .bytes = rubbish(3000000),
	    .length = 3000000 });
	is_integer(spool_depth(spool, SPOOL_TALLY, &measured), SPOOL_DONE,
	    "the depth of one kind");
	is_integer(measured.records, 2, "its records");
	is_integer(measured.bytes, 3000005, "its bytes");
	is_integer(measured.oldest, 1600000000000, "its oldest");
	is_integer(depth(spool, SPOOL_CALLS), 1, "of another");
	is_integer(depth(spool, SPOOL_ASIDE), 1, "of the third");
	spool_free(spool);
	is_integer(mode_of("-wal"), -1, "nothing is left of WAL at the end");
	is_logged("");
	is_text(errors, "", "nothing was worth a line");
	spool_free(NULL);
}

static void
test_order(void)
{
	struct spool * spool;
	int64_t first, second, third, id;

	begin_place();
	spool = spool_open(path, LIMIT);
	append(spool, "one", &first);
	append(spool, "two", &second);
	append(spool, "three", &third);
	ok(first > 0 && first < second && second < third, "ids grow");
	is_text(texts(spool, 0, 0), "one two three ", "in order");
	is_text(texts(spool, first, 0), "two three ", "after the first");
	is_text(texts(spool, third, 0), "", "after the last");
	is_text(texts(spool, 0, 2), "one two ", "until it is enough");
	is_integer(append(spool, "four", NULL), SPOOL_DONE,
	    "and then it can be written");
	spool_free(spool);
	spool = spool_open(path, LIMIT);
	is_text(texts(spool, 0, 0), "one two three four ", "opened again");
	append(spool, "five", &id);
	ok(id > third + 1, "ids grow on");
	is_integer(spool_replace(spool, &id, 1, NULL, 0), SPOOL_DONE,
	    "the last is removed");
	spool_free(spool);
	spool = spool_open(path, LIMIT);
	append(spool, "six", &second);
	ok(second > id, "its id does not come again");
	spool_free(spool);
}

static void
test_replace(void)
{
	struct spool_record two[2] = {
		{ .kind = SPOOL_TALLY, .reason = "", .bytes = "x",
		    .length = 1 },
		{ .kind = SPOOL_TALLY, .reason = "", .bytes = "y",
		    .length = 1 } };
	struct spool * spool;
	int64_t ids[3];

	begin_place();
	spool = spool_open(path, LIMIT);
	append(spool, "a", &ids[0]);
	append(spool, "b", &ids[1]);
	append(spool, "c", &ids[2]);
	is_integer(spool_replace(spool, ids + 1, 1, two, 2), SPOOL_DONE,
	    "one is replaced by two");
	is_text(texts(spool, 0, 0), "a c x y ", "they come last");
	ok(two[0].id > ids[2] && two[1].id > two[0].id, "with new ids");
	is_text(texts(spool, two[0].id, 0), "y ", "each its own");
	is_integer(spool_replace(spool, NULL, 0, NULL, 0), SPOOL_DONE,
	    "nothing by nothing");
	is_integer(spool_replace(spool, NULL, 0, two, 2), SPOOL_DONE,
	    "two are added at once");
	is_text(texts(spool, 0, 0), "a c x y x y ", "at the end");
	ids[1] = ids[2];
	is_integer(spool_replace(spool, ids, 2, two, 0), SPOOL_DONE,
	    "two are removed");
	is_text(texts(spool, 0, 0), "x y x y ", "they are gone");
	spool_free(spool);
}

static void
test_changed(void)
{
	struct spool_record record = { .kind = SPOOL_TALLY, .reason = "",
	    .bytes = "x", .length = 1 };
	struct spool * spool;
	int64_t ids[2], bad[2];

	begin_place();
	spool = spool_open(path, LIMIT);
	append(spool, "a", &ids[0]);
	append(spool, "b", &ids[1]);
	spool_replace(spool, &ids[1], 1, NULL, 0);
	bad[0] = ids[0];
	bad[1] = ids[1];
	is_integer(spool_replace(spool, bad, 2, &record, 1), SPOOL_CHANGED,
	    "one of two is gone");
	is_text(texts(spool, 0, 0), "a ", "then nothing changes");
	bad[1] = ids[0];
	is_integer(spool_replace(spool, bad, 2, &record, 1), SPOOL_CHANGED,
	    "the same one twice");
	bad[1] = 4711;
	is_integer(spool_replace(spool, bad, 2, &record, 1), SPOOL_CHANGED,
	    "an id that never was");
	is_text(texts(spool, 0, 0), "a ", "still nothing");
	is_integer(append(spool, "c", NULL), SPOOL_DONE,
	    "no transaction is left");
	is_text(texts(spool, 0, 0), "a c ", "and all is well");
	spool_free(spool);
}

/* The limit */

/* Append records of so many bytes until it is full. */
static size_t
fill(struct spool * spool, size_t length)
{
	enum spool_result result = SPOOL_DONE;
	size_t count = 0;

	while (count < 10000 && (result = append_bytes(spool, length,
	    NULL)) == SPOOL_DONE)
		count++;
	is_integer(result, SPOOL_FULL, "full of %zu after %zu", length,
	    count);
	return (count);
}

static void
check_full(size_t length)
{
	struct spool_record smaller = { .kind = SPOOL_TALLY, .reason = "",
	    .bytes = rubbish(length), .length = length - length / 8 };
	struct spool * spool;
	const struct ids * ids;
	size_t count, i;
	int failed = 0;

	begin_place();
	spool = spool_open(path, SMALL);
	count = fill(spool, length);
	ok(count * (length + 100) > SMALL / 2, "most of the space is used");
	is_integer(depth(spool, SPOOL_TALLY), count, "all is there");
	ids = ids_of(spool);
	is_integer(ids->count, count, "and can be read");
	ok(is_logged("full"), "the log says that it is full");
	is_integer(append_bytes(spool, length, NULL), SPOOL_FULL, "again");
	ok(!is_logged("full"), "and says so only once");
	for (i = 0; i < count; i++)
		if (spool_replace(spool, &ids->list[i], 1, &smaller, 1) !=
		    SPOOL_DONE)
			failed++;
	is_integer(failed, 0, "each can be replaced by a smaller one");
	for (i = 0; i < ids_of(spool)->count; i += 2)
		if (spool_replace(spool, &ids->list[i], 1, NULL, 0) !=
		    SPOOL_DONE)
			failed++;
	is_integer(failed, 0, "every other can be removed");
	ok(fill(spool, length) > 0, "then there is room again");
	spool_free(spool);
	ok(size_of("") <= (int64_t)(SMALL + 1024 * 1024),
	    "the file keeps to the limit and its reserve: %lld",
	    (long long)size_of(""));
}

static void
test_limit(void)
{
	struct spool * spool;

	check_full(300);
	check_full(1000);
	check_full(10000);
	begin_place();
	spool = spool_open(path, 1);
	fill(spool, 1000);
	spool_free(spool);
	ok(size_of("") > (int64_t)SMALL / 2 && size_of("") <= (int64_t)SMALL,
	    "256 KiB are allowed in any case");
	begin_place();
	spool = spool_open(path, SMALL);
	is_integer(append_bytes(spool, 1000000, NULL), SPOOL_FULL,
	    "a record that is larger than the limit");
	is_integer(append_bytes(spool, 1000, NULL), SPOOL_DONE,
	    "a small one after it");
	spool_free(spool);
}

/* Calls are longer than the tallies they replace. */
static void
test_reserve(void)
{
	struct spool_record longer = { .kind = SPOOL_CALLS, .reason = "",
	    .bytes = rubbish(500000), .length = 500000 };
	struct spool * spool;
	struct ids * ids;
	int64_t large;

	begin_place();
	spool = spool_open(path, SMALL);
	fill(spool, 1000);
	ids = ids_of(spool);
	is_integer(spool_replace(spool, ids->list, 10, &longer, 1),
	    SPOOL_DONE, "what is removed may be replaced by more");
	is_integer(append_bytes(spool, 100000, NULL), SPOOL_FULL,
	    "but nothing may be added");
	is_integer(spool_replace(spool, &longer.id, 1, NULL, 0), SPOOL_DONE,
	    "it is removed");
	ids = ids_of(spool);
	while (ids->count > 0)
		if (spool_replace(spool, &ids->list[--ids->count], 1, NULL,
		    0) != SPOOL_DONE)
			break;
	is_integer(ids->count, 0, "all else too");
	spool_free(spool);
	ok(size_of("") < (int64_t)SMALL * 3 / 2, "the file has shrunk: %lld",
	    (long long)size_of(""));
	spool = spool_open(path, LIMIT);
	is_integer(append_bytes(spool, 5000000, &large), SPOOL_DONE,
	    "the limit is this process's");
	is_integer(spool_replace(spool, &large, 1, NULL, 0), SPOOL_DONE,
	    "a large one is removed");
	spool_free(spool);
	spool = spool_open(path, SMALL);
	is_integer(append_bytes(spool, 1000, NULL), SPOOL_DONE,
	    "a file that is beyond the limit takes what fits in");
	spool_free(spool);
}

/* The disk is full: here, a file may not grow. */
static int
run_out(int in, int out)
{
	struct rlimit limit;
	struct spool * spool;
	enum spool_result result = SPOOL_DONE;
	size_t count = 0;
	int wrong = 0;

	(void)in;
	(void)out;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	spool = spool_open(path, LIMIT);
	limit.rlim_cur = 3000000;
	setrlimit(RLIMIT_FSIZE, &limit);
	while (count < 100000 && result == SPOOL_DONE) {
		result = append_bytes(spool, 10000, NULL);
		count += result == SPOOL_DONE;
	}
	wrong |= (result != SPOOL_FULL) * 1;
	wrong |= (depth(spool, SPOOL_TALLY) != (int64_t)count) * 2;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	wrong |= (append_bytes(spool, 10000, NULL) != SPOOL_DONE) * 4;
	wrong |= (depth(spool, SPOOL_TALLY) != (int64_t)count + 1) * 8;
	wrong |= (count < 100) * 16;
	spool_free(spool);
	return (wrong);
}

static void
test_disk(void)
{
	struct child child;

	for (on_network = false; ; on_network = true) {
		begin_place();
		start(&child, run_out);
		is_integer(finish(&child), 0, "the disk is full, and then not");
		if (on_network)
			break;
	}
	on_network = false;
}

/* Files */

static void
check_modes(mode_t mask, const char * what)
{
	static const char * const names[] = { "", "-wal", "-shm", ".lock",
	    ".lease" };
	struct spool * spool;
	char directory[PATH_MAX];
	struct stat made;
	size_t i;

	begin_place();
	*strrchr(path, '/') = '\0';
	strcat(path, "/new/spool.db");
	mask = umask(mask);
	spool = spool_open(path, LIMIT);
	is_integer(append(spool, "a", NULL), SPOOL_DONE,
	    "%s: a missing directory is made", what);
	ok(spool_lock(spool), "%s: the lease", what);
	umask(mask);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		is_integer(mode_of(names[i]), 0600, "%s: the mode of %s",
		    what, names[i]);
	spool_free(spool);
	strcpy(directory, path);
	*strrchr(directory, '/') = '\0';
	is_integer(stat(directory, &made), 0, "%s: the directory", what);
	is_integer(made.st_mode & 07777, 0700, "%s: its mode", what);
}

static void
test_modes(void)
{
	struct spool * spool;

	check_modes(0, "umask 0");
	check_modes(022, "umask 022");
	check_modes(0777, "umask 0777");
	begin_place();
	spool_free(spool_open(path, LIMIT));
	ok(!is_logged("warning"), "nothing to warn of");
	chmod(path, 0644);
	spool = spool_open(path, LIMIT);
	ok(is_logged("warning") && strstr(errors, path) != NULL,
	    "a file that all may read is warned of");
	is_integer(append(spool, "a", NULL), SPOOL_DONE, "and used");
	spool_free(spool);
}

/* Wait until it takes something. */
static bool
comes_back(struct spool * spool)
{
	int64_t limit = clock_monotonic() + 20000;

	while (append(spool, "a", NULL) != SPOOL_DONE)
		if (clock_remaining(limit) == 0 || poll(NULL, 0, 10) != 0)
			return (false);
	return (true);
}

/* What is in the way: a directory, a file, nothing, a link to nowhere. */
static const char * const obstacles[] = { "directory", "file/spool.db",
    "none/none/spool.db", "dangling" };
#define OBSTACLES 4

static void
check_obstacle(struct spool * spool, const char * name, bool in_place,
    int64_t since)
{
	struct spool_depth out;
	unsigned int tried;

	ok(is_logged("error: ") && strstr(errors, name) != NULL &&
	    strchr(errors, '\n') == strrchr(errors, '\n'),
	    "%s: the log says so in one line", name);
	tried = flocks;
	is_integer(append(spool, "a", NULL), SPOOL_FAILED,
	    "%s: nothing is taken", name);
	ok(flocks == tried || clock_monotonic() >= since + 1000,
	    "%s: it is not even tried within a second", name);
	is_integer(spool_depth(spool, SPOOL_TALLY, &out), SPOOL_FAILED,
	    "%s: or counted", name);
	is_text(texts(spool, 0, 0), "failed", "%s: or read", name);
	is_logged("");
	is_text(errors, "", "%s: without another word", name);
	is_integer(spool_lock(spool), in_place, "%s: the lease", name);
}

static void
test_not_to_be_had(void)
{
	struct spool * spools[OBSTACLES];
	char place[sizeof(path)], name[PATH_MAX];
	int64_t since;
	size_t i;

	begin_place();
	*strrchr(strcpy(place, path), '/') = '\0';
	snprintf(name, sizeof(name), "%s/directory", place);
	mkdir(name, 0700);
	snprintf(name, sizeof(name), "%s/file", place);
	temporary_write(name, "x", 1);
	snprintf(name, sizeof(name), "%s/dangling", place);
	is_integer(symlink("/nowhere/at/all", name), 0, "a symbolic link");
	for (i = 0; i < OBSTACLES; i++) {
		snprintf(name, sizeof(name), "%s/%s", place, obstacles[i]);
		since = clock_monotonic();
		spools[i] = spool_open(name, LIMIT);
		check_obstacle(spools[i], obstacles[i],
		    strchr(obstacles[i], '/') == NULL, since);
	}
	for (i = 0; i < OBSTACLES; i++) {
		snprintf(name, sizeof(name), "%s/%.*s", place,
		    (int)strcspn(obstacles[i], "/"), obstacles[i]);
		remove(name);
		if (strchr(obstacles[i], '/') != NULL)
			mkdir(name, 0700);
	}
	for (i = 0; i < OBSTACLES; i++) {
		ok(comes_back(spools[i]), "%s: mended, it is used",
		    obstacles[i]);
		spool_free(spools[i]);
	}
}

/* Damage */

/* One damaged file is kept, and the log is loud. */
static void
check_aside(int64_t size, const char * what)
{
	char name[PATH_MAX];
	struct stat kept;

	if (!is_integer(count_damaged("", name), 1, "%s: one is kept", what))
		return;
	stat(name, &kept);
	if (size >= 0)
		is_integer(kept.st_size, size, "%s: its size", what);
	ok(is_logged("error: ") && strstr(errors, name) != NULL,
	    "%s: the log says where", what);
}

/* It was damaged before it was opened. */
static void
check_damaged(const void * bytes, size_t length, const char * what)
{
	struct spool * spool;
	char name[PATH_MAX], got[16];
	int descriptor;

	begin_place();
	temporary_write(path, bytes, length);
	spool = spool_open(path, LIMIT);
	is_integer(append(spool, "new", NULL), SPOOL_DONE, "%s: it works",
	    what);
	is_text(texts(spool, 0, 0), "new ", "%s: it is new", what);
	spool_free(spool);
	check_aside((int64_t)length, what);
	if (count_damaged("", name) != 1)
		return;
	descriptor = open(name, O_RDONLY);
	is_integer(pread(descriptor, got, 4, 0), 4, "%s: it can be read",
	    what);
	is_bytes(got, 4, bytes, 4, "%s: as it was", what);
	close(descriptor);
}

/* Keep a spool as it is now, in memory. */
static size_t
keep_file(char * out, size_t size)
{
	int descriptor = open(path, O_RDONLY);
	ssize_t length = read(descriptor, out, size);

	close(descriptor);
	return (length < 0 ? 0 : (size_t)length);
}

static void
test_damaged(void)
{
	static char file[1024 * 1024];
	struct spool * spool;
	size_t length, i;

	begin_place();
	spool = spool_open(path, LIMIT);
	for (i = 0; i < 500; i++)
		append_bytes(spool, 1000, NULL);
	spool_free(spool);
	length = keep_file(file, sizeof(file));
	ok(length > 500000, "a healthy file");
	check_damaged(rubbish(100000), 100000, "rubbish");
	check_damaged("ten bytes.", 10, "ten bytes");
	check_damaged("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15, "zeros");
	check_damaged(file, length / 2, "cut in half");
	check_damaged(file, 5000, "cut to a page and a bit");
	file[63] = 2;
	check_damaged(file, length, "another version");
	file[63] = 0;
	check_damaged(file, length, "somebody else's database");
	begin_place();
	temporary_write(path, "", 0);
	spool = spool_open(path, LIMIT);
	is_integer(append(spool, "new", NULL), SPOOL_DONE,
	    "an empty file is as good as none");
	is_integer(count_damaged("", file), 0, "and is used");
	spool_free(spool);
}

/* It is damaged while it is open. */
static void
check_damage(off_t from, size_t length, off_t cut, const char * what)
{
	struct spool * spool;
	int64_t id, old;
	size_t i;

	begin_place();
	spool = spool_open(path, LIMIT);
	append(spool, "first", &old);
	for (i = 0; i < 300; i++)
		append_bytes(spool, 5000, &id);
	overwrite(from, rubbish(length), length, cut);
	ids_of(spool);
	is_text(texts(spool, 0, 0), "", "%s: it is new", what);
	is_integer(append(spool, "a", &id), SPOOL_DONE, "%s: it works",
	    what);
	ok(id > old + 301, "%s: ids grow on", what);
	is_integer(spool_replace(spool, &old, 1, NULL, 0), SPOOL_CHANGED,
	    "%s: an old id stands for nothing", what);
	is_text(texts(spool, 0, 0), "a ", "%s: what is new is there", what);
	check_aside(-1, what);
	spool_free(spool);
	spool = spool_open(path, LIMIT);
	is_text(texts(spool, 0, 0), "a ", "%s: and stays", what);
	spool_free(spool);
}

static void
test_damage(void)
{

	check_damage(8192, 1000000, -1, "rubbish in the middle");
	check_damage(4096, 1500000, -1, "rubbish all over");
	check_damage(0, 0, 400000, "cut");
	check_damage(0, 0, 0, "cut to nothing");
}

/* Write, and be killed with the file open: a WAL is left. */
static int
leave_open(int in, int out)
{
	struct spool * spool = spool_open(path, LIMIT);

	(void)in;
	(void)out;
	append(spool, "left", NULL);
	kill(getpid(), SIGKILL);
	return (0);
}

static void
test_left_wal(void)
{
	struct child child;
	struct spool * spool;
	char name[PATH_MAX];

	begin_place();
	start(&child, leave_open);
	is_integer(finish(&child), 1000 + SIGKILL, "killed");
	ok(size_of("-wal") > 0, "a WAL is left");
	spool = spool_open(path, LIMIT);
	is_text(texts(spool, 0, 0), "left ", "and it counts");
	spool_free(spool);
	begin_place();
	start(&child, leave_open);
	finish(&child);
	overwrite(0, "", 0, 0);
	spool = spool_open(path, LIMIT);
	is_text(texts(spool, 0, 0), "", "the database is cut to nothing");
	is_integer(count_damaged("", name), 1, "it is kept");
	is_integer(count_damaged("-wal", name), 1, "so is its WAL");
	spool_free(spool);
	begin_place();
	start(&child, leave_open);
	finish(&child);
	unlink(path);
	spool = spool_open(path, LIMIT);
	is_text(texts(spool, 0, 0), "", "the database is deleted");
	is_integer(count_damaged("-wal", name), 1, "its WAL is kept");
	is_integer(append(spool, "a", NULL), SPOOL_DONE, "a new one works");
	spool_free(spool);
}

/* Others, and what they do to the file */

static void
test_moved(void)
{
	struct spool * one, * two;
	char name[PATH_MAX], away[PATH_MAX];
	int64_t old, id;

	begin_place();
	one = spool_open(path, LIMIT);
	two = spool_open(path, LIMIT);
	append(one, "old", &old);
	is_text(texts(two, 0, 0), "old ", "two spools share a file");
	unlink(path);
	is_integer(append(one, "a", &id), SPOOL_DONE, "it is deleted");
	ok(id > old, "a new one is made");
	is_integer(mode_of(""), 0600, "for its owner alone");
	is_text(texts(two, 0, 0), "a ", "the other reads it");
	is_integer(append(two, "b", NULL), SPOOL_DONE, "and writes it");
	is_text(texts(one, 0, 0), "a b ", "both are there");
	is_integer(count_damaged("-wal", name), 1, "the old WAL is kept");
	snprintf(away, sizeof(away), "%s", beside(".away"));
	rename(path, away);
	is_integer(spool_replace(two, &id, 1, NULL, 0), SPOOL_CHANGED,
	    "it is renamed: what was there is not");
	is_integer(append(one, "c", NULL), SPOOL_DONE, "a new one again");
	is_text(texts(two, 0, 0), "c ", "for both");
	spool_free(one);
	is_integer(append(two, "d", NULL), SPOOL_DONE, "one goes on alone");
	spool_free(two);
	one = spool_open(path, LIMIT);
	is_text(texts(one, 0, 0), "c d ", "it stays");
	spool_free(one);
}

static void
delete_database(void)
{

	unlink(path);
}

static void
delete_lease(void)
{

	unlink(beside(".lease"));
}

/* Between a look at a file and its use somebody deletes it. */
static void
test_moved_meanwhile(void)
{
	struct spool * one, * two;
	bool held;

	begin_place();
	one = spool_open(path, LIMIT);
	append(one, "a", NULL);
	before_flock = delete_database;
	is_integer(append(one, "b", NULL), SPOOL_DONE,
	    "the database is deleted just before it is written");
	ok(before_flock == NULL, "indeed");
	two = spool_open(path, LIMIT);
	is_text(texts(two, 0, 0), "b ", "what was written is in the new one");
	held = spool_lock(two);
	spool_unlock(two);
	ok(held, "the lease is free");
	before_flock = delete_lease;
	held = spool_lock(one);
	ok(before_flock == NULL, "its file is deleted just before it is had");
	ok(!held || !spool_lock(two), "two cannot have it");
	spool_free(one);
	spool_free(two);
}

/* Open, say so, wait, append, and again. */
static int
append_when_told(int in, int out)
{
	struct spool * spool = spool_open(path, LIMIT);
	bool done = true;

	do {
		done = append(spool, "a", NULL) == SPOOL_DONE && done;
		tell(out);
	} while (told(in));
	spool_free(spool);
	return (!done);
}

#define CROWD 4

static void
test_damage_for_many(void)
{
	struct child children[CROWD];
	struct spool * spool;
	char name[PATH_MAX];
	int round;
	size_t i;

	begin_place();
	for (i = 0; i < CROWD; i++)
		start(&children[i], append_when_told);
	for (i = 0; i < CROWD; i++)
		told(children[i].from);
	for (round = 1; round <= 5; round++) {
		overwrite(0, "", 0, 0);
		for (i = 0; i < CROWD; i++)
			tell(children[i].to);
		for (i = 0; i < CROWD; i++)
			told(children[i].from);
		is_integer(count_damaged("", name), round,
		    "many notice damage %d, and it is renamed once", round);
	}
	for (i = 0; i < CROWD; i++)
		is_integer(finish(&children[i]), 0, "all of them go on");
	spool = spool_open(path, LIMIT);
	is_integer(depth(spool, SPOOL_TALLY), CROWD,
	    "what they wrote at last is in one file");
	spool_free(spool);
}

static int many;

static int
append_many(int in, int out)
{
	struct spool * spool = spool_open(path, LIMIT);
	int failed = 0;
	int i;

	tell(out);
	told(in);
	for (i = 0; i < many; i++)
		failed += append(spool, "a", NULL) != SPOOL_DONE;
	spool_free(spool);
	return (failed > 200 ? 200 : failed);
}

static void
check_many(int count, const char * what)
{
	struct child one, two;
	struct spool * spool;

	begin_place();
	many = count;
	start(&one, append_many);
	start(&two, append_many);
	told(one.from);
	told(two.from);
	tell(one.to);
	tell(two.to);
	is_integer(finish(&one), 0, "%s: none of many fails", what);
	is_integer(finish(&two), 0, "%s: nor of those beside them",
	    what);
	spool = spool_open(path, LIMIT);
	is_integer(depth(spool, SPOOL_TALLY), 2 * many, "%s: all are there",
	    what);
	spool_free(spool);
}

static int
hold_lease(int in, int out)
{
	struct spool * spool = spool_open(path, LIMIT);
	bool held = spool_lock(spool);

	tell(out);
	told(in);
	return (!held);
}

static void
test_lease(void)
{
	struct spool * one, * two;
	struct child child;

	begin_place();
	start(&child, hold_lease);
	told(child.from);
	one = spool_open(path, LIMIT);
	ok(!spool_lock(one), "another process has the lease");
	is_logged("");
	is_text(errors, "", "which is nothing to log");
	is_integer(append(one, "a", NULL), SPOOL_DONE, "it stops nobody");
	kill(child.pid, SIGKILL);
	is_integer(finish(&child), 1000 + SIGKILL, "it is killed");
	ok(spool_lock(one), "the lease dies with it");
	ok(spool_lock(one), "who has it has it");
	two = spool_open(path, LIMIT);
	ok(!spool_lock(two), "and nobody else, in one process either");
	spool_unlock(two);
	ok(!spool_lock(two), "nor by giving back what it does not have");
	unlink(path);
	append(one, "a", NULL);
	ok(!spool_lock(two), "whatever becomes of the database");
	spool_unlock(one);
	ok(spool_lock(two), "it is given back");
	ok(!spool_lock(one), "and taken");
	unlink(beside(".lease"));
	ok(spool_lock(one), "its file is deleted: it is free");
	ok(!spool_lock(two), "and so was lost");
	spool_free(one);
	ok(spool_lock(two), "a spool that is freed gives it back");
	spool_free(two);
}

/* Killing */

/* Append for ever, and say which are done; now and then one is replaced. */
static int
append_and_say(int in, int out)
{
	struct spool * spool = spool_open(path, LIMIT);
	struct spool_record record = { .kind = SPOOL_TALLY, .reason = "",
	    .bytes = rubbish(3000), .length = 3000 };
	enum spool_result result = SPOOL_DONE;
	int64_t ids[2] = { 0, 0 };
	int i;

	(void)in;
	for (i = 0; result == SPOOL_DONE; i++) {
		ids[0] = ids[1];
		if (i % 3 == 2)
			result = spool_replace(spool, &ids[0], 1, &record, 1);
		else
			result = spool_append(spool, &record);
		ids[0] = i % 3 == 2 ? -ids[0] : 0;
		ids[1] = record.id;
		if (result == SPOOL_DONE && write(out, ids, sizeof(ids)) !=
		    sizeof(ids))
			break;
	}
	return (EXIT_FAILURE);
}

static bool
is_in(const struct ids * ids, int64_t id)
{
	size_t i;

	for (i = 0; i < ids->count; i++)
		if (ids->list[i] == id)
			return (true);
	return (false);
}

static void
check_killed(long after, const char * what)
{
	static int64_t done[20000];
	int64_t ids[2];
	struct child child;
	struct spool * spool;
	const struct ids * ids_there;
	size_t count = 0, lost = 0, more = 0, i;

	start(&child, append_and_say);
	while (read(child.from, ids, sizeof(ids)) == sizeof(ids) &&
	    count < sizeof(done) / sizeof(done[0])) {
		if (ids[0] < 0)
			count--;
		done[count++] = ids[1];
		if (after-- == 0)
			kill(child.pid, SIGKILL);
	}
	is_integer(finish(&child), 1000 + SIGKILL, "%s: killed after %zu",
	    what, count);
	spool = spool_open(path, LIMIT);
	ids_there = ids_of(spool);
	/* One more may have been done without a word. */
	if (ids_there->count > 0 && count > 0)
		more = ids_there->list[ids_there->count - 1] > done[count - 1];
	for (i = 0; i < count; i++)
		lost += !is_in(ids_there, done[i]);
	/* It may have been to replace the last. */
	if (more && lost == 1 && !is_in(ids_there, done[count - 1])) {
		lost = 0;
		count--;
	}
	is_integer(lost, 0, "%s: none that was done is lost", what);
	is_integer(ids_there->count, count + more,
	    "%s: nor is there another", what);
	unlink(path);
	unlink(beside("-wal"));
	spool_free(spool);
}

static void
check_killing(int rounds, const char * what)
{
	char name[PATH_MAX];
	int i;

	for (i = 0; i < rounds; i++) {
		begin_place();
		check_killed(i < 6 ? i : random() % 100, what);
		is_integer(count_damaged("", name), 0,
		    "%s: and nothing is damaged", what);
	}
}

/* Without WAL */

/* The header of the file says 1 for a rollback journal, 2 for WAL. */
static int
journal_of(void)
{
	char bytes[20] = { 0 };

	keep_file(bytes, sizeof(bytes));
	return (bytes[18]);
}

static void
test_mode(void)
{
	struct spool * spool;

	begin_place();
	spool = spool_open(path, LIMIT);
	append(spool, "a", NULL);
	spool_free(spool);
	is_integer(journal_of(), 2, "WAL on a disk");
	on_network = true;
	spool = spool_open(path, LIMIT);
	append(spool, "b", NULL);
	is_integer(mode_of("-wal"), -1, "no WAL on NFS");
	is_text(texts(spool, 0, 0), "a b ", "all is there");
	spool_free(spool);
	is_integer(journal_of(), 1, "a rollback journal instead");
	on_network = false;
	spool = spool_open(path, LIMIT);
	append(spool, "c", NULL);
	ok(size_of("-wal") > 0, "and back");
	is_text(texts(spool, 0, 0), "a b c ", "all is there");
	spool_free(spool);
	is_integer(symlink("/nowhere/at/all", beside("-shm")), 0,
	    "a file that memory cannot be shared through");
	spool = spool_open(path, LIMIT);
	is_integer(append(spool, "d", NULL), SPOOL_DONE, "it works");
	is_text(texts(spool, 0, 0), "a b c d ", "as well");
	spool_free(spool);
	is_integer(journal_of(), 1, "with a rollback journal");
}

/* Is in the middle of reading until it is told to go on. */
static bool
take_slowly(void * context, const struct spool_record * record)
{
	const int * pipes = context;

	(void)record;
	tell(pipes[1]);
	return (!told(pipes[0]));
}

static int
read_slowly(int in, int out)
{
	struct spool * spool = spool_open(path, LIMIT);
	int pipes[2] = { in, out };
	bool done = spool_read(spool, SPOOL_TALLY, 0, take_slowly, pipes) ==
	    SPOOL_DONE;

	spool_free(spool);
	return (!done);
}

/* With a rollback journal readers keep others from writing. */
static void
test_busy(void)
{
	struct spool * spool;
	struct child child;
	int64_t since;

	begin_place();
	spool = spool_open(path, LIMIT);
	append(spool, "a", NULL);
	spool_free(spool);
	start(&child, read_slowly);
	told(child.from);
	spool = spool_open(path, LIMIT);
	since = clock_monotonic();
	is_integer(append(spool, "b", NULL), SPOOL_FAILED, "it is locked");
	since = clock_monotonic() - since;
	ok(since >= 400 && since < 5000, "after a while: %lld ms",
	    (long long)since);
	ok(is_logged("locked"), "the log says so");
	tell(child.to);
	is_integer(finish(&child), 0, "then it is not");
	is_integer(append(spool, "c", NULL), SPOOL_DONE,
	    "and can be written at once");
	is_text(texts(spool, 0, 0), "a c ", "what failed is not there");
	spool_free(spool);
}

int
main(void)
{

	tap_seed();
	temporary_create();
	temporary_catch_errors();
	signal(SIGPIPE, SIG_IGN);
	test_records();
	test_order();
	test_replace();
	test_changed();
	test_limit();
	test_reserve();
	test_disk();
	test_modes();
	test_not_to_be_had();
	test_damaged();
	test_damage();
	test_left_wal();
	test_moved();
	test_moved_meanwhile();
	test_damage_for_many();
	test_lease();
	test_mode();
	check_many(500, "WAL");
	check_killing(25, "WAL");
	on_network = true;
	check_many(100, "journal");
	check_killing(10, "journal");
	test_busy();
	return (tap_done());
}
