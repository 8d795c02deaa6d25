# SPDX-License-Identifier: LGPL-2.1-or-later
# Builder of the static /etc. Users and passwords are not here: activate makes them.
mkdir -p "$out/etc"
cp -r "$files/." "$out/etc/"
chmod -R u+w "$out/etc"
cd "$out/etc"
mkdir -p systemd dbus-1 pam.d tmpfiles.d systemd/network
ln -s "$units" systemd/system
ln -s "$systemd/lib/systemd/user" systemd/user
cp "$systemd/lib/systemd/network/80-container-host0.network" systemd/network/
for file in systemd.conf var.conf tmp.conf journal-nocow.conf systemd-nologin.conf; do
	[ ! -e "$systemd/lib/tmpfiles.d/$file" ] || cp "$systemd/lib/tmpfiles.d/$file" tmpfiles.d/
done
# Built for Debian's layout, unused here.
sed -i '/os-release/d; /\/etc\/mtab/d; /\/var\/log.*adm/d' tmpfiles.d/*.conf
sed -i -e "s,@modules@,$modules/lib/x86_64-linux-gnu/security,; s,@pam_systemd@,$pamSystemd/lib/x86_64-linux-gnu/security/pam_systemd.so," pam.d/*
sed -i -e "s,@sw@,$sw,g; s,@systemd@,$systemd,g; s,@dbusCommon@,$dbusCommon,g" profile dbus-1/system.conf
exit 0
