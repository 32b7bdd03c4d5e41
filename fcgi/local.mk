# All but main is an archive, from which tests link what they need.
noinst_LIBRARIES += fcgi/libprogram.a
fcgi_libprogram_a_SOURCES = \
	fcgi/auth.c fcgi/auth.h fcgi/backstage.c fcgi/backstage.h \
	fcgi/cgi.c fcgi/cgi.h fcgi/check.c fcgi/check.h fcgi/conn.c \
	fcgi/conn.h fcgi/cors.c fcgi/cors.h fcgi/health.c fcgi/health.h \
	fcgi/html.c fcgi/html.h \
	fcgi/job.c fcgi/job.h fcgi/listen.c fcgi/listen.h \
	fcgi/page.c fcgi/page.h fcgi/page_cache.c fcgi/page_cache.h \
	fcgi/page_frame.c fcgi/page_frame.h \
	fcgi/page_impact.c fcgi/page_impact.h fcgi/page_query.c \
	fcgi/page_query.h \
	fcgi/page_style.h fcgi/page_view.c fcgi/page_view.h fcgi/params.c \
	fcgi/fastcgi.h fcgi/params.h fcgi/pool.c fcgi/pool.h fcgi/probe.c fcgi/probe.h \
	fcgi/ready.c fcgi/ready.h \
	fcgi/report_table.c fcgi/report_table.h \
	fcgi/reportctl.c fcgi/reportctl.h fcgi/request.c fcgi/request.h \
	fcgi/response.c fcgi/response.h fcgi/route.c fcgi/route.h \
	fcgi/server.c fcgi/server.h fcgi/spoolctl.c fcgi/spoolctl.h
fcgi_flagtally_SOURCES = fcgi/main.c
