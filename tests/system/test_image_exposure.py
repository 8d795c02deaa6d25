# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A setuid file of root in a machine's tree is a setuid-root file on the host: no user of the host may reach it. Also: later
commands finish a killed removal, in bounded time.
"""

import fcntl
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from attacks import make_tree, running
from helpers.security import row

POOL = Path("/var/lib/machines")
SCRATCH = Path("/var/lib/redd/ephemeral")
NOBODY = 65534
# id(1) of the host, since busybox drops the privilege. (It doesn't have to run inside.)
LEAVE_SETUID = "cp /bin/id /rootid && chmod 4755 /rootid"


@pytest.fixture
def pool():
    """The standard pool, open to everybody, as another tool could make it."""
    mode = stat.S_IMODE(POOL.stat().st_mode)
    POOL.chmod(0o755)
    yield POOL
    for path in POOL.iterdir():
        shutil.rmtree(path)
    POOL.chmod(mode)


@pytest.fixture
def open_folder():
    """A folder that others can enter, like /srv. (pytest's folders are closed.)"""
    folder = Path("/srv/redd-test-open")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def tree_with_id(root):
    make_tree(root)
    (root / "bin/id").unlink(missing_ok=True)
    shutil.copy("/usr/bin/id", root / "bin/id")
    return root


def gains(path):
    """Whether an unprivileged user becomes root by a setuid id(1)."""
    try:
        done = subprocess.run([path, "-u"], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True, text=True, check=False)
    except PermissionError:
        return False
    return done.returncode == 0 and done.stdout.strip() == "0"


@row("K23", "root inside leaves a setuid file in its tree, and a user of the host runs it as the host's root",
     "the standard pool is closed, 0700, by import and start; elsewhere a warning says what to do; changes of ephemeral machines lie in a "
     "closed folder, owned by the machine's root")  # fmt: skip
@pytest.mark.parametrize("users", ["pick", "no"])
def test_standard_pool_is_closed_by_a_start(redd, pool, users):
    tree = tree_with_id(pool / "suid")
    done = redd("run", "-M", "suid", f"--private-users={users}", "/bin/sh", "-c", LEAVE_SETUID)
    left = (tree / "rootid").stat()
    assert left.st_mode & stat.S_ISUID and left.st_uid == 0
    assert "its mode is 0700 now" in done.err and stat.S_IMODE(POOL.stat().st_mode) == 0o700
    assert not gains(tree / "rootid")
    assert "0700" not in redd("run", "-M", "suid", "/bin/sh", "-c", ":").err


@row("K23")
def test_standard_pool_is_closed_by_an_import(redd, pool, tmp_path):
    subprocess.run(["tar", "-C", make_tree(tmp_path / "t"), "-cf", tmp_path / "t.tar", "."], check=True)
    assert "its mode is 0700 now" in redd("import-tar", tmp_path / "t.tar", "suid").err
    assert stat.S_IMODE(POOL.stat().st_mode) == 0o700


@row("K23")
def test_elsewhere_a_warning_says_what_to_do(redd, open_folder):
    tree = tree_with_id(open_folder / "suid")
    done = redd("run", "-q", "-D", tree, "/bin/sh", "-c", LEAVE_SETUID)
    assert f"users of this host can enter {tree}" in done.err and "of mode 0700" in done.err
    # No command to paste: redd can't know what else is there or who needs access.
    assert "chmod" not in done.err and "mv " not in done.err
    # The attack works there, and the advice stops it.
    assert gains(tree / "rootid")
    open_folder.chmod(0o700)
    assert not gains(tree / "rootid")
    assert redd("run", "-q", "-D", tree, "/bin/true").err == ""


@pytest.mark.parametrize("way", ["closed above", "nosuid", "read-only", "ephemeral"])
def test_nothing_is_said_where_nothing_is_open(redd, open_folder, way):
    tree, options = open_folder / "a/suid", []
    if way == "nosuid":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,mode=755", "tmpfs", open_folder], check=True)
    (open_folder / "a").mkdir(mode=0o700 if way == "closed above" else 0o755)
    make_tree(tree)
    if way in ("read-only", "ephemeral"):
        options = [f"--{way}"]
    try:
        assert redd("run", "-q", "-D", tree, *options, "/bin/true").err == ""
    finally:
        if way == "nosuid":
            subprocess.run(["umount", open_folder], check=True)


@pytest.mark.parametrize("command", ["ls", "-b"])
def test_a_folder_that_is_no_system_is_not_spoken_about(redd, open_folder, command):
    """`cd /srv/…; redd run ls` by mistake: the message only says that it is no system."""
    (open_folder / "something").mkdir(mode=0o755)
    done = redd.fails("run", "-D", open_folder, command)
    assert "can enter" not in done.err and "chmod" not in done.err


@pytest.mark.parametrize("owner,mode,is_open", [(0, 0o700, False), (0, 0o750, False), (0, 0o710, False), (0, 0o711, True), (1000, 0o700, True)])
def test_who_can_enter(redd, open_folder, owner, mode, is_open):
    """root's group counts as root; a user can enter the user's own folder, whatever its mode."""
    tree = tree_with_id(open_folder / "suid")
    os.chown(open_folder, owner, 0)
    open_folder.chmod(mode)
    assert ("can enter" in redd("run", "-q", "-D", tree, "/bin/true").err) == is_open


def test_acl_of_a_user_opens_the_way(redd, open_folder):
    tree = tree_with_id(open_folder / "suid")
    open_folder.chmod(0o700)
    subprocess.run(["setfacl", "-m", f"u:{NOBODY}:x", open_folder], check=True)
    assert "can enter" in redd("run", "-q", "-D", tree, "/bin/true").err


@row("K23")
def test_changes_of_an_ephemeral_machine_are_out_of_reach(redd, open_folder):
    """While it runs, the folder of its changes is closed, and its files there belong to the machine's root."""
    tree = tree_with_id(open_folder / "suid")
    with running(redd, tree, options=["-x"]) as machine:
        redd("exec", machine, "/bin/sh", "-c", LEAVE_SETUID)
        (left,) = SCRATCH.glob("*/upper/rootid")
        assert left.stat().st_mode & stat.S_ISUID and left.stat().st_uid != 0
        assert stat.S_IMODE(left.parents[1].stat().st_mode) == 0o700
        assert not gains(left)


@row("F16", "a killed removal leaves a tree that later commands neither show nor finish, or that delays them",
     "import, remove, start and list-images continue it for a fifth of a second each; clean finishes it")  # fmt: skip
@pytest.mark.parametrize("command", ["import", "remove", "start", "list-images", "clean"])
def test_leftover_of_a_removal_is_finished(redd, machines, tmp_path, command):
    machine = machines.add("busybox") if command == "start" else None
    left = POOL / ".#remove-gone.00000001"
    (left / "a/b").mkdir(parents=True)
    (left / "a/b/c").touch()
    if command == "import":
        subprocess.run(["tar", "-C", make_tree(tmp_path / "t"), "-cf", tmp_path / "t.tar", "."], check=True)
        redd("-q", "import-tar", tmp_path / "t.tar", "new")
        shutil.rmtree(POOL / "new")
    elif command == "start":
        machine.start()
        assert not left.exists()
        machine.stop()
    elif command == "remove":
        make_tree(POOL / "old")
        redd("-q", "remove", "old")
    else:
        assert left.name not in redd(command).out
    assert not left.exists()


@row("F16")
def test_deep_trees_are_removed_with_bounded_work(redd, tmp_path):
    """A constant number of system calls per level, however deep, and few descriptors."""
    counts = []
    for depth in (400, 3200):
        top = POOL / "deep"
        top.mkdir()
        fd = os.open(top, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("d", dir_fd=fd)
            below = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        os.close(fd)
        trace = tmp_path / f"trace{depth}"
        argv = ["prlimit", "--nofile=128", "strace", "-qq", "-o", trace, "-e", "trace=%file,%desc", redd.path, "-q", "remove", "deep"]
        subprocess.run(argv, check=True, timeout=120)
        assert not top.exists()
        counts.append(len(trace.read_text().splitlines()))
    assert counts[1] - counts[0] < 24 * (3200 - 400), counts


@row("F16")
def test_a_large_leftover_does_not_delay(redd):
    """A command with other work removes only a part; the next one goes on, and clean does the rest."""
    left = POOL / ".#remove-large.00000001"
    subprocess.run(["mkdir", "-p", left], check=True)
    for folder in range(40):
        (left / f"d{folder}").mkdir()
        for number in range(500):
            (left / f"d{folder}/f{number}").touch()
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=unlinkat:delay_exit=20000", redd.path, "-q", "list-images"]
    before = sum(1 for _ in left.rglob("*"))
    subprocess.run(argv, check=True, timeout=60, capture_output=True)
    after = sum(1 for _ in left.rglob("*"))
    assert 0 < before - after < 200
    lock = os.open(left, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)
    redd("clean")
    assert not left.exists()
