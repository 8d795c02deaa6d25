# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine's rules in the packet filter, tested with real packets between namespaces, without a machine."""

import contextlib
import socket
import subprocess
import time

import pytest
from helpers import frames, packetfilter
from helpers.packetfilter import (GATE, GATE6, GUEST, GUEST6, GUEST_MAC, HOST, HOST6, HOST_MAC, KERNELS, NEIGHBOUR, SCTP, SUBNET, TCP, UDP,
                                  WORLD, WORLD6, Filter, Net)  # fmt: skip
from helpers.security import row
from helpers.waiting import wait_until

WEB = (TCP, 8080, 8080, 80)
MARKER = 0x88B5  # the EtherType for experiments


@pytest.fixture
def bare():
    assert packetfilter.program().exists(), "built with the tests"
    net = Net()
    yield net
    net.close()


@pytest.fixture
def net(bare):
    return bare.plain()


@pytest.fixture
def rules(net):
    return Filter(net.host)


def meet(client, address, port, server_socket):
    """Connects and exchanges data; returns the address the server sees."""
    with server_socket, client.connect(address, port) as near:
        far, peer = server_socket.accept()
        with far:
            far.settimeout(5)
            near.sendall(b"to")
            assert far.recv(2) == b"to"
            far.sendall(b"fro")
            assert near.recv(3) == b"fro"
    return peer[0]


def refused(client, address, port, guest, *guest_ports):
    """The host itself must refuse: the guest, whose address is `guest`, would answer at these ports."""
    with contextlib.ExitStack() as servers:
        for guest_port in guest_ports:
            servers.enter_context(guest[0].listen(guest[1], guest_port))
        with pytest.raises(ConnectionRefusedError):
            client.connect(address, port)


def test_masquerades_what_leaves(net, rules):
    rules.set_usual()
    assert meet(net.guest, WORLD, 80, net.world.listen(WORLD, 80)) == HOST
    assert meet(net.guest, WORLD6, 80, net.world.listen(WORLD6, 80)) == HOST6


def test_does_not_masquerade_towards_other_machines(net, rules):
    """They are recognised by the name of the interface."""
    rules.set_usual()
    net.host.sh("ip link set eth0 down; ip link set eth0 name ve-other; ip link set ve-other up")
    net.world.run("ip", "route", "add", SUBNET, "via", HOST)
    assert meet(net.guest, WORLD, 80, net.world.listen(WORLD, 80)) == GUEST


@pytest.mark.parametrize("outside,host,guest", [(WORLD, HOST, GUEST), (WORLD6, HOST6, GUEST6)])
def test_port_from_outside(net, rules, outside, host, guest):
    """The machine sees the client's address."""
    rules.set_usual(WEB)
    assert meet(net.world, host, 8080, net.guest.listen(guest, 80)) == outside
    refused(net.world, host, 8081, (net.guest, guest), 80, 8081)


@pytest.mark.parametrize("address,guest,seen", [(HOST, GUEST, HOST), ("127.0.0.1", GUEST, GATE), (GATE, GUEST, GATE),
                                                (HOST6, GUEST6, HOST6)])  # fmt: skip
def test_port_from_the_host_itself(net, rules, address, guest, seen):
    rules.set_usual(WEB)
    assert meet(net.host, address, 8080, net.guest.listen(guest, 80)) == seen


def test_v6_loopback_is_left_to_the_proxy(net, rules):
    """Packets from ::1 can't leave by a link, and link-local ones aren't forwarded: the listening socket gets these."""
    rules.set_usual(WEB)
    assert meet(net.host, "::1", 8080, net.host.listen("::1", 8080)) == "::1"


@pytest.mark.parametrize("address,guest,seen", [(HOST, GUEST, GATE), (HOST6, GUEST6, GATE6)])
def test_port_from_the_machine_itself(net, rules, address, guest, seen):
    rules.set_usual(WEB)
    assert meet(net.guest, address, 8080, net.guest.listen(guest, 80)) == seen


