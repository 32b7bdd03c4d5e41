#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/shmfile.h"
#include "lib/stats/stats.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Stands in for libc's: the file system can allocate blocks, or not. */
static bool cannot_allocate;

int
fallocate(int descriptor, int mode, off_t from, off_t length)
{

	if (!cannot_allocate)
		return ((int)syscall(SYS_fallocate, descriptor, mode, from,
		    length));
	errno = EOPNOTSUPP;
	return (-1);
}

static char logged[4096];

static size_t
log_lines(void)
{
	size_t lines = 0;
	const char * c;

	temporary_errors(logged, sizeof(logged));
	for (c = logged; *c != '\0'; c++)
		lines += *c == '\n';
	return (lines);
}

static void
wait_for(pid_t child)
{
	int status = -1;

	waitpid(child, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		ok(false, "a child ends as it should, status %d", status);
}

/* The numbers */

static void
test_null(void)
{
	static const uint64_t dropped[DROP_COUNT] = { 1 };
	struct buffer text = { NULL, 0, 0 };

	stats_add(NULL, STATS_BODY_BYTES, 1);
	stats_answered(NULL, 202);
	stats_dropped(NULL, dropped);
	stats_observe(NULL, STATS_PARSE_TIME, 1);
	stats_set(NULL, STATS_REDIS_DOWN, 1);
	stats_redis(NULL, true);
	stats_redis(NULL, false);
	stats_write(NULL, &text);
	stats_free(NULL);
	is_integer(text.length, 0, "no stats have no text");
	is_integer(stats_get(NULL, STATS_BODY_BYTES), 0, "nor a counter");
	is_integer(stats_get_gauge(NULL, STATS_REDIS_DOWN), 0, "nor a gauge");
}

static void
test_private(void)
{
	static const char * const paths[] = { NULL, "" };
	size_t i;

	for (i = 0; i < COUNT_OF(paths); i++) {
		struct stats * a = stats_open(paths[i]);
		struct stats * b = stats_open(paths[i]);

		stats_add(a, STATS_REPLAYED, 3);
		stats_add(a, STATS_REPLAYED, 4);
		is_integer(stats_get(a, STATS_REPLAYED), 7,
		    "stats without a file count");
		is_integer(stats_get(b, STATS_REPLAYED), 0,
		    "and share nothing");
		stats_free(a);
		stats_free(b);
	}
	is_integer(log_lines(), 0, "which is nothing for the log");
}

static void
test_answered(void)
{
	static const struct {
		int status;
		enum stats_counter counter;
	} rows[] = {
		{ 200, STATS_REQUESTS_200 }, { 202, STATS_REQUESTS_202 },
		{ 204, STATS_REQUESTS_204 }, { 400, STATS_REQUESTS_400 },
		{ 403, STATS_REQUESTS_403 }, { 404, STATS_REQUESTS_404 },
		{ 405, STATS_REQUESTS_405 }, { 413, STATS_REQUESTS_413 },
		{ 415, STATS_REQUESTS_415 }, { 503, STATS_REQUESTS_503 },
	};
	static const int others[] = { 0, -1, 199, 201, 203, 401, 500, 20 };
	struct stats * stats = stats_open(NULL);
	uint64_t sum = 0;
	size_t i, j;

	for (i = 0; i < COUNT_OF(others); i++)
		stats_answered(stats, others[i]);
	for (i = 0; i < STATS_COUNTER_COUNT; i++)
		sum += stats_get(stats, (enum stats_counter)i);
	is_integer(sum, 0, "other statuses are not counted");
	for (i = 0; i < COUNT_OF(rows); i++)
		for (j = 0; j <= i; j++)
			stats_answered(stats, rows[i].status);
	for (i = 0; i < COUNT_OF(rows); i++)
		is_integer(stats_get(stats, rows[i].counter), i + 1,
		    "answers with status %d", rows[i].status);
	stats_free(stats);
}

static void
test_dropped(void)
{
	struct stats * stats = stats_open(NULL);
	uint64_t dropped[DROP_COUNT];
	size_t i;

	for (i = 0; i < DROP_COUNT; i++)
		dropped[i] = i * i + 1;
	stats_dropped(stats, dropped);
	stats_dropped(stats, dropped);
	for (i = 0; i < DROP_COUNT; i++)
		is_integer(stats_get(stats,
		    (enum stats_counter)(STATS_DROPPED + i)), 2 * i * i + 2,
		    "drops for reason %zu", i);
	is_integer(stats_get(stats, STATS_COUNTERS_APPLIED) +
	    stats_get(stats, STATS_REDIS_CONNECTION), 0,
	    "the counters beside them are as they were");
	stats_free(stats);
}

static void
test_redis(void)
{
	struct stats * stats = stats_open(NULL);
	uint64_t before = (uint64_t)clock_now_ms();
	uint64_t when;

	is_integer(stats_get_gauge(stats, STATS_REDIS_DOWN), 0,
	    "Redis is not down before anybody has asked it");
	stats_redis(stats, false);
	is_integer(stats_get_gauge(stats, STATS_REDIS_DOWN), 1,
	    "Redis has failed");
	is_integer(stats_get_gauge(stats, STATS_REDIS_LAST_SUCCESS), 0,
	    "and was never reached");
	stats_redis(stats, true);
	when = stats_get_gauge(stats, STATS_REDIS_LAST_SUCCESS);
	is_integer(stats_get_gauge(stats, STATS_REDIS_DOWN), 0,
	    "Redis is back");
	is_integer(when, 0, "which is no success of a call");
	stats_calls(stats, true);
	when = stats_get_gauge(stats, STATS_REDIS_LAST_SUCCESS);
	ok(when >= before && when <= (uint64_t)clock_now_ms(),
	    "a call succeeded now");
	stats_set(stats, STATS_REDIS_LAST_SUCCESS, 5);
	ok(stats_redis_is_up(stats), "Redis is up");
	stats_calls(stats, false);
	ok(!stats_redis_is_up(stats), "not when it takes no calls");
	stats_redis(stats, false);
	stats_redis(stats, true);
	ok(!stats_redis_is_up(stats), "nor when it only serves a probe");
	is_integer(stats_get_gauge(stats, STATS_REDIS_LAST_SUCCESS), 5,
	    "a failure does not change when it last succeeded");
	stats_set(stats, STATS_CALLS_FAILED,
	    (uint64_t)clock_monotonic() - 59000);
	ok(!stats_redis_is_up(stats), "calls failed 59 seconds ago");
	stats_set(stats, STATS_CALLS_FAILED,
	    (uint64_t)clock_monotonic() - 61000);
	ok(stats_redis_is_up(stats), "61 seconds ago: they may succeed");
	stats_set(stats, STATS_CALLS_FAILED,
	    (uint64_t)clock_monotonic() + 100000);
	ok(stats_redis_is_up(stats), "before the host was started again");
	stats_calls(stats, false);
	stats_redis(stats, false);
	stats_calls(stats, true);
	ok(!stats_redis_is_up(stats), "calls do not end what they did not set");
	stats_free(stats);
}

/* Processes */

#define ADDITIONS 200000

static void
add_often(const char * path, int start)
{
	struct stats * stats = stats_open(path);
	char byte;
	int i;

	/* All of them start when the other end is closed. */
	if (read(start, &byte, 1) != 0)
		_exit(1);
	for (i = 0; i < ADDITIONS; i++) {
		stats_add(stats, STATS_COUNTERS_APPLIED, 3);
		stats_observe(stats, STATS_GROUP_REQUESTS, 2);
	}
	stats_free(stats);
	_exit(0);
}

static bool
has_line(const struct stats * stats, const char * line)
{
	struct buffer text = { NULL, 0, 0 };
	bool found;

	stats_write(stats, &text);
	buffer_append(&text, "", 1);
	found = strstr(text.bytes, line) != NULL;
	buffer_free(&text);
	return (found);
}

static void
test_two_processes(void)
{
	char path[PATH_MAX], line[100];
	pid_t children[2];
	struct stats * stats;
	int start[2];
	size_t i;

	temporary_path(path, "two");
	if (pipe(start) != 0)
		abort();
	for (i = 0; i < COUNT_OF(children); i++)
		if ((children[i] = fork()) == 0) {
			close(start[1]);
			add_often(path, start[0]);
		}
	close(start[0]);
	close(start[1]);
	for (i = 0; i < COUNT_OF(children); i++)
		wait_for(children[i]);
	stats = stats_open(path);
	is_integer(stats_get(stats, STATS_COUNTERS_APPLIED),
	    2 * 3 * ADDITIONS, "two processes add at once");
	snprintf(line, sizeof(line), "flagtally_group_requests_bucket"
	    "{le=\"2\"} %d\n", 2 * ADDITIONS);
	ok(has_line(stats, line), "and observe at once");
	snprintf(line, sizeof(line), "flagtally_group_requests_sum %d\n",
	    2 * 2 * ADDITIONS);
	ok(has_line(stats, line), "with an exact sum");
	stats_free(stats);
	is_integer(log_lines(), 0, "which is nothing for the log");
}

/* Of what a child adds, it tells each addition after it. */
static void
add_and_tell(const char * path, int out)
{
	struct stats * stats = stats_open(path);
	uint64_t count;

	for (count = 1; ; count++) {
		stats_add(stats, STATS_BODY_BYTES, 1);
		if (write(out, &count, sizeof(count)) !=
		    (ssize_t)sizeof(count))
			_exit(1);
	}
}

static void
test_kill(void)
{
	char path[PATH_MAX];
	uint64_t told = 0, before = 0, count;
	struct stats * stats;
	int out[2], status, i;
	pid_t child;

	stats = stats_open(temporary_path(path, "killed"));
	for (i = 0; i < 20; i++) {
		if (pipe(out) != 0)
			abort();
		if ((child = fork()) == 0) {
			close(out[0]);
			add_and_tell(path, out[1]);
		}
		close(out[1]);
		while (read(out[0], &told, sizeof(told)) > 0)
			if (told == 500 + (uint64_t)i * 37)
				kill(child, SIGKILL);
		close(out[0]);
		waitpid(child, &status, 0);
		count = stats_get(stats, STATS_BODY_BYTES) - before;
		before += count;
		/* It may have been killed between the two. */
		ok(WIFSIGNALED(status) && told >= 500 &&
		    (count == told || count == told + 1),
		    "of %lld additions kill -9 loses none, got %lld",
		    (long long)told, (long long)count);
	}
	stats_free(stats);
	stats = stats_open(path);
	is_integer(stats_get(stats, STATS_BODY_BYTES), before,
	    "they are there for who comes later");
	stats_free(stats);
}

/* The file */

static ino_t
inode(const char * path)
{
	struct stat file;

	return (stat(path, &file) == 0 ? file.st_ino : 0);
}

static off_t
size_of(const char * path)
{
	struct stat file;

	return (stat(path, &file) == 0 ? file.st_size : -1);
}

/* The name of the file of a path: it ends in a digest of all names. */
static const char *
file_of(const char * path)
{
	static const unsigned char key[DIGEST_KEY_SIZE] = { 0 };
	static char name[SHMFILE_NAME_MAX];
	struct stats * stats = stats_open(NULL);
	struct buffer text = { NULL, 0, 0 };

	stats_write(stats, &text);
	buffer_integer(&text, STATS_GAUGE_COUNT);
	stats_free(stats);
	if (shmfile_name(name, path, digest_keyed_hash(key, text.bytes,
	    text.length)) != 0)
		abort();
	buffer_free(&text);
	return (name);
}

static void
test_new_file(void)
{
	char path[PATH_MAX];
	struct stats * stats, * other;
	struct stat file;
	mode_t before = umask(0);

	stats = stats_open(temporary_path(path, "new"));
	umask(before);
	ok(stat(file_of(path), &file) == 0 && (file.st_mode & 07777) == 0600,
	    "a new file is for its owner alone, mode %o",
	    (unsigned int)file.st_mode);
	ok(file.st_blocks * 512 >= file.st_size, "it has no holes");
	is_integer(access(path, F_OK), -1, "its name says its layout");
	other = stats_open(path);
	is_integer(inode(file_of(path)), file.st_ino, "it stays");
	stats_add(stats, STATS_REPLAYED, 5);
	stats_set(other, STATS_REDIS_DOWN, 1);
	is_integer(stats_get(other, STATS_REPLAYED), 5, "a counter is shared");
	is_integer(stats_get_gauge(stats, STATS_REDIS_DOWN), 1,
	    "a gauge is shared");
	stats_free(stats);
	is_integer(stats_get(other, STATS_REPLAYED), 5,
	    "it does not go with one of them");
	stats_free(other);
	is_integer(log_lines(), 0, "which is nothing for the log");
}

/* Stats of a file that is shared, and of which one number is known. */
static void
is_shared(const char * path, off_t size, uint64_t number, const char * name)
{
	struct stats * stats = stats_open(path);
	struct stats * other = stats_open(path);

	is_integer(size_of(file_of(path)), size, "%s: its size", name);
	is_integer(stats_get(stats, STATS_REPLAYED), number, "%s: a number",
	    name);
	stats_add(stats, STATS_REPLAYED, 1);
	is_integer(stats_get(other, STATS_REPLAYED), number + 1,
	    "%s: it is shared", name);
	is_integer(log_lines(), 0, "%s: it is nothing for the log", name);
	stats_free(stats);
	stats_free(other);
}

/* A process that was killed, or a crash of the host, leaves a short file. */
static void
test_short(void)
{
	char path[PATH_MAX], name[100];
	struct stats * stats = stats_open(temporary_path(path, "size"));
	off_t size = size_of(file_of(path));
	const off_t sizes[] = { 0, 1, 7, 8, size / 2, size - 1 };
	uint64_t number = 1;
	size_t i;

	stats_add(stats, STATS_REPLAYED, number);
	stats_free(stats);
	for (i = COUNT_OF(sizes); i-- > 0; number = size / 2 <= sizes[i] ?
	    number + 1 : 1) {
		if (truncate(file_of(path), sizes[i]) != 0)
			abort();
		snprintf(name, sizeof(name), "%lld bytes",
		    (long long)sizes[i]);
		is_shared(path, size, size / 2 <= sizes[i] ? number : 0,
		    name);
	}
	unlink(file_of(path));
}

/* Stats of a path that cannot be used. */
static void
is_private(const char * path, const char * name)
{
	struct stats * stats = stats_open(path);

	is_integer(log_lines(), 1, "%s: one line in the log", name);
	ok(strstr(logged, "warning: the statistics are of this process "
	    "alone") != NULL, "%s: it says what is the matter, got %s", name,
	    logged);
	stats_add(stats, STATS_REPLAYED, 2);
	is_integer(stats_get(stats, STATS_REPLAYED), 2, "%s: they count",
	    name);
	stats_free(stats);
}

/* Looking creates nothing, changes nothing, and reads what others store. */
static void
test_look(void)
{
	char path[PATH_MAX];
	struct stats * stats, * other;
	off_t size;

	ok(stats_look(temporary_path(path, "look")) == NULL,
	    "there is nothing to look at");
	is_integer(access(file_of(path), F_OK), -1, "nor is there now");
	stats = stats_open(path);
	stats_add(stats, STATS_REPLAYED, 5);
	other = stats_look(path);
	is_integer(stats_get(other, STATS_REPLAYED), 5, "a number is read");
	stats_add(other, STATS_REPLAYED, 1);
	is_integer(stats_get(stats, STATS_REPLAYED), 5, "and not changed");
	stats_free(other);
	stats_free(stats);
	size = size_of(file_of(path));
	if (truncate(file_of(path), size - 1) != 0)
		abort();
	ok(stats_look(path) == NULL, "one that is cut is not read");
	is_integer(size_of(file_of(path)), size - 1, "and does not grow");
}

/* Processes that have a deleted file open go on with a new one, together. */
static void
test_deleted(void)
{
	char path[PATH_MAX];
	struct stats * stats = stats_open(temporary_path(path, "deleted"));
	struct stats * other = stats_open(path);
	struct stats * third;

	stats_add(stats, STATS_REPLAYED, 5);
	stats_renew(stats);
	is_integer(stats_get(other, STATS_REPLAYED), 5, "it is there");
	if (unlink(file_of(path)) != 0)
		abort();
	third = stats_open(path);
	stats_renew(stats);
	stats_renew(other);
	stats_renew(NULL);
	stats_add(stats, STATS_REPLAYED, 1);
	stats_add(other, STATS_REPLAYED, 1);
	is_integer(stats_get(third, STATS_REPLAYED), 2,
	    "all of them add to the new file");
	is_integer(log_lines(), 1, "and the log says why");
	stats_free(third);
	stats_free(other);
	stats_free(stats);
}

static void
test_foreign(void)
{
	char path[PATH_MAX], name[PATH_MAX];
	struct stats * stats = stats_open(temporary_path(path, "long"));
	off_t size = size_of(file_of(path));

	stats_free(stats);
	if (truncate(file_of(path), size + 1) != 0)
		abort();
	is_private(path, "a longer file");
	is_integer(size_of(file_of(path)), size + 1, "it is left alone");
	temporary_path(path, "fifo");
	if (mkfifo(file_of(path), 0600) != 0)
		abort();
	is_private(path, "a FIFO");
	temporary_path(path, "directory");
	if (mkdir(file_of(path), 0700) != 0)
		abort();
	is_private(path, "a directory");
	temporary_path(path, "link");
	if (symlink(temporary_path(name, "anything"), file_of(path)) != 0)
		abort();
	is_private(path, "a symbolic link");
}

static void
test_unusable(void)
{
	char path[PATH_MAX];
	static char longest[PATH_MAX + 10];

	is_private(temporary_path(path, "missing/stats"), "no directory");
	ok(strstr(logged, path) != NULL &&
	    strstr(logged, "No such file or directory") != NULL,
	    "no directory: the line says so, got %s", logged);
	memset(longest, 'x', sizeof(longest) - 1);
	is_private(longest, "a name that is too long");
	if (geteuid() == 0)
		return;
	temporary_path(path, "closed");
	temporary_write(file_of(path), "", 0);
	chmod(file_of(path), 0400);
	is_private(path, "a file that may not be written");
}

/* A disk that is full: here, no file may grow beyond this. */
static void
test_disk(void)
{
	struct rlimit limit;
	char path[PATH_MAX];
	struct stats * stats = stats_open(temporary_path(path, "room"));
	off_t size = size_of(file_of(path));

	stats_free(stats);
	temporary_path(path, "full");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = (rlim_t)size - 1;
	setrlimit(RLIMIT_FSIZE, &limit);
	is_private(path, "a disk that is full");
	ok(size_of(file_of(path)) < size, "no file is taken for a whole one");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	is_shared(path, size, 0, "a file for which there is room again");
}

#define STARTERS 8
#define ROUNDS 40

/* All find the same file, though none was there, or a short one. */
static void
test_race(void)
{
	char path[PATH_MAX];
	size_t wrong = 0;
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		struct stats * stats;
		pid_t children[STARTERS];
		int start[2];

		temporary_path(path, "race");
		if (round % 2 == 0)
			unlink(file_of(path));
		else if (truncate(file_of(path), 0) != 0)
			abort();
		if (pipe(start) != 0)
			abort();
		for (i = 0; i < STARTERS; i++)
			if ((children[i] = fork()) == 0) {
				char byte;

				close(start[1]);
				if (read(start[0], &byte, 1) != 0)
					_exit(1);
				stats = stats_open(path);
				stats_add(stats, STATS_REPLAYED, 1);
				_exit(0);
			}
		close(start[0]);
		close(start[1]);
		for (i = 0; i < STARTERS; i++)
			wait_for(children[i]);
		stats = stats_open(path);
		wrong += stats_get(stats, STATS_REPLAYED) != STARTERS;
		stats_free(stats);
	}
	is_integer(wrong, 0, "processes that start at once share one file");
	is_integer(log_lines(), 0, "which is nothing for the log");
}

