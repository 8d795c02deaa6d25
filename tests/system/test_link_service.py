# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a supervisor answers on its machine's link: DHCP and router advertisements to real clients, DNS by UDP and TCP, all
with real packets between namespaces, with packet filters that drop, and under floods and garbage.
"""

import json
import os
import random
import signal
import socket
import struct
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from helpers import dns, links
from helpers.command import TREE
from helpers.security import row
from helpers.waiting import settle, wait_until

RESOLV_CONF = Path("/etc/resolv.conf")
ADVERTISEMENT = 134  # ICMPv6 types
# The maximum of a service's descriptors: its own, 64 questions, 8 connections and a socket for each of their questions.
OPEN_FILES_MAX = 12 + 64 + 2 * 8

UDHCPC_SCRIPT = """#!/bin/sh
[ "$1" = deconfig ] && exit 0
{ echo "event=$1"; env | grep -E '^(ip|mask|subnet|router|dns|lease|serverid|hostname|broadcast|mtu)='; } >> OUTPUT
[ "$1" = bound ] && ip address replace $ip/$mask dev $interface
exit 0
"""
DHCPCD_SCRIPT = """#!/bin/sh
case $reason in BOUND|RENEW|REBIND|REBOOT) ;; *) exit 0;; esac
{ echo "event=$reason"; env | grep -E '^new_'; } >> OUTPUT
"""

pytestmark = pytest.mark.skipif(not os.access(links.program(), os.X_OK), reason="no link-service beside $REDD")


@pytest.fixture
def make_link():
    with ExitStack() as stack:

        def make(*arguments, **options):
            made = links.Link(*arguments, **options)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def link(make_link):
    return make_link()


@pytest.fixture
def resolv_conf():
    """write(text) sets the host's resolv.conf, which is restored afterwards."""
    before = RESOLV_CONF.read_bytes() if RESOLV_CONF.exists() else None

    def write(text):
        new = RESOLV_CONF.with_suffix(".new")
        new.write_text(text)
        new.rename(RESOLV_CONF)

    write("nameserver 127.0.0.1\n")
    yield write
    RESOLV_CONF.unlink(missing_ok=True)
    if before is not None:
        RESOLV_CONF.write_bytes(before)


@pytest.fixture
def names():
    """publish(name, addresses…) publishes a machine."""
    yield links.publish
    for path in links.NAMES.glob("*"):
        path.unlink()
    links.NAMES.rmdir()
    if not any(links.NAMES.parent.iterdir()):
        links.NAMES.parent.rmdir()


def script(folder, text):
    path, output = folder / "script", folder / "output"
    path.write_text(text.replace("OUTPUT", str(output)))
    path.chmod(0o755)
    output.touch()
    return path, output


def values(output):
    return dict(line.split("=", 1) for line in output.read_text().splitlines() if "=" in line)


# --- DHCP


UDHCPC = ("busybox", "udhcpc", "-i", "host0", "-n", "-t", "5", "-f", "-O", "mtu")


def test_udhcpc_gets_exactly_the_lease(link, tmp_path):
    path, output = script(tmp_path, UDHCPC_SCRIPT)
    link.up()
    with link.served():
        link.guest.run(*UDHCPC, "-q", "-s", path)
    assert values(output) == {
        "event": "bound",
        "ip": link.guest4,
        "mask": "28",
        "subnet": "255.255.255.240",
        "router": link.host4,
        "dns": link.host4,
        "serverid": link.host4,
        "broadcast": "10.77.1.15",
        "hostname": link.machine,
        "lease": "86400",
        "mtu": "1500",
    }


def test_udhcpc_renews(link, tmp_path):
    path, output = script(tmp_path, UDHCPC_SCRIPT)
    link.up()
    with link.served():
        with subprocess.Popen(link.guest.argv(*UDHCPC, "-s", path), stderr=subprocess.DEVNULL) as client:
            wait_until(lambda: "event=bound" in output.read_text(), "a lease")
            client.send_signal(signal.SIGUSR1)
            wait_until(lambda: "event=renew" in output.read_text(), "the lease is renewed")
            client.terminate()
    assert values(output)["ip"] == link.guest4


def test_udhcpc_asks_for_another_address_and_gets_its_own(link, tmp_path):
    path, output = script(tmp_path, UDHCPC_SCRIPT)
    link.up()
    with link.served():
        link.guest.run(*UDHCPC, "-q", "-r", "192.168.3.4", "-s", path)
    assert values(output)["ip"] == link.guest4


