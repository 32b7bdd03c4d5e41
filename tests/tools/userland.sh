#!/bin/sh
# userland.sh: run a command in another Debian, which stays as it is.
#
# usage: userland.sh DEBIAN SOURCE DIRECTORY COMMAND...
#
# To be run by root, by `unshare --mount --propagation private --pid --fork
# --kill-child`.  DEBIAN is a root directory as mmdebstrap makes it.  The command
# runs in a copy of SOURCE without its build directories, at /srv/source, and
# DIRECTORY is at /srv/tests.  All else that it changes is in memory, and goes
# with the last process in it.
set -eu

debian=$1
source=$2
directory=$3
shift 3
here=$directory/root
root=$here/root
mkdir -p "$here"
mount -t tmpfs -o mode=755 userland "$here"
mkdir "$here/upper" "$here/work" "$root"
mount -t overlay userland \
    -o "lowerdir=$debian,upperdir=$here/upper,workdir=$here/work" "$root"
mount -t proc proc "$root/proc"
for folder in /sys /dev; do
	mount --rbind "$folder" "$root$folder"
done
mount -t tmpfs -o mode=755 userland "$root/run"
# A container of systemd's asks its host for one.
od -An -N16 -tx1 /dev/urandom | tr -d ' ' >"$root/etc/machine-id"
mkdir "$root/run/lock" "$root/srv/source" "$root/srv/tests"
tar -C "$source" --exclude=./build --exclude=./.git -cf - . |
    tar -C "$root/srv/source" -xf -
mount --bind "$directory" "$root/srv/tests"
# Not by chroot alone, in which no user namespace can be made.
cd "$root"
pivot_root . mnt
exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/root LC_ALL=C FLAGTALLY_TESTS=/srv/tests \
    /bin/sh -c 'umount -l /mnt && cd /srv/source && exec "$@"' sh "$@"
