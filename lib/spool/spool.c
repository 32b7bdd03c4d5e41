#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/spool/spool.h"
#include "lib/spool/spool_file.h"
#include "lib/spool/spool_sql.h"

/*
 * One table holds all records.  Beside the database, PATH, lie SQLite's files,
 * PATH.lease, and PATH.lock, which is held by whoever opens, makes or renames
 * the database, or waits for it.
 *
 * A use of the spool is a step that can be repeated (see perform).  When the
 * file turns out to be damaged it is renamed and the step done on a new one.
 * Of several processes that find the same damage the first renames; the others
 * see, under the lock, that another file is at PATH than the one they have
 * open (and still have, or its inode number could have been given away).
 * After a commit that is checked again: what went into a file that had just
 * been renamed or deleted goes into the new one too.  The ids of a new file
 * begin with the time, so that none means a record of an older file.
 *
 * SQLite's locks are POSIX locks, which a process loses when it closes any
 * descriptor of the file.  So only SQLite opens the database, save to make it,
 * when nobody can have it open.  And one that is not at PATH any more is
 * closed without a checkpoint, as that would remove PATH-wal: by its name, and
 * so perhaps the new database's.
 *
 * Appending ends at seven eighths of the limit.  The rest, and RESERVE bytes at
 * least, is for those who also remove something: replay writes calls, which
 * are longer than the tallies they replace, before it can make room.
 */
#define LIMIT_MIN ((uint64_t)256 * 1024)
#define RESERVE ((uint64_t)1024 * 1024)

/* Milliseconds that a use waits for others, and until the next opening. */
#define PATIENCE 500
#define RETRY_INTERVAL 1000

/* Seconds between two lines about the same trouble. */
#define LOG_INTERVAL 60

/* What a step returns if a record is not there; SQLite never does. */
#define GONE SQLITE_NOTFOUND

struct spool {
	char * path;
	uint64_t limit;
	sqlite3 * db;			/* NULL: it is not open. */
	sqlite3_stmt * statements[STATEMENT_COUNT];
	struct stat file;		/* The one that was opened, */
	uint64_t pages;			/* and what it may have; 0: unset. */
	int64_t deadline;		/* Of the use at hand. */
	int64_t next_try;		/* To open it, */
	int last;			/* after this. */
	int lease;			/* -1: it is not held. */
	char why[400];			/* The use at hand fails, or "". */
	struct log_limit failed, full;
};

/* What is to be done; its step returns a result code of SQLite, or GONE. */
struct use {
	int (*step)(struct spool * spool, const struct use * use);
	const int64_t * ids;		/* To write. */
	size_t count;
	struct spool_record * records;
	size_t record_count;
	enum spool_kind kind;		/* To read, or to measure. */
	int64_t after;
	spool_take * take;
	void * context;
	struct spool_depth * depth;
};

/* Helpers */

/* SQLite asks it whether to try again. */
static int
be_patient(void * context, int count)
{
	static const struct timespec moment = { .tv_nsec = 1000000 };
	const struct spool * spool = context;

	(void)count;
	if (clock_remaining(spool->deadline) == 0)
		return (0);
	nanosleep(&moment, NULL);
	return (1);
}

/* The result code for a call of the system that failed. */
static int
fail(struct spool * spool, const char * suffix)
{
	int error = errno;

	snprintf(spool->why, sizeof(spool->why), "%s%s: %s", spool->path,
	    suffix, strerror(error));
	if (error == EWOULDBLOCK)
		return (SQLITE_BUSY);
	return (error == ENOSPC || error == EDQUOT ? SQLITE_FULL :
	    SQLITE_CANTOPEN);
}

static int
lock(struct spool * spool, int * descriptor)
{

	*descriptor = spool_file_lock(spool->path, ".lock", spool->deadline);
	return (*descriptor == -1 ? fail(spool, ".lock") : SQLITE_OK);
}

/* The database */

static void
close_file(struct spool * spool)
{
	size_t i;

	for (i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(spool->statements[i]);
		spool->statements[i] = NULL;
	}
	if (spool->db != NULL && !spool_file_has(spool->path, &spool->file))
		sqlite3_db_config(spool->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
		    1, NULL);
	sqlite3_close(spool->db);
	spool->db = NULL;
	spool->pages = 0;
}

static void
put_aside(struct spool * spool)
{
	int descriptor;
	int code = lock(spool, &descriptor);

	if (code == SQLITE_OK && spool_file_has(spool->path, &spool->file))
		spool_file_put_aside(spool->path, spool->why);
	close_file(spool);
	if (code == SQLITE_OK)
		close(descriptor);
}

static int
execute(struct spool * spool, const char * text)
{

	return (sqlite3_exec(spool->db, text, NULL, NULL, NULL));
}

