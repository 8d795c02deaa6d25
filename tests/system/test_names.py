# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Names of machines on the host: libnss_redd as the real C library loads it, `redd hosts`, `redd network`, `redd clean`. The
tests publish names themselves, in the format of src/net/names.h, and leases in that of src/net/lease_book.h.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from attacks import make_tree, running
from helpers import command, session
from helpers.security import row
from helpers.waiting import wait_until

NAMES = Path("/run/redd/names")
LEASES = Path("/var/lib/redd/network/leases")
MODULE = command.program().parent / "nss/libnss_redd.so.2"

THREADS = r"""
#include <arpa/inet.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what) { fprintf(stderr, "%s\n", what); exit(1); }

static void ask(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	struct hostent host, *found;
	char buffer[1024], name[NI_MAXHOST], text[64];
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int count = 0, error;

	if (getaddrinfo("web", NULL, &hints, &list)) fail("getaddrinfo");
	for (struct addrinfo *a = list; a; a = a->ai_next) count++;
	freeaddrinfo(list);
	if (count != 2) fail("count");
	if (getaddrinfo("no-such-machine", NULL, &hints, &list) == 0) fail("unknown");
	if (gethostbyname2_r("db", AF_INET, &host, buffer, sizeof(buffer), &found, &error) || !found) fail("byname2");
	if (strcmp(inet_ntop(AF_INET, host.h_addr_list[0], text, sizeof(text)), "10.9.0.18")) fail(text);
	inet_pton(AF_INET, "10.9.0.2", &sa.sin_addr);
	if (getnameinfo((struct sockaddr *)&sa, sizeof(sa), name, sizeof(name), NULL, 0, NI_NAMEREQD) || strcmp(name, "web")) fail("reverse");
}

static void *loop(void *unused)
{
	for (int i = 0; i < 300; i++) ask();
	return NULL;
}

int main(void)
{
	pthread_t threads[8];
	struct mallinfo2 before, after;
	int lowest;

	ask();
	lowest = dup(0);
	close(lowest);
	before = mallinfo2();
	for (int i = 0; i < 3000; i++) ask();
	after = mallinfo2();
	if (after.uordblks > before.uordblks + 4096) fail("memory");
	for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, loop, NULL);
	for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
	if (dup(0) != lowest) fail("descriptors");
	return 0;
}
"""


@pytest.fixture
def names():
    """The folder of names, which stays once a machine has run."""
    NAMES.mkdir(parents=True, exist_ok=True)
    (NAMES / "web").write_text("10.9.0.2\nfd00:9::2\n")
    (NAMES / "db").write_text("10.9.0.18\n")
    yield NAMES
    for path in NAMES.iterdir():
        path.unlink()


@pytest.fixture
def module(names):
    """Enables the module in the session's own /etc."""
    if not MODULE.exists():
        pytest.skip("libnss_redd was not built: a build with sanitizers, or without glibc")
    conf = Path("/etc/nsswitch.conf")
    before = conf.read_text()
    conf.write_text("hosts: files redd\n")
    yield {**os.environ, "LD_LIBRARY_PATH": str(MODULE.parent)}
    conf.write_text(before)


