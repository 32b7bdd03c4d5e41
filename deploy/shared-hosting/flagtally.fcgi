#!/bin/sh
# flagtally.fcgi: what mod_fcgid starts in public_html, and keeps running; see
# README.md.  As flagtally.cgi, it calls the program in the directory flagtally of
# your home.

case $0 in
*/*)	here=${0%/*} ;;
*)	here=. ;;
esac
home=$here/../flagtally

# mod_fcgid calls for one request at a time, and hosters count each thread.
export FLAGTALLY_THREADS=2

# Under the same process id, so that the signals of mod_fcgid reach it.
# Arguments are dropped, and the configuration is named in the environment, for
# the reason that flagtally.cgi gives.
export FLAGTALLY_CONFIG="$home/flagtally.ini"
exec "$home/flagtally"