/* The text */

/* Each counter I has the value 1000 + I. */
static const char counters_text[] =
    "# HELP flagtally_requests_total Requests to report metrics, by the "
    "status of the response.\n"
    "# TYPE flagtally_requests_total counter\n"
    "flagtally_requests_total{code=\"200\"} 1000\n"
    "flagtally_requests_total{code=\"202\"} 1001\n"
    "flagtally_requests_total{code=\"204\"} 1002\n"
    "flagtally_requests_total{code=\"400\"} 1003\n"
    "flagtally_requests_total{code=\"403\"} 1004\n"
    "flagtally_requests_total{code=\"404\"} 1005\n"
    "flagtally_requests_total{code=\"405\"} 1006\n"
    "flagtally_requests_total{code=\"413\"} 1007\n"
    "flagtally_requests_total{code=\"415\"} 1008\n"
    "flagtally_requests_total{code=\"503\"} 1009\n"
    "# HELP flagtally_rejected_total Requests rejected for exceeding a "
    "limit, by the limit.\n"
    "# TYPE flagtally_rejected_total counter\n"
    "flagtally_rejected_total{limit=\"cgi_params\"} 1010\n"
    "flagtally_rejected_total{limit=\"body\"} 1011\n"
    "flagtally_rejected_total{limit=\"inflated\"} 1012\n"
    "flagtally_rejected_total{limit=\"ratio\"} 1013\n"
    "flagtally_rejected_total{limit=\"memory\"} 1014\n"
    "flagtally_rejected_total{limit=\"counters\"} 1015\n"
    "flagtally_rejected_total{limit=\"depth\"} 1016\n"
    "flagtally_rejected_total{limit=\"name\"} 1017\n"
    "flagtally_rejected_total{limit=\"time\"} 1018\n"
    "# HELP flagtally_request_body_bytes_total Bytes of request bodies, as "
    "received.\n"
    "# TYPE flagtally_request_body_bytes_total counter\n"
    "flagtally_request_body_bytes_total 1019\n"
    "# HELP flagtally_counters_applied_total Counters of the groups that "
    "Redis has applied.\n"
    "# TYPE flagtally_counters_applied_total counter\n"
    "flagtally_counters_applied_total 1020\n"
    "# HELP flagtally_dropped_total Parts of valid bodies that were "
    "left out, by the reason.\n"
    "# TYPE flagtally_dropped_total counter\n"
    "flagtally_dropped_total{reason=\"environment\"} 1021\n"
    "flagtally_dropped_total{reason=\"name\"} 1022\n"
    "flagtally_dropped_total{reason=\"null\"} 1023\n"
    "flagtally_dropped_total{reason=\"invalid\"} 1024\n"
    "flagtally_dropped_total{reason=\"type\"} 1025\n"
    "flagtally_dropped_total{reason=\"overflow\"} 1026\n"
    "flagtally_dropped_total{reason=\"labels\"} 1027\n"
    "flagtally_dropped_total{reason=\"strategies\"} 1028\n"
    "flagtally_dropped_total{reason=\"projects\"} 1029\n"
    "flagtally_dropped_total{reason=\"connect_via\"} 1030\n"
    "flagtally_dropped_total{reason=\"tokens\"} 1031\n"
    "flagtally_dropped_total{reason=\"registrations\"} 1032\n"
    "flagtally_dropped_total{reason=\"features\"} 1033\n"
    "flagtally_dropped_total{reason=\"variants\"} 1034\n"
    "flagtally_dropped_total{reason=\"out_of_range_buckets\"} 1035\n"
    "flagtally_dropped_total{reason=\"applications\"} 1036\n"
    "flagtally_dropped_total{reason=\"environments\"} 1037\n"
    "flagtally_dropped_total{reason=\"instances\"} 1038\n"
    "flagtally_dropped_total{reason=\"series\"} 1039\n"
    "flagtally_dropped_total{reason=\"seen_tokens\"} 1040\n"
    "flagtally_dropped_total{reason=\"edges\"} 1041\n"
    "# HELP flagtally_redis_errors_total Failures of Redis: connection lost "
    "or failed, no reply in time, rejected permanently, a transient "
    "error, scripts lost.\n"
    "# TYPE flagtally_redis_errors_total counter\n"
    "flagtally_redis_errors_total{kind=\"connection\"} 1042\n"
    "flagtally_redis_errors_total{kind=\"timeout\"} 1043\n"
    "flagtally_redis_errors_total{kind=\"refused\"} 1044\n"
    "flagtally_redis_errors_total{kind=\"transient\"} 1045\n"
    "flagtally_redis_errors_total{kind=\"script\"} 1046\n"
    "# HELP flagtally_spooled_total Added to the spool: groups that were not "
    "sent, calls that Redis may have applied, calls that it rejected.\n"
    "# TYPE flagtally_spooled_total counter\n"
    "flagtally_spooled_total{state=\"queued\"} 1047\n"
    "flagtally_spooled_total{state=\"in-doubt\"} 1048\n"
    "flagtally_spooled_total{state=\"quarantined\"} 1049\n"
    "# HELP flagtally_replayed_total Calls of the spool that Redis has "
    "settled.\n"
    "# TYPE flagtally_replayed_total counter\n"
    "flagtally_replayed_total 1050\n"
    "# HELP flagtally_token_lookups_total Lookups for token_set, by the "
    "source of the result: cache, Redis, cache while Redis is away, "
    "none.\n"
    "# TYPE flagtally_token_lookups_total counter\n"
    "flagtally_token_lookups_total{result=\"cached\"} 1051\n"
    "flagtally_token_lookups_total{result=\"asked\"} 1052\n"
    "flagtally_token_lookups_total{result=\"stale\"} 1053\n"
    "flagtally_token_lookups_total{result=\"failed\"} 1054\n"
    "# HELP flagtally_repeated_total Bodies accepted but not counted, because "
    "they were counted before.\n"
    "# TYPE flagtally_repeated_total counter\n"
    "flagtally_repeated_total 1055\n"
    "# HELP flagtally_abandoned_total Bodies not counted because the web "
    "server had closed the connection.\n"
    "# TYPE flagtally_abandoned_total counter\n"
    "flagtally_abandoned_total 1056\n"
    "# HELP flagtally_redis_up 1 unless Redis failed, or took no calls, when "
    "it was last used.\n"
    "# TYPE flagtally_redis_up gauge\n"
    "flagtally_redis_up 0\n"
    "# HELP flagtally_redis_last_success_timestamp_seconds When Redis last "
    "took counts, 0 if never.\n"
    "# TYPE flagtally_redis_last_success_timestamp_seconds gauge\n"
    "flagtally_redis_last_success_timestamp_seconds 1795426200.05\n"
    "# HELP flagtally_spool_up 1 unless the spool stored nothing when it was "
    "last used.\n"
    "# TYPE flagtally_spool_up gauge\n"
    "flagtally_spool_up 1\n";

