# SPDX-License-Identifier: LGPL-2.1-or-later
"""
/etc/resolv.conf of machines: each mode of --resolv-conf= with everything that a tree can have there. And P09: a hostile
tree can neither lead a write out of it, nor keep a machine from starting.
"""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from helpers import session, trees
from helpers.security import row

HOST = "nameserver 192.0.2.53\n"
STUB = "nameserver 127.0.0.53\n"
UPLINK = "nameserver 192.0.2.99\n"
STATIC = "nameserver 127.0.0.54\n"
RESOLVED = Path("/run/systemd/resolve")
IN_RUN = "../run/systemd/resolve/stub-resolv.conf"

USERS = pytest.mark.parametrize("users", ["pick", "no", "identity"])


@pytest.fixture(autouse=True)
def host_file():
    """The host's file, in the session's own /etc."""
    path = Path("/etc/resolv.conf")
    path.unlink(missing_ok=True)
    path.write_text(HOST)
    return path


@pytest.fixture
def resolved():
    RESOLVED.mkdir(parents=True)
    (RESOLVED / "stub-resolv.conf").write_text(STUB)
    (RESOLVED / "resolv.conf").write_text(UPLINK)
    yield
    subprocess.run(["rm", "-r", "/run/systemd"], check=True)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / f"{session.tag}-tree"
    trees.make_busybox(root)
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    return root


def run(redd, tree, *options, command="cat /etc/resolv.conf", **kwargs):
    return redd.run("run", "-q", "-D", tree, *options, "/bin/sh", "-c", command, **kwargs)


def seen(redd, tree, *options):
    result = run(redd, tree, *options)
    return result.out if result.code == 0 else None


# The usual cases


@USERS
def test_the_hosts_by_default(redd, tree, users):
    """Like nspawn: on the host's network, any image gets the host's servers."""
    assert seen(redd, tree, f"--private-users={users}") == HOST
    file = tree / "etc/resolv.conf"
    assert file.read_text() == HOST
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert (file.stat().st_uid, file.stat().st_gid) == (tree.stat().st_uid, tree.stat().st_gid)
    assert os.listdir(tree / "etc").count("resolv.conf") == 1 and not list((tree / "etc").glob(".redd*"))


def test_a_file_of_before_is_replaced_only_where_it_differs(redd, tree):
    file = tree / "etc/resolv.conf"
    file.write_text("nameserver 198.51.100.1\n")
    other = tree / "etc/other-name"
    os.link(file, other)
    assert seen(redd, tree) == HOST
    assert other.read_text() == "nameserver 198.51.100.1\n", "the other link keeps its content"
    before = file.stat()
    assert seen(redd, tree) == HOST
    assert file.stat().st_ino == before.st_ino and file.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("options", [["--private-network"], ["--resolv-conf=off"]])
def test_left_alone(redd, tree, options):
    assert seen(redd, tree, *options) is None
    (tree / "etc/resolv.conf").write_text("nameserver 198.51.100.1\n")
    assert seen(redd, tree, *options) == "nameserver 198.51.100.1\n"


def test_an_ephemeral_machine_writes_to_its_copy(redd, tree):
    assert seen(redd, tree, "-x") == HOST
    assert not (tree / "etc/resolv.conf").exists()


def test_a_read_only_tree_is_covered(redd, tree):
    assert seen(redd, tree, "--read-only") is None, "there is nothing to cover, and nothing can be made"
    (tree / "etc/resolv.conf").write_text("mine\n")
    assert seen(redd, tree, "--read-only") == HOST
    assert (tree / "etc/resolv.conf").read_text() == "mine\n"
    assert run(redd, tree, "--read-only", command="echo x >/etc/resolv.conf").code != 0


def test_a_link_into_run_gets_its_file(redd, tree):
    (tree / "etc/resolv.conf").symlink_to(IN_RUN)
    assert seen(redd, tree) == HOST
    assert (tree / "etc/resolv.conf").is_symlink()
    # the guest's resolver replaces it
    command = "rm /run/systemd/resolve/stub-resolv.conf && echo own >/run/systemd/resolve/stub-resolv.conf && cat /etc/resolv.conf"
    assert run(redd, tree, command=command).out == "own\n"


def test_peoples_own_mounts_win(redd, tree, tmp_path):
    """redd never writes to what the user mounts there."""
    (tmp_path / "mine").write_text("mine\n")
    assert seen(redd, tree, f"--bind={tmp_path}/mine:/etc/resolv.conf") == "mine\n"
    assert (tmp_path / "mine").read_text() == "mine\n"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("all mine\n")
    assert seen(redd, tree, f"--bind={tmp_path}/etc:/etc") == "all mine\n"
    assert (tmp_path / "etc/resolv.conf").read_text() == "all mine\n"


