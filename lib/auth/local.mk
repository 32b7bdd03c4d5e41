lib_libflagtally_a_SOURCES += \
	lib/auth/digest_cache.c lib/auth/digest_cache.h \
	lib/auth/token_file.c lib/auth/token_file.h lib/auth/token_set.c \
	lib/auth/token_set.h
