# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows X01 to X10, T01 and T06 of SECURITY.md: descriptors, identity, terminals and notifications of programs inside."""

import contextlib
import hashlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pexpect
import pytest
from attacks import libraries_of, make_tree, put, running
from helpers import console, processes, session
from helpers.command import Redd
from helpers.security import row
from helpers.waiting import wait_until

BOTH = pytest.mark.parametrize("users", ["pick", "no"])


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / f"{session.tag}-tree")


def run(redd, tree, *words, users="pick", **kwargs):
    return redd.run("run", "-q", "-D", tree, f"--private-users={users}", "--private-network", *words, **kwargs)


# X01


@pytest.fixture
def own_redd(redd, tree, tmp_path):
    """A copy of redd that may be damaged, and that runs in the tree: with its libraries if it is dynamic."""
    path = tmp_path / "redd"
    shutil.copy(redd.path, path)
    for library in libraries_of(path):
        target = tree / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    return Redd(path)


def checksum(redd):
    return hashlib.sha256(Path(redd.path).read_bytes()).hexdigest()


@row("X01", "the payload overwrites redd through `/proc/self/exe`",
     "unless the machine's users are shifted, redd runs from a read-only mount of itself")  # fmt: skip
@pytest.mark.parametrize("users", ["pick", "no", "identity", "own"])
def test_x01_program_is_overwritten_by_who_waits(own_redd, tree, users):
    """own: PID 1 makes a user namespace that maps the host's root, without any filter to prevent it."""
    attack = put("exe", tree)
    (tree / "bin/script").write_text("#!/proc/self/exe import-tar\n")
    (tree / "bin/script").chmod(0o755)
    words = [attack, "own"] if users == "own" else [attack]
    before = checksum(own_redd)
    with running(own_redd, tree, *words, users="no" if users == "own" else users) as victim:
        assert "waiting" in iter(victim.process.stdout.readline, "waiting\n") or True
        for command in (["/proc/self/exe", "import-tar", "-", "x"], ["/bin/script"]):
            for verb in (["exec", victim], ["shell", victim]):
                with own_redd.start(*verb, *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as entering:
                    time.sleep(0.3)
                    entering.stdin.close()
        time.sleep(0.5)
        own_redd.run("terminate", victim)
        said = victim.process.stdout.read()
    assert checksum(own_redd) == before, said
    assert "overwritten" not in said, said


@row("X01")
@pytest.mark.parametrize("users", ["pick", "no", "identity"])
@pytest.mark.parametrize("options", [[], ["--as-pid2"]])
def test_x01_program_as_entrypoint(own_redd, tree, users, options):
    (tree / "bin/evil").write_text("#!/proc/self/exe run\n")
    (tree / "bin/evil").chmod(0o755)
    before = checksum(own_redd)
    for command in (["/bin/evil"], ["/proc/self/exe", "--version"], ["/bin/sh", "-c", "for p in 1 2 3 4; do echo x >> /proc/$p/exe; done"]):
        run(own_redd, tree, *options, *command, users=users)
    assert checksum(own_redd) == before


# X02


@pytest.fixture
def leaky(tmp_path):
    """Descriptors that a careless caller leaves open: a secret file, a folder, a socket."""
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    fds = [os.open(secret, os.O_RDWR), os.open("/", os.O_RDONLY | os.O_DIRECTORY), socket.socket().detach()]
    fds += [os.dup(fds[0]) for _ in range(60)]
    for fd in fds:
        os.set_inheritable(fd, True)
    yield tuple(fds)
    for fd in fds:
        os.close(fd)


def output(redd, leaky, *words):
    process = redd.start(*words, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, pass_fds=leaky)
    return process.communicate(timeout=60)[0]


@row("X02")
@BOTH
@pytest.mark.parametrize("options", [[], ["--as-pid2"], ["--pipe"], ["--console=passive"], ["-u", "alice"], ["--ephemeral"]])
def test_x02_descriptors_of_run(redd, tree, leaky, users, options):
    fds = put("fds", tree)
    out = output(redd, leaky, "run", "-q", "-D", tree, f"--private-users={users}", *options, fds)
    assert out.replace("\r", "") == ("" if "passive" in str(options) else "told\n"), out
    if "--ephemeral" not in options and "alice" not in options:
        assert (tree / "fds").read_text() == "0\n1\n2\n"


@row("X02")
@BOTH
def test_x02_descriptors_of_those_who_enter(redd, tree, leaky, users):
    fds = put("fds", tree)
    with running(redd, tree, users=users) as victim:
        for words in (["exec", victim, fds], ["shell", victim, fds], ["shell", f"alice@{victim}", fds], ["exec", "--uid=alice", victim, fds]):
            assert output(redd, leaky, *words) == "told\n", words


@row("X02")
@BOTH
def test_x02_descriptors_of_an_init(redd, tree, leaky, users):
    (tree / "sbin").mkdir()
    shutil.copy(tree / put("fds", tree)[1:], tree / "sbin/init")
    output(redd, leaky, "run", "-q", "-b", "-D", tree, f"--private-users={users}")
    assert (tree / "fds").read_text() == "0\n1\n2\n"


@row("X02")
@BOTH
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-", "<&- 2>&-"])
def test_x02_closed_standard_descriptors(redd, tree, users, closed):
    """No descriptor of redd may get one of these numbers: 0, 1 and 2 must be something harmless."""
    fds = put("fds", tree)
    os.system(f"'{redd.path}' run -q -D '{tree}' --private-users={users} {fds} {closed}")
    assert (tree / "fds").read_text() == "0\n1\n2\n"
    (tree / "fds").unlink()
    with running(redd, tree, users=users) as victim:
        os.system(f"'{redd.path}' exec {victim} {fds} {closed}")
    assert (tree / "fds").read_text() == "0\n1\n2\n"


@row("X02")
@BOTH
def test_x02_folder_as_standard_descriptor(redd, tree, users):
    """As in CVE-2024-21626, but with a folder as standard descriptor."""
    script = "busybox cat /proc/self/fd/0/hostname /proc/self/fd/2/hostname"
    folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        redd.fails("run", "-q", "--pipe", "-D", tree, f"--private-users={users}", "/bin/sh", "-c", script, stdin=folder, says="directory")
        with running(redd, tree, users=users) as victim:
            redd.fails("exec", victim, "/bin/sh", "-c", script, stdin=folder, says="directory")
    finally:
        os.close(folder)


@row("X02")
def test_x02_supervisor_keeps_nothing_of_its_caller(redd, guest, leaky):
    """Otherwise a lock or a pipe that the caller left open would stay open as long as the machine runs."""
    machine = guest("busybox")
    redd.start("start", machine, stdin=subprocess.DEVNULL, pass_fds=leaky).communicate(timeout=60)
    supervisor = int(re.search(r"^SUPERVISOR=(\d+)", Path(f"/run/redd/machines/{machine}/state").read_text(), re.M).group(1))
    targets = processes.descriptors(supervisor)
    assert targets and not [target for target in targets if target == "/" or target.endswith("/secret")], targets


# X03


@row("X03")
@BOTH
def test_x03_entering_processes_show_nothing(redd, tree, users):
    spy = put("spy", tree)
    with running(redd, tree, spy, str((1 << 31) - 1), users=users) as victim:
        for number in range(150):
            words = ["exec", "--uid=alice", victim] if number % 2 else ["exec", victim]
            redd.run(*words, "/bin/true")
        # Don't end the machine by a command inside it: that could be killed together with the machine.
        Path(f"/proc/{victim.leader()}/root/tmp/stop").touch()
        victim.process.wait(30)
        said = victim.process.stdout.read()
    assert "opened" not in said, said
    met = int(re.search(r"met (\d+)", said).group(1))
    assert met > 0, "the spy saw no process before it executed: the test tests nothing"


@row("X03")
@BOTH
def test_x03_reaper_shows_nothing(redd, tree, users):
    """PID 1 of --as-pid2 is redd: no paths of the host in its command line, no memory to read, no privilege to take."""
    spying = "cat /proc/1/environ /proc/1/maps /proc/1/cmdline; ls /proc/1/fd /proc/1/root/; cat /proc/1/status"
    options = ["--as-pid2", "--capability=CAP_SYS_PTRACE"]
    result = run(redd, tree, *options, "/bin/sh", "-c", spying, users=users, env={"SECRET": "of the host"})
    assert "SECRET" not in result.out and str(tree) not in result.out and "redd\0" not in result.out, result
    caps = {key: int(value, 16) for key, value in re.findall(r"^Cap(\w+):\s*(\w+)$", result.out, re.M)}
    assert not caps["Prm"] & ~caps["Bnd"] and not caps["Eff"] & ~caps["Bnd"], result
    assert caps["Prm"] == 1 << 5, "CAP_KILL and no other"


# X04, X05, X06, X07


def dirty():
    """A careless caller's state, which a program would inherit."""
    os.umask(0o077)
    os.nice(3)
    os.setgroups([4, 27, 44])
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGCHLD])
    resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))
    Path("/proc/self/oom_score_adj").write_text("300")


