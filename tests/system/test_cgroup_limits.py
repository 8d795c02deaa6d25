# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Limits of processes and cgroups, on each kind of host; signals to more processes than a program may have descriptors;
and that the leftovers of a broken machine don't affect others.
"""


import resource
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from attacks import make_tree, running
from helpers import cgroups, command, session
from helpers.security import row
from helpers.waiting import wait_until

DEPTH, DESCENDANTS, PROCESSES, ALL_PROCESSES = 64, 8192, 16384, 16640
REGISTRY = Path("/run/redd/machines")
# A broken machine used to delay commands by five seconds for each level, or for ever.
SOON_S = 30


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / f"{session.tag}-tree")


def group_of(pid, controller):
    """The cgroup of a process in the hierarchy of a controller; "" is cgroup2."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return next((path for _, controllers, path in lines if controller in controllers.split(",")), None)


def v1(controller):
    path = Path("/sys/fs/cgroup") / controller
    return path if (path / "tasks").exists() else None


def payload_of(victim):
    return cgroups.unified() / "redd" / victim.name / "payload"


def pids_group_of(victim):
    """The payload's cgroup in the hierarchy that counts processes."""
    unified = payload_of(victim)
    return unified if (unified / "pids.max").exists() else v1("pids") / "redd" / victim.name / "payload"


def timed(call, *words, **options):
    """Runs a verb that must end soon; returns its result."""
    before = time.monotonic()
    result = call(*words, timeout=SOON_S, **options)
    assert time.monotonic() - before < SOON_S
    return result


@row("R01")
@row("K19", "a fork bomb", "a limit of processes by cgroup v2's pids controller, else by v1's; if there is neither, the start says so")
@pytest.mark.parametrize("users", ["pick", "no"])
def test_processes_are_bounded(redd, tree, users):
    with running(redd, tree, users=users) as victim:
        group = pids_group_of(victim)
        assert (group / "pids.max").read_text().strip() == str(PROCESSES)
        assert (group.parent / "pids.max").read_text().strip() == str(ALL_PROCESSES)
        assert victim.process.pid not in map(int, (group.parent / "cgroup.procs").read_text().split()), "the supervisor is counted"
        inside = group_of(victim.leader(), "pids" if "/pids/" in str(group) else "")
        assert inside.startswith(f"/redd/{victim}/payload"), inside
    assert not group.parent.exists()
    bomb = "( sleep 3; n=0; while [ $n -lt 60 ]; do sleep 1000 & n=$((n + 1)); done; wait ) & exec sleep 1000"
    with running(redd, tree, "/bin/sh", "-c", bomb, users=users) as victim:
        group = pids_group_of(victim)
        (group / "pids.max").write_text("20")
        wait_until(lambda: int((group / "pids.events").read_text().split()[1]) > 0, "the machine meets its limit")
        assert int((group / "pids.current").read_text()) <= 20
        assert redd("exec", victim, "/bin/echo", "in").out == "in\n", "there is room to enter"


def test_those_who_enter_are_counted(redd, tree):
    with running(redd, tree) as victim:
        group = pids_group_of(victim).parent
        before = int((group / "pids.current").read_text())
        with redd.start("exec", victim, "/bin/sleep", "1000", stdin=subprocess.DEVNULL) as entered:
            try:
                # The program and the waiter that reaps it.
                wait_until(lambda: int((group / "pids.current").read_text()) == before + 2, "it is counted")
            finally:
                entered.terminate()


def test_the_guest_sees_no_place_of_the_host(redd, tree):
    out = redd("run", "-q", "-D", tree, "-M", f"{session.tag}-view", "/bin/cat", "/proc/self/cgroup").out
    assert "redd" not in out and all(line.split(":", 2)[2] in ("/", "/init") for line in out.splitlines()), out


