# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Machines whose root is the host's root (--private-users=yes on a tree of root's, identity, 0:65536): the mounts that
protect /proc and /sys are locked for them, too.
"""

import os
from pathlib import Path

import pytest
from attacks import make_tree, put, running
from helpers import session
from helpers.security import row

ROOT = ["yes", "identity", "0:65536"]
NETWORKS = [[], ["--private-network"]]


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / f"{session.tag}-tree")


def run(redd, tree, users, *words, options=()):
    return redd.run("run", "-q", "-D", tree, f"--private-users={users}", *options, *words)


def effective(redd, tree, users):
    out = run(redd, tree, users, "/bin/grep", "CapEff", "/proc/self/status").out
    return int(out.split()[1], 16)


@row("K12", "root of a machine that is root of the host uncovers, moves, remounts or mounts anew /proc and /sys",
     "they are mounted and covered before PID 1 copies the mounts into its own namespaces, which locks them; no complete one is left that "
     "would permit a new mount")  # fmt: skip
@pytest.mark.parametrize("users", [*ROOT, "pick", "no"])
@pytest.mark.parametrize("network", NETWORKS)
def test_nothing_of_proc_and_sys_is_uncovered(redd, tree, users, network):
    result = run(redd, tree, users, put("unmask", tree), *(["shifted"] if users == "pick" else []), options=network)
    assert (result.out, result.code) == ("end\n", 0), result
    if users != "no":
        assert effective(redd, tree, users) >> 21 & 1, "without CAP_SYS_ADMIN this shows nothing"


@row("K12")
@pytest.mark.parametrize("users", [*ROOT, "pick"])
def test_nor_by_those_who_enter(redd, tree, users):
    program = put("unmask", tree)
    words = [program, *(["shifted"] if users == "pick" else [])]
    with running(redd, tree, users=users) as victim:
        assert redd("exec", victim, *words).out == "end\n"
        assert redd("shell", victim, *words).out.replace("\r", "") == "end\n"


@row("K12")
@pytest.mark.parametrize("users", ROOT)
def test_core_pattern_of_the_host(redd, tree, users):
    """The former hole: unmount /proc/sys, or mount a procfs that isn't covered. Writes the value that is there."""
    script = """
    mkdir -p /tmp/p
    umount /proc/sys || umount -l /proc/sys || mount -t proc proc /tmp/p || busybox unshare -p -f -m --mount-proc true
    for file in /proc/sys/kernel/core_pattern /tmp/p/sys/kernel/core_pattern; do
        old=$(cat /proc/sys/kernel/core_pattern)
        (echo "$old" > $file) && echo "wrote $file"
    done
    echo end
    """
    assert run(redd, tree, users, "/bin/sh", "-c", f"( {script} ) 2>/dev/null", options=["--private-network"]).out == "end\n"


@row("K13", "root of the host inside mounts the host's cgroup v1 hierarchies, whose files are its own",
     "the cgroup namespace of such a machine belongs to the host, and its users can make none: no hierarchy can be mounted")  # fmt: skip
@pytest.mark.parametrize("users", ROOT)
@pytest.mark.parametrize("options", [[], ["--as-pid2"], ["-u", "alice"]])
def test_v1_hierarchies_of_the_host(redd, tree, users, options):
    """They also can't mount cgroup2 or make a cgroup namespace, neither directly nor as root of a user namespace made inside."""
    program = put("nest", tree)
    assert run(redd, tree, users, program, options=["--private-network", *options]).out.replace("no namespaces of its own\n", "") == "end\n"
    script = """
    mkdir -p /tmp/c
    for type in cgroup2 "cgroup -o freezer" "cgroup -o none,name=systemd" "cgroup -o none,name=new"; do
        mount -t $type c /tmp/c && echo "mounted $type"
        busybox unshare -U -r -m mount -t $type c /tmp/c && echo "mounted $type among users of its own"
    done
    echo 9 > /proc/sys/user/max_cgroup_namespaces
    busybox grep -x 0::/init /proc/self/cgroup; ls /sys/fs/cgroup/cgroup.procs
    """
    out = run(redd, tree, users, "/bin/sh", "-c", f"( {script} ) 2>/dev/null; :", options=["--private-network"]).out
    assert out == "0::/init\n/sys/fs/cgroup/cgroup.procs\n"
    with running(redd, tree, users=users) as victim:
        assert redd("exec", victim, program).out.replace("no namespaces of its own\n", "") == "end\n"
        assert redd("exec", victim, "/bin/sh", "-c", f"( {script} ) 2>/dev/null; :").out.count("mounted") == 0


