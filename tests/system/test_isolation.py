# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the root user of a machine may not do to the host, with a user namespace and without (X02-X07, K01-K05, T01)."""

import os
import re
from pathlib import Path

import pytest
from helpers import console, session, trees

BOTH = pytest.mark.parametrize("users", ["pick", "no"])
# Named after their use in attacks; only ever written with the value they have.
DANGEROUS = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sys/vm/panic_on_oom",
             "/proc/sysrq-trigger", "/proc/kcore", "/sys/kernel/uevent_helper")  # fmt: skip
TIOCSTI = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	static const char *const names[] = {"/dev/tty", "/dev/console", "/dev/pts/0"};
	int pushed = 0;
	for (int fd = 0; fd < 6; fd++) {
		int at = fd < 3 ? fd : open(names[fd - 3], O_RDWR);
		pushed += syscall(SYS_ioctl, at, TIOCSTI, "x") == 0;
		pushed += syscall(SYS_ioctl, at, TIOCSTI | (1UL << 32), "x") == 0;
	}
	printf("pushed %d\\n", pushed);
	return pushed;
}
"""


@pytest.fixture
def tree(tmp_path):
    return trees.make_busybox(tmp_path / session.own_name("tree"))


@pytest.fixture
def inside(redd, tree):
    """inside(script) runs the script as the machine's root; returns its output."""

    def call(script, *options, users="pick", **kwargs):
        argv = ["run", "-q", "-D", tree, "--private-network", f"--private-users={users}", *options, "/bin/sh", "-c", script]
        return redd.run(*argv, **kwargs)

    return call


@BOTH
def test_only_three_descriptors(inside, users):
    """X02. The fourth descriptor is ls's own."""
    out = inside("/bin/ls /proc/self/fd", users=users).out
    assert out.split() == ["0", "1", "2", "3"]


@BOTH
def test_three_descriptors_when_started_without(redd, tree, users):
    """X02 when 0, 1 and 2 are closed at the start."""
    argv = [redd.path, "run", "-q", "-D", str(tree), f"--private-users={users}", "/bin/sh", "-c", "/bin/ls /proc/self/fd > /seen"]
    assert os.waitstatus_to_exitcode(os.system(" ".join(f"'{word}'" for word in argv) + " <&- >&- 2>&-")) == 0
    assert (tree / "seen").read_text().split()[:3] == ["0", "1", "2"]
    assert len((tree / "seen").read_text().split()) <= 4


@BOTH
def test_nothing_of_the_caller_is_kept(inside, users):
    """X04."""
    result = inside("/bin/cat /proc/self/status; /bin/env", users=users, env={"SECRET": "of the host", "LD_PRELOAD": ""})
    status = dict(re.findall(r"^(\w+):\t(.*)$", result.out, re.M))
    assert int(status["CapInh"], 16) == 0 and int(status["CapAmb"], 16) == 0
    assert status["Groups"].strip() in ("", "0") and status["SigBlk"] == "0" * 16 and status["SigIgn"] == "0" * 16
    assert status["Seccomp"] == "2" and status["Umask"] == "0022"
    assert "SECRET" not in result.out


def test_without_user_namespace_the_capabilities_are_few(inside):
    """No SYS_ADMIN, SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_TIME if only the capability set confines the machine."""
    out = inside("/bin/cat /proc/self/status", users="no").out
    bounding = int(re.search(r"^CapBnd:\t(\w+)$", out, re.M).group(1), 16)
    assert not [number for number in (16, 17, 19, 21, 25) if bounding >> number & 1]


@BOTH
def test_devices_of_the_host(inside, users):
    """K03: no node of a disk or of memory can be made and opened; the usual devices work."""
    script = """
    for node in 'b 7 0' 'b 254 0' 'b 8 0' 'c 1 1' 'c 10 237'; do
        /bin/mknod /tmp/n $node 2>/dev/null && /bin/cat /tmp/n >/dev/null 2>&1 && /bin/echo "opened $node"
        busybox rm -f /tmp/n
    done
    /bin/echo usual > /dev/null && /bin/cat < /dev/null && /bin/echo fine"""
    assert inside(script, users=users).out.split() == ["fine"]


@BOTH
def test_settings_of_the_kernel(inside, users):
    """K02: read-only, even after remounting, and in a new procfs. Writes the old value to each."""
    script = "mkdir -p /tmp/p; "
    script += "".join(f"/bin/mount -o remount,rw,bind {path} 2>/dev/null; " for path in ("/proc/sys", "/proc", "/sys"))
    script += "/bin/umount /proc/sys 2>/dev/null; /bin/mount -t proc proc /tmp/p 2>/dev/null; "
    for path in DANGEROUS:
        if not Path(path).exists():
            continue
        for name in (path, path.replace("/proc", "/tmp/p", 1)):
            script += f"value=$(/bin/cat {name} 2>/dev/null | busybox head -c 200); "
            script += f"( : >> {name} ) 2>/dev/null && [ -n \"$value\" ] && /bin/echo \"$value\" > {name} && /bin/echo wrote {name}; "
    result = inside(script + "/bin/echo end", users=users)
    assert result.out.split() == ["end"], result


@BOTH
def test_control_groups_v1(inside, users):
    """K01: no v1 hierarchy can be mounted to write its release_agent."""
    script = """
    /bin/mkdir -p /tmp/c
    for name in memory pids cpu devices freezer rdma net_cls blkio; do
        /bin/mount -t cgroup -o $name cgroup /tmp/c 2>/dev/null || continue
        ( : > /tmp/c/release_agent ) 2>/dev/null && /bin/echo "can write the release_agent of $name"
        /bin/umount /tmp/c
    done
    /bin/echo end"""
    assert inside(script, users=users).out.split() == ["end"]


@BOTH
def test_no_input_for_the_caller(redd, tree, users):
    """T01, on a real terminal."""
    trees.compile_static(TIOCSTI, tree / "bin/push")
    child = redd.spawn("run", "-q", "-D", tree, f"--private-users={users}", "/bin/push")
    child.expect(r"pushed (\d+)")
    assert child.match.group(1) == "0"
    assert console.closed(child) == 0


def test_users_are_shifted(inside, tree):
    """Files that root of a machine makes belong to the tree's owner on disk; the running processes belong to a shifted user."""
    result = inside("/bin/echo x > /made; /bin/cat /proc/self/uid_map")
    shift = int(result.out.split()[1])
    assert shift >= 0x80000 and shift % 65536 == 0
    assert (tree / "made").stat().st_uid == 0
    assert inside("/bin/cat /proc/self/uid_map", users="no").out.split()[1] == "0"
