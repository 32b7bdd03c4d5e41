#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/log.h"
#include "lib/base/log_output.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

static char written[16384];

/* What the log's line begins with. */
static const char *
line_start(const char * level)
{
	static char start[80];

	snprintf(start, sizeof(start), "flagtally[%ld]: %s: ", (long)getpid(),
	    level);
	return (start);
}

static void
is_line(const char * level, const char * text, const char * name)
{
	char wanted[4096];

	snprintf(wanted, sizeof(wanted), "%s%s\n", line_start(level), text);
	temporary_errors(written, sizeof(written));
	is_text(written, wanted, "%s", name);
}

static void
test_levels(void)
{
	static const char * const names[] = {
		"error", "warning", "info", "debug",
	};
	char wanted[1000];
	size_t level, i, used;

	for (level = 0; level <= 4; level++) {
		/* At first as it is from the start: info. */
		size_t in_force = level == 0 ? LOG_LEVEL_INFO : level - 1;

		if (level > 0)
			log_set_level((enum log_level)in_force);
		log_error("text %d", 1);
		log_warning("text %d", 1);
		log_info("text %d", 1);
		log_debug("text %d", 1);
		for (used = 0, i = 0; i <= in_force; i++)
			used += (size_t)snprintf(wanted + used,
			    sizeof(wanted) - used, "%stext 1\n",
			    line_start(names[i]));
		temporary_errors(written, sizeof(written));
		is_text(written, wanted, "the lines of level %s",
		    names[in_force]);
	}
}

static void
test_escapes(void)
{
	static const struct {
		const char * text;
		const char * wanted;
	} rows[] = {
		{ "", "" },
		{ " !~", " !~" },
		{ "a\nflagtally[1]: error: forged",
		  "a\\x0aflagtally[1]: error: forged" },
		{ "\r\t\x01\x1f\x7f", "\\x0d\\x09\\x01\\x1f\\x7f" },
		{ "\x1b[2J", "\\x1b[2J" },
		{ "\x80\xff", "\\x80\\xff" },
		{ "caf\xc3\xa9", "caf\\xc3\\xa9" },
		{ "%s%n", "%s%n" },
		/* nobody can tell an escape from one that was sent otherwise */
		{ "\\x0a", "\\\\x0a" }, { "\\", "\\\\" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		log_error("%s", rows[i].text);
		is_line("error", rows[i].wanted, "what is not printable");
	}
}

static void
test_lengths(void)
{
	static const struct {
		size_t length;
		bool whole;
	} rows[] = {
		{ 1, true }, { 100, true }, { 900, true }, { 1000, true },
		{ 1100, true }, { 1500, true }, { 1990, true },
		{ 2048, false }, { 2100, false }, { 10000, false },
	};
	static char text[10001];
	size_t i, length;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t start = strlen(line_start("info"));

		memset(text, 'x', rows[i].length);
		text[rows[i].length] = '\0';
		log_info("%s", text);
		length = temporary_errors(written, sizeof(written));
		ok(length <= 2048 && written[length - 1] == '\n' &&
		    strchr(written, '\n') == written + length - 1,
		    "a text of %zu bytes is one line of up to 2 KiB",
		    rows[i].length);
		if (rows[i].whole)
			is_integer(length, start + rows[i].length + 1,
			    "a text of %zu bytes is not cut", rows[i].length);
		else
			ok(length > 2000, "a text of %zu bytes is cut at "
			    "2 KiB, got %zu", rows[i].length, length);
	}
}

static void
test_long_escapes(void)
{
	static char text[5001];
	size_t length, before, wrong = 0;

	for (before = 0; before < 8; before++) {
		memset(text, '\n', sizeof(text) - 1);
		memset(text, 'x', before);
		log_error("%s", text);
		length = temporary_errors(written, sizeof(written));
		wrong += length > 2048 || length < 2000 ||
		    memcmp(written + length - 5, "\\x0a\n", 5) != 0;
	}
	is_integer(wrong, 0, "no escape is cut in two");
}

