#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The least payload, an init of a few lines that says READY=1: from `redd start` to its return, one after
another and 100 of them 8 at a time. Beside it: systemd-nspawn until READY=1 comes, `crun run --detach`.

    ready.py [--rounds N] [--flood N]
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bench  # noqa: E402

INIT = bench.TREE / "tests/guests/files/tiny/init.c"


def make_images(count):
    first = bench.make_tree(bench.POOL / "ready1")
    (first / "sbin").mkdir()
    subprocess.run(["gcc", "-O2", "-static", "-o", first / "sbin/init", INIT], check=True)
    for number in range(2, count + 1):
        subprocess.run(["cp", "-al", first, bench.POOL / f"ready{number}"], check=True)
    return [f"ready{number}" for number in range(1, count + 1)]


def redd(*words, check=True):
    done = subprocess.run([bench.program(), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"redd {' '.join(words)}: {done.stderr.strip()}")
    return done


def time_redd(name):
    """By posix_spawn: what subprocess does besides would be a good part of what is measured."""
    argv = [bench.program(), "start", name]
    start = time.perf_counter()
    _, status = os.waitpid(os.posix_spawn(argv[0], argv, os.environ), 0)
    took = (time.perf_counter() - start) * 1000
    if status:
        sys.exit(f"redd start {name} failed")
    redd("terminate", name)
    return took


def time_nspawn(name):
    """Until READY=1 of the payload has been passed on; the end is not timed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = str(bench.scratch() / f"notify-{name}")
        notify.bind(path)
        notify.settimeout(10)
        argv = ["systemd-nspawn", "-q", "-b", "-U", "--register=no", "--keep-unit", "--private-network", "--notify-ready=yes",
                "--console=read-only", "-M", name, "-D", str(bench.POOL / name)]  # fmt: skip
        start = time.perf_counter()
        child = subprocess.Popen(argv, env={**os.environ, "NOTIFY_SOCKET": path}, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            while b"READY=1" not in notify.recv(4096).split(b"\n"):
                pass
            return (time.perf_counter() - start) * 1000
        finally:
            child.terminate()
            child.wait()
            os.unlink(path)


def measure(label, function, names, rounds):
    try:
        times = [function(names[index % len(names)]) for index in range(rounds)]
    except (OSError, TimeoutError) as error:
        return (label, "left out", str(error))
    return (label, f"{statistics.median(times):.2f}", f"{statistics.quantiles(times, n=10)[8]:.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--flood", type=int, default=100)
    args = parser.parse_args()
    bench.own_world()
    names = make_images(max(args.flood, 4))
    bench.heading(f"Least payload, start to ready ({args.rounds} rounds)")
    rows = []
    if bench.program():
        rows.append(measure("redd start", time_redd, names, args.rounds))
    if bench.shutil.which("systemd-nspawn"):
        rows.append(measure("systemd-nspawn", time_nspawn, names, args.rounds))
    bench.table(("", "median ms", "9 in 10 within ms"), rows)
    if not bench.program():
        print("\nleft out: redd: not built")
        return
    with ThreadPoolExecutor(8) as pool:
        start = time.perf_counter()
        list(pool.map(lambda name: redd("start", name), names[: args.flood]))
        took = time.perf_counter() - start
        list(pool.map(lambda name: redd("terminate", name, check=False), names[: args.flood]))
    print(f"\n{args.flood} starts, 8 at a time, until the last was ready: {took:.2f} s")


if __name__ == "__main__":
    main()
