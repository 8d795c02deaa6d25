# SPDX-License-Identifier: LGPL-2.1-or-later
"""What each option of `run` does, as seen by the payload, with and without a user namespace."""

import os
import re
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import pexpect
import pytest
from helpers import console, session, trees
from helpers.security import row
from helpers.waiting import wait_until

BOTH = pytest.mark.parametrize("users", ["pick", "no"])
CAP_NET_ADMIN, CAP_NET_RAW, CAP_CHOWN, CAP_SYS_TIME = 12, 13, 0, 25

# Sends READY=1 a moment after its start; as PID 1 it ends only by the signal whose number is in /signal.
NOTIFIER = r"""
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (!path)
		return 3;
	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	while (access("/told", F_OK) < 0)
		usleep(10000);
	return sendto(fd, "READY=1", 7, 0, (void *)&addr, sizeof(addr)) == 7 ? sleep(60) : 4;
}
"""
SIGNALS = r"""
#include <signal.h>
#include <stdio.h>
int main(void)
{
	sigset_t set;
	int sig;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	puts("waiting");
	fflush(stdout);
	sigwait(&set, &sig);
	printf("got %d\n", sig);
	return 40;
}
"""


@pytest.fixture
def tree(tmp_path):
    root = trees.make_busybox(tmp_path / session.own_name("tree"))
    for name in ("hostname", "ip", "ping", "touch", "test", "stty", "tty", "pwd", "env", "date", "kill", "ps", "head", "wc", "chown", "dd"):
        if not (root / "bin" / name).exists():
            os.symlink("busybox", root / "bin" / name)
    return root


@pytest.fixture
def run(redd, tree):
    """run(OPTION..., sh="script") runs it in the tree of the test; returns the Result."""

    def call(*options, sh=None, command=(), users=None, **kwargs):
        mode = [f"--private-users={users}"] if users else []
        payload = ["/bin/sh", "-c", sh] if sh is not None else command
        return redd.run("run", "-q", "-D", tree, *mode, *options, *payload, **kwargs)

    return call


def status_of(run, *options, **kwargs):
    result = run(*options, sh="cat /proc/self/status", **kwargs)
    assert result.code == 0, result
    return dict(re.findall(r"^(\w+):\t(.*)$", result.out, re.M))


# --- the payload and its exit code


@BOTH
@pytest.mark.parametrize("code", [0, 1, 2, 7, 126, 127, 255])
def test_exit_code_is_the_payloads(run, users, code):
    assert run(sh=f"exit {code}", users=users).code == code


def test_death_by_signal_is_told_as_a_shell_does(run):
    assert run("-a", sh="kill -9 $$").code == 128 + 9


@row("R08", "a payload that can't be executed, or ends at once", "the stage that failed is named; exit code 126 or 127")
@pytest.mark.parametrize("command, code", [("nosuch", 127), ("/bin/nosuch", 127), ("/etc/passwd", 126), ("/etc", 126), ("/bin/sh/x", 127)])
def test_what_cannot_be_executed_is_126_or_127(run, command, code):
    result = run(command=[command])
    assert result.code == code and command in result.err, result


@pytest.mark.parametrize("args", [(), ("--",)])
def test_options_behind_the_command_are_its_own(run, args):
    assert run(*args, command=["echo", "-n", "-M", "x", "--help"]).out == "-M x --help"


def test_pipes_are_passed_through(redd, tree):
    argv = [redd.path, "run", "-q", "-D", str(tree), "--pipe", "/bin/sh", "-c", "cat; echo err >&2"]
    done = subprocess.run(argv, input=b"\x00\xff\r\n\x1d\x1d\x1d" * 1000, capture_output=True, check=True)
    assert done.stdout == b"\x00\xff\r\n\x1d\x1d\x1d" * 1000 and done.stderr == b"err\n"


# --- -a, -b


def test_pid_1_and_pid_2(run):
    assert run(sh="echo $$").out == "1\n"
    assert run("-a", sh="echo $$; cat /proc/1/comm").out.split()[0] == "2"
    assert run("--as-pid2", sh="echo $$").out == "2\n"


def test_stub_init_reaps(run):
    out = run("-a", sh="(sleep 0.1 & ) ; sleep 0.4; ps").out
    assert not re.search(r"\bZ\b|defunct|\[sleep\]", out), out


