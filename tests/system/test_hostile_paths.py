# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows P01 to P13 of SECURITY.md: trees and volumes whose author wants access to the host's files."""

import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from attacks import make_tree, mountinfo, put, running
from helpers import console, kernel, session, trees
from helpers.security import row

BOTH = pytest.mark.parametrize("users", ["pick", "no"])
NINE = ("dev", "dev/pts", "dev/shm", "proc", "sys", "run", "tmp", "etc", "var")
SEVEN = {
    "absolute": lambda canary: str(canary),
    "relative": lambda canary: "../" * 30 + str(canary)[1:],
    "chained": lambda canary: "link1",
    "dangling": lambda canary: f"{canary}/not-there",
    "loop": lambda canary: "loop",
    "descriptor": lambda canary: "/proc/self/fd/3",
    "cwd": lambda canary: "/proc/self/cwd",
}
SECRET = "what only the host may read"


@pytest.fixture
def canary(tmp_path):
    return trees.make_canary(tmp_path / "canary")


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return path


@pytest.fixture
def tree(tmp_path, canary):
    root = make_tree(tmp_path / f"{session.tag}-tree")
    os.symlink("link2", root / "link1")
    os.symlink(canary, root / "link2")
    os.symlink("loop", root / "loop")
    return root


def replace(path, make):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)


def run(redd, tree, *words, users="pick", **kwargs):
    """The machine runs, or is refused with a message."""
    words = words or ("/bin/busybox", "true")
    result = redd.run("run", "-q", "-D", tree, f"--private-users={users}", "--private-network", *words, **kwargs)
    assert result.code == 0 or result.err.strip(), f"it failed without a word\n{result}"
    return result


@row("P01", "`/dev`, `/proc`, … of the tree are links to the host", "every mount point is opened or made inside the tree's descriptor")
@BOTH
@pytest.mark.parametrize("shape", SEVEN)
def test_p01_mount_points_are_links(redd, tree, canary, shape, users):
    mounts, before = mountinfo(), trees.state(canary)
    for name in NINE:
        victim = tree.with_name(f"{tree.name}-victim")
        shutil.copytree(tree, victim, symlinks=True)
        replace(victim / name, lambda path: os.symlink(SEVEN[shape](canary), path))
        result = run(redd, victim, "/bin/cat", "/proc/self/mountinfo", users=users)
        assert trees.state(canary) == before, f"/{name} -> {shape}\n{result}"
        assert mountinfo() == mounts, f"/{name} -> {shape}"
        assert str(canary) not in result.out, result
        shutil.rmtree(victim)


@row("P01")
@BOTH
@pytest.mark.parametrize("option", ["--private-network", "--network-veth", "-x", "--resolv-conf=copy-host"])
@pytest.mark.parametrize("where", ["/", "."])
@pytest.mark.parametrize("name", ["run", "tmp", "dev"])
def test_p01_mount_point_is_the_root_of_the_tree(redd, tree, canary, name, where, option, users):
    """A mount there covers the tree's root, but the path still leads to the tree, which has a link to the host."""
    mounts, before = mountinfo(), trees.state(canary)
    replace(tree / name, lambda path: os.symlink(where, path))
    os.symlink(canary, tree / "evil")
    replace(tree / "etc/resolv.conf", lambda path: os.symlink("/run/evil/pwned", path))
    result = redd.run("run", "-q", "-D", tree, f"--private-users={users}", option, "/bin/busybox", "true")
    assert result.code == 0 or result.err.strip(), f"it failed without a word\n{result}"
    assert trees.state(canary) == before, result
    assert mountinfo() == mounts


@row("P02", "a target is swapped for a link between look-up and mount", "one look-up, to a descriptor; the mount goes there")
@BOTH
def test_p02_targets_swapped_while_50_start(redd, tree, canary, tmp_path, users):
    """Swapped in a volume, as by another machine that shares it."""
    volume = tmp_path / "volume"
    (volume / "place/inner").mkdir(parents=True)
    os.symlink(canary, volume / "link")
    mounts, before, done = mountinfo(), trees.state(canary), threading.Event()

    def swap():
        while not done.is_set():
            kernel.exchange(volume / "place", volume / "link")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for number in range(25):
            options = [f"--bind={volume}:/volume", f"--tmpfs=/volume/place/inner/{number}", "--tmpfs=/volume/place/shm",
                       f"--bind={tree / 'bin'}:/volume/place/sub"]  # fmt: skip
            run(redd, tree, *options, "/bin/busybox", "true", users=users)
    finally:
        done.set()
        swapper.join()
    assert trees.state(canary) == before
    assert mountinfo() == mounts