@pytest.mark.parametrize("address,guest,seen", [(HOST, GUEST, GATE), (HOST6, GUEST6, GATE6)])
@pytest.mark.parametrize("netfilter", ["0", "1"])
def test_port_from_a_neighbour_of_the_zone(bare, address, guest, seen, netfilter):
    """Also if Docker has enabled filtering of bridged packets."""
    net = bare.zone()
    net.host.sh(f"for f in iptables ip6tables; do echo {netfilter} > /proc/sys/net/bridge/bridge-nf-call-$f; done")
    Filter(net.host).set_usual(WEB, link="vb-web", zone="vz-z")
    assert meet(net.neighbour, address, 8080, net.guest.listen(guest, 80)) == seen
    # Others on the bridge must not reach the host's 127.0.0.0/8, so the proxy serves the host's own connections.
    assert meet(net.host, "127.0.0.1", 8080, net.host.listen("127.0.0.1", 8080)) == "127.0.0.1"
    assert meet(net.neighbour, GUEST, 81, net.guest.listen(GUEST, 81)) == NEIGHBOUR


def ask_udp(client, address, port, server, server_address, server_port):
    with server.socket(socket.AF_INET, socket.SOCK_DGRAM) as far, client.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
        far.bind((server_address, server_port))
        near.connect((address, port))
        near.send(b"ask")
        data, peer = far.recvfrom(16)
        far.sendto(data + b"ed", peer)
        assert near.recv(16) == b"asked"
        return peer[0]


def test_udp(net, rules):
    rules.set_usual((UDP, 5353, 5353, 53))
    assert ask_udp(net.world, HOST, 5353, net.guest, GUEST, 53) == WORLD
    assert ask_udp(net.host, "127.0.0.1", 5353, net.guest, GUEST, 53) == GATE


def test_sctp(net, rules):
    """Shows without an SCTP socket that the filter translates SCTP ports and corrects the checksum."""
    rules.set_usual((SCTP, 9000, 9000, 7))
    with net.guest.socket(socket.AF_INET, socket.SOCK_RAW, SCTP) as far, net.world.socket(socket.AF_INET, socket.SOCK_RAW, SCTP) as near:
        near.sendto(frames.sctp_init(1234, 9000), (HOST, 0))
        packet, peer = far.recvfrom(2048)
    head = packet[20:]
    assert peer[0] == WORLD and head[:4] == (1234).to_bytes(2, "big") + (7).to_bytes(2, "big")
    assert frames.sctp_is_sound(head)


@pytest.mark.parametrize("port,guest_port", [(5000, 5000), (5003, 5003), (6000, 7000), (6003, 7003), (20000, 1000), (59999, 40999)])
def test_ranges(net, rules, port, guest_port):
    """Ranges that keep their numbers, that are shifted, and one whose map takes many messages."""
    rules.set_usual((TCP, 5000, 5003, 5000), (TCP, 6000, 6003, 7000), (TCP, 20000, 59999, 1000))
    for address, guest in ((HOST, GUEST), (HOST6, GUEST6)):
        meet(net.world, address, port, net.guest.listen(guest, guest_port))
        refused(net.world, address, 5004, (net.guest, guest), 5004)
        refused(net.world, address, 6004, (net.guest, guest), 6004, 7004, 7000)


def test_bind_address(net, rules):
    other = "198.51.100.9"
    net.host.run("ip", "address", "add", f"{other}/24", "dev", "eth0")
    rules.set_usual((*WEB, other), (TCP, 8443, 8443, 80, HOST6), (TCP, 2222, 2222, 22, "0.0.0.0"))
    meet(net.world, other, 8080, net.guest.listen(GUEST, 80))
    meet(net.host, other, 8080, net.guest.listen(GUEST, 80))
    meet(net.world, HOST6, 8443, net.guest.listen(GUEST6, 80))
    meet(net.world, HOST, 2222, net.guest.listen(GUEST, 22))
    for address, port in ((HOST, 8080), (HOST6, 8080), (HOST, 8443), (HOST6, 2222)):
        refused(net.world, address, port, (net.guest, "::"), 80, 22)


