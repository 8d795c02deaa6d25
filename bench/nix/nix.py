#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a shared Nix store costs: start to exit of /bin/true with 33 and 601 store paths, all of the store or the closure
alone, beside no store, and systemd-nspawn with the same binds; then a real boot of the nixos guest until it is ready,
with its own 112 paths and with 600 more. Needs Debian's nix-bin; the store is a folder on the root disk.

    nix.py [--rounds N] [--boots N]
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bench  # noqa: E402

# COUNT empty paths, and a system that names them all; of a guest's system it is a copy.
EXPRESSION = """
{ count, init, base ? "" }:
let names = builtins.genList (i: "p${toString i}") count; in
derivation ({
  inherit names init;
  name = "nixos-system-many-${toString count}";
  system = builtins.currentSystem;
  builder = "/bin/bash";
  PATH = "/usr/bin:/bin";
  outputs = [ "out" ] ++ names;
  args = [ "-euc" ''
    for name in $names; do mkdir "''${!name}"; done
    if [ -n "''${base:-}" ]; then cp -r "$base" "$out"; chmod -R u+w "$out"
    else mkdir "$out"; cp "$init" "$out/init"; printf x86_64-linux >"$out/system"; fi
    for name in $names; do echo "''${!name}"; done >"$out/paths"
    exit 0
  '' ];
} // (if base == "" then { } else { base = builtins.storePath base; }))
"""


def nix(*argv, **options):
    return subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=True, **options).stdout.strip()


def make_store():
    """A private /nix. The empty folder it is mounted on stays: others may use it as one, too."""
    own = bench.scratch() / "nix"
    own.mkdir()
    os.makedirs("/nix", exist_ok=True)
    subprocess.run(["mount", "--bind", own, "/nix"], check=True)
    conf = bench.scratch() / "nix-conf"
    conf.mkdir()
    (conf / "nix.conf").write_text("build-users-group =\nsandbox = false\nsubstituters =\n")
    os.environ |= {"NIX_CONF_DIR": str(conf), "NIX_REMOTE": "", "HOME": str(conf)}
    nix("nix-store", "--init")


def build(count, base=""):
    file = bench.scratch() / "many.nix"
    file.write_text(EXPRESSION)
    return nix("nix-build", file, "--no-out-link", "--arg", "count", count, "--argstr", "init", "/bin/true", "--argstr", "base", base).split()[-1]


def closure(system):
    return nix("nix-store", "-qR", system).split()


def contenders(root, systems):
    redd = [bench.program() or "redd", "run", "-q", "-P", "--private-network", "-M", "b{}", "-D", root]
    nspawn = ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "-U", "--private-network", "-M", "b{}", "-D", root]
    found = [bench.Contender("redd, no store", [*redd, "/bin/true"])]
    for count, system in systems.items():
        paths = closure(system)
        for users in ("pick", "no"):
            note = "" if users == "pick" else "no user namespace: locked by redd"
            for mode in ("whole", "closure"):
                words = [*redd, f"--private-users={users}", f"--nix-system={system}", f"--nix-store={mode}", "/bin/true"]
                found.append(bench.Contender(f"redd, {mode}, {count} paths{', no users' if note else ''}", words, note))
        binds = [f"--bind-ro={path}:{path}:idmap" for path in paths]
        found.append(bench.Contender(f"systemd-nspawn, whole, {count} paths", [*nspawn, "--bind-ro=/nix/store:/nix/store:idmap", "/bin/true"]))
        found.append(bench.Contender(f"systemd-nspawn, closure, {count} paths", [*nspawn, *binds, "/bin/true"]))
    return found


def import_guest():
    folder = nix(bench.TREE / "tests/guests/build", "nixos").split()[-1]
    with open(f"{folder}/nixos.nar", "rb") as archive:
        subprocess.run(["nix-store", "--import"], stdin=archive, stdout=subprocess.DEVNULL, check=True)
    return Path(folder, "nixos.systems").read_text().split()[0]


def time_boot(name):
    start = time.perf_counter()
    subprocess.run([bench.program(), "start", name], check=True)
    took = (time.perf_counter() - start) * 1000
    subprocess.run([bench.program(), "terminate", name], check=True)
    return took


def boots(count):
    guest = import_guest()
    systems = {112: guest, 712: build(600, guest)}
    times = {}
    for paths, system in systems.items():
        for mode in ("whole", "closure"):
            name = f"boot-{paths}-{mode}"
            subprocess.run([bench.program(), "-q", "nix", "create", name, system, f"--store={mode}"], check=True)
            times[name] = []
    for _ in range(count):
        for name, found in times.items():
            found.append(time_boot(name))
    bench.heading(f"The nixos guest, start until it is ready ({count} boots each, interleaved)")
    bench.table(("", "median ms", "fastest ms"), [(name, f"{statistics.median(found):.0f}", f"{min(found):.0f}") for name, found in times.items()])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--boots", type=int, default=10)
    args = parser.parse_args()
    bench.own_world()
    make_store()
    root = bench.make_tree(bench.scratch() / "tree")
    (root / "nix/store").mkdir(parents=True)
    systems = {count: build(count - 1) for count in (33, 601)}
    all_of_them = contenders(root, systems)
    for one in all_of_them:
        one.try_once()
    bench.heading(f"A shared store, start to exit of /bin/true ({args.rounds} rounds, random order)")
    bench.rounds(all_of_them, args.rounds, bench.compile_c("lib/stopwatch.c"))
    bench.report_times(all_of_them)
    if bench.program():
        boots(args.boots)


if __name__ == "__main__":
    main()
