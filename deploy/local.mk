# What helps to run flagtally: manual pages.

dist_man_MANS = deploy/man/flagtally.8 deploy/man/flagtally.ini.5 \
	deploy/man/flagtally.7
