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
exec "$home/flagtally" --config "$home/flagtally.ini"
