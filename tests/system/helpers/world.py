# SPDX-License-Identifier: LGPL-2.1-or-later
"""The network beyond the host: a namespace behind an interface of the host, which knows nothing of machines."""

import subprocess
from pathlib import Path

from .answers import Listener
from .netns import Netns

ADDRESS, ADDRESS6 = "198.51.100.1", "2001:db8:1::1"
HOST, HOST6 = "198.51.100.2", "2001:db8:1::2"
PORT = 7000
LINK = "up0"


def _run(*argv):
    subprocess.run([str(word) for word in argv], check=True, stdin=subprocess.DEVNULL)


class World:
    """Answers on PORT with the source address of the client; see helpers/answers.py."""

    def __init__(self):
        self.netns = Netns()
        _run("ip", "link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", self.netns.pid)
        # Skip duplicate address detection: while the link-local address is tentative, for a second, the kernel solicits no neighbour.
        Path(f"/proc/sys/net/ipv6/conf/{LINK}/accept_dad").write_text("0", encoding="ascii")
        self.netns.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")
        for address in (f"{HOST}/24", f"{HOST6}/64"):
            _run("ip", "addr", "add", address, "dev", LINK, *(["nodad"] if ":" in address else []))
        _run("ip", "link", "set", LINK, "up")
        for address in (f"{ADDRESS}/24", f"{ADDRESS6}/64"):
            self.netns.run("ip", "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        self.netns.run("ip", "link", "set", "eth0", "up")
        self.listeners = [Listener(self.netns.listen(address, PORT)).__enter__() for address in (ADDRESS, ADDRESS6)]

    @property
    def pid(self):
        return self.netns.pid

    def close(self):
        for listener in self.listeners:
            listener.__exit__()
        self.netns.close()
        subprocess.run(["ip", "link", "delete", LINK], capture_output=True, check=False)
