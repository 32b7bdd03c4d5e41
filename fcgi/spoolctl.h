#ifndef FLAGTALLY_SPOOLCTL_H
#define FLAGTALLY_SPOOLCTL_H

#include <stdint.h>

#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/stats/stats.h"

/*
 * The options for the spool: --replay, --spool, and so on.  Each function
 * writes to standard output, reports errors on standard error, and returns the
 * exit status: 0, SPOOLCTL_FAILED, or SPOOLCTL_LATER if a later try may
 * succeed.
 */
#define SPOOLCTL_FAILED 1
#define SPOOLCTL_LATER 75

/**
 * spoolctl_ready(path):
 * Return -1 if the spool ${path} exists and this process can use it, else the
 * exit status, which is 0 if there is no spool yet, so that nothing waits.  A
 * process of root switches to the spool's owner for good, since files that root
 * creates would be unusable for the owner.
 */
int spoolctl_ready(const char * path);

/**
 * spoolctl_replay(sink, spool, stats):
 * Replay the spool, and show the progress on a terminal.
 */
int spoolctl_replay(struct sink * sink, struct spool * spool,
    struct stats * stats);

/**
 * spoolctl_reach(sink):
 * In place of spoolctl_replay if there is no spool: return 0 if Redis can be
 * used, else SPOOLCTL_LATER.
 */
int spoolctl_reach(struct sink * sink);

/**
 * spoolctl_list(spool):
 * List the calls that wait or are quarantined, one a line.
 */
int spoolctl_list(struct spool * spool);

/**
 * spoolctl_export(spool):
 * Write the quarantined calls as JSON, an object a line.
 */
int spoolctl_export(struct spool * spool);

/**
 * spoolctl_retry(sink, spool, which):
 * spoolctl_drop(spool, which):
 * Queue a quarantined call again, or remove it: the one with the id ${which},
 * or "all".  Retrying all leaves out calls that Redis may have applied, since
 * they might count twice.
 */
int spoolctl_retry(struct sink * sink, struct spool * spool,
    const char * which);
int spoolctl_drop(struct spool * spool, const char * which);

/**
 * spoolctl_end(status):
 * Flush standard output.  Return the exit status: ${status}, or a failure if
 * not all output could be written.
 */
int spoolctl_end(int status);

#endif
