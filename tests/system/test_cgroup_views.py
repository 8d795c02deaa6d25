# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The views of control groups that hosts have: hybrid, v1 only, v2 only, nothing mounted. In each of them a machine must start,
see only v2, keep its device filter, manage its own part and no other, stop, and leave no cgroup behind.

Each command runs in a mount namespace with this view; the test itself sees all hierarchies.
"""

import shlex
from pathlib import Path

import pytest
from helpers import cgroups, command, leftovers, session, trees
from helpers.security import row

VIEWS = {
    "hybrid": ":",
    "v1": "umount -l /sys/fs/cgroup/unified",
    "v2": "umount -R -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    "none": "umount -R -l /sys/fs/cgroup",
}
# From here on lets the commands FIRST to LAST of bpf(2) fail: all of them, as in a kernel without CONFIG_CGROUP_BPF.
WITHOUT_BPF = """
#ifndef FIRST
#define FIRST 0
#define LAST 1000
#endif
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char *argv[])
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return 127;
	execv(argv[1], argv + 1);
	return 127;
}
"""
BPF_PROG_LOAD, BPF_PROG_ATTACH = 5, 8
PROBE_DEVICES = """
for node in 'b 7 0' 'b 254 0' 'c 1 1'; do
    busybox mknod /tmp/n $node 2>/dev/null && busybox cat /tmp/n >/dev/null 2>&1 && echo "opened $node"
    busybox rm -f /tmp/n
done
echo x >/dev/null && echo fine"""


def in_view(view, tmp_path, through=""):
    """A Redd that sees this view in all its commands; `through` is a program to run it by."""
    script = tmp_path / f"redd-{view}"
    arrange = f'{VIEWS[view]} || exit 99; exec {through} "$0" "$@"'
    program = shlex.quote(str(command.program()))
    script.write_text(f'#!/bin/sh\nexec unshare --mount --propagation private /bin/sh -c {shlex.quote(arrange)} {program} "$@"\n')
    script.chmod(0o755)
    return command.Redd(script)


@pytest.fixture(params=VIEWS)
def redd(request, tmp_path):
    if request.param in ("hybrid", "v1") and not (cgroups.unified() and len(cgroups.hierarchies()) > 1):
        pytest.skip("this host is not hybrid: its v1 hierarchies are not mounted")
    return in_view(request.param, tmp_path)


@pytest.fixture
def tree(tmp_path):
    return trees.make_busybox(tmp_path / session.own_name("tree"))


def groups_of(name):
    return sorted(path for path in cgroups.folders() if f"/redd/{name}" in path)


def test_a_command(redd, tree):
    result = redd("run", "-q", "-D", tree, "-M", "view-command", "/bin/true")
    assert result.err == ""
    assert groups_of("view-command") == []


@row("K03")
@pytest.mark.parametrize("users", ["pick", "no"])
def test_devices_are_filtered(redd, tree, users):
    """Without a user namespace only the filter protects devices, since the machine may have CAP_MKNOD."""
    out = redd("run", "-q", "-D", tree, "-M", "view-devices", f"--private-users={users}", "/bin/sh", "-c", PROBE_DEVICES).out
    assert out.split() == ["fine"]


@row("R12", "cgroup v1, v2 or both, filters that can't be loaded",
     "redd uses what exists; if no device filter can be set, a machine without a user namespace is refused, and one with it causes a "
     "warning")  # fmt: skip
@pytest.mark.parametrize("users", ["pick", "no"])
def test_a_command_manages_its_own_part_only(redd, tree, users):
    script = """
    cat /proc/self/cgroup
    cd /sys/fs/cgroup
    mkdir own && echo 0 > own/cgroup.procs && cat /proc/self/cgroup
    for file in cgroup.max.descendants cgroup.max.depth pids.max memory.max; do
        [ -e $file ] && ( echo 7 > $file ) 2>/dev/null && echo "wrote $file"
    done
    ls -d ../cgroup/../../fs/cgroup/redd 2>/dev/null
    mkdir /tmp/again && busybox mount -t cgroup2 cgroup2 /tmp/again && ls -d /tmp/again/redd /tmp/again/own 2>/dev/null
    echo end"""
    result = redd("run", "-q", "-D", tree, "-M", "view-own", f"--private-users={users}", "/bin/sh", "-c", script)
    lines = result.out.split()
    # A kernel with v1 hierarchies lists those too, with "/" as path, so the guest doesn't learn where it is.
    assert [line for line in lines if line.startswith("0::")] == ["0::/init", "0::/own"], result
    # Without a user namespace, root can write to these files unless the host's mount options forbid it.
    assert users == "no" or "wrote" not in lines, result
    assert "end" in lines and "/redd" not in result.out
    assert groups_of("view-own") == []


@pytest.mark.slow
@pytest.mark.parametrize("guest_name", ["busybox", "debian-bookworm", "debian-sid"])
def test_a_system(redd, machines, guest_name):
    machine = machines.add(guest_name)
    for _ in range(2):
        machine.start()
        check_sees_pure_v2(machine)
        check_place_of_init(machine)
        assert machine.is_running() and machine.property("State") == "running"
        machine.stop()
        assert not machine.is_running()
        assert groups_of(machine.name) == []


def check_sees_pure_v2(machine):
    mounts = machine.shell("grep cgroup /proc/mounts")
    assert [line.split()[1:3] for line in mounts.splitlines()] == [["/sys/fs/cgroup", "cgroup2"]]
    assert machine.shell("stat -f -c %T /sys/fs/cgroup") in ("cgroup2fs", "UNKNOWN")
    assert "cgroup.procs" in machine.shell("ls /sys/fs/cgroup")


def check_place_of_init(machine):
    """PID 1 is in a leaf; the root of the guest's cgroups has no process, so that it can enable controllers there."""
    payload = cgroups.unified() / "redd" / machine.name / "payload"
    groups = [path for path in groups_of(machine.name) if Path(path).is_relative_to(payload)]
    assert (payload / "cgroup.procs").read_text() == ""
    leader = machine.leader()
    inside = {path for path in groups if str(leader) in (Path(path) / "cgroup.procs").read_text().split()}
    assert len(inside) == 1 and next(iter(inside)).startswith(f"{payload}/")
    owner = (payload / "cgroup.subtree_control").stat().st_uid
    assert owner == (payload / "cgroup.procs").stat().st_uid == int(machine.shell("cut -c11-22 /proc/self/uid_map").split()[0])
    assert (payload.parent / "cgroup.procs").stat().st_uid == 0


