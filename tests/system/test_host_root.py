# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Machines whose root is the host's root (--private-users=yes on a tree of root's, identity, 0:65536): what guards /proc
and /sys is locked, for them as for everybody.
"""

import os
import re

import pytest
from attacks import make_tree, put, running
from helpers import session
from helpers.command import Redd
from helpers.security import row
from helpers.waiting import wait_until

ROOT = ["yes", "identity", "0:65536"]
NETWORKS = [[], ["--private-network"]]


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / f"{session.tag}-tree")


@pytest.fixture
def modern(redd, tmp_path):
    """redd of a host with cgroup2 alone, as far as it can tell: then root may administer its user namespace."""
    groups = tmp_path / "cgroup"
    groups.write_text("0::/\n")
    script = tmp_path / "redd"
    script.write_text(f'#!/bin/sh\nmount --bind {groups} /proc/$$/cgroup && exec {redd.path} "$@"\n')
    script.chmod(0o755)
    return Redd(script)


def run(redd, tree, users, *words, options=()):
    return redd.run("run", "-q", "-D", tree, f"--private-users={users}", *options, *words)


def effective(redd, tree, users):
    out = run(redd, tree, users, "/bin/grep", "CapEff", "/proc/self/status").out
    return int(out.split()[1], 16)


@row("K06A", "root of a machine that is root of the host uncovers, moves, remounts or mounts anew /proc and /sys",
     "made, and covered, before PID 1 copies the mounts into its own namespaces, which locks them; nothing whole is left to mount anew")  # fmt: skip
@pytest.mark.parametrize("users", [*ROOT, "pick", "no"])
@pytest.mark.parametrize("network", NETWORKS)
def test_nothing_of_proc_and_sys_is_uncovered(modern, tree, users, network):
    result = run(modern, tree, users, put("unmask", tree), *(["shifted"] if users == "pick" else []), options=network)
    assert (result.out, result.code) == ("end\n", 0), result
    if users != "no":
        assert effective(modern, tree, users) >> 21 & 1, "without CAP_SYS_ADMIN this shows nothing"


@row("K06A")
@pytest.mark.parametrize("users", [*ROOT, "pick"])
def test_nor_by_those_who_enter(modern, tree, users):
    program = put("unmask", tree)
    words = [program, *(["shifted"] if users == "pick" else [])]
    with running(modern, tree, users=users) as victim:
        assert modern("exec", victim, *words).out == "end\n"
        assert modern("shell", victim, *words).out.replace("\r", "") == "end\n"


@row("K06A")
@pytest.mark.parametrize("users", ROOT)
def test_core_pattern_of_the_host(modern, tree, users):
    """The way that was there: take /proc/sys away, or mount a procfs that has none of it covered. Writes what it holds."""
    script = """
    mkdir -p /tmp/p
    umount /proc/sys || umount -l /proc/sys || mount -t proc proc /tmp/p || busybox unshare -p -f -m --mount-proc true
    for file in /proc/sys/kernel/core_pattern /tmp/p/sys/kernel/core_pattern; do
        old=$(cat /proc/sys/kernel/core_pattern)
        (echo "$old" > $file) && echo "wrote $file"
    done
    echo end
    """
    assert run(modern, tree, users, "/bin/sh", "-c", f"( {script} ) 2>/dev/null", options=["--private-network"]).out == "end\n"


@row("K07A", "root of the host inside mounts the host's cgroup v1 hierarchies, whose files are its own",
     "where the host has any, such a machine gets no more than one without private users: neither SYS_ADMIN nor, by the filter, mounting")  # fmt: skip
@pytest.mark.parametrize("users", ROOT)
def test_v1_hierarchies_of_the_host(redd, tree, users):
    if all(line.startswith("0:") for line in open("/proc/self/cgroup", encoding="ascii")):
        pytest.skip("this host has no cgroup v1")
    program = put("nest", tree)
    for options in ([], ["--as-pid2"], ["-u", "alice"]):
        result = run(redd, tree, users, program, options=["--private-network", *options])
        assert result.out == "end\n", result
        assert "no more capabilities" in result.err, result
    with running(redd, tree, users=users) as victim:
        assert redd("exec", victim, program).out == "end\n"
    assert not effective(redd, tree, users) >> 21 & 1
    # What is asked for by name is granted, as ever.
    out = run(redd, tree, users, "/bin/grep", "CapEff", "/proc/self/status", options=["--capability=CAP_SYS_ADMIN"]).out
    assert int(out.split()[1], 16) >> 21 & 1


@row("K08A", "a container inside a machine needs a procfs and a sysfs of its own, which masks that are locked forbid",
     "with shifted users one of each that nothing hides a part of lies where nobody can go; what it shows is the host's root's")  # fmt: skip
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


@row("K02", "settings of the host below /proc/sys/net that no network namespace has for itself",
     "covered one by one; before Linux 6.10, where it appears late, with the folder")  # fmt: skip
@pytest.mark.parametrize("users", [*ROOT, "no", "pick"])
def test_settings_of_the_network_that_are_the_hosts(redd, tree, users):
    """What is the machine's own stays writable."""
    script = """
    for path in /proc/sys/net/netfilter/nf_hooks_lwtunnel; do
        [ -e $path ] && (: >> $path) 2>/dev/null && echo "opened $path"
    done
    (: >> /proc/sys/net/ipv4/ip_forward) && echo own
    """
    assert run(redd, tree, users, "/bin/sh", "-c", script, options=["--private-network"]).out == "own\n"


