# SPDX-License-Identifier: LGPL-2.1-or-later
"""Forwarded ports: conflicts, `redd port`, and data through the packet filter and the proxy."""

import os
import re
import shutil
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import trees
from helpers.security import row
from helpers.waiting import wait_until

# A guest that echoes on tcp:80 and udp:53, after `{setup}`.
INIT = """#!/bin/busybox sh
export PATH=/bin
busybox --install -s /bin 2>/dev/null
{setup}
exec echoes
"""
ECHOES = r"""
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
static int open_port(int type, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, type, 0), on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (type == SOCK_STREAM && listen(fd, 100) < 0))
		_exit(1);
	return fd;
}
int main(void)
{
	static char data[65536];
	int tcp = open_port(SOCK_STREAM, 80), udp = open_port(SOCK_DGRAM, 53);
	ssize_t n;
	signal(SIGCHLD, SIG_IGN);
	if (fork() == 0)
		for (;;) {
			struct sockaddr_in a;
			socklen_t size = sizeof(a);
			n = recvfrom(udp, data, sizeof(data), 0, (struct sockaddr *)&a, &size);
			sendto(udp, data, n, 0, (struct sockaddr *)&a, size);
		}
	for (;;) {
		int fd = accept(tcp, 0, 0);
		if (fd >= 0 && fork() == 0) {
			while ((n = read(fd, data, sizeof(data))) > 0)
				for (ssize_t done = 0; done < n;)
					done += write(fd, data + done, n - done);
			_exit(0);
		}
		close(fd);
	}
}
"""
# For a machine that gets no addresses.
OWN_ADDRESS = "ip addr add 198.51.100.2/30 dev host0; ip link set host0 up"
TIMEOUT_S = 20


@pytest.fixture(scope="module")
def echoes(tmp_path_factory):
    return trees.compile_static(ECHOES, tmp_path_factory.mktemp("echoes") / "echoes")


@pytest.fixture
def boot(redd, machines, echoes):
    """boot("Port=8080:80", setup="…") starts a machine; with start=False it makes only image and settings."""

    def make(*settings, setup="", own="", start=True):
        machine = machines.claim(machines.fresh_name("p"))
        trees.make_busybox(machine.root)
        shutil.copy(echoes, machine.root / "bin/echoes")
        (machine.root / "sbin").mkdir()
        init = machine.root / "sbin/init"
        init.write_text(INIT.format(setup=setup))
        init.chmod(0o755)
        text = "[Network]\n" + "\n".join(settings) + "\n" + own
        Path(f"/etc/systemd/nspawn/{machine}.nspawn").write_text(text)
        if start:
            redd("start", machine)
        return machine

    return make


def host_end(machine):
    return machine.property("NetworkInterface")


def known_addresses(machine):
    """The addresses that the supervisor knows."""
    state = Path(f"/run/redd/machines/{machine}/state").read_text()
    return "".join(re.findall(r"^ADDRESSES=(.*)$", state, re.M)).split()


@pytest.fixture
def watched(boot):
    """A machine that sets its own addresses; the test sets the host's end. Ports follow the addresses inside."""

    def make(*settings, setup=""):
        machine = boot(*settings, setup=f"{setup}\n{OWN_ADDRESS}", own="[X-Network]\nConfigure=no\n")
        subprocess.run(["ip", "addr", "add", "198.51.100.1/30", "dev", host_end(machine)], check=True)
        subprocess.run(["ip", "link", "set", host_end(machine), "up"], check=True)
        wait_until(lambda: "198.51.100.2" in known_addresses(machine), "the address is seen")
        return machine

    return make


@pytest.fixture
def other_network():
    """Another network of the host: 192.0.2.0/24, with the host as .1."""
    subprocess.run(["ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1"], check=True)
    subprocess.run(["ip", "addr", "add", "192.0.2.1/24", "dev", "other0"], check=True)
    for link in ("other0", "other1"):
        subprocess.run(["ip", "link", "set", link, "up"], check=True)
    yield
    subprocess.run(["ip", "link", "delete", "other0"], check=True)


def listeners(kind="-ltn"):
    """{port: process} for the host's listening sockets."""
    text = subprocess.run(["ss", "-H", kind + "p"], capture_output=True, text=True, check=True).stdout
    return {int(m[1]): m[2] for m in re.finditer(r":(\d+) +\S+:\*\s*(?:users:\(\(\"([^\"]*)\")?", text)}


def echo_tcp(address, port, text=b"hello"):
    with socket.create_connection((address, port), timeout=TIMEOUT_S) as connection:
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(lambda: (connection.sendall(text), connection.shutdown(socket.SHUT_WR)))
            got = b"".join(iter(lambda: connection.recv(65536), b""))
            sent.result()
        return got


