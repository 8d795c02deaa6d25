# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A fault at every system call: for each verb that changes something, counts the calls of a run, and then lets the N-th of
them fail, or kill the process that makes it (tests/tools/inject.c has one count for all processes of redd). In each case the
command must end, with success or a message; the next commands clean up; other machines are unharmed; then the verb works.

    REDD_SWEEP=all      every call; a number: that many calls for each verb and fault; @278,280: these. See tests/sweep.md
    REDD_SWEEP_FAULTS="EIO KILL"    only these faults
    REDD_SWEEP_LOG=F    writes a line for each point to F
"""

import itertools
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from helpers import command, leftovers, session, trees

FAULTS = os.environ.get("REDD_SWEEP_FAULTS", "KILL EIO ENOMEM EINTR ENOSPC").split()
SAMPLES = 2
TIMEOUT_S = 30
POOL = Path("/var/lib/machines")
INJECT = command.program().parents[1] / "tests/tools/inject"

# An init that ends as soon as it is asked.
INIT = """#!/bin/busybox sh
trap 'exit 0' TERM
while :; do busybox sleep 1000 & wait $!; done
"""

pytestmark = pytest.mark.skipif(not INJECT.exists(), reason="no tests/tools/inject beside redd")


# unlink, unlinkat and rmdir of x86_64 and arm64: the one file that could not be removed may stay.
REMOVALS = {"x86_64": ("87", "263", "84"), "aarch64": ("35",)}.get(os.uname().machine, ())


class Outcome:
    def __init__(self, code, err, report):
        self.code, self.err = code, err
        self.calls = int(re.search(r"^calls (\d+)$", report, re.M)[1])
        self.hit = (re.search(r"^hit (\d+)$", report, re.M) or [None, None])[1]


class Scene:
    """A verb and its environment: `prepare` runs before each point, `settle` after it."""

    def __init__(self, redd, machines, tmp_path):
        self.redd, self.tmp_path = redd, tmp_path
        self.machine = machines.claim(machines.fresh_name("sweep"))
        self.bystander = machines.claim(machines.fresh_name("bystander"))
        for one in (self.machine, self.bystander):
            trees.make_busybox(one.root)
            (one.root / "sbin").mkdir()
            init = one.root / "sbin/init"
            init.write_text(INIT)
            init.chmod(0o755)
            (one.root / "bin/login").write_text("#!/bin/busybox sh\nwhile read -r line; do :; done\n")
            (one.root / "bin/login").chmod(0o755)
            Path(f"/etc/systemd/nspawn/{one}.nspawn").write_text("[Exec]\nKillSignal=SIGTERM\n")
        redd("start", self.bystander)
        self.bystander_leader = self.bystander.leader()

    # To be overridden.

    def prepare(self):
        pass

    def argv(self):
        raise NotImplementedError

    def followed(self):
        """A running process that does part of the work."""
        return None

    def settle(self):
        pass

    def normal(self):
        """Runs the verb without fault; it must work as usual."""
        self.prepare()
        self.redd(*self.argv())
        self.settle()

    # Common to all scenes.

    def inject(self, number, fault, stdin=subprocess.DEVNULL):
        report = self.tmp_path / "report"
        report.unlink(missing_ok=True)
        options = ["-n", number, "-e", fault, "-t", TIMEOUT_S, "-r", report]
        if self.followed():
            options += ["-p", self.followed()]
        argv = [str(word) for word in (INJECT, *options, self.redd.path, *self.argv())]
        # A file, not a pipe, which a supervisor would keep open.
        with open(self.tmp_path / "said", "w+", encoding="utf-8", errors="replace") as said:
            code = subprocess.run(argv, stdin=stdin, stdout=said, stderr=said, timeout=TIMEOUT_S * 2, check=False).returncode
            said.seek(0)
            return Outcome(code, said.read(), report.read_text())

    def leave_nothing(self, before):
        """The next commands, whatever they are, clean up."""
        self.redd("list")
        self.redd.run("clean")
        return leftovers.difference(before, timeout_s=5)

    def harm(self):
        return "" if self.bystander.leader() == self.bystander_leader else "another machine is gone"


class Start(Scene):
    def argv(self):
        return ["start", self.machine]

    def settle(self):
        self.redd.run("terminate", self.machine)


class Run(Scene):
    def argv(self):
        return ["run", "-q", "-x", "-U", "-M", self.machine, f"--network-zone={self.machine.name[-9:]}", "--port=tcp:18081:80", "/bin/busybox", "true"]


class OnRunning(Scene):
    def prepare(self):
        if not self.machine.is_running():
            self.redd("start", self.machine)
        self.leader = self.machine.leader()

    def settle(self):
        self.redd.run("terminate", self.machine)

    def supervisor(self):
        return int(self.machine.property("Supervisor") or 0)


class Stop(OnRunning):
    def argv(self):
        # A machine that could not be asked to stop is then killed.
        return ["stop", "--timeout=4s", self.machine]

    def followed(self):
        return self.supervisor()


class Exec(OnRunning):
    def argv(self):
        return ["exec", self.machine, "/bin/busybox", "true"]

    def settle(self):
        assert self.machine.leader() == self.leader, "the machine is gone"


class Shell(Exec):
    def argv(self):
        return ["shell", self.machine, "/bin/busybox", "true"]


class Login(Exec):
    """Runs on a terminal that is hung up after a while."""

    def argv(self):
        return ["login", self.machine]

    def inject(self, number, fault, stdin=None):
        master, slave = os.openpty()
        # Three times ^] detaches; repeated, since the fault may hit one.
        done = threading.Event()

        def leave():
            while not done.wait(0.2):
                os.write(master, b"\x1d\x1d\x1d")

        leaver = threading.Thread(target=leave)
        leaver.start()
        try:
            return super().inject(number, fault, stdin=slave)
        finally:
            done.set()
            leaver.join()
            os.close(slave)
            os.close(master)

    def normal(self):
        assert self.inject(0, "EIO").code in (0, 1)


class PortAdd(OnRunning):
    def argv(self):
        return ["port", self.machine, "add", "18082:80"]

    def followed(self):
        return self.supervisor()

    def settle(self):
        self.redd.run("port", self.machine, "remove", "18082:80")
        if not self.machine.is_running():  # the fault hit its supervisor
            return
        self.redd("terminate", self.machine)


class Import(Scene):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.name = f"{session.tag}-imported"
        session.claimed_names.add(self.name)
        tree = self.tmp_path / "tree"
        trees.make_busybox(tree)
        os.link(tree / "etc/os-release" if (tree / "etc/os-release").exists() else tree / "bin/busybox", tree / "bin/last")
        self.archive = self.tmp_path / "archive.tar.gz"
        subprocess.run(["tar", "-C", tree, "-czf", self.archive, "."], check=True)

    def argv(self):
        return ["-q", "import-tar", self.archive, self.name]

    def settle(self):
        if (POOL / self.name).exists():
            assert (POOL / self.name / "bin/last").exists(), "half an image has its name"
        shutil.rmtree(POOL / self.name, ignore_errors=True)

    def leave_nothing(self, before):
        # The next import removes leftovers.
        self.redd("-q", "import-tar", self.archive, self.name)
        self.settle()
        return super().leave_nothing(before)


class Remove(Scene):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.name = f"{session.tag}-removed"
        session.claimed_names.add(self.name)
        self.settings = Path(f"/etc/systemd/nspawn/{self.name}.nspawn")

    def prepare(self):
        (POOL / self.name / "etc/deep/er").mkdir(parents=True, exist_ok=True)
        (POOL / self.name / "etc/file").write_text("x")
        self.settings.write_text("[Exec]\n")

    def argv(self):
        return ["remove", self.name]

    def settle(self):
        # What is left under the name can be removed; settings without an image may stay.
        if (POOL / self.name).exists():
            self.redd("remove", self.name)
        self.settings.unlink(missing_ok=True)


class Clean(Scene):
    def prepare(self):
        self.redd("start", self.machine)
        supervisor, leader = self.machine.property("Supervisor"), self.machine.leader()
        os.kill(int(supervisor), 9)
        deadline = time.monotonic() + 10
        while os.path.exists(f"/proc/{leader}") and time.monotonic() < deadline:
            time.sleep(0.01)

    def argv(self):
        return ["clean"]


SCENES = {"start": Start, "run": Run, "stop": Stop, "exec": Exec, "shell": Shell, "login": Login, "port add": PortAdd,
          "import": Import, "remove": Remove, "clean": Clean}  # fmt: skip


def points(first, calls, fault):
    """The numbers of the calls; in a sample, each fault gets different ones."""
    wanted = os.environ.get("REDD_SWEEP", str(SAMPLES))
    if wanted == "all":
        return range(first, calls + 1)
    if wanted.startswith("@"):
        return [int(number) for number in wanted[1:].split(",")]
    count = int(wanted)
    span = max(calls - first, 1)
    shift = FAULTS.index(fault) / len(FAULTS)
    return sorted({first + int((i + shift) * span / count) for i in range(count)})


def log_point(*words):
    if os.environ.get("REDD_SWEEP_LOG"):
        with open(os.environ["REDD_SWEEP_LOG"], "a", encoding="utf-8") as file:
            print(*words, file=file)


def stacks():
    """Kernel stacks of redd's processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(folder / "exe").endswith("/redd"):
                found.append(f"{folder.name}: {(folder / 'wchan').read_text()} {(folder / 'syscall').read_text().strip()} "
                             f"{(folder / 'cmdline').read_text()!r} {(folder / 'status').read_text().split('State:')[1].split(chr(10))[0]}")  # fmt: skip
        except OSError:
            continue
    return "\n".join(found)


