# SPDX-License-Identifier: LGPL-2.1-or-later
# Builder of the system closure's top: what the profile points to.
mkdir -p "$out/bin"
ln -s "$etc/etc" "$out/etc"
ln -s "$sw" "$out/sw"
ln -s "$systemd" "$out/systemd"
printf x86_64-linux >"$out/system"
printf '23.11.guest' >"$out/nixos-version"
printf 'systemd 252' >"$out/init-interface-version"
for script in init activate switch-to-configuration; do
	sed -e "1s,^#!,#!$bash,; s,@bash@,$bash,g; s,@sw@,$sw,g; s,@systemd@,$systemd,g; s,@toplevel@,$out,g; s,@utilLinux@,$utilLinux,g; s,@mount@,$mount,g" \
		"$scripts/$script" >"$out/$script"
	chmod 555 "$out/$script"
done
mv "$out/switch-to-configuration" "$out/bin/"
exit 0
