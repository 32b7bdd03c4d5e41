#include <string.h>

#include "lib/base/crashpoint.h"
#include "lib/spool/spool_parts.h"
#include "lib/tally/tally_codec.h"

/*
 * Fold.  The oldest records of the journal are added up in memory, as many as
 * fit, and their sum is written to the cells a piece at a time, so that no
 * append waits long for its turn.  `meta` holds the progress: the last record
 * in the sum, and how many of its nodes have been written.  The order of the
 * nodes depends on the records alone, so another process can continue from
 * there.  The transaction of the last piece removes the records.
 *
 * Each transaction that changes cells increments the generation.  A process
 * that has read cells, or is folding, and finds another generation, starts
 * again.
 *
 * What an outage costs depends on how many records a sum has: all records that
 * arrive while a sum is written have to fit into the next one.  So a sum can
 * have as many nodes as the memory of fold allows, and what many senders report
 * again and again is written once for hundreds of records.  The time of reading
 * is bounded, too, because the log cannot be moved to the database meanwhile.
 */
#define FOLD_NODES_MAX 100000
#define FOLD_RECORDS_MAX 4096
#define FOLD_READ_BYTES ((size_t)8 * 1024 * 1024)
#define FOLD_PIECE 500
#define FOLD_PIECE_MIN 4
#define FOLD_BYTES ((size_t)128 * 1024)

/* The journal */

/*
 * Add a record to the sum.  Return false if the sum ends before or with it.  A
 * damaged record ends the sum; if it is the first, it is the only one.
 */
static bool
add_record(struct spool * spool, sqlite3_stmt * statement, bool fixed)
{
	struct tally * tally = spool->tally;
	int64_t largest = sqlite3_column_int64(statement, 2);
	size_t length;
	const char * why;

	if (!tally_empty(tally) && !fixed &&
	    (tally->node_count >= FOLD_NODES_MAX || largest < 0 ||
	    tally->largest > (uint64_t)(INT64_MAX - largest)))
		return (false);
	length = (size_t)sqlite3_column_bytes(statement, 3);
	why = tally_codec_decode(tally, length == 0 ? "" :
	    sqlite3_column_blob(statement, 3), length);
	if (why != NULL && spool->first != 0 && !fixed)
		return (false);
	spool->last = sqlite3_column_int64(statement, 0);
	if (spool->first == 0) {
		spool->first = spool->last;
		spool->since = sqlite3_column_int64(statement, 1);
	}
	if (why != NULL)
		spool->damage = why;
	return (why == NULL);
}

/* Load the next records into the sum, up to the horizon.  If a fold is under
 * way, load exactly its records, and skip the nodes written already. */
static int
load_step(struct spool_db * db, void * context)
{
	struct spool * spool = context;
	sqlite3_stmt * statement;
	int64_t last;
	size_t count = 0;
	size_t bytes = 0;
	int code = spool_db_meta(db, &spool->generation, &last, &spool->done);

	if (code != SQLITE_OK)
		return (code);
	arena_reset(spool->arena);
	spool->tally = tally_create(spool->arena);
	spool->first = spool->last = 0;
	spool->damage = NULL;
	if (spool->horizon == 0) {
		statement = spool_db_statement(db, STATEMENT_JOURNAL_LAST);
		sqlite3_step(statement);
		spool->horizon = sqlite3_column_int64(statement, 0);
		sqlite3_reset(statement);
	}
	statement = spool_db_statement(db, STATEMENT_JOURNAL);
	sqlite3_bind_int64(statement, 1, last == 0 ? spool->horizon : last);
	while ((code = sqlite3_step(statement)) == SQLITE_ROW && (last != 0 ||
	    (count++ < FOLD_RECORDS_MAX && bytes < FOLD_READ_BYTES))) {
		bytes += (size_t)sqlite3_column_bytes(statement, 3);
		if (!add_record(spool, statement, last != 0))
			break;
	}
	sqlite3_reset(statement);
	if (last != 0 && spool->damage != NULL)
		spool->last = last;
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return (code);
	spool->next = spool->tally->root->first;
	for (last = spool->done; last > 0 && spool->next != NULL; last--)
		spool->next = tally_next(spool->next);
	return (SQLITE_OK);
}

/* Cells */

