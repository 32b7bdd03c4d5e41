# make bench: programs that print tables; see tests/bench/README.md.

bench_parts = tests/bench/commit tests/bench/parse tests/bench/responder
EXTRA_PROGRAMS += $(bench_parts)
CLEANFILES += $(bench_parts)
tests_bench_responder_LDADD = $(FCGI_LIBS) $(YAJL_LIBS)

bench: fcgi/flagtally $(bench_parts)
	PYTHONPATH='$(abs_top_srcdir)' $(PYTHON) -B \
	    $(top_srcdir)/tests/bench/bench.py --build . $(BENCH)
.PHONY: bench

EXTRA_DIST += tests/bench/README.md tests/bench/bare_yajl.h \
	tests/bench/bench.py \
	tests/bench/bodies.py tests/bench/load.lua tests/bench/measure.py \
	tests/bench/peer.py tests/bench/growth.svg
