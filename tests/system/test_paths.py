# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trees made by an attacker: mount points, files and links that lead to the host (rows P01 to P09)."""

import os
import shutil
import threading

import pytest
from helpers import kernel, session, trees

MOUNT_POINTS = ("dev", "dev/pts", "dev/shm", "dev/console", "dev/null", "proc", "proc/sys", "sys", "sys/fs/cgroup", "run",
                "run/host", "tmp", "etc", "var")  # fmt: skip
SHAPES = {
    "absolute": lambda canary: str(canary),
    "relative": lambda canary: "../" * 30 + str(canary)[1:],
    "chained": lambda canary: "link1",
    "dangling": lambda canary: f"{canary}/not-there",
    "loop": lambda canary: "loop",
    "magic": lambda canary: "/proc/self/cwd",
    "descriptor": lambda canary: "/proc/self/fd/3",
}


@pytest.fixture
def canary(tmp_path):
    return trees.make_canary(tmp_path / "canary")


@pytest.fixture
def tree(tmp_path, canary):
    root = trees.make_busybox(tmp_path / session.own_name("tree"))
    os.symlink("link2", root / "link1")
    os.symlink(canary, root / "link2")
    os.symlink("loop", root / "loop")
    return root


def replace_by_link(path, target):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.symlink(target, path)


def run_true(redd, tree, *options):
    """The machine runs, or is refused with a message; nothing in between."""
    result = redd.run("run", "-q", "-D", tree, *options, "/bin/busybox", "true")
    assert result.code == 0 or result.err.strip(), f"it failed without a word\n{result}"
    return result


@pytest.mark.parametrize("users", ["pick", "no"])
@pytest.mark.parametrize("shape", SHAPES)
def test_mount_points_that_are_links(redd, tree, canary, shape, users):
    before = trees.state(canary)
    for name in MOUNT_POINTS:
        victim = tree.with_name("victim")
        shutil.copytree(tree, victim, symlinks=True)
        replace_by_link(victim / name, SHAPES[shape](canary))
        result = run_true(redd, victim, f"--private-users={users}", "--private-network")
        assert trees.state(canary) == before, f"{name} as a link ({shape}): the host was touched\n{result}"
        shutil.rmtree(victim)


@pytest.mark.parametrize("name", ["dev", "proc", "sys", "run", "tmp"])
def test_mount_points_that_are_files(redd, tree, name):
    shutil.rmtree(tree / name)
    (tree / name).write_text("not a folder\n")
    result = run_true(redd, tree)
    assert result.code == 0 or name in result.err, result


@pytest.mark.parametrize("target", ["a/b", "link1/b", "loop/b", "../../b"])
@pytest.mark.parametrize("option", ["--bind={source}:/{target}", "--tmpfs=/{target}"])
def test_missing_targets_are_not_made_outside(redd, tree, canary, tmp_path, option, target):
    """P08: /link1 is a link to the host's canary."""
    source = tmp_path / "source"
    source.mkdir()
    before = trees.state(canary)
    run_true(redd, tree, option.format(source=source, target=target))
    assert trees.state(canary) == before


def test_target_swapped_while_it_starts(redd, tree, canary):
    """P02: a folder and a link to the canary are exchanged all the time."""
    (tree / "swap").mkdir()
    os.symlink(canary, tree / "swap-link")
    before = trees.state(canary)
    done = threading.Event()

    def swap():
        while not done.is_set():
            kernel.exchange(tree / "swap", tree / "swap-link")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(40):
            run_true(redd, tree, "--tmpfs=/swap/inner", "--tmpfs=/swap")
    finally:
        done.set()
        swapper.join()
    assert trees.state(canary) == before


@pytest.mark.parametrize("chdir", ["/proc/self/fd/3", "/proc/self/fd/9", "/proc/1/cwd", "/proc/self/root/..", "/proc/thread-self/fd/5"])
def test_working_directory_is_inside(redd, tree, chdir):
    """P07."""
    script = "/bin/readlink /proc/self/cwd; /bin/ls ../../../../../bin/busybox"
    result = redd.run("run", "-q", "-D", tree, f"--chdir={chdir}", "/bin/sh", "-c", script)
    if result.code == 0:
        assert "unreachable" not in result.out and "/bin/busybox" in result.out, result
    else:
        assert result.err.strip(), result


@pytest.mark.parametrize("name", ["etc/os-release", "etc/passwd", "etc/group", "etc/machine-id", "etc/resolv.conf", "etc/localtime"])
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_odd_files_of_the_tree(redd, tree, canary, name, kind):
    """P09, P10: redd doesn't follow them out of the tree, and doesn't block on them."""
    before = trees.state(canary)
    path = tree / name
    path.unlink(missing_ok=True)
    if kind == "link":
        os.symlink(canary / "kept", path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    run_true(redd, tree)
    assert trees.state(canary) == before
