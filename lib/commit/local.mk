lib_libflagtally_a_SOURCES += \
	lib/commit/commit.c lib/commit/commit.h lib/commit/edges.c \
	lib/commit/edges.h lib/commit/repeats.c lib/commit/repeats.h \
	lib/commit/replay.c lib/commit/replay.h lib/commit/store.c \
	lib/commit/store.h
