#ifndef FLAGTALLY_SPOOL_SQL_H
#define FLAGTALLY_SPOOL_SQL_H

/* The SQL of the spool: included by spool_db.h. */

#define SPOOL_SQL_PAGE 4096

/* "flag", in the file's header (sqlite.org/fileformat2, offset 68). */
#define SPOOL_SQL_APPLICATION 0x666c6167
#define SPOOL_SQL_VERSION 2

/* EXTRA is FULL that also holds for DELETE mode: it syncs the directory. */
#define SPOOL_SQL_SETTINGS \
	"PRAGMA synchronous=EXTRA; PRAGMA cache_size=-2048;" \
	"PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;" \
	"PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=2097152;"

#define SPOOL_SQL_WAL \
	"PRAGMA journal_mode=WAL; SELECT 1 FROM sqlite_master"

/* Without EXCLUSIVE, a file in WAL mode would need shared memory. */
#define SPOOL_SQL_EXCLUSIVE "PRAGMA locking_mode=EXCLUSIVE"
#define SPOOL_SQL_JOURNAL \
	"PRAGMA journal_mode=DELETE; PRAGMA locking_mode=NORMAL;" \
	"SELECT 1 FROM sqlite_master"

#define SPOOL_SQL_EAGER "PRAGMA synchronous=EXTRA"
#define SPOOL_SQL_LAZY "PRAGMA synchronous=NORMAL"
#define SPOOL_SQL_CHECKPOINT "PRAGMA wal_autocheckpoint=%d"

/* The values of enum which in spool_db.c. */
#define SPOOL_SQL_WHICH \
	"SELECT CASE WHEN application_id = 0x666c6167 THEN " \
	"iif(user_version = 2, 1, -1) WHEN application_id = 0 AND " \
	"user_version = 0 AND NOT EXISTS (SELECT 1 FROM sqlite_master) " \
	"THEN 0 ELSE -2 END FROM pragma_application_id, pragma_user_version"

/*
 * The header is written before WAL mode begins, so that identify_file can read
 * it from the file.  A cell's part is the period of a bucket, or the name of a
 * metric with its type; its name is that of a feature, an instance, a token, or
 * a series' labels; its leaf is that of a variant or a bound.  A sum that would
 * exceed 2^63-1 continues in the next lap.  The arguments are the ids before
 * the first call and quarantined call, and a random generation, so that ids and
 * generations of an earlier file are not used again.
 */
#define SPOOL_SQL_SCHEMA \
	"PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL;" \
	"BEGIN IMMEDIATE;" \
	"CREATE TABLE meta (id INTEGER PRIMARY KEY, generation INTEGER, " \
	"fold_last INTEGER, fold_done INTEGER);" \
	"CREATE TABLE mark (writer INTEGER PRIMARY KEY, number INTEGER, " \
	"since INTEGER);" \
	"CREATE TABLE journal (id INTEGER PRIMARY KEY, since INTEGER, " \
	"largest INTEGER, bytes BLOB);" \
	"CREATE TABLE tag (id INTEGER PRIMARY KEY AUTOINCREMENT, " \
	"kind INTEGER, environment BLOB, application BLOB, since INTEGER, " \
	"UNIQUE (kind, environment, application));" \
	"CREATE TABLE cell (tag INTEGER, lap INTEGER, part, name BLOB, " \
	"leaf BLOB, kind INTEGER, a INTEGER, b INTEGER, value REAL, " \
	"at INTEGER, text BLOB, " \
	"PRIMARY KEY (tag, lap, part, name, leaf, kind)) WITHOUT ROWID;" \
	"CREATE TABLE call (id INTEGER PRIMARY KEY AUTOINCREMENT, " \
	"tag INTEGER, since INTEGER, stored INTEGER, counters INTEGER, " \
	"bytes BLOB);" \
	"CREATE INDEX call_tag ON call (tag);" \
	"CREATE TABLE quarantine (id INTEGER PRIMARY KEY AUTOINCREMENT, " \
	"since INTEGER, reason TEXT, bytes BLOB);" \
	"INSERT INTO sqlite_sequence VALUES ('call', %lld), " \
	"('quarantine', %lld);" \
	"INSERT INTO meta VALUES (1, %lld, 0, 0);" \
	"PRAGMA application_id=0x666c6167; PRAGMA user_version=2; COMMIT"

