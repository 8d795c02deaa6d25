#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs in a root with its own empty /nix: make.sh OUT. /nix/guest holds packages, graph.json and the flake.
set -euo pipefail
out=$1
export NIX_CONF_DIR=/nix/guest/conf HOME=/nix/guest/home NIX_REMOTE='' XDG_CACHE_HOME=/nix/guest/home
mkdir -p "$NIX_CONF_DIR" "$HOME" /nix/store
cat >"$NIX_CONF_DIR/nix.conf" <<'CONF'
experimental-features = nix-command flakes
build-users-group =
sandbox = false
substituters =
flake-registry =
max-jobs = 2
CONF

build() {
	nix build --no-write-lock-file --print-build-logs --out-link "/nix/guest/result-$1" "path:/nix/guest/flake#$1" >&2
	readlink "/nix/guest/result-$1"
}

# The layout of make-system-tarball: closure, registration, profile, init and os-release; names without ./
make_tree() {
	local system=$1 tree=$2 path
	mkdir -p "$tree/nix/store" "$tree/nix/var/nix/profiles" "$tree/sbin" "$tree/etc"
	nix-store -qR "$system" | LC_ALL=C sort >closure
	while read -r path; do cp -a "$path" "$tree/nix/store/"; done <closure
	xargs nix-store --dump-db <closure >"$tree/nix-path-registration"
	ln -s "$system" "$tree/nix/var/nix/profiles/system"
	ln -s /nix/var/nix/profiles/system/init "$tree/sbin/init"
	ln -s "$(readlink "$system/etc")/os-release" "$tree/etc/os-release"
}

nix-store --init
system=$(build system)
system2=$(build system2)
make_tree "$system" tree
# For machines that run straight from a store: both generations, as `nix-store --import` takes them.
nix-store -qR "$system" "$system2" | LC_ALL=C sort -u | xargs nix-store --export >"${out%.tar}.nar"
printf '%s\n' "$system" "$system2" >"${out%.tar}.systems"
cd tree
tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner -cf "$out" -- *
echo "$(wc -l <../closure) store paths in the closure of $system"
exit 0
