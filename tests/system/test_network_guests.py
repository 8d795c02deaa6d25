# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Networks with real guests, for everything that can configure host0 inside, and for nothing: the machine answers when `start`
returns, has exactly the address that it was given, and names, the world and ports work, also after a reboot from inside.
"""

import ipaddress
import json
import re
import socket
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest
from helpers import answers, guests, trees, world as world_module
from helpers.waiting import wait_until

pytestmark = pytest.mark.slow

PUBLISHED = 8888

# As in busybox's example: first removes the addresses that are there.
UDHCPC_SCRIPT = """#!/bin/sh
case $1 in
deconfig) ip -4 addr flush dev $interface; ip link set $interface up ;;
bound | renew)
	ip -4 addr flush dev $interface
	ip addr add $ip/$mask dev $interface
	ip route add default via $router dev $interface
	for server in $dns; do echo nameserver $server; done >/etc/resolv.conf ;;
esac
"""


def write(machine, path, text, mode=0o644):
    path = machine.root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def append(machine, path, text):
    with open(machine.root / path, "a", encoding="utf-8") as file:
        file.write(text)


def link(machine, path, target):
    path = machine.root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


# --- how to make each init run the answering program and a DHCP client


def of_systemd(machine):
    write(machine, "etc/systemd/system/answers.service", "[Service]\nExecStart=/usr/sbin/answers\n")
    link(machine, "etc/systemd/system/multi-user.target.wants/answers.service", "../answers.service")


def openrc_service(machine, name, text):
    write(machine, f"etc/init.d/{name}", f"#!/sbin/openrc-run\n{text}", 0o755)
    link(machine, f"etc/runlevels/default/{name}", f"/etc/init.d/{name}")


def of_openrc(machine):
    openrc_service(machine, "answers", "command=/usr/sbin/answers\ncommand_background=yes\npidfile=/run/answers.pid\n")


def of_inittab(machine):
    append(machine, "etc/inittab", "an:2345:respawn:/usr/sbin/answers\n")


def of_busybox(machine):
    append(machine, "etc/inittab", "::respawn:/usr/sbin/answers\n")


def of_runit(machine):
    write(machine, "etc/sv/answers/run", "#!/bin/sh\nexec /usr/sbin/answers\n", 0o755)
    link(machine, "etc/runit/runsvdir/default/answers", "/etc/sv/answers")


def networkd(machine):
    """Like `systemctl enable`: wait-online delays the boot until there is an address."""
    for unit, wanted in (("systemd-networkd.service", "multi-user.target"), ("systemd-networkd-wait-online.service", "network-online.target")):
        link(machine, f"etc/systemd/system/{wanted}.wants/{unit}", f"/usr/lib/systemd/system/{unit}")
    link(machine, "etc/systemd/system/multi-user.target.wants/network-online.target", "/usr/lib/systemd/system/network-online.target")


def dhcpcd(machine):
    """It makes its own IPv6 addresses, because Debian configures it with `slaac private`."""
    openrc_service(machine, "dhcpcd", 'command=/usr/sbin/dhcpcd\ncommand_args="-q host0"\npidfile=/run/dhcpcd/host0.pid\n')


def ifupdown(machine):
    write(machine, "etc/network/interfaces", "auto lo\niface lo inet loopback\nauto host0\niface host0 inet dhcp\n")


def udhcpc(machine):
    write(machine, "etc/udhcpc/default.script", UDHCPC_SCRIPT, 0o755)
    append(machine, "etc/inittab", "::respawn:/sbin/udhcpc -f -i host0\n")


def nothing(machine):
    """Leaves host0 as redd made it."""


@dataclass(frozen=True)
class Kind:
    guest: str
    boot: Callable  # installs `answers` as a service
    client: Callable  # installs what configures host0
    took_over: str = ""  # a shell command that succeeds when the client has an address; empty: no client
    connect: str = "exec 3<>/dev/tcp/{}/{} && cat <&3"  # in bash
    adds: bool = False  # whether it makes an IPv6 address of its own besides the given one


KINDS = {
    "networkd": Kind("debian-bookworm", of_systemd, networkd, "networkctl status host0 | grep -q 'routable (configured)'"),
    "networkd and resolved": Kind("debian-sid", of_systemd, networkd, "networkctl status host0 | grep -q 'routable (configured)'"),
    "dhcpcd": Kind("debian-openrc", of_openrc, dhcpcd, "ip -4 addr show dev host0 | grep -q dynamic", adds=True),
    "ifupdown": Kind("debian-sysvinit", of_inittab, ifupdown, "grep -q fixed-address /var/lib/dhcp/dhclient.host0.leases"),
    "udhcpc": Kind("busybox", of_busybox, udhcpc, "grep -q nameserver /etc/resolv.conf && ip route | grep -q '^default.*host0 $'",
                   "nc -w 5 {} {} </dev/null"),  # fmt: skip
    "none, busybox": Kind("busybox", of_busybox, nothing, connect="nc -w 5 {} {} </dev/null"),
    "none, systemd": Kind("debian-trixie", of_systemd, nothing),
    "none, runit": Kind("debian-runit", of_runit, nothing),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return trees.compile_static(answers.PROGRAM, tmp_path_factory.mktemp("answers") / "answers")


@pytest.fixture
def world():
    made = world_module.World()
    yield made
    made.close()


@pytest.fixture
def host_listens():
    with answers.Listener(socket.create_server(("::", world_module.PORT), family=socket.AF_INET6, dualstack_ipv6=True)):
        yield


@pytest.fixture
def make(guest, program):
    """make(kind, "Port=…") imports a machine that answers on tcp:80."""

    def made(kind, *settings):
        machine = guest(kind.guest)
        machine.kind = kind
        target = machine.root / "usr/sbin/answers"
        target.write_bytes(program.read_bytes())
        target.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        kind.boot(machine)
        kind.client(machine)
        if settings:
            Path(f"/etc/systemd/nspawn/{machine}.nspawn").write_text("[Network]\n" + "\n".join(settings) + "\n")
        return machine

    return made


def given(machine):
    """{4: address, 6: address} as shown by `list`; `status` must agree."""
    rows = machine.redd("list", "--json=short").json()
    row = next(row for row in rows if row["machine"] == machine.name)
    shown = row["addresses"] if isinstance(row["addresses"], list) else row["addresses"].split()
    out = machine.redd("status", machine).out
    assert all(address in out for address in shown), out
    return {6 if ":" in address else 4: address for address in shown}


def inside(machine):
    """{4: [address/length], 6: [...]} of host0, without link-local ones."""
    done = subprocess.run(["nsenter", f"--net=/proc/{machine.leader()}/ns/net", "ip", "-json", "addr", "show", "dev", "host0"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    found = {4: [], 6: []}
    for info in json.loads(done.stdout)[0]["addr_info"]:
        if info["scope"] == "global":
            found[4 if info["family"] == "inet" else 6].append(info["local"])
    return found


def same_network(address, other):
    return ipaddress.ip_interface(f"{address}/64").network == ipaddress.ip_interface(f"{other}/64").network


def default_routes(machine, family):
    done = subprocess.run(["nsenter", f"--net=/proc/{machine.leader()}/ns/net", "ip", "-json", f"-{family}", "route", "show", "default"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return json.loads(done.stdout)


def pings(address):
    return subprocess.run(["busybox", "ping", "-c1", "-W2", address], capture_output=True, check=False).returncode == 0


def connect_inside(machine, name, port):
    """Connects to a name or an address with the guest's own programs."""
    command = machine.kind.connect.format(name, port)
    shell = "/bin/bash" if "/dev/tcp" in command else "/bin/sh"
    result = machine.redd.run("shell", f"root@{machine}", shell, "-c", command)
    return result.out.strip(), result


