#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Turns a folder of Debian packages into the input of flake.nix: gather.py DEBS OUT ROOT...

OUT/packages/NAME/ holds the files of each package that the ROOTs need (found by what their ELF files link to, so
nothing of apt's or perl's comes along), laid out as Nix packages are: bin, lib, share. OUT/graph.json says who needs whom.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# The C library and what it and its loader reach for by themselves are one package: they need each other.
GLIBC = ("libc6", "libcrypt1", "libgcc-s1")
DROPPED = ("share/doc", "share/man", "share/locale", "share/lintian", "share/bug", "share/info", "share/perl5",
           "lib/systemd/system-generators", "lib/udev", "lib/modprobe.d", "share/initramfs-tools", "share/gcc",
           "lib/x86_64-linux-gnu/perl", "lib/x86_64-linux-gnu/gconv", "share/zoneinfo", "lib/locale")


def unpack(deb, out):
    raw = out / "raw"
    out.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "-x", deb, raw], check=True)
    final = out / "tree"
    for source in ("", "usr"):
        for name in ("bin", "sbin", "lib", "lib64", "libexec", "share", "etc"):
            if (raw / source / name).is_dir() and not (raw / source / name).is_symlink():
                merge(raw / source / name, final / {"sbin": "bin", "lib64": "lib"}.get(name, name))
    for name in DROPPED:
        shutil.rmtree(final / name, ignore_errors=True)
    shutil.rmtree(raw)
    return final


def merge(source, target):
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            merge(entry, target / entry.name)
        elif not (target / entry.name).is_symlink() and not (target / entry.name).exists():
            os.rename(entry, target / entry.name)


def elf_files(tree):
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def needed(tree):
    names = set()
    for path in elf_files(tree):
        done = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True, check=True)
        names |= set(re.findall(r"\(NEEDED\).*\[(.*)\]", done.stdout))
    return names


def package_of(deb):
    name = deb.name.split("_")[0]
    return "glibc" if name in GLIBC else name


def main(debs, out, *roots):
    debs, out = Path(debs), Path(out)
    trees, owners, links = {}, {}, {}
    for deb in sorted(debs.glob("*.deb")):
        name = package_of(deb)
        tree = unpack(deb, out / "unpacked" / deb.name)
        if tree.is_dir():
            merge(tree, out / "all" / name)
            trees[name] = out / "all" / name
    for name, tree in trees.items():
        links[name] = needed(tree)
        for path in tree.glob("lib/**/*.so*"):
            owners.setdefault(path.name, name)
    graph, wanted = {}, list(roots)
    while wanted:
        name = wanted.pop()
        if name not in graph:
            graph[name] = sorted({owners[soname] for soname in links[name] if soname in owners} - {name})
            wanted += graph[name]
    (out / "packages").mkdir()
    for name in graph:
        os.rename(trees[name], out / "packages" / name)
    (out / "graph.json").write_text(json.dumps(graph, indent=1, sort_keys=True) + "\n")


main(*sys.argv[1:])