def test_dhcpcd_gets_exactly_the_lease_and_renews(link, tmp_path):
    path, output = script(tmp_path, DHCPCD_SCRIPT)
    config = tmp_path / "dhcpcd.conf"
    # Without `noarp` it probes for a while whether the address is in use.
    config.write_text("option subnet_mask, routers, domain_name_servers, interface_mtu, host_name\nclientid\nnoarp\nipv4only\n")
    link.up()
    argv = ("dhcpcd", "-f", config, "-c", path, "-B", "-4", "host0")
    with link.served():
        with subprocess.Popen(link.guest.argv(*argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            wait_until(lambda: "new_ip_address" in output.read_text(), "a lease")
            got = values(output)
            addresses = link.guest.run("ip", "-4", "address", "show", "dev", "host0").stdout
            routes = link.guest.run("ip", "-4", "route").stdout
            link.guest.run("dhcpcd", "-f", config, "-4", "-n", "host0", check=False)
            wait_until(lambda: output.read_text().count("new_ip_address") > 1, "the lease is renewed")
            client.terminate()
            client.wait(30)
    assert f"{link.guest4}/28" in addresses
    assert f"default via {link.host4}" in routes
    wanted = {"ip_address": link.guest4, "subnet_mask": "255.255.255.240", "routers": link.host4,
              "domain_name_servers": link.host4, "dhcp_lease_time": "86400", "dhcp_server_identifier": link.host4,
              "dhcp_renewal_time": "43200", "dhcp_rebinding_time": "75600", "host_name": link.machine}
    assert {key: got["new_" + key] for key in wanted} == wanted


def test_name_servers_that_were_asked_for_are_given_out(link, tmp_path):
    path, output = script(tmp_path, UDHCPC_SCRIPT)
    link.up()
    with link.served("192.0.2.53", "2001:db8::53", "192.0.2.54"):
        link.guest.run(*UDHCPC, "-q", "-s", path)
        shown = solicit(link)
    assert values(output)["dns"] == "192.0.2.53 192.0.2.54"
    assert "2001:db8::53" in shown and link.host6 not in shown


# --- router advertisements


def solicit(link):
    """rdisc6's output about an answer."""

    def ask():
        done = link.guest.run("rdisc6", "-1", "-r", "1", "-w", "3000", "host0", check=False)
        return done.stdout if "Prefix" in done.stdout else None

    return wait_until(ask, "a router advertisement")


def test_solicited_advertisement_says_what_it_should(link):
    link.guest.run("sysctl", "-qw", "net.ipv6.conf.host0.accept_ra=0")
    link.up()
    with link.served():
        shown = solicit(link)
    words = " ".join(shown.split())
    assert f"Prefix : {link.subnet6}" in words
    assert "On-link : Yes" in words and "Autonomous address conf.: Yes" in words
    assert words.count("infinite") == 3
    assert "Router lifetime : 9000 (0x00002328) seconds" in words
    assert f"Recursive DNS server : {link.host6}" in words
    assert "MTU : 1500 bytes" in words
    assert f"Source link-layer address: {link.host_mac}".lower() in words.lower()


def test_client_of_dhcp_hears_an_advertisement_unasked(link, tmp_path):
    """networkd removes host0's addresses, and solicits after half a second at the earliest."""
    path, output = script(tmp_path, UDHCPC_SCRIPT)
    link.guest.run("sysctl", "-qw", "net.ipv6.conf.host0.accept_ra=0")
    link.up()
    with link.served():
        solicit(link)  # until the advertisement for the new link has been sent
        with link.guest.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as heard:
            link.guest.run(*UDHCPC, "-q", "-s", path)
            assert "event=bound" in output.read_text()
            heard.setblocking(False)
            kinds = []
            with pytest.raises(BlockingIOError):
                while True:
                    kinds.append(heard.recv(2048)[0])
    assert ADVERTISEMENT in kinds, "before the client had its lease"


def test_kernel_makes_itself_the_leased_address_and_a_default_route(link):
    with link.served():
        link.up()
        wait_until(lambda: link.guest6 in link.guest.run("ip", "-6", "address").stdout, "SLAAC")
        route = wait_until(lambda: link.guest.run("ip", "-6", "route", "show", "default").stdout, "a default route")
        assert "proto ra" in route and "via fe80::" in route
        gateway = route.split()[2]
        # The advertised router answers.
        with link.guest.socket(socket.AF_INET6, socket.SOCK_STREAM) as trying, pytest.raises(ConnectionRefusedError):
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"host0")
            trying.settimeout(30)
            trying.connect((gateway, 9))


def test_advertised_router_is_the_links_own_address_whatever_it_is(link):
    subprocess.run(["ip", "link", "set", link.name, "down"], check=True)
    subprocess.run(["ip", "link", "set", link.name, "addrgenmode", "none"], check=True)
    subprocess.run(["ip", "link", "set", link.name, "up"], check=True)
    for address in (f"{link.host6}/64", "fe80::7/64"):
        subprocess.run(["ip", "address", "replace", address, "dev", link.name, "nodad"], check=True)
    with link.served():
        link.up()
        route = wait_until(lambda: link.guest.run("ip", "-6", "route", "show", "default").stdout, "a default route")
    assert route.split()[2] == "fe80::7"


def test_link_of_one_family_serves_only_that(link, tmp_path):
    path, output = script(tmp_path, UDHCPC_SCRIPT)
    link.subnet6 = link.host6 = link.guest6 = "-"
    link.up()
    with link.served():
        link.guest.run(*UDHCPC, "-q", "-s", path)
        assert "Prefix" not in link.guest.run("rdisc6", "-1", "-r", "1", "-w", "500", "host0", check=False).stdout
    assert values(output)["ip"] == link.guest4


# --- DNS


@pytest.fixture
def served(link):
    """A service, a machine with addresses, and clients of both families: (process, client4, client6)."""
    link.up_by_hand()
    with link.served("no-filter") as process:
        yield process, dns.Client(link.guest, link.host4), dns.Client(link.guest, link.host6)


def test_names_of_machines(link, served, names):
    names("db", "10.77.1.9", "fd77::9", "fd77::a")
    names("four", "10.77.1.8")
    for client in served[1:]:
        for ask in (client.ask, client.ask_by_tcp):
            assert ask("db").addresses == ["10.77.1.9"]
            assert ask("db", dns.AAAA).addresses == ["fd77::9", "fd77::a"]
            assert {ttl for _, ttl, _ in ask("db", dns.ANY).records} == {5}
            assert (ask("four", dns.AAAA).rcode, ask("four", dns.AAAA).records) == (dns.OK, [])
            assert ask("_gateway").addresses == [link.host4]
            assert ask("_gateway", dns.AAAA).addresses == [link.host6]
            assert ask("localhost").addresses == ask("any.localhost").addresses == ["127.0.0.1"]
            assert ask("localhost", dns.AAAA).addresses == ["::1"]


def test_dig_gets_names_and_addresses(link, served, names):
    names("db", "10.77.1.9")

    def dig(*words):
        return link.guest.run("dig", "+short", "+tries=1", f"@{link.host4}", *words).stdout.split()

    assert dig("db") == dig("db", "+tcp") == dig("db", "+noedns") == dig("db", "+edns=1") == ["10.77.1.9"]
    assert dig("-x", "10.77.1.9") == ["db."]
    assert dig("-x", link.host4) == dig("-x", link.host6) == ["_gateway."]
    assert dig("-x", "127.0.0.1") == dig("-x", "::1") == ["localhost."]


LLMNR_PORT, LLMNR_GROUPS = 5355, ("224.0.0.252", "ff02::1:3")


def ask_llmnr(link, group, message, timeout_s=30):
    """Asks the multicast group on host0; (message, address, port) of the answer, or None if there is none in time."""
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with link.guest.socket(family, socket.SOCK_DGRAM) as asking:
        index = json.loads(link.guest.run("ip", "-json", "link", "show", "dev", "host0").stdout)[0]["ifindex"]
        asking.settimeout(timeout_s)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"host0")
        asking.sendto(message, (group, LLMNR_PORT, 0, index) if ":" in group else (group, LLMNR_PORT))
        try:
            answer, source = asking.recvfrom(4096)
        except TimeoutError:
            return None
    assert answer[:2] == message[:2]
    return answer, source[0].partition("%")[0], source[1]


