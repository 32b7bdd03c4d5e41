# Files to run flagtally: manual pages, units, examples, and the tests of
# all that is in this directory.  tests/run passes DEPLOY_TESTS in its plain
# stage alone.

dist_man_MANS = deploy/man/flagtally.8 deploy/man/flagtally.ini.5 \
	deploy/man/flagtally.7

DEPLOY_TESTS = tests/deploy/start.py tests/deploy/systemd.py \
	tests/deploy/servers.py tests/deploy/captured.py \
	tests/deploy/apache_kills.py \
	tests/deploy/restart.py
DEPLOY_TESTS += tests/deploy/redis_users.py tests/deploy/first_hour.py \
	tests/deploy/stock.py
DEPLOY_TESTS += tests/deploy/install.py tests/deploy/debian_package.py \
	tests/deploy/rpm_package.py tests/deploy/alpine_package.py
DEPLOY_TESTS += tests/deploy/mirror.py tests/deploy/hosts.py \
	tests/deploy/page.py \
	tests/deploy/booted.py
EXTRA_DIST += $(DEPLOY_TESTS) tests/tools/confined.py

# With --enable-static-binary these are the tests.
STATIC_TESTS = tests/deploy/static_binary.py tests/deploy/shared_hosting.py \
	tests/system/main_job.py tests/system/redis_tls.py
EXTRA_DIST += tests/deploy/static_binary.py tests/deploy/shared_hosting.py \
	tests/deploy/container.py

# Files made from the same name with .in, as they name directories.
MADE_EXAMPLES = deploy/flagtally.ini \
	deploy/openrc/flagtally deploy/openrc/flagtally.confd \
	deploy/sh/flagtally.sh deploy/sh/spawn-fcgi.sh \
	deploy/systemd/redis-password.conf
DEPLOY_MADE = $(MADE_EXAMPLES) deploy/systemd/flagtally.service
EXTRA_DIST += $(DEPLOY_MADE:=.in)
all-local: $(DEPLOY_MADE)
CLEANFILES += $(DEPLOY_MADE)
$(DEPLOY_MADE): $(DEPLOY_MADE:=.in) Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed -e 's|@bindir[@]|$(bindir)|g' \
	-e 's|@sysconfdir[@]|$(sysconfdir)|g' \
	-e 's|@localstatedir[@]|$(localstatedir)|g' $(srcdir)/$@.in >$@.new && \
	{ test ! -x $(srcdir)/$@.in || chmod +x $@.new; } && mv $@.new $@

if SYSTEMD_UNITS
systemdsystemunit_DATA = deploy/systemd/flagtally.service \
	deploy/systemd/flagtally.socket
endif
EXTRA_DIST += deploy/systemd/flagtally.socket
dist_doc_DATA = README.md CHANGES.md LICENSE

# Pages and examples that are in the tree as they are used name the directories
# that most hosts have; what is installed names those of this installation.
INSTALLED = sed -e 's|/usr/local/bin|$(bindir)|g' \
	-e 's|/etc/flagtally|$(sysconfdir)/flagtally|g' \
	-e 's|/var/lib/flagtally|$(localstatedir)/lib/flagtally|g'

install-data-local:
	@for file in $(DEPLOY_EXAMPLES) $(MADE_EXAMPLES); do \
		to="$(DESTDIR)$(docdir)/examples/$${file#deploy/}"; \
		$(MKDIR_P) "$${to%/*}" || exit 1; \
		case " $(MADE_EXAMPLES) " in \
		*" $$file "*) from=$$file; cat $$from ;; \
		*) from=$(srcdir)/$$file; $(INSTALLED) $$from ;; \
		esac >"$$to" || exit 1; \
		mode=644; test ! -x $$from || mode=755; \
		chmod $$mode "$$to" || exit 1; \
	done

