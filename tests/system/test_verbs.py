# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The verbs for running machines: what they print, what they refuse, and how an attacker inside sees `exec`, `shell` and `login`
(X01-X08, T01, T04, P10, P11, S06-S08).
"""

import hashlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import pexpect
import pytest
from helpers import console
from helpers.security import row
from helpers.waiting import wait_until

RUN = Path("/run/redd/machines")
PROBE = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	int pushed = 0;
	for (int fd = 0; fd < 4; fd++) {
		int at = fd < 3 ? fd : open("/dev/tty", O_RDWR);
		pushed += syscall(SYS_ioctl, at, TIOCSTI, "x") == 0;
		pushed += syscall(SYS_ioctl, at, TIOCSTI | (1UL << 32), "x") == 0;
	}
	printf("pushed %d\\n", pushed);
	return pushed;
}
"""


@pytest.fixture
def machine(guest):
    return guest("busybox").start()


@pytest.fixture
def at_prompt(machine):
    """Waits for the prompt: getty discards console output that hasn't been read before (tcflush)."""
    return machine.wait_for_prompt()


def program(tmp_path, machine, source, name="probe"):
    """Puts a static program into the machine's tree, owned by its root."""
    (tmp_path / f"{name}.c").write_text(source)
    subprocess.run(["gcc", "-static", "-o", tmp_path / name, tmp_path / f"{name}.c"], check=True)
    target = machine.root / "bin" / name
    target.write_bytes((tmp_path / name).read_bytes())
    target.chmod(0o755)
    return f"/bin/{name}"


