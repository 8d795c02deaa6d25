# SPDX-License-Identifier: LGPL-2.1-or-later
"""Supervisors killed at any moment, guests that don't end, floods, full disks: nothing hangs, and nothing is left behind."""

import os
import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import cgroups, kernel, leftovers, trees
from helpers.security import row
from helpers.waiting import wait_until

SAMPLES = 40
LOG_BYTES_MAX = 3 * 1024 * 1024


@pytest.fixture
def boot(redd, machines):
    """boot("script") starts a machine with busybox whose init is the script."""

    def make(script, *, options="", start=True, settings=""):
        machine = machines.claim(machines.fresh_name("f"))
        trees.make_busybox(machine.root)
        (machine.root / "sbin").mkdir()
        init = machine.root / "sbin/init"
        init.write_text(f"#!/bin/busybox sh\nexport PATH=/bin\nbusybox --install -s /bin 2>/dev/null\n{script}\n")
        init.chmod(0o755)
        if settings:
            Path(f"/etc/systemd/nspawn/{machine}.nspawn").write_text(settings)
        if start:
            redd("start", *options.split(), machine)
        return machine

    return make


HANGS = "trap '' TERM INT HUP\nwhile :; do sleep 1; done"
NEEDS_STRACE = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")


def supervisor_of(machine):
    return int(machine.property("Supervisor"))


def pids_of(machine):
    """The processes in the machine's cgroups, in all hierarchies."""
    found = set()
    for path in cgroups.folders():
        if f"/redd/{machine}" in path:
            try:
                found |= {int(line) for line in (Path(path) / "cgroup.procs").read_text().split()}
            except OSError:
                pass
    return found


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}")


# --- kill -9


