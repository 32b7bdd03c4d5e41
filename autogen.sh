#!/bin/sh
# Make the build system of a fresh checkout (autoconf 2.71, automake 1.16).
set -e
cd "$(dirname "$0")"
exec autoreconf --install --warnings=all,no-portability
