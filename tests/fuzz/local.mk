# Fuzzing: a harness for each place where bytes from outside come in.  Without
# --enable-fuzzer each replays its corpus as a test; see tests/fuzz/README.md.

FUZZERS = tests/fuzz/body tests/fuzz/cluster tests/fuzz/config \
	tests/fuzz/date tests/fuzz/json tests/fuzz/number tests/fuzz/codec \
	tests/fuzz/redis tests/fuzz/request tests/fuzz/stats tests/fuzz/spool \
	tests/fuzz/text tests/fuzz/token_file tests/fuzz/decompress

FUZZ_CORPORA = tests/fuzz/corpus/body.corpus \
	tests/fuzz/corpus/cluster.corpus \
	tests/fuzz/corpus/config.corpus tests/fuzz/corpus/date.corpus \
	tests/fuzz/corpus/json.corpus tests/fuzz/corpus/number.corpus \
	tests/fuzz/corpus/codec.corpus tests/fuzz/corpus/redis.corpus \
	tests/fuzz/corpus/request.corpus tests/fuzz/corpus/stats.corpus \
	tests/fuzz/corpus/spool.corpus tests/fuzz/corpus/text.corpus \
	tests/fuzz/corpus/token_file.corpus tests/fuzz/corpus/decompress.corpus
EXTRA_DIST += tests/fuzz/README.md tests/fuzz/corpus.py $(FUZZ_CORPORA) \
	tests/fuzz/body.dict tests/fuzz/cluster.dict \
	tests/fuzz/config.dict tests/fuzz/date.dict \
	tests/fuzz/json.dict tests/fuzz/number.dict tests/fuzz/codec.dict \
	tests/fuzz/redis.dict tests/fuzz/request.dict \
	tests/fuzz/stats.dict tests/fuzz/spool.dict tests/fuzz/text.dict \
	tests/fuzz/token_file.dict tests/fuzz/decompress.dict tests/fuzz/fuzz.py

if FUZZER
FUZZ_TESTS =
FUZZ_MAIN =
else
FUZZ_TESTS = $(FUZZERS)
FUZZ_MAIN = tests/fuzz/replay.c
endif
# The flag links the fuzzer's own main.
FUZZ_LDADD = $(LDADD) $(FUZZER_LDFLAGS)
FUZZ_SERVER_FLAGS = $(AM_LDFLAGS) -Wl,--wrap=redisConnectUnixWithTimeout \
	-Wl,--wrap=redisConnectWithTimeout
FUZZ_COMMON = tests/fuzz/fuzz.h $(FUZZ_MAIN)

if !STATIC_BINARY
check_PROGRAMS += $(FUZZERS)
endif
tests_fuzz_body_SOURCES = tests/fuzz/body.c tests/fuzz/fault.h $(FUZZ_COMMON)
tests_fuzz_cluster_SOURCES = tests/fuzz/cluster.c tests/fuzz/server.h \
	tests/fuzz/quiet.h $(FUZZ_COMMON)
tests_fuzz_config_SOURCES = tests/fuzz/config.c tests/fuzz/memory.h \
	$(FUZZ_COMMON)
tests_fuzz_date_SOURCES = tests/fuzz/date.c $(FUZZ_COMMON)
tests_fuzz_json_SOURCES = tests/fuzz/json.c tests/fuzz/fault.h $(FUZZ_COMMON)
tests_fuzz_number_SOURCES = tests/fuzz/number.c $(FUZZ_COMMON)
tests_fuzz_codec_SOURCES = tests/fuzz/codec.c $(FUZZ_COMMON)
tests_fuzz_redis_SOURCES = tests/fuzz/redis.c tests/fuzz/server.h \
	tests/fuzz/quiet.h $(FUZZ_COMMON)
tests_fuzz_request_SOURCES = tests/fuzz/request.c tests/fuzz/memory.h \
	$(FUZZ_COMMON)
tests_fuzz_stats_SOURCES = tests/fuzz/stats.c $(FUZZ_COMMON)
tests_fuzz_spool_SOURCES = tests/fuzz/spool.c tests/fuzz/server.h \
	tests/fuzz/quiet.h $(FUZZ_COMMON)
tests_fuzz_text_SOURCES = tests/fuzz/text.c $(FUZZ_COMMON)
tests_fuzz_token_file_SOURCES = tests/fuzz/token_file.c tests/fuzz/memory.h \
	tests/fuzz/quiet.h \
	$(FUZZ_COMMON)
tests_fuzz_decompress_SOURCES = tests/fuzz/decompress.c $(FUZZ_COMMON)
tests_fuzz_body_LDADD = $(FUZZ_LDADD)
tests_fuzz_cluster_LDFLAGS = $(FUZZ_SERVER_FLAGS)
tests_fuzz_cluster_LDADD = $(FUZZ_LDADD)
tests_fuzz_config_LDADD = $(FUZZ_LDADD)
tests_fuzz_date_LDADD = $(FUZZ_LDADD)
tests_fuzz_json_LDADD = $(FUZZ_LDADD)
tests_fuzz_number_LDADD = $(FUZZ_LDADD)
tests_fuzz_codec_LDADD = $(FUZZ_LDADD)
tests_fuzz_redis_LDFLAGS = $(FUZZ_SERVER_FLAGS)
tests_fuzz_redis_LDADD = $(FUZZ_LDADD)
tests_fuzz_request_LDADD = $(PROGRAM_LIBS) $(FUZZER_LDFLAGS)
tests_fuzz_stats_LDADD = $(FUZZ_LDADD)
tests_fuzz_spool_LDFLAGS = $(FUZZ_SERVER_FLAGS)
tests_fuzz_spool_LDADD = $(FUZZ_LDADD)
tests_fuzz_text_LDADD = $(FUZZ_LDADD)
tests_fuzz_token_file_LDADD = $(FUZZ_LDADD)
tests_fuzz_decompress_LDADD = $(FUZZ_LDADD)
