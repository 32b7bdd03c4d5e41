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
#include "lib/base/clock.h"
#include "lib/base/escape.h"
#include "lib/commit/replay.h"
#include "lib/redis/pipeline.h"
#include "lib/report/report_write.h"

/* Milliseconds in which Redis has to answer spoolctl_reach. */
#define REACH_TIME_MAX 2000

/* Print an error with a text from outside in it, which is escaped. */
static void
print_error(const char * before, const char * text, const char * behind)
{

	fputs(before, stderr);
	escape_print(stderr, text);
	fputs(behind, stderr);
}

/*
 * Files that root creates in a spool would be unusable for its owner, so become
 * the owner.  With DynamicUser in systemd only root may pass through the
 * directory above, so keep the capability for that, and for reading.
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

	if (stat(path, &file) != 0) {
		int error = errno;

		print_error("flagtally: ", path, error == ENOENT ?
		    ": there is no spool yet, and nothing waits" : ": ");
		print_error("", error == ENOENT ? "" : strerror(error), "\n");
		return (error == ENOENT ? 0 : SPOOLCTL_FAILED);
	}
	if (geteuid() == 0 && file.st_uid != 0 && !become_owner(&file)) {
		int error = errno;

		print_error("flagtally: ", path,
		    " belongs to another user, and ");
		fprintf(stderr, "switching to user %ju failed: %s\n",
		    (uintmax_t)file.st_uid, strerror(error));
		return (SPOOLCTL_FAILED);
	}
	return (-1);
}

/* Replay */

static void
show_replay_progress(void * context, uint64_t replayed, uint64_t waiting)
{

	(void)context;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%" PRIu64 " calls replayed, %" PRIu64
		    " wait ", replayed, waiting);
}

int
spoolctl_replay(struct sink * sink, struct spool * spool, struct stats * stats)
{
	enum replay_result result = replay_all(sink, spool, stats,
	    show_replay_progress, NULL);

	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
	switch (result) {
	case REPLAY_DONE:
		return (0);
	case REPLAY_BUSY:
		fputs("flagtally: another process replays\n", stderr);
		return (SPOOLCTL_LATER);
	case REPLAY_NO_REDIS:
		print_error("flagtally: Redis does not take the counts: ",
		    sink_reason(sink), "\n");
		return (SPOOLCTL_LATER);
	case REPLAY_NO_SPOOL:
		break;
	}
	print_error("flagtally: the spool cannot be used: ", spool_why(spool),
	    "\n");
	return (SPOOLCTL_FAILED);
}

int
spoolctl_reach(struct sink * sink)
{

	if (sink_probe(sink, clock_monotonic() + REACH_TIME_MAX))
		return (0);
	print_error("flagtally: Redis does not serve: ", sink_reason(sink),
	    "\n");
	return (SPOOLCTL_LATER);
}

/* Lists */

static const char * const states[] = {
	[SPOOL_QUEUED] = "queued", [SPOOL_IN_DOUBT] = "in-doubt",
	[SPOOL_QUARANTINED] = "quarantined",
};

static void
format_time(char out[32], int64_t since)
{
	time_t seconds = (time_t)(since / 1000);
	struct tm civil;

	gmtime_r(&seconds, &civil);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &civil);
}

/* Print the reason, or of a call in doubt its tag, from its first key. */
static void
print_reason(const struct spool_call * call, enum spool_state state)
{
	const char * end = call->bytes == NULL ? NULL :
	    memmem(call->bytes, call->length, "}", 1);
	const char * start = end == NULL ? NULL :
	    memrchr(call->bytes, '\n', (size_t)(end -
	    (const char *)call->bytes));

	if (state != SPOOL_IN_DOUBT) {
		escape_print(stdout, call->reason);
		return;
	}
	fputs("Redis may have applied it", stdout);
	if (start != NULL) {
		char * key = alloc_copy(start + 1, (size_t)(end - start));

		fputs(": ", stdout);
		escape_print(stdout, key);
		free(key);
	}
}

static bool
list_call(void * context, const struct spool_call * call)
{
	enum spool_state state = *(enum spool_state *)context;
	char since[32];

	format_time(since, call->since);
	printf("%" PRId64 "\t%s\t%s\t%zu\t", call->id, states[state], since,
	    call->length);
	print_reason(call, state);
	putchar('\n');
	return (true);
}