/* On, below and above bounds: see observe_all. */
static const char histograms_text[] =
    "# HELP flagtally_parse_seconds Time to receive, parse and tally a "
    "body.\n"
    "# TYPE flagtally_parse_seconds histogram\n"
    "flagtally_parse_seconds_bucket{le=\"0.0001\"} 3\n"
    "flagtally_parse_seconds_bucket{le=\"0.00025\"} 4\n"
    "flagtally_parse_seconds_bucket{le=\"0.0005\"} 4\n"
    "flagtally_parse_seconds_bucket{le=\"0.001\"} 4\n"
    "flagtally_parse_seconds_bucket{le=\"0.0025\"} 5\n"
    "flagtally_parse_seconds_bucket{le=\"0.005\"} 5\n"
    "flagtally_parse_seconds_bucket{le=\"0.01\"} 5\n"
    "flagtally_parse_seconds_bucket{le=\"0.025\"} 5\n"
    "flagtally_parse_seconds_bucket{le=\"0.05\"} 5\n"
    "flagtally_parse_seconds_bucket{le=\"0.1\"} 5\n"
    "flagtally_parse_seconds_bucket{le=\"0.25\"} 5\n"
    "flagtally_parse_seconds_bucket{le=\"0.5\"} 5\n"
    "flagtally_parse_seconds_bucket{le=\"1\"} 5\n"
    "flagtally_parse_seconds_bucket{le=\"2.5\"} 6\n"
    "flagtally_parse_seconds_bucket{le=\"10\"} 6\n"
    "flagtally_parse_seconds_bucket{le=\"30\"} 7\n"
    "flagtally_parse_seconds_bucket{le=\"+Inf\"} 9\n"
    "flagtally_parse_seconds_sum 1031.001712\n"
    "flagtally_parse_seconds_count 9\n"
    "# HELP flagtally_commit_seconds Time to make a group durable.\n"
    "# TYPE flagtally_commit_seconds histogram\n"
    "flagtally_commit_seconds_bucket{le=\"0.00025\"} 0\n"
    "flagtally_commit_seconds_bucket{le=\"0.0005\"} 0\n"
    "flagtally_commit_seconds_bucket{le=\"0.001\"} 0\n"
    "flagtally_commit_seconds_bucket{le=\"0.0025\"} 0\n"
    "flagtally_commit_seconds_bucket{le=\"0.005\"} 1\n"
    "flagtally_commit_seconds_bucket{le=\"0.01\"} 1\n"
    "flagtally_commit_seconds_bucket{le=\"0.025\"} 1\n"
    "flagtally_commit_seconds_bucket{le=\"0.05\"} 1\n"
    "flagtally_commit_seconds_bucket{le=\"0.1\"} 1\n"
    "flagtally_commit_seconds_bucket{le=\"0.25\"} 1\n"
    "flagtally_commit_seconds_bucket{le=\"0.5\"} 1\n"
    "flagtally_commit_seconds_bucket{le=\"1\"} 1\n"
    "flagtally_commit_seconds_bucket{le=\"1.5\"} 1\n"
    "flagtally_commit_seconds_bucket{le=\"2\"} 2\n"
    "flagtally_commit_seconds_bucket{le=\"+Inf\"} 3\n"
    "flagtally_commit_seconds_sum 4.005\n"
    "flagtally_commit_seconds_count 3\n"
    "# HELP flagtally_group_requests Requests that were committed as one "
    "group.\n"
    "# TYPE flagtally_group_requests histogram\n"
    "flagtally_group_requests_bucket{le=\"1\"} 1\n"
    "flagtally_group_requests_bucket{le=\"2\"} 2\n"
    "flagtally_group_requests_bucket{le=\"5\"} 3\n"
    "flagtally_group_requests_bucket{le=\"10\"} 3\n"
    "flagtally_group_requests_bucket{le=\"20\"} 3\n"
    "flagtally_group_requests_bucket{le=\"50\"} 3\n"
    "flagtally_group_requests_bucket{le=\"100\"} 3\n"
    "flagtally_group_requests_bucket{le=\"200\"} 3\n"
    "flagtally_group_requests_bucket{le=\"500\"} 3\n"
    "flagtally_group_requests_bucket{le=\"1000\"} 4\n"
    "flagtally_group_requests_bucket{le=\"+Inf\"} 5\n"
    "flagtally_group_requests_sum 2007\n"
    "flagtally_group_requests_count 5\n";

