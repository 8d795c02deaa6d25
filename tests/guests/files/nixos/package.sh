# SPDX-License-Identifier: LGPL-2.1-or-later
# Builder of one package: copies $src and points every ELF file at the loader and libraries of the store.
# $src, $deps, $glibc come from flake.nix. Ends with exit: a builder that execs its last program gets killed now and then.
cp -r "$src" "$out"
chmod -R u+w "$out"
lib=lib/x86_64-linux-gnu

# Where packages keep libraries that others link to; $out's own need not exist yet to be searched.
rpath=$out/$lib:$out/$lib/systemd:$out/lib/nix
for dep in $deps; do
	for folder in "$dep/$lib" "$dep/$lib/systemd" "$dep/lib/nix"; do
		[ ! -d "$folder" ] || rpath=$rpath:$folder
	done
done

is_elf() { [ "$(head -c 4 "$1" | tr -d '\0')" = "$(printf '\177ELF')" ]; }

if [ -n "$glibc" ]; then
	find "$out" -type f | LC_ALL=C sort | while read -r file; do
		is_elf "$file" || continue
		patchelf --set-rpath "$rpath" "$file" 2>/dev/null || continue
		! patchelf --print-interpreter "$file" >/dev/null 2>&1 ||
			patchelf --set-interpreter "$glibc/$lib/ld-linux-x86-64.so.2" "$file"
	done
fi

# Debian's absolute links point at what is in the package itself.
find "$out" -type l | while read -r link; do
	target=$(readlink "$link")
	case $target in
	/nix/*) ;;
	/*) target=${target#/usr}; ln -sfn "$out$(echo "$target" | sed 's,^/sbin/,/bin/,; s,^/lib64/,/lib/,')" "$link" ;;
	esac
done
exit 0
