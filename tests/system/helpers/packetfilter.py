# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Three hosts in namespaces: world -- host -- guest, and the program that sets a machine's rules on the host.

    world  198.51.100.2, 2001:db8:1::2   eth0
    host   198.51.100.1, 2001:db8:1::1   eth0;  192.168.77.1/28, fd00:77::1/64  on ve-web (or the zone's bridge)
    guest  192.168.77.2, fd00:77::2      host0
"""

import subprocess

from . import command
from .netns import Netns

WORLD, WORLD6 = "198.51.100.2", "2001:db8:1::2"
HOST, HOST6 = "198.51.100.1", "2001:db8:1::1"
GATE, GATE6 = "192.168.77.1", "fd00:77::1"
SUBNET = "192.168.77.0/28"
GUEST, GUEST6 = "192.168.77.2", "fd00:77::2"
NEIGHBOUR, NEIGHBOUR6 = "192.168.77.3", "fd00:77::3"
GUEST_MAC, HOST_MAC = "02:00:00:00:00:02", "02:00:00:00:00:01"
TCP, UDP, SCTP = 6, 17, 132


def program():
    return command.program().parents[1] / "tests/tools/firewall-set"


# Prefixes of a command line: the kernel as it is, or as one before 6.9, without persistent tables.
KERNELS = {"this kernel": (), "an older kernel": ("setarch", "--uname-2.6")}


class Filter:
    """The program, running in a namespace; the rules that lead to the machine disappear with it."""

    def __init__(self, host, machine="web", kernel=()):
        self.process = host.popen(*kernel, program(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.tell(f"machine={machine}")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def tell(self, *lines):
        for line in lines:
            assert self.ask(line) == "ok", line

    def kill(self):
        self.process.kill()
        self.process.wait()

    def blocker(self, link):
        """(what blocks, the command against it), or None."""
        *found, result = self.ask(f"blocker {link}").split(" | ")
        assert result == "ok"
        return tuple(found) or None

    def accepts(self, link):
        """The chains of others (bits) that need our accepts: FORWARD, DOCKER-USER, each of IPv4 and IPv6."""
        number, result = self.ask(f"accepts {link}").split(" | ")
        assert result == "ok"
        return int(number)

    def set_usual(self, *ports, link="ve-web", zone="", **others):
        """Sets all rules of an ordinary machine, with (protocol, first, last, guest[, bind]) ports."""
        rules = {
            "link": link, "masquerade": "yes", "subnet4": SUBNET, "subnet6": f"{GATE6}/64",
            "translates_loopback": "no" if zone else "yes", "check_source": "yes", "serves": "yes", "guest_mac": GUEST_MAC, "guest4": GUEST, "guest6": GUEST6,
            "host4": GATE, "host6": GATE6, "target4": GUEST, "target6": GUEST6, **others,
        }  # fmt: skip
        self.tell(*(f"{key}={value}" for key, value in rules.items()), "ports=")
        self.tell(*("port=" + " ".join(map(str, port)) for port in ports), "set")


class Net:
    def __init__(self):
        self.world, self.host, self.guest = Netns(), Netns(), Netns()
        self.made = [self.world, self.host, self.guest]
        self.host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
        # Turn off the kernel's own check: the filter must do it.
        self.host.sh("for i in all default; do echo 0 > /proc/sys/net/ipv4/conf/$i/rp_filter; done")
        self.join("eth0", HOST_MAC[:-1] + "7", self.world, "eth0", HOST_MAC[:-1] + "8")
        self.address(self.host, "eth0", f"{HOST}/24", f"{HOST6}/64")
        self.address(self.world, "eth0", f"{WORLD}/24", f"{WORLD6}/64")

    def plain(self):
        """The guest on a link of its own."""
        self.join("ve-web", HOST_MAC, self.guest, "host0", GUEST_MAC)
        self.address(self.host, "ve-web", f"{GATE}/28", f"{GATE6}/64")
        self.settle_guest(self.guest, GUEST, GUEST6)
        self.host.sh("echo 1 > /proc/sys/net/ipv4/conf/ve-web/route_localnet")
        return self

    def zone(self):
        """Guest and neighbour on a bridge."""
        self.neighbour = Netns()
        self.made.append(self.neighbour)
        self.host.sh("ip link add vz-z type bridge; ip link set vz-z up")
        self.join("vb-web", "02:00:00:00:01:02", self.guest, "host0", GUEST_MAC)
        self.join("vb-two", "02:00:00:00:01:03", self.neighbour, "host0", "02:00:00:00:00:03")
        self.host.sh("ip link set vb-web master vz-z; ip link set vb-two master vz-z")
        self.address(self.host, "vz-z", f"{GATE}/28", f"{GATE6}/64")
        self.settle_guest(self.guest, GUEST, GUEST6)
        self.settle_guest(self.neighbour, NEIGHBOUR, NEIGHBOUR6)
        return self

    def join(self, name, mac, other, other_name, other_mac):
        ends = ["name", name, "address", mac, "type", "veth", "peer", "name", other_name, "address", other_mac]
        self.host.run("ip", "link", "add", *ends, "netns", str(other.pid))
        self.host.run("ip", "link", "set", name, "up")
        other.run("ip", "link", "set", other_name, "up")

    @staticmethod
    def address(where, link, v4, v6):
        where.run("ip", "address", "add", v4, "dev", link)
        where.run("ip", "address", "add", v6, "dev", link, "nodad")

    def settle_guest(self, guest, v4, v6):
        self.address(guest, "host0", f"{v4}/28", f"{v6}/64")
        guest.sh(f"ip route add default via {GATE}; ip -6 route add default via {GATE6}")

    def close(self):
        for each in self.made:
            each.close()
