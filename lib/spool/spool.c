#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/spool/spool_file.h"
#include "lib/spool/spool_parts.h"
#include "lib/tally/tally_codec.h"

/* The size of the group that spool_test tries. */
#define TEST_BYTES 32768

/* The journal */

struct append {
	struct spool * spool;
	const struct tally * tally;
};

/* Append a tally, as several records if it is large. */
static int
append_step(struct spool_db * db, void * context)
{
	const struct append * append = context;
	struct buffer * bytes = &append->spool->bytes;
	const struct tally * tally = append->tally;
	const struct tally_node * node = NULL;
	int64_t now = clock_now_ms();
	int code;

	do {
		sqlite3_stmt * statement = spool_db_statement(db,
		    STATEMENT_APPEND);

		buffer_clear(bytes);
		node = tally_codec_encode(bytes, tally, node);
		sqlite3_bind_int64(statement, 1, now);
		sqlite3_bind_int64(statement, 2,
		    (sqlite3_int64)tally->largest);
		sqlite3_bind_blob64(statement, 3, bytes->bytes, bytes->length,
		    SQLITE_STATIC);
		code = spool_db_run(statement);
	} while (code == SQLITE_OK && node != NULL);
	return (code);
}

enum spool_result
spool_append(struct spool * spool, const struct tally * tally)
{
	struct append append = { spool, tally };

	return (spool_db_use(spool->db, SPOOL_DB_APPEND, append_step,
	    &append));
}

static int
test_step(struct spool_db * db, void * context)
{
	sqlite3_stmt * statement = spool_db_statement(db, STATEMENT_APPEND);
	int64_t id;
	int code;

	(void)context;
	sqlite3_bind_int64(statement, 1, 0);
	sqlite3_bind_int64(statement, 2, 0);
	sqlite3_bind_zeroblob(statement, 3, TEST_BYTES);
	code = spool_db_run(statement);
	if (code != SQLITE_OK)
		return (code);
	id = sqlite3_last_insert_rowid(sqlite3_db_handle(statement));
	statement = spool_db_statement(db, STATEMENT_JOURNAL_REMOVE);
	sqlite3_bind_int64(statement, 1, id);
	sqlite3_bind_int64(statement, 2, id);
	return (spool_db_run(statement));
}

bool
spool_is_full(const struct spool * spool,
    const struct spool_depth depth[SPOOL_STATE_COUNT])
{
	uint64_t used = TEST_BYTES;
	size_t i;

	for (i = 0; i < SPOOL_STATE_COUNT; i++)
		used += depth[i].bytes;
	return (used > spool_db_room(spool->db));
}

enum spool_result
spool_test(struct spool * spool)
{

	return (spool_db_use(spool->db, SPOOL_DB_APPEND, test_step, NULL));
}

/* Reading */

struct reading {
	enum spool_state state;
	int64_t after;
	spool_visit * visit;
	void * context;
	struct spool_depth * depth;
};

/* Visit the rows of a state. */
static int
read_step(struct spool_db * db, void * context)
{
	static const enum statement statements[SPOOL_STATE_COUNT] = {
		[SPOOL_QUEUED] = STATEMENT_QUEUED,
		[SPOOL_IN_DOUBT] = STATEMENT_CALLS,
		[SPOOL_QUARANTINED] = STATEMENT_QUARANTINE,
	};
	const struct reading * reading = context;
	sqlite3_stmt * statement = spool_db_statement(db,
	    statements[reading->state]);
	struct spool_call call;
	bool more = true;
	int code = SQLITE_OK;

	sqlite3_bind_int64(statement, 1, reading->after);
	while (more && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		memset(&call, 0, sizeof(call));
		call.id = sqlite3_column_int64(statement, 0);
		call.since = sqlite3_column_int64(statement, 1);
		call.reason = (const char *)sqlite3_column_text(statement, 2);
		call.bytes = sqlite3_column_blob(statement, 3);
		call.length = (size_t)sqlite3_column_bytes(statement, 3);
		call.tag = sqlite3_column_int64(statement, 4);
		call.counters = (uint64_t)sqlite3_column_int64(statement, 5);
		call.stored = sqlite3_column_int64(statement, 6);
		if (call.length == 0)
			call.bytes = "";
		if (call.reason == NULL)
			call.reason = "";
		more = reading->visit(reading->context, &call);
	}
	sqlite3_reset(statement);
	return (code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code);
}

