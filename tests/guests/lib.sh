# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the recipes share. Sourced by recipes/*, which run as root in an empty work folder with the output
# folder as $1. Must never name a mirror: the one of the machine's own apt is used.
set -euo pipefail
export LC_ALL=C
# mmdebstrap runs python3 for each package: a version manager's wrapper in front of it takes longer than the package.
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin

guest_password=redd

need() {
	local program
	for program; do
		command -v "$program" >/dev/null || { echo "needs the program $program: apt-get install it" >&2; exit 1; }
	done
}

# Prints the address of the Debian archive that apt on this machine uses (not the security one).
debian_mirror() {
	local uri
	if [ -n "${REDD_GUEST_MIRROR:-}" ]; then
		echo "$REDD_GUEST_MIRROR"
		return
	fi
	uri=$(apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(CODENAME)' 'Created-By: Packages' |
		awk -F'|' '$1 == "Debian" && $3 !~ /security|updates|backports/ { print $2; exit }')
	[ -n "$uri" ] || { echo "apt lists no Debian archive here: run apt-get update, or set REDD_GUEST_MIRROR" >&2; exit 1; }
	echo "$uri"
}

# debian_root SUITE PACKAGES TARGET [mmdebstrap option...]: a root of the suite with the two logins every guest has.
debian_root() {
	# shellcheck disable=SC2016  # hooks are expanded by the shell mmdebstrap starts
	local suite=$1 packages=$2 target=$3
	shift 3
	need mmdebstrap
	apt-config dump --no-empty | grep -E '^Acquire::(http|https|Check)' >host-apt.conf || true
	# The mirror of this machine is nobody else's business: it does not stay in the guest.
	mmdebstrap --mode=root --variant=minbase --include="login,passwd,iproute2,procps,$packages" \
		--aptopt="$PWD/host-apt.conf" --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list' \
		--customize-hook='chroot "$1" useradd -m -u 1000 -s /bin/bash alice' \
		--customize-hook="printf 'root:$guest_password\nalice:$guest_password\n' | chroot \"\$1\" chpasswd" \
		--customize-hook='rm -f "$1"/etc/securetty; : >"$1"/etc/machine-id; echo guest >"$1"/etc/hostname' \
		"$@" "$suite" "$target" "$(debian_mirror)"
}

# pack_root DIR TARGET: tar with everything a tarball can carry.
pack_root() {
	tar --sort=name --numeric-owner --xattrs --xattrs-include='*' --acls -C "$1" -cf "$2" .
}
