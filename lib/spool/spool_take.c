#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/spool/spool_parts.h"

/* The most that spool_take reads, so that the transactions that follow stay
 * short.  A call has at most TAKE_CALL_CELLS cells. */
#define TAKE_CALLS_MAX 128
#define TAKE_CELLS_MAX 4000
#define TAKE_BYTES_MAX ((size_t)256 * 1024)
#define TAKE_CALL_CELLS 500

/* Taking cells */

/* The state of a spool_take. */
struct taking {
	struct spool * spool;
	int64_t after;
	size_t counters_max;
	struct tally * tally;
	struct spool_batch * batch;
	size_t calls, cells, bytes;
	size_t part_cells;		/* Of the current bucket or metric. */
};

/* The key of a cell: lap, part, name, leaf and kind. */
struct cell_key {
	sqlite3_value * values[5];
};

static void
text_column(sqlite3_stmt * statement, int column, struct tally_node * node)
{
	const void * bytes = sqlite3_column_blob(statement, column);

	node->length = (size_t)sqlite3_column_bytes(statement, column);
	node->name = bytes == NULL ? "" : bytes;
}

static struct tally_node *
put_under(struct taking * taking, struct tally_node * parent,
    enum tally_kind kind, sqlite3_stmt * statement, int column)
{
	struct tally_node node = { .kind = TALLY_ROOT };

	text_column(statement, column, &node);
	return (tally_child(taking->tally, parent, kind, node.name,
	    node.length));
}

/* Read the text of a row, and its time, into a node. */
static void
row_text(sqlite3_stmt * statement, struct tally_node * node)
{
	const void * bytes = sqlite3_column_blob(statement, 9);

	node->text = bytes == NULL ? "" : bytes;
	node->text_length = (size_t)sqlite3_column_bytes(statement, 9);
	node->when = sqlite3_column_int64(statement, 8);
}

static uint64_t
row_count(sqlite3_stmt * statement, int column)
{
	int64_t count = sqlite3_column_int64(statement, column);

	return (count < 0 ? 0 : (uint64_t)count);
}

/* Put a series into the tally, and its metric with the help in the row. */
static void
put_series(struct taking * taking, struct tally_node * environment,
    sqlite3_stmt * statement, struct tally_node * node)
{
	struct tally_node metric = { .kind = TALLY_METRIC };

	text_column(statement, 1, &metric);
	if (metric.length == 0)
		return;
	row_text(statement, &metric);
	node->value = sqlite3_column_double(statement, 7);
	node->count = row_count(statement, 5);
	node->when = metric.when;
	tally_put(taking->tally, tally_put(taking->tally, environment,
	    &metric), node);
}

static void
put_row(struct taking * taking, struct tally_node * parent,
    sqlite3_stmt * statement)
{
	struct tally * tally = taking->tally;
	struct tally_node node = { .kind =
	    (enum tally_kind)sqlite3_column_int(statement, 4) };

	text_column(statement, 2, &node);
	switch (node.kind) {
	case TALLY_FEATURE:
		parent = tally_bucket(tally, parent,
		    sqlite3_column_int64(statement, 1));
		node.yes = row_count(statement, 5);
		node.no = row_count(statement, 6);
		break;
	case TALLY_VARIANT:
		parent = put_under(taking, tally_bucket(tally, parent,
		    sqlite3_column_int64(statement, 1)), TALLY_FEATURE,
		    statement, 2);
		text_column(statement, 3, &node);
		node.count = row_count(statement, 5);
		break;
	case TALLY_BOUND:
		parent = put_under(taking, put_under(taking, parent,
		    TALLY_METRIC, statement, 1), TALLY_SERIES, statement, 2);
		text_column(statement, 3, &node);
		node.count = row_count(statement, 5);
		break;
	case TALLY_INSTANCE:
		row_text(statement, &node);
		break;
	case TALLY_SERIES:
		put_series(taking, parent, statement, &node);
		return;
	case TALLY_APPLICATION:
		/* It is the parent, which exists. */
		return;
	default:
		break;
	}
	tally_put(tally, parent, &node);
}

/* Return whether a row has the key's values in the columns up to ${column}. */
static bool
agrees(const struct cell_key * key, sqlite3_stmt * statement, int column)
{
	int i;

	for (i = 0; i <= column; i++) {
		sqlite3_value * value = sqlite3_column_value(statement, i);
		int length;

		if (sqlite3_value_type(value) !=
		    sqlite3_value_type(key->values[i]))
			return (false);
		if (sqlite3_value_type(value) == SQLITE_INTEGER) {
			if (sqlite3_value_int64(value) !=
			    sqlite3_value_int64(key->values[i]))
				return (false);
			continue;
		}
		length = sqlite3_value_bytes(value);
		if (length != sqlite3_value_bytes(key->values[i]) ||
		    (length > 0 && memcmp(sqlite3_value_blob(value),
		    sqlite3_value_blob(key->values[i]), (size_t)length) != 0))
			return (false);
	}
	return (true);
}