static void
test_limit(void)
{
	struct log_limit limit = { 0 };
	uint64_t suppressed = 77;
	int i;

	ok(log_allowed(&limit, &suppressed), "the first line comes");
	is_integer(suppressed, 0, "nothing was suppressed before");
	for (i = 0; i < 5; i++)
		ok(!log_allowed(&limit, &suppressed),
		    "the next ones do not");
	limit.next = 0;
	ok(log_allowed(&limit, &suppressed),
	    "a line comes again when its time has come");
	is_integer(suppressed, 5, "and tells how many did not");
	ok(!log_allowed(&limit, &suppressed), "but no other");
	limit.next = 0;
	ok(log_allowed(&limit, &suppressed), "a third one comes");
	is_integer(suppressed, 1, "and tells of those since the second");
}

static void
log_same(struct log_limit * limit, const char * reason)
{

	log_limited(limit, LOG_LEVEL_WARNING, "broken: %s", reason);
}

/* Lines under a limit, and the one that says that the trouble is over. */
static void
test_limited(void)
{
	static struct log_limit limit;
	char text[2200];
	int i;

	log_set_level(LOG_LEVEL_ERROR);
	log_same(&limit, "nobody");
	ok(!log_ended(&limit), "what was not logged does not end");
	log_set_level(LOG_LEVEL_INFO);
	log_same(&limit, "one");
	is_line("warning", "broken: one", "the first line has no number");
	for (i = 0; i < 3; i++)
		log_same(&limit, "two");
	is_integer(temporary_errors(written, sizeof(written)), 0,
	    "the next ones are suppressed");
	ok(log_ended(&limit) && !log_ended(&limit), "it ends once");
	limit.next = 0;
	log_same(&limit, "three");
	is_line("warning", "broken: three (3 more like it since the last such "
	    "line)", "the next line has their number");
	log_same(&limit, "four");
	log_renew();
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_same(&limit, text);
	ok(temporary_errors(written, sizeof(written)) <= 2048 && strstr(written,
	    "xxx") != NULL, "a long line is cut");
	for (i = 0; i < 5; i++)
		log_error_limited("in a loop");
	is_line("error", "in a loop", "a place in the source has its limit");
}

/* Lines as the journal wants them. */
static void
test_journal(void)
{
	static const struct {
		const char * stream, * process, * priority;
		bool named;
	} rows[] = {
		{ "1:2", "own", "", true },
		{ "own", NULL, "<4>", true },
		{ "own", "1", "<4>", true },
		{ "own", "own", "<4>", false },
		{ "", "", "", true },
	};
	char own[64], number[32], wanted[200];
	struct stat file;
	size_t i;

	fstat(STDERR_FILENO, &file);
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)file.st_dev,
	    (uintmax_t)file.st_ino);
	snprintf(number, sizeof(number), "%ld", (long)getpid());
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char * process = rows[i].process;

		setenv("JOURNAL_STREAM", strcmp(rows[i].stream, "own") == 0 ?
		    own : rows[i].stream, 1);
		unsetenv("SYSTEMD_EXEC_PID");
		if (process != NULL)
			setenv("SYSTEMD_EXEC_PID", strcmp(process, "own") == 0 ?
			    number : process, 1);
		log_start();
		log_warning("text\nmore");
		snprintf(wanted, sizeof(wanted), "%s%stext\\x0amore\n",
		    rows[i].priority, rows[i].named ? line_start("warning") :
		    "");
		temporary_errors(written, sizeof(written));
		is_text(written, wanted, "with JOURNAL_STREAM=%s and "
		    "SYSTEMD_EXEC_PID=%s", rows[i].stream,
		    process == NULL ? "unset" : process);
	}
}

#define THREADS 8
#define CALLS 1000

static struct log_limit shared;
static _Atomic int allowed;

static void *
call_often(void * context)
{
	uint64_t suppressed;
	int i;

	(void)context;
	for (i = 0; i < CALLS; i++)
		if (log_allowed(&shared, &suppressed))
			allowed++;
	return (NULL);
}

static void
test_limit_threads(void)
{
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, call_often, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	is_integer(allowed, 1, "of all threads' lines one comes");
	is_integer(shared.suppressed, THREADS * CALLS - 1,
	    "and all others are counted");
}

