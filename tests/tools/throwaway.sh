#!/bin/sh
# throwaway.sh: lay a layer over this host that takes whatever is changed.
#
# usage: throwaway.sh DIRECTORY FOLDER...
#
# To be run by root, by `unshare --mount --propagation private`.  It mounts in
# the directory, says `ready PID`, and stays until its standard input ends.
# `nsenter --target PID --mount --root --wdns=/` runs a command in it: that sees
# this host with its packages, and the folders, which are this host's own and of
# which the directory has to be in one.  What it changes elsewhere stands in
# DIRECTORY/upper, in memory, and goes with the last process in it, whatever that
# ends by: nothing has to be cleaned up.
set -eu

here=$1
shift
mount -t tmpfs -o mode=755 throwaway "$here"
mkdir "$here/upper" "$here/work" "$here/root"
mount -t overlay throwaway \
    -o "lowerdir=/,upperdir=$here/upper,workdir=$here/work" "$here/root"
for folder in /proc /sys /dev; do
	mount --rbind "$folder" "$here/root$folder"
done
for folder; do
	mkdir -p "$here/root$folder"
	mount --bind "$folder" "$here/root$folder"
done
mkdir -p "$here/root$here/upper"
mount --bind "$here/upper" "$here/root$here/upper"
# No package may start anything, nor tell a systemd of this host.
printf '#!/bin/sh\nexit 101\n' >"$here/root/usr/sbin/policy-rc.d"
chmod 755 "$here/root/usr/sbin/policy-rc.d"
# Whoever reads `ready` must not find the root of this host here any more.
# shellcheck disable=SC2016 # The inner shell expands it.
exec chroot "$here/root" /bin/sh -c 'printf "ready %s\n" $$ && exec cat >&2'
