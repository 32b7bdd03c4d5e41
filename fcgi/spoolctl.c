#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fcgi/spoolctl.h"
#include "lib/base/alloc.h"
#include "lib/base/escape.h"
#include "lib/commit/replay.h"

/* Say something that has a text from outside in it. */
static void
complain(const char * before, const char * text, const char * behind)
{

	fputs(before, stderr);
	escape_print(stderr, text);
	fputs(behind, stderr);
}

/*
 * What root makes in a spool its owner could not use; so become the owner.
 * Where systemd has made the owner up, none but root may pass through the
 * directory above, and we keep the right to do that, and to read.
 */
static bool
become_owner(const struct stat * file)
{
	struct __user_cap_header_struct header = {
	    .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct rights[2] = { { .effective = 0 } };

	rights[0].effective = rights[0].permitted =
	    1U << CAP_DAC_READ_SEARCH;
	return (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
	    setgroups(0, NULL) == 0 && setgid(file->st_gid) == 0 &&
	    setuid(file->st_uid) == 0 &&
	    (syscall(SYS_capset, &header, rights) == 0 || errno == EPERM));
}

int
spoolctl_ready(const char * path)
{
	struct stat file;

	if (path[0] == '\0') {
		fputs("flagtally: there is no spool: spool is empty in the "
		    "configuration\n", stderr);
		return (SPOOLCTL_FAILED);
	}
	if (stat(path, &file) != 0) {
		int error = errno;

		complain("flagtally: ", path, error == ENOENT ?
		    ": there is no spool yet, and nothing waits" : ": ");
		complain("", error == ENOENT ? "" : strerror(error), "\n");
		return (error == ENOENT ? 0 : SPOOLCTL_FAILED);
	}
	if (geteuid() == 0 && file.st_uid != 0 && !become_owner(&file)) {
		int error = errno;

		complain("flagtally: ", path, " belongs to the user with the ");
		fprintf(stderr, "id %ju, whom we cannot become: %s\n",
		    (uintmax_t)file.st_uid, strerror(error));
		return (SPOOLCTL_FAILED);
	}
	return (-1);
}

/* Replay */

static void
show_progress(void * context, uint64_t replayed, uint64_t waiting)
{

	(void)context;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%" PRIu64 " records replayed, %" PRIu64
		    " wait ", replayed, waiting);
}

int
spoolctl_replay(struct sink * sink, struct spool * spool, struct stats * stats)
{
	enum replay_result result = replay_all(sink, spool, stats,
	    show_progress, NULL);

	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
	switch (result) {
	case REPLAY_DONE:
		return (0);
	case REPLAY_BUSY:
		fputs("flagtally: another process replays\n", stderr);
		return (SPOOLCTL_LATER);
	case REPLAY_NO_REDIS:
		complain("flagtally: Redis does not take it: ",
		    sink_reason(sink), "\n");
		return (SPOOLCTL_LATER);
	case REPLAY_NO_SPOOL:
		break;
	}
	fputs("flagtally: the spool cannot be used\n", stderr);
	return (SPOOLCTL_FAILED);
}

/* Lists */

static const char * const kinds[] = {
	[SPOOL_TALLY] = "waits", [SPOOL_CALLS] = "sent", [SPOOL_ASIDE] =
	"aside",
};

static void
format_time(char out[32], int64_t since)
{
	time_t seconds = (time_t)(since / 1000);
	struct tm civil;

	gmtime_r(&seconds, &civil);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &civil);
}

static bool
list_record(void * context, const struct spool_record * record)
{
	char since[32];

	(void)context;
	format_time(since, record->since);
	printf("%" PRId64 "\t%s\t%s\t%zu\t", record->id,
	    kinds[record->kind], since, record->length);
	escape_print(stdout, record->reason);
	putchar('\n');
	return (true);
}

/* Hand all records of a kind to a function; return the exit status. */
static int
read_all(struct spool * spool, enum spool_kind kind, spool_take * take,
    void * context)
{

	if (spool_read(spool, kind, 0, take, context) == SPOOL_DONE)
		return (0);
	fputs("flagtally: the spool cannot be read\n", stderr);
	return (SPOOLCTL_FAILED);
}

int
spoolctl_list(struct spool * spool)
{
	int status;

	puts("# id\tstate\tsince\tbytes\treason");
	status = read_all(spool, SPOOL_CALLS, list_record, NULL);
	if (status == 0)
		status = read_all(spool, SPOOL_TALLY, list_record, NULL);
	if (status == 0)
		status = read_all(spool, SPOOL_ASIDE, list_record, NULL);
	return (status);
}

/* Export */

static void
print_json(const char * text, size_t length)
{
	char * quoted = alloc_bytes(ESCAPE_JSON_ROOM(length));

	fwrite(quoted, 1, escape_json_ascii(quoted, text, length), stdout);
	free(quoted);
}

/*
 * The strings of a call, which are RESP: $, their length, a line's end.  What
 * is not a call is damaged, and shown as one string.
 */
