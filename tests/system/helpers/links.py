# SPDX-License-Identifier: LGPL-2.1-or-later
"""A veth pair into a network namespace that plays the machine, and the link service that answers on it."""

import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

from . import command, kernel
from .waiting import wait_until

NAMES = Path("/run/redd/names")


def program():
    """The path of the small program that serves a link; it is built with redd."""
    return command.program().parents[1] / "tests/link-service"


def _run(*argv):
    subprocess.run([str(word) for word in argv], check=True, stdin=subprocess.DEVNULL)


def publish(name, *addresses):
    NAMES.mkdir(parents=True, exist_ok=True)
    (NAMES / name).write_text("".join(address + "\n" for address in addresses))


class Namespace:
    """A network namespace, held by a process that does nothing."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        self.path = f"/proc/{self.holder.pid}/ns/net"
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(self.path) != own, "a new network namespace")

    def argv(self, *argv):
        return ["nsenter", f"--net={self.path}", *map(str, argv)]

    def run(self, *argv, check=True, timeout=60, **options):
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True} | options
        return subprocess.run(self.argv(*argv), check=check, timeout=timeout, **options)

    def socket(self, *arguments):
        """A socket in the namespace; the caller stays in its own."""
        keep = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            kernel.enter_network(self.path)
            return socket.socket(*arguments)
        finally:
            kernel.enter_network(f"/proc/self/fd/{keep}")
            os.close(keep)

    def close(self):
        self.holder.kill()
        self.holder.wait()


class Link:
    """ve-NUMBER in the session and host0 in a namespace, both up; the host's end has its addresses."""

    def __init__(self, number=1, bridge=None):
        self.number = number
        self.name = f"ve-t{number}"
        self.machine = f"web{number}"
        self.address_link = bridge or self.name
        self.host_mac = "02:00:00:00:01:01" if bridge else f"02:00:00:00:01:{number:02x}"
        self.guest_mac = f"02:00:00:00:02:{number:02x}"
        net = 0 if bridge else number
        self.subnet4, self.host4 = f"10.77.{net}.0/28", f"10.77.{net}.1"
        self.guest4 = f"10.77.{net}.{number + 1}"
        self.subnet6, self.host6 = f"fd77:0:0:{net}::/64", f"fd77:0:0:{net}::1"
        self.guest6 = f"fd77::{net}:0:ff:fe00:2{number:02x}" if net else f"fd77::ff:fe00:2{number:02x}"
        self.guest = Namespace()
        _run("ip", "link", "add", self.name, "address", self.host_mac if not bridge else f"02:00:00:00:03:{number:02x}",
             "type", "veth", "peer", "name", "host0", "address", self.guest_mac, "netns", self.guest.holder.pid)
        if bridge:
            _run("ip", "link", "set", self.name, "master", bridge)
        else:
            add_host_addresses(self)
        _run("ip", "link", "set", self.name, "up")
        self.guest.run("ip", "link", "set", "lo", "up")

    def up(self, *addresses):
        """Brings host0 up with these addresses, ready to use."""
        for address in addresses:
            self.guest.run("ip", "address", "add", address, "dev", "host0", *(["nodad"] if ":" in address else []))
        self.guest.run("sysctl", "-qw", "net.ipv6.conf.host0.accept_dad=0")  # as redd sets it
        self.guest.run("ip", "link", "set", "host0", "up")

    def up_by_hand(self):
        """As in a machine with static addresses."""
        self.guest.run("sysctl", "-qw", "net.ipv6.conf.host0.accept_ra=0")
        self.up(f"{self.guest4}/28", f"{self.guest6}/64")

    def argv(self, *more):
        words = [self.machine, self.name, self.address_link, self.host_mac, self.guest_mac]
        words += [self.subnet4, self.host4, self.guest4, self.subnet6, self.host6, self.guest6]
        return [str(program()), *words, *more]

    @contextmanager
    def served(self, *more):
        """Yields the serving process, which must end without error when told to."""
        with subprocess.Popen(self.argv(*more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout.readline() == "ready\n"
                yield process
                process.stdin.close()
                assert process.wait(20) == 0
            finally:
                process.kill()

    def close(self):
        self.guest.close()
        subprocess.run(["ip", "link", "delete", self.name], stderr=subprocess.DEVNULL, check=False)


def add_host_addresses(link):
    _run("ip", "address", "add", f"{link.host4}/28", "dev", link.address_link)
    _run("ip", "address", "add", f"{link.host6}/64", "dev", link.address_link, "nodad")


def open_files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def status_of(process, key):
    """A number from /proc/PID/status."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)
