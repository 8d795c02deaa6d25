# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images that can't boot, hosts that lack something, and names that are taken lead to a clear message and leave nothing behind."""

import errno
import os
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import leftovers, trees

EM_AARCH64, EM_X86_64 = 183, 62
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def elf_header(machine):
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0) + bytes(100)


def _file(content, mode=0o755):
    def make(path):
        path.write_bytes(content)
        path.chmod(mode)

    return make


def _foreign():
    return elf_header(EM_X86_64 if os.uname().machine == "aarch64" else EM_AARCH64)


# The content of /sbin/init, and what the message must contain.
BROKEN = {
    "none": (lambda path: None, "has no init"),
    "empty": (_file(b""), "the file is empty"),
    "no interpreter": (_file(b"#!/nosuch/interpreter\n"), "interpreter"),
    "directory": (lambda path: path.mkdir(), "a directory"),
    "not executable": (_file(b"#!/bin/sh\n", 0o644), "not executable"),
    "garbage": (_file(b"garbage"), "neither a program nor a script"),
    "another architecture": (_file(_foreign()), "qemu-user"),
    "dangling link": (lambda path: path.symlink_to("/nix/nosuch"), "/nix/nosuch"),
    "link to itself": (lambda path: path.symlink_to("init"), "has no init"),
    "device": (lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3)), "has no init"),
    "fifo": (lambda path: os.mkfifo(path, 0o755), "has no init"),
    "escapes in a link": (lambda path: path.symlink_to("/\x1b]0;pwned\x07"), "has no init"),
}


@pytest.fixture
def image(machines):
    """image() makes an image with busybox and without init, and returns its Machine."""

    def make(name=None, init=None):
        machine = machines.claim(name or machines.fresh_name("bad"))
        trees.make_busybox(machine.root)
        (machine.root / "sbin").mkdir()
        if init:
            path = machine.root / "sbin/init"
            path.write_text(init)
            path.chmod(0o755)
        return machine

    return make


def systemd_like(machine, script):
    """An init that redd takes for systemd, so that it waits for READY=1."""
    path = machine.root / "usr/lib/systemd/systemd"
    path.parent.mkdir(parents=True)
    path.write_text(script)
    path.chmod(0o755)
    (machine.root / "sbin/init").symlink_to("/usr/lib/systemd/systemd")
    return machine


# --- images


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("verb", ["start", "run"])
def test_init_that_cannot_be_run(redd, image, what, verb):
    machine = image()
    make, says = BROKEN[what]
    make(machine.root / "sbin/init")
    before = leftovers.snapshot()
    result = redd.fails(*(["start", machine] if verb == "start" else ["run", "-b", "-M", machine]), says=says)
    assert machine.name in result.err and "\x1b" not in result.err
    assert not leftovers.difference(before)


def test_failed_exec_is_in_the_log(redd, image):
    machine = image(init="#!/nosuch/interpreter\n")
    redd.fails("start", machine)
    assert "/nosuch" not in redd("logs", machine).out
    assert "execute the init" in redd("logs", machine).out


@pytest.mark.parametrize("script, says", [
    ("#!/bin/sh\necho mounting; echo cannot mount >&2; exit 3\n", "exited with status 3"),
    ("#!/bin/sh\necho cannot mount; exit 0\n", "exited with status 0"),
])  # fmt: skip
def test_failed_boot_says_why_with_the_last_lines(redd, image, script, says):
    machine = systemd_like(image(), script)
    before = leftovers.snapshot()
    result = redd.fails("start", machine, says=says)
    assert "cannot mount\n" in result.err and f"redd logs {machine}" in result.err
    assert not leftovers.difference(before)
    log = redd("logs", machine).out
    assert "cannot mount" in log and says in log, "the log of a failed boot is kept"


def test_old_lines_are_not_shown_for_another_failure(redd, image):
    machine = systemd_like(image(), "#!/bin/sh\necho old line; exit 1\n")
    assert "old line" in redd.fails("start", machine).err
    (machine.root / "sbin/init").unlink()
    (machine.root / "usr/lib/systemd/systemd").unlink()
    assert "old line" not in redd.fails("start", machine, says="no init").err