@row("P03", "`/proc` or `/sys` of the tree is not a real folder", "redd mounts its own there, attached to the descriptor that was found")
@BOTH
@pytest.mark.parametrize("name", ["proc", "sys", "proc/sys", "proc/self"])
@pytest.mark.parametrize("shape", ["link", "file", "folder"])
def test_p03_proc_and_sys_are_real(redd, tree, name, shape, users):
    makers = {"link": lambda path: os.symlink("/tmp", path), "file": lambda path: path.write_text("x"), "folder": lambda path: path.mkdir()}
    replace(tree / name, makers[shape])
    result = run(redd, tree, "/bin/sh", "-c", "busybox stat -f -c %t /proc /sys /proc/sys /proc/self", users=users)
    if result.code == 0:
        assert result.out.split() == ["9fa0", "62656572", "9fa0", "9fa0"], result


@row("P03")
@pytest.mark.parametrize("target", ["/proc", "/proc/self", "/proc/sys/kernel", "/sys", "/./proc", "//proc/sys", "/link-to-proc/sys"])
def test_p03_volumes_on_proc(redd, tree, tmp_path, target):
    (tmp_path / "volume").mkdir()
    os.symlink("proc", tree / "link-to-proc")
    result = run(redd, tree, f"--bind={tmp_path / 'volume'}:{target}", "/bin/busybox", "stat", "-f", "-c", "%t", "/proc", "/proc/sys/kernel")
    assert result.code != 0 or result.out.split() == ["9fa0", "9fa0"], result


@row("P04", "a write to /proc is redirected", "written by descriptors of a procfs that the guest doesn't see, before anything of the guest runs")
@BOTH
def test_p04_writes_to_proc_arrive(redd, tree, tmp_path, users):
    """If a link in the image makes a volume replace /proc, nothing is written to the volume."""
    volume = tmp_path / "volume"
    for name in ("self", "sys/kernel", "1"):
        (volume / name).mkdir(parents=True)
    for name in ("self/oom_score_adj", "self/uid_map", "self/attr", "sysrq-trigger"):
        (volume / name).write_text("untouched")
    before = trees.state(volume)
    os.symlink("proc", tree / "data")
    result = run(redd, tree, f"--bind={volume}:/data", "/bin/cat", "/proc/self/uid_map", users=users)
    assert trees.state(volume) == before
    assert result.code != 0 or re.fullmatch(r"\s*0\s+\d+\s+\d+\s*", result.out), result


@row("P04")
def test_p04_score_of_who_enters(redd, tree):
    """If a machine has mounted files over its /proc, nothing is written to them either."""
    script = """
    busybox mount -t tmpfs tmpfs /proc && mkdir /proc/self && echo untouched > /proc/self/oom_score_adj && echo ready
    while :; do sleep 1; done
    """
    with running(redd, tree, "/bin/sh", "-c", script) as victim:
        assert victim.process.stdout.readline() == "ready\n"
        assert redd("exec", victim, "/bin/cat", "/proc/self/oom_score_adj").out == "untouched\n"


MASKED = ("kallsyms", "kcore", "keys", "sysrq-trigger", "timer_list")


@row("P05", "the source of a mask is swapped",
     "masks are nodes on a tmpfs that the supervisor makes, taken without following a link; if the user mounts over them, the start fails")  # fmt: skip
@BOTH
@pytest.mark.parametrize("shape", ["link", "device", "fifo", "file"])
def test_p05_dev_null_of_the_image_is_no_mask(redd, tree, secret, shape, users):
    makers = {"link": lambda path: os.symlink(secret, path), "device": lambda path: os.mknod(path, 0o20666, os.makedev(1, 9)),
              "fifo": os.mkfifo, "file": lambda path: path.write_text(SECRET)}  # fmt: skip
    replace(tree / "dev/null", makers[shape])
    paths = [f"/proc/{name}" for name in MASKED]
    result = run(redd, tree, "/bin/sh", "-c", f"busybox cat {' '.join(paths)} 2>/dev/null; echo x > /dev/null; busybox stat -c %t:%T /dev/null", users=users)
    assert result.out == "1:3\n", result
    assert secret.read_text() == SECRET + "\n"