static void
observe_all(struct stats * stats)
{
	static const struct {
		enum stats_histogram histogram;
		uint64_t value;
	} rows[] = {
		{ STATS_PARSE_TIME, 0 }, { STATS_PARSE_TIME, 99 },
		{ STATS_PARSE_TIME, 100 }, { STATS_PARSE_TIME, 101 },
		{ STATS_PARSE_TIME, 1411 }, { STATS_PARSE_TIME, 1000001 },
		{ STATS_PARSE_TIME, 30000000 },
		{ STATS_PARSE_TIME, 30000001 },
		{ STATS_PARSE_TIME, 969999999 },
		{ STATS_COMMIT_TIME, 4999 }, { STATS_COMMIT_TIME, 2000000 },
		{ STATS_COMMIT_TIME, 2000001 },
		{ STATS_GROUP_REQUESTS, 1 }, { STATS_GROUP_REQUESTS, 2 },
		{ STATS_GROUP_REQUESTS, 3 }, { STATS_GROUP_REQUESTS, 1000 },
		{ STATS_GROUP_REQUESTS, 1001 },
	};
	size_t i;

	for (i = 0; i < COUNT_OF(rows); i++)
		stats_observe(stats, rows[i].histogram, rows[i].value);
}

/* Compare two texts line by line. */
static void
are_lines(char * got, const char * first, const char * second)
{
	size_t size = strlen(first) + strlen(second) + 1;
	char * wanted = malloc(size);
	char * line, * rest, * got_rest;

	if (wanted == NULL)
		abort();
	snprintf(wanted, size, "%s%s", first, second);
	is_integer(strlen(got), strlen(wanted), "the length of the text");
	got = strtok_r(got, "\n", &got_rest);
	for (line = strtok_r(wanted, "\n", &rest); line != NULL;
	    line = strtok_r(NULL, "\n", &rest)) {
		is_text(got, line, "line %s", line);
		got = got == NULL ? NULL : strtok_r(NULL, "\n", &got_rest);
	}
	is_text(got, NULL, "no further line");
	free(wanted);
}