@row("N05", "LAN → a port bound to 127.0.0.1", "not translated in prerouting; the socket behind it is bound to 127.0.0.1")
def test_bound_to_loopback_is_not_reached_from_outside(net, rules):
    """Not even by a frame from a neighbour to 127.0.0.1: the kernel translates destinations before it drops martians."""
    rules.set_usual((UDP, 5353, 5353, 53, "127.0.0.1"), (UDP, 5454, 5454, 53))
    assert ask_udp(net.host, "127.0.0.1", 5353, net.guest, GUEST, 53) == GATE
    with net.guest.socket(socket.AF_INET, socket.SOCK_DGRAM) as far, net.world.socket(socket.AF_PACKET, socket.SOCK_RAW) as near:
        far.bind((GUEST, 53))
        near.bind(("eth0", 0))
        for address, port, payload in (("127.0.0.1", 5353, b"bad"), (HOST, 5454, b"good")):
            packet = frames.udp(WORLD, address, 99, port, payload)
            near.send(frames.ether(HOST_MAC[:-1] + "8", HOST_MAC[:-1] + "7", 0x0800, packet))
        assert far.recv(16) == b"good"


class Watch:
    """Counts what a link lets through, by a chain after that of the machine."""

    def __init__(self, net, link="ve-web"):
        self.host = net.host
        # Keep the guest's kernel from sending anything, also answers to what the host asks because of our frames.
        net.guest.sh("echo 1 > /proc/sys/net/ipv6/conf/host0/disable_ipv6; ip address flush dev host0; ip link set host0 arp off")
        self.host.run("nft", f"""table netdev watch {{
            counter marker {{}}
            counter others {{}}
            chain behind {{
                type filter hook ingress device {link} priority 100
                ether type {MARKER} counter name marker return
                counter name others
            }}
        }}""")  # fmt: skip
        self.socket = net.guest.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind(("host0", 0))

    def count(self, name):
        words = self.host.run("nft", "list", "counter", "netdev", "watch", name).split()
        return int(words[words.index("packets") + 1])

    def passes(self, frame):
        """Frames keep their order: if the marker has arrived, the frame has, or never will."""
        others, marker = self.count("others"), self.count("marker")
        self.socket.send(frame)
        self.socket.send(frames.ether(GUEST_MAC, HOST_MAC, MARKER, b"marker"))
        while self.count("marker") == marker:
            time.sleep(0.01)
        return self.count("others") > others


@pytest.fixture
def watch(net):
    watch = Watch(net)
    yield watch
    watch.socket.close()


def from_guest(kind, payload, source=GUEST_MAC):
    return frames.ether(source, HOST_MAC, kind, payload)


V4, V6, ARP = 0x0800, 0x86DD, 0x0806
FINE = frames.udp(GUEST, GATE, 9, 9)
LOOPBACK = from_guest(V4, frames.udp(GUEST, "127.0.0.1", 9, 9))
SERVED = {
    "dhcp": from_guest(V4, frames.udp("0.0.0.0", "255.255.255.255", 68, 67)),
    "dhcp renewal": from_guest(V4, frames.udp(GUEST, GATE, 68, 67)),
    "dns": from_guest(V4, frames.udp(GUEST, GATE, 9, 53)),
    "dns6": from_guest(V6, frames.udp(GUEST6, GATE6, 9, 53)),
}
ADDRESSES = from_guest(V4, b"")[:12]
TAGGED = {
    "vlan": ADDRESSES + frames.tagged(0x8100, V4, FINE),
    "vlan with a forged source": ADDRESSES + frames.tagged(0x8100, V4, frames.udp("10.9.9.9", GATE, 9, 9)),
    "service vlan": ADDRESSES + frames.tagged(0x88A8, V4, FINE),
    "two vlans": ADDRESSES + frames.tagged(0x88A8, 0x8100, frames.tagged(0x8100, V4, FINE)[2:]),
    "priority": ADDRESSES + frames.tagged(0x8100, V4, FINE, number=0),
}
# VLAN 0 is no VLAN: the kernel removes these tags one by one and goes on with the content.
NESTED = {
    f"{outer:x} in {inner:x}, priority {priority}": ADDRESSES + frames.tagged(
        outer, inner, frames.tagged(inner, V4, frames.udp(GUEST, "127.0.0.1", 9, 9999, b"bad"), number=0)[2:], number=priority << 13)
    for outer in (0x8100, 0x88A8) for inner in (0x8100, 0x88A8) for priority in (0, 5)
}  # fmt: skip
FORGED = {
    "hardware address": from_guest(V4, FINE, source="02:00:00:00:00:99"),
    "v4": from_guest(V4, frames.udp("192.168.77.3", GATE, 9, 9)),
    "v4 of the host": from_guest(V4, frames.udp(GATE, WORLD, 9, 9)),
    "v4 of nobody": from_guest(V4, frames.udp("0.0.0.0", GATE, 9, 9)),
    "v4 of loopback": from_guest(V4, frames.udp("127.0.0.1", GATE, 9, 9)),
    "v6": from_guest(V6, frames.udp("fd00:78::2", GATE6, 9, 9)),
    "v6 of outside": from_guest(V6, frames.udp(WORLD6, GATE6, 9, 9)),
    "v6 of the host": from_guest(V6, frames.udp(GATE6, GATE6, 9, 9)),
    "v6 of loopback": from_guest(V6, frames.udp("::1", GATE6, 9, 9)),
    "arp hardware": from_guest(ARP, frames.arp("02:00:00:00:00:99", GUEST, GATE)),
    "arp address": from_guest(ARP, frames.arp(GUEST_MAC, GATE, GATE)),
    **TAGGED,
    "router advertisement": from_guest(V6, frames.icmp6("fe80::2", "ff02::1", 134)),
    "redirect6": from_guest(V6, frames.icmp6("fe80::2", GATE6, 137, b"\0" * 36)),
    "redirect": from_guest(V4, frames.icmp_redirect(GUEST, GATE)),
}
HONEST = {
    "v4": from_guest(V4, FINE),
    "v6": from_guest(V6, frames.udp(GUEST6, GATE6, 9, 9)),
    "v6 of its own making": from_guest(V6, frames.udp("fd00:77::1234:5678", GATE6, 9, 9)),
    "v6 of the link": from_guest(V6, frames.udp("fe80::2", GATE6, 9, 9)),
    "v6 of nobody": from_guest(V6, frames.icmp6("::", "ff02::16", 143)),
    "dhcp to another": from_guest(V4, frames.udp("0.0.0.0", "255.255.255.255", 68, 4011)),
    "arp": from_guest(ARP, frames.arp(GUEST_MAC, GUEST, GATE)),
    "arp probe": from_guest(ARP, frames.arp(GUEST_MAC, "0.0.0.0", GUEST)),
    "another protocol": from_guest(0x88B6, b"x" * 46),
    "dns of elsewhere": from_guest(V4, frames.udp(GUEST, WORLD, 9, 53)),
}