@row("P05")
@BOTH
@pytest.mark.parametrize("link, node", [("/run/host", "inaccessible/reg"), ("/run/host/inaccessible", "reg"), ("/run", "host/inaccessible/reg")])
@pytest.mark.parametrize("kind", ["link", "nothing", "tmpfs"])
def test_p05_volume_on_the_masks(redd, tree, tmp_path, secret, link, node, kind, users):
    """A link in the image leads the user's volume to where redd takes masks from; a link in the volume leads to the host."""
    volume = tmp_path / "volume"
    (volume / node).parent.mkdir(parents=True)
    if kind == "link":
        os.symlink(secret, volume / node)
    os.symlink(link, tree / "data")
    option = "--tmpfs=/data" if kind == "tmpfs" else f"--bind={volume}:/data"
    script = f"for name in {' '.join(MASKED)}; do busybox head -c 50 /proc/$name; done 2>/dev/null; [ ! -e /proc/sysrq-trigger ] || busybox stat -c %a /proc/sysrq-trigger"
    result = run(redd, tree, option, "/bin/sh", "-c", script, users=users)
    assert SECRET not in result.out, result
    assert result.code != 0 or result.out in ("", "0\n"), result


@row("P06", "`/dev/console` or a pty is swapped", "the terminal is opened by `TIOCGPTPEER`, put on a fresh `/dev`")
@BOTH
def test_p06_console_and_ptys_are_links(redd, tree, canary, users):
    before = trees.state(canary)
    (tree / "dev/pts").mkdir()
    for name in ("console", "pts/0", "pts/ptmx", "ptmx", "tty"):
        os.symlink(canary / "kept", tree / "dev" / name)
    child = redd.spawn("run", "-q", "-D", tree, f"--private-users={users}", "/bin/sh", "-c", "busybox tty; busybox stat -c '<%F %t:%T>' /dev/console")
    child.expect("/dev/pts/0|/dev/console")
    child.expect(r"<character special file 88:0>")
    assert console.closed(child) == 0
    assert trees.state(canary) == before


PLACES = [*(f"/proc/self/fd/{number}" for number in range(3, 41)), "/proc/1/cwd", "/proc/self/root/..", "/proc/thread-self/fd/5", "/proc/1/root/.."]


@row("P07", "the working directory is a leaked descriptor",
     "all descriptors are close-on-exec before the last path is used; the directory is resolved after the pivot")  # fmt: skip
@BOTH
def test_p07_working_directory_of_run(redd, tree, users):
    for place in PLACES[::3] if users == "pick" else PLACES:
        check_place(run(redd, tree, f"--chdir={place}", "/bin/sh", "-c", "/bin/readlink /proc/self/cwd; ls ../../../../../../etc/hostname", users=users))


@row("P07")
@BOTH
def test_p07_working_directory_of_those_who_enter(redd, tree, users):
    """Set by --chdir, and by a home in the image's passwd."""
    with running(redd, tree, users=users) as victim:
        for place in PLACES[::4]:
            (tree / "etc/passwd").write_text(f"root:x:0:0:root:{place}:/bin/sh\n")
            script = "/bin/readlink /proc/self/cwd; ls ../../../../../../etc/hostname"
            check_place(redd.run("exec", f"--chdir={place}", victim, "/bin/sh", "-c", script))
            check_place(redd.run("shell", victim, "/bin/sh", "-c", script))


def check_place(result):
    """The tree has no /etc/hostname, but the host has one."""
    assert "unreachable" not in result.out and "etc/hostname\n" not in result.out, result
    assert result.out.split() in ([], ["/"]), result


@row("P08", "missing targets are made through links", "made one component at a time below the descriptor; never chowned by path")
@BOTH
@pytest.mark.parametrize("place", ["link2/new/a", "link1/a", "volume/link/a", "volume/up/a", "loop/a", "../../a"])
def test_p08_missing_targets(redd, tree, canary, tmp_path, place, users):
    volume = tmp_path / "volume"
    volume.mkdir()
    os.symlink(canary, volume / "link")
    os.symlink("../" * 30 + str(canary)[1:], volume / "up")
    before, mounts = trees.state(canary), mountinfo()
    for option in (f"--bind={tree / 'bin'}:/{place}", f"--bind={tree / 'etc/passwd'}:/{place}", f"--tmpfs=/{place}"):
        run(redd, tree, f"--bind={volume}:/volume", option, "/bin/busybox", "true", users=users)
    assert trees.state(canary) == before and mountinfo() == mounts


