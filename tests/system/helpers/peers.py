# SPDX-License-Identifier: LGPL-2.1-or-later
"""systemd-nspawn, to check that a guest itself works before blaming redd."""

import os
import shutil

import pexpect

from . import cgroups, session

PATH = shutil.which("systemd-nspawn")


def _enter_own_group(name):
    """Runs in the new child: joins a new group in the trees that an init manages, as under a service manager."""
    for top in cgroups.hierarchies():
        if top.name in ("unified", "systemd", "cgroup"):
            group = top / name
            group.mkdir(exist_ok=True)
            (group / "cgroup.procs").write_text(str(os.getpid()))


def nspawn(root, *options, timeout=60):
    """systemd-nspawn --boot on a terminal; works without systemd outside."""
    group = f"{session.tag}-nspawn"
    env = {**os.environ, "TERM": "dumb"}
    # systemd 258 and later need cgroup v2 only.
    if (root / "nix").exists() or _has_new_systemd(root):
        env["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
    args = ["--register=no", "--keep-unit", "--boot", "--quiet", "--link-journal=no", "-D", str(root), *options]
    return pexpect.spawn(
        PATH, args, timeout=timeout, env=env, encoding="utf-8", codec_errors="replace", dimensions=(50, 200),
        preexec_fn=lambda: _enter_own_group(group),
    )


def _has_new_systemd(root):
    versions = [path.name.split("-")[-1].split(".")[0] for path in root.glob("usr/lib/*/systemd/libsystemd-shared-*.so")]
    return any(version.isdigit() and int(version) >= 258 for version in versions)