@row("K03")
@pytest.mark.parametrize("users", [*ROOT, "pick", "no"])
def test_nodes_of_the_image_are_no_devices(redd, tree, users):
    """Even those that the device filter lets pass: it isn't there on every host."""
    os.mknod(tree / "etc/zero", 0o20666, os.makedev(1, 5))
    script = "busybox head -c 1 /etc/zero >/dev/null 2>&1 && echo read; busybox head -c 1 /dev/zero >/dev/null && echo end"
    for options in ([], ["--ephemeral"]):
        assert run(redd, tree, users, "/bin/sh", "-c", script, options=options).out == "end\n"


def test_second_process_is_number_two(redd, tree):
    """Whoever has been in the machine's PID namespace before."""
    for users in ("pick", "identity", "no"):
        assert run(redd, tree, users, "/bin/sh", "-c", "echo $$", options=["--as-pid2"]).out == "2\n"
        assert run(redd, tree, users, "/bin/sh", "-c", "echo $$; ls /proc | busybox grep -c '^[0-9]'").out.split() == ["1", "3"]


@pytest.mark.slow
@pytest.mark.parametrize("users", ["identity", "yes"])
def test_systemd_boots_with_the_hosts_owners(redd, guest, tmp_path, users):
    """What people want identity for: the files of a bind belong to whom they belong on the host."""
    machine = guest("debian-bookworm")
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_text("kept\n")
    os.chown(volume / "file", 1234, 1234)
    os.chmod(tmp_path, 0o755)
    machine.start(f"--private-users={users}", f"--bind={volume}:/volume")
    assert machine.shell("stat -c %u /volume/file") == "1234"
    machine.shell("touch /volume/made && chown 1000 /volume/made")
    assert (volume / "made").stat().st_uid == 1000
    assert machine.shell("systemctl is-system-running --wait || systemctl --failed --no-legend") == "running"


@pytest.mark.slow
def test_systemd_boots_with_all_capabilities(modern, guest):
    """On a host with cgroup2 alone."""
    machine = guest("debian-bookworm")
    process = modern.start("run", "-q", "-b", "-M", machine.name, "--private-users=identity", stdout=-3, stderr=-3)
    try:
        wait_until(lambda: machine.is_running() and "running" in modern.run("exec", machine, "systemctl", "is-system-running").out, "a boot", timeout=60)
        out = modern("exec", machine, "grep", "CapEff", "/proc/1/status").out
        assert int(out.split()[1], 16) >> 21 & 1
    finally:
        modern.run("terminate", machine)
        process.wait(30)