ODD = {
    "link": lambda path, canary: os.symlink(canary / "kept", path),
    "dangling": lambda path, canary: os.symlink(canary / "made", path),
    "fifo": lambda path, canary: os.mkfifo(path),
    "device": lambda path, canary: os.mknod(path, 0o20666, os.makedev(1, 9)),
    "folder": lambda path, canary: path.mkdir(),
}
WRITTEN = ("etc/resolv.conf", "etc/hosts", "etc/localtime", "etc/machine-id", "etc/hostname", "run/host/os-release", "var/log/journal", "etc/passwd")


@row("P09", "files that the manager writes into the tree",
     "what redd tells the guest is on `/run` and `/dev`, tmpfs of its own; runit's flags and `/etc/resolv.conf` are set with the rights of "
     "the machine's root, the latter only on the tree's own mount, never through a link; if it can't be written, the start goes on")  # fmt: skip
@BOTH
@pytest.mark.parametrize("kind", ODD)
def test_p09_files_managers_write(redd, tree, canary, kind, users):
    before = trees.state(canary)
    for name in WRITTEN:
        replace(tree / name, lambda path: ODD[kind](path, canary))
    began = time.monotonic()
    run(redd, tree, users=users)
    run(redd, tree, "-u", "alice", users=users)
    assert time.monotonic() - began < 30
    assert trees.state(canary) == before


@row("P10", "files read from the tree are links, fifos, huge",
     "only regular files inside the root, checked before they are opened; reads never block and are bounded")  # fmt: skip
@pytest.mark.parametrize("kind", [*ODD, "huge", "long line"])
def test_p10_files_managers_read(redd, tree, secret, tmp_path, kind):
    """redd never reads outside the tree, blocks on a file, or reads one of unlimited size."""
    for name in ("etc/os-release", "usr/lib/os-release", "etc/passwd", "etc/group", "etc/machine-id"):
        def make(path):
            if kind == "huge":
                path.touch()
                os.truncate(path, 4 << 30)
            elif kind == "long line":
                path.write_bytes(b'PRETTY_NAME="' + b"x" * (1 << 20) + b"\0\n")
            else:
                ODD[kind](path, tmp_path)
        os.symlink(secret, tmp_path / "kept") if not (tmp_path / "kept").is_symlink() else None
        replace(tree / name, make)
    name = f"{session.tag}-odd"
    image = Path("/var/lib/machines") / name
    subprocess.run(["cp", "-a", "--sparse=always", tree, image], check=True)
    try:
        for words in (["list-images"], ["image-status", name], ["run", "-q", "-M", name, "/bin/busybox", "true"]):
            began = time.monotonic()
            result = redd.run(*words)
            assert time.monotonic() - began < 30, words
            assert SECRET not in result.out + result.err, result
            assert len(result.out) < 100000
    finally:
        shutil.rmtree(image)


@row("P10")
def test_p10_devices_in_the_tree_are_never_opened(redd, tree, tmp_path):
    """Opening a watchdog arms it. /sbin/init is one, and redd must find out without opening it why it can't execute it."""
    if not shutil.which("strace"):
        pytest.skip("strace is missing")
    (tree / "sbin").mkdir()
    for name in ("sbin/init", "etc/os-release", "etc/machine-id"):
        replace(tree / name, lambda path: os.mknod(path, 0o20777, os.makedev(1, 9)))
    for words in (["-b"], ["/sbin/init"]):
        # One file per process: in a common file, a call that another one interrupts is split into two lines.
        argv = ["-ff", "-yy", "-o", tmp_path / "trace", "-e", "trace=open,openat,openat2,execve", redd.path, "run", "-q", "-D", tree, *words]
        assert type(redd)(shutil.which("strace")).run(*argv).code != 0
        calls = [line for trace in tmp_path.glob("trace.*") for line in trace.read_text().splitlines()]
        found = [line for line in calls if re.search(r"= \d+<[^>]*(init|os-release|machine-id)<char 1:9>", line)]
        assert found, "they are looked at"
        opened = [line for line in found if "O_PATH" not in line]
        assert not opened, "\n".join(opened)


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ufffd]")


