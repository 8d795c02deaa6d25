#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Throughput and connect+echo of the ways to a machine, redd beside plain veth, socat and systemd-nspawn, interleaved in
random order; and what a network adds to a start, until ready and to the end. All in network namespaces of its own:

    outside ──veth── host ──veth── machines          the host forwards; nothing leaves it

    network.py [--rounds N] [--mebibytes N] [--times N] [--starts N] [--only-starts]
"""

import argparse
import atexit
import contextlib
import ctypes
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ready"))
import bench  # noqa: E402
import ready  # noqa: E402

CLONE_NEWNET = 0x40000000
PORT = "80"
HOST, OUTSIDE = "198.18.0.1", "198.18.0.2"
PATIENCE_S = 10
GIVEN_BY_HAND = "address given by hand"


def run(*argv, **options):
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True, **options).stdout


def start(*argv, **options):
    """A process that ends with the benchmark."""
    process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options)
    atexit.register(end, process)
    return process


def end(process):
    """Whoever made something has the time to give it back."""
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def inside(pid, *argv):
    return ["nsenter", f"--net=/proc/{pid}/ns/net", *map(str, argv)] if pid else list(map(str, argv))


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    return None


def own_network():
    """This process goes on in a network namespace that plays the host."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        sys.exit("unshare(CLONE_NEWNET) failed")
    run("ip", "link", "set", "lo", "up")
    for family in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path(f"/proc/sys/net/{family}").write_text("1")


def keeper():
    """The pid of a process that is there for its network namespace."""
    process = start("unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec sleep 1000000")
    process.stdout.readline()
    return process.pid


def join(pid, link, host_address, address):
    """A veth pair between the host and a namespace, which routes by the host."""
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
    give_address(pid, "eth0", link, host_address, address)


def give_address(pid, name, link, host_address, address):
    run("ip", "addr", "add", f"{host_address}/30", "dev", link)
    run("ip", "link", "set", link, "up")
    run(*inside(pid, "ip", "addr", "add", f"{address}/30", "dev", name))
    run(*inside(pid, "ip", "link", "set", name, "up"))
    run(*inside(pid, "ip", "route", "add", "default", "via", host_address))


@dataclass
class Place:
    """Where a server of the traffic runs."""

    pid: int = 0  # of a process in its network namespace; 0: the host
    address: str = "127.0.0.1"
    note: str = ""
    missing: str = ""


def plain_veth(traffic, number):
    place = Place(keeper(), f"198.18.{number}.2")
    join(place.pid, f"plain{number}", f"198.18.{number}.1", place.address)
    start(*inside(place.pid, traffic, "serve", PORT)).stdout.readline()
    return place


