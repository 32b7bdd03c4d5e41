#ifndef FLAGTALLY_SPOOL_DB_H
#define FLAGTALLY_SPOOL_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/spool/spool.h"
#include "lib/spool/spool_sql.h"

/*
 * The spool's database, as a file that several processes use, that can be
 * damaged, replaced or deleted while it is open, and whose disk can fail.
 */
struct spool_db;

/* A step returns this for SPOOL_CHANGED; SQLite itself never does. */
#define SPOOL_DB_GONE SQLITE_NOTFOUND

enum spool_db_mode {
	SPOOL_DB_READ,
	SPOOL_DB_APPEND,	/* Leaves the reserve free. */
	SPOOL_DB_FOLD,		/* Leaves half of it free; lazy: a crash of
				 * the host can undo it. */
	SPOOL_DB_DRAIN,		/* Can use the reserve. */
};

/**
 * spool_db_open(path, limit, looks):
 * Return the database; see spool_open.  The first use opens it.
 */
struct spool_db * spool_db_open(const char * path, uint64_t limit, bool looks);

/* A step returns a result code of SQLite, or SPOOL_DB_GONE. */
typedef int spool_db_step(struct spool_db * db, void * context);

/**
 * spool_db_use(db, mode, step, context):
 * Run ${step}, in a transaction unless it only reads.  It can be run again from
 * its start, on another file.  Return SPOOL_CHANGED if it returns
 * SPOOL_DB_GONE.
 */
enum spool_result spool_db_use(struct spool_db * db, enum spool_db_mode mode,
    spool_db_step * step, void * context);

/**
 * spool_db_statement(db, which):
 * Return a statement for a step, reset.
 */
sqlite3_stmt * spool_db_statement(struct spool_db * db, enum statement which);

/**
 * spool_db_run(statement):
 * Run a statement that returns no rows.  Return a result code.
 */
int spool_db_run(sqlite3_stmt * statement);

/**
 * spool_db_meta(db, generation, last, done):
 * spool_db_set_meta(db, last, done):
 * For steps: read the generation of the cells and the progress of fold, or
 * begin the next generation.  Return a result code.
 */
int spool_db_meta(struct spool_db * db, int64_t * generation, int64_t * last,
    int64_t * done);
int spool_db_set_meta(struct spool_db * db, int64_t last, int64_t done);

/**
 * spool_db_changes(db):
 * Return the number of rows that the last statement changed.
 */
int spool_db_changes(struct spool_db * db);

/**
 * spool_db_path(db):
 * spool_db_why(db):
 * Return the path, and the reason of the last failure, or "".
 */
const char * spool_db_path(const struct spool_db * db);
const char * spool_db_why(const struct spool_db * db);

/**
 * spool_db_room(db):
 * Return how many bytes the database can have for SPOOL_DB_APPEND.
 */
uint64_t spool_db_room(const struct spool_db * db);

/**
 * spool_db_free(db):
 * Close and free the database.
 */
void spool_db_free(struct spool_db * db);

#endif