/* The argument is the number of pages that the file can have. */
#define SPOOL_SQL_LIMIT "PRAGMA max_page_count=%llu"

/* Free pages are used again.  If most pages are free, shrink the file. */
#define SPOOL_SQL_MAY_SHRINK \
	"SELECT freelist_count > 256 AND freelist_count * 2 > page_count " \
	"FROM pragma_freelist_count, pragma_page_count"
#define SPOOL_SQL_SHRINK "PRAGMA incremental_vacuum(128)"

/* Statements that are prepared when the file is opened. */
enum statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_MARK,
	STATEMENT_FORGET_MARKS,
	STATEMENT_APPEND,
	STATEMENT_JOURNAL,
	STATEMENT_JOURNAL_LAST,
	STATEMENT_JOURNAL_REMOVE,
	STATEMENT_META,
	STATEMENT_SET_META,
	STATEMENT_TAG_ADD,
	STATEMENT_TAG_FIND,
	STATEMENT_TAG_FREE,
	STATEMENT_TAG_REMOVE,
	STATEMENT_CELL_ADD,
	STATEMENT_CELL_LATEST,
	STATEMENT_CELLS,
	STATEMENT_CELLS_REMOVE,
	STATEMENT_CALL_ADD,
	STATEMENT_CALL_TAG,
	STATEMENT_CALL_REMOVE,
	STATEMENT_CALLS,
	STATEMENT_QUARANTINE_ADD,
	STATEMENT_QUARANTINE_REMOVE,
	STATEMENT_QUARANTINE,
	STATEMENT_QUEUED,
	STATEMENT_DEPTH,
	STATEMENT_USED,
	STATEMENT_COUNT,
};