/* The one integer that a query gives. */
static int
query(struct spool * spool, const char * text, int64_t * value)
{
	sqlite3_stmt * statement;
	int code = sqlite3_prepare_v2(spool->db, text, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return (code);
	code = sqlite3_step(statement);
	*value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return (code == SQLITE_ROW ? SQLITE_OK : code);
}

static int
set_schema(struct spool * spool)
{
	char text[sizeof(SPOOL_SQL_SCHEMA) + 32];
	int64_t which;
	int code = query(spool, SPOOL_SQL_WHICH, &which);

	if (code != SQLITE_OK || which == 1)
		return (code);
	if (which == 0) {
		snprintf(text, sizeof(text), SPOOL_SQL_SCHEMA,
		    (long long)clock_now_ms() * 1000);
		return (execute(spool, text));
	}
	snprintf(spool->why, sizeof(spool->why), "it is no spool, or that of "
	    "another version");
	return (SQLITE_NOTADB);
}

static int
open_with(struct spool * spool, const char * mode)
{
	int code = sqlite3_open_v2(spool->path, &spool->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (code != SQLITE_OK)
		return (code);
	sqlite3_extended_result_codes(spool->db, 1);
	sqlite3_busy_handler(spool->db, be_patient, spool);
	if (sqlite3_db_readonly(spool->db, "main") == 1)
		return (SQLITE_READONLY);
	/* SQLite would take it for a new database and delete the WAL. */
	if (spool->file.st_size == 0 &&
	    spool_file_size(spool->path, "-wal") > 0)
		return (SQLITE_CORRUPT);
	return (execute(spool, mode));
}

static int
open_database(struct spool * spool)
{
	bool wal = !spool_file_is_remote(spool->path);
	int code = open_with(spool, wal ? SPOOL_SQL_WAL : SPOOL_SQL_JOURNAL);
	size_t i;

	/* Where memory cannot be shared, say. */
	if (wal && ((code & 0xff) == SQLITE_CANTOPEN ||
	    (code & 0xff) == SQLITE_IOERR)) {
		close_file(spool);
		code = open_with(spool, SPOOL_SQL_JOURNAL);
	}
	if (code == SQLITE_OK)
		code = set_schema(spool);
	for (i = 0; i < STATEMENT_COUNT && code == SQLITE_OK; i++)
		code = sqlite3_prepare_v3(spool->db, statement_texts[i], -1,
		    SQLITE_PREPARE_PERSISTENT, &spool->statements[i], NULL);
	return (code);
}

static int
open_file(struct spool * spool)
{
	int descriptor;
	int code = lock(spool, &descriptor);

	if (code != SQLITE_OK)
		return (code);
	if (spool_file_find(spool->path, &spool->file) != 0)
		code = fail(spool, "");
	else
		code = open_database(spool);
	close(descriptor);
	return (code);
}

/* Uses */

static bool
is_damage(int code)
{

	return ((code & 0xff) == SQLITE_CORRUPT || code == SQLITE_NOTADB ||
	    code == SQLITE_IOERR_SHORT_READ);
}

/* Keep why a step failed, undo what it did, and tell a full disk. */
static int
settle(struct spool * spool, int code)
{
	sqlite3 * db = spool->db;
	int error = errno;
	bool of_system = (code & 0xff) == SQLITE_IOERR ||
	    (code & 0xff) == SQLITE_CANTOPEN;

	if (code == SQLITE_OK || db == NULL)
		return (code);
	/* SQLite does not always keep it. */
	if (sqlite3_system_errno(db) != 0)
		error = sqlite3_system_errno(db);
	if (!of_system)
		error = 0;
	if (spool->why[0] == '\0')
		snprintf(spool->why, sizeof(spool->why), "%s: %s (%d%s%s)",
		    spool->path, sqlite3_extended_errcode(db) == code ?
		    sqlite3_errmsg(db) : sqlite3_errstr(code), code,
		    error != 0 ? ", " : "", error != 0 ? strerror(error) : "");
	if (!sqlite3_get_autocommit(db))
		execute(spool, "ROLLBACK");
	if (code == SQLITE_TOOBIG || error == ENOSPC || error == EDQUOT ||
	    error == EFBIG)
		code = SQLITE_FULL;
	return (code);
}

/* Have the file at PATH open. */
static int
get_ready(struct spool * spool)
{
	int code;

	if (spool->db != NULL && spool_file_has(spool->path, &spool->file)) {
		if (spool_file_size(spool->path, "") == 0)
			return (settle(spool, SQLITE_CORRUPT));
		return (SQLITE_OK);
	}
	close_file(spool);
	if (clock_monotonic() < spool->next_try)
		return (spool->last);
	code = settle(spool, open_file(spool));
	if (code != SQLITE_OK && !is_damage(code))
		close_file(spool);
	return (code);
}

static enum spool_result
conclude(struct spool * spool, int code)
{
	bool full = (code & 0xff) == SQLITE_FULL;
	uint64_t more;

	if (code == SQLITE_OK)
		return (SPOOL_DONE);
	if (code == GONE)
		return (SPOOL_CHANGED);
	if (full && log_allowed(&spool->full, LOG_INTERVAL, &more))
		log_warning("the spool is full: %s", spool->why);
	if (full && spool->db != NULL)
		return (SPOOL_FULL);
	/* Without a reason it was not tried. */
	if ((code & 0xff) != SQLITE_BUSY && spool->why[0] != '\0') {
		close_file(spool);
		spool->next_try = clock_monotonic() + RETRY_INTERVAL;
		spool->last = code;
	}
	if (!full && spool->why[0] != '\0' &&
	    log_allowed(&spool->failed, LOG_INTERVAL, &more))
		log_error("the spool cannot be used: %s", spool->why);
	return (full ? SPOOL_FULL : SPOOL_FAILED);
}

/* Run a statement that returns no rows. */
static int
run(sqlite3_stmt * statement)
{
	int code = sqlite3_step(statement);

	sqlite3_reset(statement);
	return (code == SQLITE_DONE ? SQLITE_OK : code);
}

static int
insert(struct spool * spool, const struct spool_record * record)
{
	sqlite3_stmt * statement = spool->statements[STATEMENT_INSERT];
	const char * reason = record->reason == NULL ? "" : record->reason;
	/* NULL would not be taken for no bytes. */
	const void * bytes = record->length == 0 ? "" : record->bytes;
	int code;

	sqlite3_bind_int(statement, 1, (int)record->kind);
	sqlite3_bind_int64(statement, 2, record->since);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)record->counters);
	sqlite3_bind_int64(statement, 4, (sqlite3_int64)record->weight);
	sqlite3_bind_int64(statement, 5, (sqlite3_int64)record->length);
	sqlite3_bind_text(statement, 6, reason, -1, SQLITE_STATIC);
	code = sqlite3_bind_blob64(statement, 7, bytes, record->length,
	    SQLITE_STATIC);
	return (code == SQLITE_OK ? run(statement) : code);
}

