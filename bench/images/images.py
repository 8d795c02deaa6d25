#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Listing many images: redd beside machinectl (where a machined answers), and readdir as the floor.

    images.py [--images N] [--rounds N]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bench  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    bench.own_world()
    for number in range(args.images):
        (bench.POOL / f"image{number}" / "usr").mkdir(parents=True)
    contenders = [
        bench.Contender("ls", ["ls", "-l", bench.POOL], "names, owners, times"),
        bench.Contender("redd list-images", [bench.program() or "redd", "list-images"]),
        bench.Contender("machinectl list-images", ["machinectl", "list-images", "--no-pager"]),
    ]
    for one in contenders:
        one.try_once()
    bench.heading(f"Listing {args.images} images ({args.rounds} rounds)")
    bench.rounds(contenders, args.rounds, bench.compile_c("lib/stopwatch.c"))
    bench.report_times(contenders)


if __name__ == "__main__":
    main()