static void
forget_key(struct cell_key * key)
{
	int i;

	for (i = 0; i < 5; i++) {
		sqlite3_value_free(key->values[i]);
		key->values[i] = NULL;
	}
}

static void
remember_key(struct cell_key * key, sqlite3_stmt * statement)
{
	int i;

	forget_key(key);
	for (i = 0; i < 5; i++)
		key->values[i] = sqlite3_value_dup(
		    sqlite3_column_value(statement, i));
}

/*
 * Return whether a row fits into the batch.  Never divide a histogram's series,
 * and take one lap at a time, as the next lap may have the same fields.
 */
static bool
fits(struct taking * taking, const struct cell_key * key,
    sqlite3_stmt * statement)
{
	bool same_part;
	size_t i;

	if (key->values[0] != NULL && !agrees(key, statement, 0))
		return (false);
	if (sqlite3_column_int(statement, 4) == TALLY_BOUND)
		return (true);
	same_part = key->values[0] != NULL && agrees(key, statement, 1);
	taking->part_cells = same_part ? taking->part_cells + 1 : 1;
	if (taking->part_cells % TAKE_CALL_CELLS == 1)
		taking->calls++;
	taking->cells++;
	for (i = 1; i <= 9; i++)
		if (i < 4 || i == 9)
			taking->bytes += (size_t)sqlite3_column_bytes(
			    statement, (int)i);
	return (taking->cells == 1 || (taking->calls <= TAKE_CALLS_MAX &&
	    taking->cells <= TAKE_CELLS_MAX &&
	    taking->tally->counters < taking->counters_max &&
	    taking->bytes <= TAKE_BYTES_MAX));
}

/* Read the cells of a tag; set batch->more if there is no room for all. */
static int
take_tag(struct taking * taking, struct spool_db * db, int64_t tag,
    struct tally_node * parent)
{
	struct spool_batch * batch = taking->batch;
	sqlite3_stmt * statement = spool_db_statement(db, STATEMENT_CELLS);
	struct cell_key * key = alloc_zeroed(1, sizeof(*key));
	int code;

	sqlite3_bind_int64(statement, 1, tag);
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		if (!fits(taking, key, statement)) {
			batch->more = true;
			break;
		}
		put_row(taking, parent, statement);
		remember_key(key, statement);
	}
	sqlite3_reset(statement);
	if (key->values[0] == NULL)
		free(key);
	else {
		batch->tags[batch->count].tag = tag;
		batch->tags[batch->count].node = parent;
		batch->keys[batch->count++] = key;
	}
	return (code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code);
}

static struct tally_node *
tag_parent(struct taking * taking, sqlite3_stmt * statement)
{
	struct tally * tally = taking->tally;
	int kind = sqlite3_column_int(statement, 1);
	struct tally_node * node;

	if (kind == TALLY_TOKEN)
		return (tally->root);
	node = put_under(taking, tally->root, TALLY_ENVIRONMENT, statement,
	    2);
	return (kind == TALLY_ENVIRONMENT ? node : put_under(taking, node,
	    TALLY_APPLICATION, statement, 3));
}

static int
take_step(struct spool_db * db, void * context)
{
	struct taking * taking = context;
	struct spool_batch * batch = taking->batch;
	sqlite3_stmt * statement = spool_db_statement(db, STATEMENT_TAG_FREE);
	int64_t last, done;
	int code = spool_db_meta(db, &batch->generation, &last, &done);

	/* The step is run again, and the tally has cells of another file. */
	if (!tally_empty(taking->tally))
		return (SPOOL_DB_GONE);
	sqlite3_bind_int64(statement, 1, taking->after);
	while (code == SQLITE_OK && batch->count < SPOOL_TAGS_MAX &&
	    !batch->more && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		batch->after = sqlite3_column_int64(statement, 0);
		code = take_tag(taking, db, batch->after,
		    tag_parent(taking, statement));
	}
	sqlite3_reset(statement);
	if (code == SQLITE_DONE)
		batch->after = 0;
	return (code == SQLITE_DONE ? SQLITE_OK : code);
}

void
spool_release(struct spool_batch * batch)
{
	size_t i;

	for (i = 0; i < batch->count; i++) {
		forget_key(batch->keys[i]);
		free(batch->keys[i]);
	}
	memset(batch, 0, sizeof(*batch));
}

enum spool_result
spool_take(struct spool * spool, int64_t after, size_t counters,
    struct tally * tally, struct spool_batch * batch)
{
	struct taking taking = { .spool = spool, .after = after,
	    .counters_max = counters, .tally = tally, .batch = batch };
	enum spool_result result;

