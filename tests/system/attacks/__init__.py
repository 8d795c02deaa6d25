# SPDX-License-Identifier: LGPL-2.1-or-later
"""Means of the tests of hostile machines: static C programs (in this folder), trees, and running victims."""

import itertools
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from helpers import session, trees
from helpers.waiting import wait_until

HERE = Path(__file__).parent
_counter = itertools.count(1)
_built = {}


def put(name, root):
    """Puts the program attacks/NAME.c into a tree as /bin/NAME; builds it once per session."""
    if name not in _built:
        built = Path(session.folder) / f"attack-{name}"
        subprocess.run(["gcc", "-O1", "-Wall", "-static", "-o", built, HERE / f"{name}.c"], check=True)
        _built[name] = built
    shutil.copy(_built[name], root / "bin" / name)
    return f"/bin/{name}"


def make_tree(root, *programs):
    trees.make_busybox(root)
    for name in programs:
        put(name, root)
    return root


def mountinfo():
    """The mounts of this process, without the numbers that change with mounts elsewhere."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return sorted(" ".join(line.split()[2:6]) for line in file)


class Victim:
    """A machine that runs a command from a tree, for verbs that need a running machine."""

    def __init__(self, redd, name, process):
        self.redd, self.name, self.process = redd, name, process

    def __str__(self):
        return self.name

    def terminate(self):
        self.redd.run("terminate", self.name)
        self.process.wait(20)

    def leader(self):
        lines = self.redd.run("show", self.name).out.splitlines()
        return int(next((line[7:] for line in lines if line.startswith("Leader=")), 0))


@contextmanager
def running(redd, tree, *command, users="pick", options=(), network=("--private-network",), name=None, **popen):
    name = name or f"{session.tag}-hostile-{next(_counter)}"
    argv = ["run", "-q", "-D", tree, "-M", name, f"--private-users={users}", *network, "--pipe", *options]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = redd.start(*argv, *(command or ("/bin/sleep", "1000")), **streams | popen)
    victim = Victim(redd, name, process)
    try:
        wait_until(lambda: process.poll() is not None or victim.leader(), f"{name} runs")
        assert process.poll() is None, process.stdout.read() if process.stdout else "it has ended"
        yield victim
    finally:
        victim.terminate()


def libraries_of(program):
    """The libraries of a dynamically linked program, with the loader; none for a static one."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    words = [word for line in done.stdout.splitlines() for word in line.split()]
    return sorted({word for word in words if word.startswith("/") and os.path.exists(word)})