def _trace(redd, machine, options, argv):
    """strace follows the supervisor and lives as long as the machine, so the machine is ended once it is up."""
    traced = subprocess.Popen(["strace", "-f", "-qq", *options, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while traced.poll() is None:
        assert time.monotonic() < deadline, "it hangs"
        if redd.run("show", machine, "-p", "State", "--value").out.strip() == "running":
            redd.run("terminate", machine)
        time.sleep(0.02)


def _count_calls(redd, machine, argv, tmp_path):
    trace = tmp_path / "trace"
    _trace(redd, machine, ["-o", trace], argv)
    by_pid = {}
    for line in trace.read_text(errors="replace").splitlines():
        pid = line.split(None, 1)[0]
        by_pid[pid] = by_pid.get(pid, 0) + ("resumed>" not in line)
    return by_pid


@row("S03", "stale state after a crash", "the lock tells who is alive; the next command cleans")
@row("S04")
@NEEDS_STRACE
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["start", "run", "run -x"])
def test_killed_at_any_system_call(redd, guest, tmp_path, mode):
    """Each process of a start is killed at one of its calls, in turn; then the next command cleans."""
    machine = guest("tiny")
    argv = {"start": [redd.path, "start", machine.name],
            "run": [redd.path, "run", "-q", "-M", machine.name, "-n", "/bin/true"],
            "run -x": [redd.path, "run", "-q", "-x", "-M", machine.name, "/bin/true"]}[mode]  # fmt: skip
    calls = max(_count_calls(redd, machine, argv, tmp_path).values())
    before = leftovers.snapshot()
    for i in range(SAMPLES):
        when = 1 + i * (calls + 20) // SAMPLES
        # strace counts per process: the process that first gets there dies.
        _trace(redd, machine, ["-o", "/dev/null", "-e", f"inject=all:signal=KILL:when={when}"], argv)
        redd("list")
        found = leftovers.difference(before)
        assert not found, f"killed at call {when}:\n{leftovers.describe(found)}"
    redd("start", machine)
    redd("stop", machine)


OPENING_CALLS = ("clone3", "dup", "epoll_create1", "fsmount", "fsopen", "memfd_create", "open_tree", "openat", "openat2",
                 "pidfd_open", "signalfd4", "socket", "socketpair")  # fmt: skip


@row("S04")
@NEEDS_STRACE
@pytest.mark.slow
def test_no_descriptor_for_any_call(redd, guest, tmp_path):
    """Each call of a run that opens something fails, in turn, also during cleanup: the run says so, and the next command cleans."""
    machine = guest("tiny")
    argv = [redd.path, "run", "-q", "-x", "-U", "-M", machine.name, f"--network-zone={machine.name[:9]}", "--port=tcp:18080:80", "/bin/true"]
    trace = tmp_path / "trace"
    subprocess.run(["strace", "-f", "-qq", "-o", trace, "-e", "trace=" + ",".join(OPENING_CALLS), *argv], stdin=subprocess.DEVNULL, check=True)
    calls = re.findall(r"^(\d+) +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE)
    before = leftovers.snapshot()
    for name in OPENING_CALLS:
        # strace counts per process.
        per_process = [sum(call == (pid, name) for call in calls) for pid in {pid for pid, _ in calls}]
        for when in range(1, max(per_process, default=0) + 1):
            failing = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:error=EMFILE:when={when}"]
            done = subprocess.run([*failing, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode in (0, 1) and (done.returncode == 0 or done.stderr.strip()), (name, when, done)
            redd("list")
            found = leftovers.difference(before)
            assert not found, f"{name}, call {when}: {done.stderr}\n{leftovers.describe(found)}"


@NEEDS_STRACE
@pytest.mark.parametrize("network", ["--private-network", "--network-veth"])
def test_what_a_failing_child_says_is_heard(redd, guest, network):
    """Also if the child ends before it reads the supervisor's message, or while the supervisor waits for its message."""
    argv = [redd.path, "run", "-q", "-P", "-M", guest("tiny").name, network, "/bin/true"]
    # The supervisor's first call checks for a terminal.
    failing = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=ioctl:error=EPERM:when=1"]
    done = subprocess.run([*failing, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and '"loopback' in done.stderr, done


@NEEDS_STRACE
def test_a_signal_costs_no_device_filter(redd, guest):
    """The kernel's verifier stops at a pending signal (EAGAIN), and expects a retry."""
    argv = [redd.path, "run", "-q", "-P", "-M", guest("tiny").name, "--private-users=no", "/bin/true"]
    # The first call only asks whether the kernel supports such filters.
    failing = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=bpf:error=EAGAIN:when=2..4"]
    done = subprocess.run([*failing, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and not done.stderr, done


@NEEDS_STRACE
def test_start_says_that_its_supervisor_was_killed(redd, guest):
    """As by the kernel when memory runs out: the client has to say so."""
    machine = guest("tiny")
    # The first call that only the supervisor makes.
    failing = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=signalfd4:signal=KILL"]
    done = subprocess.run([*failing, redd.path, "start", machine.name], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and f"the supervisor of machine {machine} was killed by signal KILL" in done.stderr, done
    redd("start", machine)
    redd("stop", machine)


@NEEDS_STRACE
def test_state_that_can_not_be_written_is_written_later(redd, guest, tmp_path):
    """If /run is full for a while, a running machine must not stay in state "starting"."""
    machine = guest("tiny")
    redd("start", machine)  # only the first write contains its addresses
    redd("stop", machine)
    trace = tmp_path / "trace"
    _trace(redd, machine, ["-o", trace, "-e", "trace=renameat"], [redd.path, "start", machine.name])
    calls = [line for line in trace.read_text().splitlines() if "renameat(" in line]
    # All are the supervisor's; for a guest without notifications the first says that it runs.
    first = next(number for number, line in enumerate(calls, 1) if '".state.' in line)
    inject = f"inject=renameat:error=ENOSPC:when={first}..{first + 1}"
    failing = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat", "-e", inject]
    with subprocess.Popen([*failing, redd.path, "start", machine.name], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as traced:
        try:
            wait_until(lambda: redd.run("show", machine, "-p", "State", "--value").out.strip() == "running", "the state")
        finally:
            redd("stop", machine)  # strace waits for it
        said = traced.communicate(timeout=30)[1]
    assert said.count(f"write the state of machine {machine}: No space left") == 1
    assert "write the state" in redd("logs", machine).out


@row("S04", "the supervisor dies, or is refused a descriptor at any call", "PID 1 dies with it; the next command cleans")
@pytest.mark.parametrize("how", ["tiny", "hangs", "clears the death signal"])
def test_payload_dies_with_its_supervisor(redd, guest, boot, how):
    machine = guest("tiny").start() if how == "tiny" else boot(HANGS)
    supervisor, leader = supervisor_of(machine), machine.leader()
    if how == "clears the death signal":
        os.kill(leader, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: is_gone(leader), "the payload's end")
    assert not machine.is_running()
    assert not os.path.exists(f"/run/redd/machines/{machine}"), "list has cleaned"
    assert not [path for path in cgroups.folders() if str(machine) in path]
    # The kernel removes a network namespace some time after its last process.
    wait_until(lambda: not any(name.startswith("ve-") for name in os.listdir("/sys/class/net")), "the interface's end")
    redd("start", machine)
    redd("terminate", machine)


def test_payload_that_outlives_its_supervisor_is_cleaned(redd, machines):
    """PID 1 can clear its parent-death signal: the next command ends it."""
    machine = machines.claim(machines.fresh_name("f"))
    trees.make_busybox(machine.root)
    (machine.root / "sbin").mkdir()
    trees.compile_static("#include <sys/prctl.h>\n#include <unistd.h>\nint main(void){prctl(PR_SET_PDEATHSIG, 0); for(;;) pause();}",
                         machine.root / "sbin/init")  # fmt: skip
    redd("start", machine)
    time.sleep(0.2)
    supervisor, leader = supervisor_of(machine), machine.leader()
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: is_gone(supervisor), "the supervisor's end")
    assert not machine.is_running()
    wait_until(lambda: is_gone(leader), "the payload's end")
    redd("start", machine)
    redd("terminate", machine)


def test_ephemeral_leftover_is_removed(redd, guest):
    machine = guest("busybox")
    payload = redd.start("run", "-q", "-x", "-M", machine, "/bin/sh", "-c", "echo x > /new; sleep 1000")
    scratch = Path("/var/lib/redd/ephemeral")
    wait_until(lambda: scratch.is_dir() and list(scratch.glob("*/upper/new")), "a change on disk")
    redd("list")
    assert list(scratch.iterdir()), "in use"
    payload.kill()
    payload.wait()
    redd("list")
    wait_until(lambda: redd("list") and not list(scratch.iterdir()), "the removal")


# --- payloads that don't end


@row("R07", "PID 1 ignores signals, is stopped or frozen", "asked to stop, then killed with its whole cgroup, which is thawed first")
@pytest.mark.parametrize("ask", ["stop", "restart"])
def test_init_that_ignores_everything(redd, boot, ask):
    machine = boot(HANGS, settings="[X-Redd]\nStopTimeoutSec=1\n")
    leader = machine.leader()
    began = time.monotonic()
    if ask == "stop":
        redd("stop", "--timeout=1s", machine)
        assert 0.9 < time.monotonic() - began < 30 and is_gone(leader)
    else:
        redd("restart", machine)
        machine.wait_for_new_leader(leader, timeout_s=10)
        redd("terminate", machine)
    assert "did not stop in time" in redd("logs", machine).out


@row("R07")
def test_stopped_init(redd, boot):
    machine = boot(HANGS)
    os.kill(machine.leader(), signal.SIGSTOP)
    began = time.monotonic()
    redd("stop", "--timeout=0.5s", machine)
    assert time.monotonic() - began < 30


@row("R07")
@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_frozen_cgroup(redd, guest, verb):
    top = cgroups.unified()
    if not top:
        pytest.skip("needs cgroup2")
    machine = guest("tiny").start()
    freeze = next(Path(path) for path in cgroups.folders() if path.startswith(str(top)) and path.endswith(f"/redd/{machine}")) / "cgroup.freeze"
    freeze.write_text("1")
    began = time.monotonic()
    redd(*([verb, "--timeout=0.5s"] if verb == "stop" else [verb]), machine)
    assert time.monotonic() - began < 30 and not machine.is_running()


@pytest.mark.parametrize("frozen", ["", "payload"])
def test_frozen_leftover_of_a_dead_supervisor(redd, guest, frozen):
    top = cgroups.unified()
    if not top:
        pytest.skip("needs cgroup2")
    machine = guest("tiny").start()
    folder = next(Path(path) for path in cgroups.folders() if path.startswith(str(top)) and path.endswith(f"/redd/{machine}")) / frozen
    (folder / "cgroup.freeze").write_text("1")
    supervisor = supervisor_of(machine)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: is_gone(supervisor), "the supervisor's end")
    redd("start", machine)
    redd("stop", machine)


@row("R01", "a fork bomb", "a limit of processes; the supervisor is not in it and can stop the machine")
def test_fork_bomb_is_stopped(redd, boot):
    machine = boot("bomb() { bomb | bomb & }\ntrap '' TERM\nsleep 1\nulimit -p 200\nbomb\nwhile :; do sleep 1; done", settings="[Exec]\nLimitNPROC=200\n")
    time.sleep(2)
    began = time.monotonic()
    redd("terminate", machine)
    assert time.monotonic() - began < 30 and not pids_of(machine)


def test_stop_twice_and_from_many(redd, boot):
    machine = boot(HANGS)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: redd.run("stop", "--timeout=1s", machine), range(8)))
    assert any(result.code == 0 for result in results)
    assert all(result.code == 0 or "is running" in result.err or "ended" in result.err for result in results), [str(r) for r in results]
    assert not machine.is_running()


# --- floods


def _rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


@row("T02", "the console is flooded and nobody reads", "log and back-scroll are bounded; the guest goes on, and redd's memory does not grow")
@pytest.mark.parametrize("what", ["yes", "yes | tr -d '\\n'", "cat /dev/zero", "cat /dev/urandom"])
def test_console_flood(redd, boot, what):
    machine = boot(f"trap 'exit 0' TERM USR2\n{what} &\nwhile :; do sleep 1; done")
    time.sleep(3)
    assert _rss_kib(supervisor_of(machine)) < 16 * 1024
    log = sum(path.stat().st_size for path in Path("/var/log/redd").glob(f"{machine}.log*"))
    assert log < 2 * LOG_BYTES_MAX + 1024 * 1024, log
    assert machine.is_running()
    assert len(redd("logs", "-n", "3", machine).out) < 1024 * 1024
    began = time.monotonic()
    redd("stop", "--timeout=2s", machine)
    assert time.monotonic() - began < 30


FLOOD = r"""
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* READY=1 over and over, with descriptors that nobody wants, and too long. */
int main(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	static char data[65536];
	union { char bytes[CMSG_SPACE(100 * sizeof(int))]; struct cmsghdr align; } control;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, "/run/host/notify");
	memset(data, 'x', sizeof(data));
	memcpy(data, "READY=1\n", 8);
	for (unsigned i = 0;; i++) {
		struct iovec iov = {data, i % 2 ? 8 : sizeof(data)};
		struct msghdr m = {.msg_name = &addr, .msg_namelen = sizeof(addr), .msg_iov = &iov, .msg_iovlen = 1,
				   .msg_control = &control, .msg_controllen = sizeof(control)};
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(100 * sizeof(int));
		for (int n = 0; n < 100; n++)
			((int *)CMSG_DATA(c))[n] = 0;
		(void)sendmsg(fd, &m, 0);
	}
}
"""


@row("T06")
def test_notify_flood_with_descriptors(redd, machines):
    machine = machines.claim(machines.fresh_name("f"))
    trees.make_busybox(machine.root)
    (machine.root / "sbin").mkdir()
    trees.compile_static(FLOOD, machine.root / "sbin/init")
    redd("start", machine)
    supervisor = supervisor_of(machine)
    time.sleep(2)
    assert len(os.listdir(f"/proc/{supervisor}/fd")) < 50, "descriptors are not kept"
    assert _rss_kib(supervisor) < 16 * 1024
    began = time.monotonic()
    redd("stop", "--timeout=1s", machine)
    assert time.monotonic() - began < 30


# --- a host that lacks


@row("F07", "a log folder that is read-only or missing", "the machine runs without a log, and says so")
def test_log_folder_cannot_be_written(redd, guest):
    machine = guest("tiny")
    kernel.mount("tmpfs", "/var/log/redd", "tmpfs", kernel.MS_RDONLY)
    try:
        redd("start", machine)
        assert machine.is_running()
        redd("stop", machine)
    finally:
        kernel.umount("/var/log/redd")


@row("F04")
def test_log_disk_is_full(redd, boot):
    kernel.mount("tmpfs", "/var/log/redd", "tmpfs", 0, "size=4k,nr_inodes=8")
    try:
        Path("/var/log/redd/filler").write_bytes(b"x" * 4096)
        machine = boot("trap 'exit 0' TERM USR2\ni=0; while [ $i -lt 500 ]; do echo line $i of many; i=$((i+1)); done\nwhile :; do sleep 0.1; done")
        assert machine.is_running()
        redd("stop", machine)
    finally:
        kernel.umount("/var/log/redd")


@row("F07")
def test_no_log_folder(redd, guest):
    machine = guest("tiny")
    shutil.rmtree("/var/log/redd/x", ignore_errors=True)
    redd("start", machine)
    redd("stop", machine)
    assert "powered off" in redd("logs", machine).out or "exited" in redd("logs", machine).out


@row("F08", "/run is wiped while a machine runs", "the supervisor has the files open; the machine can be ended and leaves nothing behind")
def test_run_folder_wiped(redd, guest):
    """A running machine has lost its registry entry: it isn't listed any more, but can be ended, and leaves nothing behind."""
    machine = guest("tiny").start()
    supervisor = supervisor_of(machine)
    shutil.rmtree("/run/redd")
    redd("list")
    result = redd.fails("start", machine)
    assert "in use" in result.err or "running" in result.err
    os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: is_gone(supervisor), "the supervisor's end")
    redd("start", machine)
    redd("stop", machine)


@row("S03")
def test_state_file_is_garbage(redd, guest):
    machine = guest("tiny").start()
    path = Path(f"/run/redd/machines/{machine}/state")
    for content in (b"", b"\0" * 100, b"leader=-1\nsupervisor=1\n", b"x" * 100000):
        path.write_bytes(content)
        for verb in ("list", "status", "show"):
            result = redd.run(verb, *([] if verb == "list" else [machine]), timeout=10)
            assert result.code in (0, 1), result
    redd("terminate", machine)


@pytest.mark.slow
def test_fifty_starts_at_once(redd, guest, machines):
    template = guest("tiny")
    names = [machines.claim(machines.fresh_name("many")) for _ in range(50)]
    for machine in names:
        subprocess.run(["cp", "-a", template.root, machine.root], check=True)
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda machine: redd.run("start", machine), names))
    assert all(result.code == 0 for result in results), [str(result) for result in results if result.code]
    shifts = {machine.property("UIDShift") for machine in names}
    assert len(shifts) == 50, "each has a range of its own"
    redd("stop", *names)
    assert redd("list", "--no-legend").out == ""


def test_many_restarts(redd, guest):
    machine = guest("tiny")
    for _ in range(20):
        redd("start", machine)
        redd("stop", machine)


@row("R11", "signals to the supervisor at any time", "its event loop handles each once; a second one speeds up the end")
def test_signals_to_a_supervisor(redd, guest):
    machine = guest("tiny").start()
    supervisor = supervisor_of(machine)
    for number in (signal.SIGPIPE, signal.SIGWINCH, signal.SIGCHLD, signal.SIGCONT):
        os.kill(supervisor, number)
    time.sleep(0.1)
    assert machine.is_running()
    os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: is_gone(supervisor), "a clean end on SIGTERM")


def test_stop_right_after_start(redd, guest):
    """The kernel drops signals for an init that has no handler yet, so redd has to repeat them."""
    machine = guest("busybox")
    for _ in range(4):
        redd("start", machine)
        began = time.monotonic()
        redd("stop", machine, timeout=30)
        assert time.monotonic() - began < 30
    assert "did not stop" not in redd("logs", machine).out
