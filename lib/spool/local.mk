lib_libflagtally_a_SOURCES += \
	lib/spool/spool.c lib/spool/spool.h lib/spool/spool_file.c \
	lib/spool/spool_file.h lib/spool/spool_sql.h
