#ifndef FLAGTALLY_CRASHPOINT_H
#define FLAGTALLY_CRASHPOINT_H

/*
 * Points at which a build for tests (--enable-crash-points) can be told to die
 * as if by kill -9: CRASH_AT=NAME or CRASH_AT=NAME:COUNT in the environment,
 * for the first or the COUNTth time it comes there.  In all other builds they
 * are nothing.
 */
#ifdef CRASH_POINTS

/**
 * crashpoint_reach(name):
 * Die here if that is asked for.
 */
void crashpoint_reach(const char * name);

#define CRASH_POINT(name) crashpoint_reach(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
