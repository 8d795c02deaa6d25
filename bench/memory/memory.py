#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What an idle machine costs outside of itself: the PSS of its supervisor, and how often it wakes.

    memory.py [--seconds N]
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ready"))
import bench  # noqa: E402
import ready  # noqa: E402


# What belongs to the start is over: so long the kernel of a guest may look for routers.
SETTLE_S = 10


def pss_kib(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return None


def switches(pid):
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)


def measure(label, pid, seconds):
    time.sleep(SETTLE_S)
    before = switches(pid)
    time.sleep(seconds)
    return (label, pss_kib(pid), f"{(switches(pid) - before) / seconds:.1f}")


def redd_supervisor(name):
    """From the registry, whose keys are in capitals or not."""
    for line in Path(f"/run/redd/machines/{name}/state").read_text().splitlines():
        key, _, value = line.partition("=")
        if key.lower() == "supervisor":
            return int(value.strip('"'))
    sys.exit(f"no supervisor in the state of {name}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=5)
    args = parser.parse_args()
    bench.own_world()
    names = ready.make_images(2)
    bench.heading(f"The supervisor of an idle machine (over {args.seconds} s)")
    rows = []
    if bench.program():
        for label, settings in (("redd, with a network", "VirtualEthernet=yes"), ("redd, without", "Private=yes\nVirtualEthernet=no")):
            Path(f"/etc/systemd/nspawn/{names[0]}.nspawn").write_text(f"[Network]\n{settings}\n")
            ready.redd("start", names[0])
            rows.append(measure(label, redd_supervisor(names[0]), args.seconds))
            ready.redd("terminate", names[0])
    if bench.shutil.which("systemd-nspawn"):
        child = subprocess.Popen(
            ["systemd-nspawn", "-q", "-b", "-U", "--register=no", "--keep-unit", "--private-network", "--console=read-only",
             "-D", str(bench.POOL / names[1])],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        rows.append(measure("systemd-nspawn", child.pid, args.seconds))
        child.terminate()
        child.wait()
    bench.table(("", "PSS KiB", "wake-ups per second"), rows)
    if not bench.program():
        print("\nleft out: redd: not built")


if __name__ == "__main__":
    main()