def echo_udp(address, port, text=b"hello"):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect((address, port))
        client.send(text)
        return client.recv(65536)


def comes_through(call, *args):
    """Retries, since the connection is reset while the machine's program doesn't listen yet."""

    def attempt():
        try:
            return call(*args)
        except OSError:
            return b""

    return wait_until(attempt, f"an answer from {args}") == (args[2] if len(args) > 2 else b"hello")


# --- conflicts


def test_port_is_taken_by_a_process(redd, boot):
    machine = boot("Port=8080:80", start=False)
    with socket.create_server(("127.0.0.1", 8080)):
        said = redd.fails("start", machine, says="8080/tcp is taken by").err
    assert f"(process {os.getpid()})" in said
    assert f"{machine}.nspawn:2" in said, "the line that asks for the port"
    redd("start", machine)


@row("N15")
def test_port_is_taken_by_a_machine(redd, boot):
    first, second = boot("Port=8080:80"), boot("Port=8080:80", start=False)
    redd.fails("start", second, says=f"8080/tcp is taken by machine {first}")
    redd("terminate", first)
    redd("start", second)


@row("N15")
def test_large_range_is_taken_by_a_machine(redd, boot):
    """Such a range isn't bound, so that no bind() fails."""
    first, second = boot("Port=20000-20999"), boot("Port=20500-21499:20000-20999", start=False)
    redd.fails("start", second, says=f"20500/tcp is taken by machine {first}")
    third = boot("Port=30005:80", "Port=sctp:9999:9999")
    redd.fails("port", first, "add", "sctp:9999:9999", says=f"9999/sctp is taken by machine {third}")
    said = redd.fails("port", first, "add", "30000-30999").err
    assert f"30005/tcp is taken by machine {third}" in said


@row("N15", "two machines want one port, one address",
     "the port is bound or, if that is impossible, searched in other machines' states; leases are taken by name, under one lock")  # fmt: skip
def test_two_at_the_same_instant(redd, boot):
    """Exactly one gets the port."""
    pair = [boot("Port=tcp:8080-8085:80", start=False) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda machine: redd.run("start", machine), pair))
    assert sorted(result.code for result in results) == [0, 1], results
    loser = next(result for result in results if result.code)
    assert "8080/tcp is taken by" in loser.err
    assert sum(machine.is_running() for machine in pair) == 1


def test_address_that_the_host_has_not(redd, boot):
    machine = boot("Port=tcp:192.0.2.1:8080:80", start=False)
    redd.fails("start", machine, says="this host has no address 192.0.2.1")


@pytest.mark.parametrize("how", ["stop", "kill -9"])
def test_seen_and_freed(redd, boot, how):
    machine = boot("Port=8080:80", "Port=udp:5353:53")
    assert "redd" in listeners()[8080]
    assert "redd" in listeners("-lun")[5353]
    if how == "stop":
        redd("terminate", machine)
    else:
        os.kill(int(machine.property("Supervisor")), signal.SIGKILL)
        wait_until(lambda: not machine.is_running(), "the machine's end")
    assert 8080 not in listeners()
    assert 5353 not in listeners("-lun")
    with socket.create_server(("0.0.0.0", 8080)):
        pass


def test_kept_through_a_reboot(redd, boot):
    machine = boot("Port=8080:80")
    leader = machine.leader()
    redd.run("exec", machine, "/bin/busybox", "reboot", "-f")
    machine.wait_for_new_leader(leader)
    assert 8080 in listeners()
    assert "8080" in redd("port", machine).out


# --- redd port


def test_verbs(redd, boot):
    machine = boot()
    assert "No ports." in redd("port", machine).out
    said = redd("port", machine, "add", "8080:80", "udp:127.0.0.1:5353:53").err
    assert f"until machine {machine} ends" in said and "Port=8080:80" in said
    assert redd("port", machine, "list", "--json=short").json() == [
        {"protocol": "tcp", "address": None, "port": 8080, "last": 8080, "inside": 80},
        {"protocol": "udp", "address": "127.0.0.1", "port": 5353, "last": 5353, "inside": 53},
    ]
    assert 8080 in listeners() and 5353 in listeners("-lun")
    redd.fails("port", machine, "remove", "8080:81", says="has no such port")
    redd("port", machine, "remove", "tcp:8080:80")
    assert 8080 not in listeners()
    assert len(redd("port", machine, "--json=short").json()) == 1