static int
delete(struct spool * spool, int64_t id)
{
	sqlite3_stmt * statement = spool->statements[STATEMENT_DELETE];
	int code;

	sqlite3_bind_int64(statement, 1, id);
	code = run(statement);
	if (code == SQLITE_OK && sqlite3_changes(spool->db) == 0)
		code = GONE;
	return (code);
}

static int
set_limit(struct spool * spool, uint64_t pages)
{
	char text[sizeof(SPOOL_SQL_LIMIT) + 32];
	int code;

	if (pages == spool->pages)
		return (SQLITE_OK);
	snprintf(text, sizeof(text), SPOOL_SQL_LIMIT,
	    (unsigned long long)pages);
	code = execute(spool, text);
	spool->pages = code == SQLITE_OK ? pages : 0;
	return (code);
}

/*
 * SQLite lets whoever asks first have the database, and that is the one that
 * has just had it.  So who waits for it holds the lock, and is the next.
 */
static int
begin(struct spool * spool, bool removes)
{
	uint64_t rest = spool->limit / 8;
	uint64_t limit = spool->limit - rest;
	int turn;
	int code = lock(spool, &turn);

	if (code != SQLITE_OK)
		return (code);
	if (removes)
		limit += rest > RESERVE ? rest : RESERVE;
	code = run(spool->statements[STATEMENT_BEGIN]);
	if (code == SQLITE_OK)
		code = set_limit(spool, limit / SPOOL_SQL_PAGE);
	close(turn);
	return (code);
}

static int
write_records(struct spool * spool, const struct use * use)
{
	int code = begin(spool, use->count > 0);
	int64_t id, may = 0;
	size_t i;

	for (i = 0; i < use->count && code == SQLITE_OK; i++)
		code = delete(spool, use->ids[i]);
	for (i = 0; i < use->record_count && code == SQLITE_OK; i++)
		code = insert(spool, &use->records[i]);
	if (use->count > 0 && code == SQLITE_OK)
		code = query(spool, SPOOL_SQL_MAY_SHRINK, &may);
	if (may && code == SQLITE_OK)
		code = execute(spool, SPOOL_SQL_SHRINK);
	if (code == SQLITE_OK)
		code = run(spool->statements[STATEMENT_COMMIT]);
	if (code != SQLITE_OK)
		return (code);
	/* Within a transaction they are consecutive. */
	id = sqlite3_last_insert_rowid(spool->db);
	for (i = use->record_count; i > 0; i--)
		use->records[i - 1].id = id--;
	return (SQLITE_OK);
}