def try_point(scene, before, number, fault):
    """What went wrong, or nothing."""
    scene.prepare()
    outcome = scene.inject(number, fault)
    wrong = []
    if outcome.code == 124:
        wrong.append("it hangs")
    elif outcome.code in (132, 133, 134, 135, 136, 139):
        wrong.append(f"it crashes: exit code {outcome.code}")
    elif fault != "KILL" and outcome.code not in (0, 137) and not outcome.err.strip():
        wrong.append(f"it fails without a word: exit code {outcome.code}")
    try:
        scene.settle()
    except AssertionError as error:
        wrong.append(f"settling: {error}")
    except subprocess.TimeoutExpired as error:
        wrong.append(f"the next command hangs: {error}\n{stacks()}")
        leftovers.sweep(before)
    found = scene.leave_nothing(before)
    if outcome.hit in REMOVALS and fault != "KILL" and set(found) == {"files"} and len(found["files"]) == 1:
        leftovers.sweep(before)
    elif found:
        wrong.append("left behind:\n" + leftovers.describe(found))
        leftovers.sweep(before)
    if scene.harm():
        wrong.append(scene.harm())
    return outcome, wrong


@pytest.mark.slow
@pytest.mark.parametrize("verb", SCENES)
def test_fault_at_any_call(redd, machines, tmp_path, verb):
    scene = SCENES[verb](redd, machines, tmp_path)
    try:
        problems = sweep(scene, verb)
    finally:
        redd.run("terminate", scene.machine)
        redd.run("terminate", scene.bystander)
    assert not problems, "\n\n".join(itertools.chain([f"{len(problems)} of the points:"], problems[:20]))


def loader_calls(redd):
    """The number of calls before main(), which aren't redd's own; zero for a static file."""
    done = subprocess.run([INJECT, "-n", "0", "-r", "/dev/stdout", redd.path, "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.split("calls ")[1])


def sweep(scene, verb):
    first = max(loader_calls(scene.redd) - 5, 1)
    scene.prepare()
    calls = scene.inject(0, "EIO").calls
    scene.settle()
    scene.redd("list")
    before = leftovers.snapshot()
    problems = []
    for fault in FAULTS:
        for number in points(first, calls, fault):
            outcome, wrong = try_point(scene, before, number, fault)
            log_point(verb, fault, number, "of", calls, "call", outcome.hit, "exit", outcome.code, *(wrong or ["fine"]))
            if wrong:
                problems.append(f"{verb}, {fault} at call {number} of {calls} (system call {outcome.hit}): {'; '.join(wrong)}\n{outcome.err}")
    scene.normal()
    return problems