static void
test_text(void)
{
	struct stats * stats = stats_open(NULL);
	struct buffer text = { NULL, 0, 0 };
	size_t i;

	for (i = 0; i < STATS_COUNTER_COUNT; i++)
		stats_add(stats, (enum stats_counter)i, 1000 + i);
	stats_set(stats, STATS_REDIS_DOWN, 1);
	stats_set(stats, STATS_REDIS_LAST_SUCCESS, 1795426200050);
	observe_all(stats);
	buffer_append(&text, "before\n", 7);
	stats_write(stats, &text);
	buffer_append(&text, "", 1);
	is_bytes(text.bytes, 7, "before\n", 7, "the text is appended");
	are_lines(text.bytes + 7, counters_text, histograms_text);
	buffer_free(&text);
	stats_free(stats);
}

/* What a parser finds in a text. */
struct parsed {
	const char * seen[200];		/* Names of metrics, and samples. */
	size_t count;
	size_t metrics;
	char name[100];			/* The metric at hand. */
	char type[20];
};

static bool
is_new(struct parsed * parsed, const char * text)
{
	size_t i;

	for (i = 0; i < parsed->count; i++)
		if (strcmp(parsed->seen[i], text) == 0)
			return (false);
	if (parsed->count == COUNT_OF(parsed->seen))
		return (false);
	parsed->seen[parsed->count++] = text;
	return (true);
}

