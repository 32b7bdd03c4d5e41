lib_libflagtally_a_SOURCES += \
	lib/sandbox/sandbox.c lib/sandbox/sandbox.h