def wrapped(tmp_path, arrange):
    """A redd that sees this view of the control groups in all its commands."""
    script = tmp_path / "redd"
    line = f'{arrange} && exec {shlex.quote(str(command.program()))} "$@"'
    script.write_text(f'#!/bin/sh\nexec unshare --mount --propagation private /bin/sh -c {shlex.quote(line)} redd "$@"\n')
    script.chmod(0o755)
    return command.Redd(script)


needs_v1_pids = pytest.mark.skipif(not v1("pids"), reason="the pids controller is cgroup2's here, and can't be taken away for a test")


@row("K19")
@needs_v1_pids
def test_a_hidden_controller_counts_too(redd, tree, tmp_path):
    """The controller is there, but the host, or the container around redd, hasn't mounted it."""
    hidden = wrapped(tmp_path, "umount -R -l /sys/fs/cgroup")
    with running(hidden, tree) as victim:
        group = pids_group_of(victim).parent
        before = int((group / "pids.current").read_text())
        assert before > 0
        with hidden.start("exec", victim, "/bin/sleep", "1000", stdin=subprocess.DEVNULL) as entered:
            try:
                wait_until(lambda: int((group / "pids.current").read_text()) > before, "it is counted", 10)
            finally:
                entered.terminate()
    assert not group.exists()


@row("K19")
@needs_v1_pids
def test_no_controller_is_said(tree, tmp_path):
    name = f"{session.tag}-uncounted"
    result = wrapped(tmp_path, "mount -o remount,bind,ro /sys/fs/cgroup/pids")("run", "-q", "-D", tree, "-M", name, "/bin/true")
    assert result.err.count(f"nothing bounds the number of processes of machine {name}") == 1, result


NEST = "cd /sys/fs/cgroup; n=0; while [ $n -lt {} ] && mkdir a 2>/dev/null; do cd a; n=$((n + 1)); done; echo $n; exec sleep 1000"
WIDE = "cd /sys/fs/cgroup; n=0; while [ $n -lt {} ] && mkdir c$n 2>/dev/null; do n=$((n + 1)); done; echo $n; exec sleep 1000"


def first_line(victim):
    return victim.process.stdout.readline().strip()


@row("K20", "endlessly nested or numerous cgroups", "depth and number are bounded; the cleanup uses few descriptors and has one deadline")
def test_depth_is_bounded(redd, tree):
    with running(redd, tree, "/bin/sh", "-c", NEST.format(100)) as victim:
        # The payload counts as a level, too.
        assert int(first_line(victim)) == DEPTH - 1
        assert int((payload_of(victim).parent / "cgroup.max.descendants").read_text()) == DESCENDANTS
        timed(redd, "terminate", victim)
    assert not payload_of(victim).parent.exists()


@row("K20")
def test_a_deep_tree_ends(redd, tree):
    """As deep as possible without the limit (older kernels, older redd): more levels than descriptors."""
    with running(redd, tree, "/bin/sh", "-c", f"sleep 3; {NEST.format(300)}") as victim:
        (payload_of(victim).parent / "cgroup.max.depth").write_text("max")
        assert first_line(victim) == "300"
        for words in (["list"], ["status", victim], ["exec", victim, "/bin/true"], ["terminate", victim], ["list"]):
            timed(redd, *words)
        assert victim.process.wait(SOON_S) is not None
    assert not payload_of(victim).parent.exists()


@row("K20")
def test_a_wide_and_frozen_tree_ends(redd, tree):
    script = f"mkdir /sys/fs/cgroup/fr; for i in 1 2 3 4 5 6; do sleep 1000 & echo $! > /sys/fs/cgroup/fr/cgroup.procs; done; {WIDE.format(2000)}"
    with running(redd, tree, "/bin/sh", "-c", script) as victim:
        assert first_line(victim) == "2000"
        (payload_of(victim) / "fr/cgroup.freeze").write_text("1")
        for words in (["list"], ["status", victim], ["exec", victim, "/bin/true"], ["kill", "-s", "CONT", victim]):
            timed(redd, *words)
        assert len(redd("status", victim).out.splitlines()) < 2100
        timed(redd, "terminate", victim)
        assert victim.process.wait(SOON_S) is not None
    assert not payload_of(victim).parent.exists()


