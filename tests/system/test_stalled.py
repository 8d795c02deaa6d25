# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nobody can stall a supervisor: readers that stop reading, guests that don't take their input, silent clients."""

import fcntl
import os
import pty
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import tty
from pathlib import Path

import pytest
from helpers import trees
from helpers.security import row
from helpers.waiting import wait_until

ANSWER_S = 20
# 50 kB of numbered lines, so that missing ones are noticed.
PASTE = "".join(f"line {number:05} of the paste\n" for number in range(2000)).encode()
FLOOD = "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; echo zzz >&2; done"
NEEDS_STRACE = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")

# Reads that many bytes of standard input, slowly at first, and prints their length and checksum.
READER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
int main(int argc, char *argv[])
{
	long wanted = atol(argv[2]), got = 0;
	unsigned sum = 0;
	char data[512];
	struct termios t;

	tcgetattr(0, &t);
	if (!strcmp(argv[1], "raw"))
		cfmakeraw(&t);
	t.c_lflag &= ~ECHO;
	tcsetattr(0, TCSANOW, &t);
	printf("ready\r\n");
	fflush(stdout);
	while (got < wanted) {
		ssize_t n = read(0, data, sizeof(data));

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)data[i];
		got += n;
		if (got < 20000)
			usleep(5000);
	}
	printf("got %ld sum %u end\r\n", got, sum);
	fflush(stdout);
	return 0;
}
"""


def checksum(data):
    total = 0
    for byte in data:
        total = (total * 31 + byte) & 0xFFFFFFFF
    return total


class Stalled:
    """`redd run` whose output is a pipe, unread until drain()."""

    def __init__(self, redd, machine, *argv, console, terminal=False):
        self.read_fd, write_fd = pty.openpty() if terminal else os.pipe()
        if terminal:
            tty.setraw(write_fd)
        else:
            fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, 4096)
        stdin = write_fd if terminal else subprocess.DEVNULL
        self.process = subprocess.Popen(
            [redd.path, "run", "-M", str(machine), f"--console={console}", *argv], stdin=stdin, stdout=write_fd, stderr=write_fd, start_new_session=True
        )
        os.close(write_fd)

    def drain(self):
        """Reads and returns all remaining output."""
        chunks = []
        while True:
            try:
                chunk = os.read(self.read_fd, 65536)
            except OSError:  # end of file of a terminal
                chunk = b""
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.read_fd)


@pytest.fixture
def stalled(redd):
    made = []

    def make(*args, **options):
        made.append(Stalled(redd, *args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return trees.compile_static(READER, tmp_path_factory.mktemp("reader") / "reader")


@pytest.fixture
def box(machines, reader):
    """A machine with busybox and a program that reads its input."""
    machine = machines.claim(machines.fresh_name("s"))
    trees.make_busybox(machine.root)
    shutil.copy(reader, machine.root / "reader")
    return machine


def wait_for_full_pipe(fd):
    """Waits until nothing more fits in."""
    waiting = lambda: struct.unpack("i", fcntl.ioctl(fd, 0x541B, b"\0" * 4))[0]  # FIONREAD
    seen = [0]

    def is_full():
        seen.append(waiting())
        return seen[-1] > 0 and seen[-1] == seen[-2]

    wait_until(is_full, "the pipe is full", interval_s=0.3)


# --- output that nobody reads


@row("R20", "the reader of `redd run` stops reading",
     "redd writes without blocking; the rest waits in a bounded queue, and when that is full, the guest's writer waits")  # fmt: skip
@pytest.mark.parametrize(
    ("console", "terminal", "end"),
    [
        ("interactive", False, "stop"),
        ("interactive", True, "terminate"),
        ("read-only", False, "terminate"),
        ("read-only", True, "stop"),
        ("passive", False, "stop"),
        ("pipe", False, "stop"),
    ],
)
def test_stalled_reader(redd, box, stalled, console, terminal, end):
    run = stalled(box, "/bin/busybox", "sh", "-c", FLOOD, console=console, terminal=terminal)
    wait_until(lambda: box.leader() > 0, "it runs")
    if console != "passive":
        wait_for_full_pipe(run.read_fd)
    for verb in (["list"], ["status", str(box)]):
        assert redd.run(*verb, timeout=ANSWER_S).code == 0
    # It has to print that it kills the machine, to a standard error that is full.
    options = ["--timeout=1s"] if end == "stop" else []
    assert redd.run(end, *options, box, timeout=ANSWER_S).code == 0
    assert not box.is_running()
    # Its output is not lost: a reader that comes back gets it, and then the end of file.
    rest = run.drain()
    assert run.process.wait(timeout=ANSWER_S) != 0
    if console != "passive":
        assert b"yyyy" in rest


def test_nothing_is_lost_to_a_slow_reader(box, stalled):
    """The machine's name is free before its output has been read."""
    run = stalled(box, "/bin/busybox", "seq", "1", "2000", console="read-only")
    wait_until(lambda: not box.is_running() and run.process.poll() is None, "the machine has ended, its output has not")
    lines = run.drain().split()
    assert [int(line) for line in lines if line.isdigit()] == list(range(1, 2001))
    assert run.process.wait(timeout=ANSWER_S) == 0