@row("N18")
@pytest.mark.parametrize("group", LLMNR_GROUPS)
def test_names_of_machines_by_llmnr(link, served, names, group):
    """Asked as by systemd-resolved for a name of one label."""
    names("db", "10.77.1.9", "fd77::9")
    names(link.machine, link.guest4)
    for kind, address in ((dns.A, "10.77.1.9"), (dns.AAAA, "fd77::9")):
        answer, source, port = ask_llmnr(link, group, dns.query("db", kind))
        assert dns.Reply(answer).addresses == [address]
        assert dns.Reply(answer).flags == 0x8000, "the flags of DNS mean other things here"
        assert port == LLMNR_PORT and (source == link.host4 or source.startswith("fe80::"))
    for name in ("nobody", "db.example", "_gateway", link.machine, link.machine.upper()):
        assert ask_llmnr(link, group, dns.query(name), timeout_s=0.5) is None, name


@row("N20", "a machine's name that is localhost, the host's own, or a name of the internet",
     "machines are called NAME.redd; the bare name is used only if it has no other owner or meaning")  # fmt: skip
def test_full_names_of_machines(served, names, resolv_conf):
    """NAME.redd is a machine or doesn't exist, and other servers are never asked; a name with another meaning is no machine."""
    client = served[1]
    names("db", "10.77.1.9")
    for name in ("wpad", "wpad.redd", "db.example", "db.example.redd"):
        names(name, "10.77.1.66")
    with dns.Upstream() as upstream:
        assert client.ask("db").addresses == client.ask("db.redd").addresses == client.ask("DB.Redd").addresses == ["10.77.1.9"]
        assert client.ask("wpad.redd").addresses == client.ask("db.example.redd").addresses == ["10.77.1.66"]
        assert client.ask("wpad").rcode == client.ask("nobody.redd").rcode == client.ask("redd").rcode == dns.NXDOMAIN
        assert not upstream.asked
        client.ask("db.example")
        assert upstream.asked["db.example"] == 1