def test_boot_that_never_gets_ready(redd, image):
    machine = systemd_like(image(), "#!/bin/sh\nwhile :; do read x; sleep 1; done\n")
    redd.fails("start", "--timeout=0.5s", machine, says="not said within")
    assert machine.is_running(), "it may only be slow"
    redd("terminate", machine)


def test_reboot_loop_is_given_up(redd, image):
    machine = systemd_like(image(), "#!/bin/busybox sh\nbusybox reboot -f\n")
    redd.fails("start", machine, says="again and again", timeout=20)
    assert not machine.is_running()


# --- names


def test_unknown_machine_and_image(redd, image):
    machine = image()
    near = machine.name[:-1] + "x"
    for verb in ("status", "stop", "restart", "terminate", "kill", "login", "shell", "console", "show"):
        redd.fails(verb, "nosuch", says="no machine 'nosuch' is running")
        ends = verb in ("stop", "terminate", "kill")
        redd.fails(verb, machine, says="it is off: nothing to do" if ends else f"redd start {machine}")
    redd.fails("exec", "nosuch", "true", says="no machine 'nosuch'")
    redd.fails("start", near, says=f"did you mean '{machine}'")
    redd.fails("run", "-M", near, "true", says=f"did you mean '{machine}'")


@pytest.mark.parametrize("name", ["", ".", "..", "../etc", "a/b", "a b", "\x1b[31m", "x" * 65, "-", "ü", "a\nb"])
def test_bad_names(redd, name):
    for verb in ("start", "status", "stop", "image-status", "remove"):
        result = redd.run(verb, "--", name)
        assert result.code in (1, 2) and result.err.strip() and "\x1b" not in result.err, result
    result = redd.run("run", "-M", name, "true")
    assert result.code in (1, 2) and "\x1b" not in result.err, result


@pytest.mark.parametrize("argv", [["strat", "x"], ["start"], ["start", "--jsno", "x"], ["list", "x"], ["kill", "x", "--signal=FOO"],
                                  ["logs", "-n", "x", "x"], ["run", "--nosuch"], ["run", "--bind=relative", "true"], ["login", "a", "b"],
                                  ["exec", "x"], ["list", "--json=xml"], ["kill", "x", "--kill-whom=me"]])  # fmt: skip
def test_usage_errors_are_2(redd, argv):
    redd.fails(*argv, code=2)