def test_all_frames_pass_without_rules(watch):
    """Makes sure that nothing else drops what the next tests see dropped."""
    every = {"loopback": LOOPBACK, **SERVED, **FORGED, **HONEST}
    assert [name for name, frame in every.items() if not watch.passes(frame)] == []


@row("N01", "forged hardware address, ARP, IPv4 or IPv6 source",
     "dropped at ingress: wrong hardware addresses always, the others if redd gives the addresses or `Address=` sets them")  # fmt: skip
@row("N02", "VLAN tags; a hardware address other than the given one",
     "dropped at ingress, tags also with CheckSource=no unless VLANs=yes; the supervisor's packet socket lets neither through")  # fmt: skip
@row("N07", "the guest as a router: advertisements, redirects", "dropped at ingress; the link doesn't accept any")
def test_forged_frames_are_dropped(rules, watch):
    rules.set_usual()
    assert [name for name, frame in FORGED.items() if watch.passes(frame)] == []
    assert [name for name, frame in HONEST.items() if not watch.passes(frame)] == []


def test_what_the_supervisor_answers_goes_no_further(rules, watch):
    rules.set_usual()
    assert [name for name, frame in SERVED.items() if watch.passes(frame)] == []
    rules.set_usual(serves="no")
    assert [name for name, frame in SERVED.items() if not watch.passes(frame)] == []
    assert not watch.passes(FORGED["v4"])


@row("N01")
def test_unknown_addresses_leave_the_hardware_address(rules, watch):
    """On a bridge of the host, somebody else assigns the addresses."""
    rules.set_usual(guest4="", guest6="", subnet4="", subnet6="", host4="", host6="", masquerade="no", serves="no")
    stay = {"hardware address", "arp hardware", "router advertisement", "redirect6", "redirect", *TAGGED}
    assert {name for name, frame in FORGED.items() if not watch.passes(frame)} == stay


@row("N02", "VLAN tags; a hardware address other than the given one",
     "dropped at ingress, tags also with CheckSource=no unless VLANs=yes; the supervisor's packet socket lets neither through")  # fmt: skip
