lib_libflagtally_a_SOURCES += \
	lib/stats/stats.c lib/stats/stats.h
