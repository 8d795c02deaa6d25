# SPDX-License-Identifier: LGPL-2.1-or-later
"""`exec` and `shell` among enemies: a machine that looks into who enters, and callers that are stopped or killed."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pexpect
import pytest
from attacks import make_tree, put, running
from helpers import session
from helpers.security import row
from helpers.waiting import wait_until

BOTH = pytest.mark.parametrize("users", ["pick", "no"])
NEEDLE = "needle-of-the-host"
CREDENTIALS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
# What one needs to become another user, and to signal it: bits of a set of capabilities.
TO_ENTER = {"CAP_KILL": 1 << 5, "CAP_SETGID": 1 << 6, "CAP_SETUID": 1 << 7}


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / f"{session.tag}-tree")


@contextlib.contextmanager
def entering(redd, victim, *words, program=("exec",), **options):
    """`redd exec` of a victim, beside the test."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options
    process = redd.start(*program, victim, *words, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(20)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def runs_inside(redd, victim, text):
    """The processes of a machine by their command lines, seen from the host."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            inside = os.readlink(folder / "ns/pid") == os.readlink(f"/proc/{victim.leader()}/ns/pid")
            if inside and text in (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                pids.append(int(folder.name))
    return pids


def children(pid):
    """By their states in proc(5): {pid: letter}."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(") ")[2].split()[:2]
            if int(parent) == pid:
                found[int(folder.name)] = state
    return found


def status_of(pid):
    return dict(re.findall(r"^(\w+):[ \t]*(.*?)[ \t]*$", Path(f"/proc/{pid}/status").read_text(), re.M))


# Who enters is looked at


@row("X02", "descriptors of the host leak in",
     "0, 1, 2 and nothing else: whoever enters is born with these; close-on-exec, then `close_range` at a start; none may be a folder; "
     "a detached supervisor closes what its caller had")  # fmt: skip
@row("X03", "the entering process is traced",
     "what is born in the machine has the ids, capabilities and filter that its program gets, and no descriptor, memory or environment of the "
     "host; who makes it is in the host's pid namespace. PID 1 of `--as-pid2` has CAP_KILL, the filter, and forgets its memory before the "
     "payload runs")  # fmt: skip
@pytest.mark.parametrize("user,dropped", [("root", {}), ("alice", {}), ("root", TO_ENTER)])
def test_nothing_can_be_taken_from_who_enters(redd, tree, user, dropped):
    """With CAP_SYS_PTRACE in the host's user namespace the kernel hides nothing of a process."""
    grab = put("grab", tree)
    options = ["--capability=CAP_SYS_PTRACE", *(f"--drop-capability={cap}" for cap in dropped)]
    with running(redd, tree, grab, NEEDLE, users="no", options=options) as victim:
        for _ in range(60):
            redd.run("exec", f"--uid={user}", victim, "/bin/true", env={"NEEDLE": NEEDLE})
        program = redd("exec", f"--uid={user}", victim, "/bin/cat", "/proc/self/status").out
        Path(f"/proc/{victim.leader()}/root/tmp/stop").touch()
        victim.process.wait(30)
        said = victim.process.stdout.read()
    assert int(re.search(r"met (\d+)", said).group(1)) > 0 and "memory opened" in said, f"the attack saw nobody: it tests nothing\n{said}"
    others = {line for line in said.splitlines() if re.match(r"descriptor (?![012] (pipe:|/dev/null))", line)}
    # The one that the program is going to be in.
    assert not others - {"descriptor 3 directory of the machine"}, others
    assert "needle" not in said and "environment" not in said, said
    born, runs = ({name: set(re.findall(rf"^{name}:[ \t]*(.*?)[ \t]*$", text, re.M)) for name in CREDENTIALS} for text in (said, program))
    assert born == runs
    assert not int(runs["CapBnd"].pop(), 16) & sum(dropped.values()), "the machine has what the test is about"


@row("X03")
def test_nothing_can_be_taken_from_the_stub(redd, tree):
    grab = put("grab", tree)
    options = ["--as-pid2", "--capability=CAP_SYS_PTRACE", "--private-users=no", "--private-network"]
    # Its own path as well, which the plan holds: not every secret is in the environment.
    for needle in (NEEDLE, str(tree)):
        said = redd("run", "-q", "-D", tree, *options, grab, needle, "1", env={"NEEDLE": needle}).out
        assert "memory opened" in said, said
        assert "needle" not in said and "environment" not in said and "descriptor" not in said, said