# After automake has installed them.
install-data-hook:
	@for page in $(dist_man_MANS); do \
		section=$${page##*.}; name=$${page##*/}; \
		name=`echo "$${name%.*}" | sed '$(transform)'`; \
		$(INSTALLED) $(srcdir)/$$page \
		>"$(DESTDIR)$(mandir)/man$$section/$$name.$$section" || exit 1; \
	done

# After automake has removed its own.
uninstall-hook:
	@for file in $(DEPLOY_EXAMPLES) $(MADE_EXAMPLES); do \
		to="$(DESTDIR)$(docdir)/examples/$${file#deploy/}"; \
		rm -f "$$to"; \
		rmdir "$${to%/*}" 2>/dev/null || :; \
	done
	@rmdir "$(DESTDIR)$(docdir)/examples" "$(DESTDIR)$(docdir)" \
		2>/dev/null || :

# Files that are installed unchanged as examples, each in the folder that it has
# here: a test checks that no file of these folders is missing.
DEPLOY_EXAMPLES = deploy/tokens deploy/redis/cluster.conf \
	deploy/redis/flagtally.conf deploy/redis/sentinel.conf deploy/redis/users.acl
EXTRA_DIST += $(DEPLOY_EXAMPLES)

# An image, and what runs beside it.
DEPLOY_EXAMPLES += deploy/container/Containerfile deploy/container/README.md \
	deploy/container/compose.yaml \
	deploy/container/lighttpd.Containerfile deploy/container/lighttpd.conf

# Configurations of web servers.
DEPLOY_EXAMPLES += deploy/caddy/alone.Caddyfile \
	deploy/caddy/beside-unleash.Caddyfile deploy/caddy/page.Caddyfile \
	deploy/haproxy/alone.cfg deploy/haproxy/beside-unleash.cfg \
	deploy/haproxy/page.cfg \
	deploy/lighttpd/alone.conf deploy/lighttpd/beside-unleash.conf \
	deploy/lighttpd/remote.conf deploy/lighttpd/spawned.conf \
	deploy/lighttpd/page.conf \
	deploy/nginx/alone.conf deploy/nginx/beside-unleash.conf \
	deploy/nginx/mirror.conf deploy/nginx/page.conf
DEPLOY_EXAMPLES += deploy/shared-hosting/.htaccess \
	deploy/shared-hosting/README.md deploy/shared-hosting/crontab \
	deploy/shared-hosting/flagtally.cgi \
	deploy/shared-hosting/flagtally.fcgi \
	deploy/shared-hosting/flagtally.ini \
	deploy/shared-hosting/page.htaccess
DEPLOY_EXAMPLES += deploy/apache/cgi-alone.htaccess \
	deploy/apache/cgi-beside-unleash.htaccess \
	deploy/apache/fcgid-alone.conf deploy/apache/fcgid-beside-unleash.conf \
	deploy/apache/page.conf \
	deploy/apache/proxy-fcgi-alone.conf \
	deploy/apache/proxy-fcgi-beside-unleash.conf
EXTRA_DIST += tests/harness/front.py tests/harness/web.py \
	tests/harness/apache.py tests/harness/load.py \
	tests/harness/pasted.py

# Monitoring, and the shell's completion.
DEPLOY_EXAMPLES += deploy/prometheus/flagtally.rules.yml \
	deploy/prometheus/grafana-dashboard.json
DEPLOY_TESTS += tests/deploy/watch.py
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = deploy/bash/flagtally

# Readers.
DEPLOY_EXAMPLES += deploy/readers/forward.py deploy/readers/tasks.py \
	deploy/readers/tasks.php deploy/readers/tasks.js \
	deploy/readers/tasks.go deploy/readers/tasks.sh
DEPLOY_TESTS += tests/deploy/forward.py tests/deploy/readers.py
EXTRA_DIST += tests/harness/openapi.py

# Packages.
EXTRA_DIST += deploy/debian/build deploy/debian/changelog deploy/debian/clean \
	deploy/debian/control deploy/debian/copyright deploy/debian/rules \
	deploy/debian/flagtally.README.Debian \
	deploy/debian/flagtally.lintian-overrides \
	deploy/debian/flagtally.postrm deploy/debian/source/format \
	deploy/debian/source/lintian-overrides deploy/debian/tests/control \
	deploy/debian/tests/main-job deploy/debian/watch \
	deploy/rpm/flagtally.spec deploy/rpm/flagtally.rpmlintrc \
	deploy/alpine/APKBUILD deploy/alpine/flagtally.pre-install
EXTRA_DIST += tests/harness/packaging.py tests/tools/throwaway.sh \
	tests/tools/userland.sh
