#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Packing a system: `redd nix pack` beside `tar | pixz -t` (what nixpkgs does), `tar | xz -T0` and `tar | zstd -T0`, each
at the same level, in turns of random order. The system is the nixos guest of the tests, in a /nix of its own.

redd reads the store as it is; the others are given a tree that holds a copy of the closure already, which they would
have to make first. All is in the page cache. redd syncs the file before it gets its name, the others don't: the rows
"+ sync" say what that costs. Besides the time that passes, which other work on the machine disturbs, the processor
time is shown.

    pack.py --tar FILE [--rounds N] [--level N]... [--format xz|zstd]...

--tar: the nixos guest's .tar (tests/guests/build nixos prints its folder)
"""

import argparse
import glob
import os
import random
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/system"))
import bench  # noqa: E402
from helpers import nixhost  # noqa: E402

FORMATS = ("xz", "zstd")
TAR = "tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner -c *"


def contenders(system, out, level):
    """name: (group, shell command that makes `out` from the tree in the working directory)"""
    redd = f"{bench.program()} -q nix pack {system} -o {out}"
    zstd = {0: 1, 6: 3, 9: 19}.get(level, level)
    return {
        "redd, xz": ("xz", f"{redd} --compress=xz:{level}"),
        "tar | pixz -t": ("xz", f"{TAR} | pixz -t -{level} >{out}"),
        "tar | pixz -t + sync": ("xz", f"{TAR} | pixz -t -{level} >{out} && sync {out}"),
        "tar | xz -T0": ("xz", f"{TAR} | xz -T0 -{level} >{out}"),
        "tar | xz -T0 + sync": ("xz", f"{TAR} | xz -T0 -{level} >{out} && sync {out}"),
        f"redd, zstd:{zstd}": ("zstd", f"{redd} --compress=zstd:{zstd}"),
        f"tar | zstd -T0 -{zstd}": ("zstd", f"{TAR} | zstd -q -T0 -{zstd} >{out}"),
        f"tar | zstd -T0 -{zstd} + sync": ("zstd", f"{TAR} | zstd -q -T0 -{zstd} >{out} && sync {out}"),
    }


def prepare(host, archive):
    """The system's store path; its closure registered, and a copy of what the archive holds in tree/."""
    tree = host.folder / "tree"
    tree.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", tree], check=True)
    subprocess.run(["cp", "-a", *glob.glob(f"{tree}/nix/store/*"), host.nix / "store/"], check=True)
    host("nix-store", "--load-db", stdin=(tree / "nix-path-registration").read_text())
    with tarfile.open(archive) as opened:
        return opened.getmember("nix/var/nix/profiles/system").linkname


def one_run(host, line, out):
    out.unlink(missing_ok=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = host.run("sh", "-c", f"cd {host.folder}/tree && {line}", timeout=3600)
    took = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.code or not out.exists():
        return None
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out.stat().st_size


def measure(host, system, level, rounds, formats):
    out = host.folder / "out"
    lines = {name: row for name, row in contenders(system, out, level).items() if row[0] in formats}
    runs = {name: [] for name in lines}
    for _ in range(rounds):
        for name in random.sample(list(lines), len(lines)):
            runs[name].append(one_run(host, lines[name][1], out))
    return lines, runs


def report(lines, runs):
    medians = {
        name: [statistics.median(column) for column in zip(*taken)] for name, taken in runs.items() if all(taken)
    }
    rows = []
    for group in FORMATS:
        names = [name for name in medians if lines[name][0] == group]
        others = [medians[name] for name in names if "redd" not in name]
        for name in names:
            wall, processor, size = medians[name]
            ratios = [f"{mine / min(column):.3f}" if others else "-" for mine, column in zip(medians[name], zip(*others))]
            rows.append((name, f"{wall:.2f}", ratios[0], f"{processor:.2f}", ratios[1], size, ratios[2]))
    bench.table(("", "seconds", "÷ the best of the others", "of processors", "÷ best", "bytes", "÷ best"), rows)
    for name in runs.keys() - medians.keys():
        print(f"\nleft out: {name}: it failed, or is not installed")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--level", type=int, action="append")
    parser.add_argument("--format", action="append", choices=FORMATS)
    parser.add_argument("--tar", type=Path)
    args = parser.parse_args()
    found = sorted(glob.glob("/var/cache/redd-guests/nixos-*/nixos.tar"))
    archive = args.tar or (found and Path(found[-1]))
    if not archive or not bench.program() or not nixhost.is_possible():
        sys.exit("needs --tar FILE of the nixos guest, a redd that was built, and nix-store")
    bench.own_world()
    host = nixhost.NixHost(tempfile.mkdtemp(dir=bench.scratch()))
    try:
        system = prepare(host, archive.resolve())
        for level in args.level or [6]:
            bench.heading(f"Packing {archive.stat().st_size >> 20} MiB, level {level} ({args.rounds} rounds)")
            report(*measure(host, system, level, args.rounds, args.format or FORMATS))
    finally:
        host.close()


if __name__ == "__main__":
    main()
