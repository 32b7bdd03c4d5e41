#ifndef FLAGTALLY_CRASHPOINT_H
#define FLAGTALLY_CRASHPOINT_H

/*
 * Labelled points at which a test build (--enable-crash-points) can be made to
 * die as if by kill -9: set CRASH_AT=NAME or CRASH_AT=NAME:COUNT in the
 * environment to die there the first or the COUNTth time.  In all other builds
 * they compile to nothing.
 */
#ifdef CRASH_POINTS

/**
 * crashpoint_reach(name):
 * Die here if CRASH_AT says so.
 */
void crashpoint_reach(const char * name);

#define CRASH_POINT(name) crashpoint_reach(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