def test_our_own_networks_are_not_told_to_the_world(link, served, resolv_conf):
    client = served[1]
    with dns.Upstream() as upstream:
        for name in ("13.1.77.10.in-addr.arpa", "9.9.9.127.in-addr.arpa"):
            assert client.ask(name, dns.PTR).rcode == dns.NXDOMAIN
        assert client.ask(".".join("f" * 16) + ".1.0.0.0.0.0.0.0.0.0.0.0.7.7.d.f.ip6.arpa", dns.PTR).rcode == dns.NXDOMAIN
        assert client.ask("nobody").rcode == client.ask("nobody", 65).rcode == dns.NXDOMAIN
        assert not upstream.asked
        # Other names are forwarded, also the records of "com" that a validating resolver wants.
        for name, kind in (("1.0.0.192.in-addr.arpa", dns.PTR), ("com", dns.NS), ("", dns.NS), ("printer.local", dns.A)):
            client.ask(name, kind)
            assert upstream.asked[name] == 1


def test_what_is_no_question_is_refused(served):
    client = served[1]
    assert client.ask("a.example", dns.AXFR).rcode == dns.REFUSED
    assert client.ask("version.bind", 16, klass=3).rcode == dns.REFUSED
    assert client.send(dns.query("a.example")[:20]).rcode == dns.FORMAT
    assert client.send(struct.pack(">HHHHHH", 7, 0, 2, 0, 0, 0) + dns.query("a.b")[12:] * 2).rcode == dns.FORMAT
    assert client.send(struct.pack(">HHHHHH", 7, 0x2000, 1, 0, 0, 0) + dns.query("a.b")[12:]).rcode == dns.NOTIMP
    reply = client.send(dns.query("a.b")[:10] + b"\0\1" + dns.query("a.b")[12:] + b"\0" + struct.pack(">HHIH", 41, 512, 1 << 16, 0))
    assert reply.rcode == 0 and reply.message[-6] == 1  # BADVERS is 16; the OPT record has its upper bits


def test_questions_are_relayed(served, resolv_conf):
    with dns.Upstream() as upstream:
        for client in served[1:]:
            for ask in (client.ask, client.ask_by_tcp):
                assert ask("www.example").addresses == ["192.0.2.1"]
        assert client.ask("WwW.ExAmPlE", number=77).number == 77
        assert len({port for _, port in upstream.sources}) == len(upstream.sources), "a port of its own for each"
        assert upstream.by_tcp["www.example"] == 2


def _wrong(act):
    """Answers that must not be believed, then the right one."""
    return lambda asked: [act(asked), dns.answer(asked, ["192.0.2.7"])]


def _number(asked):
    return struct.unpack(">H", asked[:2])[0]


LIES = {
    "id": lambda asked: dns.answer(asked, ["6.6.6.6"], number=_number(asked) ^ 1),
    "name": lambda asked: dns.answer(dns.query("other.example", number=_number(asked)), ["6.6.6.6"]),
    "type": lambda asked: dns.answer(dns.query(dns.name_of(asked), dns.AAAA, number=_number(asked)), ["6.6.6.6"]),
    "direction": lambda asked: asked,
    "cut": lambda asked: dns.answer(asked, ["6.6.6.6"])[:17],
    "empty": lambda asked: b"",
    "no-question": lambda asked: asked[:2] + struct.pack(">HHHHH", 0x8180, 0, 1, 0, 0) + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\6\6\6\6",
}


@row("N10", "forged DNS answers", "each question has its own socket, so its own port, and a random id; server, id and question must match")
def test_what_does_not_answer_the_question_is_not_believed(served, resolv_conf):
    with dns.Upstream(behaviour={kind: _wrong(lie) for kind, lie in LIES.items()}):
        for kind in LIES:
            assert served[1].ask(f"{kind}.example").addresses == ["192.0.2.7"], kind


def test_next_server_is_asked(served, resolv_conf):
    resolv_conf("nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n")
    behaviour = {"silent": lambda asked: [], "broken": lambda asked: [dns.answer(asked, rcode=dns.SERVFAIL)],
                 "short": lambda asked: [asked[:2] + struct.pack(">HHHHH", 0x8182, 0, 0, 0, 0)]}
    # No server is at 127.0.0.2.
    with dns.Upstream("127.0.0.1", behaviour) as first, dns.Upstream("127.0.0.3", default="192.0.2.3") as third:
        for name in ("silent.example", "broken.example", "short.example"):
            assert served[1].ask(name).addresses == ["192.0.2.3"]
            assert (first.asked[name], third.asked[name]) == (1, 1)
        assert served[1].ask_by_tcp("broken.example").addresses == ["192.0.2.3"]