def call(machine, message):
    """Sends a raw message to the supervisor's socket; returns the reply, b"" if it hangs up."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        try:
            s.connect(str(RUN / str(machine) / "control"))
            s.sendall(message)
            return s.recv(65536)
        except (ConnectionResetError, BrokenPipeError, BlockingIOError):
            return b""


# What they print


def test_nothing_runs(redd):
    assert redd("list").out == "No machines.\n"
    assert redd("list", "--json=short").out == "[]\n"
    assert redd("show").out == ""


def test_list(redd, machine):
    lines = redd("list").out.splitlines()
    assert lines[0].split() == ["MACHINE", "CLASS", "SERVICE", "OS", "VERSION", "ADDRESSES"]
    assert lines[1].split()[:4] == [str(machine), "container", "redd", "busybox"]
    assert lines[-1] == "1 machine listed."
    assert redd("list", "--json=short").json()[0]["machine"] == str(machine)


def test_addresses_are_those_inside(redd, machine):
    """First those from redd, by which the machine is reached; `status` also asks for those that the guest added."""
    machine.shell("ip addr add 192.0.2.7/24 dev host0")
    leased = machine.property("Addresses").split()[0]
    row = redd("list", "--no-legend").out.splitlines()[0].split()
    assert row[-1] == leased
    addresses = redd("status", "--json=short", machine).json()["addresses"]
    assert addresses[0] == leased and "192.0.2.7" in addresses
    assert re.search(rf"^ +Address: {re.escape(leased)}$", redd("status", machine).out, re.M)
    assert re.search(r"^ +192\.0\.2\.7$", redd("status", machine).out, re.M)


def test_status_page(redd, at_prompt):
    machine = at_prompt
    machine.shell("echo a line > /dev/console")
    wait_until(lambda: "a line" in redd("logs", machine).out, "the console's line is in the log")
    out = redd("status", machine).out
    assert out.startswith(f"{machine}(")
    for label in ("Since", "Leader", "Root", "OS", "UID Shift", "Unit", "Iface"):
        assert re.search(rf"^ +{label}: \S", out, re.M), label
    assert re.search(rf"─{machine.leader()} ", out), "the leader is in the tree of processes"
    assert "a line" in out, "the last lines of the console"
    assert "a line" not in redd("status", "-n0", machine).out


def test_show(redd, machine):
    assert redd("show", "-p", "Name,State", machine).out == f"Name={machine}\nState=running\n"
    assert redd("show", "-P", "RootDirectory", machine).out == f"{machine.root}\n"
    assert redd("show", machine).out == redd("show").out
    assert redd("show", "--json=short", machine).json()["leader"] == machine.leader()


@row("P11")
def test_hostile_os_release(redd, machine):
    """P10, P11: it is read while the machine runs, so it can change to anything at any time."""
    os_release = machine.root / "etc/os-release"
    os_release.unlink()
    os_release.write_bytes(b'ID="\x1b]0;owned\x07"\nVERSION_ID="1\xe2\x80\xae2\xff\x9b"\n')
    out = redd("list").out
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", out), repr(out)
    assert json.loads(redd("list", "--json=short").out)
    for replacement in (lambda p: p.symlink_to("/../../../etc/shadow"), os.mkfifo):
        os_release.unlink()
        replacement(os_release)
        began = time.monotonic()
        assert "root:" not in redd("list").out + redd("status", machine).out
        assert time.monotonic() - began < 30


def test_logs(redd, at_prompt):
    machine = at_prompt
    machine.shell("printf 'one\\ntwo \\033[31mred\\n' > /dev/console")
    wait_until(lambda: "two" in redd("logs", machine).out, "the console's lines are in the log")
    out = redd("logs", machine).out
    assert re.search(r"^[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d -- started --$", out, re.M)
    assert re.search(r" two red$", out, re.M) and "\x1b" not in out and "[31m" not in out
    assert "two \x1b[31mred" in redd("logs", "-o", "cat", machine).out
    assert len(redd("logs", "-n", "1", machine).out.splitlines()) == 1
    records = [json.loads(line) for line in redd("logs", "--json=short", machine).out.splitlines()]
    assert {"event", "line"} <= {record["kind"] for record in records}
    machine.stop()
    assert "started" in redd("logs", machine).out, "kept after the end"


def test_logs_follow(redd, at_prompt):
    with redd.start("logs", "-f", "-n0", at_prompt) as follower:

        def follows():
            at_prompt.shell("echo later > /dev/console")
            return select.select([follower.stdout], [], [], 0.3)[0]

        wait_until(follows, "a line is followed")
        assert "later" in follower.stdout.readline()
        follower.terminate()


# What they refuse


@pytest.mark.parametrize("verb", ["status", "stop", "restart", "terminate", "kill", "login", "shell", "console"])
def test_no_such_machine(redd, verb):
    redd.fails(verb, "nosuch", says="no machine 'nosuch' is running")
    redd.fails(verb, "../../etc", says="no machine '../../etc' is running")


def test_did_you_mean(redd, machine):
    redd.fails("status", f"{machine}x", says=f"did you mean '{machine}'?")
    redd.fails("statsu", code=2, says="did you mean 'status'?")
    redd.fails("list", "--jsno=short", code=2, says="did you mean --json?")
    machine.stop()
    redd.fails("shell", machine, says=f"redd start {machine}")


@pytest.mark.parametrize("args", [["stop"], ["login"], ["login", "a", "b"], ["exec", "a"], ["kill", "a", "--kill-whom=me"],
                                  ["kill", "a", "-s", "NOPE"], ["logs", "a", "-o", "x"], ["list", "--json=x"]])  # fmt: skip
def test_usage(redd, args):
    redd.fails(*args, code=2)


def test_login_needs_a_terminal(redd, machine):
    redd.fails("login", machine, says="needs a terminal")


# Stopping


def test_stop_several_and_waits(redd, guest):
    machines = [guest("tiny").start(), guest("tiny").start()]
    redd("stop", *machines, timeout=30)
    assert redd("list", "--no-legend").out == ""
    redd.fails("stop", *machines)


def test_name_is_free_when_stop_returns(redd, guest):
    machine = guest("tiny")
    for _ in range(10):
        machine.start().stop()


def test_stop_goes_on_after_a_failure(redd, guest):
    machine = guest("tiny").start()
    redd.fails("stop", "nosuch", machine, says="nosuch")
    assert not machine.is_running()


def test_stop_timeout_kills(redd, machine):
    machine.shell("kill -STOP -1")
    init = machine.leader()
    os.kill(init, signal.SIGSTOP)
    began = time.monotonic()
    redd("stop", "--timeout=1s", machine, timeout=30)
    assert 0.8 < time.monotonic() - began < 30
    assert not machine.is_running()


def test_kill(redd, machine):
    redd("exec", machine, "/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 &")
    redd("kill", "-s", "KILL", "--kill-whom=all", machine)
    wait_until(lambda: not machine.is_running(), "all are killed", 10)


def test_kill_supervisor_and_clean(redd, machine):
    """B6: after a kill -9 the next command sees no machine, and the name can be used again."""
    redd("kill", "-s", "KILL", "--kill-whom=supervisor", machine)
    wait_until(lambda: not machine.is_running(), "the lock is free", 10)
    machine.start()
    assert machine.shell("echo again") == "again"


def test_stale_pid_is_never_signalled(redd, machine):
    """X08: the state names a live process, but with another start time."""
    time.sleep(0.1)  # start times are in clock ticks: the victim must not start in the leader's tick
    with subprocess.Popen(["sleep", "1000"]) as victim:
        state = RUN / str(machine) / "state"
        text = state.read_text()
        state.write_text(re.sub(r"^LEADER=\d+", f"LEADER={victim.pid}", text, flags=re.M))
        codes = [redd.run("kill", "-s", "KILL", "--kill-whom=leader", machine).code, redd.run("exec", machine, "true").code]
        is_alive = victim.poll() is None
        state.write_text(text)
        victim.kill()
    assert is_alive and codes == [1, 1]


# Ways in


def test_exit_codes(redd, machine):
    redd("exec", machine, "sh", "-c", "exit 42", code=42)
    redd("shell", machine, "/bin/sh", "-c", "kill -9 $$", code=137)
    redd.fails("exec", machine, "nosuch", code=127, says="no program 'nosuch'")
    redd.fails("exec", machine, "/etc/passwd", code=126)
    redd("exec", "--chdir=/tmp", machine, "--", "pwd")


def test_streams(redd, machine):
    done = redd("exec", machine, "sh", "-c", "cat; echo err >&2", stdin="in\n")
    assert (done.out, done.err) == ("in\n", "err\n")


def test_directory_as_input_is_refused(redd, machine):
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        redd.fails("exec", machine, "ls", stdin=fd, says="directory")
    finally:
        os.close(fd)


@pytest.mark.parametrize("user", ["nobody9", "-1", "65535", "4294967295", "4294967296", "00000x", "root ", "1001", "../root"])
def test_unknown_users(redd, machine, user):
    """X05."""
    redd.fails("exec", f"--uid={user}", machine, "id", says="no user")


def test_users(redd, machine):
    assert machine.shell("id -u; id -G; echo $HOME; pwd", user="alice").split() == ["1000", "1000", "/home/alice", "/home/alice"]
    assert redd("exec", "--uid=1000", machine, "id", "-un").out == "alice\n"


@pytest.mark.parametrize("chdir", ["/proc/self/fd/3", "/proc/1/cwd", "/proc/self/root/..", "/nosuch", "/etc/passwd"])
def test_working_directory(redd, machine, chdir):
    """P07."""
    if chdir.endswith("/.."):
        assert redd.run("exec", f"--chdir={chdir}", machine, "pwd").out.strip() in ("", "/")
        return
    redd.fails("exec", f"--chdir={chdir}", machine, "pwd", says="change to directory")


def test_nothing_of_the_caller_is_kept(redd, machine, tmp_path):
    """X02, X04, X06."""
    secret = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(secret, True)
    script = "ls /proc/self/fd; env; umask; cat /proc/self/oom_score_adj; grep -E '^(Sig(Blk|Ign)|Cap(Inh|Amb)|Groups|Seccomp):' /proc/self/status"
    with subprocess.Popen(
        [redd.path, "exec", str(machine), "sh", "-c", script], env={"SECRET": "1", "PATH": os.environ["PATH"], "LD_PRELOAD": "/x"},
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, pass_fds=[secret], text=True, umask=0o077,
        preexec_fn=lambda: (signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]), signal.signal(signal.SIGUSR2, signal.SIG_IGN)),
    ) as child:
        out = child.stdout.read()
    os.close(secret)
    assert re.findall(r"^\d+$", out, re.M)[:4] == ["0", "1", "2", "3"], "the fourth is that of ls itself"
    assert "SECRET" not in out and "LD_PRELOAD" not in out and "\n0022\n" in out and "\n4\n" not in out
    for line in ("SigBlk:\t0000000000000000", "CapInh:\t0000000000000000", "CapAmb:\t0000000000000000", "Seccomp:\t2"):
        assert line in out, line
    assert not int(re.search(r"SigIgn:\t(\w+)", out).group(1), 16) & 1 << signal.SIGUSR2 - 1


def test_confined_as_the_leader(redd, machine):
    """It has PID 1's bounding set, a cgroup below the machine's, and its device filter."""
    leader = Path(f"/proc/{machine.leader()}/status").read_text()
    inside = redd("exec", machine, "cat", "/proc/self/status").out
    bounding = re.compile(r"^CapBnd:\t(.*)$", re.M)
    assert bounding.search(leader).group(1) == bounding.search(inside).group(1)
    assert redd("exec", machine, "sh", "-c", "mknod /tmp/d b 7 0 && cat /tmp/d", code=1).out == ""


def test_terminal_of_the_caller_stays_his(redd, machine, tmp_path):
    """T01: it gets neither the terminal nor its input; with a pty, without, and with half of one."""
    probe = program(tmp_path, machine, PROBE)
    for words in ([str(machine), probe], [str(machine), "/bin/sh", "-c", f"{probe} | cat"]):
        child = redd.spawn("exec", *words)
        child.expect("pushed 0")
        assert console.closed(child) == 0
    child = redd.spawn("exec", machine, "/bin/sh", "-c", f"tty; {probe}")
    child.expect(r"/dev/pts/\d+")
    child.expect("pushed 0")
    console.closed(child)


def test_half_a_terminal(redd, machine):
    """If only standard input is a terminal, the program gets a pipe."""
    child = pexpect.spawn("/bin/sh", ["-c", f"{redd.path} exec {machine} sh -c 'tty; cat' | cat"], encoding="utf-8", timeout=20)
    child.expect("not a tty")
    child.sendline("hello")
    child.expect("hello\r\nhello")
    child.sendeof()
    console.closed(child)


@row("T04", "the caller's terminal is left raw", "set back at every end, also by signals")
@pytest.mark.parametrize("end", ["exit", "escape", "term", "hup"])
def test_terminal_is_restored(redd, machine, end, tmp_path):
    """T04."""
    child = pexpect.spawn("/bin/bash", ["--norc", "--noprofile"], encoding="utf-8", timeout=20, env={**os.environ, "PS1": "HOST> "})
    child.sendline(f"stty -a > {tmp_path}/before; {redd.path} shell {machine}; stty -a > {tmp_path}/after; echo do''ne")
    child.expect(r"[#$] ")
    if end == "exit":
        child.send("exit\r")
    elif end == "escape":
        child.send(console.ESCAPE * 3)
    else:
        child_of = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()[0]
        os.kill(int(child_of), signal.SIGTERM if end == "term" else signal.SIGHUP)
    child.expect("done\r")
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()
    child.close()


def test_window_size(redd, machine):
    child = redd.spawn("shell", machine)
    child.expect(console.PROMPT)
    assert console.run_inside(child, "stty size") == (0, "50 200")
    child.setwinsize(33, 77)
    wait_until(lambda: console.run_inside(child, "stty size") == (0, "33 77"), "the new size arrives", 5)
    console.leave(child)


def test_console_has_a_back_scroll(redd, at_prompt):
    machine = at_prompt
    machine.shell("echo before > /dev/console")
    child = redd.spawn("console", machine)
    child.expect("before")
    console.leave(child)
    assert machine.is_running()


def test_own_program_is_not_writable(redd, guest, tmp_path):
    """X01, CVE-2019-5736: an interpreter line of /proc/self/exe, without a user namespace."""
    machine = guest("busybox")
    settings = Path("/etc/systemd/nspawn") / f"{machine}.nspawn"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("[Exec]\nPrivateUsers=no\n")
    machine.start()
    before = hashlib.sha256(Path(redd.path).read_bytes()).hexdigest()
    attack = machine.root / "bin/attack"
    attack.write_text("#!/proc/self/exe\n")
    attack.chmod(0o755)
    writer = "for i in 1 2 3; do for p in /proc/[0-9]*; do (echo x >> $p/exe) 2>/dev/null && echo WROTE $p; done; done"
    with subprocess.Popen([redd.path, "exec", str(machine), "sh", "-c", writer], stdout=subprocess.PIPE, text=True) as loop:
        for _ in range(10):
            redd.run("exec", machine, "/bin/attack")
            redd.run("exec", machine, "true")
        out = loop.stdout.read()
    assert "WROTE" not in out
    assert hashlib.sha256(Path(redd.path).read_bytes()).hexdigest() == before


def test_entering_processes_are_not_readable(redd, machine):
    """X03: a loop inside that inspects each new process finds nothing of the host."""
    spy = ("while ! [ -e /stop ]; do for p in /proc/[0-9]*; do readlink $p/exe $p/cwd $p/fd/* 2>/dev/null; done; done"
           " | grep -vE '^(/|pipe:|socket:|anon_inode:)' | sort -u; ls -d /var/lib/machines 2>/dev/null")  # fmt: skip
    with subprocess.Popen([redd.path, "exec", str(machine), "sh", "-c", spy], stdout=subprocess.PIPE, text=True) as loop:
        for _ in range(40):
            redd("exec", machine, "true")
        assert loop.poll() is None, "nobody looked"
        redd("exec", machine, "touch", "/stop")
        assert loop.stdout.read() == ""


# The supervisor's socket


@row("S06", "an unprivileged user at the control socket", "the folder has mode 0700, the socket 0600")
def test_socket_is_private(machine):
    """S06."""
    assert (RUN / str(machine)).stat().st_mode & 0o777 == 0o700
    probe = "import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    done = subprocess.run(["/usr/bin/python3", "-c", probe, RUN / str(machine) / "control"], user=65534, capture_output=True, check=False)
    assert done.returncode != 0 and b"PermissionError" in done.stderr


@row("S07", "hostile messages at the control socket",
     "the size of messages and the number of connections are bounded; the one silent for longest is closed")  # fmt: skip
@pytest.mark.parametrize("message", [b"\0", b"{}\0", b"null\0", b'{"method":null}\0', b'{"method":"a","parameters":[]}\0', b"[" * 5000 + b"\0",
                                     b"\xff\xfe\0", b"x" * 70000])  # fmt: skip
def test_broken_messages(machine, message):
    """S07: the reply is an error or a hangup; the supervisor goes on."""
    answer = call(machine, message)
    assert answer == b"" or b"error" in answer, answer
    assert b'"name"' in call(machine, b'{"method":"io.redd.Machine.Describe"}\0')
    assert machine.is_running()


def test_unknown_method(machine):
    assert b"org.varlink.service.MethodNotFound" in call(machine, b'{"method":"io.redd.Machine.Nothing"}\0')


@pytest.mark.parametrize("call_of", [("PowerOff", '{"timeoutUSec":-1}'), ("PowerOff", '{"timeoutUSec":"soon"}'), ("AttachConsole", '{"rows":"x"}'),
                                     ("AttachConsole", '{"rows":1,"columns":70000}')])  # fmt: skip
def test_bad_parameters(machine, call_of):
    """An invalid parameter is refused, and nothing is done."""
    method, parameters = call_of
    message = f'{{"method":"io.redd.Machine.{method}","parameters":{parameters}}}\0'.encode()
    assert b"org.varlink.service.InvalidParameter" in call(machine, message)
    assert machine.is_running()


@row("S07")
def test_many_connections(redd, machine):
    """S07: idle connections don't keep others out."""
    path = str(RUN / str(machine) / "control")
    idle = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(2)
        try:
            s.connect(path)
        except OSError:
            s.close()
            break
        idle.append(s)
    for s in idle:
        s.close()
    wait_until(lambda: b'"name"' in call(machine, b'{"method":"io.redd.Machine.Describe"}\0'), "it answers again", 5)
