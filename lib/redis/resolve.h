#ifndef FLAGTALLY_RESOLVE_H
#define FLAGTALLY_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The addresses of a host.  The system's look-up has no time-out; with a name
 * server that is away it takes ten seconds and more.  So a thread of its own
 * does it.  If the thread is late, the caller stops waiting, and gets the
 * result the next time.
 */
struct resolve;

/* An address as digits, which connecting need not look up. */
struct resolve_address {
	char text[64];
};

#define RESOLVE_MAX 8

/**
 * resolve_create(host):
 * Return a look-up of ${host}, which must outlive it; nothing is looked up yet.
 */
struct resolve * resolve_create(const char * host);

/**
 * resolve_addresses(resolve, deadline, found, why):
 * Look up the host.  Write its addresses, those of IPv4 first, to ${found}
 * and return how many they are, RESOLVE_MAX at most.  Return 0 if there are
 * none, with the reason in ${why}, or if they are not known by ${deadline}.
 */
size_t resolve_addresses(struct resolve * resolve, int64_t deadline,
    struct resolve_address found[RESOLVE_MAX], const char ** why);

/**
 * resolve_free(resolve):
 * Free the look-up, or leave it to its thread.
 */
void resolve_free(struct resolve * resolve);

#endif