@row("P11", "escape sequences in names and contents", "everything printed is escaped; JSON is valid UTF-8")
def test_p11_escape_sequences(redd, tree):
    name = f"{session.tag}-escape"
    image = Path("/var/lib/machines") / name
    shutil.copytree(tree, image, symlinks=True)
    (image / "etc/os-release").write_bytes(b'ID="\x1b]0;owned\x07"\nPRETTY_NAME="a\rb\x1b[2J\xe2\x80\xae\xff\x9b31m"\nVERSION_ID="\\x1b[1m"\n')
    (image / "bin/a\x1b]0;owned\x07b").symlink_to("busybox")
    try:
        with running(redd, image, "/bin/sh", "-c", "sleep 1000; :", "x\x1b]0;y\x07") as victim:
            pages = [["list"], ["status", victim], ["list-images"], ["image-status", name], ["list", "--json=short"], ["show", victim]]
            for words in pages:
                out = redd(*words).out
                assert not CONTROL.search(out), f"{words}: {out!r}"
    finally:
        shutil.rmtree(image)
    message = redd.run("run", "-D", "/nowhere/\x1b]0;owned\x07").err + redd.run("status", "a\x1bb\x07").err + redd.run("\x1b[2Jx").err
    assert not CONTROL.search(message), repr(message)


@row("P12", "hostile raw disks", "raw images are listed, not mounted yet")
@pytest.mark.parametrize("kind", ["empty", "gpt", "noise"])
def test_p12_hostile_disk_images(redd, kind):
    """They are listed, but never mounted or parsed."""
    name = f"{session.tag}-disk"
    path = Path(f"/var/lib/machines/{name}.raw")
    gpt = b"EFI PART\0\0\1\0" + b"\xff" * 500
    path.write_bytes({"empty": b"", "gpt": b"\0" * 510 + b"\x55\xaa" + gpt * 20, "noise": os.urandom(1 << 16)}[kind])
    mounts = mountinfo()
    try:
        assert name in redd("list-images").out
        redd.run("image-status", name)
        redd.fails("start", name)
        redd.fails("run", "-M", name, "/bin/true")
    finally:
        path.unlink()
    assert mountinfo() == mounts


@row("P13", "the tree is renamed meanwhile", "its descriptor is kept open from the check to the pivot; locks are by inode as well as by name")
@BOTH
def test_p13_tree_renamed_while_it_starts(redd, tree, users):
    """Two trees are exchanged all the time: a machine consists of one of them, never of both, or is refused."""
    other = tree.with_name(f"{tree.name}-other")
    shutil.copytree(tree, other, symlinks=True)
    for root, text in ((tree, "one"), (other, "two")):
        (root / "first").write_text(text)
        (root / "etc/second").write_text(text)
    done, mounts = threading.Event(), mountinfo()

    def swap():
        while not done.is_set():
            kernel.exchange(tree, other)
            time.sleep(0.0002)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        seen = []
        while len(seen) < 10 or len([text for text in seen if text]) < 5 and len(seen) < 60:
            seen.append(run(redd, tree, "/bin/cat", "/first", "/etc/second", users=users).out)
    finally:
        done.set()
        swapper.join()
    assert set(seen) <= {"oneone", "twotwo", ""} and set(seen) != {""}, seen
    assert mountinfo() == mounts


@row("P09")
@BOTH
def test_p09_flags_of_runit_are_links(redd, tree, tmp_path, users):
    """redd stops runit by writing files. Here they are links to things of the host in a volume: root's file, and a device."""
    init = put("daemons", tree)
    (tree / "sbin").mkdir()
    shutil.copy(tree / init[1:], tree / "sbin/runit")
    os.symlink("runit", tree / "sbin/init")
    volume = tmp_path / "volume"
    volume.mkdir()
    for name in ("stopit", "reboot"):
        (volume / name).write_text("the host's\n")
        (volume / name).chmod(0o640)
    os.mknod(volume / "device", 0o20640, os.makedev(1, 3))
    before = trees.state(volume)
    script = "ln -s /volume/stopit /run/runit.stopit; ln -s /volume/reboot /run/runit.reboot; ln -s /volume/device /run/initctl"
    with running(redd, tree, "stay", users=users, options=["-b", f"--bind={volume}:/volume"]) as victim:
        redd("exec", victim, "/bin/busybox", "sh", "-c", script.replace("ln ", "busybox ln "))
        stopping = redd.start("stop", victim)
        time.sleep(1)
        redd.run("terminate", victim)
        stopping.communicate(timeout=20)
    assert trees.state(volume) == before
