# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows K01 to K05 of SECURITY.md: what root of a machine asks of the kernel. All attempts to write write the old value."""

import os
import re
import shutil
from pathlib import Path

import pytest
from attacks import make_tree, put, running
from helpers import session
from helpers.security import row
from helpers.waiting import wait_until

BOTH = pytest.mark.parametrize("users", ["pick", "no"])


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / f"{session.tag}-tree")


@pytest.fixture
def inside(redd, tree):
    def call(*words, users="pick", options=()):
        result = redd.run("run", "-q", "-D", tree, f"--private-users={users}", "--private-network", *options, *words)
        assert result.code == 0, result
        return result.out

    return call


@row("K01", "v1 release_agent, limits lifted through a v1 hierarchy",
     "a user namespace; without one, no SYS_ADMIN, and the filter forbids to make a user namespace in which to mount")  # fmt: skip
@row("K02", "/proc/sys, sysrq, core_pattern and the like",
     "read-only and masked, by mounts that nobody inside can remove; so are settings below /proc/sys/net that aren't per network "
     "namespace")  # fmt: skip
@row("K04", "every system call", "an allow-list; the kernel's verdict on every number is compared with the policy")
@BOTH
@pytest.mark.parametrize("options", [[], ["--as-pid2"], ["-u", "alice"]])
def test_k01_k02_k04_namespaces_of_its_own(inside, tree, users, options):
    """release_agent, the device filter, /proc/sys and masks, directly and from a user namespace made inside."""
    assert inside(put("nest", tree), users=users, options=options) == "end\n"


@row("K01")
@BOTH
def test_k01_limits_stay(redd, tree, users):
    """Mounting a v1 hierarchy in new namespaces doesn't allow to lift the machine's limits."""
    folder = Path("/sys/fs/cgroup/memory")
    if not (folder / "memory.limit_in_bytes").exists():
        pytest.skip("no cgroup v1 here")
    script = "mkdir -p /tmp/c; busybox unshare -m -C sh -c 'mount -t cgroup -o memory c /tmp/c && echo -1 > /tmp/c/memory.limit_in_bytes && echo lifted'; :"
    with running(redd, tree, users=users) as victim:
        group = folder / next(line.split(":")[2].strip() for line in Path(f"/proc/{victim.leader()}/cgroup").read_text().splitlines()
                              if line.split(":")[1] == "memory").lstrip("/")  # fmt: skip
        if group == folder:
            pytest.skip("machines have no v1 memory group here")
        before = (group / "memory.limit_in_bytes").read_text()
        out = redd.run("exec", victim, "/bin/sh", "-c", script).out
        assert "lifted" not in out and (group / "memory.limit_in_bytes").read_text() == before, out


WRITABLE = """
for path in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hotplug /proc/sys/fs/binfmt_misc/register \\
    /proc/sys/vm/overcommit_memory /proc/sys/kernel/sysrq /proc/sysrq-trigger /proc/kcore /proc/kmsg /proc/1/oom_score_adj_of_host \\
    /sys/kernel/uevent_helper /sys/kernel/security/lockdown /sys/power/state /sys/fs/cgroup/../../kernel/mm/transparent_hugepage/enabled \\
    /proc/irq/0/smp_affinity /proc/mtrr /proc/fs/ext4 /dev/mem /dev/kmem /dev/port /dev/kmsg /sys/class/net/lo/mtu; do
    [ -e $path ] && ( : >> $path ) 2>/dev/null && echo "opened $path"
done
"""


@row("K02")
@BOTH
def test_k02_settings_of_the_host(inside, users):
    """Read-only at first, and after all possible remounting and unmounting by root."""
    move = "".join(f"mount -o remount,rw,bind {path}; mount -o remount,rw {path}; umount {path}; umount -l {path};"
                   for path in ("/proc/sys", "/sys", "/proc/kcore", "/proc/sysrq-trigger"))  # fmt: skip
    move += "mkdir -p /tmp/p /tmp/s; mount -t proc p /tmp/p; mount -t sysfs s /tmp/s;"
    # The link belongs to the machine: in a sysfs that it mounts, it may set what `ip link` can set.
    again = WRITABLE.replace("/sys/class/net/lo/mtu", "").replace("/proc/", "/tmp/p/").replace("/sys/", "/tmp/s/")
    assert inside("/bin/sh", "-c", f"{WRITABLE} ( {move} ) >/dev/null 2>&1; {WRITABLE} {again} echo end", users=users) == "end\n"