def getent(env, *words):
    done = subprocess.run(["getent", *words], env=env, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, [line.split() for line in done.stdout.splitlines()]


@pytest.fixture
def link():
    """A link with addresses: getent asks only for families of which the host has an address besides loopback."""
    subprocess.run(["ip", "link", "add", "redd-test", "type", "bridge"], check=True)
    for address in ("192.0.2.1/24", "2001:db8::1/64"):
        subprocess.run(["ip", "addr", "add", address, "dev", "redd-test", "nodad"], check=True)
    subprocess.run(["ip", "link", "set", "redd-test", "up"], check=True)
    yield
    subprocess.run(["ip", "link", "del", "redd-test"], check=True)


# libnss_redd


def test_names_to_addresses(module, link):
    assert getent(module, "ahostsv4", "web")[1][0] == ["10.9.0.2", "STREAM", "web"]
    assert getent(module, "ahostsv6", "web")[1][0] == ["fd00:9::2", "STREAM", "web"]
    assert {row[0] for row in getent(module, "ahosts", "web")[1]} == {"10.9.0.2", "fd00:9::2"}
    assert getent(module, "hosts", "db") == (0, [["10.9.0.18", "db"]])
    assert getent(module, "hosts", "DB")[1][0][0] == "10.9.0.18"


def test_addresses_to_names(module):
    assert getent(module, "hosts", "10.9.0.2") == (0, [["10.9.0.2", "web"]])
    assert getent(module, "hosts", "fd00:9::2") == (0, [["fd00:9::2", "web"]])


@row("N16", "`/run/redd/names`: names and contents of others",
     "only supervisors write there, only names of machines, and sizes are bounded; readers open no path that others chose")  # fmt: skip
@pytest.mark.parametrize("name", ["nobody", "10.9.0.3", "fd00:9::3", "../names/web", "web/", "x" * 300])
def test_unknown(module, name):
    assert getent(module, "hosts", name)[0] == 2


def test_without_the_module_they_are_unknown(module):
    """Shows that the tests above can fail."""
    assert getent({**module, "LD_LIBRARY_PATH": ""}, "hosts", "web")[0] == 2


def test_other_names_are_found_as_before(module, link):
    assert getent(module, "hosts", "localhost")[0] == 0
    (NAMES / "localhost").write_text("10.9.0.99\n")
    assert getent(module, "ahostsv4", "localhost")[1][0][0] == "127.0.0.1", "files come first"


@row("N20")
@pytest.mark.parametrize("name", ["localhost", "wpad", "www.example.org"])
def test_names_of_others_are_not_served(module, name):
    """Not even if another version of redd published a machine by that name, and the module is asked first."""
    Path("/etc/nsswitch.conf").write_text("hosts: redd\n")
    (NAMES / name).write_text("10.9.0.99\n")
    assert getent(module, "hosts", name)[0] == 2


def test_full_names(module, link):
    assert getent(module, "ahostsv4", "web.redd")[1][0] == ["10.9.0.2", "STREAM", "web.redd"]
    assert getent(module, "hosts", "WEB.Redd")[1][0][0] == "fd00:9::2"
    (NAMES / "wpad.redd").write_text("10.9.0.99\n")
    assert getent(module, "hosts", "wpad.redd") == (0, [["10.9.0.99", "wpad.redd"]])
    assert getent(module, "hosts", "10.9.0.99") == (0, [["10.9.0.99", "wpad.redd"]])
    assert getent(module, "hosts", "wpad")[0] == 2


def test_a_name_is_gone_with_its_file(module):
    (NAMES / "db").unlink()
    assert getent(module, "hosts", "db")[0] == 2
    (NAMES / "web").unlink()
    (NAMES).rmdir()
    assert getent(module, "hosts", "web")[0] == 2
    NAMES.mkdir()


def test_nobody_needs_to_be_root(module, tmp_path):
    """Any user may ask. The build folder may be unreadable for others, so the module is copied to where all can read it."""
    public = Path("/run/test-nss")
    public.mkdir(mode=0o755)
    try:
        (public / MODULE.name).write_bytes(MODULE.read_bytes())
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "getent", "hosts", "db"],
            env={**module, "LD_LIBRARY_PATH": str(public)}, capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        assert done.stdout.split() == ["10.9.0.18", "db"], done
    finally:
        subprocess.run(["rm", "-r", public], check=True)