def facts(redd, tree, *words):
    """The output of facts as a dictionary, started by the most careless caller possible."""
    caps = "+chown,+kill,+net_raw,+sys_admin,+sys_ptrace"
    setpriv = ["setpriv", "--inh-caps", caps, "--ambient-caps", caps, "setarch", "-R"]
    environment = {"SECRET": "of the host", "PATH": os.environ["PATH"], "LD_LIBRARY_PATH": "/x", "HOME": "/secret"}
    done = subprocess.run([*setpriv, redd.path, *map(str, words)], capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, env=environment, preexec_fn=dirty)  # fmt: skip
    assert done.returncode == 0, done
    assert "SECRET" not in done.stdout and "/secret" not in done.stdout and "LD_" not in done.stdout, done.stdout
    return dict(re.findall(r"^(\w+):\s*(.*)$", done.stdout.replace("\r", ""), re.M))


WAYS = {
    "run": lambda tree, victim, users: ["run", "-q", "-D", tree, f"--private-users={users}", "--private-network"],
    "run as alice": lambda tree, victim, users: ["run", "-q", "-D", tree, f"--private-users={users}", "--private-network", "-u", "alice"],
    "exec": lambda tree, victim, users: ["exec", victim],
    "exec as alice": lambda tree, victim, users: ["exec", "--uid=alice", victim],
    "shell": lambda tree, victim, users: ["shell", victim],
    "shell as alice": lambda tree, victim, users: ["shell", f"alice@{victim}"],
}
# In both cases, the machine administers its own network.
BOUNDING = {"pick": 0xFDECBFFF, "no": 0xA80425FB | 1 << 12}