def test_without_check_tags_and_loopback_are_closed(rules, watch):
    rules.set_usual(check_source="no", serves="no")
    assert {name for name, frame in FORGED.items() if not watch.passes(frame)} == set(TAGGED)
    assert not watch.passes(LOOPBACK)


@row("N02")
def test_a_machine_that_has_vlans_may_send_tags(rules, watch):
    rules.set_usual(check_source="no", serves="no", vlans="yes")
    assert [name for name, frame in FORGED.items() if not watch.passes(frame)] == []
    assert [name for name, frame in NESTED.items() if watch.passes(frame)] == []
    assert not watch.passes(LOOPBACK) and not watch.passes(ADDRESSES + frames.tagged(0x8100, V4, frames.udp(GUEST, "127.0.0.1", 9, 9), number=0))


@row("N03", "guest → 127.0.0.0/8 of the host, which `route_localnet` would open, also in nested VLAN tags that the kernel takes off later",
     "dropped at ingress, also with CheckSource=no and VLANs=yes; only the machine's own link has `route_localnet`")  # fmt: skip
@pytest.mark.parametrize("vlans", ["no", "yes"])
def test_nested_tags_do_not_reach_loopback(net, rules, vlans):
    """Without rules, the kernel takes each of these frames for one to 127.0.0.1."""
    honest = from_guest(V4, frames.udp(GUEST, GATE, 9, 9999, b"good"))
    with net.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as far, net.guest.socket(socket.AF_PACKET, socket.SOCK_RAW) as near:
        near.bind(("host0", 0))
        far.bind(("", 9999))
        for frame in NESTED.values():
            near.send(frame)
        assert [far.recv(16) for _ in NESTED] == [b"bad"] * len(NESTED)
        rules.set_usual(check_source="no", vlans=vlans)
        for frame in [*NESTED.values(), honest]:
            near.send(frame)
        assert far.recv(16) == b"good"


@row("N03")
def test_the_host_s_loopback_is_closed_to_the_machine(net, rules):
    """The link has route_localnet, so that without the rule the kernel accepts the packet."""
    packets = [from_guest(V4, frames.udp(GUEST, to, 9, 9999, payload)) for to, payload in (("127.0.0.1", b"bad"), (GATE, b"good"))]
    with net.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as far, net.guest.socket(socket.AF_PACKET, socket.SOCK_RAW) as near:
        near.bind(("host0", 0))
        far.bind(("", 9999))
        for packet in packets:
            near.send(packet)
        assert [far.recv(16), far.recv(16)] == [b"bad", b"good"]
        rules.set_usual()
        for packet in packets:
            near.send(packet)
        assert far.recv(16) == b"good"


def tables(host):
    return [line for line in host.run("nft", "list", "tables").splitlines() if "redd-" in line]


@pytest.fixture(params=KERNELS)
def rules_by_kernel(net, request):
    return Filter(net.host, kernel=KERNELS[request.param])


def inet_tables(host):
    return [line for line in tables(host) if line.startswith("table inet")]


@row("N17", "kill -9",
     "rules that lead to a machine disappear with its supervisor's socket; those that confine it stay until the next command has ended it. "
     "That command then removes or restores tables, links, zones, accepts in others' chains, forwarding and moved interfaces, by name and "
     "mark; live machines, here or under another `/run`, are left alone")  # fmt: skip
def test_what_confines_outlives_the_supervisor(net, rules_by_kernel):
    """The link stays as closed as before; ports lead nowhere."""
    loopback = [from_guest(V4, frames.udp(GUEST, to, 9, 9999, payload)) for to, payload in (("127.0.0.1", b"bad"), (GATE, b"good"))]
    rules_by_kernel.set_usual(WEB)
    rules_by_kernel.kill()
    wait_until(lambda: not inet_tables(net.host), "the kernel removes the table")
    with net.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as far, net.guest.socket(socket.AF_PACKET, socket.SOCK_RAW) as near:
        near.bind(("host0", 0))
        far.bind(("", 9999))
        for frame in [*loopback, *NESTED.values(), *FORGED.values(), loopback[1]]:
            near.send(frame)
        assert [far.recv(16), far.recv(16)] == [b"good", b"good"]
    refused(net.world, HOST, 8080, (net.guest, GUEST), 80)


