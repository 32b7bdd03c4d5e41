#!/bin/sh
# flagtally.cgi: what the web server calls in cgi-bin; see README.md.
#
# The program and its files are in the directory flagtally in your
# home, where no web server looks: this script and public_html/.htaccess are all
# that is in its reach.  Hosters run it under your account (suexec) if it belongs
# to you, and only you may write to it or to its directory; they clear the
# environment, so nothing is set there.
#
# Arguments are dropped: a web server passes a query string without "=" as
# arguments, so any client can write them.  The program ignores them, too, when
# it serves a CGI request, so the configuration is named in the environment.

case $0 in
*/*)	here=${0%/*} ;;
*)	here=. ;;
esac

# cgi-bin is in public_html, or beside it.
for home in "$here/../../flagtally" "$here/../flagtally"; do
	if [ -x "$home/flagtally" ]; then
		export FLAGTALLY_CONFIG="$home/flagtally.ini"
		exec "$home/flagtally"
	fi
done

# A sender keeps its counts after 503, and throws them away after 404.
echo "flagtally.cgi: there is no flagtally/flagtally beside or above $here" >&2
printf 'Status: 503 Service Unavailable\r\nRetry-After: 60\r\n'
printf 'Content-Type: text/plain\r\n\r\nflagtally is not installed here.\n'
