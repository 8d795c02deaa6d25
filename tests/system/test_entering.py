# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a process that enters a running machine brings along: `exec` and `shell` (rows X01 to X07)."""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import struct
from pathlib import Path

import pytest
from helpers import session, trees
from helpers.waiting import wait_until

NAME = "entered"
F_OFD_SETLK = 37
BOTH = pytest.mark.parametrize("users", ["pick", "no"])
# Watches every new process of the machine and tries to read what it has of the host.
SPY = """
while :; do
    for p in /proc/[0-9]*; do
        for fd in $p/fd/*; do
            target=$(busybox readlink $fd 2>/dev/null) || continue
            case $target in pipe:*|/dev/*|/seen|/proc/*|socket:*|/bin/*) ;; *) echo "$p $target" >> /seen ;; esac
        done
        busybox cat $p/exe 2>/dev/null | busybox head -c 0
    done
done
"""


@pytest.fixture
def tree(tmp_path):
    return trees.make_busybox(tmp_path / session.own_name("tree"))


@pytest.fixture
def running(redd, tree):
    """running(users, script) starts a machine that runs the script."""
    started = []

    def start(users, script="while :; do sleep 1; done"):
        argv = ["run", "-q", "-P", "-M", NAME, "-D", tree, f"--private-users={users}", "--private-network", "/bin/sh", "-c", script]
        started.append(redd.start(*argv))
        wait_until(lambda: redd.run("exec", NAME, "/bin/true").code == 0, "the machine can be entered")

    yield start
    redd.run("terminate", NAME)
    for process in started:
        process.wait(timeout=10)
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


@BOTH
def test_descriptors(redd, running, users):
    """X02. The fourth descriptor is ls's own."""
    running(users)
    assert redd("exec", NAME, "/bin/ls", "/proc/self/fd").out.split() == ["0", "1", "2", "3"]


@BOTH
def test_state_of_the_process(redd, running, users):
    """X04, X06."""
    running(users)
    out = redd("exec", NAME, "/bin/sh", "-c", "/bin/cat /proc/self/status; /bin/env", env={"SECRET": "of the host"}).out
    leader = re.search(r"^Leader=(\d+)$", redd("show", NAME).out, re.M).group(1)
    bounding = re.search(r"^CapBnd:\t(\w+)$", Path(f"/proc/{leader}/status").read_text(), re.M).group(1)
    status = dict(re.findall(r"^(\w+):\t(.*)$", out, re.M))
    assert status["CapBnd"] == bounding and int(status["CapInh"], 16) == 0 and int(status["CapAmb"], 16) == 0
    assert status["Groups"].strip() in ("", "0") and status["SigBlk"] == "0" * 16 and status["Seccomp"] == "2"
    assert "SECRET" not in out


def test_user_and_groups(redd, running):
    """X05, X06: by name with the groups of the guest's files; by number; unknown is refused, not root."""
    running("pick")
    assert redd("exec", "--uid=alice", NAME, "/bin/id").out.strip() == "uid=1000(alice) gid=1000(alice) groups=10(wheel),1000(alice)"
    assert "uid=1000(alice)" in redd("exec", "--uid=1000", NAME, "/bin/id").out
    for user in ("nobody-here", "4321", "-1", "4294967295", "99999999999", "1000x"):
        result = redd.run("exec", f"--uid={user}", NAME, "/bin/id")
        assert result.code in (1, 2) and result.err.strip() and not result.out, result


@BOTH
def test_nothing_is_readable_on_the_way(redd, running, tree, users):
    """X03: a spy in the machine finds no descriptor of the host in 40 entering processes."""
    running(users, SPY)
    for _ in range(40):
        redd("exec", NAME, "/bin/true")
    assert not (tree / "seen").exists(), (tree / "seen").read_text()


@BOTH
def test_program_is_not_overwritten(redd, running, tree, users):
    """X01: attacks by executing /proc/self/exe, and by writing to the exe of a process that enters."""
    before = hashlib.sha256(Path(redd.path).read_bytes()).digest()
    (tree / "bin/evil").write_text("#!/proc/self/exe\n")
    (tree / "bin/evil").chmod(0o755)
    script = "while :; do for p in /proc/[0-9]*; do ( echo x >> $p/exe ) 2>/dev/null && echo $p >> /seen; done; done"
    busybox = (tree / "bin/busybox").read_bytes()
    running(users, script)
    for _ in range(20):
        redd.run("exec", NAME, "/bin/evil")
        redd.run("exec", NAME, "/proc/self/exe")
    assert hashlib.sha256(Path(redd.path).read_bytes()).digest() == before
    assert (tree / "bin/busybox").read_bytes() == busybox


def test_exit_codes(redd, running):
    running("pick")
    assert redd.run("exec", NAME, "/bin/sh", "-c", "exit 42").code == 42
    assert redd.run("exec", NAME, "/bin/sh", "-c", "kill -TERM $$").code == 128 + signal.SIGTERM
    assert redd.run("exec", NAME, "/not/there").code == 127
    assert redd.run("shell", NAME, "/bin/sh", "-c", "exit 3").code == 3


def test_machine_without_pid_1(redd):
    """A supervisor that has claimed its name and not gone on yet: because of its lock, the machine counts as alive."""
    folder = Path("/run/redd/machines/claimed")
    folder.mkdir(parents=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        for words in (("exec", "claimed", "true"), ("shell", "claimed")):
            result = redd.fails(*words, says="machine claimed has no PID 1 at the moment: it is starting")
            assert "hint: try again" in result.err
    finally:
        os.close(lock)
        shutil.rmtree(folder)