@row("N17")
def test_a_flush_of_all_rules_leaves_the_machine_confined(net, rules_by_kernel):
    watch = Watch(net)
    net.host.run("nft", "delete", "table", "netdev", "watch")
    rules_by_kernel.set_usual(WEB)
    net.host.run("nft", "flush", "ruleset")
    watch = Watch(net)
    assert not watch.passes(LOOPBACK) and not watch.passes(FORGED["v4"]) and watch.passes(HONEST["v4"])


@row("N17")
def test_what_outlived_is_removed_and_what_lives_is_left(net, rules_by_kernel):
    """The callback knows of one machine; others that live are recognised in the kernel, by their inet table or owner."""
    net.host.run("nft", "add table netdev redd-web2; add table netdev redd-theirs { comment \"theirs\" ; }")
    rules_by_kernel.set_usual(WEB)
    rules_by_kernel.tell("clean web")
    assert len(tables(net.host)) >= 4
    rules_by_kernel.kill()
    wait_until(lambda: not inet_tables(net.host), "the kernel removes the table")
    other = Filter(net.host, "two")
    other.tell("link=ve-web", f"guest_mac={GUEST_MAC}", "set", "clean web")
    assert "table netdev redd-two" in tables(net.host), "its owner lives"
    assert any("redd-web" in line and "web2" not in line for line in tables(net.host)), "it is said to live"
    other.tell("clean two")
    assert tables(net.host) == ["table netdev redd-web2", "table netdev redd-theirs", "table inet redd-two", "table netdev redd-two"]
    other.tell("close")
    assert tables(net.host) == ["table netdev redd-web2", "table netdev redd-theirs"]


@row("N17")
def test_the_next_supervisor_takes_over(net, rules_by_kernel):
    rules_by_kernel.set_usual(WEB)
    assert rules_by_kernel.process.poll() is None
    rules_by_kernel.kill()
    wait_until(lambda: not inet_tables(net.host), "the kernel removes the table")
    again = Filter(net.host)
    again.set_usual(WEB)
    meet(net.world, HOST, 8080, net.guest.listen(GUEST, 80))
    assert tables(net.host) == ["table inet redd-web", "table netdev redd-web"]


def test_others_may_not_remove_tables(net, rules):
    rules.set_usual(WEB)
    assert tables(net.host) == ["table inet redd-web", "table netdev redd-web"]
    for family in ("inet", "netdev"):
        assert net.host.run("nft", "delete", "table", family, "redd-web", check=False) == ""
    assert len(tables(net.host)) == 2
    rules.tell("close")
    assert tables(net.host) == []


def test_connections_outlive_their_rules(net, rules):
    """When a machine's ports change at run time, connections stay."""
    rules.set_usual(WEB)
    with net.guest.listen(GUEST, 80) as inner, net.world.listen(WORLD, 80) as outer:
        pairs = [(net.world.connect(HOST, 8080), inner.accept()[0]), (net.guest.connect(WORLD, 80), outer.accept()[0]),
                 (net.host.connect("127.0.0.1", 8080), inner.accept()[0])]  # fmt: skip
        for ports in [(), (WEB,), ((TCP, 1, 1, 1),)]:
            rules.set_usual(*ports)
            for near, far in pairs:
                near.sendall(b"still")
                far.settimeout(5)
                assert far.recv(5) == b"still"
                far.sendall(b"here")
                assert near.recv(4) == b"here"
        refused(net.world, HOST, 8080, (net.guest, GUEST))
        for pair in pairs:
            for end in pair:
                end.close()


def test_a_set_that_fails_changes_nothing(net, rules):
    rules.set_usual(WEB)
    before = net.host.run("nft", "list", "ruleset")
    rules.tell("link=a-name-that-no-link-can-have", "ports=")
    assert rules.ask("set") != "ok"
    assert net.host.run("nft", "list", "ruleset") == before
    meet(net.world, HOST, 8080, net.guest.listen(GUEST, 80))


def test_two_machines_do_not_meet(net, rules):
    """Each has its tables; the end of one doesn't affect the other."""
    rules.set_usual(WEB)
    other = Filter(net.host, "two")
    other.tell("port=6 8081 8081 80", f"target4={GUEST}", "set")
    assert len(tables(net.host)) == 3
    meet(net.world, HOST, 8081, net.guest.listen(GUEST, 80))
    other.process.stdin.close()
    other.process.wait()
    meet(net.world, HOST, 8080, net.guest.listen(GUEST, 80))
    refused(net.world, HOST, 8081, (net.guest, GUEST), 80)


