lib_libflagtally_a_SOURCES += \
	lib/body/body.c lib/body/body.h lib/body/decompress.c \
	lib/body/decompress.h lib/body/edge_data.c lib/body/edge_data.h \
	lib/body/element.c lib/body/element.h \
	lib/body/element_application.c lib/body/element_impact.c \
	lib/body/element_metric.c lib/body/element_report.c \
	lib/body/prometheus.c lib/body/prometheus.h lib/body/schema.c \
	lib/body/schema.h lib/body/validate.c lib/body/validate.h
