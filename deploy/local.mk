# What helps to run flagtally: manual pages, and the tests of all that is in
# this directory.  tests/run passes DEPLOY_TESTS in its plain stage alone.

dist_man_MANS = deploy/man/flagtally.8 deploy/man/flagtally.ini.5 \
	deploy/man/flagtally.7

DEPLOY_TESTS =
EXTRA_DIST += $(DEPLOY_TESTS)