STOP_ALL = ["/bin/sh", "-c", "while :; do kill -STOP -1 2>/dev/null; done"]


@contextlib.contextmanager
def held_on_the_way(redd, victim):
    """`redd exec`, its waiter, the maker, and a process inside that a machine of STOP_ALL has stopped before it has executed."""

    def look():
        for waiter in children(process.pid):
            for inside, state in children(waiter).items():
                makers = set(children(waiter)) - {inside}
                if state == "T" and makers and status_of(inside)["Name"] == "redd-enter":
                    return waiter, makers.pop(), inside
        return runs_inside(redd, victim, "sleep 6666")

    for _ in range(50):
        with entering(redd, victim, "/bin/sleep", "6666") as process:
            found = wait_until(look, "it is stopped, or has executed")
            if isinstance(found, tuple):
                yield process, *found
                return
    pytest.fail("nobody is caught on the way: the test tests nothing")


@row("X03")
@pytest.mark.parametrize("who", ["client", "waiter", "maker"])
def test_nobody_is_left_on_the_way(redd, tree, who):
    """Of those outside who wait for each other none goes on without the others, whichever is killed."""
    with running(redd, tree, *STOP_ALL, users="no") as victim, held_on_the_way(redd, victim) as (process, waiter, maker, inside):
        assert os.readlink(f"/proc/{maker}/ns/pid") == os.readlink("/proc/self/ns/pid"), "the machine can name who makes its processes"
        os.kill({"client": process.pid, "waiter": waiter, "maker": maker}[who], signal.SIGKILL)
        assert process.wait(30) != 0
        assert who == "client" or "killed on the way" in process.stdout.read()
        # Inside, one that was stopped before it asked to end with its parent is left to the machine.
        pids = (waiter, maker, inside) if who == "maker" else (waiter, maker)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "they have ended")


@row("X17")
@BOTH
def test_waiter_keeps_nothing(redd, tree, users):
    with running(redd, tree, users=users) as victim, entering(redd, victim, "/bin/sh", "-c", "echo on; exec sleep 1000") as process:
        assert process.stdout.readline() == "on\n"
        (waiter,) = children(process.pid)
        wait_until(lambda: not os.listdir(f"/proc/{waiter}/fd"), "it has let go")
        status = wait_until(lambda: (now := status_of(waiter))["NoNewPrivs"] == "1" and now, "nothing comes back by an exec")
        kill = TO_ENTER["CAP_KILL"]
        wait_until(lambda: int(status_of(waiter)["CapPrm"], 16) == int(status_of(waiter)["CapEff"], 16) == kill, "it can signal, and nothing else")
        assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
        assert len(children(waiter)) == 1, "who made the process has ended"
        assert os.readlink(f"/proc/{waiter}/cwd") == "/"
        for kind in os.listdir("/proc/self/ns"):
            assert os.readlink(f"/proc/{waiter}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}"), f"it is in the machine's {kind} namespace"


def keys_of_users():
    """How many keys each user of the host has, machines' users too: a keyring is counted for its owner."""
    return {int(line.split(":")[0]): int(line.split()[2].split("/")[0]) for line in Path("/proc/key-users").read_text().splitlines()}


@row("X04")
@BOTH
def test_session_keyring_is_the_users(redd, tree, users):
    """Of the machine's own user, not of the host's root, whose quota it would use."""
    if not Path("/proc/key-users").exists():
        pytest.skip("this kernel has no keys")
    with running(redd, tree, users=users) as victim:
        shift = int(Path(f"/proc/{victim.leader()}/uid_map").read_text().split()[1])
        for user, uid in (("root", shift), ("alice", shift + 1000)):
            if uid == 0:
                continue
            before = keys_of_users().get(uid, 0)
            with entering(redd, victim, "/bin/sh", "-c", "echo on; exec sleep 1000", program=["exec", f"--uid={user}"]) as process:
                assert process.stdout.readline() == "on\n"
                assert keys_of_users().get(uid, 0) == before + 1, f"{user} has no keyring of its own"