@pytest.fixture
def no_log():
    """redd keeps the log of a boot; this removes it when the test ends."""
    yield
    for path in Path("/var/log/redd").glob(f"{session.own_name('tree')}.log*"):
        path.unlink()


def test_boot_finds_an_init_and_passes_arguments(run, tree, no_log):
    (tree / "sbin").mkdir()
    (tree / "sbin/init").write_text('#!/bin/sh\necho "init $$ $*"; exit 5\n')
    (tree / "sbin/init").chmod(0o755)
    result = run("-b", "--console=pipe", command=["3", "single"])
    assert result.out == "init 1 3 single\n" and result.code == 5, result
    assert run("--boot", "--console=pipe").code == 5


# --- selecting the tree


def test_directory_and_machine(redd, run, tree):
    assert run("-M", "other-name", sh="hostname").out == "other-name\n"
    assert run(sh="hostname").out == f"{tree.name}\n"
    assert redd("run", "-q", "/bin/hostname", cwd=tree).out == f"{tree.name}\n", "without -D it is the working directory"


def test_machine_names_an_image(redd, guest):
    machine = guest("busybox")
    assert redd("run", "-q", "-M", machine.name, "hostname").out == f"{machine.name}\n"


@BOTH
def test_ephemeral_changes_are_thrown_away(run, tree, users):
    before = trees.state(tree)
    result = run("-x", sh="echo new > /etc/new && rm /etc/passwd && touch /bin/x && cat /etc/new", users=users)
    assert result.out == "new\n", result
    assert {path: state[:3] + state[5:] for path, state in trees.state(tree).items()} == {
        path: state[:3] + state[5:] for path, state in before.items()
    }
    assert not os.listdir("/var/lib/redd/ephemeral")


@BOTH
def test_changes_are_kept_without(run, tree, users):
    assert run(sh="echo new > /etc/new; chown 1000:10 /etc/new", users=users).code == 0
    st = (tree / "etc/new").stat()
    assert (st.st_uid, st.st_gid) == (1000, 10), "an idmapped mount leaves no shifted owners behind"


@BOTH
def test_read_only(run, tree, users):
    before = trees.state(tree / "etc")
    result = run("--read-only", "-P", sh="touch /etc/new; touch /tmp/works && touch /run/works && echo tmp", users=users)
    assert "Read-only file system" in result.err and result.out == "tmp\n", result
    assert trees.state(tree / "etc") == before


@BOTH
def test_read_only_stays_so(run, users):
    assert run("--read-only", sh="mount -o remount,rw / 2>/dev/null; touch /etc/new", users=users).code != 0


# --- mounts


@BOTH
def test_bind(run, tmp_path, users):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/file").write_text("bound\n")
    os.chmod(tmp_path, 0o755)
    assert run(f"--bind={tmp_path}/src:/mnt/deep", sh="cat /mnt/deep/file", users=users).out == "bound\n"
    assert run(f"--bind={tmp_path}/src", sh=f"cat {tmp_path}/src/file", users=users).out == "bound\n"
    assert run("--bind", f"{tmp_path}/src/file:/etc/one", sh="cat /etc/one", users=users).out == "bound\n", "a file"
    assert run(f"--bind={tmp_path}/src:/mnt", "--private-users=no", sh="echo w > /mnt/w").code == 0
    assert (tmp_path / "src/w").read_text() == "w\n"


@BOTH
def test_bind_ro(run, tmp_path, users):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/file").write_text("bound\n")
    result = run(f"--bind-ro={tmp_path}/src:/mnt", "-P", sh="cat /mnt/file; mount -o remount,rw,bind /mnt 2>/dev/null; touch /mnt/x", users=users)
    assert result.out == "bound\n" and result.code != 0 and "Read-only" in result.err, result
    assert os.listdir(tmp_path / "src") == ["file"]


def test_most_binds_that_are_allowed(run, tmp_path):
    """One more is refused before anything is made: tests/unit/spec/test_resolve.c."""
    (tmp_path / "src").mkdir()
    os.chmod(tmp_path, 0o755)
    binds = [f"--bind={tmp_path}/src:/mnt/{number}:rootidmap" for number in range(64)]
    assert run(*binds, sh="ls /mnt | wc -l; touch /mnt/63/made").out == "64\n"
    assert os.listdir(tmp_path / "src") == ["made"]