/* Find or add the tag of an application, an environment, or all tokens. */
static int
find_tag(struct spool * spool, struct spool_db * db,
    const struct tally_node * node)
{
	static const struct tally_node none = { .name = "", .length = 0 };
	const struct tally_node * environment =
	    node->kind == TALLY_APPLICATION ? node->parent :
	    node->kind == TALLY_ENVIRONMENT ? node : &none;
	const struct tally_node * application =
	    node->kind == TALLY_APPLICATION ? node : &none;
	sqlite3_stmt * statements[2] = {
		spool_db_statement(db, STATEMENT_TAG_ADD),
		spool_db_statement(db, STATEMENT_TAG_FIND),
	};
	int code, i;

	if (node == spool->tagged)
		return (SQLITE_OK);
	for (i = 0; i < 2; i++) {
		sqlite3_bind_int(statements[i], 1, (int)node->kind);
		sqlite3_bind_blob64(statements[i], 2, environment->name,
		    environment->length, SQLITE_STATIC);
		sqlite3_bind_blob64(statements[i], 3, application->name,
		    application->length, SQLITE_STATIC);
	}
	sqlite3_bind_int64(statements[0], 4, spool->since);
	code = spool_db_run(statements[0]);
	if (code != SQLITE_OK)
		return (code);
	code = sqlite3_step(statements[1]);
	spool->tag = sqlite3_column_int64(statements[1], 0);
	sqlite3_reset(statements[1]);
	spool->tagged = node;
	return (code == SQLITE_ROW ? SQLITE_OK : SQLITE_CORRUPT);
}

static void
bind_name(sqlite3_stmt * statement, int column,
    const struct tally_node * node)
{

	sqlite3_bind_blob64(statement, column, node == NULL ||
	    node->length == 0 ? "" : node->name, node == NULL ? 0 :
	    node->length, SQLITE_STATIC);
}

static void
bind_numbers(sqlite3_stmt * statement, uint64_t a, uint64_t b)
{

	sqlite3_bind_int64(statement, 7, (sqlite3_int64)a);
	sqlite3_bind_int64(statement, 8, (sqlite3_int64)b);
}

static void
bind_text(sqlite3_stmt * statement, const struct tally_node * node)
{

	sqlite3_bind_int64(statement, 10, node->when);
	sqlite3_bind_blob64(statement, 11, node->text == NULL ? "" :
	    node->text, node->text_length, SQLITE_STATIC);
}

/* Bind the part, the name and the leaf of a cell; all but the name may be
 * NULL. */
static void
bind_path(sqlite3_stmt * statement, const struct tally_node * part,
    const struct tally_node * name, const struct tally_node * leaf)
{

	if (part != NULL && part->kind == TALLY_BUCKET)
		sqlite3_bind_int64(statement, 3, part->period);
	else
		bind_name(statement, 3, part);
	bind_name(statement, 4, name);
	bind_name(statement, 5, leaf);
}

/* A series includes its metric's help, so that it can be taken alone. */
static void
bind_cell(sqlite3_stmt * statement, const struct tally_node * node)
{

	sqlite3_clear_bindings(statement);
	sqlite3_bind_int(statement, 6, (int)node->kind);
	bind_numbers(statement, 0, 0);
	switch (node->kind) {
	case TALLY_FEATURE:
		bind_path(statement, node->parent, node, NULL);
		bind_numbers(statement, node->yes, node->no);
		break;
	case TALLY_VARIANT:
	case TALLY_BOUND:
		bind_path(statement, node->parent->parent, node->parent, node);
		bind_numbers(statement, node->count, 0);
		break;
	case TALLY_INSTANCE:
		bind_path(statement, NULL, node, NULL);
		bind_text(statement, node);
		break;
	case TALLY_SERIES:
		bind_path(statement, node->parent, node, NULL);
		bind_numbers(statement, node->count, 0);
		bind_text(statement, node->parent);
		sqlite3_bind_double(statement, 9, node->value);
		if (tally_metric_type(node->parent) == TALLY_GAUGE)
			sqlite3_bind_int64(statement, 10, node->when);
		break;
	default:
		bind_path(statement, NULL, node, NULL);
		sqlite3_bind_int64(statement, 10, 0);
		break;
	}
}

static bool
takes_latest(const struct tally_node * node)
{

	return (node->kind == TALLY_INSTANCE || node->kind == TALLY_TOKEN ||
	    (node->kind == TALLY_SERIES &&
	    tally_metric_type(node->parent) == TALLY_GAUGE));
}

/* Return the node of the tag for a node's cell; NULL: the node has no cell. */
static const struct tally_node *
tag_node(const struct tally_node * node)
{

	switch (node->kind) {
	case TALLY_VARIANT:
	case TALLY_BOUND:
		return (node->parent->parent->parent);
	case TALLY_FEATURE:
		return (node->yes == 0 && node->no == 0 ? NULL :
		    node->parent->parent);
	case TALLY_SERIES:
		return (node->parent->parent);
	case TALLY_INSTANCE:
		return (node->parent);
	case TALLY_APPLICATION:
		/* One without counts was still seen. */
		return (node->first == NULL ? node : NULL);
	case TALLY_TOKEN:
		return (node);
	default:
		return (NULL);
	}
}

