#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Imports of each compression: redd beside tar, bsdtar, `xz -T0 -dc | tar x` and systemd-import. Every run unpacks into a
fresh ext4 with a journal on a loop device, which passes its I/O on directly, as a disk would: without that each byte
written would be copied into the page cache a second time, by the same processors. The contenders take turns in random
order. The archive is in the page cache.

redd and systemd-import sync what they unpacked before they publish it; tar and bsdtar don't. So each is measured
alone, as in daily use, and the rows "+ sync" say what the unsynced ones cost until the tree is safe too.

    import.py [--rounds N] [--tar FILE | --tree DIR...] [--archive NAME]...

--tar: a .tar, such as that of a guest of the tests (tests/guests/build nixos prints its folder)
--tree: what is packed (default: /usr/share/doc, /usr/include, /usr/lib/python3*, /usr/lib/gcc, /usr/sbin, /usr/bin)
--archive: of tar, zst, xz-one-block, xz-blocks, gz, bz2 (default: all but bz2)
"""

import argparse
import glob
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bench  # noqa: E402

TREES = ["/usr/share/doc", "/usr/include", *sorted(glob.glob("/usr/lib/python3*")), "/usr/lib/gcc", "/usr/sbin"]
SYSTEMD_IMPORT = next((p for p in ("/usr/lib/systemd/systemd-import", "/lib/systemd/systemd-import") if os.access(p, os.X_OK)), "")
DISK_BYTES = 3 << 30

# archive: (suffix, command that makes it from a .tar)
ARCHIVES = {
    "tar": (".tar", None),
    "zst": (".tar.zst", "zstd -q -T0 -c {}"),
    "xz-blocks": (".tar.xz", "xz -T0 -6 --block-size=16MiB -c {}"),
    "xz-one-block": (".one.tar.xz", "xz -T1 -6 -c {}"),
    "gz": (".tar.gz", "gzip -c {}"),
    "bz2": (".tar.bz2", "bzip2 -c {}"),
}


def contenders(archive, path):
    """name: shell command that unpacks into $POOL/image"""
    unpack = "mkdir $POOL/image && "
    found = {"redd": f"{bench.program() or 'redd'} -q import-tar {path} image"}
    if archive == "tar":
        found["tar x"] = unpack + f"tar -C $POOL/image --numeric-owner -xpf {path}"
    elif archive.startswith("xz"):
        found["xz -T0 -dc | tar x"] = unpack + f"xz -T0 -dc {path} | tar -C $POOL/image --numeric-owner -xpf -"
    else:
        found["tar x"] = unpack + f"tar -C $POOL/image --numeric-owner -xpf {path}"
    first = list(found)[1]
    found[first + " + sync"] = found[first] + " && sync -f $POOL"
    if shutil.which("bsdtar"):
        found["bsdtar"] = unpack + f"bsdtar -C $POOL/image --numeric-owner -xpf {path}"
    if SYSTEMD_IMPORT:
        found["systemd-import"] = f"{SYSTEMD_IMPORT} tar {path} image"
    return found


class FreshDisk:
    """An empty ext4 on /var/lib/machines, its inode tables written beforehand, everything else synced."""

    def __enter__(self):
        self.disk = bench.scratch() / "disk"
        with open(self.disk, "wb") as out:
            os.posix_fallocate(out.fileno(), 0, DISK_BYTES)
        options = ["-E", "lazy_itable_init=0,lazy_journal_init=0", "-m", "0"]
        subprocess.run(["mkfs.ext4", "-q", *options, self.disk], check=True)
        attach = ["losetup", "--direct-io=on", "--find", "--show", self.disk]
        self.loop = subprocess.run(attach, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        subprocess.run(["mount", self.loop, bench.POOL], check=True)
        subprocess.run(["sync"], check=True)

    def __exit__(self, *_):
        subprocess.run(["umount", bench.POOL], check=True)
        subprocess.run(["losetup", "--detach", self.loop], check=True)
        self.disk.unlink()


def one_run(command, env):
    with FreshDisk():
        before = time.monotonic()
        done = subprocess.run(["sh", "-c", command], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        took = time.monotonic() - before
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [str(done.returncode)]
        return None, lines[-1][:100]
    return took * 1000, ""


def measure(archive, path, rounds):
    env = {**os.environ, "POOL": str(bench.POOL)}
    commands = contenders(archive, path)
    times, missing = {name: [] for name in commands}, {}
    for _ in range(rounds):
        Path(path).read_bytes()
        for name in random.sample(list(commands), len(commands)):
            if name in missing:
                continue
            took, why = one_run(commands[name], env)
            if why:
                missing[name] = why
            else:
                times[name].append(took)
    return times, missing


def report(archive, times, missing):
    base = statistics.median(times["redd"]) if times["redd"] and "redd" not in missing else None
    rows = []
    for name, taken in times.items():
        if name not in missing and taken:
            median = statistics.median(taken)
            rows.append((archive, name, f"{median:.0f}", f"{base / median:.2f}" if base else "-", " ".join(f"{t:.0f}" for t in sorted(taken))))
    bench.table(("archive", "", "median ms", "redd's time ÷ this", "all"), rows)
    for name, why in missing.items():
        print(f"\nleft out: {name}: {why}")
    print()


def make_tar(plain, args):
    if args.tar:
        shutil.copyfile(args.tar, plain)
        return
    trees = [path.lstrip("/") for path in args.tree or TREES if os.path.exists(path)]
    subprocess.run(["tar", "-C", "/", "--sort=name", "--mtime=@1", "-cf", plain, *trees], check=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tree", action="append")
    parser.add_argument("--tar", type=Path)
    parser.add_argument("--archive", action="append", choices=list(ARCHIVES))
    args = parser.parse_args()
    bench.own_world()
    plain = bench.scratch() / "system.tar"
    make_tar(plain, args)
    entries = subprocess.run(["tar", "tf", plain], capture_output=True, check=True).stdout.count(b"\n")
    bench.heading(f"Import of {plain.stat().st_size >> 20} MiB, {entries} entries ({args.rounds} rounds)")
    for archive in args.archive or [name for name in ARCHIVES if name != "bz2"]:
        suffix, command = ARCHIVES[archive]
        path = plain.with_name("system" + suffix)
        if command:
            with open(path, "wb") as out:
                subprocess.run(command.format(plain), shell=True, stdout=out, check=True)
        report(archive, *measure(archive, path, args.rounds))
        if path != plain:
            path.unlink()


if __name__ == "__main__":
    main()
