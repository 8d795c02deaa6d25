# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many machines on one host: each has its own addresses and can be found by name, and nothing of them stays."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import machines as pool

pytestmark = pytest.mark.slow

MANY = 200
LOST_MAX = 4  # of 400 addresses
AT_ONCE = 8
IN_ZONE = 20


@pytest.fixture
def fleet(machines):
    """fleet(count) makes that many machines with the smallest root, without starting them."""

    def make(count, *settings):
        made = [machines.add("tiny", machines.fresh_name("n"), unpack=True)]
        for _ in range(count - 1):
            made.append(machines.claim(machines.fresh_name("n")))
            subprocess.run(["cp", "-a", made[0].root, made[-1].root], check=True)
        for machine in made if settings else ():
            Path(f"/etc/systemd/nspawn/{machine}.nspawn").write_text("[Network]\n" + "\n".join(settings) + "\n")
        return made

    return make


def all_at_once(function, items, at_once=AT_ONCE):
    with ThreadPoolExecutor(at_once) as workers:
        return list(workers.map(function, items))


def addresses(redd):
    """{name: (IPv4, IPv6)} from `list`."""
    return {row["machine"]: tuple(row["addresses"]) for row in redd("list", "--json=short").json()}


def pings(address, pid=None):
    enter = ["nsenter", f"--net=/proc/{pid}/ns/net"] if pid else []
    return subprocess.run([*enter, "busybox", "ping", "-c1", "-W5", address], capture_output=True, check=False).returncode == 0


def look_up(name, machine):
    """The answer of the server on the machine's link, asked from the machine's network."""
    enter = ["nsenter", f"--net=/proc/{machine.leader()}/ns/net"]
    gateway = subprocess.run([*enter, "ip", "-4", "route", "show", "default"], capture_output=True, text=True, check=True).stdout.split()[2]
    return subprocess.run([*enter, "busybox", "nslookup", name, gateway], capture_output=True, text=True, check=False).stdout


def check_all_differ(found, fleet):
    """Returns the addresses that do not answer the first packet."""
    assert set(found) == {machine.name for machine in fleet}
    every = [address for pair in found.values() for address in pair]
    assert len(every) == len(set(every)) == 2 * len(fleet), "an IPv4 and an IPv6 address for each, and none twice"
    return [address for address, answers in zip(every, all_at_once(pings, every)) if not answers]


def test_many(redd, fleet):
    many = fleet(MANY)
    all_at_once(lambda machine: redd("start", machine), many)
    found = addresses(redd)
    # The kernel has one table for the neighbours of all namespaces, which so many fill at once (net.ipv6.neigh.default.gc_thresh3):
    # sometimes the first packet is lost to that; the second isn't.
    silent = check_all_differ(found, many)
    assert len(silent) <= LOST_MAX and all(map(pings, silent)), silent
    assert found[many[-1].name][0] in look_up(many[-1].name, many[0])
    assert found[many[0].name][0] in look_up(many[0].name, many[MANY // 2])
    all_at_once(lambda machine: redd("terminate", machine), many)
    assert redd("list", "--no-legend").out == ""
    all_at_once(lambda machine: pool.erase(machine.root), many)


def test_a_zone_full_at_once(redd, fleet):
    """All start at the same instant: one makes the bridge, and each gets a different address."""
    zone = fleet(IN_ZONE, "Zone=full")
    all_at_once(lambda machine: redd("start", machine), zone, IN_ZONE)
    found, pids = addresses(redd), {machine.name: machine.leader() for machine in zone}
    assert not check_all_differ(found, zone)
    ways = [(pids[one], address) for one in found for other in found if one != other for address in found[other]]
    silent = [way for way, answers in zip(ways, all_at_once(lambda way: pings(way[1], way[0]), ways)) if not answers]
    assert not silent
    for machine, other in zip(zone, [*zone[1:], zone[0]]):
        assert found[other.name][0] in look_up(other.name, machine)
    all_at_once(lambda machine: redd("terminate", machine), zone, IN_ZONE)