/* Call ${visit} for all calls in a state; return the exit status. */
static int
read_all(struct spool * spool, enum spool_state state, spool_visit * visit)
{

	if (spool_read(spool, state, 0, visit, &state) == SPOOL_DONE)
		return (0);
	print_error("flagtally: the spool cannot be read: ", spool_why(spool),
	    "\n");
	return (SPOOLCTL_FAILED);
}

int
spoolctl_list(struct spool * spool)
{
	static const enum spool_state order[] = {
		SPOOL_IN_DOUBT, SPOOL_QUEUED, SPOOL_QUARANTINED,
	};
	int status = 0;
	size_t i;

	puts("# id\tstate\tsince\tbytes\treason");
	for (i = 0; i < SPOOL_STATE_COUNT && status == 0; i++)
		status = read_all(spool, order[i], list_call);
	return (status);
}

/* Export */

/* Print the strings of a call; print the rest of a damaged one as a string. */
static void
print_strings(const char * bytes, size_t length)
{
	const char * separator = "";
	struct text string;
	size_t at = 0;

	while (pipeline_next_string(bytes, length, &at, &string)) {
		fputs(separator, stdout);
		report_write_json(stdout, string);
		separator = ",";
	}
	if (at < length) {
		fputs(separator, stdout);
		report_write_json(stdout, (struct text){ bytes + at,
		    length - at });
	}
}

static bool
export_call(void * context, const struct spool_call * record)
{
	char since[32];

	(void)context;
	format_time(since, record->since);
	printf("{\"id\":%" PRId64 ",\"since\":\"%s\",\"reason\":", record->id,
	    since);
	report_write_json(stdout, text_of(record->reason));
	fputs(",\"call\":[", stdout);
	print_strings(record->bytes, record->length);
	puts("]}");
	return (true);
}

int
spoolctl_export(struct spool * spool)
{

	return (read_all(spool, SPOOL_QUARANTINED, export_call));
}

/* Retry and drop */

/* Looks for the next call to act on. */
struct search {
	struct sink * sink;
	int64_t wanted;			/* 0: any. */
	int64_t found;			/* 0: none. */
	const char * why;		/* Why it cannot be sent, or NULL. */
};

static bool
search_call(void * context, const struct spool_call * call)
{
	struct search * search = context;

	if (search->wanted != 0 && call->id != search->wanted)
		return (true);
	/* It might count twice: retry it only by its id. */
	if (search->sink != NULL && search->wanted == 0 &&
	    strcmp(call->reason, SINK_TOO_OLD) == 0)
		return (true);
	search->found = call->id;
	if (search->sink == NULL)
		return (false);
	sink_clear(search->sink);
	search->why = sink_load(search->sink, call->bytes, call->length, 0);
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
	print_error("flagtally: ", which, " is neither an id nor all\n");
	return (false);
}

/* Queue one call under a new writer, or remove it. */
static int
act_on_call(struct spool * spool, const struct search * search)
{
	struct spool_call call = { .since = clock_now_ms() };
	struct spool_change change = { .released = search->found,
	    .calls = &call };
	enum spool_result result;

	if (search->why != NULL) {
		fprintf(stderr, "flagtally: record %" PRId64 " cannot be "
		    "sent: it holds %s\n", search->found, search->why);
		return (SPOOLCTL_FAILED);
	}
	if (search->sink != NULL) {
		sink_readdress_all(search->sink);
		call.bytes = sink_bytes(search->sink,
		    sink_call(search->sink, 0));
		call.length = sink_call(search->sink, 0)->length;
		change.call_count = 1;
	}
	result = spool_change(spool, &change);
	if (result == SPOOL_DONE || result == SPOOL_CHANGED)
		return (0);
	print_error("flagtally: the spool cannot be changed: ",
	    spool_why(spool), "\n");
	return (SPOOLCTL_FAILED);
}

/* Act on the calls that ${which} names, each in its own transaction. */
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
		if (spool_read(spool, SPOOL_QUARANTINED, after, search_call,
		    &search) != SPOOL_DONE)
			return (SPOOLCTL_FAILED);
		if (search.found == 0)
			break;
		after = search.found;
		if (act_on_call(spool, &search) != 0)
			status = SPOOLCTL_FAILED;
	}
	if (search.wanted != 0 && after == 0) {
		print_error("flagtally: no record ", which,
		    " is in quarantine\n");
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
 * A full disk shows now at the latest.  An operator who drops calls after an
 * export must not miss it.
 */
int
spoolctl_end(int status)
{

	if (fflush(stdout) == 0 && !ferror(stdout))
		return (status);
	fputs("flagtally: standard output could not be written\n", stderr);
	return (status == 0 ? SPOOLCTL_FAILED : status);
}
