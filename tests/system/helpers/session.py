# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Namespaces of a test session: mount, pid and network namespaces with their own /run, /etc, /var/cache, /var/lib and /var/log.
So no test can touch the machine it runs on, and two sessions never see each other.

    the process you started    waits; builds guests when asked (it still has the network); tidies up at the end
      └─ PID 1 of the session  reaps
           └─ pytest           goes on as usual

Cgroups and loop devices are shared with the machine, so names made here contain the session's tag.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from . import cgroups, kernel

GUESTS = Path(__file__).resolve().parents[2] / "guests"
SCRATCH = Path(os.environ.get("REDD_TEST_SCRATCH", "/var/tmp/redd-tests"))

GUEST_CACHE = Path(os.environ.get("REDD_GUEST_CACHE", "/var/cache/redd-guests"))

_builder = None
folder = None
tag = None
claimed_names = set()


def enter():
    """Moves this process into a new session, and returns only there. Call once, before there are threads."""
    global _builder, folder, tag
    tag = f"t{os.getpid()}"
    folder = SCRATCH / tag
    _remove_stale_sessions()
    folder.mkdir(parents=True)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid > 0:
        theirs.close()
        _serve_outside(pid, ours)
    ours.close()
    _builder = theirs.makefile("rw")
    kernel.die_with_parent(signal.SIGKILL)
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET)
    _fork_and_wait()
    kernel.die_with_parent(signal.SIGKILL)
    _fork_and_reap()
    _arrange_mounts()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def build_guest(name):
    """Path of the folder with the tarballs of guest `name`; builds it if missing."""
    if _builder is None:
        return _run_builder(name)
    _builder.write(name + "\n")
    _builder.flush()
    return _read_answer(_builder.readline().rstrip("\n"))


def _read_answer(answer):
    if not answer.startswith("/"):
        raise RuntimeError(answer or "the guest builder is gone")
    return Path(answer)


def _run_builder(name):
    return _read_answer(_build(name))


def _build(name):
    done = subprocess.run([GUESTS / "build", name], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        return "guest " + name + " was not built: " + " | ".join(done.stderr.strip().splitlines()[-3:])
    return done.stdout.strip().splitlines()[-1]


def _serve_outside(session_pid, channel):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stream = channel.makefile("rw")
    for line in stream:
        stream.write(_build(line.strip()) + "\n")
        stream.flush()
    _, status = os.waitpid(session_pid, 0)
    _remove_session(folder)
    _leave(status)


def _leave(status):
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _fork_and_wait():
    pid = os.fork()
    if pid:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _, status = os.waitpid(pid, 0)
        _leave(status)


def _fork_and_reap():
    """The caller becomes PID 1 of the session and doesn't return; its child does."""
    child = os.fork()
    if not child:
        return
    _builder.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == child:
            _leave(status)


def _arrange_mounts():
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    _mount_sysfs()
    aside = folder / "guests"
    aside.mkdir()
    GUEST_CACHE.mkdir(parents=True, exist_ok=True)
    kernel.mount(GUEST_CACHE, aside, None, kernel.MS_BIND)
    for path in ("/etc", "/var/cache", "/var/lib", "/var/log"):
        _overlay(path)
    # Guests that are built while this session runs have to appear here.
    kernel.mount(aside, GUEST_CACHE, None, kernel.MS_BIND)
    kernel.umount(aside)
    kernel.mount("tmpfs", "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for path in ("/var/lib/machines", "/var/lib/redd", "/var/log/redd", "/var/cache/redd"):
        _bind_own(path)
    shutil.rmtree("/etc/systemd/nspawn", ignore_errors=True)
    shutil.rmtree("/etc/redd", ignore_errors=True)
    os.makedirs("/etc/systemd/nspawn")


def _mount_sysfs():
    """Mounts a sysfs of the session's network namespace, and the cgroup trees as before."""
    aside = folder / "sys"
    aside.mkdir()
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("sysfs", aside, "sysfs", flags)
    kernel.mount("/sys/fs/cgroup", aside / "fs/cgroup", None, kernel.MS_BIND | kernel.MS_REC)
    kernel.umount("/sys")
    kernel.mount(aside, "/sys", None, kernel.MS_MOVE)


def _overlay(path):
    upper, work = (folder / kind / path.lstrip("/").replace("/", "-") for kind in ("upper", "work"))
    upper.mkdir(parents=True)
    work.mkdir(parents=True)
    shutil.copystat(path, upper)
    kernel.mount("overlay", path, "overlay", 0, f"lowerdir={path},upperdir={upper},workdir={work}")


def _bind_own(path):
    """Binds an empty folder of the real disk: images on tmpfs or overlayfs would behave differently."""
    own = folder / "bind" / path.lstrip("/").replace("/", "-")
    own.mkdir(parents=True)
    own.chmod(0o700)
    os.makedirs(path, exist_ok=True)
    kernel.mount(own, path, None, kernel.MS_BIND)


def bind_own_nix():
    """
    Mounts an empty /nix. If the machine has no /nix, the empty folder stays as mount point: removing it would unmount it in
    every namespace, also in other sessions.
    """
    _bind_own("/nix")
    os.chmod("/nix", 0o755)


def _remove_session(path):
    subprocess.run(["chattr", "-R", "-f", "-i", "-a", path], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=False)
    cgroups.remove_tagged(path.name)


def _remove_stale_sessions():
    if not SCRATCH.is_dir():
        return
    for path in SCRATCH.iterdir():
        if path.name[1:].isdigit() and not os.path.exists(f"/proc/{path.name[1:]}"):
            _remove_session(path)


def is_possible():
    return os.geteuid() == 0 and sys.platform == "linux"


def own_name(text):
    """A name that no other session has: cgroups, which bear machines' names, are shared by all of them."""
    return f"{tag}-{text}"


def is_ours(path):
    """Whether this session made a path or name in something that all sessions share."""
    return (tag is not None and tag in path) or any(name in path for name in claimed_names)
