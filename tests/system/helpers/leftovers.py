# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Lists what a machine could leave behind, before and after a test, and cleans up after a test that failed.

Mounts, processes, interfaces, firewall tables and state files belong to the session, so every difference counts.
Cgroups and loop devices are shared with the whole machine: only names of this session count, or all with REDD_TEST_ALONE=1.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from . import cgroups, kernel, session

STATE_FOLDERS = ("/run", "/var/lib/machines", "/var/lib/redd", "/var/log/redd", "/etc/systemd/nspawn", "/etc/redd",
                 "/nix/var/nix/gcroots/redd", "/nix/var/nix/profiles/per-container")
# Made at the first use and kept: empty folders, and lock files, because unlinking them would be a race.
KEPT_NAMES = {"/run/systemd", "/run/systemd/nspawn", "/run/systemd/nspawn/locks", "/run/lock", "/var/lib/redd/network/leases"}
SETTLE_S = 15


def snapshot():
    return {
        "mounts": _mounts(),
        "processes": _processes(),
        "cgroups": _cgroups(),
        "interfaces": _interfaces(),
        "firewall": _firewall(),
        "loop devices": _loop_devices(),
        "files": _files(),
    }


def difference(before, timeout_s=SETTLE_S):
    """{kind: [what is new or gone]}. Retries for a while, since the kernel frees some things late."""
    deadline = time.monotonic() + timeout_s
    while True:
        after = snapshot()
        found = {kind: _compare(kind, old, after[kind]) for kind, old in before.items()}
        found = {kind: lines for kind, lines in found.items() if lines}
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def describe(found):
    return "\n".join(f"{kind}:\n" + "\n".join("    " + line for line in lines) for kind, lines in found.items())


def sweep(before):
    """Removes what is not in the snapshot `before`, as far as possible."""
    for pid in _processes().keys() - before["processes"].keys():
        _kill(int(pid.split()[0]))
    for line in sorted(_mounts() - before["mounts"], key=lambda text: int(text.split()[0]), reverse=True):
        _quietly(lambda path=line.split()[1]: kernel.umount(path))
    for name in _interfaces() - before["interfaces"]:
        subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
    for name in _firewall() - before["firewall"]:
        subprocess.run(["nft", "delete", "table", *name.split()], capture_output=True, check=False)
    for line in _loop_devices() - before["loop devices"]:
        subprocess.run(["losetup", "-d", line.split()[0]], capture_output=True, check=False)
    for path in sorted(_files() - before["files"]):
        subprocess.run(["chattr", "-R", "-f", "-i", path], capture_output=True, check=False)
        subprocess.run(["rm", "-rf", "--one-file-system", path], capture_output=True, check=False)
    for path in sorted(_cgroups() - before["cgroups"], key=len, reverse=True):
        _quietly(lambda path=path: os.rmdir(path))


def _compare(kind, old, new):
    gone = old - new if isinstance(old, set) else set()
    # A mount of the session disappears if somebody outside removes its mount point.
    gone = {item for item in gone if kind != "mounts" or os.path.exists(item.split()[1])}
    return sorted(f"new:  {item}" for item in set(new) - set(old)) + sorted(f"gone: {item}" for item in gone)


def _mounts():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        fields = [line.split() for line in file]
    return {f"{f[0]} {f[4]} {f[f.index('-') + 1]}" for f in fields}


def _processes():
    """{"PID START COMMAND": command} of all processes in this session except its PID 1 and pytest."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (1, os.getpid()):
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue
        comm = stat[stat.index("(") + 1 : stat.rindex(")")]
        fields = stat[stat.rindex(")") + 2 :].split()
        found[f"{entry.name} {fields[19]} {comm}"] = comm
    return found


def _cgroups():
    alone = os.environ.get("REDD_TEST_ALONE") == "1"
    return {path for path in cgroups.folders() if alone or session.is_ours(path)}


def _interfaces():
    done = subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=True)
    return {link["ifname"] for link in json.loads(done.stdout or "[]")}


def _firewall():
    try:
        done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return set()
    return {line.removeprefix("table ") for line in done.stdout.splitlines()}


def _loop_devices():
    done = subprocess.run(["losetup", "-l", "-n", "-O", "NAME,BACK-FILE"], capture_output=True, text=True, check=False)
    return {line for line in done.stdout.splitlines() if str(session.folder) in line or "/machines/" in line}


def _files():
    """Everything below the state folders; of images, only the names."""
    found = set()
    for top in STATE_FOLDERS:
        for path, dirs, files in os.walk(top):
            names = files + ([] if path != "/var/lib/machines" else dirs)
            names += [name for name in dirs if _is_leaf_of_note(path, name)]
            found |= {os.path.join(path, name) for name in names}
            dirs[:] = [] if path == "/var/lib/machines" else dirs
    return {path for path in found if path not in KEPT_NAMES and not path.endswith((".lock", "/lock")) and not _is_log(path)}


def _is_log(path):
    """Logs are meant to outlive their machines."""
    return path.startswith("/var/log/redd/") and path.endswith(".log")


def _is_leaf_of_note(path, name):
    return path == "/run/redd/machines" or session.is_ours(name)


def _kill(pid):
    _quietly(lambda: os.kill(pid, signal.SIGKILL))


def _quietly(action):
    try:
        action()
    except OSError:
        pass
