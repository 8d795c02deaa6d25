# SPDX-License-Identifier: LGPL-2.1-or-later
# Builder of system-path: one bin of links to the programs of all packages.
mkdir -p "$out/bin"
for package in $programs; do
	for file in "$package"/bin/*; do
		[ ! -e "$file" ] || ln -sf "$file" "$out/bin/${file##*/}"
	done
done
ln -sf bash "$out/bin/sh"
exit 0
