# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts with shared mounts, as under systemd: a machine's mounts must not appear in the host's tree."""

import shlex
import subprocess

import pytest
from helpers import session, trees
from helpers.security import row

# The mounts before, during and after a machine, in a namespace where they are shared; the session's are private.
SCRIPT = """
mount --make-rshared / || exit 99
cut -d' ' -f5 /proc/self/mountinfo >before
"$@" /bin/sh -c 'echo up; read line' <go >out &
while ! grep -q up out 2>/dev/null; do kill -0 $! || exit 98; sleep 0.02; done
cut -d' ' -f5 /proc/self/mountinfo >while
echo >go
wait $! || exit 97
cut -d' ' -f5 /proc/self/mountinfo >after
cmp before while && cmp before after
"""


@row("S13", "mounts of a machine reach the host", "the machine's mount namespace is a private copy before anything is mounted")
@pytest.mark.parametrize("options", [(), ("-x",), ("--private-users=no",), ("--read-only",), ("--bind={mount}:/mnt",),
                                     ("--bind-ro={mount}:/mnt:norbind", "--tmpfs=/mnt/below")])  # fmt: skip
def test_nothing_propagates_to_the_host(redd, tmp_path, options):
    tree = trees.make_busybox(tmp_path / session.own_name("tree"))
    (tmp_path / "source/below").mkdir(parents=True)
    subprocess.run(["mkfifo", tmp_path / "go"], check=True)
    options = [option.format(mount=tmp_path / "source") for option in options]
    script = f"mount -t tmpfs tmpfs {shlex.quote(str(tmp_path / 'source'))} && mkdir source/below; exec 3<>go;" + SCRIPT
    argv = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh"]
    argv += [redd.path, "run", "-q", "-P", "-D", tree, *options]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