def works(net, timeout_s=10):
    """Outgoing connections of both families work, and incoming ones by a port."""
    ways = [(net.guest, WORLD, 80, net.world, WORLD, 80), (net.guest, WORLD6, 80, net.world, WORLD6, 80),
            (net.world, HOST, 8080, net.guest, GUEST, 80)]  # fmt: skip
    with contextlib.suppress(OSError):
        for client, address, port, server, *place in ways:
            with server.listen(*place), client.connect(address, port, timeout_s):
                pass
        return True
    return False


def is_blocked(net):
    return not works(net, timeout_s=1)


def mend(net, rules):
    what, command = rules.blocker("ve-web")
    net.host.sh(command)
    return what


DOCKER = """
for f in iptables ip6tables; do
$f -P FORWARD DROP
$f -N DOCKER; $f -N DOCKER-ISOLATION-STAGE-1; $f -N DOCKER-ISOLATION-STAGE-2; $f -N DOCKER-USER
$f -A FORWARD -j DOCKER-USER
$f -A FORWARD -j DOCKER-ISOLATION-STAGE-1
$f -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$f -A FORWARD -o docker0 -j DOCKER
$f -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
$f -A FORWARD -i docker0 -o docker0 -j ACCEPT
$f -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
$f -A DOCKER-ISOLATION-STAGE-1 -j RETURN
$f -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
$f -A DOCKER-ISOLATION-STAGE-2 -j RETURN
$f -A DOCKER-USER -j RETURN
$f -t nat -N DOCKER
$f -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
done
"""


def test_beside_docker(net, rules):
    rules.set_usual(WEB)
    assert works(net) and rules.accepts("ve-web") == 0
    net.host.sh(DOCKER)
    assert is_blocked(net)
    assert rules.accepts("ve-web") == 0b1111
    rules.tell("open-others ve-web")
    assert works(net) and rules.blocker("ve-web") is None
    assert '-A FORWARD -i ve-web -m comment --comment "redd:web" -j ACCEPT' in net.host.run("iptables", "-S", "FORWARD")
    # When Docker restarts, it puts its jumps first.
    net.host.sh("iptables -D FORWARD -j DOCKER-USER; iptables -I FORWARD -j DOCKER-ISOLATION-STAGE-1; iptables -I FORWARD -j DOCKER-USER")
    assert works(net) and rules.blocker("ve-web") is None
    rules.tell("close-others")
    assert "redd" not in net.host.run("iptables-save") and "redd" not in net.host.run("ip6tables-save")
    assert is_blocked(net)


def test_accepts_of_a_neighbour_are_not_enough(net, rules):
    """In a zone both machines are behind one interface; the neighbour's rules go with the neighbour."""
    rules.set_usual(WEB)
    net.host.sh(DOCKER)
    other = Filter(net.host, "two")
    other.tell("open-others ve-web")
    rules.tell("open-others ve-web")
    other.tell("close-others")
    assert works(net)


@row("N06", "LAN → machine by redd's accept in another program's FORWARD chain",
     "it accepts replies and packets that a port has translated, nothing else; it is set only if that chain drops these, and removed with "
     "the machine")  # fmt: skip
def test_our_rule_opens_no_more_than_is_forwarded(net, rules):
    """A neighbour that routes to the machine's own address is still kept out, if the host's filter kept it out."""
    rules.set_usual(WEB)
    net.world.run("ip", "route", "add", SUBNET, "via", HOST)
    meet(net.world, GUEST, 80, net.guest.listen(GUEST, 80))
    net.host.sh(DOCKER)
    rules.tell("open-others ve-web")
    assert works(net)
    with net.guest.listen(GUEST, 80), pytest.raises(TimeoutError):
        net.world.connect(GUEST, 80, timeout_s=1)


@row("N06")
def test_rules_in_others_tables_outlive_no_machine(net, rules):
    net.host.sh(DOCKER)
    rules.tell("open-others ve-web", "machine=gone", "open-others ve-gone", "clean-others web")
    listing = net.host.run("iptables", "-S", "FORWARD")
    assert "redd:web" in listing and "redd:gone" not in listing
    # A rule that a crash left is neither relied on nor doubled.
    rules.tell("machine=web", "open-others ve-web")
    assert net.host.run("iptables", "-S", "FORWARD").count("redd:web") == 2