def disk():
    """A readable block device of this host (loop devices count), as MAJOR MINOR."""
    for path in sorted(Path("/sys/class/block").iterdir()):
        major, minor = (path / "dev").read_text().strip().split(":")
        if int((path / "size").read_text()) > 0:
            return major, minor
    pytest.skip("this host has no block device")


PLACES = "/ /dev /tmp /run /dev/shm /volume /proc /sys/fs/cgroup"


@row("K03", "nodes of disks and memory, mounts uncovered or made writable", "device filter; the supervisor makes the mounts, so they are locked")
@BOTH
@pytest.mark.parametrize("options", [[], ["--as-pid2"], ["--ephemeral"], ["--volatile"]])
def test_k03_disks_of_the_host(redd, tree, tmp_path, users, options):
    (tmp_path / "volume").mkdir()
    major, minor = disk()
    nodes = [f"b {major} {minor}", "b 7 0", "c 1 1", "c 1 4", "c 10 237", "c 10 130", "c 5 3", "c 4 0", "c 13 0"]
    script = f"""
    for place in {PLACES}; do
        {"".join(f'''
        mknod $place/n {node} 2>/dev/null && busybox head -c 1 $place/n >/dev/null 2>&1 && echo "read {node} on $place"
        [ -e $place/n ] && (: >> $place/n) 2>/dev/null && echo "opened {node} on $place"
        busybox rm -f $place/n 2>/dev/null''' for node in nodes)}
    done
    busybox head -c 1 /dev/zero > /dev/null && busybox head -c 1 < /dev/urandom > /dev/null && echo end"""
    argv = ["run", "-q", "-D", tree, f"--private-users={users}", f"--bind={tmp_path / 'volume'}:/volume", *options, "/bin/sh", "-c", script]
    result = redd.run(*argv)
    if options == ["--volatile"] and result.code:
        pytest.skip("no --volatile yet")
    assert result.out == "end\n", result


@row("K03")
@row("A04", "device nodes, whiteouts", "made as nodes and never opened; the device filter and the user namespace keep them shut")
@BOTH
@pytest.mark.parametrize("place", ["tree", "volume"])
def test_k03_nodes_that_are_there_already(redd, tree, tmp_path, users, place):
    """Nodes made by another machine that shares the volume, or by the image's author."""
    major, minor = disk()
    folder = tree / "etc" if place == "tree" else tmp_path / "volume"
    folder.mkdir(exist_ok=True)
    os.mknod(folder / "disk", 0o60666, os.makedev(int(major), int(minor)))
    os.mknod(folder / "kmsg", 0o20666, os.makedev(1, 11))
    inside = "/etc" if place == "tree" else "/volume"
    script = f"for name in disk kmsg; do busybox dd if={inside}/$name bs=1 count=1 of=/tmp/x 2>/dev/null && echo read $name; done; echo end"
    argv = ["-D", tree, f"--private-users={users}", f"--bind={tmp_path if place == 'tree' else folder}:/volume"]
    assert redd("run", "-q", *argv, "/bin/sh", "-c", script).out == "end\n"
    with running(redd, tree, users=users, options=[argv[-1]]) as victim:
        assert redd("exec", victim, "/bin/sh", "-c", script).out == "end\n"
        assert redd("shell", victim, "/bin/sh", "-c", script).out.replace("\r", "") == "end\n"


LOCKED = ("/dev", "/run/host", "/proc", "/sys", "/fixed", "/tmp", "/dev/pts", "/sys/fs/cgroup")


@row("K03")
@BOTH
def test_k03_mounts_are_locked(redd, tree, tmp_path, users):
    """A read-only bind stays read-only, and what lies beneath redd's mounts stays covered."""
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    (fixed / "file").write_text("kept\n")
    for name in ("dev", "run", "fixed"):
        (tree / name).mkdir(exist_ok=True)
        (tree / name / "beneath").write_text("beneath\n")
    script = "; ".join(f"mount -o remount,rw,bind {path}; mount -o remount,rw {path}" for path in ("/fixed", "/run/host"))
    script += "; mkdir -p /tmp/again; mount --rbind /fixed /tmp/again && mount -o remount,rw,bind /tmp/again; "
    script += "for place in /fixed /tmp/again; do echo changed > $place/file; echo x > $place/made; busybox rm -f $place/file; done; "
    script += "for path in /dev /run/host /run /fixed; do umount $path; umount -l $path; done; "
    script += "busybox cat /dev/beneath /run/beneath /fixed/beneath; mount --bind / /tmp/again && busybox cat /tmp/again/dev/beneath > /dev/null"
    result = redd.run("run", "-q", "-D", tree, f"--private-users={users}", f"--bind-ro={fixed}:/fixed", "/bin/sh", "-c", f"( {script} ) 2>/dev/null; echo end")
    assert result.out == "end\n", result
    assert sorted(path.name for path in fixed.iterdir()) == ["file"] and (fixed / "file").read_text() == "kept\n"