static const char * const statement_texts[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	/* Changes nothing if the transaction of this number was stored. */
	[STATEMENT_MARK] = "INSERT INTO mark VALUES (?1, ?2, ?3) "
	    "ON CONFLICT (writer) DO UPDATE SET number = excluded.number, "
	    "since = excluded.since WHERE number < excluded.number",
	[STATEMENT_FORGET_MARKS] = "DELETE FROM mark "
	    "WHERE since NOT BETWEEN ?1 AND ?2",
	[STATEMENT_APPEND] = "INSERT INTO journal (since, largest, bytes) "
	    "VALUES (?1, ?2, ?3)",
	[STATEMENT_JOURNAL] = "SELECT id, since, largest, bytes FROM journal "
	    "WHERE id <= ?1 ORDER BY id",
	[STATEMENT_JOURNAL_LAST] = "SELECT max(id) FROM journal",
	[STATEMENT_JOURNAL_REMOVE] = "DELETE FROM journal "
	    "WHERE id BETWEEN ?1 AND ?2",
	[STATEMENT_META] = "SELECT generation, fold_last, fold_done "
	    "FROM meta WHERE id = 1",
	[STATEMENT_SET_META] = "UPDATE meta SET generation = generation + 1, "
	    "fold_last = ?1, fold_done = ?2 WHERE id = 1",
	[STATEMENT_TAG_ADD] = "INSERT INTO tag (kind, environment, "
	    "application, since) VALUES (?1, ?2, ?3, ?4) "
	    "ON CONFLICT DO NOTHING",
	[STATEMENT_TAG_FIND] = "SELECT id FROM tag WHERE kind = ?1 "
	    "AND environment = ?2 AND application = ?3",
	[STATEMENT_TAG_FREE] = "SELECT id, kind, environment, application "
	    "FROM tag WHERE id > ?1 AND NOT EXISTS "
	    "(SELECT 1 FROM call WHERE call.tag = tag.id) ORDER BY id",
	[STATEMENT_TAG_REMOVE] = "DELETE FROM tag WHERE id = ?1 "
	    "AND NOT EXISTS (SELECT 1 FROM cell WHERE cell.tag = ?1) "
	    "AND NOT EXISTS (SELECT 1 FROM call WHERE call.tag = ?1)",
	[STATEMENT_CELL_ADD] = "INSERT INTO cell VALUES "
	    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
	    "ON CONFLICT DO UPDATE SET a = a + excluded.a, "
	    "b = b + excluded.b, value = iif(abs(value + excluded.value) "
	    "<= 1.7976931348623157e308, value + excluded.value, value), "
	    "at = excluded.at, text = excluded.text "
	    "WHERE a <= 9223372036854775807 - excluded.a "
	    "AND b <= 9223372036854775807 - excluded.b",
	[STATEMENT_CELL_LATEST] = "INSERT INTO cell VALUES "
	    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
	    "ON CONFLICT DO UPDATE SET value = excluded.value, "
	    "at = excluded.at, text = excluded.text",
	[STATEMENT_CELLS] = "SELECT lap, part, name, leaf, kind, a, b, value, "
	    "at, text FROM cell WHERE tag = ?1 "
	    "ORDER BY tag, lap, part, name, leaf, kind",
	[STATEMENT_CELLS_REMOVE] = "DELETE FROM cell WHERE tag = ?1 AND "
	    "(lap, part, name, leaf, kind) <= (?2, ?3, ?4, ?5, ?6)",
	[STATEMENT_CALL_ADD] = "INSERT INTO call (tag, since, stored, "
	    "counters, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
	[STATEMENT_CALL_TAG] = "SELECT tag FROM call WHERE id = ?1",
	[STATEMENT_CALL_REMOVE] = "DELETE FROM call WHERE id = ?1",
	[STATEMENT_CALLS] = "SELECT id, since, '', bytes, tag, counters, "
	    "stored FROM call WHERE id > ?1 ORDER BY id",
	[STATEMENT_QUARANTINE_ADD] = "INSERT INTO quarantine (since, reason, "
	    "bytes) VALUES (?1, ?2, ?3)",
	[STATEMENT_QUARANTINE_REMOVE] = "DELETE FROM quarantine "
	    "WHERE id = ?1",
	[STATEMENT_QUARANTINE] = "SELECT id, since, reason, bytes, 0, 0, 0 "
	    "FROM quarantine WHERE id > ?1 ORDER BY id",
	[STATEMENT_QUEUED] = "SELECT id, since, 'not sorted yet', "
	    "bytes, 0, 0, 0 FROM journal UNION ALL SELECT id, since, "
	    "'counters of ' || CASE kind WHEN 10 THEN 'tokens that were seen' "
	    "WHEN 1 THEN environment ELSE environment || ':' || application "
	    "END, NULL, id, 0, 0 FROM tag WHERE id > ?1 AND EXISTS "
	    "(SELECT 1 FROM cell WHERE cell.tag = tag.id)",
	[STATEMENT_DEPTH] = "SELECT count(*), total(length(bytes)), "
	    "min(since) FROM call UNION ALL SELECT count(*), "
	    "total(length(bytes)), min(since) FROM quarantine "
	    "UNION ALL SELECT count(*), 0, min(since) FROM journal "
	    "UNION ALL SELECT count(*), 0, min(since) FROM tag WHERE EXISTS "
	    "(SELECT 1 FROM cell WHERE cell.tag = tag.id)",
	[STATEMENT_USED] = "SELECT (page_count - freelist_count) * 4096 "
	    "FROM pragma_freelist_count, pragma_page_count",
};

#endif