/* Return whether a sample belongs to the metric at hand. */
static bool
belongs(const struct parsed * parsed, const char * sample)
{
	size_t length = strlen(parsed->name);
	bool counts = length > 6 &&
	    strcmp(parsed->name + length - 6, "_total") == 0;

	if (strncmp(sample, parsed->name, length) != 0)
		return (false);
	sample += length;
	if (strcmp(parsed->type, "histogram") == 0)
		return (strncmp(sample, "_bucket{le=\"", 12) == 0 ||
		    strcmp(sample, "_sum") == 0 ||
		    strcmp(sample, "_count") == 0);
	return ((*sample == '\0' || *sample == '{') &&
	    counts == (strcmp(parsed->type, "counter") == 0));
}

/* Return whether a line may stand where it does. */
static bool
parse_line(struct parsed * parsed, char * line)
{
	char * end;

	if (strncmp(line, "# HELP ", 7) == 0) {
		end = strchr(line + 7, ' ');
		if (end == NULL || end[1] == '\0')
			return (false);
		*end = '\0';
		snprintf(parsed->name, sizeof(parsed->name), "%s", line + 7);
		parsed->type[0] = '\0';
		parsed->metrics++;
		return (is_new(parsed, line));
	}
	if (strncmp(line, "# TYPE ", 7) == 0) {
		end = strchr(line + 7, ' ');
		if (end == NULL || parsed->type[0] != '\0')
			return (false);
		*end = '\0';
		snprintf(parsed->type, sizeof(parsed->type), "%s", end + 1);
		return (strcmp(line + 7, parsed->name) == 0 &&
		    is_new(parsed, line));
	}
	end = strrchr(line, ' ');
	if (end == NULL || parsed->type[0] == '\0' ||
	    end[1 + strspn(end + 1, "0123456789.")] != '\0')
		return (false);
	*end = '\0';
	return (belongs(parsed, line) && is_new(parsed, line));
}

