lib_libflagtally_a_SOURCES += \
	lib/config/config.c lib/config/config.h lib/config/config_file.c \
	lib/config/config_file.h lib/config/config_keys.h \
	lib/config/edit_distance.c lib/config/edit_distance.h \
	lib/config/units.c lib/config/units.h