# Standard streams

FORGE = """
exec 3<>/proc/self/fd/1 && echo reopened >&2
: > /proc/self/fd/1
busybox truncate -s 0 /proc/self/fd/1
echo said
"""


@row("X18", "the caller's own files as standard streams: truncated, opened anew, locked",
     "`exec` and `shell` copy through pipes; the files themselves only with `--pass-stdio`")  # fmt: skip
@BOTH
def test_files_of_the_caller_stay_out(redd, tree, tmp_path, users):
    log = tmp_path / "log"
    log.write_text("old line\n")
    with running(redd, tree, users=users) as victim, log.open("a") as out:
        with entering(redd, victim, "/bin/sh", "-c", "busybox readlink /proc/self/fd/1;" + FORGE, stdout=out, stderr=subprocess.DEVNULL) as process:
            process.wait(30)
    first, second, *rest = log.read_text().splitlines()
    assert first == "old line" and second.startswith("pipe:") and rest[-1] == "said"


@BOTH
def test_pass_stdio_passes_the_files(redd, tree, tmp_path, users):
    log = tmp_path / "log"
    with running(redd, tree, users=users) as victim, log.open("w") as out:
        script = "busybox readlink /proc/self/fd/1"
        subprocess.run([redd.path, "exec", "--pass-stdio", victim.name, "/bin/sh", "-c", script], stdin=subprocess.DEVNULL, stdout=out, check=True, timeout=60)
    assert not log.read_text().startswith("pipe:")


@BOTH
@pytest.mark.parametrize("user", ["root", "alice"])
def test_streams_can_be_opened_by_their_names(redd, tree, users, user):
    """Scripts do; the pipes belong to their user."""
    with running(redd, tree, users=users) as victim:
        done = redd("exec", f"--uid={user}", victim, "/bin/sh", "-c", "echo out > /proc/self/fd/1; echo err > /proc/self/fd/2; cat /proc/self/fd/0", stdin="in\n")
    assert done.out == "out\nin\n" and done.err == "err\n"


def piped(redd, victim, script, **options):
    command = [redd.path, "exec", victim.name, "/bin/sh", "-c", script]
    return subprocess.run(command, timeout=120, check=False, **{"capture_output": True} | options)


def test_binary_data_and_exit_status(redd, tree):
    data = os.urandom(8 << 20)
    with running(redd, tree) as victim:
        done = piped(redd, victim, "cat; exit 7", input=data)
        assert done.returncode == 7 and done.stdout == data and not done.stderr
        done = piped(redd, victim, "busybox dd if=/dev/zero bs=1k count=20000 2>/dev/null; echo err >&2", stdin=subprocess.DEVNULL)
        assert done.stdout == bytes(20_480_000) and done.stderr == b"err\n"


def test_ends_of_streams(redd, tree):
    with running(redd, tree) as victim:
        assert piped(redd, victim, "cat; echo end", stdin=subprocess.DEVNULL).stdout == b"end\n"
        # The program goes on without its input, and is not asked to read all of it.
        assert piped(redd, victim, "exec <&-; echo on; sleep 1; exit 3", input=bytes(4 << 20)).returncode == 3
        # Closed streams of the caller are none of the machine's.
        assert os.system(f"'{redd.path}' exec {victim} /bin/sh -c 'cat; exit 5' <&- >&- 2>&-") >> 8 == 5
        # The reader sees the end of the output while the program still runs.
        with entering(redd, victim, "/bin/sh", "-c", "echo last; exec >&- 2>&-; exec sleep 1000", stderr=subprocess.DEVNULL) as process:
            assert process.stdout.read() == "last\n" and process.poll() is None


@pytest.mark.parametrize("stream,where", [("output", ">/dev/full"), ("output", ">&-"), ("error", "2>/dev/full")])
@pytest.mark.parametrize("script", ["echo few", "busybox dd if=/dev/zero bs=1k count=1000 2>/dev/null", "exit 3"])
def test_output_that_is_lost_is_told(redd, tree, stream, where, script):
    """As a program of one's own would: a full disk below `redd exec m dump > file` must not look like success."""
    inside = script if stream == "output" else f"({script}) >&2"
    with running(redd, tree) as victim:
        argv = ["/bin/sh", "-c", f'"$0" "$@" {where}', redd.path, "exec", victim.name, "/bin/sh", "-c", inside]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if script == "exit 3":
        assert done.returncode == 3 and not done.stderr
        return
    assert done.returncode != 0
    if stream == "output":
        assert "write standard output of the command" in done.stderr


