#ifndef FLAGTALLY_SPOOL_PARTS_H
#define FLAGTALLY_SPOOL_PARTS_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buffer.h"
#include "lib/base/log.h"
#include "lib/spool/spool.h"
#include "lib/spool/spool_db.h"

/* A spool, for the files that implement it. */
struct spool {
	struct spool_db * db;
	struct buffer bytes;
	int lease;			/* -1: it is not held. */
	struct log_limit failed;

	/* What is being folded; tally is NULL if nothing is. */
	struct arena * arena;
	struct tally * tally;
	const struct tally_node * next;
	int64_t generation, first, last, done, since;
	int64_t horizon;		/* No later record is folded; 0: any. */
	const char * damage;		/* Of the record last, alone. */

	/* Of the piece at hand. */
	int64_t piece;			/* Nodes in it at most. */
	const struct tally_node * end;	/* Where it has ended, */
	int64_t count;			/* after so many. */
	const struct tally_node * tagged;	/* The node whose tag is */
	int64_t tag;			/* this. */
};

#endif