def leader_of(process):
    """PID 1 of the machine below a running systemd-nspawn: the first child that has a network of its own."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ours = Path("/proc/self/ns/net").stat().st_ino
    for child in children:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/ns/net").stat().st_ino != ours:
                return int(child)
    return 0


def nspawn_machine(root, number, port):
    if not shutil.which("systemd-nspawn"):
        return Place(missing="systemd-nspawn is not installed")
    name = f"n{number}"
    process = start("systemd-nspawn", "-q", "-M", name, "--register=no", "--keep-unit", "-U", "-D", root, "-n", f"--port=tcp:{port}:{PORT}",
                    "/bin/traffic", "serve", PORT, stderr=subprocess.DEVNULL)  # fmt: skip
    pid = wait_for(lambda: process.poll() is not None or leader_of(process))
    if pid is True or not pid:
        return Place(missing="systemd-nspawn does not start here")
    place = Place(pid, f"198.18.{number}.2", GIVEN_BY_HAND)
    wait_for(lambda: Path(f"/sys/class/net/ve-{name}").exists() or "ve-" in run("ip", "-br", "link"))
    give_address(pid, "host0", f"ve-{name}", f"198.18.{number}.1", place.address)
    return place


def redd_machine(redd, root, number, port):
    if not redd:
        return Place(missing="redd is not built")
    name = f"bench{number}"
    start(redd, "run", "-q", "-M", name, "-D", root, "-n", "-p", f"tcp:{port}:{PORT}", "/bin/traffic", "serve", PORT)
    show = lambda: json.loads(subprocess.run([redd, "status", name, "--json=short"], capture_output=True, text=True, check=False).stdout or "{}")
    state = wait_for(lambda: show().get("leader") and show())
    if not state:
        return Place(missing="redd does not start here")
    given = [address for address in state.get("addresses") or [] if "." in address]
    place = Place(state["leader"], given[0] if given else f"198.18.{number}.2", "" if given else GIVEN_BY_HAND)
    if not given:
        give_address(place.pid, "host0", state["interface"], f"198.18.{number}.1", place.address)
    return place


def socat(traffic_place, port):
    if not shutil.which("socat"):
        return "socat is not installed"
    start("socat", f"TCP6-LISTEN:{port},fork,reuseaddr,ipv6only=0", f"TCP:{traffic_place.address}:{PORT}")
    return ""


@dataclass
class Way:
    """From a client to a server."""

    name: str
    place: Place  # whose server it ends at
    address: str = ""
    port: str = PORT
    client: int = 0  # pid in whose network namespace the client runs; 0: the host
    missing: str = ""
    note: str = ""
    gigabits: list = field(default_factory=list)
    microseconds: list = field(default_factory=list)

    def __post_init__(self):
        self.missing = self.missing or self.place.missing
        self.address = self.address or self.place.address
        self.note = self.note or self.place.note

    def call(self, traffic, what, amount):
        done = subprocess.run(inside(self.client, traffic, what, self.address, self.port, amount),
                              capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
        if done.returncode:
            self.missing = (done.stderr.strip().splitlines() or ["failed"])[-1]
            return None
        return int(done.stdout)

    def try_once(self, traffic):
        """A server may take a moment to listen."""
        if self.missing:
            return
        if wait_for(lambda: self.call(traffic, "latency", 1)):
            self.missing = ""
        else:
            self.missing = f"does not answer: {self.missing}"

    def measure(self, traffic, mebibytes, times):
        took = self.call(traffic, "throughput", mebibytes << 20)
        if took:
            self.gigabits.append((mebibytes << 20) * 8 / took)
        took = self.call(traffic, "latency", times)
        if took:
            self.microseconds.append(took / times / 1000)


def compare(title, ways, traffic, args):
    """The first way is what the others are compared to."""
    bench.heading(title)
    for way in ways:
        way.try_once(traffic)
    working = [way for way in ways if not way.missing]
    for _ in range(args.rounds):
        for way in random.sample(working, len(working)):
            if not way.missing:
                way.measure(traffic, args.mebibytes, args.times)
    rows = []
    measured = [way for way in working if not way.missing and way.gigabits and way.microseconds]
    base = measured[0] if measured else None
    for way in measured:
        rate, delay = statistics.median(way.gigabits), statistics.median(way.microseconds)
        rows.append((way.name, f"{rate:.1f}", f"{rate / statistics.median(base.gigabits):.2f}",
                     f"{delay:.0f}", f"{delay / statistics.median(base.microseconds):.2f}", way.note))  # fmt: skip
    name = base.name if base else "-"
    bench.table(("", "Gbit/s", f"x {name}", "connect+echo us", f"x {name}", "note"), rows)
    for way in ways:
        if way.missing:
            print(f"\nleft out: {way.name}: {way.missing}")


def compare_starts(redd, root, count):
    bench.heading(f"Start to exit of a static /bin/true ({count} rounds, random order)")
    nspawn = ["systemd-nspawn", "-q", "-M", "b{}", "--register=no", "--keep-unit", "-U", "-D", root]
    run_redd = [redd or "redd", "run", "-q", "-M", "b{}", "-D", root]
    contenders = [
        bench.Contender("redd, --private-network", [*run_redd, "--private-network", "/bin/true"]),
        bench.Contender("redd, -n", [*run_redd, "-n", "/bin/true"]),
        bench.Contender("redd, -n -p", [*run_redd, "-n", "-p", "18080:80", "/bin/true"]),
        bench.Contender("systemd-nspawn, --private-network", [*nspawn, "--private-network", "/bin/true"]),
        bench.Contender("systemd-nspawn, -n -p", [*nspawn, "-n", "-p", "18081:80", "/bin/true"]),
    ]
    stopwatch = bench.compile_c("lib/stopwatch.c")
    for one in contenders:
        one.try_once()
    bench.rounds(contenders, count, stopwatch)
    bench.report_times(contenders)


def compare_ready(count):
    """The end is not timed: there the kernel waits for all processors to have let go of the links."""
    bench.heading(f"Start to ready of the least payload ({count} rounds, random order)")
    settings = {
        "redd, Private=yes": "Private=yes\nVirtualEthernet=no\n",
        "redd, VirtualEthernet=yes": "VirtualEthernet=yes\n",
        "redd, Port=": "VirtualEthernet=yes\nPort=18082:80\n",
        "redd, Zone=": "Zone=bench\n",
    }
    names = dict(zip(settings, ready.make_images(len(settings))))
    for way, name in names.items():
        Path(f"/etc/systemd/nspawn/{name}.nspawn").write_text(f"[Network]\n{settings[way]}")
    times = {way: [] for way in settings}
    for _ in range(count):
        for way in random.sample(list(settings), len(settings)):
            times[way].append(ready.time_redd(names[way]))
    medians = {way: statistics.median(took) for way, took in times.items()}
    base = medians["redd, Private=yes"]
    rows = [(way, f"{took:.2f}", f"{took - base:.2f}", f"{statistics.quantiles(times[way], n=10)[8]:.2f}") for way, took in medians.items()]
    bench.table(("", "median ms", "more than without", "9 in 10 within ms"), rows)


def compare_ways(redd, args):
    traffic = bench.compile_c("network/traffic.c")
    roots = []
    for number in range(4):
        roots.append(bench.make_tree(bench.scratch() / f"root{number}"))
        shutil.copy(traffic, roots[-1] / "bin/traffic")

    outside = keeper()
    join(outside, "outside", HOST, OUTSIDE)
    start(traffic, "serve", PORT).stdout.readline()
    loopback = Place()
    veth, veth2 = plain_veth(traffic, 11), plain_veth(traffic, 12)
    ours, ours2 = redd_machine(redd, roots[0], 21, "8021"), redd_machine(redd, roots[1], 22, "8022")
    theirs, theirs2 = nspawn_machine(roots[2], 31, "8031"), nspawn_machine(roots[3], 32, "8032")
    no_socat = socat(veth, "8041")

    compare("Host to machine", [
        Way("plain veth", veth), Way("loopback", loopback), Way("redd", ours), Way("systemd-nspawn", theirs),
    ], traffic, args)  # fmt: skip
    compare("Machine to machine", [
        Way("plain veth", veth2, client=veth.pid), Way("redd", ours2, client=ours.pid), Way("systemd-nspawn", theirs2, client=theirs.pid),
    ], traffic, args)  # fmt: skip
    compare("A forwarded port, from outside", [
        Way("routed, no forwarding", veth, client=outside),
        Way("redd", ours, HOST, "8021", outside),
        Way("socat", veth, HOST, "8041", outside, no_socat),
        Way("systemd-nspawn", theirs, HOST, "8031", outside),
    ], traffic, args)  # fmt: skip
    compare("A forwarded port, from the host itself", [
        Way("plain veth, no forwarding", veth),
        Way("redd, 127.0.0.1", ours, "127.0.0.1", "8021"),
        Way("redd, ::1", ours, "::1", "8021", note="by the supervisor's proxy"),
        Way("socat, 127.0.0.1", veth, "127.0.0.1", "8041", 0, no_socat),
        Way("systemd-nspawn, 127.0.0.1", theirs, "127.0.0.1", "8031"),
    ], traffic, args)  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--mebibytes", type=int, default=256, help="for each measurement of throughput")
    parser.add_argument("--times", type=int, default=300, help="connections for each measurement of latency")
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--only-starts", action="store_true")
    args = parser.parse_args()
    bench.own_world()
    own_network()
    redd = bench.program()
    if not args.only_starts:
        compare_ways(redd, args)
    if redd:
        compare_ready(args.starts)
    compare_starts(redd, bench.make_tree(bench.scratch() / "start"), args.starts)


if __name__ == "__main__":
    main()
