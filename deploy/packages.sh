# packages.sh: read by deploy/quickstart and tests/run, to have what they need.

# To build flagtally, and to run it as deploy/quickstart does.
packages_build="autoconf automake gcc make pkgconf libc6-dev libfcgi-dev
    libyajl-dev libhiredis-dev libssl-dev libzstd-dev zlib1g-dev libsodium-dev
    libunistring-dev libinih-dev libsqlite3-dev libseccomp-dev"
packages_run="redis-server redis-tools lighttpd curl ca-certificates"
# To test it; the stages of tests/run that take the rest name it.
packages_test="python3 binutils procps openssl spin mandoc nginx caddy haproxy
    apache2 libapache2-mod-fcgid wrk systemd spawn-fcgi build-essential
    debhelper lintian rpm rpmlint iproute2 systemd-container prometheus
    python3-redis php-cli php-redis nodejs node-redis jq"
packages_container="podman podman-compose runc netavark aardvark-dns iptables
    nftables"
packages_clang="clang libclang-rt-dev clang-tidy cppcheck"
packages_valkey="valkey-server valkey-tools"
packages_sdks="python3-venv chromium golang-go
    golang-github-gomodule-redigo-dev"
packages_browser="chromium chromium-driver default-jre-headless"

# missing_packages NAME...: print those that are not installed.
missing_packages() {
	for package; do
		case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
		*" installed") ;;
		*) printf ' %s' "$package" ;;
		esac
	done
}

# as_root COMMAND...: run it as root, itself or through sudo.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo -n "$@" 2>/dev/null || sudo "$@"
	else
		return 1
	fi
}

# need_packages NAME...: install those that are missing, or say what to do.
need_packages() {
	if ! command -v dpkg-query >/dev/null 2>&1; then
		echo "This is no Debian, so what is needed is not installed" \
		    "but taken as given: see \"Install\" in README.md." >&2
		return 0
	fi
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	echo "Installing:$missing" >&2
	# A service that starts on installation would be in the way, and ours
	# are private ones.
	if as_root sh -c "export DEBIAN_FRONTEND=noninteractive
	    guard=/usr/sbin/policy-rc.d
	    [ -e \$guard ] && guard= || { printf '#!/bin/sh\nexit 101\n' \
		>\$guard && chmod 755 \$guard; }
	    { apt-get -q update && apt-get -q -y install \
		--no-install-recommends $missing; } >&2
	    status=\$?
	    [ -z \"\$guard\" ] || rm -f \"\$guard\"
	    exit \$status"; then
		return 0
	fi
	echo "These packages are missing and could not be installed (it takes" \
	    "root or sudo):$missing" >&2
	return 1
}