def test_full_disk_below_the_output_is_told(redd, image):
    machine = systemd_like(image(), "#!/bin/sh\necho line; exit 1\n")
    redd.fails("start", machine)
    for argv in (["logs", machine], ["list-images"], ["list-images", "--json=short"], ["image-status", machine], ["--help"], ["run", "--help"], ["list"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([redd.path, *map(str, argv)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20, check=False)
        assert done.returncode == 1 and "No space left" in done.stderr, (argv, done)


# --- names that are taken


def test_sixteen_starts_have_one_winner(redd, guest):
    machine = guest("tiny")
    for _ in range(3):
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(lambda _: redd.run("start", machine), range(16)))
        assert sorted(result.code for result in results) == [0] + [1] * 15, [str(result) for result in results]
        assert all("running already" in result.err or "in use" in result.err for result in results if result.code)
        assert machine.is_running()
        machine.stop()


def test_start_of_a_running_machine(redd, guest):
    machine = guest("tiny").start()
    leader = machine.leader()
    result = redd.fails("start", machine, says="running already")
    assert "last lines" not in result.err and machine.leader() == leader
    redd.fails("run", "-M", machine, "true", says="running already")
    redd.fails("run", "-M", "another-name", "-D", machine.root, "true", says="in use")
    redd("run", "-q", "-x", "-M", "another-name", "-D", machine.root, "/bin/true", code=1, timeout=10)


# --- rights


def test_without_root(redd, guest, tmp_path):
    machine = guest("tiny").start()
    # The build may be in a folder that other users can't enter.
    program = tmp_path / "redd"
    subprocess.run(["cp", redd.path, program], check=True)
    os.chmod(tmp_path, 0o755)
    for parent in list(tmp_path.parents)[:2]:
        os.chmod(parent, 0o755)

    def nobody(*argv):
        return subprocess.run([*NOBODY, program, *map(str, argv)], capture_output=True, text=True, timeout=20, cwd="/", check=False)

    for argv in (["--help"], ["start", "--help"], ["run", "--help"], ["--version"]):
        assert nobody(*argv).returncode == 0, argv
    for argv in (["list-images"], ["list"], ["start", machine], ["stop", machine], ["run", "-D", machine.root, "/bin/true"], ["shell", machine], ["status", machine],
                 ["remove", machine], ["terminate", machine], ["kill", machine]):  # fmt: skip
        done = nobody(*argv)
        assert done.returncode == 1 and ("root" in done.stderr or "Permission denied" in done.stderr), (argv, done)
    assert machine.is_running()


# --- kernels that lack something

SHIM = r"""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char *argv[])
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(argv[1]), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(argv[2])),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, filter};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 99;
	execv(argv[3], argv + 3);
	return 98;
}
"""
# The numbers above 424 are the same on all architectures.
LATE_CALLS = {"pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
              "pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437, "mount_setattr": 442}  # fmt: skip


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    return trees.compile_static(SHIM, tmp_path_factory.mktemp("shim") / "shim")


@pytest.mark.parametrize("call", LATE_CALLS)
@pytest.mark.parametrize("verb", ["start", "run"])
def test_kernel_without(redd, guest, shim, call, verb):
    machine = guest("tiny")
    before = leftovers.snapshot()
    argv = ["start", machine.name] if verb == "start" else ["run", "-q", "-M", machine.name, "/bin/true"]
    done = subprocess.run([shim, str(LATE_CALLS[call]), str(errno.ENOSYS), redd.path, *argv], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=30, check=False)  # fmt: skip
    if done.returncode == 0:
        if verb == "start":
            redd("terminate", machine)
    else:
        assert done.returncode == 1 and "not implemented" in done.stderr, done
        assert "Linux 5.14" in done.stderr, f"no next step: {done.stderr}"
    assert not leftovers.difference(before)


def test_no_more_user_namespaces(redd, guest):
    """Sets user.max_user_namespaces=0 in a user namespace of the test."""
    machine = guest("tiny")
    script = "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\""
    done = subprocess.run(["unshare", "-U", "-r", "-m", "sh", "-c", script, "-", redd.path, "run", "-q", "-M", machine.name, "/bin/true"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False)  # fmt: skip
    assert done.returncode == 1 and done.stderr.strip(), done


def test_no_more_descriptors(redd, guest):
    machine = guest("tiny")
    before = leftovers.snapshot()
    # Each in turn, so that another one is missing each time.
    for limit in range(3, 48):
        done = subprocess.run(["sh", "-c", f'ulimit -n {limit}; exec "$@"', "-", redd.path, "start", machine.name],
                              capture_output=True, text=True, timeout=30, check=False)  # fmt: skip
        if done.returncode == 0:
            redd("terminate", machine)
        else:
            assert done.returncode in (1, 127) and done.stderr.strip(), (limit, done)
        redd("list")  # like the next command, with enough descriptors to clean
        assert not leftovers.difference(before), limit


def test_help_of_a_verb_has_its_own_options_only(redd):
    assert "--json" in redd("list", "--help").out and "--kill-whom" not in redd("list", "--help").out
    assert "--kill-whom" in redd("kill", "--help").out and "--timeout" in redd("start", "--help").out
    for line in redd("--help").out.split("Machines:")[1].split("Options:")[0].splitlines():
        if line.startswith("  "):
            verb = line.split()[0]
            assert redd(verb, "--help").out.strip()
