# SPDX-License-Identifier: LGPL-2.1-or-later
# Builder of system-units: Debian's units with programs of the store, only those that a container runs.
mkdir -p "$out"
cd "$systemd/lib/systemd/system"
cp ./*.target ./*.slice console-getty.service container-getty@.service systemd-journald*.service systemd-journald*.socket \
	systemd-journal-flush.service systemd-logind.service systemd-networkd.service systemd-networkd.socket \
	systemd-tmpfiles-setup.service systemd-tmpfiles-clean.service systemd-tmpfiles-clean.timer \
	systemd-user-sessions.service systemd-halt.service systemd-poweroff.service systemd-reboot.service \
	systemd-exit.service user@.service user-runtime-dir@.service "$out/"
cp "$dbusUnits"/lib/systemd/system/dbus.service "$dbusCommon"/lib/systemd/system/dbus.socket "$out/"
chmod u+w "$out"/*
cd "$out"
sed -i \
	-e "s,/lib/systemd/systemd,$systemd/lib/systemd/systemd,g" \
	-e "s,=\(-\?\)systemd-tmpfiles,=\1$systemd/bin/systemd-tmpfiles,; s,=\(-\?\)systemctl,=\1$systemd/bin/systemctl,; s,=\(-\?\)journalctl,=\1$systemd/bin/journalctl," \
	-e "s,/sbin/agetty,$utilLinux/bin/agetty --login-program $login/bin/login," \
	-e "s,\(ExecReload=\).*dbus-send.*,\1$coreutils/bin/true," \
	./*.service
# The condition asks for D-Bus at Debian's path.
sed -i '/^ConditionPathExists=|/d' systemd-logind.service
sed -i "s,^ExecStart=.*,ExecStart=$dbus/bin/dbus-daemon --config-file=/etc/dbus-1/system.conf --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only," dbus.service
cat >nginx.service <<UNIT
[Unit]
Description=Nginx Web Server
After=network.target
[Service]
ExecStart=$nginx/bin/nginx -c $nginxConf -e stderr
RuntimeDirectory=nginx
Restart=on-failure
UNIT

wants() {
	local target=$1 unit
	shift
	mkdir -p "$target.wants"
	for unit; do ln -s "../$unit" "$target.wants/$unit"; done
}
wants sysinit.target systemd-journald.service systemd-journal-flush.service systemd-tmpfiles-setup.service
wants sockets.target systemd-journald.socket systemd-journald-dev-log.socket dbus.socket
wants timers.target systemd-tmpfiles-clean.timer
wants multi-user.target systemd-logind.service systemd-user-sessions.service systemd-networkd.service nginx.service dbus.service getty.target
wants getty.target console-getty.service
ln -sfn multi-user.target default.target
ln -s systemd-logind.service dbus-org.freedesktop.login1.service
ln -s systemd-networkd.service dbus-org.freedesktop.network1.service
exit 0
