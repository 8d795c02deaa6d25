#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A throw-away copy of a tree: start to exit of a static /bin/true with -x, on a tree of a few files and on a large one,
beside the same without -x and systemd-nspawn -x. What grows with the tree is a copy; ours must not.

    ephemeral.py [--rounds N] [--tree DIR]...     what is put into the large tree (default: /usr/share /usr/lib/python3*)
"""

import argparse
import glob
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bench  # noqa: E402


def contenders(trees):
    redd = bench.program() or "redd"
    run = [redd, "run", "-q", "-P", "--private-network"]
    nspawn = ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "-U", "--private-network"]
    found = []
    for size, root in trees.items():
        found += [
            bench.Contender(f"redd run, {size}", [*run, "-M", "b{}", "-D", root, "/bin/true"]),
            bench.Contender(f"redd run -x, {size}", [*run, "-x", "-M", "b{}", "-D", root, "/bin/true"]),
            bench.Contender(f"systemd-nspawn -x, {size}", [*nspawn, "-x", "-M", "b{}", "-D", root, "/bin/true"]),
        ]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tree", action="append")
    args = parser.parse_args()
    bench.own_world()
    small = bench.make_tree(bench.scratch() / "small")
    large = bench.make_tree(bench.scratch() / "large")
    for tree in args.tree or ["/usr/share", *sorted(glob.glob("/usr/lib/python3*"))]:
        subprocess.run(["cp", "-a", "--parents", tree, large], check=True)
    files = sum(1 for _ in large.rglob("*"))
    all_of_them = contenders({"small": small, "large": large})
    for one in all_of_them:
        one.try_once()
    bench.heading(f"A throw-away copy: 20 files, and {files} files ({args.rounds} rounds, random order)")
    bench.rounds(all_of_them, args.rounds, bench.compile_c("lib/stopwatch.c"))
    bench.report_times(all_of_them)


if __name__ == "__main__":
    main()