def test_no_answer_is_said_after_three_tries(served, resolv_conf):
    with dns.Upstream(behaviour={"silent": lambda asked: []}) as upstream:
        assert served[1].ask("silent.example").rcode == dns.SERVFAIL
        assert upstream.asked["silent.example"] == 3
        assert links.open_files(served[0]) < 12


@pytest.mark.parametrize("text", ["", "# nothing\n", "nameserver 10.77.1.1\nnameserver nonsense\n", None])
def test_no_resolver_is_said_at_once(served, resolv_conf, text):
    if text is None:
        RESOLV_CONF.unlink()
        RESOLV_CONF.symlink_to("/run/nosuch/resolv.conf")
    else:
        resolv_conf(text)
    for client in served[1:]:
        assert client.ask("www.example").rcode == client.ask_by_tcp("www.example").rcode == dns.SERVFAIL


@pytest.mark.parametrize("path", ["/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf"])
def test_dangling_resolv_conf_leads_to_what_the_managers_know(served, resolv_conf, path):
    RESOLV_CONF.unlink()
    RESOLV_CONF.symlink_to("/run/nosuch/resolv.conf")
    folder = Path(path).parent
    made = [each for each in (folder, folder.parent) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        Path(path).write_text("nameserver 127.0.0.53\noptions edns0\n")
        with dns.Upstream("127.0.0.53"):
            assert served[1].ask("www.example").addresses == ["192.0.2.1"]
    finally:
        Path(path).unlink()
        for each in made:
            each.rmdir()


def test_resolver_that_changes_while_running_is_followed(served, resolv_conf):
    with dns.Upstream("127.0.0.1"), dns.Upstream("127.0.0.2", default="192.0.2.2"), dns.Upstream("::1", default="192.0.2.6"):
        assert served[1].ask("www.example").addresses == ["192.0.2.1"]
        for server, wanted in (("127.0.0.2", "192.0.2.2"), ("::1", "192.0.2.6"), ("127.0.0.1", "192.0.2.1")):
            resolv_conf(f"search a.example\nnameserver {server}\n")
            wait_until(lambda wanted=wanted: served[1].ask("www.example").addresses == [wanted], "the new resolver is asked")


def test_answers_too_large_are_cut_and_come_by_tcp(link, served, resolv_conf):
    sizes = {"fits": 300, "large": 1000, "huge": 3900, "giant": 9000, "all": 60000}
    behaviour = {name: lambda asked, size=size: [dns.answer(asked, padding=size)] for name, size in sizes.items()}
    behaviour["tc"] = lambda asked: [dns.answer(asked, flags=dns.TRUNCATED)]
    with dns.Upstream(behaviour=behaviour) as upstream:
        for client in served[1:]:
            assert not client.ask("fits.example").is_truncated
            assert client.ask("large.example").is_truncated
            assert not client.ask("large.example", edns=1232).is_truncated
            for name in ("huge.example", "giant.example", "all.example"):
                reply = client.ask(name, edns=65535)
                assert reply.is_truncated and reply.records == [] and len(reply.message) < 100
            assert client.ask("tc.example", edns=4096).is_truncated
            for name, size in sizes.items():
                assert [len(data) for _, _, data in client.ask_by_tcp(f"{name}.example").records] == [size]
        # Upstream servers aren't asked for more than fits into one packet of the link.
        asked = [struct.unpack(">H", message[-8:-6])[0] for message in upstream.queries if message[-10:-8] == b"\0\x29"]
        assert asked and max(asked) == 1472
        # A real client retries by TCP by itself.
        behaviour["dig"] = lambda asked: [dns.answer(asked, ["192.0.2.8"], padding=2000)]
        shown = link.guest.run("dig", f"@{link.host4}", "+tries=1", "dig.example").stdout
        assert "192.0.2.8" in shown and "(TCP)" in shown


def test_many_questions_on_one_connection(served, names, resolv_conf):
    names("db", "10.77.1.9")
    with dns.Upstream(), served[1].socket(socket.SOCK_STREAM) as stream:
        questions = [dns.query("db" if i % 2 else "www.example", number=i) for i in range(20)]
        stream.sendall(b"".join(map(dns.frame, questions)))
        for i in range(20):
            reply = dns.Reply(dns.receive_message(stream))
            assert (reply.number, reply.addresses) == (i, ["10.77.1.9" if i % 2 else "192.0.2.1"])


@row("N08")
def test_connections_are_few_and_none_stays_for_ever(served, names):
    names("db", "10.77.1.9")
    process, client = served[:2]
    with ExitStack() as stack:
        idle = [stack.enter_context(client.socket(socket.SOCK_STREAM)) for _ in range(12)]
        idle[0].sendall(b"\0")  # half a length field
        wait_until(lambda: links.open_files(process) <= OPEN_FILES_MAX, "the rest is closed")
        idle[8].settimeout(5)
        assert idle[8].recv(1) == b"", "closed at once, where silence takes ten seconds"
        assert client.ask("db").addresses == ["10.77.1.9"]
        for each in idle[:8]:
            assert each.recv(1) == b"", "closed after ten seconds"
    assert client.ask_by_tcp("db").addresses == ["10.77.1.9"]


def test_connection_ends_at_nonsense(served, names):
    names("db", "10.77.1.9")
    for nonsense in (b"\0\0", b"\xff\xff" + bytes(4096), dns.frame(b"\0" * 5), dns.frame(dns.answer(dns.query("a.b")))):
        with served[1].socket(socket.SOCK_STREAM) as stream:
            stream.sendall(nonsense)
            try:
                assert stream.recv(100) == b""
            except ConnectionResetError:
                pass
    assert served[1].ask_by_tcp("db").addresses == ["10.77.1.9"]


def test_port_53_that_somebody_has_leaves_udp(link, names):
    names("db", "10.77.1.9")
    link.up_by_hand()
    with socket.create_server(("0.0.0.0", 53)), link.served("no-filter"):
        assert dns.Client(link.guest, link.host4).ask("db").addresses == ["10.77.1.9"]
        assert dns.Client(link.guest, link.host6).ask_by_tcp("db").addresses == ["10.77.1.9"]


def test_addresses_of_the_host_may_come_later(link, names):
    names("db", "10.77.1.9")
    link.up_by_hand()
    for address in (f"{link.host4}/28", f"{link.host6}/64"):
        subprocess.run(["ip", "address", "delete", address, "dev", link.name], check=True)
    with link.served("no-filter"):
        links.add_host_addresses(link)
        for host in (link.host4, link.host6):
            client = dns.Client(link.guest, host)
            assert client.ask("db").addresses == client.ask_by_tcp("db").addresses == ["10.77.1.9"]


def test_machines_of_a_zone_share_its_address(make_link, names):
    names("db", "10.77.0.9")
    subprocess.run(["ip", "link", "add", "vz-t", "address", "02:00:00:00:01:01", "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "link", "set", "vz-t", "up"], check=True)
        pair = [make_link(number, bridge="vz-t") for number in (1, 2)]
        links.add_host_addresses(pair[0])
        for each in pair:
            each.up_by_hand()
        clients = [dns.Client(each.guest, each.host4) for each in pair]
        with ExitStack() as first, ExitStack() as second:
            first.enter_context(pair[0].served("no-filter"))
            second.enter_context(pair[1].served("no-filter"))
            for client in clients:
                assert client.ask("db").addresses == client.ask_by_tcp("db").addresses == ["10.77.0.9"]
            first.close()
            # The first has ended; the other goes on, and answers only its own machine by UDP.
            for _ in range(10):
                assert clients[1].ask("db").addresses == clients[1].ask_by_tcp("db").addresses == ["10.77.0.9"]
            with pytest.raises(TimeoutError):
                clients[0].ask("db", timeout_s=0.3)
    finally:
        subprocess.run(["ip", "link", "delete", "vz-t"], check=True)


# --- with other packet filters


@contextmanager
def nft(rules):
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "flush", "ruleset"], check=True)


DROP = """
table inet other {
	chain input { type filter hook input priority -300; policy drop; meta l4proto ipv6-icmp accept
	}
}
"""
REJECT = """
table inet other {
	chain input { type filter hook input priority -300; meta l4proto udp reject
	}
}
"""
# As firewall.h sets it: the host's own stack doesn't see packets that the service answers.
INGRESS = """
table netdev redd {
	chain in { type filter hook ingress device ve-t1 priority 0; udp dport { 53, 67 } drop
	}
}
"""


@pytest.mark.parametrize("rules", [DROP, INGRESS, REJECT + INGRESS], ids=["drop", "ingress", "reject"])
def test_packet_filters_are_no_obstacle(link, names, tmp_path, rules):
    names("db", "10.77.1.9")
    path, output = script(tmp_path, UDHCPC_SCRIPT)
    with nft(rules), link.served():
        link.guest.run("sysctl", "-qw", "net.ipv6.conf.host0.accept_dad=0")
        link.up()
        link.guest.run(*UDHCPC, "-q", "-s", path)
        assert values(output)["ip"] == link.guest4
        wait_until(lambda: link.guest6 in link.guest.run("ip", "-6", "address").stdout, "SLAAC")
        for host in (link.host4, link.host6):
            for _ in range(20):
                assert dns.Client(link.guest, host).ask("db").addresses == ["10.77.1.9"]


# --- packets that must not be answered, or must do no harm


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def udp4(link, payload, port, source_mac=None, source="0.0.0.0", destination="255.255.255.255", source_port=68):
    """A whole frame from the guest."""
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    udp = struct.pack(">HHHH", source_port, port, 8 + len(payload), 0)
    total = checksum(addresses + struct.pack(">HH", 17, 8 + len(payload)) + udp + payload)
    udp = udp[:6] + struct.pack(">H", total or 0xFFFF) + payload
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return b"\xff" * 6 + mac(source_mac or link.guest_mac) + b"\x08\0" + ip + udp


def discover(link, number=1, chaddr=None):
    head = struct.pack(">BBBBIHH", 1, 1, 6, 0, number, 0, 0x8000) + bytes(16) + mac(chaddr or link.guest_mac) + bytes(10 + 64 + 128)
    return head + b"\x63\x82\x53\x63" + b"\x35\x01\x01\xff"


@pytest.fixture
def raw(link):
    """A raw socket on host0, which is up."""
    link.up_by_hand()
    with link.guest.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as made:
        made.bind(("host0", 0x0003))
        made.settimeout(0.5)
        yield made


def offers(raw, until=None, pause_s=0.5):
    """The numbers of the DHCP answers, up to a given one or until there is a pause."""
    found = []
    raw.settimeout(30 if until else pause_s)
    while until is None or until not in found:
        try:
            got = raw.recv(65535)
        except TimeoutError:
            break
        if got[12:14] == b"\x08\0" and got[23] == 17 and got[34:38] == b"\0\x43\0\x44":
            found.append(struct.unpack(">I", got[46:50])[0])
    return found


@row("N11", "outsiders ask the machine's DNS",
     "UDP is accepted only from the guest's hardware address on its link; TCP only by that interface and from its subnet, so not from the "
     "host's own processes")  # fmt: skip
@row("N02")
@row("N18", "LLMNR", "answered only to the machine's own hardware address and within the limit of DNS; names of machines only, nothing is forwarded")
def test_only_the_machine_is_answered(link, raw):
    with link.served():
        raw.send(udp4(link, discover(link, 1), 67, source_mac="02:00:00:00:09:09"))
        raw.send(udp4(link, discover(link, 2, chaddr="02:00:00:00:09:09"), 67))
        raw.send(udp4(link, discover(link, 3), 67)[:12] + b"\x81\0\0\7" + udp4(link, discover(link, 3), 67)[12:])
        raw.send(udp4(link, discover(link, 4), 67))
        assert offers(raw, until=4) == [4]


def is_hung_up_on(connect):
    """Whether the connection is refused, or closed without an answer."""
    try:
        with connect() as client:
            client.settimeout(5)
            return client.recv(1) == b""
    except ConnectionRefusedError:
        return True


@row("N11")
@pytest.mark.parametrize("address", ["host4", "host6"])
def test_nobody_else_is_answered_by_tcp(make_link, address):
    """Neither the host's own processes, nor another machine, which comes by its own link."""
    link, other = make_link(1), make_link(2)
    other.up_by_hand()
    host = getattr(link, address)
    other.guest.run("ip", "route", "add", "default", "via", other.host6 if ":" in host else other.host4)
    with link.served():
        assert is_hung_up_on(lambda: socket.create_connection((host, 53), timeout=5))

        def from_another():
            client = other.guest.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            client.settimeout(5)
            client.connect((host, 53))
            return client

        assert is_hung_up_on(from_another)


def test_others_traffic_wakes_nobody(link, served):
    process = served[0]
    link.guest.run("ip", "route", "add", "default", "via", link.host4)
    link.guest.run("ip", "-6", "route", "add", "default", "via", link.host6)
    before = settle(lambda: links.status_of(process, "voluntary_ctxt_switches"), "the first advertisement")
    for family, host in ((socket.AF_INET, link.host4), (socket.AF_INET6, link.host6)):
        with link.guest.socket(family, socket.SOCK_DGRAM) as sending:
            for _ in range(100):
                sending.sendto(b"x", (host, 9))
                sending.sendto(b"x", ("192.0.2.9" if family == socket.AF_INET else "2001:db8::9", 53))
        link.guest.run("busybox", "ping" if family == socket.AF_INET else "ping6", "-c", "3", "-i", "0.1", host)
    assert links.status_of(process, "voluntary_ctxt_switches") == before


@row("N08", "floods of DHCP, router solicitations, DNS",
     "limited answers per second, at most 64 questions and 8 connections at once, no allocation for DHCP and RA; the kernel drops the rest "
     "of a flood")  # fmt: skip
def test_flood_of_dhcp_is_bounded_and_forgotten(link, raw, names):
    names("db", "10.77.1.9")
    with link.served("no-filter") as process:
        raw.send(udp4(link, discover(link, 1), 67))
        assert offers(raw, until=1) == [1]
        before = links.status_of(process, "VmRSS")
        start = time.monotonic()
        for number in range(20000):
            raw.send(udp4(link, discover(link, number), 67))
        answered = len(offers(raw))
        assert answered <= 20 * (time.monotonic() - start + 2)
        assert links.status_of(process, "VmRSS") <= before + 256
        wait_until(lambda: raw.send(udp4(link, discover(link, 7), 67)) and 7 in offers(raw), "an answer after the flood")
        assert dns.Client(link.guest, link.host4).ask("db").addresses == ["10.77.1.9"]


def wait_for_answer(client, name):
    """Repeats the question, as clients do, since some are dropped in a flood."""

    def ask():
        try:
            return client.ask(name, timeout_s=0.2)
        except TimeoutError:
            return None

    return wait_until(ask, "an answer after all that")


@row("N08")
def test_flood_of_dns_is_bounded_and_forgotten(link, raw, names, resolv_conf):
    names("db", "10.77.1.9")
    with dns.Upstream(behaviour={"silent": lambda asked: []}) as upstream, link.served("no-filter") as process:
        client = dns.Client(link.guest, link.host4)
        assert client.ask("db").addresses == ["10.77.1.9"]
        before, most = links.status_of(process, "VmRSS"), 0
        with client.socket() as flood:
            for number in range(20000):
                flood.send(dns.query("silent.example", number=number))
                most = max(most, links.open_files(process)) if number % 500 == 0 else most
        assert 20 < most <= OPEN_FILES_MAX
        assert sum(upstream.asked.values()) < 20000
        assert links.status_of(process, "VmRSS") <= before + 1024
        assert wait_for_answer(client, "db").addresses == ["10.77.1.9"]
        wait_until(lambda: links.open_files(process) < 12, "all questions are given up")
        assert client.ask("www.example").addresses == ["192.0.2.1"]


def test_same_question_again_is_asked_once(served, resolv_conf):
    with dns.Upstream(behaviour={"silent": lambda asked: []}) as upstream, served[1].socket() as asking:
        for _ in range(10):
            asking.send(dns.query("silent.example", number=9))
        assert dns.Reply(asking.recv(1000)).rcode == dns.SERVFAIL
        assert upstream.asked["silent.example"] == 3


@row("N09", "malformed frames, DHCP, RS, DNS", "a filter in the kernel; parsers don't allocate, and are fuzzed")
def test_garbage_leaves_it_alive(link, raw, names):
    names("db", "10.77.1.9")
    rng = random.Random(20261125)
    seeds = [path.read_bytes() for name in ("frame", "dhcp4", "dns") for path in sorted((TREE / "fuzz/corpus" / name).iterdir())]
    assert len(seeds) > 20
    with link.served("no-filter") as process:
        for round_number in range(60):
            for seed in seeds:
                packet = bytearray(seed)
                for _ in range(rng.randrange(6) if round_number else 0):
                    packet[rng.randrange(len(packet))] = rng.randrange(256)
                carried = [udp4(link, bytes(packet[:1400]), 67), udp4(link, bytes(packet[:1400]), 53, source=link.guest4, destination=link.host4)]
                for each in (bytes(packet[:1500]), *carried):
                    each = each.ljust(14, b"\0")
                    raw.send(each[:6] + mac(link.guest_mac) + each[12:])
            time.sleep(0.01)
        assert process.poll() is None
        client = dns.Client(link.guest, link.host4)
        assert wait_for_answer(client, "db").addresses == ["10.77.1.9"]


def test_first_packet_of_a_link_that_comes_up_is_answered(link, raw):
    """A client whose first packet is lost retries after seconds, which would delay every boot."""
    carrier = Path(f"/sys/class/net/{link.name}/operstate")
    with link.served():
        for number in range(1, 6):
            link.guest.run("ip", "link", "set", "host0", "down")
            wait_until(lambda: carrier.read_text() != "up\n", "the host sees no carrier")
            link.guest.run("ip", "link", "set", "host0", "up")
            raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # until the service has seen that it was down
            raw.send(udp4(link, discover(link, number), 67))
            assert offers(raw, until=number) == [number]


def test_link_that_goes_down_and_up_or_away(link, raw):
    with link.served() as process:
        raw.send(udp4(link, discover(link, 1), 67))
        assert offers(raw, until=1) == [1]
        subprocess.run(["ip", "link", "set", link.name, "down"], check=True)
        subprocess.run(["ip", "link", "set", link.name, "up"], check=True)

        def is_answered():
            try:
                raw.send(udp4(link, discover(link, 2), 67))
            except OSError:
                return False
            return 2 in offers(raw)

        wait_until(is_answered, "an answer after the link was down")
        subprocess.run(["ip", "link", "delete", link.name], check=True)
        before = links.status_of(process, "voluntary_ctxt_switches")
        time.sleep(0.3)
        assert links.status_of(process, "voluntary_ctxt_switches") <= before + 2
        assert process.poll() is None


def test_link_that_is_not_there_is_said(link):
    link.name = "ve-nosuch"
    done = subprocess.run(link.argv(), input="", capture_output=True, text=True, check=False)
    link.name = "ve-t1"
    assert done.returncode == 1
    assert "find link ve-nosuch to serve machine web1 on it: No such device" in done.stderr
