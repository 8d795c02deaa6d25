# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of the test environment: the session is separate from the machine, and the leftover checker finds leftovers."""

import os
import subprocess
from pathlib import Path

import pytest
from helpers import cgroups, guests, leftovers, machines, session


def test_session_has_its_own_folders():
    assert os.getpid() != 1
    assert Path("/proc/1/comm").read_text().strip() != "systemd"
    assert not list(Path("/var/lib/machines").iterdir())
    assert not list(Path("/etc/systemd/nspawn").iterdir())
    assert os.path.ismount("/run") and not Path("/run/dbus").exists()


def test_only_lo_is_there():
    assert leftovers.snapshot()["interfaces"] <= {"lo", "sit0", "tunl0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0"}
    assert "lo" in os.listdir("/sys/class/net")


def _leave_mount():
    subprocess.run(["mount", "-t", "tmpfs", "left", "/mnt"], check=True)


def _leave_process():
    subprocess.Popen(["sleep", "1000"], start_new_session=True)


def _leave_interface():
    subprocess.run(["ip", "link", "add", "ve-left", "type", "veth", "peer", "name", "left1"], check=True)


def _leave_file():
    Path("/run/redd/machines/left").mkdir(parents=True)


def _leave_image():
    Path("/var/lib/machines/.hidden").mkdir()


def _leave_cgroup():
    os.mkdir(cgroups.hierarchies()[-1] / f"redd-{session.tag}")


@pytest.mark.parametrize(
    "kind, leave",
    [
        ("mounts", _leave_mount),
        ("processes", _leave_process),
        ("interfaces", _leave_interface),
        ("files", _leave_file),
        ("files", _leave_image),
        ("cgroups", _leave_cgroup),
    ],
)
def test_leftovers_are_seen_and_swept(kind, leave):
    before = leftovers.snapshot()
    leave()
    found = leftovers.difference(before, timeout_s=0)
    assert kind in found, leftovers.describe(found)
    leftovers.sweep(before)
    assert not leftovers.difference(before)


@pytest.mark.parametrize("name", ["tiny", *guests.ALL])
def test_guest_is_built(name):
    path = machines.tarball(name)
    names = subprocess.run(["tar", "-tf", path], capture_output=True, text=True, check=True).stdout.split("\n")
    assert any(line.removeprefix("./") in ("sbin/init", "usr/sbin/init") for line in names)