enum spool_result
spool_read(struct spool * spool, enum spool_state state, int64_t after,
    spool_visit * visit, void * context)
{
	struct reading reading = { .state = state, .after = after,
	    .visit = visit, .context = context };

	return (spool_db_use(spool->db, SPOOL_DB_READ, read_step, &reading));
}

static void
add_depth(struct spool_depth * depth, sqlite3_stmt * statement)
{
	int64_t oldest = sqlite3_column_int64(statement, 2);

	depth->records += (uint64_t)sqlite3_column_int64(statement, 0);
	depth->bytes += (uint64_t)sqlite3_column_int64(statement, 1);
	if (oldest != 0 && (depth->oldest == 0 || oldest < depth->oldest))
		depth->oldest = oldest;
}

/* Count the rows of each state.  Pages in use that hold no calls belong to the
 * queue. */
static int
depth_step(struct spool_db * db, void * context)
{
	static const enum spool_state states[] = {
		SPOOL_IN_DOUBT, SPOOL_QUARANTINED, SPOOL_QUEUED, SPOOL_QUEUED,
	};
	struct spool_depth * depth = context;
	sqlite3_stmt * statement = spool_db_statement(db, STATEMENT_DEPTH);
	uint64_t calls, used;
	size_t i;
	int code = SQLITE_ROW;

	memset(depth, 0, SPOOL_STATE_COUNT * sizeof(*depth));
	for (i = 0; i < 4 && code == SQLITE_ROW; i++) {
		code = sqlite3_step(statement);
		if (code == SQLITE_ROW)
			add_depth(&depth[states[i]], statement);
	}
	sqlite3_reset(statement);
	if (code != SQLITE_ROW)
		return (code);
	statement = spool_db_statement(db, STATEMENT_USED);
	code = sqlite3_step(statement);
	used = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	calls = depth[SPOOL_IN_DOUBT].bytes + depth[SPOOL_QUARANTINED].bytes;
	if (depth[SPOOL_QUEUED].records > 0)
		depth[SPOOL_QUEUED].bytes = used > calls ? used - calls : 0;
	return (code == SQLITE_ROW ? SQLITE_OK : code);
}

enum spool_result
spool_depth(struct spool * spool, struct spool_depth depth[SPOOL_STATE_COUNT])
{

	memset(depth, 0, SPOOL_STATE_COUNT * sizeof(*depth));
	return (spool_db_use(spool->db, SPOOL_DB_READ, depth_step, depth));
}

/* The rest */

struct spool *
spool_open(const char * path, uint64_t limit, bool looks)
{
	struct spool * spool = alloc_zeroed(1, sizeof(*spool));
	struct spool_depth depth[SPOOL_STATE_COUNT];

	spool->db = spool_db_open(path, limit, looks);
	spool->arena = arena_create(TALLY_CODEC_BYTES_MAX);
	spool->lease = -1;
	spool->piece = 4;
	/* Log errors now, and not only when the spool is needed. */
	spool_depth(spool, depth);
	return (spool);
}

/* Return whether no other process had the lease since this spool took it. */
static bool
holds_lease(const struct spool * spool)
{

	return (spool_file_holds(spool_db_path(spool->db), ".lease",
	    spool->lease));
}

bool
spool_lock(struct spool * spool)
{
	const char * path = spool_db_path(spool->db);
	uint64_t more;

	if (holds_lease(spool))
		return (true);
	spool_unlock(spool);
	spool->lease = spool_file_lock(path, ".lease", 0);
	if (spool->lease == -1 && errno != EWOULDBLOCK &&
	    log_allowed(&spool->failed, &more))
		log_error("%s.lease: %s", path, strerror(errno));
	return (spool->lease != -1);
}

void
spool_unlock(struct spool * spool)
{

	if (spool->lease != -1)
		close(spool->lease);
	spool->lease = -1;
}

const char *
spool_why(const struct spool * spool)
{

	return (spool_db_why(spool->db));
}

void
spool_free(struct spool * spool)
{

	if (spool == NULL)
		return;
	spool_unlock(spool);
	spool_db_free(spool->db);
	buffer_free(&spool->bytes);
	arena_free(spool->arena);
	free(spool);
}
