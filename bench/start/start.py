#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Start to exit of a static /bin/true in namespaces of its own, redd beside its peers, interleaved.

    start.py [--rounds N] [--rest MS] [--flood N]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bench  # noqa: E402

SHIFT = 1_000_000
NAMESPACES = ("pid", "mount", "ipc", "uts", "network", "cgroup", "user")


def oci_bundle(runtime, folder, root):
    """What `spec` of the runtime proposes (masks, capabilities), all namespaces added, and its own tree, shifted."""
    bundle = folder / runtime
    bundle.mkdir()
    if not bench.shutil.which(runtime):
        return bundle
    subprocess.run(["cp", "-a", root, bundle / "rootfs"], check=True)
    subprocess.run(["chown", "-R", f"{SHIFT}:{SHIFT}", bundle / "rootfs"], check=True)
    subprocess.run([runtime, "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/true"])
    config["process"].pop("rlimits", None)
    config["root"].update(path="rootfs", readonly=False)
    config["linux"]["namespaces"] = [{"type": name} for name in NAMESPACES]
    one_map = [{"containerID": 0, "hostID": SHIFT, "size": 65536}]
    config["linux"].update(uidMappings=one_map, gidMappings=one_map)
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def lxc_config(folder, root):
    path = folder / "lxc.conf"
    path.write_text(
        f"lxc.rootfs.path = dir:{root}\nlxc.uts.name = bench\nlxc.net.0.type = empty\n"
        f"lxc.idmap = u 0 {SHIFT} 65536\nlxc.idmap = g 0 {SHIFT} 65536\nlxc.mount.auto = proc:mixed sys:mixed\n"
    )
    return path


def contenders(folder, root, shifted):
    redd = bench.program() or "redd"
    v1 = bench.world_without_cgroup2()
    oci = {name: oci_bundle(name, folder, root) for name in ("crun", "runc")}
    return [
        bench.Contender("floor", [bench.compile_c("start/floor.c"), root, "/bin/true"], "namespaces only"),
        bench.Contender("redd run", [redd, "run", "-q", "-M", "b{}", "-D", root, "--private-network", "/bin/true"], "all of it"),
        bench.Contender("redd run -P", [redd, "run", "-q", "-P", "-M", "b{}", "-D", root, "--private-network", "/bin/true"], "no pty"),
        bench.Contender(
            "systemd-nspawn",
            ["systemd-nspawn", "-q", "-M", "b{}", "--register=no", "--keep-unit", "-U", "--private-network", "-D", root, "/bin/true"],
            "",
        ),
        bench.Contender("bwrap", ["bwrap", "--unshare-all", "--uid", "0", "--gid", "0", "--bind", root, "/", "--proc", "/proc",
                                  "--dev", "/dev", "/bin/true"], "no seccomp, no cgroup"),
        bench.Contender("unshare", ["unshare", "-r", "-p", "-f", "-m", "-i", "-u", "-n", "-C", "--mount-proc",
                                    f"--root={root}", "/bin/true"], "namespaces only"),
        bench.Contender("lxc-execute", ["lxc-execute", "-P", folder, "-n", "b{}", "-f", lxc_config(folder, shifted), "--", "/bin/true"],
                        "no network"),
        bench.Contender("crun", ["crun", "run", "-b", oci["crun"], "b{}"], "no seccomp", world=v1),
        bench.Contender("runc", ["runc", "run", "-b", oci["runc"], "b{}"], "no seccomp", world=v1),
    ]  # fmt: skip


def on_own_trees(contender, root, count):
    """The same command on a tree for each start: whoever locks the tree would refuse the second."""
    for number in range(1, count + 1):
        tree = root.with_name(f"{root.name}-{number}")
        if not tree.exists():
            subprocess.run(["cp", "-al", root, tree], check=True)
    argv = [f"{root}-{{}}" if word == str(root) else word for word in contender.argv]
    return bench.dataclasses.replace(contender, argv=argv)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--rest", type=int, default=20, help="milliseconds between two, for the kernel to clear away what the one before left (0: none)")
    parser.add_argument("--flood", type=int, default=100, help="starts, 8 at a time")
    args = parser.parse_args()
    bench.own_world()
    folder = bench.scratch()
    root = bench.make_tree(folder / "root")
    shifted = folder / "shifted"
    subprocess.run(["cp", "-a", root, shifted], check=True)
    subprocess.run(["chown", "-R", f"{SHIFT}:{SHIFT}", shifted], check=True)
    stopwatch = bench.compile_c("lib/stopwatch.c")
    all_of_them = contenders(folder, root, shifted)
    for one in all_of_them:
        one.try_once()
    bench.heading(f"Start to exit of a static /bin/true ({args.rounds} rounds, random order, {args.rest} ms between two)")
    bench.rounds(all_of_them, args.rounds, stopwatch, args.rest)
    bench.report_times(all_of_them)
    bench.heading(f"{args.flood} starts of it, 8 at a time")
    rows = []
    for one in all_of_them:
        if not one.missing:
            took = bench.flood(on_own_trees(one, root, args.flood), args.flood, 8, stopwatch)
            rows.append((one.name, f"{took:.0f}" if took else "some failed"))
    bench.table(("", "ms for all"), rows)


if __name__ == "__main__":
    main()
