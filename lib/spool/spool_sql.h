#ifndef FLAGTALLY_SPOOL_SQL_H
#define FLAGTALLY_SPOOL_SQL_H

/* Part of spool.c: what it says to SQLite. */

#define SPOOL_SQL_PAGE 4096

/* EXTRA is FULL that also holds for DELETE mode: it syncs the directory. */
#define SPOOL_SQL_SETTINGS \
	"PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL;" \
	"PRAGMA synchronous=EXTRA; PRAGMA cache_size=-512;" \
	"PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;" \
	"PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=2097152;" \
	"PRAGMA wal_autocheckpoint=512;"

#define SPOOL_SQL_WAL SPOOL_SQL_SETTINGS \
	"PRAGMA journal_mode=WAL; SELECT 1 FROM sqlite_master"

/* Without EXCLUSIVE a file in WAL mode would need memory that is shared. */
#define SPOOL_SQL_JOURNAL \
	"PRAGMA locking_mode=EXCLUSIVE;" SPOOL_SQL_SETTINGS \
	"PRAGMA journal_mode=DELETE; PRAGMA locking_mode=NORMAL;" \
	"SELECT 1 FROM sqlite_master"

/* 1: it is ours; 0: it is empty; -1: it is something else. */
#define SPOOL_SQL_WHICH \
	"SELECT CASE WHEN user_version = 1 THEN 1 WHEN user_version = 0 AND " \
	"NOT EXISTS (SELECT 1 FROM sqlite_master) THEN 0 ELSE -1 END " \
	"FROM pragma_user_version"

/* With the id before the first.  The index has all that a depth needs. */
#define SPOOL_SQL_SCHEMA \
	"BEGIN IMMEDIATE;" \
	"CREATE TABLE record (id INTEGER PRIMARY KEY AUTOINCREMENT, " \
	"kind INTEGER NOT NULL, since INTEGER NOT NULL, " \
	"counters INTEGER NOT NULL, weight INTEGER NOT NULL, " \
	"length INTEGER NOT NULL, reason TEXT NOT NULL, " \
	"bytes BLOB NOT NULL);" \
	"CREATE INDEX record_kind ON record (kind, id, since, length);" \
	"INSERT INTO sqlite_sequence VALUES ('record', %lld);" \
	"PRAGMA user_version=1; COMMIT"

#define SPOOL_SQL_BEGIN "BEGIN IMMEDIATE"
#define SPOOL_SQL_COMMIT "COMMIT"

/* With the number of pages that the file may have. */
#define SPOOL_SQL_LIMIT "PRAGMA max_page_count=%llu"

/* Free pages are used again; they are given back when they are most. */
#define SPOOL_SQL_MAY_SHRINK \
	"SELECT freelist_count > 64 AND freelist_count * 2 > page_count " \
	"FROM pragma_freelist_count, pragma_page_count"
#define SPOOL_SQL_SHRINK "PRAGMA incremental_vacuum(256)"

#define SPOOL_SQL_INSERT \
	"INSERT INTO record (kind, since, counters, weight, length, " \
	"reason, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)"
#define SPOOL_SQL_DELETE "DELETE FROM record WHERE id = ?"
#define SPOOL_SQL_READ \
	"SELECT id, since, counters, weight, reason, bytes FROM record " \
	"WHERE kind = ? AND id > ? ORDER BY id"
#define SPOOL_SQL_DEPTH \
	"SELECT count(*), sum(length), min(since) FROM record WHERE kind = ?"

/* What is prepared once for each opening. */
enum statement {
	STATEMENT_INSERT,
	STATEMENT_DELETE,
	STATEMENT_READ,
	STATEMENT_DEPTH,
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_COUNT,
};

static const char * const statement_texts[STATEMENT_COUNT] = {
	[STATEMENT_INSERT] = SPOOL_SQL_INSERT,
	[STATEMENT_DELETE] = SPOOL_SQL_DELETE,
	[STATEMENT_READ] = SPOOL_SQL_READ,
	[STATEMENT_DEPTH] = SPOOL_SQL_DEPTH,
	[STATEMENT_BEGIN] = SPOOL_SQL_BEGIN,
	[STATEMENT_COMMIT] = SPOOL_SQL_COMMIT,
};

#endif