def test_reader_that_goes_away(redd, tree):
    """SIGPIPE reaches the program: 128 + 13."""
    with running(redd, tree) as victim:
        with entering(redd, victim, "/bin/busybox", "yes", stderr=subprocess.DEVNULL) as process:
            assert process.stdout.readline() == "y\n"
            process.stdout.close()
            assert process.wait(30) == 128 + signal.SIGPIPE


def test_both_directions_wait_for_their_readers(redd, tree):
    """Nobody reads the output until all of the input is written: what does not fit waits, and nothing is lost."""
    data = os.urandom(1 << 20)
    with running(redd, tree) as victim:
        with entering(redd, victim, "/bin/cat", stdin=subprocess.PIPE, text=False, stderr=subprocess.DEVNULL) as process:
            os.set_blocking(process.stdin.fileno(), False)
            written = 0

            def write_more():
                nonlocal written
                with contextlib.suppress(BlockingIOError):
                    written += os.write(process.stdin.fileno(), data[written:])
                return written

            while True:
                before = written
                time.sleep(0.2)
                if write_more() == before:
                    break
            assert 0 < written < len(data), "something between them reads without a bound"
            got = b""
            while written < len(data) or len(got) < len(data):
                if written < len(data):
                    write_more()
                    if written == len(data):
                        process.stdin.close()
                got += os.read(process.stdout.fileno(), 65536)
            assert got == data and process.wait(30) == 0


# What is left behind

# More than all pipes, terminals and buffers on the way hold together.
HELD_MAX = 1 << 20
LEAVE_WRITER = "trap '' HUP PIPE; (while :; do busybox yes; done) & busybox sleep 1; : > /tmp/over; exit 7"


def read_rest(victim, read, limit=HELD_MAX):
    """Nothing is read until the program has ended and its writer goes on: what comes then was held on the way."""
    wait_until(Path(f"/proc/{victim.leader()}/root/tmp/over").exists, "the program has ended")
    size = 0
    while chunk := read():
        size += len(chunk)
        assert size < limit, "it copies for as long as somebody writes"
    assert size > 0


@row("X19", "a process that is left behind writes for ever, and its caller with it",
     "when the program has ended, what is in the pipe or terminal then is copied, and no more")  # fmt: skip
def test_left_behind_writer_keeps_no_relay(redd, tree):
    with running(redd, tree) as victim:
        with entering(redd, victim, "/bin/sh", "-c", LEAVE_WRITER, stderr=subprocess.DEVNULL, text=False) as process:
            read_rest(victim, lambda: time.sleep(0.2) or process.stdout.read1(1 << 16))
            assert process.wait(60) == 7


@row("X19")
def test_left_behind_writer_keeps_no_terminal(redd, tree):
    def read():
        try:
            return child.read_nonblocking(1 << 16)
        except pexpect.EOF:
            return ""

    with running(redd, tree) as victim:
        # The kernel hangs the terminal up with its session: it has to be opened anew.
        again = "trap '' HUP; for n in 1 2 3 4 5 6 7 8; do while :; do busybox yes > $T; done & done; wait"
        script = f"export T=$(busybox readlink /proc/self/fd/0); busybox setsid sh -c '{again.replace(chr(39), chr(34))}' & {LEAVE_WRITER}"
        child = pexpect.spawn(redd.path, ["exec", victim.name, "/bin/sh", "-c", script], timeout=60, encoding="utf-8")
        # A terminal that is not read ends a session by itself, so this one is, also a moment before the end.
        read_rest(victim, read, limit=64 * HELD_MAX)
        child.close()
        assert child.exitstatus == 7


# Callers that are stopped or killed


def end_by_terminate(redd, victim, process):
    redd("terminate", victim, timeout=60)


def end_by_stop(redd, victim, process):
    redd("stop", "--timeout=2s", victim, timeout=60)


def end_from_inside(redd, victim, process):
    """PID 1 ends by itself: nobody outside has killed a thing."""
    Path(f"/proc/{victim.leader()}/root/tmp/end").touch()