def test_rules_saved_and_restored_are_still_ours(net, rules):
    net.host.sh(DOCKER)
    rules.tell("open-others ve-web")
    net.host.sh("iptables-save > /run/saved; iptables-restore < /run/saved; rm /run/saved")
    assert net.host.run("iptables", "-S").count("redd:web") == 4
    rules.tell("close-others")
    assert "redd:web" not in net.host.run("iptables", "-S")


@row("N06")
def test_a_filter_that_lets_pass_is_left_alone(net, rules):
    net.host.sh("iptables -A FORWARD -s 10.0.0.0/8 -j DROP; iptables -A FORWARD -i eth7 -j DROP")
    rules.tell("open-others ve-web")
    assert rules.accepts("ve-web") == 0 and rules.blocker("ve-web") is None and "redd" not in net.host.run("iptables", "-S")


def test_beside_ufw(net, rules):
    """The real ufw, enabled in the namespace, with configuration files of the test."""
    net.host.sh("for d in /etc/ufw /etc/default; do cp -a $d /run/copy; mount -t tmpfs tmpfs $d; cp -a /run/copy/. $d; rm -r /run/copy; done")
    net.host.sh("mount -t tmpfs tmpfs /run")
    rules.set_usual(WEB)
    assert "enabled" in net.host.sh("ufw --force enable")
    assert is_blocked(net) and rules.accepts("ve-web") & 0b11 == 0b11
    rules.tell("open-others ve-web")
    assert works(net) and rules.blocker("ve-web") is None
    net.host.sh("ufw reload; ufw status | grep -q 'Status: active'")
    assert works(net) and rules.blocker("ve-web") is None


BUS = """<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy></busconfig>"""


@pytest.fixture
def firewalld(net):
    """The real firewalld, on a D-Bus of its own."""
    net.host.sh("cp -a /etc/firewalld /run/copy; mount -t tmpfs tmpfs /etc/firewalld; cp -a /run/copy/. /etc/firewalld; rm -r /run/copy")
    net.host.sh("mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/log; mkdir -p /run/dbus /run/firewalld /run/lock")
    net.host.run("sh", "-c", "cat > /run/dbus/bus.conf", input=BUS)
    bus = net.host.popen("dbus-daemon", "--config-file=/run/dbus/bus.conf", "--nofork", "--nopidfile", "--print-address",
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    assert bus.stdout.readline().startswith("unix:")
    net.host.popen("firewalld", "--nofork", "--nopid", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while "running" not in net.host.run("firewall-cmd", "--state", check=False):
        assert time.monotonic() < deadline, "firewalld did not start"
        time.sleep(0.2)


def test_beside_firewalld(net, rules, firewalld):
    rules.set_usual(WEB)
    rules.tell("open-others ve-web")
    assert is_blocked(net)
    assert mend(net, rules) == "firewalld"
    assert works(net) and rules.blocker("ve-web") is None


def test_beside_legacy_iptables(net, rules):
    v4, v6 = "iptables-legacy", "ip6tables-legacy"
    rules.set_usual(WEB)
    net.host.sh(f"{v4} -P FORWARD DROP; {v6} -P FORWARD DROP")
    rules.tell("open-others ve-web")
    assert is_blocked(net)
    assert mend(net, rules) == f"chain FORWARD of {v4} (policy drop)"
    assert mend(net, rules) == f"chain FORWARD of {v6} (policy drop)"
    assert works(net) and rules.blocker("ve-web") is None


def test_unused_legacy_tables_are_not_loaded(net, rules):
    assert rules.blocker("ve-web") is None
    assert net.host.run("cat", "/proc/net/ip_tables_names") == ""


def test_beside_a_filter_of_nft(net, rules):
    """With rules like those in many /etc/nftables.conf files."""
    rules.set_usual(WEB)
    net.host.run("nft", """table inet filter { chain forward { type filter hook forward priority 0; policy drop;
        ct state vmap { established : accept, related : accept, invalid : drop }
        iifname { "br0", "eth9" } accept
        tcp dport 22 accept
        }
        }""")
    rules.tell("open-others ve-web")
    assert is_blocked(net)
    assert mend(net, rules) == "chain forward of table inet filter (policy drop)"
    assert works(net) and rules.blocker("ve-web") is None