static void
print_strings(const char * bytes, size_t length)
{
	const char * separator = "";
	size_t at = 0;

	while (at < length) {
		char * end;
		unsigned long size;

		if (bytes[at] == '*') {
			at += strcspn(bytes + at, "\n") + 1;
			continue;
		}
		size = strtoul(bytes + at + 1, &end, 10);
		if (bytes[at] != '$' || end[0] != '\r' ||
		    (size_t)(end + 2 - bytes) > length ||
		    size > length - (size_t)(end + 2 - bytes))
			break;
		fputs(separator, stdout);
		print_json(end + 2, size);
		separator = ",";
		at = (size_t)(end + 2 - bytes) + size + 2;
	}
	if (at < length) {
		fputs(separator, stdout);
		print_json(bytes + at, length - at);
	}
}

static bool
export_record(void * context, const struct spool_record * record)
{
	/* With a NUL at the end, so that no number runs over it. */
	char * bytes = alloc_copy(record->bytes, record->length);
	char since[32];

	(void)context;
	format_time(since, record->since);
	printf("{\"id\":%" PRId64 ",\"since\":\"%s\",\"reason\":", record->id,
	    since);
	print_json(record->reason, strlen(record->reason));
	fputs(",\"call\":[", stdout);
	print_strings(bytes, record->length);
	puts("]}");
	free(bytes);
	return (true);
}

int
spoolctl_export(struct spool * spool)
{

	return (read_all(spool, SPOOL_ASIDE, export_record, NULL));
}

/* Retry and drop */

/* Looks for the first record that is meant, after one that was done. */
struct search {
	struct sink * sink;
	int64_t wanted;			/* 0: any. */
	int64_t found;			/* 0: none. */
	int64_t since;
	const char * why;		/* It cannot be sent. */
};

static bool
search_record(void * context, const struct spool_record * record)
{
	struct search * search = context;

	if (search->wanted != 0 && record->id != search->wanted)
		return (true);
	/* It might count twice: that is for a person to decide on it alone. */
	if (search->sink != NULL && search->wanted == 0 &&
	    strcmp(record->reason, REPLAY_TOO_OLD) == 0)
		return (true);
	search->found = record->id;
	search->since = record->since;
	search->why = search->sink == NULL ? NULL :
	    sink_load(search->sink, record->bytes, record->length);
	return (false);
}

static bool
parse_which(const char * which, struct search * search)
{
	char * end;

	search->wanted = 0;
	if (strcmp(which, "all") == 0)
		return (true);
	search->wanted = strtoll(which, &end, 10);
	if (search->wanted > 0 && *end == '\0')
		return (true);
	complain("flagtally: ", which, " is neither an id nor all\n");
	return (false);
}

/* Act on one record: it becomes calls of a new writer, or goes. */
static int
act(struct spool * spool, struct search * search)
{
	struct spool_record record = { .kind = SPOOL_CALLS, .reason = "" };
	struct buffer bytes = { NULL, 0, 0 };
	enum spool_result result;

	if (search->why != NULL) {
		fprintf(stderr, "flagtally: record %" PRId64 " cannot be "
		    "sent: it holds %s\n", search->found, search->why);
		return (SPOOLCTL_FAILED);
	}
	if (search->sink != NULL) {
		sink_readdress(search->sink);
		sink_left(search->sink, &bytes);
	}
	record.since = (int64_t)time(NULL) * 1000;
	record.bytes = bytes.bytes;
	record.length = bytes.length;
	result = spool_replace(spool, &search->found, 1, &record,
	    search->sink != NULL ? 1 : 0);
	buffer_free(&bytes);
	if (result == SPOOL_DONE || result == SPOOL_CHANGED)
		return (0);
	fputs("flagtally: the spool cannot be changed\n", stderr);
	return (SPOOLCTL_FAILED);
}

static int
act_on(struct sink * sink, struct spool * spool, const char * which)
{
	struct search search = { .sink = sink };
	int64_t after = 0;
	int status = 0;

	if (!parse_which(which, &search))
		return (64);
	for (;;) {
		search.found = 0;
		if (spool_read(spool, SPOOL_ASIDE, after, search_record,
		    &search) != SPOOL_DONE)
			return (SPOOLCTL_FAILED);
		if (search.found == 0)
			break;
		after = search.found;
		if (act(spool, &search) != 0)
			status = SPOOLCTL_FAILED;
	}
	if (search.wanted != 0 && after == 0) {
		complain("flagtally: no record ", which, " is set aside\n");
		return (SPOOLCTL_FAILED);
	}
	return (status);
}

int
spoolctl_retry(struct sink * sink, struct spool * spool, const char * which)
{

	return (act_on(sink, spool, which));
}

int
spoolctl_drop(struct spool * spool, const char * which)
{

	return (act_on(NULL, spool, which));
}

/*
 * What was printed is written at the latest now, and a full disk refuses it:
 * whoever drops from the spool what has been exported must know.
 */
int
spoolctl_end(int status)
{

	if (fflush(stdout) == 0 && !ferror(stdout))
		return (status);
	fputs("flagtally: not all could be written to standard output\n",
	    stderr);
	return (status == 0 ? SPOOLCTL_FAILED : status);
}
