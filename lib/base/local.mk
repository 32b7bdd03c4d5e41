lib_libflagtally_a_SOURCES += \
	lib/base/alloc.c lib/base/alloc.h lib/base/arena.c lib/base/arena.h \
	lib/base/buffer.c lib/base/buffer.h lib/base/clock.c lib/base/clock.h \
	lib/base/crashpoint.c lib/base/crashpoint.h lib/base/date.c \
	lib/base/date.h lib/base/digest.c lib/base/digest.h \
	lib/base/escape.c lib/base/escape.h lib/base/fault.c \
	lib/base/fault.h lib/base/log.c lib/base/log.h \
	lib/base/log_output.c lib/base/log_output.h lib/base/number.c \
	lib/base/number.h lib/base/secret.c lib/base/secret.h \
	lib/base/shmfile.c lib/base/shmfile.h lib/base/text.h \
	lib/base/thread.c lib/base/thread.h lib/base/utf8.c lib/base/utf8.h
