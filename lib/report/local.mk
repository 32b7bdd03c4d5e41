lib_libflagtally_a_SOURCES += \
	lib/report/exposition.c lib/report/exposition.h \
	lib/report/features.c lib/report/features.h lib/report/reader.c \
	lib/report/reader.h lib/report/report.c lib/report/report.h \
	lib/report/report_write.c lib/report/report_write.h \
	lib/report/results.c lib/report/results.h lib/report/sdk_version.c \
	lib/report/sdk_version.h
