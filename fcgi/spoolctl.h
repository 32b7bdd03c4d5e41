#ifndef FLAGTALLY_SPOOLCTL_H
#define FLAGTALLY_SPOOLCTL_H

#include <stdint.h>

#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/*
 * What an operator does with the spool from the command line.  Each function
 * writes to standard output, complains on standard error, and returns the
 * status to exit with: 0, SPOOLCTL_FAILED, or SPOOLCTL_LATER if a later try may
 * succeed.
 */
#define SPOOLCTL_FAILED 1
#define SPOOLCTL_LATER 75

/**
 * spoolctl_ready(path):
 * Return -1 if the spool ${path} is there to be acted on by who asks, else the
 * status to exit with: 0 if there is none yet, so that nothing waits in it.
 * None is made; and root, who would leave files that its owner cannot use,
 * becomes that one for good.
 */
int spoolctl_ready(const char * path);

/**
 * spoolctl_replay(sink, spool, stats):
 * Replay all that waits, with the progress on a terminal.
 */
int spoolctl_replay(struct sink * sink, struct spool * spool,
    struct stats * stats);

/**
 * spoolctl_reach(sink):
 * There is no spool: return whether Redis serves, as spoolctl_replay would.
 */
int spoolctl_reach(struct sink * sink);

/**
 * spoolctl_list(spool):
 * List what waits and what is in quarantine, one a line.
 */
int spoolctl_list(struct spool * spool);

/**
 * spoolctl_export(spool):
 * Write what is in quarantine as JSON, an object a line.
 */
int spoolctl_export(struct spool * spool);

/**
 * spoolctl_retry(sink, spool, which):
 * spoolctl_drop(spool, which):
 * Let what is in quarantine wait to be replayed again, or remove it: the record
 * with the id ${which}, or "all".  All leaves out from a retry what might count
 * twice, because whether Redis has applied it is unknown.
 */
int spoolctl_retry(struct sink * sink, struct spool * spool,
    const char * which);
int spoolctl_drop(struct spool * spool, const char * which);

/**
 * spoolctl_end(status):
 * See to it that all that was printed is written.  Return the status to exit
 * with: ${status}, or a failure if it could not be.
 */
int spoolctl_end(int status);

#endif