def wait_for_client(machine):
    if machine.kind.took_over:
        wait_until(lambda: machine.redd.run("shell", f"root@{machine}", "/bin/sh", "-c", machine.kind.took_over).code == 0,
                   f"the client in {machine} has its address", 60)  # fmt: skip


def answers_from(address, port=answers.PORT, pid=None):
    return wait_until(lambda: answers.ask(address, port, pid), f"an answer from {address}:{port}", 60)


# --- what holds for every guest


def check_addresses(machine, addresses):
    assert set(addresses) == {4, 6}, addresses
    found = inside(machine)
    if machine.kind.adds:
        assert addresses[6] in found[6] and all(same_network(address, addresses[6]) for address in found[6])
        found[6] = [addresses[6]]
    assert found == {4: [addresses[4]], 6: [addresses[6]]}, "one address of each family, and that is the one"
    for family in (4, 6):
        assert default_routes(machine, family), f"no default route of IPv{family}"
        assert pings(addresses[family])
        assert answers_from(addresses[family])


def check_names(machine, other):
    # A client may rewrite the file some time after it has its address.
    wait_until(lambda: re.search(r"^nameserver ", machine.shell("cat /etc/resolv.conf"), re.M), "a name server in resolv.conf")
    for name, port in (("_gateway", world_module.PORT), (other.name, answers.PORT)):
        said, result = connect_inside(machine, name, port)
        assert said in sum(inside(machine).values(), []), f"{name}: {result}"