def test_missing_source_of_a_bind_is_told(run, tmp_path):
    result = run(f"--bind={tmp_path}/nosuch:/mnt", sh="echo on")
    assert result.code == 1 and f"{tmp_path}/nosuch" in result.err and not result.out, result


def test_binds_that_map_owners(run, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/file").write_text("")
    os.chown(tmp_path / "src/file", 1000, 1000)
    owner = "stat -c %u /mnt/file"
    assert run(f"--bind={tmp_path}/src:/mnt", sh=owner).out == "65534\n"
    assert run(f"--bind={tmp_path}/src:/mnt:idmap", sh=owner).out == "1000\n"
    assert run(f"--bind={tmp_path}/src:/mnt:noidmap", sh=owner).out == "65534\n"


def test_bind_colons_can_be_escaped(run, tmp_path):
    (tmp_path / "a:b").write_text("colon\n")
    assert run(f"--bind={tmp_path}/a\\:b:/etc/colon", sh="cat /etc/colon").out == "colon\n"


@BOTH
def test_tmpfs(run, tree, users):
    (tree / "var/old").write_text("")
    out = run("--tmpfs=/var:mode=700,size=1m", sh="ls /var; stat -c '%a %u' /var; dd if=/dev/zero of=/var/big bs=1M count=3 2>&1", users=users).out
    assert out.splitlines()[0] == "700 0" and "No space" in out, out
    assert os.listdir(tree / "var") == ["old"]


# --- the process


def test_chdir(run):
    assert run("--chdir=/etc", sh="pwd").out == "/etc\n"
    assert run(sh="pwd").out == "/\n"


def test_environment(redd, run):
    assert run("-E", "A=1", "--setenv=B=two words", "-EFROM", sh="echo $A-$B-$FROM", env={"FROM": "ours"}).out == "1-two words-ours\n"
    assert run("-E", "PATH=/nowhere", sh="echo $PATH").out == "/nowhere\n"
    assert run(sh="echo $container $HOME $USER $container_uuid").out.startswith("systemd-nspawn /root root ")


@BOTH
@pytest.mark.parametrize("option", ["-u", "--uid", "--user"])
def test_user(run, option, users):
    out = run(option, "alice", sh="id -u; id -g; id -G; echo $HOME $USER", users=users)
    assert out.code == 0, out
    assert out.out.split()[:2] == ["1000", "1000"] and "10" in out.out.split() and out.out.endswith("/ alice\n"), out
    status = status_of(run, "-u", "alice", users=users)
    assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0


@BOTH
def test_capabilities(run, users):
    def bits(*options):
        return int(status_of(run, *options, users=users)["CapEff"], 16)

    assert bits() >> CAP_CHOWN & 1 and not bits("--drop-capability=CAP_CHOWN") >> CAP_CHOWN & 1
    assert not bits("--drop-capability=chown,CAP_NET_RAW") & (1 << CAP_CHOWN | 1 << CAP_NET_RAW)
    assert bits("--private-network", "--capability=CAP_NET_ADMIN") >> CAP_NET_ADMIN & 1
    assert bits("--drop-capability=all", "--capability=CAP_CHOWN") in (0, 1)


def test_dropped_capabilities_do_not_come_back(run):
    status = status_of(run, "--drop-capability=CAP_CHOWN")
    assert not any(int(status[name], 16) & 1 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))


@pytest.mark.parametrize("shell, name, value", [("-n", "NOFILE", 12), ("-c", "CORE", 0), ("-u", "NPROC", 500), ("-f", "FSIZE", 0)])
def test_rlimit(run, shell, name, value):
    """Low numbers too: the payload gets its limit although redd itself needs more descriptors."""
    result = run(f"--rlimit={name}={value}", sh=f"ulimit -S {shell}; ulimit -H {shell}", users="no")
    assert [int(word) for word in result.out.split()] == [value, value], result


def test_rlimit_soft_and_hard(run):
    assert run("--rlimit=RLIMIT_NOFILE=100:200", sh="ulimit -Sn; ulimit -Hn").out.split() == ["100", "200"]