static void *
log_often(void * context)
{
	int i;

	for (i = 0; i < 50; i++)
		log_error("%s", (const char *)context);
	return (NULL);
}

/* Lines of threads do not mix. */
static void
test_threads(void)
{
	static char big[60000];
	pthread_t threads[3];
	static char a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static char b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbb";
	static char c[] = "cccccccccccccccccccccccccccc";
	char * texts[] = { a, b, c };
	char wanted[100];
	char * line, * rest;
	int i, lines = 0;

	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, log_often, texts[i]);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	temporary_errors(big, sizeof(big));
	for (line = strtok_r(big, "\n", &rest); line != NULL;
	    line = strtok_r(NULL, "\n", &rest))
		for (i = 0; i < 3; i++) {
			snprintf(wanted, sizeof(wanted), "%s%s",
			    line_start("error"), texts[i]);
			lines += strcmp(line, wanted) == 0;
		}
	is_integer(lines, 150, "threads write whole lines");
}

static void
test_no_stderr(void)
{
	int kept = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	log_error("nobody reads this");
	dup2(kept, STDERR_FILENO);
	close(kept);
	log_report_lost();
	is_line("warning", "lines that are lost because the log could not be "
	    "written: 1", "a log that could not be written says so later");
	log_error("this is read");
	is_line("error", "this is read", "but once");
}

#define LINES_MANY 5000

/* Read what there is, without waiting; return how many whole lines. */
static size_t
read_lines(int descriptor, char last[8192])
{
	char bytes[8192];
	size_t lines = 0, used = 0;
	ssize_t count, i;

	while ((count = recv(descriptor, bytes, sizeof(bytes),
	    MSG_DONTWAIT)) > 0 || (count == -1 && errno == ENOTSOCK &&
	    (count = read(descriptor, bytes, sizeof(bytes))) > 0))
		for (i = 0; i < count; i++) {
			last[used < 8191 ? used++ : used] = bytes[i];
			last[used] = '\0';
			if (bytes[i] != '\n')
				continue;
			lines += strstr(last, ": a line\n") != NULL;
			used = 0;
		}
	return (lines);
}

/* Nothing reads the log until many lines have been written. */
static int
write_unread(const int ends[2], bool start)
{
	char last[8192] = "";
	char wanted[100];
	size_t lines;
	int i;

	/* It would wait for ever. */
	alarm(20);
	dup2(ends[1], STDERR_FILENO);
	if (start)
		log_output_start();
	for (i = 0; i < LINES_MANY; i++)
		log_error("a line");
	lines = read_lines(ends[0], last);
	if (lines == 0 || lines >= LINES_MANY)
		return (1);
	log_report_lost();
	read_lines(ends[0], last);
	snprintf(wanted, sizeof(wanted), "could not be written: %zu\n",
	    LINES_MANY - lines);
	if (strstr(last, wanted) == NULL)
		return (2);
	log_report_lost();
	log_error("a line");
	return (read_lines(ends[0], last) == 1 ? 0 : 3);
}

static void
test_unread(bool socket, bool start)
{
	int ends[2];
	int status = -1;
	pid_t child;

	if (socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 :
	    pipe(ends) != 0)
		abort();
	if (!socket)
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
	child = fork();
	if (child == 0)
		_exit(write_unread(ends, start));
	waitpid(child, &status, 0);
	is_integer(status, 0, "nothing reads the log, which is a %s%s: no line "
	    "waits, and those that are lost are counted", socket ? "socket" :
	    "pipe", start ? "" : " of another user");
	is_integer(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0,
	    "others that share it are not affected");
	close(ends[0]);
	close(ends[1]);
}

int
main(void)
{

	temporary_create();
	temporary_catch_errors();
	test_levels();
	test_escapes();
	test_lengths();
	test_long_escapes();
	test_limit();
	test_limited();
	test_limit_threads();
	test_threads();
	test_no_stderr();
	test_unread(false, true);
	test_unread(false, false);
	test_unread(true, true);
	test_journal();
	return (tap_done());
}