def check_world(machine):
    for address, seen in ((world_module.ADDRESS, world_module.HOST), (world_module.ADDRESS6, world_module.HOST6)):
        said, result = connect_inside(machine, address, world_module.PORT)
        assert said == seen, result


def check_port(machine, world, other):
    """The port works from everywhere."""
    for address in ("127.0.0.1", "::1", world_module.HOST, world_module.HOST6):
        assert answers_from(address, PUBLISHED), address
    for address in (world_module.HOST, world_module.HOST6):
        assert answers_from(address, PUBLISHED, world.pid) in (world_module.ADDRESS, world_module.ADDRESS6)
        assert answers_from(address, PUBLISHED, other.leader()), "another machine, by the host's address"
        assert answers_from(address, PUBLISHED, machine.leader()), "itself, by the host's address"


@pytest.mark.parametrize("name", KINDS)
def test_guest(make, redd, world, host_listens, name):
    machine, other = make(KINDS[name], f"Port={PUBLISHED}:{answers.PORT}"), make(KINDS["none, busybox"])
    other.start()
    machine.start()
    first = given(machine)
    assert pings(first[4]) and pings(first[6]), "as soon as start returns"
    wait_for_client(machine)
    check_addresses(machine, first)
    check_names(machine, other)
    check_world(machine)
    check_port(machine, world, other)
    leader = machine.leader()
    redd.run("shell", f"root@{machine}", "/bin/sh", "-c", guests.ALL[machine.guest].reboot)
    machine.wait_for_new_leader(leader)
    assert given(machine) == first
    assert answers_from("127.0.0.1", PUBLISHED) and answers_from("::1", PUBLISHED)
    wait_for_client(machine)
    check_addresses(machine, first)
    machine.stop()
    other.stop()


# --- a page published by a port, as people do it


def test_the_page_of_a_machine_by_its_port(redd, guest):
    """Only Port= is set: networkd configures host0 inside, and nginx is reachable in every way."""
    machine = guest("nixos")
    Path(f"/etc/systemd/nspawn/{machine}.nspawn").write_text("[Network]\nPort=8888\n")
    machine.start()
    for address in ("127.0.0.1", "[::1]", given(machine)[4]):
        page = wait_until(lambda: fetch(f"http://{address}:8888"), f"the page at {address}")
        assert page == "hello from the container!"
    assert machine.shell("networkctl status host0 | grep State").split()[1] == "routable"
    found = inside(machine)
    assert {4: found[4], 6: found[6]} == {family: [address] for family, address in given(machine).items()}
    machine.stop()
    assert not fetch("http://127.0.0.1:8888")


def fetch(url):
    done = subprocess.run(["curl", "-fsSg", "--max-time", "5", url], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