def test_nothing_is_lost_to_a_slow_flood(box, stalled):
    """With more output than any queue holds, the guest's writer waits for the reader."""
    run = stalled(box, "/bin/busybox", "seq", "1", "200000", console="read-only")
    wait_until(lambda: box.leader() > 0, "it runs")
    wait_for_full_pipe(run.read_fd)
    assert box.is_running()
    lines = run.drain().split()
    assert [int(line) for line in lines if line.isdigit()] == list(range(1, 200001))
    assert run.process.wait(timeout=ANSWER_S) == 0


def test_signal_ends_what_waits_for_a_reader(box, stalled):
    run = stalled(box, "/bin/busybox", "sh", "-c", FLOOD, console="read-only")
    wait_until(lambda: box.leader() > 0, "it runs")
    wait_for_full_pipe(run.read_fd)
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(timeout=ANSWER_S) is not None
    assert not box.is_running()


def test_flags_of_standard_output_stay(redd, box):
    """O_NONBLOCK would affect all processes that share the pipe."""
    read_fd, write_fd = os.pipe()
    process = subprocess.Popen([redd.path, "run", "-q", "-M", str(box), "/bin/busybox", "sleep", "1"], stdin=subprocess.DEVNULL, stdout=write_fd, stderr=write_fd)
    wait_until(lambda: box.leader() > 0, "it runs")
    assert not fcntl.fcntl(write_fd, fcntl.F_GETFL) & os.O_NONBLOCK
    process.wait(timeout=ANSWER_S)
    os.close(read_fd)
    os.close(write_fd)


def test_output_is_appended_to_a_file(redd, box, tmp_path):
    """Reopening the file must not write at its beginning."""
    path = tmp_path / "out"
    with open(path, "w", encoding="ascii") as out:
        print("before", file=out, flush=True)
        subprocess.run([redd.path, "run", "-q", "-M", str(box), "--console=read-only", "/bin/busybox", "echo", "inside"], stdin=subprocess.DEVNULL, stdout=out, check=True)
    assert path.read_text().split() == ["before", "inside"]


def test_output_to_a_socket(redd, box):
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([redd.path, "run", "-q", "-M", str(box), "--console=read-only", "/bin/busybox", "seq", "1", "100000"], stdin=subprocess.DEVNULL, stdout=theirs)
    theirs.close()
    time.sleep(1)
    data = b"".join(iter(lambda: ours.recv(65536), b""))
    assert [int(line) for line in data.split()] == list(range(1, 100001))
    assert process.wait(timeout=ANSWER_S) == 0
    ours.close()


# --- input that the guest takes slowly


def paste_into(argv, paste, first=b""):
    """Runs argv on a terminal and pastes when it is ready; returns its output."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, 0x540E, 0))
    os.close(slave)
    seen = bytearray()

    def read():
        try:
            if select.select([master], [], [], 1)[0]:
                seen.extend(os.read(master, 65536))
        except OSError:
            pass

    os.write(master, first)
    deadline = time.monotonic() + 40
    while b"ready" not in seen:
        read()
        assert time.monotonic() < deadline, bytes(seen)
    writer = threading.Thread(target=lambda: _write_all(master, paste), daemon=True)
    writer.start()
    while b" end" not in seen:
        assert time.monotonic() < deadline, bytes(seen[-200:])
        read()
    writer.join(10)
    process.kill()
    process.wait()
    os.close(master)
    return bytes(seen)


def _write_all(fd, data):
    while data:
        data = data[os.write(fd, data) :]


def binary_paste():
    """All bytes except ^], which detaches."""
    return bytes(byte for byte in range(256) if byte != 0x1D) * 200


@row("R21", "a guest that takes its input slowly", "redd reads no more input meanwhile, and loses nothing")
@pytest.mark.parametrize("mode", ["raw", "canonical"])
def test_paste_into_run(redd, box, mode):
    paste = binary_paste() if mode == "raw" else PASTE
    seen = paste_into([redd.path, "run", "-q", "-M", str(box), "/reader", mode, str(len(paste))], paste)
    assert f"got {len(paste)} sum {checksum(paste)} end".encode() in seen, seen[-200:]


@pytest.mark.parametrize("mode", ["raw", "canonical"])
def test_paste_into_console(redd, box, mode):
    paste = binary_paste() if mode == "raw" else PASTE
    (box.root / "sbin").mkdir()
    # Print "ready" only when the client is attached: the back-scroll would show an earlier one.
    (box.root / "sbin/init").write_text(f"#!/bin/sh\nuntil read -r go; do sleep 0.1; done\n/reader {mode} {len(paste)}\nexec sleep 1000\n")
    (box.root / "sbin/init").chmod(0o755)
    redd("start", box)
    seen = paste_into([redd.path, "-q", "console", str(box)], paste, first=b"go\r")
    assert f"got {len(paste)} sum {checksum(paste)} end".encode() in seen, seen[-200:]
    redd("terminate", box)


def test_leaving_a_guest_that_reads_nothing(redd, box):
    """Detach keys after a paste that the guest doesn't read are still recognised."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    argv = [redd.path, "run", "-q", "-M", str(box), "/bin/sh", "-c", "stty raw -echo; echo ready; exec sleep 1000"]
    (box.root / "bin/stty").symlink_to("busybox")
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    while b"ready" not in os.read(master, 65536):
        pass
    _write_all(master, PASTE[:40000] + b"\x1d\x1d\x1d")
    assert process.wait(timeout=ANSWER_S) != 0
    os.close(master)


