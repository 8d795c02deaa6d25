# SPDX-License-Identifier: LGPL-2.1-or-later
"""The facts about each guest that a test of all guests needs. tests/guests/recipes/ builds them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Guest:
    name: str
    init: str  # content of /proc/1/comm after the boot
    os: str  # beginning of PRETTY_NAME
    reboot: str  # typed by root at a shell
    poweroff: str
    notifies: bool = False  # whether it sends READY=1
    systemd: bool = False


def _systemd(name, os):
    return Guest(name, "systemd", os, "systemctl reboot", "systemctl poweroff", notifies=True, systemd=True)


ALL = {
    guest.name: guest
    for guest in (
        Guest("busybox", "init", "Busybox", "reboot", "poweroff"),
        _systemd("debian-bookworm", "Debian GNU/Linux 12"),
        _systemd("debian-trixie", "Debian GNU/Linux 13"),
        _systemd("debian-sid", "Debian GNU/Linux"),
        Guest("debian-openrc", "init", "Debian GNU/Linux 12", "openrc-shutdown -r now", "openrc-shutdown -p now"),
        Guest("debian-sysvinit", "init", "Debian GNU/Linux 12", "reboot", "poweroff"),
        Guest("debian-runit", "runit", "Debian GNU/Linux 12", "reboot", "poweroff"),
        _systemd("nixos", "NixOS"),
    )
}

# Not in ALL: `tiny` has no shell to log in to. It is for latencies and for tests that need only an init.
SYSTEMD = [name for name, guest in ALL.items() if guest.systemd]
