# What helps to run flagtally: manual pages, and the tests of all that is in
# this directory.  tests/run passes DEPLOY_TESTS in its plain stage alone.

dist_man_MANS = deploy/man/flagtally.8 deploy/man/flagtally.ini.5 \
	deploy/man/flagtally.7

DEPLOY_TESTS = \
	tests/deploy/servers.py
EXTRA_DIST += $(DEPLOY_TESTS)

# Configurations of web servers.
EXTRA_DIST += deploy/caddy/alone.Caddyfile \
	deploy/caddy/beside-unleash.Caddyfile \
	deploy/haproxy/alone.cfg deploy/haproxy/beside-unleash.cfg \
	deploy/lighttpd/alone.conf deploy/lighttpd/beside-unleash.conf \
	deploy/lighttpd/remote.conf deploy/lighttpd/spawned.conf \
	deploy/nginx/alone.conf deploy/nginx/beside-unleash.conf \
	tests/harness/front.py tests/harness/web.py
