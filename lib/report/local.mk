lib_libflagtally_a_SOURCES += \
	lib/report/applications.c lib/report/applications.h \
	lib/report/edge_list.c lib/report/edge_list.h \
	lib/report/exposition.c lib/report/exposition.h \
	lib/report/exposition_text.c lib/report/exposition_text.h \
	lib/report/features.c lib/report/features.h \
	lib/report/impact.c lib/report/impact.h \
	lib/report/impact_write.c lib/report/impact_write.h \
	lib/report/instances.c lib/report/instances.h \
	lib/report/members.c lib/report/members.h lib/report/reader.c \
	lib/report/reader.h lib/report/report.c lib/report/report.h \
	lib/report/report_write.c lib/report/report_write.h \
	lib/report/results.c lib/report/results.h
