# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A host with its own /nix: a mount namespace with this machine's root, except that /nix is an empty folder of the
test. Real Nix (Debian's nix-bin) runs in it as root, without a daemon, sandbox or network.

    host = NixHost(folder)      host("nix-store", "--gc")     host.build(EXPRESSION)     host.close()

The folder's nix/ is the host's /nix, so a test can look at it and lock its files from outside.
"""

import os
import shutil
import subprocess
from pathlib import Path

from .command import Result

TIMEOUT_S = 120
NSENTER = shutil.which("nsenter")

CONFIG = """\
experimental-features = nix-command flakes
build-users-group =
sandbox = false
substituters =
flake-registry =
"""

# Stays alive to hold the namespace; prints "ready" when its root is in place.
ARRANGE = r"""
root=$1/root; mkdir "$root"; mount -t tmpfs -o mode=755 nix-root "$root"
for top in /*; do
	[ "$top" != /nix ] || continue
	if [ -L "$top" ]; then cp -P "$top" "$root$top"
	elif [ -d "$top" ]; then mkdir "$root$top"; mount --rbind "$top" "$root$top"
	fi
done
mkdir "$root/nix"; mount --bind "$1/nix" "$root/nix"
exec chroot "$root" /bin/sh -c 'echo ready; exec sleep infinity'
"""

# A system with the parts that redd looks at. Nix sometimes kills a builder that ends with a program which closes stderr, so
# each ends with `exit 0`. Versions are made up: only names and references matter.
EXPRESSION = r"""
let
  make = name: script: inputs: derivation ({
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-euc" "${script}\nexit 0" ];
    PATH = "/usr/bin:/bin";
  } // inputs);
  lib = version: make "lib-${version}" "mkdir $out; echo ${version} >$out/lib" { };
  server = version: lib: make "server-${version}" "mkdir -p $out/bin; echo $lib >$out/bin/server; chmod 755 $out/bin/server" { inherit lib; };
  etc = text: make "etc" "mkdir -p $out/etc; printf 'ID=nixos\\nPRETTY_NAME=\"${text}\"\\n' >$out/etc/os-release" { };
  system = label: inputs: make "nixos-system-web-${label}" ''
    mkdir $out
    printf x86_64-linux >$out/system
    printf ${label} >$out/nixos-version
    printf '#!/bin/sh\n' >$out/init; chmod 755 $out/init
    for input in $inputs; do ln -s $input $out/$(basename $input | cut -d- -f2-); done
    ln -s $etc/etc $out/etc
  '' { inherit inputs; etc = etc "NixOS ${label}"; };
in {
  one = system "23.11" [ (server "1.0" (lib "1")) ];
  two = system "24.05" [ (server "2.0" (lib "1")) (make "extra" "echo x >$out" { }) ];
  three = system "24.11" [ (server "2.0" (lib "3")) ];
  other = make "other" "mkdir $out" { };
}
"""


def is_possible():
    return shutil.which("nix-store") is not None


class NixHost:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.nix = self.folder / "nix"
        (self.nix / "store").mkdir(parents=True)
        (self.folder / "etc").mkdir()
        (self.folder / "etc/nix.conf").write_text(CONFIG)
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", ARRANGE, "nix-host", str(self.folder)]
        self.holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        self("nix-store", "--init")

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def prefix(self):
        """The beginning of a command line, which runs the rest of it on this host."""
        proc = f"/proc/{self.holder.pid}"
        return [NSENTER, f"--mount={proc}/ns/mnt", f"--root={proc}/root", f"--wd={proc}/root{self.folder}", "--"]

    def environment(self, extra=None):
        own = {"NIX_CONF_DIR": f"{self.folder}/etc", "HOME": f"{self.folder}/home", "NIX_REMOTE": "", "XDG_CACHE_HOME": f"{self.folder}/home"}
        return {**os.environ, **own, **(extra or {})}

    def run(self, *argv, env=None, stdin=None, timeout=TIMEOUT_S, text=True):
        argv = [*self.prefix(), *map(str, argv)]
        feed = {"input": stdin} if isinstance(stdin, (str, bytes)) else {"stdin": stdin or subprocess.DEVNULL}
        done = subprocess.run(argv, capture_output=True, text=text, timeout=timeout, check=False, env=self.environment(env), **feed)
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def __call__(self, *argv, code=0, **options):
        result = self.run(*argv, **options)
        assert result.code == code, f"exit code {code} was expected\n{result}"
        return result

    def start(self, *argv, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        return subprocess.Popen([*self.prefix(), *map(str, argv)], env=self.environment(), **options)

    def build(self, expression=EXPRESSION):
        """Builds a set of derivations; returns {attribute: store path}."""
        file = self.folder / "x.nix"
        file.write_text(expression)
        names = self("nix-instantiate", "--eval", "--strict", "--json", "-E", f"builtins.attrNames (import {file})").out
        wanted = [word.strip('"') for word in names.strip("[]\n").split(",")]
        options = [word for name in wanted for word in ("-A", name)]
        return dict(zip(wanted, self("nix-build", "--no-out-link", file, *options).out.split()))

    def requisites(self, path):
        return sorted(self("nix-store", "-qR", path).out.split())

    def collect(self):
        return self("nix-store", "--gc").out

    def has(self, path):
        """Whether the store has `path`, /nix/store/…"""
        return os.path.lexists(self.nix / Path(path).relative_to("/nix"))

    def register_many(self, count):
        """Makes a closure of `count` registered paths, each of which refers to the next; returns the first."""
        names = [f"{i:032d}-many-{i}" for i in range(count)]
        text = ""
        for i, name in enumerate(names):
            (self.nix / "store" / name).mkdir()
            needs = [names[j] for j in (i + 1, i + 2) if j < count]
            text += f"/nix/store/{name}\n{i:064x}\n{i + 1}\n\n{len(needs)}\n" + "".join(f"/nix/store/{need}\n" for need in needs)
        self("nix-store", "--load-db", stdin=text)
        return [f"/nix/store/{name}" for name in names]