@row("R12")
def test_without_bpf(tmp_path, tree):
    """If the kernel can't filter devices in cgroup2, the v1 controller must confine the machine (K03)."""
    if not any((top / "devices.list").exists() for top in cgroups.hierarchies()):
        pytest.skip("this host has no v1 devices controller")
    shim = trees.compile_static(WITHOUT_BPF, tmp_path / "without-bpf")
    redd = in_view("hybrid", tmp_path, through=shim)
    argv = ("run", "-q", "-D", tree, "-M", "view-v1-devices", "--private-users=no", "/bin/sh", "-c", PROBE_DEVICES)
    assert redd(*argv).out.split() == ["fine"]
    assert groups_of("view-v1-devices") == []
    assert not any((top / "redd").exists() for top in cgroups.hierarchies() if (top / "devices.list").exists())


@row("R12")
def test_without_bpf_and_without_devices_controller(tmp_path, tree):
    """Without a user namespace the start is refused, with one there is a warning."""
    redd = in_view("none", tmp_path, through=trees.compile_static(WITHOUT_BPF, tmp_path / "without-bpf"))
    argv = ("-q", "-D", tree, "-M", "view-bare", "/bin/sh", "-c", "echo hello")
    redd.fails("run", "--private-users=no", *argv, says="--private-users=pick")
    result = redd("run", *argv)
    assert result.out == "hello\n" and "without a device filter" in result.err
    assert groups_of("view-bare") == []


@pytest.mark.parametrize("command", [BPF_PROG_LOAD, BPF_PROG_ATTACH])
def test_filter_that_fails_while_pid_1_is_made(tmp_path, tree, command):
    """The kernel reports support, but loading fails: PID 1 exists by then, and must not execute."""
    shim = trees.compile_static(f"#define FIRST {command}\n#define LAST FIRST\n{WITHOUT_BPF}", tmp_path / "refuses")
    redd = in_view("hybrid", tmp_path, through=shim)
    (tree / "ran").unlink(missing_ok=True)
    argv = ("-q", "-D", tree, "-M", "view-late", "/bin/sh", "-c", "echo hello; busybox touch /ran")
    before = leftovers.snapshot()
    result = redd.fails("run", "--private-users=no", *argv, says="--private-users=pick")
    assert "hello" not in result.out and not (tree / "ran").exists()
    result = redd("run", *argv)
    assert result.out == "hello\n" and "without a device filter" in result.err
    found = leftovers.difference(before)
    assert not found, leftovers.describe(found)
