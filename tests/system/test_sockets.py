# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sockets that the machine's network namespace doesn't contain: AF_VSOCK, and abstract unix sockets of a shared network."""

import contextlib
import ctypes
import socket

import pytest
from attacks import make_tree, put, running
from helpers import session
from helpers.security import row

SYS_LANDLOCK_CREATE_RULESET = 444
BOTH = pytest.mark.parametrize("users", ["pick", "no"])


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / f"{session.tag}-tree", "sockets")


def run(redd, tree, *words, users="pick", options=(), **expected):
    return redd("run", "-q", "-D", tree, f"--private-users={users}", *options, put("sockets", tree), *words, **expected)


@row("K21", "AF_VSOCK, which no network namespace contains: the hypervisor, its guests, the host's own ports",
     "the filter answers that there is no such family; VSock=yes opens it; 32-bit x86's socketcall makes no sockets")  # fmt: skip
@BOTH
@pytest.mark.parametrize("network", [[], ["--private-network"]])
def test_vsock_is_no_family(redd, tree, users, network):
    assert run(redd, tree, "vsock", users=users, options=network).out == "EAFNOSUPPORT\n"
    opened = run(redd, tree, "vsock", users=users, options=[*network, "--network-vsock=yes"]).out
    assert opened == host_vsock(), "the same as on the host"


@row("K21")
@BOTH
def test_vsock_of_those_who_enter(redd, tree, users):
    with running(redd, tree, users=users) as victim:
        assert redd("exec", victim, "/bin/sockets", "vsock").out == "EAFNOSUPPORT\n"
    with running(redd, tree, users=users, options=["--network-vsock=yes"]) as victim:
        assert redd("exec", victim, "/bin/sockets", "vsock").out == host_vsock()


def host_vsock():
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
        return "made\n"
    except OSError as error:
        return {97: "EAFNOSUPPORT\n"}.get(error.errno, f"{error.errno}\n")


def needs_scopes():
    if ctypes.CDLL(None, use_errno=True).syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, 1) < 6:
        pytest.skip("this kernel has no scopes: landlock is older than Linux 6.12, or off")


@contextlib.contextmanager
def service(name):
    """A listener on the host, which processes that share its network can reach."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(f"\0{name}")
        listener.bind(f"\0{name}")
        listener.listen(8)
        yield listener


@pytest.fixture
def host(request):
    with service(f"{session.tag}-service") as listener:
        yield listener.getsockname()[1:].decode()


@row("K22", "abstract unix sockets of the host's services, in a machine that shares its network",
     "a Landlock domain allows connections within the machine only; AbstractSockets=yes opens it; with an older kernel the start warns")  # fmt: skip
@BOTH
def test_abstract_sockets_of_the_host(redd, tree, host, users):
    needs_scopes()
    assert run(redd, tree, "connect", host, users=users).out == "EPERM\n"
    assert run(redd, tree, "send", host, users=users).out == "EPERM\n"
    assert run(redd, tree, "connect", host, users=users, options=["--as-pid2"]).out == "EPERM\n"
    assert run(redd, tree, "connect", host, users=users, options=["--network-abstract-sockets=yes"]).out == "connected\n"
    assert run(redd, tree, "connect", host, users=users, options=["--private-network"]).out == "ECONNREFUSED\n"


@row("K22")
@BOTH
def test_abstract_sockets_of_those_who_enter(redd, tree, host, users):
    needs_scopes()
    with running(redd, tree, users=users, network=()) as victim:
        assert redd("exec", victim, "/bin/sockets", "connect", host).out == "EPERM\n"
        assert redd("shell", victim, "/bin/sockets", "connect", host).out.strip() == "EPERM"
    with running(redd, tree, users=users, options=["--network-abstract-sockets=yes"], network=()) as victim:
        assert redd("exec", victim, "/bin/sockets", "connect", host).out == "connected\n"


@BOTH
def test_what_a_machine_can_still_do(redd, tree, users):
    """Use its own abstract sockets, and do what Landlock would forbid if it handled files: mount, link, pivot_root."""
    script = """/bin/sockets own || exit 1
    mkdir -p /tmp/m /tmp/a /tmp/b && echo x > /tmp/a/file && busybox ln /tmp/a/file /tmp/b/file && busybox mv /tmp/a/file /tmp/b/moved || exit 2
    mount -t tmpfs t /tmp/m 2>/dev/null || [ $1 = no ] || exit 3
    umount /tmp/m 2>/dev/null || [ $1 = no ] || exit 4
    readlink /proc/1/exe >/dev/null || exit 5
    echo fine"""
    result = redd("run", "-q", "-D", tree, f"--private-users={users}", "/bin/sh", "-c", script, "sh", users)
    assert result.out == "connected\nfine\n" and result.err == "", result


def test_two_domains_of_a_machine(redd, tree):
    """As the manual says: a command of `exec` reaches the machine's processes by a socket file, not by an abstract name."""
    needs_scopes()
    name = f"{session.tag}-inner"
    with running(redd, tree, "/bin/sockets", "listen", name, network=()) as victim:
        assert victim.process.stdout.readline() == "listening\n"
        assert redd("exec", victim, "/bin/sockets", "connect", name).out == "EPERM\n"
        assert redd("exec", victim, "/bin/sockets", "own").out == "connected\n"
