#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/crashpoint.h"
#include "lib/base/digest.h"
#include "lib/base/escape.h"
#include "lib/base/log.h"
#include "lib/spool/spool_db.h"
#include "lib/spool/spool_file.h"

/*
 * Beside the database, PATH, are SQLite's files, PATH.lease, and PATH.lock,
 * which a process holds while it opens, creates or renames the database, or
 * waits for its turn to write.  A process that only looks creates none of them.
 *
 * Damage.  A use runs a step that can be repeated.  If the spool turns out to
 * be damaged it is renamed, and the step is run on a new one.  If several
 * processes find the same damage, the first one renames; the others see, under
 * the lock, that PATH is no longer the file that they have open.  They keep
 * it open until then, so that its inode number is not used again.
 *
 * Once or not at all.  Each opener has a row in `mark`, into which each of its
 * transactions writes its number.  When COMMIT fails SQLite does not know
 * whether the transaction is on disk.  So the file is opened again, and the
 * step repeated under the same number: if the row has the number, the
 * transaction was stored.  If not, the repetition replaces what the failed
 * COMMIT may have left in the log.  Only if the step cannot be repeated, the
 * result is SPOOL_UNKNOWN.
 *
 * Identity.  The open files have to be those at PATH, PATH-wal and PATH-shm.
 * This is checked before each use and, as commits are written to the log, after
 * each commit, too.  If PATH-wal was deleted, only this process has its
 * content, and moves it to the database with a checkpoint.  If the database was
 * deleted, the open one is copied to a new file at PATH.
 *
 * Locks.  SQLite's locks are POSIX locks, which a process loses when it closes
 * any descriptor of the file.  So only SQLite opens the database, except to
 * create it, when no process can have it open.  A database that is no longer at
 * PATH is closed without a checkpoint: a checkpoint would remove PATH-wal
 * by its name, which may be the new database's.
 *
 * Space.  An eighth of the limit, at most WAL_MAX, is left for the log.
 * Appends leave another eighth free, or RESERVE bytes if that is more, even
 * beyond the limit.  Half of this reserve is for fold, as cells are longer than
 * the records that they are made from, and all of it for replay, which adds
 * calls when it removes cells.  So a full spool can be drained.
 */
#define LIMIT_MIN ((uint64_t)256 * 1024)
#define RESERVE ((uint64_t)512 * 1024)

/* Milliseconds that a use waits for other processes, and until a file that
 * could not be opened is tried again. */
#define USE_TIME_MAX 500
#define RETRY_INTERVAL 1000

/*
 * Milliseconds to keep a mark: its COMMIT may be repeated for USE_TIME_MAX.  A
 * mark has the monotonic time, which is never set.  A later one is of a process
 * before the host was started, and no COMMIT of that is in doubt.
 */
#define MARK_LIFETIME 600000

/* Pages in the log at which SQLite moves them to the database. */
#define CHECKPOINT_PAGES 512
#define WAL_MAX ((uint64_t)4 * 1024 * 1024)

/* The kind of a file: see SPOOL_SQL_WHICH. */
enum which {
	WHICH_OURS = 1,
	WHICH_EMPTY = 0,
	WHICH_OLD = -1,
	WHICH_OTHER = -2,
};

struct spool_db {
	char * path;
	uint64_t limit;
	bool looks;
	sqlite3 * db;			/* NULL: it is not open. */
	sqlite3_stmt * statements[STATEMENT_COUNT];
	struct stat file;		/* The files that are open. */
	struct stat wal, shm;
	bool has_wal, has_shm;
	bool known;			/* It is, or was, our spool. */
	bool logs;			/* The file is in WAL mode. */
	uint64_t pages;			/* The limit in force; 0: unset. */
	bool lazy;
	int64_t writer;			/* Our row in mark, */
	int64_t number;			/* and the latest transaction. */
	bool doubt;			/* A COMMIT of this use has failed. */
	bool marked;			/* Old marks have been removed. */
	int64_t deadline;		/* Of this use. */
	int64_t next_try;		/* When to open it again, */
	int last;			/* after this result code. */
	char why[400];			/* Why this use fails, or "". */
	char reason[400];		/* Why the last failure failed. */
	struct log_limit failed, full;
};

