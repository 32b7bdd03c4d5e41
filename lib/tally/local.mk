lib_libflagtally_a_SOURCES += \
	lib/tally/tally.c lib/tally/tally.h lib/tally/tally_codec.c \
	lib/tally/tally_codec.h lib/tally/tally_drop.c \
	lib/tally/tally_drop.h
