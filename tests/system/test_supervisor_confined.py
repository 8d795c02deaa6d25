# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rights of a supervisor once its machine runs, and that they suffice to make the machine again."""

import os
import re
from pathlib import Path

from helpers.security import row

# By number: include/uapi/linux/capability.h
SYS_MODULE, SYS_RAWIO, SYS_PACCT, SYS_BOOT, SYS_NICE, SYS_TIME = 16, 17, 20, 22, 23, 25
AUDIT_CONTROL, MAC_OVERRIDE, MAC_ADMIN, SYSLOG, CHECKPOINT_RESTORE = 30, 32, 33, 34, 40
GIVEN_UP = (SYS_MODULE, SYS_RAWIO, SYS_PACCT, SYS_BOOT, SYS_NICE, SYS_TIME, AUDIT_CONTROL, MAC_OVERRIDE, MAC_ADMIN, SYSLOG,
            CHECKPOINT_RESTORE)  # fmt: skip
SECCOMP_MODE_FILTER = 2


def status_of(pid):
    return dict(re.findall(r"^(\w+):\t(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M))


def supervisor_of(machine):
    return int(machine.property("Supervisor"))


def filters(pid):
    return int(status_of(pid)["Seccomp_filters"])


@row("X12", "the guest takes over the supervisor through data that the supervisor reads",
     "the supervisor keeps only the system calls, capabilities and descriptors that it needs to serve the machine and to make it again")  # fmt: skip
def test_capabilities_and_system_calls(guest):
    status = status_of(supervisor_of(guest("tiny").start()))
    for which in ("CapEff", "CapPrm"):
        assert not [number for number in GIVEN_UP if int(status[which], 16) >> number & 1], which
    assert int(status["CapInh"], 16) == 0 and int(status["CapAmb"], 16) == 0
    assert int(status["Seccomp"]) == SECCOMP_MODE_FILTER


@row("X12")
def test_descriptors(redd, guest):
    """It keeps neither the caller's descriptors nor those of mounts and namespaces that only the start needed."""
    machine = guest("tiny")
    with open("/etc/hostname", "rb") as of_the_caller:
        os.set_inheritable(of_the_caller.fileno(), True)
        with redd.start("start", machine, pass_fds=[of_the_caller.fileno()]) as starting:
            assert starting.wait(timeout=30) == 0
    pid = supervisor_of(machine)
    targets = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
    assert "/etc/hostname" not in targets
    assert not [target for target in targets if target.startswith(("pid:", "user:", "cgroup:", "ipc:", "uts:", "time:"))]


def test_it_makes_the_machine_again(guest):
    """A reboot needs nearly everything that a start needs, and the next PID 1 must have the same rights."""
    machine = guest("busybox").start().wait_for_prompt()
    first, facts = machine.leader(), "grep -E '^(Cap|NoNewPrivs)' /proc/1/status; mkdir -p /mnt && mount -t tmpfs x /mnt && umount /mnt && echo mounts"
    before = machine.shell(facts)
    machine.redd("restart", machine)
    second = machine.wait_for_new_leader(first)
    machine.wait_for_prompt()
    assert machine.shell(facts) == before and "mounts" in before
    assert filters(supervisor_of(machine)) == 1, "not one more at each boot"
    assert filters(second) <= 2


def test_without_private_users_the_next_boot_has_the_same_capabilities(redd, guest):
    """There PID 1 gets them from its supervisor. Such a guest can't call reboot(2) unless it has that capability."""
    machine = guest("busybox")
    Path("/etc/systemd/nspawn").mkdir(parents=True, exist_ok=True)
    settings = Path(f"/etc/systemd/nspawn/{machine}.nspawn")
    settings.write_text("[Exec]\nPrivateUsers=no\nCapability=CAP_SYS_BOOT\n")
    try:
        first = machine.start().wait_for_prompt().leader()
        before = status_of(first)["CapBnd"]
        redd("restart", machine)
        second = machine.wait_for_new_leader(first)
        machine.wait_for_prompt()
        assert status_of(second)["CapBnd"] == before
        assert machine.shell("echo entered") == "entered"
    finally:
        settings.unlink()
