# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines of one test: unique names, images from guest tarballs, and removal when the test ends."""

import itertools
import re
import subprocess
from pathlib import Path

from . import session
from .waiting import wait_until

POOL = Path("/var/lib/machines")
START_TIMEOUT_S = 120
REBOOT_TIMEOUT_S = 60

_counter = itertools.count(1)


class Machine:
    """An image and the machine that runs from it. Its str() is its name, so it can be an argument of redd."""

    def __init__(self, redd, name, guest):
        self.redd, self.name, self.guest = redd, name, guest
        self.root = POOL / name

    def __str__(self):
        return self.name

    def start(self):
        self.redd("start", self.name, timeout=START_TIMEOUT_S)
        return self

    def stop(self):
        self.redd("stop", self.name, timeout=START_TIMEOUT_S)
        return self

    def property(self, key):
        """A value of `redd show`; "" if the machine does not run or has none."""
        result = self.redd.run("show", self.name)
        found = re.search(rf"^{key}=(.*)$", result.out, re.M)
        return found.group(1).strip() if found and result.code == 0 else ""

    def leader(self):
        return int(self.property("Leader") or 0)

    def is_running(self):
        return self.name in self.redd("list", "--no-legend").out.split()

    def shell(self, command, user="root", code=0, **options):
        """Output of a shell command inside."""
        result = self.redd("shell", f"{user}@{self.name}", "/bin/sh", "-c", command, code=code, **options)
        return result.out.replace("\r\n", "\n").rstrip("\n")

    def wait_for_prompt(self, timeout_s=60):
        """Waits for the end of the boot. An init that cannot send READY=1 counts as ready before it accepts input."""
        last_boot = lambda: self.redd.run("logs", self.name).out.rpartition("-- started --")[2]
        wait_until(lambda: "login" in last_boot(), f"{self.name} shows a login prompt", timeout_s)
        return self

    def wait_for_new_leader(self, old, timeout_s=REBOOT_TIMEOUT_S):
        return wait_until(lambda: self.leader() not in (0, old) and self.leader(), f"{self.name} came back", timeout_s)


class Pool:
    """Makes machines; close() ends and removes them all."""

    def __init__(self, redd):
        self.redd, self.machines, self.claimed = redd, [], []

    def fresh_name(self, stem="m"):
        return f"{session.tag}-{stem}-{next(_counter)}"

    def claim(self, name):
        """For a test that needs a certain name; cleaned up like others."""
        session.claimed_names.add(name)
        machine = Machine(self.redd, name, None)
        self.machines.append(machine)
        return machine

    def add(self, guest, name=None, unpack=False):
        """Makes a machine from guest's tarball, by `redd import-tar` or, with unpack=True, by tar alone."""
        name = name or self.fresh_name(guest)
        machine = self.claim(name)
        machine.guest = guest
        source = tarball(guest)
        if unpack:
            machine.root.mkdir(mode=0o755)
            subprocess.run(["tar", "--numeric-owner", "--xattrs", "-xpf", source, "-C", machine.root], check=True)
        else:
            self.redd("import-tar", source, name, timeout=300)
        return machine

    def close(self):
        for machine in reversed(self.machines):
            if self.redd.run("show", machine.name).code == 0:
                self.redd.run("terminate", machine.name)
            if machine.root.exists():
                self.redd.run("remove", machine.name)
            (Path("/etc/systemd/nspawn") / f"{machine.name}.nspawn").unlink(missing_ok=True)
            # The log is kept on purpose when a machine ends and when its image is removed: it tells why.
            for log in Path("/var/log/redd").glob(f"{machine.name}.log*"):
                log.unlink()
        self.machines.clear()


def tarball(guest, suffix=".tar"):
    """Path of the guest's tarball; built if missing. nixos has .tar.xz (pixz), .t.tar.xz (pixz -t), .xz-T0.tar.xz."""
    folder = session.build_guest(guest)
    path = folder / f"{guest}{suffix}"
    if not path.exists():
        raise FileNotFoundError(f"guest {guest} has no {suffix}; there are: {sorted(p.name for p in folder.iterdir())}")
    return path


def erase(root):
    """Removes a tree without redd, also files that a NixOS guest has made immutable."""
    subprocess.run(["chattr", "-R", "-f", "-i", root], capture_output=True, check=False)
    subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)