@row("K14", "a container inside a machine needs its own procfs and sysfs, which locked masks forbid",
     "with shifted users, one complete instance of each is mounted where nobody can go; its files belong to the host's root")  # fmt: skip
@pytest.mark.parametrize("network", NETWORKS)
def test_containers_inside(redd, tree, network):
    script = """
    busybox unshare -p -f -m --mount-proc sh -c 'echo processes $(readlink /proc/self)'
    busybox unshare -U -r -p -f -m --mount-proc sh -c 'echo users $(cat /proc/self/uid_map)'
    mkdir -p /tmp/s
    busybox unshare -U -r -n -m mount -t sysfs s /tmp/s && echo sysfs
    ls /run/host/whole && echo listed
    cd /run/host/whole && echo entered
    umount -l /run/host/whole/proc && echo unmounted
    busybox chmod 755 /run/host/whole && echo changed
    stat -c '%a %u' /run/host/whole
    """
    lines = run(redd, tree, "pick", "/bin/sh", "-c", f"exec 2>/dev/null; {script}", options=network).out.splitlines()
    inside = ["processes 2", "users 0 0 1", *(["sysfs"] if network else [])]
    assert lines == [*inside, "0 65534"]


@row("K02")
@pytest.mark.parametrize("users", [*ROOT, "no", "pick"])
def test_settings_of_the_network_that_are_the_hosts(redd, tree, users):
    """Settings of the machine's own namespace stay writable."""
    script = """
    for path in /proc/sys/net/netfilter/nf_hooks_lwtunnel; do
        [ -e $path ] && (: >> $path) 2>/dev/null && echo "opened $path"
    done
    (: >> /proc/sys/net/ipv4/ip_forward) && echo own
    """
    assert run(redd, tree, users, "/bin/sh", "-c", script, options=["--private-network"]).out == "own\n"


@row("K03")
@pytest.mark.parametrize("users", [*ROOT, "no"])
def test_nodes_of_the_image_are_no_devices(redd, tree, users):
    """Not even nodes that the device filter allows, since not every host has the filter."""
    os.mknod(tree / "etc/zero", 0o20666, os.makedev(1, 5))
    script = "busybox head -c 1 /etc/zero >/dev/null 2>&1 && echo read; busybox head -c 1 /dev/zero >/dev/null && echo end"
    for options in ([], ["--ephemeral"]):
        assert run(redd, tree, users, "/bin/sh", "-c", script, options=options).out == "end\n"


def test_second_process_is_number_two(redd, tree):
    """Whatever process was in the machine's PID namespace before."""
    for users in ("pick", "identity", "no"):
        assert run(redd, tree, users, "/bin/sh", "-c", "echo $$", options=["--as-pid2"]).out == "2\n"
        assert run(redd, tree, users, "/bin/sh", "-c", "echo $$ /proc/[0-9]*").out.split() == ["1", "/proc/1"]


@pytest.mark.slow
@pytest.mark.parametrize("users", ["identity", "yes"])
def test_systemd_boots_with_the_hosts_owners(redd, guest, tmp_path, users):
    """The use case of identity: files of a bind have the same owners as on the host."""
    machine = guest("debian-bookworm")
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_text("kept\n")
    os.chown(volume / "file", 1234, 1234)
    os.chmod(tmp_path, 0o755)
    settings = f"[Exec]\nPrivateUsers={users}\n[Files]\nBind={volume}:/volume\n"
    Path(f"/etc/systemd/nspawn/{machine}.nspawn").write_text(settings)
    machine.start()
    assert machine.shell("stat -c %u /volume/file") == "1234"
    machine.shell("touch /volume/made && chown 1000 /volume/made")
    assert (volume / "made").stat().st_uid == 1000
    assert machine.shell("systemctl is-system-running --wait || systemctl --failed --no-legend") == "running"