/* Helpers */

/* SQLite's busy handler: wait a moment, and return whether to try again. */
static int
wait_for_others(void * context, int count)
{
	static const struct timespec moment = { .tv_nsec = 500000 };
	const struct spool_db * db = context;

	(void)count;
	if (clock_remaining(db->deadline) == 0)
		return (0);
	nanosleep(&moment, NULL);
	return (1);
}

/* Return the result code for a system call that failed. */
static int
fail_system(struct spool_db * db, const char * suffix)
{
	int error = errno;

	snprintf(db->why, sizeof(db->why), "%s%s: %s", db->path, suffix,
	    strerror(error));
	if (error == EWOULDBLOCK)
		return (SQLITE_BUSY);
	return (error == ENOSPC || error == EDQUOT ? SQLITE_FULL :
	    SQLITE_CANTOPEN);
}

static int
lock_turn(struct spool_db * db, int * descriptor)
{

	*descriptor = spool_file_lock(db->path, ".lock", db->deadline);
	return (*descriptor == -1 ? fail_system(db, ".lock") : SQLITE_OK);
}

static int
execute(struct spool_db * db, const char * text)
{

	return (sqlite3_exec(db->db, text, NULL, NULL, NULL));
}

/* Run a query that returns one integer. */
static int
query_integer(struct spool_db * db, const char * text, int64_t * value)
{
	sqlite3_stmt * statement;
	int code = sqlite3_prepare_v2(db->db, text, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return (code);
	code = sqlite3_step(statement);
	*value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return (code == SQLITE_ROW ? SQLITE_OK : code);
}

/* Identity */

static bool
is_same(const char * path, const char * suffix, bool has,
    const struct stat * file)
{
	char name[4096];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return (!has || spool_file_has(name, file));
}

static bool
has_files(const struct spool_db * db)
{

	return (spool_file_has(db->path, &db->file) &&
	    is_same(db->path, "-wal", db->has_wal, &db->wal) &&
	    is_same(db->path, "-shm", db->has_shm, &db->shm));
}

static void
remember_files(struct spool_db * db)
{
	char name[4096];

	snprintf(name, sizeof(name), "%s-wal", db->path);
	db->has_wal = stat(name, &db->wal) == 0;
	snprintf(name, sizeof(name), "%s-shm", db->path);
	db->has_shm = stat(name, &db->shm) == 0;
}

static void
close_database(struct spool_db * db)
{
	size_t i;

	for (i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(db->statements[i]);
		db->statements[i] = NULL;
	}
	if (db->db != NULL && (db->looks || !has_files(db)))
		sqlite3_db_config(db->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
		    NULL);
	sqlite3_close(db->db);
	db->db = NULL;
	db->pages = 0;
	db->lazy = false;
	db->has_wal = db->has_shm = false;
}

/* Copy the open database to PATH, where there is no file. */
static int
copy_database(struct spool_db * db)
{
	char * text = sqlite3_mprintf("VACUUM INTO '%q'", db->path);
	struct stat file;
	int code = spool_file_find(db->path, &file) == 0 ?
	    execute(db, text) : fail_system(db, "");

	sqlite3_free(text);
	return (code);
}

/*
 * An open file is no longer at its path.  The first process that gets the
 * lock rescues its content; the others find the file that this one created.
 */
static void
rescue(struct spool_db * db)
{
	struct stat file;
	bool deleted = stat(db->path, &file) != 0 && errno == ENOENT;
	bool ours = !deleted && spool_file_has(db->path, &db->file);
	int code = SQLITE_OK;

	if (!deleted && (!ours || spool_file_size(db->path, "-wal") > 0))
		return;
	if (deleted)
		code = copy_database(db);
	else
		code = sqlite3_wal_checkpoint_v2(db->db, NULL,
		    SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (code == SQLITE_OK)
		log_error("%s%s was deleted while in use; its content is "
		    "saved", db->path, deleted ? "" : "-wal");
	else
		log_error("%s%s was deleted while in use; its content is "
		    "lost: %s", db->path, deleted ? "" : "-wal",
		    sqlite3_errmsg(db->db));
}

/* Opening */

/* Tell from the header what the file is.  Read it through SQLite's own
 * descriptor: closing another one would release its locks. */
static int
identify_file(struct spool_db * db, enum which * which)
{
	static const char magic[] = "SQLite format 3";
	unsigned char header[100] = { 0 };
	sqlite3_file * file = NULL;
	sqlite3_int64 size = 0;

	*which = WHICH_OTHER;
	if (sqlite3_file_control(db->db, "main", SQLITE_FCNTL_FILE_POINTER,
	    &file) != SQLITE_OK || file == NULL || file->pMethods == NULL)
		return (SQLITE_CANTOPEN);
	if (file->pMethods->xFileSize(file, &size) != SQLITE_OK)
		return (SQLITE_IOERR);
	if (size > 0 && file->pMethods->xRead(file, header, sizeof(header),
	    0) == SQLITE_IOERR_READ)
		return (SQLITE_IOERR_READ);
	db->logs = header[18] == 2;
	if (memcmp(header, magic, sizeof(magic)) == 0 &&
	    memcmp(header + 68, "flag", 4) == 0)
		*which = header[63] == SPOOL_SQL_VERSION ? WHICH_OURS :
		    WHICH_OLD;
	else if (size == 0 || (size <= SPOOL_SQL_PAGE &&
	    memcmp(header, (char[16]){ 0 }, 16) == 0))
		*which = WHICH_EMPTY;
	return (SQLITE_OK);
}

static int
refuse_file(struct spool_db * db, enum which which)
{

	if (which == WHICH_EMPTY)
		snprintf(db->why, sizeof(db->why), "%s: it is empty",
		    db->path);
	else
		snprintf(db->why, sizeof(db->why), "%s: it is %s; set spool to "
		    "another file, or move this one away", db->path,
		    which == WHICH_OLD ? "the spool of another version" :
		    "no spool of flagtally");
	return (SQLITE_AUTH);
}

static int
create_schema(struct spool_db * db)
{
	char text[sizeof(SPOOL_SQL_SCHEMA) + 100];
	int64_t generation;
	long long first = (long long)clock_now_ms() * 1000;
	int64_t which;
	int code = query_integer(db, SPOOL_SQL_WHICH, &which);

	if (code != SQLITE_OK || which == WHICH_OURS)
		return (code);
	if (which != WHICH_EMPTY)
		return (refuse_file(db, (enum which)which));
	digest_random(&generation, sizeof(generation));
	snprintf(text, sizeof(text), SPOOL_SQL_SCHEMA, first, first,
	    (long long)(generation >> 2));
	return (execute(db, text));
}

static int
set_modes(struct spool_db * db, bool wal)
{
	char text[64];
	uint64_t pages = db->limit / 16 / SPOOL_SQL_PAGE;
	int code;

	if (!wal && (code = execute(db, SPOOL_SQL_EXCLUSIVE)) != SQLITE_OK)
		return (code);
	code = create_schema(db);
	if (code == SQLITE_OK)
		code = execute(db, SPOOL_SQL_SETTINGS);
	if (code == SQLITE_OK)
		code = execute(db, wal ? SPOOL_SQL_WAL : SPOOL_SQL_JOURNAL);
	snprintf(text, sizeof(text), SPOOL_SQL_CHECKPOINT,
	    pages < CHECKPOINT_PAGES ? (int)pages : CHECKPOINT_PAGES);
	return (code == SQLITE_OK ? execute(db, text) : code);
}

static int
open_file(struct spool_db * db, const char * name, int flags,
    enum which * which)
{
	int code = sqlite3_open_v2(name, &db->db, flags | SQLITE_OPEN_NOMUTEX,
	    NULL);

	if (code != SQLITE_OK)
		return (code);
	sqlite3_extended_result_codes(db->db, 1);
	sqlite3_busy_handler(db->db, wait_for_others, db);
	if ((flags & SQLITE_OPEN_READWRITE) != 0 &&
	    sqlite3_db_readonly(db->db, "main") == 1)
		return (SQLITE_READONLY);
	return (identify_file(db, which));
}

/* Open a file that no process has open and that is not to change. */
static int
open_immutable(struct spool_db * db, enum which * which)
{
	static const char before[] = "file:", behind[] = "?immutable=1";
	size_t length = strlen(db->path);
	char * name = alloc_zeroed(1, sizeof(before) + sizeof(behind) +
	    ESCAPE_PERCENT_ROOM(length));
	char * end = name + sizeof(before) - 1;
	int code;

	memcpy(name, before, sizeof(before));
	end += escape_percent(end, db->path, length);
	memcpy(end, behind, sizeof(behind));
	code = open_file(db, name, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
	    which);
	free(name);
	return (code);
}

/*
 * Only look.  SQLite creates PATH-wal and PATH-shm for a database in WAL mode.
 * Without PATH-wal, no process has it open, and nothing is missing from it.
 * Without PATH-shm, the log's index can be in memory, as PATH is ours alone.
 */
static int
open_to_look(struct spool_db * db)
{
	enum which which;
	int code = open_file(db, db->path, SQLITE_OPEN_READONLY, &which);

	if (code == SQLITE_OK && which != WHICH_OURS)
		return (refuse_file(db, which));
	remember_files(db);
	if (code == SQLITE_OK && db->logs && !(db->has_wal && db->has_shm)) {
		bool alone = db->has_wal;

		close_database(db);
		if (alone)
			code = open_file(db, db->path, SQLITE_OPEN_READWRITE,
			    &which);
		else
			code = open_immutable(db, &which);
		if (code == SQLITE_OK && alone)
			code = execute(db, SPOOL_SQL_EXCLUSIVE);
	}
	return (code == SQLITE_OK ? execute(db, SPOOL_SQL_SETTINGS) : code);
}

static int
open_with(struct spool_db * db, bool wal)
{
	int persist = 1;
	enum which which;
	int code = open_file(db, db->path, SQLITE_OPEN_READWRITE, &which);

	if (code != SQLITE_OK)
		return (code);
	if (which == WHICH_OLD || (which == WHICH_OTHER && !db->known))
		return (refuse_file(db, which));
	/* SQLite would take it for a new database and delete the log. */
	if (which == WHICH_EMPTY && spool_file_size(db->path, "-wal") > 0)
		return (SQLITE_CORRUPT);
	db->known = db->known || which == WHICH_OURS;
	/* The log's blocks stay, so that a full disk can be drained. */
	sqlite3_file_control(db->db, "main", SQLITE_FCNTL_PERSIST_WAL,
	    &persist);
	return (set_modes(db, wal));
}

static int
open_database(struct spool_db * db)
{
	bool wal = !db->looks && !spool_file_is_remote(db->path);
	int code = db->looks ? open_to_look(db) : open_with(db, wal);
	size_t i;

	/* Memory cannot be shared, or PATH-shm cannot be created. */
	if (wal && ((code & 0xff) == SQLITE_CANTOPEN ||
	    (code & 0xff) == SQLITE_IOERR || code == SQLITE_FULL ||
	    code == SQLITE_PROTOCOL)) {
		close_database(db);
		code = open_with(db, false);
	}
	for (i = 0; i < STATEMENT_COUNT && code == SQLITE_OK; i++)
		code = sqlite3_prepare_v3(db->db, statement_texts[i], -1,
		    SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
	if (code == SQLITE_OK) {
		db->known = true;
		remember_files(db);
	}
	return (code);
}

/* Close or rescue the open files, and open those at PATH. */
static int
reopen(struct spool_db * db)
{
	int turn = -1;
	int code = db->looks ? SQLITE_OK : lock_turn(db, &turn);

	if (code != SQLITE_OK)
		return (code);
	if (db->db != NULL && !db->looks && !has_files(db))
		rescue(db);
	close_database(db);
	if ((db->looks ? stat(db->path, &db->file) :
	    spool_file_find(db->path, &db->file)) == 0)
		code = open_database(db);
	else
		code = fail_system(db, "");
	if (turn != -1)
		close(turn);
	return (code);
}

static void
rename_damaged(struct spool_db * db)
{
	int turn;
	int code = lock_turn(db, &turn);

	if (code == SQLITE_OK && has_files(db))
		spool_file_rename_damaged(db->path, db->why);
	close_database(db);
	if (code == SQLITE_OK)
		close(turn);
}

/* Uses */

static bool
is_damage(const struct spool_db * db, int code)
{

	return (db->known && !db->looks && ((code & 0xff) == SQLITE_CORRUPT ||
	    code == SQLITE_NOTADB || code == SQLITE_IOERR_SHORT_READ));
}

/* Keep the reason of a failure, roll back, and recognize a full disk. */
static int
end_step(struct spool_db * db, int code)
{
	int error = errno;
	bool of_system = (code & 0xff) == SQLITE_IOERR ||
	    (code & 0xff) == SQLITE_CANTOPEN;

	if (code == SQLITE_OK || db->db == NULL)
		return (code);
	/* SQLite does not always keep errno. */
	if (sqlite3_system_errno(db->db) != 0)
		error = sqlite3_system_errno(db->db);
	if (!of_system)
		error = 0;
	if (db->why[0] == '\0')
		snprintf(db->why, sizeof(db->why), "%s: %s (%d%s%s)",
		    db->path, sqlite3_extended_errcode(db->db) == code ?
		    sqlite3_errmsg(db->db) : sqlite3_errstr(code), code,
		    error != 0 ? ", " : "", error != 0 ? strerror(error) : "");
	if (!sqlite3_get_autocommit(db->db))
		execute(db, "ROLLBACK");
	if (code == SQLITE_TOOBIG || error == ENOSPC || error == EDQUOT ||
	    error == EFBIG)
		code = SQLITE_FULL;
	return (code);
}

/* Make sure that the files at PATH are open. */
static int
open_current(struct spool_db * db)
{
	int code;

	if (db->db != NULL && has_files(db)) {
		if (spool_file_size(db->path, "") == 0)
			return (end_step(db, SQLITE_CORRUPT));
		return (SQLITE_OK);
	}
	if (db->db == NULL && clock_monotonic() < db->next_try)
		return (db->last);
	code = end_step(db, reopen(db));
	if (code != SQLITE_OK && !is_damage(db, code))
		close_database(db);
	return (code);
}

/* Turn a result code into a result; log, and close after a failure. */
static enum spool_result
use_result(struct spool_db * db, int code)
{
	bool full = (code & 0xff) == SQLITE_FULL;
	uint64_t more;

	if (code == SQLITE_OK)
		return (SPOOL_DONE);
	if (code == SPOOL_DB_GONE)
		return (SPOOL_CHANGED);
	if (db->why[0] != '\0')
		memcpy(db->reason, db->why, sizeof(db->reason));
	if (full && log_allowed(&db->full, &more))
		log_warning("the spool is full: %s", db->why);
	if (full && db->db != NULL)
		return (db->doubt ? SPOOL_UNKNOWN : SPOOL_FULL);
	/* Without a reason, nothing was tried before next_try. */
	if ((code & 0xff) != SQLITE_BUSY && db->why[0] != '\0') {
		close_database(db);
		db->next_try = clock_monotonic() + RETRY_INTERVAL;
		db->last = code;
	}
	if (!full && db->why[0] != '\0' &&
	    log_allowed(&db->failed, &more))
		log_error("the spool cannot be used: %s", db->why);
	return (db->doubt ? SPOOL_UNKNOWN : full ? SPOOL_FULL : SPOOL_FAILED);
}

static int
set_limit(struct spool_db * db, enum spool_db_mode mode)
{
	char text[sizeof(SPOOL_SQL_LIMIT) + 32];
	uint64_t reserve = db->limit / 8 > RESERVE ? db->limit / 8 : RESERVE;
	uint64_t limit = spool_db_room(db);
	uint64_t pages;
	int code;

	if (mode == SPOOL_DB_DRAIN)
		limit += reserve;
	else if (mode == SPOOL_DB_FOLD)
		limit += reserve / 2;
	pages = limit / SPOOL_SQL_PAGE;
	if (pages == db->pages)
		return (SQLITE_OK);
	snprintf(text, sizeof(text), SPOOL_SQL_LIMIT,
	    (unsigned long long)pages);
	code = execute(db, text);
	db->pages = code == SQLITE_OK ? pages : 0;
	return (code);
}

/* Lazy, in WAL mode: a crash can lose the latest transactions, in order. */
static int
set_lazy(struct spool_db * db, bool lazy)
{
	int code;

	lazy = lazy && db->has_wal;
	if (lazy == db->lazy)
		return (SQLITE_OK);
	code = execute(db, lazy ? SPOOL_SQL_LAZY : SPOOL_SQL_EAGER);
	db->lazy = code == SQLITE_OK && lazy;
	return (code);
}

/*
 * SQLite gives the database to the process that asks first, which usually is
 * the one that has just had it.  So a process that waits for it holds
 * PATH.lock, and gets it next.  Files are rescued under the lock, too, so they
 * cannot change here.
 */
static int
begin(struct spool_db * db, enum spool_db_mode mode)
{
	int turn;
	int code = set_lazy(db, mode == SPOOL_DB_FOLD);

	if (code == SQLITE_OK)
		code = lock_turn(db, &turn);
	if (code != SQLITE_OK)
		return (code);
	if (!has_files(db))
		code = SQLITE_READONLY_DBMOVED;
	else
		code = spool_db_run(db->statements[STATEMENT_BEGIN]);
	if (code == SQLITE_OK)
		code = set_limit(db, mode);
	close(turn);
	return (code);
}

/* Write our mark; set ${done} if the transaction was stored before. */
static int
put_mark(struct spool_db * db, bool * done)
{
	sqlite3_stmt * statement = db->statements[STATEMENT_MARK];
	int64_t now = clock_monotonic();
	int code;

	sqlite3_bind_int64(statement, 1, db->writer);
	sqlite3_bind_int64(statement, 2, db->number);
	sqlite3_bind_int64(statement, 3, now);
	code = spool_db_run(statement);
	*done = code == SQLITE_OK && sqlite3_changes(db->db) == 0;
	if (code != SQLITE_OK || db->marked)
		return (code);
	db->marked = true;
	statement = db->statements[STATEMENT_FORGET_MARKS];
	sqlite3_bind_int64(statement, 1, now - MARK_LIFETIME);
	sqlite3_bind_int64(statement, 2, now);
	return (spool_db_run(statement));
}

static int
commit(struct spool_db * db, enum spool_db_mode mode)
{
	int64_t may = 0;
	int code = SQLITE_OK;

	if (mode != SPOOL_DB_APPEND)
		code = query_integer(db, SPOOL_SQL_MAY_SHRINK, &may);
	if (may && code == SQLITE_OK)
		code = execute(db, SPOOL_SQL_SHRINK);
	if (code != SQLITE_OK)
		return (code);
	CRASH_POINT("spool-commit");
	code = spool_db_run(db->statements[STATEMENT_COMMIT]);
	CRASH_POINT("spool-committed");
	if (code != SQLITE_OK && (code & 0xff) != SQLITE_FULL &&
	    (code & 0xff) != SQLITE_BUSY)
		db->doubt = true;
	return (code);
}

static int
write_step(struct spool_db * db, enum spool_db_mode mode,
    spool_db_step * step, void * context)
{
	bool done = false;
	int code = begin(db, mode);

	if (code == SQLITE_OK)
		code = put_mark(db, &done);
	if (code != SQLITE_OK)
		return (code);
	if (done) {
		execute(db, "ROLLBACK");
		db->doubt = false;
		return (SQLITE_OK);
	}
	code = step(db, context);
	return (code == SQLITE_OK ? commit(db, mode) : code);
}

enum spool_result
spool_db_use(struct spool_db * db, enum spool_db_mode mode,
    spool_db_step * step, void * context)
{
	int attempts = 3;
	int code;

	db->deadline = clock_monotonic() + USE_TIME_MAX;
	db->number++;
	db->doubt = false;
	do {
		bool doubt = db->doubt;

		db->why[0] = '\0';
		errno = 0;
		code = open_current(db);
		if (code == SQLITE_OK)
			code = end_step(db, mode == SPOOL_DB_READ ?
			    step(db, context) :
			    write_step(db, mode, step, context));
		if (is_damage(db, code))
			rename_damaged(db);
		else if (db->doubt && !doubt) {
			close_database(db);
			db->next_try = 0;
		} else if (db->db == NULL || (code == SQLITE_OK &&
		    mode == SPOOL_DB_READ) || has_files(db))
			break;
		else
			code = SQLITE_READONLY_DBMOVED;
	} while (--attempts > 0);
	if (code == SQLITE_OK)
		db->doubt = false;
	return (use_result(db, code));
}

/* For steps */

sqlite3_stmt *
spool_db_statement(struct spool_db * db, enum statement which)
{

	sqlite3_reset(db->statements[which]);
	return (db->statements[which]);
}

int
spool_db_run(sqlite3_stmt * statement)
{
	int code = sqlite3_step(statement);

	sqlite3_reset(statement);
	return (code == SQLITE_DONE ? SQLITE_OK : code);
}

int
spool_db_meta(struct spool_db * db, int64_t * generation, int64_t * last,
    int64_t * done)
{
	sqlite3_stmt * statement = spool_db_statement(db, STATEMENT_META);
	int code = sqlite3_step(statement);

	*generation = sqlite3_column_int64(statement, 0);
	*last = sqlite3_column_int64(statement, 1);
	*done = sqlite3_column_int64(statement, 2);
	sqlite3_reset(statement);
	return (code == SQLITE_ROW ? SQLITE_OK : SQLITE_CORRUPT);
}

int
spool_db_set_meta(struct spool_db * db, int64_t last, int64_t done)
{
	sqlite3_stmt * statement = spool_db_statement(db, STATEMENT_SET_META);

	sqlite3_bind_int64(statement, 1, last);
	sqlite3_bind_int64(statement, 2, done);
	return (spool_db_run(statement));
}

int
spool_db_changes(struct spool_db * db)
{

	return (sqlite3_changes(db->db));
}

const char *
spool_db_path(const struct spool_db * db)
{

	return (db->path);
}

const char *
spool_db_why(const struct spool_db * db)
{

	return (db->reason);
}

uint64_t
spool_db_room(const struct spool_db * db)
{
	uint64_t wal = db->limit / 8;

	if (wal > WAL_MAX)
		wal = WAL_MAX;
	return (db->limit - db->limit / 8 - wal);
}

struct spool_db *
spool_db_open(const char * path, uint64_t limit, bool looks)
{
	struct spool_db * db = alloc_zeroed(1, sizeof(*db));

	db->path = alloc_string(path);
	db->limit = limit < LIMIT_MIN ? LIMIT_MIN : limit;
	db->looks = looks;
	digest_random(&db->writer, sizeof(db->writer));
	return (db);
}

void
spool_db_free(struct spool_db * db)
{

	close_database(db);
	free(db->path);
	free(db);
}