@row("X04", "host state is kept: capabilities, groups, environment, keyring, limits", "each is set explicitly, the environment is built from scratch")
@BOTH
@pytest.mark.parametrize("way", WAYS)
def test_x04_nothing_of_the_caller(redd, tree, way, users):
    program = put("facts", tree)
    own_keyring = re.findall(r"^(\w+)", Path("/proc/keys").read_text(), re.M) if Path("/proc/keys").exists() else []
    other = tree.with_name("other")
    shutil.copytree(tree, other, symlinks=True)
    with running(redd, other, users=users) as victim:
        found = facts(redd, tree, *WAYS[way](tree, victim, users), program)
    is_alice = "alice" in way
    more = int(found["CapBnd"], 16) & ~BOUNDING[users]
    assert more == 0, f"more capabilities than there should be: {more:x}"
    golden = {
        "Umask": "0022",
        "Uid": "\t".join(["1000" if is_alice else "0"] * 4),
        "Gid": "\t".join(["1000" if is_alice else "0"] * 4),
        "Groups": "10 1000" if is_alice else "0",
        "SigBlk": "0" * 16, "SigIgn": "0" * 16,
        "CapInh": "0" * 16, "CapAmb": "0" * 16,
        "CapPrm": "0" * 16 if is_alice else found["CapBnd"],
        "CapEff": "0" * 16 if is_alice else found["CapBnd"],
        "NoNewPrivs": "0", "Seccomp": "2", "Securebits": "0", "Scheduler": "0", "Session": "own",
        "OomScoreAdj": processes.oom_score_of_machines(), "Personality": "0",
    }  # fmt: skip
    assert {key: found[key].strip() for key in golden} == golden
    if found["Keyring"] != "refused":
        assert f"{int(found['KeyringId']):08x}" not in own_keyring, "the session keyring is the host's"


NOBODY = ["", " ", "-1", "-0", "+0", "0x0", "00", "000", "0 ", " 0", "1e3", "1.0", "0x3e8", "01000", "1000 ", "65535", "4294967295", "4294967296",
          "4294968296", "18446744073709551615", "18446744073709551616", "99999999999999999999999999", "nobody9", "ROOT", "root ", " root",
          "root:x", "root\n", "root\0", "ro*t", "../root", "/root", "alice,root", "alice:root", "0:0", "1000:0", "@root", "$USER", "%u", "１０００"]  # fmt: skip