@row("X17", "a stopped client of `exec` keeps the machine from ending: the kernel waits for its process to be reaped",
     "a waiter of our own reaps, which no ^Z reaches, with CAP_KILL and nothing else; who holds an end up all the same is named")  # fmt: skip
@BOTH
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
@pytest.mark.parametrize("end", [end_by_terminate, end_by_stop, end_from_inside])
def test_client_holds_up_no_end(redd, tree, users, how, end):
    init = ["/bin/sh", "-c", "until [ -e /tmp/end ]; do sleep 0.1; done"]
    with running(redd, tree, *init, users=users) as victim:
        with entering(redd, victim, "/bin/sh", "-c", "echo on; exec sleep 1000") as process:
            assert process.stdout.readline() == "on\n"
            os.kill(process.pid, how)
            end(redd, victim, process)
            victim.process.wait(60)
            assert redd.run("show", victim).code != 0


@row("X17")
def test_stopped_job_holds_up_no_end(redd, tree):
    """^Z stops a group of processes, not one: the waiter is in none of the caller's."""
    init = ["/bin/sh", "-c", "until [ -e /tmp/end ]; do sleep 0.1; done"]
    with running(redd, tree, *init) as victim:
        with entering(redd, victim, "/bin/sh", "-c", "echo on; exec sleep 1000", start_new_session=True) as process:
            assert process.stdout.readline() == "on\n"
            os.killpg(process.pid, signal.SIGSTOP)
            end_from_inside(redd, victim, process)
            victim.process.wait(60)


@row("X15", "the program of `exec` goes on when its client was killed",
     "SIGHUP to it and its group, SIGKILL five seconds later; what has gone into a session of its own stays")  # fmt: skip
@BOTH
def test_program_ends_with_its_client(redd, tree, users):
    script = "busybox setsid sleep 3333 </dev/null >/dev/null 2>&1 & sleep 1111 & trap '' HUP; echo on; while :; do sleep 2222; done"
    with running(redd, tree, users=users) as victim:
        with entering(redd, victim, "/bin/sh", "-c", script) as process:
            assert process.stdout.readline() == "on\n"
            wait_until(lambda: all(runs_inside(redd, victim, text) for text in ("sleep 1111", "sleep 2222", "sleep 3333")), "all run")
            process.kill()
            wait_until(lambda: not runs_inside(redd, victim, "sleep 1111") and not runs_inside(redd, victim, "sleep 2222"), "all but one have ended")
            assert runs_inside(redd, victim, "sleep 3333"), "it had detached itself"


@row("X15")
@BOTH
def test_session_on_a_terminal_ends_with_its_client(redd, tree, users):
    with running(redd, tree, users=users) as victim:
        child = pexpect.spawn(redd.path, ["exec", victim.name, "/bin/sh", "-c", "echo o''n; exec sleep 4444"], timeout=60, encoding="utf-8")
        child.expect("on")
        wait_until(lambda: runs_inside(redd, victim, "sleep 4444"), "it runs")
        child.kill(signal.SIGKILL)
        wait_until(lambda: not runs_inside(redd, victim, "sleep 4444"), "it has ended")
        child.close()


@row("X17")
def test_who_holds_an_end_up_is_named(redd, tree):
    """What somebody on the host has put into a machine by other means is theirs to reap."""
    with running(redd, tree, stderr=subprocess.STDOUT) as victim:
        intruder = subprocess.Popen(["nsenter", "--pid", "--target", str(victim.leader()), "sleep", "5555"])
        try:
            inside = wait_until(lambda: runs_inside(redd, victim, "sleep 5555"), "it is inside")[0]
            intruder.send_signal(signal.SIGSTOP)
            ending = redd.start("terminate", victim)
            words = f"process {inside}, which {intruder.pid} (nsenter) has not reaped"
            wait_until(lambda: words in redd("status", victim).out, "status names it")
            assert ending.poll() is None
            line = next(line for line in iter(victim.process.stdout.readline, "") if "waits for" in line)
            assert words in line
        finally:
            intruder.send_signal(signal.SIGCONT)
            intruder.wait(20)
        ending.communicate(timeout=60)
        victim.process.wait(60)
