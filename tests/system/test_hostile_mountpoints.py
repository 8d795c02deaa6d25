# SPDX-License-Identifier: LGPL-2.1-or-later
"""Row P14 of SECURITY.md: mount points, flags and links that redd makes in a tree whose links lead into folders of the host."""

import os
import shutil
import time

import pytest
from attacks import make_tree, put, running
from helpers import session, trees
from helpers.security import row

REFUSED = "the machine's root may make nothing"


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / f"{session.tag}-tree")


@pytest.fixture
def data(tmp_path):
    """A folder of the host that is bound on /data, readable for the machine's root."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("the host's\n")
    return folder


def run(redd, tree, *words, users="pick"):
    return redd.run("run", "-q", "-D", tree, f"--private-users={users}", "--private-network", "--pipe", *words)


def mounts_at(redd, tree, *options, users="pick"):
    """The mounts of a machine: {place: type}."""
    result = run(redd, tree, *options, "/bin/cat", "/proc/mounts", users=users)
    assert result.code == 0, result
    return {line.split()[1]: line.split()[2] for line in result.out.splitlines()}


PLANTED = pytest.mark.parametrize("link", ["/data", "../../../../data", "/data/../data"])
MAKES = pytest.mark.parametrize("option", ["--tmpfs=/var/cache/app/sub/deep", "--bind={file}:/var/cache/app/new", "--bind={folder}:/var/cache/app/a/b",
                                           "--bind-ro={file}:/var/cache/app/a/b/new"])  # fmt: skip


@row("P14", "a link in the tree leads a mount point, the Nix link or an init's flag file into a folder of the host that is bound inside",
     "over a mount, redd creates files with the rights of the machine's root only; else the start is refused")  # fmt: skip
@PLANTED
@MAKES
def test_p14_a_planted_link(redd, tree, data, tmp_path, link, option):
    folder = tmp_path / "folder"
    folder.mkdir()
    planted = run(redd, tree, "/bin/sh", "-c", f"mkdir -p /var/cache && busybox ln -s {link} /var/cache/app")
    assert planted.code == 0, planted
    before = trees.state(data)
    result = run(redd, tree, f"--bind={data}:/data", option.format(file=data / "file", folder=folder), "/bin/true")
    assert trees.state(data) == before, result
    assert result.code == 1 and REFUSED in result.err, result


@row("P14")
def test_p14_no_way_through_a_private_folder(redd, tree, data):
    """A folder that anybody may write to, inside one that only the host's root may enter."""
    (data / "private").mkdir(mode=0o700)
    (data / "private/open").mkdir()
    (data / "private/open").chmod(0o1777)
    before = trees.state(data)
    result = run(redd, tree, f"--bind={data}:/data", "--tmpfs=/data/private/open/new", "/bin/true")
    assert trees.state(data) == before and result.code == 1 and REFUSED in result.err, result


@row("P14")
def test_p14_a_folder_beneath_the_tree(redd, tree, data):
    """What the host has mounted in the tree is mapped like the tree; read-only mounts stay read-only."""
    (tree / "srv").mkdir()
    result = run(redd, tree, f"--bind-ro={data}:/srv:idmap", "--tmpfs=/srv/new", "/bin/true")
    assert not (data / "new").exists() and result.code == 1 and "read-only" in result.err.lower(), result


def test_what_the_guest_may_make_is_made(redd, tree, data):
    """A mapped folder belongs to the machine's root, and another one is writable for anybody."""
    assert mounts_at(redd, tree, f"--bind={data}:/data:idmap", "--tmpfs=/data/a/b")["/data/a/b"] == "tmpfs"
    assert (data / "a/b").stat().st_uid == 0
    data.chmod(0o1777)
    assert mounts_at(redd, tree, f"--bind={data}:/data", "--tmpfs=/data/c/d")["/data/c/d"] == "tmpfs"
    assert (data / "c/d").stat().st_uid >= 0x80000, "not as the host's root"


def test_mount_points_that_are_there(redd, tree, data):
    (data / "sub").mkdir(mode=0o700)
    before = trees.state(data)
    mounts = mounts_at(redd, tree, f"--bind={data}:/data", "--tmpfs=/data/sub", f"--bind-ro={data / 'file'}:/data/file")
    assert mounts["/data/sub"] == "tmpfs" and "/data/file" in mounts
    assert trees.state(data) == before


@pytest.mark.parametrize("users", ["pick", "no", "identity"])
@pytest.mark.parametrize("below", ["/run/mine", "/tmp/mine", "/dev/mine", "/asked", "/asked/a/b"])
def test_mount_points_below_file_systems_of_the_plan(redd, tree, data, below, users):
    mounts = mounts_at(redd, tree, "--tmpfs=/asked:mode=0700", f"--bind={data}:{below}/folder", f"--bind={data / 'file'}:{below}/one/file", users=users)
    assert f"{below}/folder" in mounts and f"{below}/one/file" in mounts


def test_without_users_of_its_own_root_is_root(redd, tree, data):
    assert mounts_at(redd, tree, f"--bind={data}:/data", "--tmpfs=/data/new", users="no")["/data/new"] == "tmpfs"
    assert (data / "new").is_dir()


def test_a_folder_of_another_user_of_the_guest(redd, tree, data):
    """Root of the machine may write there, since it has capabilities over the machine's users."""
    (tree / "home").mkdir()
    (tree / "home").chmod(0o700)
    os.chown(tree / "home", 1000, 1000)
    (data / "home").mkdir(mode=0o700)
    os.chown(data / "home", 1000, 1000)
    mounts = mounts_at(redd, tree, "--tmpfs=/home/alice", f"--bind={data}:/data:idmap", "--tmpfs=/data/home/new")
    assert mounts["/home/alice"] == mounts["/data/home/new"] == "tmpfs"


@pytest.fixture
def daemons(tree):
    """A function that makes a tree whose init does nothing; its argument is the init's name."""
    init = put("daemons", tree)
    (tree / "sbin").mkdir()

    def name_it(name):
        shutil.copy(tree / init[1:], tree / "sbin" / name)
        if name != "init":
            os.symlink(name, tree / "sbin/init")
        return tree

    return name_it


def stop(redd, tree, data, script):
    with running(redd, tree, "stay", options=["-b", f"--bind={data}:/data"]) as victim:
        redd("exec", victim, "/bin/busybox", "sh", "-c", script)
        stopping = redd.start("stop", victim)
        time.sleep(1)
        redd.run("terminate", victim)
        stopping.communicate(timeout=20)


@row("P14")
def test_p14_a_fifo_of_the_host(redd, daemons, data):
    """sysvinit is asked through a fifo. A link leads to a fifo of the host, which the host's root owns and reads."""
    os.mkfifo(data / "fifo", 0o600)
    reader = os.open(data / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        stop(redd, daemons("init"), data, "busybox ln -s /data/fifo /run/initctl")
        assert os.read(reader, 1000) == b""
    finally:
        os.close(reader)


@row("P14")
def test_p14_flags_in_a_folder_of_the_host(redd, daemons, data):
    tree = daemons("runit")
    (tree / "etc/runit").mkdir()
    before = trees.state(data)
    stop(redd, tree, data, "busybox rm -r /etc/runit; busybox ln -s /data /etc/runit; busybox ln -s /data/stopit /run/runit.stopit")
    assert trees.state(data) == before