# --- a start that hangs


def hanging_start(redd, box):
    """PID 1 doesn't reach its exec, as if a file system didn't answer. strace reaps what was killed only after the delay."""
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=close_range", "-e", "inject=close_range:delay_enter=6000000"]
    process = subprocess.Popen([*argv, redd.path, "run", "-q", "-M", str(box), "/bin/sleep", "1000"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    wait_until(lambda: Path(f"/run/redd/machines/{box}/control").exists(), "the start is as far as that")
    return process


def supervisor_under(strace):
    children = Path(f"/proc/{strace.pid}/task/{strace.pid}/children").read_text().split()
    return int(children[0])


@NEEDS_STRACE
@row("S15", "a start that hangs between clone and exec", "the supervisor still reacts to signals, and undoes everything")
@pytest.mark.parametrize("by", ["TERM", "INT", "stop", "terminate"])
def test_hanging_start_is_ended(redd, box, by):
    process = hanging_start(redd, box)
    assert redd.run("list", timeout=ANSWER_S).code == 0
    if by in ("TERM", "INT"):
        os.kill(supervisor_under(process), getattr(signal, f"SIG{by}"))
    else:
        assert redd.run(by, box, timeout=ANSWER_S).code == 0
    err = process.communicate(timeout=ANSWER_S)[1].decode()
    assert "interrupted" in err, err
    assert process.returncode not in (0, None)
    assert not box.is_running()


# --- the right machine


def delayed(redd, call, seconds, *args):
    """redd with its first `call` delayed."""
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:delay_enter={seconds}000000:when=1"]
    return subprocess.Popen([*argv, redd.path, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@NEEDS_STRACE
@row("S14", "a request meant for a machine reaches the next of its name",
     "it goes through the directory of the machine that was looked up, which no other machine ever gets")  # fmt: skip
@pytest.mark.parametrize("verb", ["stop", "terminate", "restart", "kill"])
@pytest.mark.parametrize("end", ["terminate", "kill -9"])
def test_the_next_machine_is_left_alone(redd, guest, verb, end):
    machine = guest("tiny").start()
    late = delayed(redd, "pidfd_send_signal,kill" if verb == "kill" else "connect", 4, verb, *(["-s", "KILL", "--kill-whom=leader"] if verb == "kill" else []), machine)
    time.sleep(1)
    if end == "terminate":
        redd("terminate", machine)
    else:
        os.kill(int(machine.property("Supervisor")), signal.SIGKILL)
        wait_until(lambda: not machine.is_running(), "it is dead")
    redd("start", machine)
    leader = machine.leader()
    out, err = late.communicate(timeout=ANSWER_S)
    # Each verb has ended the machine it was meant for, and not the next one.
    assert late.returncode == (0 if verb in ("stop", "terminate") else 1), out + err
    time.sleep(0.5)
    assert machine.leader() == leader
    machine.stop()


@NEEDS_STRACE
def test_stop_waits_for_its_machine_only(redd, box):
    """The machine ends while `stop` waits for it, and another one takes its name at once."""
    late = subprocess.Popen([redd.path, "run", "-q", "-M", str(box), "/bin/sleep", "1000"], stdin=subprocess.DEVNULL)
    wait_until(lambda: box.leader() > 0, "it runs")
    stop = delayed(redd, "fcntl", 2, "stop", box)
    late.wait(timeout=ANSWER_S)
    again = subprocess.Popen([redd.path, "run", "-q", "-M", str(box), "/bin/sleep", "1000"], stdin=subprocess.DEVNULL)
    wait_until(lambda: box.leader() > 0, "the next runs")
    assert stop.wait(timeout=ANSWER_S) == 0
    assert again.poll() is None
    redd("terminate", box)
    again.wait(timeout=ANSWER_S)


# --- the control socket


@row("R05", "clients use up the supervisor's descriptors", "the number of connections is limited, and silent ones are closed")
@row("S11", "silent connections; no descriptor left", "the connection that was silent for longest is closed; an acceptor pauses instead of spinning")
def test_control_socket_flood(redd, guest):
    """Idle connections don't lock others out, and endless messages aren't stored."""
    machine = guest("tiny").start()
    held = []
    for _ in range(100):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(f"/run/redd/machines/{machine}/control")
        sock.settimeout(5)
        sock.send(b"{")
        held.append(sock)
    began = time.monotonic()
    assert redd.run("port", machine, "list", timeout=ANSWER_S).code in (0, 1)
    assert time.monotonic() - began < ANSWER_S
    assert redd("restart", machine, timeout=ANSWER_S).code == 0
    assert redd.run("terminate", machine, timeout=ANSWER_S).code == 0
    assert not machine.is_running()
    # The first connections were closed.
    assert held[0].recv(1) == b""
    for sock in held:
        sock.close()


def test_only_root_is_answered(redd, guest):
    """Even if others could reach the socket."""
    machine = guest("tiny").start()
    folder = Path(f"/run/redd/machines/{machine}")
    folder.chmod(0o755)
    (folder / "control").chmod(0o666)
    call = f"""import os, socket
os.setresuid(65534, 65534, 65534)
s = socket.socket(socket.AF_UNIX)
s.connect('{folder}/control')
try:
    s.send(b'{{"method":"io.redd.Machine.Terminate"}}\\0')
    print(len(s.recv(100)))
except OSError:
    print(0)
"""
    done = subprocess.run(["/usr/bin/python3", "-c", call], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
    assert machine.is_running()
    machine.stop()


HOARDER = r"""
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (void *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0)
		return 1;
	for (;;)
		accept(fd, NULL, NULL);
}
"""


@row("N14")
def test_flood_of_proxied_connections(redd, box):
    """With more connections than descriptors and endless datagrams, the supervisor still answers, and is idle afterwards."""
    trees.compile_static(HOARDER, box.root / "hoarder")
    argv = [redd.path, "run", "-q", "-M", str(box), "-n", "--port=127.0.0.1:18096:80", "--port=udp:127.0.0.1:18095:53", "/hoarder"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limit)
    wait_until(lambda: box.leader() > 0, "it runs")
    clients = [socket.socket() for _ in range(600)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", 18096))
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(60)]
    over = threading.Event()
    flood = threading.Thread(target=_send_all, args=(senders, over))
    flood.start()
    try:
        for verb in (["list"], ["status", str(box)], ["port", str(box), "list"], ["port", str(box), "add", "127.0.0.1:18094:81"]):
            result = redd.run(*verb, timeout=ANSWER_S)
            assert result.code == 0, result
    finally:
        over.set()
        flood.join()
    ticks = lambda: sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    time.sleep(1)
    before = ticks()
    time.sleep(2)
    assert ticks() - before < os.sysconf("SC_CLK_TCK"), "it spins"
    assert redd.run("stop", "--timeout=1s", box, timeout=ANSWER_S).code == 0
    process.wait(timeout=ANSWER_S)
    for sock in clients + senders:
        sock.close()


def _send_all(senders, over):
    while not over.is_set():
        for sender in senders:
            try:
                sender.sendto(b"x" * 1000, ("127.0.0.1", 18095))
            except OSError:
                pass


# --- a starter that doesn't read


def test_stopped_starter(redd, box):
    """`redd start` is stopped (SIGSTOP): the machine goes on, and can be ended."""
    (box.root / "sbin").mkdir()
    (box.root / "sbin/init").write_text("#!/bin/sh\nexec sleep 1000\n")
    (box.root / "sbin/init").chmod(0o755)
    starter = redd.start("start", box)
    wait_until(Path(f"/run/redd/machines/{box}").exists, "the supervisor is there", interval_s=0.001)
    os.kill(starter.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: box.leader() > 0, "it runs")
        assert redd.run("terminate", box, timeout=ANSWER_S).code == 0
        assert not box.is_running()
    finally:
        os.kill(starter.pid, signal.SIGCONT)
        starter.communicate(timeout=ANSWER_S)