def uid_of(result):
    return result.out.strip() if result.code == 0 else None


@row("X05", "user names that look like numbers, unknown users", "digits are a number, never a name; an unknown user is refused, never root")
@pytest.mark.parametrize("user", NOBODY)
def test_x05_odd_users(redd, tree, user):
    """Never root by accident: refused, or exactly the given number, even if a user has that number as name."""
    with (tree / "etc/passwd").open("a") as file:
        file.write("0x3e8:x:0:0::/:/bin/sh\n01000:x:0:0::/:/bin/sh\n-1:x:0:0::/:/bin/sh\n4294967296:x:0:0::/:/bin/sh\nbroken:x:4294967295:0::/:/bin/sh\n")
    if "\0" in user:
        pytest.skip("no command line can hold it")
    if user in ("", "0x3e8"):  # no user was given; the image has one of that name
        allowed = (None, "0")
    else:
        allowed = (None, str(int(user))) if re.fullmatch("[0-9]{1,5}", user, re.ASCII) and user != "65535" else (None,)
    assert uid_of(run(redd, tree, f"--uid={user}", "/bin/id", "-u")) in allowed
    with running(redd, tree) as victim:
        assert uid_of(redd.run("exec", f"--uid={user}", victim, "/bin/id", "-u")) in allowed
        assert uid_of(redd.run("shell", f"{user}@{victim}", "/bin/id", "-u")) in allowed


@row("X05")
def test_x05_users_that_are(redd, tree):
    people = (("root", "0"), ("0", "0"), ("alice", "1000"), ("1000", "1000"))
    for user, uid in people:
        assert uid_of(run(redd, tree, f"--uid={user}", "/bin/id", "-u")) == uid
    with running(redd, tree) as victim:
        for user, uid in people:
            assert uid_of(redd.run("exec", f"--uid={user}", victim, "/bin/id", "-u")) == uid
            assert uid_of(redd.run("shell", f"{user}@{victim}", "/bin/id", "-u")) == uid


@row("X06", "supplementary groups stay", "`setgroups` always")
@BOTH
def test_x06_groups(redd, tree, users):
    """Only the groups in the image's files; a user without an entry has none."""
    (tree / "etc/group").write_text("root:x:0:\nwheel:x:10:alice\nsudo:x:27:\nbad:x:4294967295:alice\nx:x:44:bob,alicex,\n")
    for user, groups in (("root", {"0"}), ("alice", {"1000", "10"})):
        assert set(run(redd, tree, "-u", user, "/bin/id", "-G", users=users).out.split()) == groups
    (tree / "etc/group").unlink()
    with running(redd, tree, users=users) as victim:
        assert redd("exec", "--uid=alice", victim, "/bin/id", "-G").out.split() == ["1000"]
        (tree / "etc/passwd").unlink()
        redd.fails("exec", "--uid=alice", victim, "/bin/id")
        assert uid_of(redd.run("exec", victim, "/bin/id", "-u")) == "0"


@row("X07", "the host's environment leaks through settings", "NAME without a value takes the caller's value only on the command line")
def test_x07_environment_of_the_host(redd, tree):
    """NAME without a value takes the caller's value on the command line only, never in a file that came with an image."""
    secret = {"SECRET": "of the host"}
    for place in (tree.with_name(f"{tree.name}.nspawn"), Path(f"/etc/systemd/nspawn/{tree.name}.nspawn")):
        for line in ("Environment=SECRET", "Environment=SECRET*", "Environment==x", "Environment=A=1\nEnvironment=SECRET"):
            place.write_text(f"[Exec]\n{line}\n")
            result = run(redd, tree, "/bin/env", env=secret)
            assert "of the host" not in result.out, f"{place} {line}\n{result}"
        place.unlink()
    assert "of the host" not in run(redd, tree, "/bin/env", env=secret).out
    with running(redd, tree, env={**os.environ, **secret}) as victim:
        assert "of the host" not in redd("exec", victim, "/bin/env", env=secret).out


# X08, X09, X10


@contextlib.contextmanager
def later():
    """Waits for the next clock tick, because start times are counted in ticks."""
    time.sleep(0.1)
    yield