def test_threads_and_leaks(module, tmp_path):
    source = tmp_path / "threads.c"
    source.write_text(THREADS)
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", "-pthread", "-o", tmp_path / "threads", source], check=True)
    done = subprocess.run([tmp_path / "threads"], env=module, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done


def test_only_the_functions_of_the_module_are_exported(module):
    done = subprocess.run(["nm", "-D", "--defined-only", MODULE], capture_output=True, text=True, check=True)
    exported = {line.split()[-1] for line in done.stdout.splitlines()}
    assert len(exported) == 6 and all(name.startswith("_nss_redd_gethostby") for name in exported), exported


# redd hosts


def test_hosts(redd, names):
    assert redd("hosts").out == "10.9.0.18 db db.redd\n10.9.0.2 web web.redd\nfd00:9::2 web web.redd\n"
    assert redd("hosts", "--json=short").json()[0] == {"address": "10.9.0.18", "name": "db"}


def test_hosts_of_none(redd):
    assert redd("hosts").out == ""
    assert redd("hosts", "--json=short").out == "[]\n"


def test_hosts_is_a_hosts_file(redd, module):
    """For `redd hosts >>/etc/hosts` on a host without the module."""
    Path("/etc/hosts").write_text(redd("hosts").out)
    assert getent({**module, "LD_LIBRARY_PATH": ""}, "hosts", "db")[1][0] == ["10.9.0.18", "db", "db.redd"]


# redd network


@pytest.fixture
def leases():
    LEASES.parent.mkdir(parents=True, exist_ok=True)
    LEASES.write_text(
        "redd-leases 1\n"
        "gone link 10.20.30.16/28 10.20.30.18 fd00:1:2:3::/64 fd00:1:2:3:0:ff:fe00:1 1700000000000000\n"
        "\x1b]0;evil link 10.20.30.32/28 10.20.30.34 - - 1\n"
        "shop zone=z 10.200.1.0/24 10.200.1.7 - - 1700000000000000\n"
    )
    yield LEASES
    subprocess.run(["rm", "-rf", LEASES.parent], check=True)


def test_network(redd, guest, leases):
    assert redd("network").out == "No machines.\n"
    machine = guest("busybox").start()
    rows = redd("network", "--json=short").json()
    assert [row["machine"] for row in rows] == [str(machine)]
    assert rows[0]["link"] == machine.property("NetworkInterface") and rows[0]["running"] is True
    assert rows[0]["rules"] == ["masquerade", "check-source"]
    rows = {row["machine"]: row for row in redd("network", "--all", "--json=short").json()}
    assert set(rows) == {str(machine), "gone", "shop"}
    assert rows["gone"]["subnets"] == ["10.20.30.16/28", "fd00:1:2:3::/64"]
    assert rows["gone"]["addresses"] == ["10.20.30.18", "fd00:1:2:3:0:ff:fe00:1"]
    assert rows["shop"]["zone"] == "z" and rows["shop"]["running"] is False
    out = redd("network", "-a").out
    assert out.splitlines()[0].split() == ["MACHINE", "LINK", "ZONE", "SUBNET", "ADDRESSES", "PORTS", "RULES"]
    assert re.search(r"^gone +- +- +10\.20\.30\.16/28 +10\.20\.30\.18", out, re.M), out


def test_remove_forgets_the_lease(redd, guest, leases):
    machine = guest("busybox")
    leases.write_text(leases.read_text() + f"{machine} link 10.20.40.16/28 10.20.40.18 - - 1700000000000000\n")
    assert str(machine) in redd("network", "-a").out
    redd("remove", machine)
    assert str(machine) not in leases.read_text()
    assert "gone" in leases.read_text()


# redd clean


def test_clean_has_nothing_to_do(redd, guest):
    machine = guest("busybox").start()
    assert redd("clean").out == "Nothing to remove.\n"
    assert machine.is_running()


def test_clean_after_a_killed_supervisor(redd, guest, names):
    machine = guest("busybox").start()
    (names / machine.name).write_text("10.9.0.34\n")
    supervisor = int(machine.property("Supervisor"))
    os.kill(supervisor, 9)
    # Its lock is free after the process has ended.
    os.system(f"timeout 20 tail --pid={supervisor} -f /dev/null")
    assert redd("clean").out.startswith("Removed what a killed machine left: 1\n")
    assert not (names / machine.name).exists() and (names / "web").exists()
    assert not (Path("/run/redd/machines") / machine.name).exists()
    assert redd("clean", "-q").out == ""


# What a machine's state file contains


def test_status_tells_addresses_names_and_ports(redd, guest):
    machine = guest("busybox").start()
    state = Path("/run/redd/machines") / machine.name / "state"
    lines = [line for line in state.read_text().splitlines() if not re.match("ADDRESSES|PORTS|ZONE|NETWORK_NOTES", line)]
    lines += ["ADDRESSES=10.9.0.50 fd00:9::50", "PORTS=tcp:8080:80 udp:53:53", "ZONE=shop", "NETWORK_NOTES=ufw%20drops%1b[31m%20it two"]
    state.write_text("\n".join(lines) + "\n")
    out = redd("status", machine).out
    for label, value in (("Address", "10.9.0.50"), ("Name", machine.name), ("Ports", "tcp:8080:80"), ("Network", "zone shop")):
        assert re.search(rf"^ +{label}: {re.escape(value)}$", out, re.M), (label, out)
    assert re.search(r"^ +fd00:9::50$", out, re.M) and re.search(r"^ +udp:53:53$", out, re.M), out
    assert re.search(r"^ +Note: ufw drops\\x1b\[31m it$", out, re.M) and re.search(r"^ +Note: two$", out, re.M), out
    assert "10.9.0.50" in redd("list").out and "fe80" not in redd("list").out
    assert machine.property("Ports") == "tcp:8080:80 udp:53:53"
    assert machine.property("Zone") == "shop" and machine.property("DNSName") == machine.name
    assert machine.property("Addresses").startswith("10.9.0.50 fd00:9::50")
    assert redd("network", "--json=short").json()[0]["ports"] == ["tcp:8080:80", "udp:53:53"]
