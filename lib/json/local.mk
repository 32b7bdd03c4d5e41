lib_libflagtally_a_SOURCES += \
	lib/json/json.c lib/json/json.h lib/json/json_error.c \
	lib/json/json_error.h lib/json/json_path.c lib/json/json_path.h \
	lib/json/json_rule.h lib/json/json_strict.c lib/json/json_strict.h \
	lib/json/json_token.c lib/json/json_token.h