@row("X08", "a pid is reused", "leader = pid, start time, boot id; signals through a pidfd")
def test_x08_pid_of_somebody_else(redd, tree):
    """The state names a live process that somebody else started."""
    with running(redd, tree) as victim, later(), subprocess.Popen(["sleep", "1000"]) as stranger:
        state = Path(f"/run/redd/machines/{victim}/state")
        text = state.read_text()
        state.write_text(re.sub(r"^LEADER=\d+", f"LEADER={stranger.pid}", text, flags=re.M))
        redd.fails("kill", "-s", "KILL", "--kill-whom=leader", victim)
        redd.fails("exec", victim, "/bin/true")
        redd.fails("shell", victim, "/bin/true")
        is_alive = stranger.poll() is None
        state.write_text(text)
        stranger.kill()
    assert is_alive, "a process of the host was killed"


@row("X08")
def test_x08_state_of_a_dead_machine(redd, tree):
    """The supervisor is gone, and its leader's pid has been reused: every verb refuses."""
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        with running(redd, tree) as victim:
            folder = Path(f"/run/redd/machines/{victim}")
            text = (folder / "state").read_text()
            victim.process.kill()
            victim.process.wait()
            wait_until(lambda: not victim.leader(), "the machine is gone")
            folder.mkdir(exist_ok=True)
            (folder / "lock").touch()
            (folder / "state").write_text(re.sub(r"^(LEADER|SUPERVISOR)=\d+", rf"\1={stranger.pid}", text, flags=re.M))
            for words in (["kill", victim], ["stop", victim], ["terminate", victim], ["restart", victim], ["exec", victim, "/bin/true"],
                          ["shell", victim, "/bin/true"], ["kill", "--kill-whom=leader", victim], ["kill", "--kill-whom=supervisor", victim]):  # fmt: skip
                redd.fails(*words)
            is_alive = stranger.poll() is None
            run(redd, tree, "-M", str(victim), "/bin/true")
        stranger.kill()
    assert is_alive
    shutil.rmtree(folder, ignore_errors=True)


@row("X09", "processes outlive PID 1", "pid namespace; the whole cgroup is killed")
@BOTH
@pytest.mark.parametrize("options", [[], ["--as-pid2"], ["--as-pid2", "-u", "alice"]])
def test_x09_hundred_daemons(redd, tree, users, options):
    """redd waits for their end; the check around every test finds any that are left."""
    daemons = put("daemons", tree)
    result = run(redd, tree, *options, daemons, users=users)
    assert result.code == 7 and "left" in result.out, result
    assert not [entry for entry in Path("/proc").glob("[0-9]*/comm") if read_or_nothing(entry) == "daemons\n"]


@row("X09")
@BOTH
@pytest.mark.parametrize("options", [[], ["--as-pid2"], ["-u", "alice"], ["--as-pid2", "-u", "alice"]])
def test_x09_supervisor_is_killed(redd, tree, users, options):
    """PID 1 dies with it, for any user inside."""
    with running(redd, tree, users=users, options=options) as victim:
        leader = victim.leader()
        victim.process.kill()
        victim.process.wait()
        wait_until(lambda: read_or_nothing(Path(f"/proc/{leader}/cmdline")) == "", "PID 1 died with its supervisor", 5)
        run(redd, tree, "-M", str(victim), "/bin/true", users=users)


def read_or_nothing(path):
    try:
        return path.read_text()
    except OSError:
        return ""


EVIL = """
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void ran(void) { close(open("/evil-ran", O_CREAT | O_RDWR, 0666)); }
"""


@row("X10", "code of the guest runs in redd (NSS, locale, loader)", "a static program: no dlopen, no NSS; own parser of passwd and group")
@BOTH
def test_x10_code_of_the_guest_does_not_run_in_redd(redd, tree, tmp_path, users):
    (tmp_path / "evil.c").write_text(EVIL)
    names = ("libnss_files.so.2", "libnss_evil.so.2", "libnss_systemd.so.2", "libc.so.6", "libjson-c.so.5", "libgcc_s.so.1")
    for folder in ("lib", "lib64", "usr/lib", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/gconv"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", tree / folder / name, tmp_path / "evil.c"], check=True) if folder == "lib" else shutil.copy(tree / "lib" / name, tree / folder / name)  # noqa: E501
    (tree / "etc/ld.so.preload").write_text("/lib/libnss_evil.so.2\n")
    (tree / "etc/nsswitch.conf").write_text("passwd: evil files\ngroup: evil files\nshadow: evil\nhosts: evil\n")
    (tree / "evil-ran").touch()
    (tree / "evil-ran").unlink()
    run(redd, tree, "-u", "alice", "/bin/true", users=users)
    run(redd, tree, "-u", "nobody9", "/bin/true", users=users)
    with running(redd, tree, users=users) as victim:
        for words in (["exec", victim], ["exec", "--uid=alice", victim], ["shell", f"alice@{victim}"]):
            redd(*words, "/bin/true")
        redd("status", victim)
        redd("list")
    assert not (tree / "evil-ran").exists() and not Path("/evil-ran").exists()


