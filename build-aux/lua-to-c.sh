#!/bin/sh
# lua-to-c.sh NAME.lua: write the script as a C string called NAME_lua, without
# comments of a line of their own, blank lines and indentation.
set -eu
name=$(basename "$1" .lua)
printf '/* Made from %s.lua; do not edit. */\n' "$name"
printf 'static const char %s_lua[] =' "$name"
sed -e 's/^[[:space:]]*//' -e '/^--/d' -e '/^$/d' \
    -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\n    "/' -e 's/$/\\n"/' "$1"
printf ';\n'
