# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What follows from a machine's name is the same under redd and systemd-nspawn: its range of users, the names of its
interfaces and their addresses. So files, leases and networkd's matches made under one fit the other.
"""

import itertools
import json
import subprocess
from pathlib import Path

import pytest
from helpers import peers, session, trees

pytestmark = pytest.mark.skipif(not peers.PATH, reason="systemd-nspawn is not installed")

NSPAWN = [peers.PATH, "--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--pipe"]
REDD = ["run", "-q", "-P"]
SHORT, LONG, LONGER = "web", "debian-bookworm", "a-name-of-a-machine.example.org"
# The longest name that fits into an interface's name of 15 characters ("ve-" included), and one that is too long.
FITS, FITS_NOT = "twelve-chars", "thirteen-char"


@pytest.fixture
def tree(tmp_path):
    return trees.make_busybox(tmp_path / session.own_name("tree"))


def inside(argv, tree, name, *options, script):
    done = subprocess.run([*argv, "-D", tree, "-M", name, *options, "/bin/sh", "-c", script], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.parametrize("name", [SHORT, LONG, LONGER, FITS, "x", "0"])
def test_range_of_users(redd, tree, name):
    def shift(argv):
        return inside(argv, tree, name, "-U", "--private-network", script="cat /proc/self/uid_map").split()

    # Where nspawn can't map it may chown; then both would take the range from the tree's owner.
    assert tree.stat().st_uid == 0
    theirs = shift([*NSPAWN, "--private-users-ownership=map"])
    assert tree.stat().st_uid == 0
    assert shift([redd.path, *REDD]) == theirs


@pytest.fixture
def host():
    """Sets up what the kinds of networks below need on the host."""
    Path("/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    subprocess.run("ip link add lan0 type veth peer name lan0-p && ip link add br0 type bridge", shell=True, check=True)
    # systemd-nspawn waits until udev has initialised these links. There is no udev, so write its database.
    udev = Path("/run/udev/data")
    udev.mkdir(parents=True, exist_ok=True)
    files = [udev / f"n{Path(f'/sys/class/net/{link}/ifindex').read_text().strip()}" for link in ("lan0", "lan0-p")]
    for file in files:
        file.write_text("I:1\n")
    yield
    for file in files:
        file.unlink()
    subprocess.run("ip link delete lan0; ip link delete br0", shell=True, check=True)


@pytest.mark.parametrize("name", [SHORT, FITS, FITS_NOT, LONG, LONGER])
@pytest.mark.parametrize(
    "options",
    [
        ["-n"],
        ["-n", "--network-veth-extra=first:one", "--network-veth-extra=second", "--network-veth-extra=third:three"],
        ["--network-bridge=br0"],
        ["--network-zone=lab"],
        ["--network-macvlan=lan0", "--network-macvlan=lan0-p"],
        ["--network-macvlan=lan0", "--network-veth-extra=both"],
    ],
    ids=lambda options: options[-1].removeprefix("--network-").partition("=")[0],
)
def test_interfaces(redd, tree, host, name, options):
    theirs = links_of(NSPAWN, tree, name, options)
    ours = links_of([redd.path, *REDD], tree, name, options)
    assert theirs[0] or theirs[1]
    assert ours == theirs


def links_of(argv, tree, name, options):
    """Name, alternative names, address and bridge on the host, and name and address inside, while the machine runs."""
    script = "cd /sys/class/net; for link in *; do echo $link $(cat $link/address); done; echo end; read line"
    before = host_links()
    argv = [*argv, "-D", tree, "-M", name, *options, "/bin/sh", "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        lines = list(itertools.takewhile(lambda line: line not in ("end\n", ""), iter(process.stdout.readline, None)))
        guest = {tuple(line.split()) for line in lines if not line.startswith("lo ")}
        host = {key: value for key, value in host_links().items() if key not in before}
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    return host, guest


def host_links():
    """Links of the host. (A bridge that nspawn makes has no address of its own.)"""
    done = subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=True)
    return {
        link["ifname"]: (link["ifname"].startswith("vz-") or link["address"], link.get("altnames", []), link.get("master"))
        for link in json.loads(done.stdout)
    }