def test_verbs_say_what_is_wrong(redd, boot, guest):
    machine = boot()
    with socket.create_server(("127.0.0.1", 8080)):
        said = redd.fails("port", machine, "add", "8080:80", says="8080/tcp is taken by").err
    assert f"(process {os.getpid()})" in said
    redd.fails("port", machine, "add", "http:80", code=2, says="tcp, udp or sctp")
    redd.fails("port", machine, "add", "0:80", code=2, says="not a port")
    redd.fails("port", machine, "add", code=2, says="missing PORT")
    redd.fails("port", machine, "enlarge", code=2, says="use list, add or remove")
    redd.fails("port", "nobody", says="no machine 'nobody' is running")


def test_no_ports_of_its_own(redd, boot):
    machine = boot("Private=no", "VirtualEthernet=no")
    redd.fails("port", machine, "add", "8080:80", says="is in the host's network")


# --- data through ports


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_reaches_a_machine_with_own_addresses(watched, address):
    watched("Port=8080:80", "Port=udp:5353:53")
    assert comes_through(echo_tcp, address, 8080)
    assert comes_through(echo_tcp, address, 8080, os.urandom(3_000_000))
    assert comes_through(echo_udp, address, 5353)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("zone", [[], ["Zone=lab"]], ids=["link", "zone"])
def test_reaches_a_machine(boot, zone, address):
    """With the addresses that redd gives to the machine."""
    boot("Port=8080:80", "Port=udp:5353:53", *zone)
    assert comes_through(echo_tcp, address, 8080)
    assert comes_through(echo_udp, address, 5353)


def test_added_port_reaches(redd, watched):
    machine = watched()
    redd("port", machine, "add", "8080:80")
    assert comes_through(echo_tcp, "::1", 8080)
    redd("port", machine, "remove", "8080:80")
    with pytest.raises(ConnectionRefusedError):
        echo_tcp("::1", 8080)


@row("N12", "the guest takes an address of the host, of another network or of another machine, so that its name and its ports lead there",
     "the host's route to it must be the machine's link, or for ports the interface below its macvlan; an address that is leased to another "
     "machine is refused")  # fmt: skip
@pytest.mark.parametrize("address", ["192.0.2.1", "192.0.2.9"])
def test_guest_cannot_point_elsewhere(watched, other_network, address):
    """If the guest takes an address that the host has, or reaches by another route, ports don't lead there."""
    machine = watched("Port=8080:80", setup=f"ip addr add {address}/32 dev host0")
    inside = machine.shell("ip addr show host0")
    assert address in inside and "198.51.100.2" in inside
    assert known_addresses(machine) == ["198.51.100.2"]
    assert comes_through(echo_tcp, "::1", 8080)


@row("N12")
def test_guest_cannot_point_at_another_machine(boot, other_network):
    """The other machine has no ports; with a macvlan, the host's route to an address doesn't tell who has it."""
    victim = boot()
    address = known_addresses(victim)[0]
    assert "." in address
    setup = f"ip addr add {address}/32 dev mv-other0; ip addr add 192.0.2.7/24 dev mv-other0; ip link set mv-other0 up"
    machine = boot("MACVLAN=other0", "Port=8080:80", setup=setup)
    wait_until(lambda: "192.0.2.7" in known_addresses(machine), "its own address is seen")
    assert known_addresses(machine) == ["192.0.2.7"]
    assert Path(f"/run/redd/names/{machine}").read_text() == "192.0.2.7\n"


@pytest.fixture
def tunnel():
    """A network of the host that the LAN doesn't belong to: 10.99.0.0/24."""
    subprocess.run("ip link add tunnel0 type veth peer name tunnel1 && ip addr add 10.99.0.1/24 dev tunnel0", shell=True, check=True)
    subprocess.run("ip link set tunnel0 up && ip link set tunnel1 up", shell=True, check=True)
    yield
    subprocess.run(["ip", "link", "delete", "tunnel0"], check=True)


@row("N12")
def test_guest_cannot_point_into_another_network(boot, other_network, tunnel):
    """Ports of a macvlan lead only into its own network, not through the host into others."""
    setup = "ip addr add 10.99.0.9/32 dev mv-other0; ip addr add 192.0.2.7/24 dev mv-other0; ip link set mv-other0 up"
    machine = boot("MACVLAN=other0", "Port=8080:80", setup=setup)
    wait_until(lambda: "192.0.2.7" in known_addresses(machine), "its own address is seen")
    rules = subprocess.run(["nft", "list", "table", "inet", f"redd-{machine}"], capture_output=True, text=True, check=True).stdout
    assert "dnat ip to 192.0.2.7:80" in rules and "10.99.0.9" not in rules