@row("K03")
@BOTH
def test_k03_mounts_are_locked_for_those_who_enter(redd, tree, tmp_path, users):
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    with running(redd, tree, users=users, options=[f"--bind-ro={fixed}:/fixed"]) as victim:
        for path in LOCKED:
            script = f"( mount -o remount,rw,bind {path}; umount {path}; umount -l {path}; echo x > /fixed/made ) 2>/dev/null; :"
            redd.run("exec", victim, "/bin/sh", "-c", script)
        assert not list(fixed.iterdir())


@row("K04")
def test_k04_calls_that_reach_the_host(inside, tree):
    """Without a user namespace only the filter protects; unit host/seccomp tries every number."""
    assert inside(put("calls", tree), users="no") == "end\n"


@row("K04")
def test_k04_calls_of_those_who_enter(redd, tree):
    calls = put("calls", tree)
    with running(redd, tree, users="no") as victim:
        assert redd("exec", victim, calls).out == "end\n"
        assert redd("shell", victim, calls).out.replace("\r", "") == "end\n"


@row("K05", "the host's keyring", "a new anonymous session keyring")
@BOTH
def test_k05_keyring(redd, tree, users):
    """Neither the caller's session keyring nor one shared by two machines; /proc/keys shows nothing."""
    program = put("facts", tree)
    rings = []
    other = tree.with_name("other")
    shutil.copytree(tree, other, symlinks=True)
    with running(redd, other, users=users) as victim:
        for words in (["run", "-q", "-D", tree, f"--private-users={users}"], ["run", "-q", "-D", tree, f"--private-users={users}"], ["exec", victim]):
            found = dict(re.findall(r"^(Keyring\w*):\s*(.*)$", redd(*words, program).out, re.M))
            if users == "no":
                assert found["Keyring"] == "refused"
                continue
            assert re.match("keyring;(0|65534);", found["Keyring"]) and found["Keyring"].endswith("_ses"), found
            rings.append(found["KeyringId"])
        assert len(set(rings)) == len(rings)
        assert redd.run("exec", victim, "/bin/cat", "/proc/keys").out == ""


@row("K05")
@pytest.mark.parametrize("users, can", [("pick", "ok"), ("identity", "ENOSYS"), ("0:65536", "ENOSYS"), ("no", "ENOSYS")])
def test_k05_keys_of_the_host(inside, tree, users, can):
    """
    Keys can be found by number from all user namespaces, and access depends on the host's user number. And for a missing
    key the kernel starts a program as root of the host, whoever asks.
    """
    assert inside(put("keys", tree), users=users).split() == ["keyctl", can, "add_key", can, "request_key", "ENOSYS"]


@row("K01")
def test_k01_a_user_namespace_of_pid_1_gives_nothing(redd, tree):
    """PID 1 then shows all capabilities. A process that enters gets only those of the machine, and its filter."""
    words = ["--private-users=no", "--private-network", "/bin/cat", "/proc/self/status"]
    given = re.search(r"CapBnd:.*", redd("run", "-q", "-D", tree, *words).out)[0]
    trap = ("(until [ $(busybox readlink /proc/1/ns/user) != $(busybox readlink /proc/self/ns/user) ]; do sleep 0.1; done;"
            " echo 0 0 65536 > /proc/1/uid_map; echo 0 0 65536 > /proc/1/gid_map) & exec busybox unshare -U sh -c 'while :; do sleep 1; done'")  # fmt: skip
    enter = "busybox grep CapBnd /proc/self/status; busybox unshare -m sh -c 'mount -t tmpfs x /tmp && echo mounts'; :"
    with running(redd, tree, "/bin/sh", "-c", trap, users="no") as victim:
        wait_until(lambda: Path(f"/proc/{victim.leader()}/uid_map").read_text().split() == ["0", "0", "65536"], "PID 1 has users of its own")
        assert redd.run("exec", victim, "/bin/sh", "-c", enter).out.strip() == given