@row("X16", "with more processes than a program may have descriptors, `kill` signals nobody and reports success",
     "signals are sent in batches, SIGKILL by cgroup.kill; failures are reported")  # fmt: skip
@pytest.mark.parametrize("name", ["TERM", "KILL"])
def test_kill_reaches_all(redd, tree, name):
    script = "trap : TERM; n=0; while [ $n -lt 300 ]; do sleep 1000 & n=$((n + 1)); done; echo made; while :; do wait; sleep 0.2; done"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with running(redd, tree, "/bin/sh", "-c", script) as victim:
        assert first_line(victim) == "made"
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        try:
            redd("kill", "-s", name, victim)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if name == "KILL":
            victim.process.wait(SOON_S)
            return
        left = lambda: int((pids_group_of(victim) / "pids.current").read_text())
        wait_until(lambda: left() < 5, f"{name} reaches all")


def test_kill_reaches_the_frozen(redd, tree):
    with running(redd, tree) as victim:
        (payload_of(victim) / "cgroup.freeze").write_text("1")
        redd("kill", "-s", "KILL", victim)
        victim.process.wait(SOON_S)


class Dead:
    """The leftovers of a killed supervisor: a folder in the registry whose lock is free, and cgroups of that name."""

    def __init__(self, stem):
        self.name = f"{session.tag}-{stem}"
        self.folder = REGISTRY / self.name
        self.folder.mkdir(parents=True)
        (self.folder / "lock").touch()

    def group(self, top):
        (top / "redd" / self.name).mkdir(parents=True, exist_ok=True)
        return top / "redd" / self.name


@row("K20")
def test_what_cannot_be_removed_is_in_nobodys_way(redd, tree):
    """A process in a v1 hierarchy that never ends: PID 1 of this session, which nobody can signal."""
    top = v1("blkio")
    if not top:
        pytest.skip("no cgroup v1 here")
    dead = Dead("broken")
    group, home = dead.group(top), group_of(1, "blkio")
    (group / "cgroup.procs").write_text("1")
    try:
        with running(redd, tree) as victim:
            other = Dead("other")
            result = timed(redd, "list")
            assert victim.name in result.out and f"a killed supervisor of machine {dead.name} left is still there" in result.err, result
            assert not other.folder.exists(), "the other one is cleaned"
            assert timed(redd, "exec", victim, "/bin/echo", "in").out == "in\n"
            assert timed(redd, "status", victim).err == ""
            timed(redd, "run", "-q", "-D", make_tree(tree.with_name("next")), "-M", f"{session.tag}-next", "/bin/true")
            timed(redd.fails, "clean", says=f"remove what a killed supervisor of machine {dead.name} left: ")
    finally:
        (top / home.lstrip("/") / "cgroup.procs").write_text("1")
    assert redd("clean").out == "Removed what a killed machine left: 1\n"
    assert not group.exists() and not dead.folder.exists()


@row("X16")
def test_cleaning_thaws_a_v1_freezer(redd):
    top = v1("freezer")
    if not top:
        pytest.skip("no cgroup v1 here")
    dead = Dead("frozen")
    group = dead.group(top) / "below"
    group.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as frozen:
        (group / "cgroup.procs").write_text(str(frozen.pid))
        (group / "freezer.state").write_text("FROZEN")
        assert redd("clean").out == "Removed what a killed machine left: 1\n"
        assert frozen.wait(SOON_S) == -signal.SIGKILL
    assert not group.parent.exists()


@row("K19")
@pytest.mark.parametrize("name", ["tasks", "pids.max", "cgroup.procs", "memory.high"])
def test_a_machine_is_not_named_like_a_file_of_cgroups(redd, tree, name):
    """With such a name it would have no cgroup, so no limits, and its leftovers could not be removed."""
    redd.fails("run", "-q", "-D", tree, "-M", name, "/bin/true", says="no machine can be called")
    assert not Path("/run/redd/machines", name).exists()
