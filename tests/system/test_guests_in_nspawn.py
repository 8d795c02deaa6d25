# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each guest boots, accepts a login on its console, reboots and powers off under systemd-nspawn: the guests themselves work."""

import pytest
from helpers import cgroups, console, guests, machines, peers, session

pytestmark = pytest.mark.skipif(not peers.PATH, reason="systemd-nspawn is not installed")


@pytest.fixture
def root(request):
    pool = machines.Pool(None)
    machine = pool.add(request.param, unpack=True)
    yield machine
    machines.erase(machine.root)
    cgroups.remove_tagged(session.tag)


@pytest.mark.slow
@pytest.mark.parametrize("root", guests.ALL, indirect=True)
def test_boots_and_logs_in(root):
    facts = guests.ALL[root.guest]
    child = peers.nspawn(root.root, timeout=240)
    console.log_in(child)
    assert console.run_inside(child, "cat /proc/1/comm") == (0, facts.init)
    assert console.run_inside(child, "id -un; id -u alice") == (0, "root\n1000")
    child.send(facts.reboot + "\r")
    # With --keep-unit, exit code 133 asks the caller to start it again.
    assert console.closed(child, timeout=240) == 133
    child = peers.nspawn(root.root, timeout=240)
    console.log_in(child)
    child.send(facts.poweroff + "\r")
    assert console.closed(child, timeout=240) == 0


# busybox: nspawn makes the console PID 1's controlling terminal, and in a user namespace busybox's getty can't take it over.
@pytest.mark.slow
@pytest.mark.parametrize("root", [name for name in guests.ALL if name != "busybox"], indirect=True)
def test_boots_with_shifted_users(root):
    """With redd's defaults: a user namespace with an idmapped mount, and a private network."""
    child = peers.nspawn(root.root, "--private-users=1000013824:65536", "--private-users-ownership=map", "--private-network", timeout=240)
    console.log_in(child)
    assert console.run_inside(child, "cat /proc/1/comm; stat -c %u /home/alice") == (0, guests.ALL[root.guest].init + "\n1000")
    child.send(guests.ALL[root.guest].poweroff + "\r")
    assert console.closed(child, timeout=240) == 0
