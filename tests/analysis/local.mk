# Static analysis: make check TESTS=tests/analysis/analyse.py, or tests/run
# analysis.  Coverage: tests/run coverage.

EXTRA_DIST += tests/analysis/analyse.py tests/analysis/coverage.py
CLEANFILES += tests/analysis/flags
check_DATA = tests/analysis/flags

# A shell has taken the quotes away.
tests/analysis/flags: Makefile $(BUILT_SOURCES)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && printf '%s\n' $(DEFS) \
	-I$(abs_top_srcdir) -I$(abs_top_builddir) $(AM_CPPFLAGS) $(CPPFLAGS) \
	$(AM_CFLAGS) | grep '^-[DIU]' | grep -v _FORTIFY_SOURCE >$@.new && \
	mv $@.new $@