@pytest.mark.parametrize("where", ["etc", "etc/resolv.conf"])
def test_the_hosts_mounts_in_a_tree_are_left_alone(redd, tree, tmp_path, where):
    """A tree for chroot(1) may have the host's /etc or resolv.conf mounted: redd must not write to these."""
    for path in (tmp_path / "host/etc", tree / "etc"):
        path.mkdir(parents=True, exist_ok=True)
        (path / "resolv.conf").write_text("the host's\n")
    subprocess.run(["mount", "--bind", tmp_path / "host" / where, tree / where], check=True)
    try:
        result = run(redd, tree)
        assert result.out == "the host's\n" and result.err == "", result
        for mode in ("copy-host", "replace-host", "delete"):
            result = run(redd, tree, f"--resolv-conf={mode}")
            assert result.out == "the host's\n" and "/etc/resolv.conf" in result.err, result
    finally:
        subprocess.run(["umount", tree / where], check=True)
    assert (tmp_path / "host/etc/resolv.conf").read_text() == "the host's\n"
    assert (tree / "etc/resolv.conf").read_text() == "the host's\n"


def test_servers_that_were_given(redd, tree):
    settings = Path("/etc/systemd/nspawn") / f"{tree.name}.nspawn"
    settings.write_text("[Network]\nVirtualEthernet=yes\n[X-Network]\nDNS=192.0.2.7 2001:db8::7\n")
    try:
        result = run(redd, tree)
        assert result.out == "nameserver 192.0.2.7\nnameserver 2001:db8::7\n", result
    finally:
        settings.unlink()


# Explicit modes


@pytest.mark.parametrize("how", ["copy", "replace", "bind"])
@pytest.mark.parametrize("what, content", [("host", HOST), ("uplink", UPLINK), ("stub", STUB), ("static", STATIC)])
def test_modes(redd, tree, resolved, how, what, content):
    static = Path("/usr/lib/systemd/resolv.conf")
    if what == "static":
        static.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", static.parent], check=True)
        static.write_text(content)
    try:
        for there in (None, "old\n"):
            if there:
                (tree / "etc/resolv.conf").write_text(there)
            result = run(redd, tree, f"--resolv-conf={how}-{what}")
            assert result.out == content, result
            assert how != "bind" or (tree / "etc/resolv.conf").read_text() == (there or "")
    finally:
        if what == "static":
            subprocess.run(["umount", static.parent], check=True)


def test_copy_leaves_links_and_replace_does_not(redd, tree, resolved):
    link = tree / "etc/resolv.conf"
    link.symlink_to("elsewhere")
    (tree / "etc/elsewhere").write_text("mine\n")
    for options in (["--resolv-conf=copy-host"], []):
        result = run(redd, tree, *options)
        assert result.out == "mine\n" and result.err == "", result
    assert seen(redd, tree, "--resolv-conf=replace-host") == HOST
    assert not link.is_symlink() and (tree / "etc/elsewhere").read_text() == "mine\n"


def test_bind_over_a_link_into_run(redd, tree, resolved):
    (tree / "etc/resolv.conf").symlink_to(IN_RUN)
    assert seen(redd, tree, "--resolv-conf=bind-uplink") == UPLINK
    assert run(redd, tree, "--resolv-conf=bind-uplink", command="echo x >/etc/resolv.conf").code != 0
    assert (RESOLVED / "resolv.conf").read_text() == UPLINK


def test_delete(redd, tree):
    for make in (lambda p: p.write_text("x"), lambda p: p.symlink_to("/etc/passwd"), os.mkdir, os.mkfifo, lambda p: None):
        make(tree / "etc/resolv.conf")
        assert run(redd, tree, "--resolv-conf=delete", command="test ! -L /etc/resolv.conf -a ! -e /etc/resolv.conf").code == 0
        assert not os.path.lexists(tree / "etc/resolv.conf")
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize("mode", ["copy-uplink", "replace-stub", "bind-uplink"])
def test_a_host_without_that_file(redd, tree, mode):
    (tree / "etc/resolv.conf").write_text("mine\n")
    result = run(redd, tree, f"--resolv-conf={mode}")
    assert result.code == 0 and result.out == "mine\n", result
    assert str(RESOLVED) in result.err and "systemd-resolved" in result.err


