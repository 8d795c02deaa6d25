# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The session's own Nix store at /nix, with Debian's Nix and no daemon. The two generations of the nixos guest come from
its nixos.nar; tiny systems, just large enough for redd, are built here.
"""

import os
import shutil
import subprocess
from pathlib import Path

from . import session

STORE = Path("/nix/store")
PROFILES = Path("/nix/var/nix/profiles/per-container")
ROOTS = Path("/nix/var/nix/gcroots/redd")
TOOLS = ("nix-store", "nix-build", "nix-daemon")
PAGES = ("hello from the container!\n", "hello from the second generation!\n")

# A closure of COUNT paths and a system with `init`. As in real ones, some paths are a link or a file.
EXPRESSION = """
{ name, count, init, salt ? "", builder ? "/bin/bash" }:
let names = builtins.genList (i: "p${toString i}") count; in
derivation {
  inherit name names salt builder;
  system = builtins.currentSystem;
  PATH = "/usr/bin:/bin";
  outputs = [ "out" ] ++ names;
  init = builtins.toFile "init" init;
  busybox = /. + builtins.getEnv "BUSYBOX";
  args = [ "-euc" ''
    for name in $names; do
      case $name in
      p0) echo file >"''${!name}" ;;
      p1) ln -s /nowhere "''${!name}" ;;
      *) mkdir "''${!name}" ;;
      esac
    done
    mkdir -p "$out/bin"
    cp "$busybox" "$out/bin/busybox"; chmod 555 "$out/bin/busybox"
    for applet in sh sleep echo cat ls mount umount touch; do ln -s busybox "$out/bin/$applet"; done
    for name in $names; do echo "''${!name}"; done >"$out/paths"
    sed "s,@out@,$out,g" "$init" >"$out/init"; chmod 555 "$out/init"
    printf x86_64-linux >"$out/system"
    printf "$name" >"$out/nixos-version"
    exit 0
  '' ];
}
"""


def is_possible():
    return all(shutil.which(tool) for tool in TOOLS)


def make_store():
    """Makes an empty store on the real disk, once in a session."""
    session.bind_own_nix()
    conf = session.folder / "nix-conf"
    conf.mkdir()
    (conf / "nix.conf").write_text(
        "build-users-group =\nsandbox = false\nsubstituters =\nexperimental-features = nix-command flakes\nflake-registry =\n"
    )
    os.environ |= {"NIX_CONF_DIR": str(conf), "NIX_REMOTE": "", "HOME": str(session.folder / "home"), "BUSYBOX": shutil.which("busybox")}
    (session.folder / "home").mkdir()
    run("nix-store", "--init")


def run(*argv, **options):
    done = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def generations():
    """Store paths of the guest's two generations; imports them if necessary."""
    folder = session.build_guest("nixos")
    paths = (folder / "nixos.systems").read_text().split()
    if any(not is_valid(path) for path in paths):
        with open(folder / "nixos.nar", "rb") as archive:
            run("nix-store", "--import", stdin=archive)
    return paths


def build_small(name, count=3, init="#!@out@/bin/sh\nexit 0\n", salt=""):
    """A system that has only busybox; it ends at once unless `init` is given."""
    file = session.folder / "small.nix"
    file.write_text(EXPRESSION)
    out = run("nix-build", file, "--no-out-link", "--argstr", "name", name, "--arg", "count", count, "--argstr", "init", init,
              "--argstr", "salt", salt)  # fmt: skip
    return out.split()[-1]


def is_valid(path):
    return subprocess.run(["nix-store", "--check-validity", path], capture_output=True, check=False).returncode == 0


def closure(path):
    return run("nix-store", "--query", "--requisites", path).split()


def collect_garbage():
    """Deletes everything that no root needs."""
    return run("nix-store", "--gc")


def current(name):
    return os.readlink(PROFILES / name / os.readlink(PROFILES / name / "system"))


def forget(name):
    """Removes what a failed test left of a machine."""
    for parent in (PROFILES, ROOTS):
        shutil.rmtree(parent / name, ignore_errors=True)


def delete_path(path):
    """Deletes a path by force, so that it is still in the database."""
    subprocess.run(["chmod", "-R", "u+w", path], check=True)
    subprocess.run(["rm", "-rf", path], check=True)