/* All tokens have one tag, which has their kind and no name. */
static int
write_cell(struct spool * spool, struct spool_db * db,
    const struct tally_node * node)
{
	static const struct tally_node tokens = { .kind = TALLY_TOKEN };
	const struct tally_node * tag = tag_node(node);
	bool latest = takes_latest(node);
	sqlite3_stmt * statement;
	int64_t lap = 0;
	int code;

	if (tag == NULL)
		return (SQLITE_OK);
	code = find_tag(spool, db, node->kind == TALLY_TOKEN ? &tokens : tag);
	statement = spool_db_statement(db, latest ? STATEMENT_CELL_LATEST :
	    STATEMENT_CELL_ADD);
	bind_cell(statement, node);
	sqlite3_bind_int64(statement, 1, spool->tag);
	if (code == SQLITE_OK)
		do {
			sqlite3_bind_int64(statement, 2, lap++);
			code = spool_db_run(statement);
		} while (code == SQLITE_OK && !latest &&
		    spool_db_changes(db) == 0);
	sqlite3_clear_bindings(statement);
	return (code);
}

static int
remove_records(struct spool * spool, struct spool_db * db)
{
	sqlite3_stmt * statement = spool_db_statement(db,
	    STATEMENT_JOURNAL_REMOVE);

	sqlite3_bind_int64(statement, 1, 0);
	sqlite3_bind_int64(statement, 2, spool->last);
	return (spool_db_run(statement));
}

/* Write one piece.  spool->end and count are used once it is committed. */
static int
fold_step(struct spool_db * db, void * context)
{
	struct spool * spool = context;
	const struct tally_node * node = spool->next;
	int64_t generation, last, done;
	int64_t count = 0;
	size_t bytes = 0;
	int code = spool_db_meta(db, &generation, &last, &done);

	if (code != SQLITE_OK)
		return (code);
	if (generation != spool->generation)
		return (SPOOL_DB_GONE);
	spool->tagged = NULL;
	for (; node != NULL && count < spool->piece && bytes < FOLD_BYTES;
	    count++) {
		code = write_cell(spool, db, node);
		if (code != SQLITE_OK)
			return (code);
		bytes += node->length;
		if (node->kind == TALLY_INSTANCE)
			bytes += node->text_length;
		node = tally_next(node);
	}
	spool->end = node;
	spool->count = count;
	if (node == NULL)
		code = remove_records(spool, db);
	if (code == SQLITE_OK)
		code = spool_db_set_meta(db, node == NULL ? 0 : spool->last,
		    node == NULL ? 0 : spool->done + count);
	return (code);
}

/* Quarantine damaged records, for the operator to inspect. */
static int
discard_step(struct spool_db * db, void * context)
{
	struct spool * spool = context;
	sqlite3_stmt * journal = spool_db_statement(db, STATEMENT_JOURNAL);
	sqlite3_stmt * add = spool_db_statement(db,
	    STATEMENT_QUARANTINE_ADD);
	int code;

	sqlite3_bind_int64(journal, 1, spool->last);
	while ((code = sqlite3_step(journal)) == SQLITE_ROW) {
		sqlite3_bind_int64(add, 1, sqlite3_column_int64(journal, 1));
		sqlite3_bind_text(add, 2, spool->damage, -1, SQLITE_STATIC);
		sqlite3_bind_value(add, 3, sqlite3_column_value(journal, 3));
		code = spool_db_run(add);
		if (code != SQLITE_OK)
			break;
	}
	sqlite3_reset(journal);
	if (code == SQLITE_DONE)
		code = remove_records(spool, db);
	return (code == SQLITE_OK ? spool_db_set_meta(db, 0, 0) : code);
}

static enum spool_result
discard_damaged(struct spool * spool, bool * more)
{

	log_error_limited("a record of the spool is quarantined: %s",
	    spool->damage);
	*more = true;
	spool->tally = NULL;
	return (spool_db_use(spool->db, SPOOL_DB_DRAIN, discard_step, spool));
}

enum spool_result
spool_fold(struct spool * spool, bool begin, bool * more)
{
	enum spool_result result = SPOOL_DONE;

	*more = false;
	if (begin)
		spool->horizon = 0;
	if (spool->tally == NULL)
		result = spool_db_use(spool->db, SPOOL_DB_READ, load_step,
		    spool);
	if (result != SPOOL_DONE || (spool->last == 0 && spool->first == 0)) {
		spool->tally = NULL;
		return (result);
	}
	if (spool->damage != NULL)
		return (discard_damaged(spool, more));
	CRASH_POINT("fold-piece");
	result = spool_db_use(spool->db, SPOOL_DB_FOLD, fold_step, spool);
	CRASH_POINT("fold-stored");
	*more = true;
	/* A smaller piece may fit. */
	if (result == SPOOL_FULL && spool->piece > FOLD_PIECE_MIN) {
		spool->piece /= 4;
		return (SPOOL_CHANGED);
	}
	if (result != SPOOL_DONE) {
		spool->tally = NULL;
		*more = result == SPOOL_CHANGED;
		return (result);
	}
	if (spool->piece < FOLD_PIECE)
		spool->piece *= 2;
	spool->next = spool->end;
	spool->done += spool->count;
	spool->generation++;
	if (spool->next == NULL) {
		spool->tally = NULL;
		arena_reset(spool->arena);
	}
	return (SPOOL_DONE);
}