def test_a_network_of_its_own_has_no_use_for_the_hosts_loopback(redd, tree, host_file, resolved):
    host_file.write_text(STUB)
    assert seen(redd, tree, "--private-network", "--resolv-conf=copy-host") == UPLINK
    assert seen(redd, tree, "--resolv-conf=copy-host") == STUB, "with the host's network it is right"
    (RESOLVED / "resolv.conf").unlink()
    result = run(redd, tree, "--private-network", "--resolv-conf=copy-host")
    assert result.out == STUB and "can't reach" in result.err


def test_a_host_without_resolv_conf(redd, tree, host_file):
    host_file.unlink()
    result = run(redd, tree, command="test ! -e /etc/resolv.conf")
    assert result.code == 0 and result.err == "", result
    host_file.symlink_to("/run/nowhere/resolv.conf")
    assert run(redd, tree, command="test ! -e /etc/resolv.conf").code == 0


# P09: hostile trees

ABSENT = Path("/etc/made-by-a-guest")


def link_out(path, depth=20):
    path.symlink_to("../" * depth + "etc/made-by-a-guest")


HOSTILE = {
    "link-out": link_out,
    "link-absolute": lambda p: p.symlink_to("/etc/made-by-a-guest"),
    "link-to-itself": lambda p: p.symlink_to("resolv.conf"),
    "link-proc": lambda p: p.symlink_to("/proc/1/root/etc/made-by-a-guest"),
    "link-run-host": lambda p: p.symlink_to("/run/host/os-release"),
    "link-run-long": lambda p: p.symlink_to("/run/" + "x" * 255 + "y"),
    "link-run-deep": lambda p: p.symlink_to("/run/" + "a/" * 500 + "x"),
    "link-run-dots": lambda p: p.symlink_to("/run/../etc/made-by-a-guest"),
    "link-long": lambda p: p.symlink_to("x/" * 2000),
    "fifo": os.mkfifo,
    "device": lambda p: os.mknod(p, stat.S_IFCHR | 0o666, os.makedev(1, 3)),
    "directory": lambda p: (p.mkdir(), (p / "full").write_text("x")),
    "no-etc": lambda p: p.parent.rmdir(),
    "etc-is-a-link": lambda p: (p.parent.rmdir(), p.parent.symlink_to("usr"), link_out(p)),
}
MODES = ["auto", "copy-host", "replace-host", "bind-host", "delete"]


@row("P09")
@pytest.mark.parametrize("users", ["pick", "no"])
@pytest.mark.parametrize("name", HOSTILE)
def test_p09_hostile_trees(redd, tree, host_file, name, users):
    """Whatever is there, the machine starts, and the host's files are unchanged."""
    for entry in (tree / "etc").iterdir():
        entry.unlink()
    HOSTILE[name](tree / "etc/resolv.conf")
    before = host_file.stat()
    for mode in MODES:
        result = redd.run("run", "-q", "-D", tree, f"--private-users={users}", f"--resolv-conf={mode}", "/bin/true")
        assert result.code == 0, f"{mode}: {result}"
        assert not ABSENT.exists() and host_file.read_text() == HOST, mode
        assert host_file.stat().st_ino == before.st_ino and host_file.stat().st_mtime_ns == before.st_mtime_ns, mode
        assert mode != "auto" or result.err == "", "the default has nothing to complain of"


@row("P09")
def test_p09_immutable(redd, tree):
    file = tree / "etc/resolv.conf"
    file.write_text("mine\n")
    if subprocess.run(["chattr", "+i", file], capture_output=True, check=False).returncode:
        pytest.skip("this file system knows no immutable files")
    try:
        for mode in ("copy-host", "replace-host", "delete"):
            result = run(redd, tree, f"--resolv-conf={mode}")
            assert result.code == 0 and result.out == "mine\n", result
            assert "/etc/resolv.conf" in result.err and "not permitted" in result.err, result
    finally:
        subprocess.run(["chattr", "-i", file], check=True)


# Whole systems


@pytest.mark.slow
@pytest.mark.parametrize("name", ["debian-trixie", "nixos"])
def test_guests_boot_with_a_file_of_ours(redd, guest, name):
    """With a link into /run (where Debian's resolved makes its own file), and with a system that makes /etc itself."""
    machine = guest(name)
    settings = Path("/etc/systemd/nspawn") / f"{machine}.nspawn"
    settings.write_text("[X-Network]\nDNS=192.0.2.7\n")
    if name == "debian-trixie":
        (machine.root / "etc/resolv.conf").unlink(missing_ok=True)
        (machine.root / "etc/resolv.conf").symlink_to(IN_RUN)
    machine.start()
    assert "192.0.2.7" in machine.shell("cat /etc/resolv.conf")