def test_rlimits_are_not_the_callers(redd, tree):
    resource_before = resource.getrlimit(resource.RLIMIT_CORE)
    done = subprocess.run(
        [redd.path, "run", "-q", "-D", str(tree), "/bin/sh", "-c", "ulimit -Sf"], capture_output=True, text=True, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, resource.RLIM_INFINITY)),
    )  # fmt: skip
    assert done.stdout.strip() in ("unlimited", str((1 << 30) // 512)) and resource_before == resource.getrlimit(resource.RLIMIT_CORE)


# --- identity


def test_hostname(run):
    assert run("--hostname=some.host", sh="hostname").out == "some.host\n"
    assert socket.gethostname() != "some.host"


def test_uuid(run):
    uuid = "5a3f1d2c8b7e4f60a1b2c3d4e5f60718"
    assert run(f"--uuid={uuid}", sh="echo $container_uuid; cat /run/host/container-uuid").out.split() == [uuid, uuid]
    dashed = "5a3f1d2c-8b7e-4f60-a1b2-c3d4e5f60718"
    assert run(f"--uuid={dashed}", sh="echo $container_uuid").out.strip() in (uuid, dashed)


def test_the_callers_umask_hides_nothing_from_the_machine(run):
    old = os.umask(0o077)
    try:
        out = run(sh="stat -c '%a %n' /run/host/container-uuid /run/host/inaccessible /dev/net /dev/null").out
    finally:
        os.umask(old)
    assert out.split()[::2] == ["444", "755", "755", "666"], out


# --- namespaces


def test_private_users(run, tree):
    def uid_map(*options):
        return [int(word) for word in run(*options, sh="cat /proc/self/uid_map").out.split()]

    picked = uid_map()
    assert picked[0] == 0 and picked[1] >= 524288 and picked[2] == 65536, "on by default"
    assert uid_map("-U") == picked == uid_map("--private-users=pick"), "the same name gets the same range"
    assert uid_map("--private-users=no") == [0, 0, 4294967295]
    assert uid_map("--private-users=identity") == [0, 0, 65536]
    assert uid_map("--private-users=1000000:1000000") == [0, 1000000, 1000000]
    assert uid_map("--private-users=2000000") == [0, 2000000, 65536]


def test_private_network(run):
    interfaces = "for i in /sys/class/net/*; do echo ${i##*/}; done"
    assert "lo" in run("--private-network", sh=interfaces).out.split()
    assert not {"host0"} & set(run("--private-network", sh=interfaces).out.split())
    ours = os.readlink("/proc/self/ns/net")
    assert run("--private-network", sh="readlink /proc/self/ns/net").out.strip() != ours
    assert run(sh="readlink /proc/self/ns/net").out.strip() == ours
    assert run("--private-network", sh="ping -c1 -W1 127.0.0.1 >/dev/null && echo up").out == "up\n"


@pytest.mark.parametrize("option", ["-n", "--network-veth"])
def test_network_veth(redd, tree, option):
    payload = redd.start("run", "-q", "-M", "runveth", "-D", tree, option, "/bin/sh", "-c", "ip link show host0 && echo there; sleep 1")
    try:
        wait_until(lambda: os.path.exists("/sys/class/net/ve-runveth"), "the host's side of the veth")
        out, _ = payload.communicate(timeout=20)
        assert "there" in out and payload.returncode == 0
        assert not os.path.exists("/sys/class/net/ve-runveth")
    finally:
        payload.kill()
        payload.wait()


@row("K07", "processes of the host or of siblings in /proc", "every machine has a pid namespace with its own procfs")
def test_namespaces_are_all_new(run):
    names = ("pid", "mnt", "ipc", "uts", "cgroup", "user")
    inside = run(sh=f"for n in {' '.join(names)}; do readlink /proc/self/ns/$n; done").out.split()
    assert len(inside) == len(names) and not set(inside) & {os.readlink(f"/proc/self/ns/{name}") for name in names}


# --- settings


def test_settings(run, tree):
    os.makedirs("/etc/systemd/nspawn", exist_ok=True)
    path = f"/etc/systemd/nspawn/{tree.name}.nspawn"
    with open(path, "w", encoding="utf-8") as file:
        file.write("[Exec]\nHostname=from-file\nEnvironment=X=file\n")
    try:
        show = "hostname; echo $X"
        assert run("--settings=yes", sh=show).out.split() == ["from-file", "file"]
        assert run("--settings=no", sh=show).out.split() == [tree.name]
        assert run("--settings=override", "--hostname=option", sh="hostname").out == "from-file\n"
        assert run("--settings=trusted", sh="hostname").out == "from-file\n"
        assert run("--hostname=option", sh="hostname").out == "option\n"
    finally:
        os.unlink(path)


# --- signals and readiness


@pytest.mark.parametrize("name, number", [("SIGUSR1", signal.SIGUSR1), ("RTMIN+4", signal.SIGRTMIN + 4), ("15", 15)])
def test_kill_signal(redd, tree, name, number):
    trees.compile_static(SIGNALS, tree / "bin/signals")
    payload = redd.start("run", "-q", "-M", "runkill", "-D", tree, f"--kill-signal={name}", "/bin/signals")
    try:
        assert payload.stdout.readline() == "waiting\n"
        payload.send_signal(signal.SIGTERM)
        out, err = payload.communicate(timeout=10)
        assert (out, payload.returncode) == (f"got {number}\n", 40), err
    finally:
        payload.kill()
        payload.wait()


def test_notify_ready(redd, tree):
    trees.compile_static(NOTIFIER, tree / "bin/notifier")
    payload = redd.start("run", "-q", "-M", "runnotify", "-D", tree, "--notify-ready=yes", "/bin/notifier")
    try:
        phase = lambda: redd.run("show", "runnotify", "-p", "State", "--value").out.strip()  # noqa: E731
        wait_until(lambda: phase() == "starting", "a machine that is not ready")
        time.sleep(0.3)
        assert phase() == "starting"
        (tree / "told").touch()
        wait_until(lambda: phase() == "running", "READY=1")
        redd("terminate", "runnotify")
    finally:
        payload.kill()
        payload.wait()


# --- the terminal


def test_terminal_inside_and_job_control(redd, tree):
    child = redd.spawn("run", "-q", "-D", tree)
    child.expect(console.PROMPT)
    assert console.run_inside(child, "tty")[1] in ("/dev/console", "/dev/pts/0")
    child.send("sleep 100\r")
    time.sleep(0.3)
    child.send("\x03")
    assert console.run_inside(child, "echo alive")[1] == "alive", "^C ends the command inside, not the machine"
    child.setwinsize(33, 77)
    assert wait_until(lambda: console.run_inside(child, "stty size")[1] == "33 77", "the new size")
    child.send("exit 9\r")
    assert console.closed(child) == 9


def test_escape_ends_it_and_gives_the_terminal_back(redd, tree):
    bash = pexpect.spawn("/bin/sh", encoding="utf-8", timeout=20, env={**os.environ, "PS1": "$ ", "TERM": "dumb"})
    bash.expect(r"\$ ")
    bash.send("stty -a | head -1000 | md5sum\r")
    bash.expect(r"([0-9a-f]{32})")
    before = bash.match.group(1)
    bash.expect(r"\$ ")
    bash.send(f"{redd.path} run -q -D {tree} /bin/sleep 100\r")
    time.sleep(1)
    bash.send(console.ESCAPE * 3)
    bash.expect(r"\$ ")
    bash.send("stty -a | head -1000 | md5sum\r")
    bash.expect(r"([0-9a-f]{32})")
    assert bash.match.group(1) == before
    bash.close(force=True)


@pytest.mark.parametrize("mode, is_terminal", [("interactive", True), ("pipe", False), ("autopipe", True)])
def test_console_on_a_terminal(redd, tree, mode, is_terminal):
    child = redd.spawn("run", "-q", "-D", tree, f"--console={mode}", "/bin/sh", "-c", "test -t 1; echo t$?; test -c /dev/console; echo c$?")
    child.expect(r"t(\d)\r\nc(\d)\r\n")
    assert (child.match.group(1) == "0") or not is_terminal
    assert console.closed(child) == 0


def test_console_passive_and_read_only(run):
    assert run("--console=passive", sh="test -t 1 && echo no").out == ""
    assert run("--console=read-only", sh="test -t 1 && echo seen").out == "seen\n"


def test_closed_terminal_ends_the_payload(redd, tree):
    """Like commands of a shell: what was started on a terminal ends with it."""
    child = redd.spawn("run", "-q", "-M", "runhup", "-D", tree, "/bin/sh", "-c", "echo on; sleep 1000")
    child.expect("on")
    child.close()
    wait_until(lambda: redd.run("show", "runhup").code == 1, "the machine's end", timeout_s=10)


def test_quiet(redd, tree):
    assert redd("run", "-q", "-D", tree, "/bin/true").err == ""