	memset(batch, 0, sizeof(*batch));
	result = spool_db_use(spool->db, SPOOL_DB_READ, take_step, &taking);
	if (result != SPOOL_DONE)
		spool_release(batch);
	return (result);
}

/* Changes */

static int
remove_tag(struct spool_db * db, int64_t tag)
{
	sqlite3_stmt * statement = spool_db_statement(db,
	    STATEMENT_TAG_REMOVE);

	sqlite3_bind_int64(statement, 1, tag);
	return (spool_db_run(statement));
}

/* Remove a call, and its tag if nothing is left of it.  If it is not there it
 * has been removed already; what it is ${replaced} by would be there twice. */
static int
remove_call(struct spool_db * db, int64_t id, bool replaced)
{
	sqlite3_stmt * statement = spool_db_statement(db, STATEMENT_CALL_TAG);
	int64_t tag;
	int code;

	sqlite3_bind_int64(statement, 1, id);
	code = sqlite3_step(statement);
	tag = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	if (code == SQLITE_DONE)
		return (replaced ? SPOOL_DB_GONE : SQLITE_OK);
	if (code != SQLITE_ROW)
		return (code);
	statement = spool_db_statement(db, STATEMENT_CALL_REMOVE);
	sqlite3_bind_int64(statement, 1, id);
	code = spool_db_run(statement);
	return (code == SQLITE_OK && tag != 0 ? remove_tag(db, tag) : code);
}

static int
add_call(struct spool_db * db, const struct spool_call * call)
{
	sqlite3_stmt * statement = spool_db_statement(db, STATEMENT_CALL_ADD);

	sqlite3_bind_int64(statement, 1, call->tag);
	sqlite3_bind_int64(statement, 2, call->since);
	sqlite3_bind_int64(statement, 3, call->stored);
	sqlite3_bind_int64(statement, 4, (sqlite3_int64)call->counters);
	sqlite3_bind_blob64(statement, 5, call->bytes, call->length,
	    SQLITE_STATIC);
	return (spool_db_run(statement));
}

static int
add_refused(struct spool_db * db, const struct spool_call * call)
{
	sqlite3_stmt * statement = spool_db_statement(db,
	    STATEMENT_QUARANTINE_ADD);

	sqlite3_bind_int64(statement, 1, call->since);
	sqlite3_bind_text(statement, 2, call->reason, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(statement, 3, call->bytes, call->length,
	    SQLITE_STATIC);
	return (spool_db_run(statement));
}

static int
remove_cells(struct spool_db * db, const struct spool_batch * batch)
{
	int64_t generation, last, done;
	size_t i;
	int code = spool_db_meta(db, &generation, &last, &done);

	if (code == SQLITE_OK && generation != batch->generation)
		code = SPOOL_DB_GONE;
	for (i = 0; i < batch->count && code == SQLITE_OK; i++) {
		const struct cell_key * key = batch->keys[i];
		sqlite3_stmt * statement = spool_db_statement(db,
		    STATEMENT_CELLS_REMOVE);
		int j;

		sqlite3_bind_int64(statement, 1, batch->tags[i].tag);
		for (j = 0; j < 5; j++)
			sqlite3_bind_value(statement, 2 + j, key->values[j]);
		code = spool_db_run(statement);
	}
	return (code == SQLITE_OK ? spool_db_set_meta(db, last, done) : code);
}

/* Make all parts of a change.  Add calls before tags are removed: a tag stays
 * as long as it has calls. */
static int
change_step(struct spool_db * db, void * context)
{
	const struct spool_change * change = context;
	sqlite3_stmt * statement;
	size_t i;
	int code = SQLITE_OK;

	if (change->taken != NULL)
		code = remove_cells(db, change->taken);
	for (i = 0; i < change->call_count && code == SQLITE_OK; i++)
		code = add_call(db, &change->calls[i]);
	for (i = 0; i < change->refused_count && code == SQLITE_OK; i++)
		code = add_refused(db, &change->refused[i]);
	for (i = 0; i < change->settled_count && code == SQLITE_OK; i++)
		code = remove_call(db, change->settled[i],
		    change->call_count + change->refused_count > 0);
	for (i = 0; change->taken != NULL && i < change->taken->count &&
	    code == SQLITE_OK; i++)
		code = remove_tag(db, change->taken->tags[i].tag);
	if (code != SQLITE_OK || change->released == 0)
		return (code);
	statement = spool_db_statement(db, STATEMENT_QUARANTINE_REMOVE);
	sqlite3_bind_int64(statement, 1, change->released);
	code = spool_db_run(statement);
	return (code == SQLITE_OK && spool_db_changes(db) == 0 ?
	    SPOOL_DB_GONE : code);
}

enum spool_result
spool_change(struct spool * spool, const struct spool_change * change)
{

	return (spool_db_use(spool->db, SPOOL_DB_DRAIN, change_step,
	    (void *)(uintptr_t)change));
}