# T01


def assert_nothing_pushed(child, through=None):
    child.expect(r"pushed (\d+) through (\d+)")
    assert child.match.group(1) == "0", "input was pushed into a terminal"
    assert through is None or int(child.match.group(2)) >= through
    console.closed(child)


@row("T01", "input is pushed into the caller's terminal",
     "the guest gets no descriptor of it without `--pipe`; TIOCSTI and TIOCLINUX are filtered")  # fmt: skip
@BOTH
@pytest.mark.parametrize("options", [[], ["--as-pid2"], ["--pipe"], ["--console=read-only"], ["--console=passive"]])
def test_t01_input_for_the_caller_of_run(redd, tree, users, options):
    """With --pipe, the machine gets the caller's own terminal as a descriptor, as requested."""
    attack = put("tiocsti", tree)
    argv = [redd.path, "run", "-q", "-D", str(tree), f"--private-users={users}", *options, attack]
    child = pexpect.spawn("/bin/sh", ["-c", '"$@"; IFS= read -t 1 -r line 2>/dev/null; echo "read <$line>"', "sh", *argv], encoding="utf-8", timeout=30)
    if options != ["--console=passive"]:
        child.expect(r"pushed (\d+) through (\d+)")
        assert child.match.group(1) == "0"
    child.sendline("")
    child.expect(r"read <(.*?)>")
    assert "pwned" not in child.match.group(1)
    console.closed(child)
    assert not Path("/pwned").exists()


@row("T01")
@BOTH
def test_t01_input_for_those_who_enter(redd, tree, users):
    attack = put("tiocsti", tree)
    with running(redd, tree, users=users) as victim:
        for words in (["exec", victim, attack], ["shell", victim, attack], ["shell", f"alice@{victim}", attack],
                      ["exec", victim, "/bin/sh", "-c", f"{attack} | busybox cat"]):  # fmt: skip
            assert_nothing_pushed(redd.spawn(*words))


@row("T01")
@BOTH
def test_t01_terminal_is_not_the_callers(redd, tree, users):
    """Neither terminal nor session: /dev/tty inside leads to a pty of the machine, or nowhere."""
    child = redd.spawn("run", "-q", "-D", tree, f"--private-users={users}", "--pipe", "/bin/sh", "-c", "(: < /dev/tty) 2>/dev/null && echo has || echo none")
    child.expect("none")
    console.closed(child)
    with running(redd, tree, users=users) as victim:
        child = pexpect.spawn("/bin/sh", ["-c", f"{redd.path} exec {victim} /bin/sh -c '(: < /dev/tty) 2>/dev/null && echo has || echo none' | cat"], encoding="utf-8")
        child.expect("none")
        console.closed(child)


# T06


def phase(redd, machine):
    return redd.run("show", machine, "-p", "State", "--value").out.strip()


@row("T06", "the notify socket is flooded, by others than PID 1, or with descriptors",
     "only PID 1 is believed; bounded bursts; descriptors that come along are never taken")  # fmt: skip
@BOTH
def test_t06_only_pid_1_says_ready(redd, tree, users):
    """Rejects other processes, large messages, and descriptors sent along, which would stay open in the supervisor."""
    attack = put("notify", tree)
    with running(redd, tree, attack, users=users, options=["--notify-ready=yes"]) as victim:
        assert "flooded\n" in iter(victim.process.stdout.readline, "")
        descriptors = Path(f"/proc/{victim.process.pid}/fd")
        before = len(list(descriptors.iterdir()))
        assert phase(redd, victim) == "starting"
        assert before < 64, "what came along is open"
        (tree / "go").touch()
        wait_until(lambda: phase(redd, victim) == "running", "PID 1 is believed", timeout_s=10)
        assert len(list(descriptors.iterdir())) == before
