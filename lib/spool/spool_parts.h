#ifndef FLAGTALLY_SPOOL_PARTS_H
#define FLAGTALLY_SPOOL_PARTS_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buffer.h"
#include "lib/base/log.h"
#include "lib/spool/spool.h"
#include "lib/spool/spool_db.h"

/* A spool, for spool.c, spool_fold.c and spool_take.c. */
struct spool {
	struct spool_db * db;
	struct buffer bytes;
	int lease;			/* Its descriptor, or -1. */
	struct log_limit failed;

	/* The records that are being folded; tally is NULL if none are. */
	struct arena * arena;
	struct tally * tally;
	const struct tally_node * next;
	int64_t generation, first, last, done, since;
	int64_t horizon;		/* Fold no later record; 0: any. */
	const char * damage;		/* Why record last is invalid; then it
					 * is the only one. */

	/* The current piece. */
	int64_t piece;			/* The most nodes. */
	const struct tally_node * end;	/* The node after it, */
	int64_t count;			/* and how many there were. */
	const struct tally_node * tagged;	/* The node whose tag has */
	int64_t tag;			/* this id. */
};

#endif
