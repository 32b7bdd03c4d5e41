lib_libflagtally_a_SOURCES += \
	lib/spool/spool.c lib/spool/spool.h lib/spool/spool_db.c \
	lib/spool/spool_db.h lib/spool/spool_file.c lib/spool/spool_file.h \
	lib/spool/spool_fold.c lib/spool/spool_parts.h \
	lib/spool/spool_sql.h lib/spool/spool_take.c