static int
read_records(struct spool * spool, const struct use * use)
{
	sqlite3_stmt * statement = spool->statements[STATEMENT_READ];
	struct spool_record record = { .kind = use->kind };
	bool more = true;
	int code = SQLITE_OK;

	sqlite3_bind_int(statement, 1, (int)use->kind);
	sqlite3_bind_int64(statement, 2, use->after);
	while (more && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		record.id = sqlite3_column_int64(statement, 0);
		record.since = sqlite3_column_int64(statement, 1);
		record.counters = (uint64_t)sqlite3_column_int64(statement, 2);
		record.weight = (uint64_t)sqlite3_column_int64(statement, 3);
		record.reason =
		    (const char *)sqlite3_column_text(statement, 4);
		record.bytes = sqlite3_column_blob(statement, 5);
		record.length = (size_t)sqlite3_column_bytes(statement, 5);
		if (record.length == 0)
			record.bytes = "";
		more = use->take(use->context, &record);
	}
	sqlite3_reset(statement);
	return (code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code);
}

static int
measure(struct spool * spool, const struct use * use)
{
	sqlite3_stmt * statement = spool->statements[STATEMENT_DEPTH];
	int code;

	sqlite3_bind_int(statement, 1, (int)use->kind);
	code = sqlite3_step(statement);
	use->depth->records = (uint64_t)sqlite3_column_int64(statement, 0);
	use->depth->bytes = (uint64_t)sqlite3_column_int64(statement, 1);
	use->depth->oldest = sqlite3_column_int64(statement, 2);
	sqlite3_reset(statement);
	return (code == SQLITE_ROW ? SQLITE_OK : code);
}

static enum spool_result
perform(struct spool * spool, const struct use * use)
{
	int attempts = 3;
	int code;

	spool->deadline = clock_monotonic() + PATIENCE;
	do {
		spool->why[0] = '\0';
		errno = 0;
		code = get_ready(spool);
		if (code == SQLITE_OK)
			code = settle(spool, use->step(spool, use));
		if (is_damage(code))
			put_aside(spool);
		else if ((code == SQLITE_OK && use->step != write_records) ||
		    spool->db == NULL || spool_file_has(spool->path,
		    &spool->file))
			break;
		else {
			close_file(spool);
			code = SQLITE_READONLY_DBMOVED;
		}
	} while (--attempts > 0);
	return (conclude(spool, code));
}

/* What others call */

struct spool *
spool_open(const char * path, uint64_t limit)
{
	struct spool * spool = alloc_zeroed(1, sizeof(*spool));
	struct spool_depth depth;

	spool->path = alloc_string(path);
	spool->limit = limit < LIMIT_MIN ? LIMIT_MIN : limit;
	spool->lease = -1;
	/* What is wrong is told now, not when the spool is needed. */
	spool_depth(spool, SPOOL_KIND_COUNT, &depth);
	return (spool);
}

enum spool_result
spool_append(struct spool * spool, struct spool_record * record)
{

	return (spool_replace(spool, NULL, 0, record, 1));
}

enum spool_result
spool_replace(struct spool * spool, const int64_t * ids, size_t count,
    struct spool_record * records, size_t record_count)
{
	struct use use = { .step = write_records, .ids = ids, .count = count,
	    .records = records, .record_count = record_count };

	return (perform(spool, &use));
}

enum spool_result
spool_read(struct spool * spool, enum spool_kind kind, int64_t after,
    spool_take * take, void * context)
{
	struct use use = { .step = read_records, .kind = kind, .after = after,
	    .take = take, .context = context };

	return (perform(spool, &use));
}

enum spool_result
spool_depth(struct spool * spool, enum spool_kind kind,
    struct spool_depth * depth)
{
	struct use use = { .step = measure, .kind = kind, .depth = depth };

	memset(depth, 0, sizeof(*depth));
	return (perform(spool, &use));
}

bool
spool_lock(struct spool * spool)
{
	struct stat file;
	uint64_t more;

	if (spool->lease != -1 && fstat(spool->lease, &file) == 0 &&
	    file.st_nlink > 0)
		return (true);
	spool_unlock(spool);
	spool->lease = spool_file_lock(spool->path, ".lease", 0);
	if (spool->lease == -1 && errno != EWOULDBLOCK &&
	    log_allowed(&spool->failed, LOG_INTERVAL, &more))
		log_error("%s.lease: %s", spool->path, strerror(errno));
	return (spool->lease != -1);
}

void
spool_unlock(struct spool * spool)
{

	if (spool->lease != -1)
		close(spool->lease);
	spool->lease = -1;
}

void
spool_free(struct spool * spool)
{

	if (spool == NULL)
		return;
	spool_unlock(spool);
	close_file(spool);
	free(spool->path);
	free(spool);
}
