# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows K15, K16 and X13 of SECURITY.md: limited resources that all machines and the host share: kernel limits, terminals, users."""

import ctypes
import fcntl
import os
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from attacks import make_tree, put, running
from helpers import session
from helpers.security import row

NS_GET_OWNER_UID = 0xB704
RANGE = 65536
FIRST, LAST = 0x00080000, 0x6FFF0000


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / f"{session.tag}-tree", "hoard")


@pytest.fixture
def other(tmp_path):
    """The tree of another machine."""
    return make_tree(tmp_path / f"{session.tag}-other", "hoard")


@pytest.fixture
def etc():
    """Files of the session's /etc, restored afterwards."""
    before = {}

    def write(name, text):
        path = Path("/etc", name)
        before.setdefault(path, path.read_text() if path.exists() else None)
        path.write_text(text)

    yield write
    for path, text in before.items():
        path.unlink() if text is None else path.write_text(text)


def shift_of(victim):
    """The first user of the host that its user namespace maps."""
    return int(Path(f"/proc/{victim.leader()}/uid_map").read_text().split()[1])


def owner_of_users(victim):
    with open(f"/proc/{victim.leader()}/ns/user", "rb") as namespace:
        answer = bytearray(4)
        fcntl.ioctl(namespace, NS_GET_OWNER_UID, answer)
        return int.from_bytes(answer, "little")


@contextmanager
def hoarding(redd, tree, what, user=None):
    """A machine whose program has taken all it can get; yields the victim and the amount."""
    options = ["-u", user] if user else []
    with running(redd, tree, "/bin/hoard", what, options=options) as victim:
        count = int(victim.process.stdout.readline().split()[0])
        yield victim, count


@row("K15", "the kernel's limits per user: inotify instances, namespaces, fanotify groups",
     "the user of the machine's own root makes its user namespace, so they count for that user")  # fmt: skip
def test_k06_the_machine_owns_its_users(redd, tree):
    with running(redd, tree) as victim:
        assert owner_of_users(victim) == shift_of(victim) >= FIRST
        # Nevertheless PID 1 is in its machine's cgroup, from the beginning.
        assert victim.name in Path(f"/proc/{victim.leader()}/cgroup").read_text()


@row("K15")
def test_k06_a_range_of_ones_own_choice(redd, tree):
    with running(redd, tree, users="1500000000") as victim:
        assert owner_of_users(victim) == shift_of(victim) == 1500000000


@row("K15")
def test_k06_users_of_the_host_own_no_machine(redd, tree, etc):
    """A process of the host with the owner's uid has all power over the user namespace (user_namespaces(7))."""
    etc("passwd", Path("/etc/passwd").read_text() + "wolf:x:1500000000:1500000000::/:/bin/false\n")
    with running(redd, tree, "/bin/sh", "-c", "echo up; exec sleep 1000", users="1500000000") as victim:
        assert owner_of_users(victim) == 0
        assert "its root is wolf on the host" in victim.process.stdout.readline()
    with running(redd, tree, users="identity") as victim:
        assert owner_of_users(victim) == 0


@row("K15")
def test_k06_inotify_instances(redd, tree, other):
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if limit > 4000:
        pytest.skip("more inotify instances are allowed here than a test may take")
    with hoarding(redd, tree, "inotify", user="alice") as (_, count):
        assert count == limit
        fd = ctypes.CDLL(None, use_errno=True).inotify_init()
        assert fd >= 0, "the host's root has none left"
        os.close(fd)
        with hoarding(redd, other, "inotify") as (_, others):
            assert others == limit, "another machine has fewer"


@row("K16", "one machine takes all terminals (ptys) that machines may have",
     "its devpts has at most 256; its root may mount another, up to the host's kernel.pty.max less kernel.pty.reserve")  # fmt: skip
def test_k07_terminals(redd, tree, other):
    with hoarding(redd, tree, "ptys", user="alice") as (_, count):
        assert count == 256
        result = redd.run("run", "-q", "-D", other, "--private-network", "/bin/echo", "another machine")
        assert result.code == 0 and "another machine" in result.out, result


def picked(redd, tree, name):
    """The range that a machine of that name would get, or None; and the messages."""
    result = redd.run("run", "-q", "-D", tree, "-M", name, "--private-network", "--pipe", "/bin/cat", "/proc/self/uid_map")
    return (int(result.out.split()[1]) if result.code == 0 else None), result.err


@row("X13", "a machine gets users that the host gave to others: to an account, or in /etc/subuid and subgid (rootless podman)",
     "redd never picks a range that overlaps one of these; one that the user names is taken, with a warning")  # fmt: skip
@pytest.mark.parametrize("name", ["subuid", "subgid"])
@pytest.mark.parametrize("who", ["anna", "1000"])
def test_x11_subordinate_users_are_not_picked(redd, tree, etc, name, who):
    for other in ("subuid", "subgid"):
        etc(other, "")
    machine = f"{session.tag}-picked"
    usual, _ = picked(redd, tree, machine)
    assert picked(redd, tree, machine)[0] == usual
    for first, count in ((usual, RANGE), (usual + RANGE - 1, 1), (usual - 1000, 1001), (FIRST - 1, usual - FIRST + 2)):
        etc(name, f"{who}:100000:65536\n{who}:{first}:{count}\n")
        got, messages = picked(redd, tree, machine)
        assert got is not None and not (got < first + count and first < got + RANGE), messages
    etc(name, f"{who}:{usual + RANGE}:{RANGE}\n{who}:{usual - RANGE}:{RANGE}\n")
    assert picked(redd, tree, machine)[0] == usual, "neighbours are no reason to change"


@row("X13")
def test_x11_all_is_given_away(redd, tree, etc):
    etc("subuid", f"root:{FIRST}:{LAST + RANGE - FIRST}\n")
    got, messages = picked(redd, tree, f"{session.tag}-picked")
    assert got is None and "find a free range of users" in messages and "--private-users=" in messages


@row("X13")
def test_x11_what_cant_be_read_is_not_free(redd, tree, etc):
    etc("subuid", "")
    os.truncate("/etc/subuid", 9 << 20)
    got, messages = picked(redd, tree, f"{session.tag}-picked")
    assert got is None and "/etc/passwd, group, subuid and subgid" in messages


@row("X13")
def test_x11_a_persons_word_is_followed(redd, tree, etc):
    etc("subuid", "anna:1500001000:10\n")
    result = redd("run", "-q", "-D", tree, "--private-users=1500000000", "--private-network", "--pipe", "/bin/cat", "/proc/self/uid_map")
    assert "1500000000" in result.out and "anna was given some of its users" in result.err, result
