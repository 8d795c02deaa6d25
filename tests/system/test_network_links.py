# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The links of a machine: every kind, with and without a user namespace, with real packets; and that nothing of them stays,
however the machine ends. The network namespace of the test session plays the host.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from helpers import session, trees
from helpers.security import row
from helpers.waiting import settle, wait_until

USERS = pytest.mark.parametrize("users", ["--private-users=pick", "--private-users=no"], ids=["users", "no-users"])
RECORD = Path("/run/redd/network/forwarding")


def sh(command, check=True):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert not check or done.returncode == 0, done
    return done.stdout


def pings(address, inside=None, family=4):
    """Sends one packet and waits a second."""
    enter = f"nsenter --net=/proc/{inside}/ns/net " if inside else ""
    return subprocess.run(f"{enter}busybox ping -{family} -c1 -W1 {address}", shell=True, capture_output=True, check=False).returncode == 0


def link(name, inside=None):
    enter = ["nsenter", f"--net=/proc/{inside}/ns/net"] if inside else []
    done = subprocess.run([*enter, "ip", "-json", "-details", "addr", "show", "dev", name], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


def addresses(name, inside=None):
    return {info["family"]: f"{info['local']}/{info['prefixlen']}" for info in link(name, inside)["addr_info"] if info["scope"] == "global"}


def routes(inside, family=4):
    done = sh(f"nsenter --net=/proc/{inside}/ns/net ip -json -{family} route")
    return {route["dst"]: route for route in json.loads(done)}


@pytest.fixture
def tree(tmp_path):
    return trees.make_busybox(tmp_path / session.own_name("tree"))


@pytest.fixture
def running(redd, tree):
    """running(name, *options) starts a machine with a shell that configures nothing; returns its pid on the host."""
    with contextlib.ExitStack() as stack:

        def start(name, *options, command="echo up; read line", root=tree):
            process = redd.start("run", "-q", "-P", "-D", root, "-M", name, "-x", *options, "/bin/sh", "-c", command)
            stack.callback(end, process)
            assert process.stdout.readline() == "up\n", process.stderr.read()
            process.leader = wait_until(lambda: int(re.search(r"^Leader=(\d+)", redd("show", name).out, re.M).group(1)), "its leader is known")
            return process

        yield start


def end(process):
    if process.poll() is None:
        process.stdin.close()
        process.wait(timeout=30)
    process.stdout.close()
    process.stderr.close()


@pytest.fixture
def dummy():
    """dummy("lan0") makes an interface of the host that leads nowhere."""
    made = []

    def make(name):
        sh(f"ip link add {name} type veth peer name {name}-p && ip link set {name}-p up && ip link set {name} up")
        made.append(name)
        return name

    yield make
    for name in made:
        sh(f"ip link delete {name}-p", check=False)


@pytest.fixture
def netns():
    """netns("a") makes a named network namespace."""
    names = []

    def make(name):
        sh(f"ip netns add {name}")
        names.append(name)
        return name

    yield make
    for name in names:
        sh(f"ip netns delete {name}")
    sh("umount /run/netns && rmdir /run/netns")


@pytest.fixture
def bridge():
    sh("ip link add br-lan type bridge && ip addr add 192.0.2.1/24 dev br-lan && ip link set br-lan up")
    yield "br-lan"
    sh("ip link delete br-lan", check=False)


# --- host0


@USERS
def test_host_and_machine_answer_each_other_at_once(running, users):
    """The guest configures nothing, and the first packet in either direction is answered."""
    machine = running("web", users, "-n", command="ping -c1 -W1 $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p') >&2 && echo up; read line")
    host, guest = addresses("ve-web"), addresses("host0", machine.leader)
    assert pings(guest["inet"].split("/")[0])
    assert pings(guest["inet6"].split("/")[0], family=6)
    assert pings(host["inet6"].split("/")[0], machine.leader, family=6)
    assert host["inet"].endswith("/28") and guest["inet"].endswith("/28")
    assert link("ve-web")["operstate"] == link("host0", machine.leader)["operstate"] == "UP"
    via4, via6 = (routes(machine.leader, family)["default"]["gateway"] for family in (4, 6))
    assert via4 == host["inet"].split("/")[0] and via6 == host["inet6"].split("/")[0]
    end(machine)
    assert link("ve-web") is None


@USERS
def test_nothing_but_loopback(running, users):
    machine = running("alone", users, "--private-network")
    assert pings("127.0.0.1", machine.leader)
    assert sh(f"nsenter --net=/proc/{machine.leader}/ns/net ls /sys/class/net || true") is not None
    assert json.loads(sh(f"nsenter --net=/proc/{machine.leader}/ns/net ip -json link"))[0]["ifname"] == "lo"


def test_an_address_is_kept(running):
    def once():
        machine = running("kept", "-n")
        found = addresses("host0", machine.leader)
        end(machine)
        return found

    assert once() == once()


def test_static_addresses(running):
    options = ("-n", "--network-address=203.0.113.9/24", "--network-address=2001:db8::9/64", "--network-address=198.51.100.9/24",
               "--network-gateway=203.0.113.7")  # fmt: skip
    machine = running("fixed", *options)
    assert addresses("ve-fixed") == {"inet": "203.0.113.7/24", "inet6": "2001:db8::1/64"}
    inside = {info["local"] for info in link("host0", machine.leader)["addr_info"]}
    assert {"203.0.113.9", "198.51.100.9", "2001:db8::9"} <= inside
    assert routes(machine.leader)["default"]["gateway"] == "203.0.113.7"
    assert pings("203.0.113.9") and pings("2001:db8::9", family=6)


def test_a_single_address_is_reached_too(running):
    machine = running("single", "-n", "--network-address=203.0.113.9", "--network-gateway=198.51.100.1")
    assert pings("203.0.113.9")
    assert pings("198.51.100.1", machine.leader)


def test_what_is_configured_inside_alone(running):
    machine = running("bare", "-n", "--network-configure=no")
    assert addresses("host0", machine.leader) == {}
    assert addresses("ve-bare") == {}
    assert link("host0", machine.leader)["operstate"] == "DOWN"


@row("N07")
def test_no_advertisement_of_a_guest_is_taken(running):
    running("ra", "-n")
    conf = Path("/proc/sys/net/ipv6/conf/ve-ra")
    assert (conf / "accept_ra").read_text() == (conf / "accept_redirects").read_text() == "0\n"
    assert Path("/proc/sys/net/ipv4/conf/ve-ra/accept_redirects").read_text() == "0\n"


def test_a_name_that_is_taken(redd, tree):
    sh("ip link add ve-taken type veth peer name other")
    try:
        redd.fails("run", "-q", "-P", "-D", tree, "-M", "taken", "-n", "/bin/true", says="ip link delete ve-taken")
        assert link("ve-taken"), "it was not ours to remove"
    finally:
        sh("ip link delete ve-taken")


def test_explain_tells_and_makes_nothing(redd, tree, bridge):
    def host():
        return sh("ip link"), sh("nft list tables"), sh("find /run/redd /var/lib/redd | sort", check=False)

    before = host()
    said = redd("run", "-D", tree, "-M", "plan", "--explain", "--network-zone=lab", "--network-macvlan=br-lan", "-p", "8080:80", "/bin/true").out
    assert "veth vb-plan to host0, port of zone vz-lab" in said
    assert "macvlan on br-lan to mv-br-lan" in said and "masquerade" in said and "default via" in said
    address = re.search(r"host0 ([0-9.]+)/", said).group(1)
    assert re.search(rf"inet prerouting: .*th dport 8080 .*dnat to {address}:80\n", said)
    assert before == host()


# --- zones and bridges


@USERS
def test_machines_of_a_zone(running, users):
    one = running("one", users, "--network-zone=lab")
    two = running("two", users, "--network-zone=lab")
    to = addresses("host0", two.leader)
    assert pings(to["inet"].split("/")[0], one.leader)
    assert pings(to["inet6"].split("/")[0], one.leader, family=6)
    host = addresses("vz-lab")
    assert pings(host["inet"].split("/")[0], one.leader)
    assert host["inet"].endswith("/24")
    mac = link("vz-lab")["address"]
    end(one)
    assert link("vz-lab")["address"] == mac
    assert pings(to["inet"].split("/")[0])
    end(two)
    assert link("vz-lab") is None


def test_a_zone_is_made_and_removed_at_the_same_instant(redd, tree):
    """Eight machines, started and ended repeatedly: each finds a bridge, and at the end there is none."""
    script = "ip link show host0 | grep -q LOWER_UP && ip route | grep -q default"
    argv = [redd.path, "run", "-q", "-P", "-D", tree, "-x", "--network-zone=busy"]
    for _ in range(4):
        processes = [
            subprocess.Popen([*argv, "-M", f"busy{n}", "/bin/sh", "-c", script], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for n in range(8)
        ]
        ends = [(process.wait(timeout=60), process.communicate()[1]) for process in processes]
        assert all(code == 0 for code, _ in ends), ends
    assert link("vz-busy") is None


def test_a_bridge_of_somebody_else_is_joined_and_stays(running):
    sh("ip link add vz-theirs type bridge && ip link set vz-theirs up")
    try:
        machine = running("guest", "--network-zone=theirs")
        assert link("vb-guest")["master"] == "vz-theirs"
        end(machine)
        assert link("vz-theirs")
    finally:
        sh("ip link delete vz-theirs")


@USERS
def test_bridge(running, bridge, users):
    machine = running("member", users, f"--network-bridge={bridge}", "--network-address=192.0.2.9/24", "--network-gateway=192.0.2.1")
    assert link("vb-member")["master"] == bridge
    assert pings("192.0.2.9") and pings("192.0.2.1", machine.leader)
    assert addresses(bridge) == {"inet": "192.0.2.1/24"}
    end(machine)
    assert link(bridge)


FROM_NEXT_DOOR = """
import socket, sys
client = socket.socket()
client.settimeout(2)
client.bind(("192.0.2.50", 0))
try:
    client.connect(("127.0.0.1", int(sys.argv[1])))
    print(client.recv(16))
except OSError as error:
    print(error)
"""


@pytest.fixture
def neighbour(netns):
    """neighbour("br-lan", "192.0.2.1") makes a host on that bridge that routes 127.0.0.1 there and accepts the answers."""

    def make(bridge, gate):
        netns("lan")
        sh(f"ip link add lan-port master {bridge} type veth peer name eth0 netns lan && ip link set lan-port up")
        sh("ip -n lan addr add 192.0.2.50/24 dev eth0 && ip -n lan link set eth0 up")
        sh("ip netns exec lan sh -c 'for i in all eth0; do echo 1 > /proc/sys/net/ipv4/conf/$i/route_localnet; done'")
        sh(f"ip -n lan route flush table local root 127.0.0.0/8; ip -n lan route add 127.0.0.0/8 via {gate} dev eth0 src 192.0.2.50")

    yield make
    sh("ip link delete lan-port", check=False)


def reaches_loopback():
    """Whether a service that listens only on the host's 127.0.0.1 answers the neighbour."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(3)
        client = subprocess.Popen(["ip", "netns", "exec", "lan", "/usr/bin/python3", "-c", FROM_NEXT_DOOR, str(server.getsockname()[1])], stdout=subprocess.PIPE)
        with contextlib.suppress(TimeoutError):
            connection, _ = server.accept()
            connection.sendall(b"secret")
            connection.close()
        return b"secret" in client.communicate(timeout=30)[0]


@row("N04", "other hosts on a bridge → 127.0.0.0/8 of the host", "no bridge ever has `route_localnet`: ports of 127.0.0.1 are proxied there")
def test_a_bridge_opens_nothing_of_the_hosts_loopback(running, bridge, neighbour):
    """redd checks nothing that others on the user's bridge send."""
    neighbour(bridge, "192.0.2.1")
    Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").write_text("1")
    assert reaches_loopback(), "the test would see it"
    Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").write_text("0")
    running("member", f"--network-bridge={bridge}", "--network-address=192.0.2.9/24", "--port=8080:80")
    assert not reaches_loopback()


@row("N04")
@pytest.mark.parametrize("made_by_us", [False, True])
def test_a_zone_opens_nothing_of_the_hosts_loopback(redd, running, neighbour, made_by_us):
    """For example to a machine of systemd-nspawn in the zone, also after redd's last machine has ended."""
    if not made_by_us:
        sh("ip link add vz-mixed type bridge && ip link set vz-mixed up")
    try:
        machine = running("one", "--network-zone=mixed", "--port=8080:80")
        sh("ip addr add 192.0.2.1/24 dev vz-mixed")
        neighbour("vz-mixed", "192.0.2.1")
        assert not reaches_loopback()
        kill_supervisor(machine)
        redd.run("clean")
        assert not reaches_loopback()
    finally:
        sh("ip link delete vz-mixed")


def test_bridge_without_address_is_up_only(running, bridge):
    machine = running("dhcp", f"--network-bridge={bridge}")
    assert link("host0", machine.leader)["operstate"] == "UP"
    assert addresses("host0", machine.leader) == {}


def test_bridge_that_is_missing(redd, tree, dummy):
    dummy("lan0")
    result = redd.fails("run", "-q", "-P", "-D", tree, "-M", "x", "--network-bridge=br9", "/bin/true", says="there is no bridge br9")
    assert "lan0" in result.err and "--network-zone=" in result.err
    redd.fails("run", "-q", "-P", "-D", tree, "-M", "x", "--network-bridge=lan0", "/bin/true", says="lan0 is no bridge")


# --- further links


@USERS
def test_further_pairs(running, users):
    machine = running("pairs", users, "-n", "--network-veth-extra=outside:inside", "--network-veth-extra=both")
    assert link("outside") and link("both")
    assert link("inside", machine.leader) and link("both", machine.leader) and link("host0", machine.leader)
    assert link("outside")["address"] != link("both")["address"]
    end(machine)
    assert link("outside") is None and link("both") is None


@USERS
def test_macvlan(running, dummy, users):
    dummy("lan0")
    machine = running("mac", users, "--network-macvlan=lan0")
    found = link("mv-lan0", machine.leader)
    assert found["linkinfo"]["info_data"]["mode"] == "bridge"
    sh(f"nsenter --net=/proc/{machine.leader}/ns/net sh -c 'ip addr add 192.0.2.5/24 dev mv-lan0 && ip link set mv-lan0 up'")
    sh("ip addr add 192.0.2.6/24 dev lan0-p")
    assert pings("192.0.2.5")
    end(machine)
    # The address can be used again at once.
    again = running("mac", users, "--network-macvlan=lan0:lan")
    sh(f"nsenter --net=/proc/{again.leader}/ns/net ip link set lan up")
    assert link("lan", again.leader)["address"] == found["address"]


def test_ipvlan_where_the_kernel_has_none_is_said(redd, tree, dummy):
    dummy("lan0")
    result = redd.run("run", "-q", "-P", "-D", tree, "-M", "ip", "--network-ipvlan=lan0", "/bin/sh", "-c", "ip link show iv-lan0")
    assert "iv-lan0" in result.out if result.code == 0 else "this kernel has no ipvlan" in result.err


def test_an_interface_that_is_missing(redd, tree, dummy):
    dummy("lan0")
    for option in ("--network-interface=eth9", "--network-macvlan=eth9"):
        result = redd.fails("run", "-q", "-P", "-D", tree, "-M", "x", option, "/bin/true", says="there is no interface eth9; there are: ")
        assert "lan0" in result.err
    redd.fails("run", "-q", "-P", "-D", tree, "-M", "x", "--network-interface=lo", "/bin/true", says="it is loopback")


@USERS
def test_an_interface_is_lent(running, dummy, users):
    dummy("lan0")
    sh("ip link property add dev lan0 altname the-long-name-of-an-interface")
    machine = running("lent", users, "--network-interface=the-long-name-of-an-interface:eth0")
    assert link("lan0") is None
    sh(f"nsenter --net=/proc/{machine.leader}/ns/net sh -c 'ip addr add 192.0.2.5/24 dev eth0 && ip link set eth0 up'")
    sh("ip addr add 192.0.2.6/24 dev lan0-p")
    assert pings("192.0.2.5")
    # Whatever its name is there.
    sh(f"nsenter --net=/proc/{machine.leader}/ns/net sh -c 'ip link set eth0 down; ip link set eth0 name mine'")
    end(machine)
    assert link("lan0")


def test_a_lent_interface_comes_back_from_a_killed_machine(running, dummy):
    dummy("lan0")
    machine = running("lent", "--network-interface=lan0")
    assert link("lan0") is None and link("lan0", machine.leader)
    os.kill(machine.leader, signal.SIGKILL)
    machine.wait(timeout=30)
    assert link("lan0")


@row("N17")
def test_a_lent_interface_comes_back_from_a_killed_supervisor(redd, running, dummy):
    dummy("lan0")
    dummy("lan1")
    machine = running("lent", "-n", "--network-interface=lan0:eth0", "--network-interface=lan1")
    kill_supervisor(machine)
    assert link("lan0") is None
    redd.run("status", "lent")
    assert link("lan0") and link("lan1")
    assert link("ve-lent") is None


def test_the_next_start_takes_a_lent_interface_back(running, dummy):
    dummy("lan0")
    kill_supervisor(running("lent", "--network-interface=lan0:eth0"))
    machine = running("lent", "--network-interface=lan0:eth1")
    assert link("eth1", machine.leader)
    end(machine)
    assert link("lan0")


def test_a_name_that_is_taken_inside(redd, tree, dummy):
    dummy("lan0")
    redd.fails("run", "-q", "-P", "-D", tree, "-M", "x", "-n", "--network-interface=lan0:tunl", "--network-veth-extra=a:tunl", "/bin/true", code=2,
               says="two interfaces of the machine would be named tunl")  # fmt: skip
    sh("ip link property add dev lan0 altname host0", check=False)
    result = redd.run("run", "-q", "-P", "-D", tree, "-M", "x", "-n", "--network-interface=lan0", "/bin/true")
    assert result.code == 0 or "--network-interface=lan0:NAME" in result.err, result
    assert link("lan0")


# --- an existing namespace


@USERS
def test_namespace_path(redd, running, netns, users):
    netns("there")
    sh("ip -n there link add inner type veth peer name outer")
    machine = running("joined", users, "--network-namespace-path=/run/netns/there")
    assert os.stat(f"/proc/{machine.leader}/ns/net").st_ino == os.stat("/run/netns/there").st_ino
    assert "inner" in os.listdir(f"/proc/{machine.leader}/root/sys/class/net")
    assert pings("127.0.0.1", machine.leader)
    assert redd("shell", "joined", "/bin/sh", "-c", "ls /sys/class/net").out.split()[0] == "inner"
    end(machine)
    assert "inner" in sh("ip -n there link")


def test_namespace_path_that_is_none(redd, tree, tmp_path):
    (tmp_path / "file").write_text("")
    for path, why in ((tmp_path / "file", "is no network namespace"), ("/proc/self/ns/uts", "is no network namespace"),
                      ("/proc/self/ns/net", "the host's own"), (tmp_path / "none", "No such file")):  # fmt: skip
        redd.fails("run", "-q", "-P", "-D", tree, "-M", "x", f"--network-namespace-path={path}", "/bin/true", says=why)


# --- after a crash


def kill_supervisor(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    wait_until(lambda: not Path(f"/proc/{process.leader}").exists(), "the machine died with its supervisor")


@row("N17", "kill -9",
     "rules that lead to a machine disappear with its supervisor's socket; those that confine it stay until the next command has ended it. "
     "That command then removes or restores tables, links, zones, accepts in others' chains, forwarding and moved interfaces, by name and "
     "mark; live machines, here or under another `/run`, are left alone")  # fmt: skip
def test_a_killed_supervisor_leaves_nothing_for_long(redd, running):
    machine = running("crash", "--network-zone=gone", "--network-veth-extra=extra")
    kill_supervisor(machine)
    redd.run("status", "crash")
    assert link("vz-gone") is None and link("vb-crash") is None and link("extra") is None
    assert not RECORD.exists()


@row("N17")
def test_a_stale_link_does_not_block_the_next_start(running):
    machine = running("stale", "-n")
    # Another process is in the machine's network namespace, so this and its interfaces outlive the machine.
    with subprocess.Popen(["nsenter", f"--net=/proc/{machine.leader}/ns/net", "sleep", "60"]) as guest:
        wait_until(lambda: os.readlink(f"/proc/{guest.pid}/ns/net") == os.readlink(f"/proc/{machine.leader}/ns/net"), "it is inside")
        kill_supervisor(machine)
        assert link("ve-stale")
        again = running("stale", "-n")
        assert pings(addresses("host0", again.leader)["inet"].split("/")[0])
        guest.kill()


def test_links_of_others_are_left_alone(redd, running):
    sh("ip link add ve-theirs type veth peer name x0 && ip link add vz-theirs type bridge")
    try:
        kill_supervisor(running("crash", "-n"))
        redd.run("status", "crash")
        assert link("ve-theirs") and link("vz-theirs")
    finally:
        sh("ip link delete ve-theirs; ip link delete vz-theirs")


@row("N17")
def test_links_of_machines_that_are_seen_nowhere_but_here_are_left_alone(redd, running):
    """Another redd on the same network with another /run, as in a container, doesn't know the machine."""
    machine = running("hidden", "-n")
    sh(f"unshare -m sh -c 'mount -t tmpfs tmpfs /run && {redd.path} clean -q'")
    assert link("ve-hidden")
    assert pings(addresses("host0", machine.leader)["inet"].split("/")[0])


# --- forwarding on the host


@pytest.fixture
def without_ipv6():
    conf = Path("/proc/sys/net/ipv6/conf")
    (conf / "all/disable_ipv6").write_text("1")
    yield
    (conf / "all/disable_ipv6").write_text("0")


@USERS
def test_ipv6_disabled(running, without_ipv6, users):
    machine = running("four", users, "-n")
    guest = addresses("host0", machine.leader)
    assert list(guest) == ["inet"]
    assert pings(guest["inet"].split("/")[0])


@pytest.fixture
def read_only_sysctls():
    sh("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys")
    yield
    sh("umount /proc/sys")


def test_read_only_sysctls_are_no_failure(redd, tree, read_only_sysctls):
    script = "ping -c1 -W1 $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')"
    result = redd("run", "-q", "-P", "-D", tree, "-M", "ro", "-n", "--private-users=no", "/bin/sh", "-c", script)
    assert result.err.count("/proc/sys/net/ipv6/conf/ve-ro") == 1, result
    assert "IPv6 is not forwarded" in result.err


def uplink(name, peer="world", families=(4, 6)):
    sh(f"ip link add {name} type veth peer name eth0 netns {peer}")
    # Skip duplicate address detection: while the link-local address is tentative, for a second, the kernel solicits no neighbour.
    Path(f"/proc/sys/net/ipv6/conf/{name}/accept_dad").write_text("0")
    sh(f"ip netns exec {peer} sh -c 'echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad'")
    sh(f"ip link set {name} up && ip addr add 198.51.100.2/24 dev {name}")
    if 6 in families:
        sh(f"ip addr add 2001:db8:1::2/64 dev {name} nodad")
    sh(f"ip -n {peer} addr add 198.51.100.1/24 dev eth0 && ip -n {peer} addr add 2001:db8:1::1/64 dev eth0 nodad && ip -n {peer} link set eth0 up")


@pytest.fixture
def world(netns):
    """A namespace beyond the host that knows nothing of machines."""
    netns("world")
    uplink("up0")
    yield "world"
    sh("ip link delete up0")


def forwarding(name):
    return [Path(f"/proc/sys/net/{family}/conf/{name}/{key}").read_text().strip() for family, key in (("ipv4", "forwarding"), ("ipv6", "force_forwarding"))]


def test_forwarding_is_turned_on_where_needed_and_off_again(running, world):
    assert forwarding("up0") == ["0", "0"]
    one, two = running("one", "-n"), running("two", "-n")
    assert forwarding("up0") == forwarding("ve-one") == ["1", "1"]
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text() == "0\n"
    end(one)
    assert forwarding("up0") == ["1", "1"]
    end(two)
    assert forwarding("up0") == ["0", "0"]
    assert not RECORD.exists()


def test_an_uplink_that_comes_later_is_forwarded_to(running, netns):
    """As with wireless; and also if IPv6 comes later than IPv4."""
    machine = running("early", "-n")
    assert not RECORD.exists()
    netns("world")
    uplink("up0", families=[4])
    try:
        wait_until(lambda: forwarding("up0") == ["1", "0"], "forwarding of IPv4")
        assert pings("198.51.100.1", machine.leader)
        sh("ip addr add 2001:db8:1::2/64 dev up0 nodad")
        wait_until(lambda: forwarding("up0") == ["1", "1"], "forwarding of IPv6")
        assert pings("2001:db8:1::1", machine.leader, family=6)
        end(machine)
        assert forwarding("up0") == ["0", "0"]
        assert not RECORD.exists()
    finally:
        sh("ip link delete up0")


def wake_ups(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("voluntary_ctxt_switches"))


def test_an_address_that_is_renewed_wakes_nobody(running, world):
    """A router's advertisements renew addresses every few minutes."""
    machine = running("sleeper", "-n")
    renew = "ip addr change 2001:db8:1::2/64 dev up0 nodad valid_lft {0} preferred_lft {0}; ip addr change 198.51.100.2/24 dev up0 valid_lft {0} preferred_lft {0}"
    sh(renew.format(4000))
    before = settle(lambda: wake_ups(machine.pid), "the first look")
    for number in range(10):
        sh(renew.format(5000 + number))
    assert wake_ups(machine.pid) == before
    end(machine)


@row("N17")
def test_forwarding_is_restored_after_a_killed_supervisor(redd, running, world):
    kill_supervisor(running("one", "-n"))
    assert forwarding("up0") == ["1", "1"]
    redd.run("status", "one")
    assert forwarding("up0") == ["0", "0"]


def test_forwarding_that_cannot_be_written_down_is_not_turned_on(running, world):
    """Otherwise nobody would turn it off again."""
    folder = RECORD.parent
    folder.mkdir(parents=True, exist_ok=True)
    sh(f"mount -t tmpfs -o size=4k tmpfs {folder}")
    try:
        (folder / "full").write_bytes(b"x" * 4096)
        machine = running("one", "-n")
        assert forwarding("up0") == ["0", "0"]
        end(machine)
        assert forwarding("up0") == ["0", "0"]
    finally:
        sh(f"umount {folder}")


def test_forwarding_that_is_on_is_not_ours(running, world):
    Path("/proc/sys/net/ipv4/conf/up0/forwarding").write_text("1")
    Path("/proc/sys/net/ipv6/conf/up0/force_forwarding").write_text("1")
    machine = running("one", "-n")
    assert not RECORD.exists()
    end(machine)
    assert forwarding("up0") == ["1", "1"]


@pytest.fixture
def without_force_forwarding():
    """As in a kernel before 6.17, where only all/forwarding turns IPv6 forwarding on."""
    sh("mount --bind /dev/null /proc/sys/net/ipv6/conf/all/force_forwarding")
    yield
    sh("umount /proc/sys/net/ipv6/conf/all/force_forwarding")


def test_a_host_that_forwards_still_listens_to_its_router(running, world, without_force_forwarding):
    conf = Path("/proc/sys/net/ipv6/conf")
    values = lambda: ((conf / "all/forwarding").read_text(), (conf / "up0/accept_ra").read_text())
    assert values() == ("0\n", "1\n")
    machine = running("old", "-n", "--private-users=no")
    assert values() == ("1\n", "2\n")
    end(machine)
    assert values() == ("0\n", "1\n")


def test_packets_are_forwarded_to_whom_a_route_leads(running, world):
    """Without masquerading: the world has a route to the machine."""
    machine = running("routed", "-n")
    guest = {family: text.split("/")[0] for family, text in addresses("host0", machine.leader).items()}
    sh(f"ip -n world route add {guest['inet']} via 198.51.100.2; ip -n world -6 route add {guest['inet6']} via 2001:db8:1::2")
    assert pings("198.51.100.1", machine.leader)
    assert pings("2001:db8:1::1", machine.leader, family=6)


def test_the_world_is_reached_behind_the_hosts_address(running, world):
    machine = running("masked", "-n")
    assert pings("198.51.100.1", machine.leader)
    assert pings("2001:db8:1::1", machine.leader, family=6)


def test_two_machines_reach_each_other(running):
    one, two = running("one", "-n"), running("two", "--network-zone=lab")
    to = addresses("host0", two.leader)
    assert pings(to["inet"].split("/")[0], one.leader)
    assert pings(to["inet6"].split("/")[0], one.leader, family=6)


# --- the host's own network manager


@pytest.fixture
def networkd(tmp_path):
    """Makes it look as if systemd-networkd ran here."""
    Path("/run/systemd/netif").mkdir(parents=True)
    folder = Path("/etc/systemd/network")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "80-container-ve.network").write_text("[Match]\nName=ve-*\n")
    code = "import ctypes, socket; ctypes.CDLL(None).prctl(15, b'systemd-network', 0, 0, 0); s = socket.socket(16, 3, 0); s.bind((0, 1)); print(1, flush=True); input()"
    with subprocess.Popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "1\n"
        yield folder
        process.kill()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    Path("/run/systemd/netif").rmdir()


def test_what_networkd_manages_is_left_to_it(redd, running, networkd):
    machine = running("managed", "-n")
    assert addresses("ve-managed") == addresses("host0", machine.leader) == {}
    assert link("host0", machine.leader)["operstate"] == "UP"
    end(machine)
    (networkd / "80-container-ve.network").unlink()
    (networkd / "80-container-ve.network").symlink_to("/dev/null")
    machine = running("masked", "-n")
    assert addresses("ve-masked")