static void
test_form(void)
{
	static struct parsed parsed;
	struct stats * stats = stats_open(NULL);
	struct buffer text = { NULL, 0, 0 };
	char * line, * rest;
	size_t wrong = 0;

	observe_all(stats);
	stats_write(stats, &text);
	is_integer(text.bytes[text.length - 1], '\n', "the last line ends");
	buffer_append(&text, "", 1);
	for (line = strtok_r(text.bytes, "\n", &rest); line != NULL;
	    line = strtok_r(NULL, "\n", &rest))
		if (!parse_line(&parsed, line) && wrong++ == 0)
			ok(false, "the line is right: %s", line);
	is_integer(wrong, 0, "each metric has HELP and TYPE once, and then "
	    "its samples, each of them once");
	is_integer(parsed.metrics, 17, "the metrics");
	buffer_free(&text);
	stats_free(stats);
}

static void
test_samples(void)
{
	static const struct {
		const char * label, * value;
		uint64_t number;
		unsigned int decimals;
		const char * wanted;
	} rows[] = {
		{ NULL, NULL, 0, 0, "n 0\n" },
		{ NULL, NULL, 0, 6, "n 0\n" },
		{ NULL, NULL, 1, 6, "n 0.000001\n" },
		{ NULL, NULL, 10, 6, "n 0.00001\n" },
		{ NULL, NULL, 100000, 6, "n 0.1\n" },
		{ NULL, NULL, 1000000, 6, "n 1\n" },
		{ NULL, NULL, 1000001, 6, "n 1.000001\n" },
		{ NULL, NULL, 120000000, 6, "n 120\n" },
		{ NULL, NULL, 100, 0, "n 100\n" },
		{ NULL, NULL, UINT64_MAX, 0, "n 18446744073709551615\n" },
		{ NULL, NULL, UINT64_MAX, 6, "n 18446744073709.551615\n" },
		{ NULL, NULL, UINT64_MAX, 9, "n 18446744073.709551615\n" },
		{ "a", "", 1, 0, "n{a=\"\"} 1\n" },
		{ "a", "b c", 1, 0, "n{a=\"b c\"} 1\n" },
		{ "a", "\"", 1, 0, "n{a=\"\\\"\"} 1\n" },
		{ "a", "\\", 1, 0, "n{a=\"\\\\\"} 1\n" },
		{ "a", "\n", 1, 0, "n{a=\"\\n\"} 1\n" },
		{ "a", "x\\n\"\n\\", 12, 1,
		  "n{a=\"x\\\\n\\\"\\n\\\\\"} 1.2\n" },
		{ "a", "\xc3\xa9\t}", 1, 0, "n{a=\"\xc3\xa9\t}\"} 1\n" },
	};
	struct buffer text = { NULL, 0, 0 };
	size_t i;

	for (i = 0; i < COUNT_OF(rows); i++) {
		buffer_clear(&text);
		stats_write_sample(&text, "n", rows[i].label, rows[i].value,
		    rows[i].number, rows[i].decimals);
		is_bytes(text.bytes, text.length, rows[i].wanted,
		    strlen(rows[i].wanted), "sample %s", rows[i].wanted);
	}
	buffer_clear(&text);
	stats_write_metric(&text, "n", "gauge", "What it is.");
	is_bytes(text.bytes, text.length,
	    "# HELP n What it is.\n# TYPE n gauge\n", 36, "a metric's head");
	buffer_free(&text);
}

int
main(void)
{

	if (digest_init() != 0)
		abort();
	temporary_create();
	temporary_catch_errors();
	test_null();
	test_private();
	test_answered();
	test_dropped();
	test_redis();
	test_two_processes();
	test_kill();
	test_new_file();
	test_short();
	cannot_allocate = true;
	test_short();
	cannot_allocate = false;
	test_look();
	test_deleted();
	test_foreign();
	test_unusable();
	test_disk();
	test_race();
	test_text();
	test_form();
	test_samples();
	return (tap_done());
}
