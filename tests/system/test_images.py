# SPDX-License-Identifier: LGPL-2.1-or-later
"""Local images: list-images, image-status, remove; hostile images (P10, P11); leftovers of killed removals."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import statistics
import struct
import subprocess
import time
from pathlib import Path

import pytest
from helpers.security import row

POOL = Path("/var/lib/machines")
CACHE = Path("/var/cache/redd/usage")
SETTINGS = [Path("/etc/systemd/nspawn"), Path("/run/systemd/nspawn"), Path("/etc/redd/nspawn"), POOL]
STAMP = r"\w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+"
F_OFD_SETLK = 37


@pytest.fixture(autouse=True)
def pool():
    """The session's pool of images, empty before and after."""
    yield POOL
    subprocess.run(["chattr", "-R", "-f", "-i", "-a", str(POOL)], check=False, capture_output=True)
    for path in POOL.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def make(name, files=None):
    root = POOL / name
    (root / "etc").mkdir(parents=True)
    for path, text in (files or {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def listed(redd):
    return {row["name"]: row for row in redd("list-images", "--json=short").json()}


@contextlib.contextmanager
def mounted(*args):
    subprocess.run(["mount", *map(str, args)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(args[-1])], check=True)


@contextlib.contextmanager
def ofd_lock(path, kind=fcntl.F_WRLCK):
    """Takes the lock that systemd-nspawn and redd use, from another program."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.fcntl(fd, F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))
        yield
    finally:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


# --- list-images


def test_no_images(redd):
    assert redd("list-images").out == "No images.\n"
    assert redd("list-images", "--no-legend").out == ""
    assert redd("list-images", "--json=short").out == "[]\n"


def test_table(redd):
    make("web")
    make("a-longer-name")
    (POOL / "disk.raw").write_bytes(b"x" * 5000)
    (POOL / "web.nspawn").write_text("")
    lines = redd("list-images").out.splitlines()
    assert re.fullmatch(r"NAME +TYPE +RO +USAGE +CREATED +MODIFIED", lines[0])
    assert [line.split()[0] for line in lines[1:4]] == ["a-longer-name", "disk", "web"]
    assert re.fullmatch(rf"web +directory no +- {STAMP} {STAMP}", lines[3])
    assert re.search(r"^disk +raw +no +8\.0K ", lines[2])
    assert lines[4:] == ["", "3 images listed."]
    plain = redd("list-images", "--no-legend").out.splitlines()
    assert [line.split() for line in plain] == [line.split() for line in lines[1:4]]


def test_one_image_is_singular(redd):
    make("web")
    assert redd("list-images").out.endswith("\n1 image listed.\n")


def test_json(redd):
    root = make("web")
    row = redd("list-images", "--json=pretty").json()[0]
    assert row["name"] == "web" and row["type"] == "directory" and row["readOnly"] is False
    assert row["path"] == str(root) and row["usage"] is None
    assert abs(row["created"] / 1e6 - time.time()) < 60 and row["modified"] == root.stat().st_mtime_ns // 1000


def test_read_only(redd):
    make("plain")
    subprocess.run(["chattr", "+i", make("immutable")], check=True)
    (POOL / "disk.raw").touch(0o444)
    with mounted("-t", "tmpfs", "-o", "ro", "t", make("mounted")):
        rows = listed(redd)
    assert {name: row["readOnly"] for name, row in rows.items()} == {
        "plain": False, "immutable": True, "disk": True, "mounted": True,
    }


def test_links_and_vendor_images(redd):
    target = Path("/run/tree")
    (target / "etc").mkdir(parents=True)
    Path("/run/machines").mkdir()
    try:
        Path("/run/machines/linked").symlink_to(target)
        with mounted("-t", "tmpfs", "t", "/usr/local/lib"):
            Path("/usr/local/lib/machines/vendor").mkdir(parents=True)
            Path("/usr/local/lib/machines/linked").mkdir(parents=True)
            rows = listed(redd)
            assert rows["vendor"]["readOnly"] and rows["linked"]["path"] == "/run/machines/linked"
            redd.fails("remove", "vendor", says="belongs to the host's system")
            assert "removed the link" in redd("remove", "linked").err
            assert (target / "etc").is_dir() and not Path("/run/machines/linked").is_symlink()
    finally:
        shutil.rmtree("/run/machines")
        shutil.rmtree(target)


def test_terminal_cuts_and_full_does_not(redd):
    make("n" * 200)
    assert "n" * 200 in redd("list-images").out
    assert "nnn… directory" in redd.spawn("list-images").read()
    assert "n" * 200 in redd.spawn("list-images", "--full").read().replace("\r\n", "")


# --- usage


def test_usage_is_measured_once_and_kept(redd):
    root = make("web", {"bin/big": b"x" * (4 << 20)})
    assert listed(redd)["web"]["usage"] is None
    assert re.search(r"^ +Usage: 4\.0M$", redd("image-status", "web").out, re.M)
    measured = listed(redd)["web"]
    assert measured["usage"] >= 4 << 20 and measured["usageExact"] is False
    assert re.search(r"^web +directory no +~4\.0M ", redd("list-images", "--no-legend").out)
    root.rename(POOL / "renamed")
    assert listed(redd)["renamed"]["usage"] == measured["usage"]


def test_usage_of_read_only_images_is_exact(redd):
    root = make("web", {"bin/big": b"x" * 100_000})
    subprocess.run(["chattr", "+i", root], check=True)
    redd("image-status", "web")
    assert listed(redd)["web"]["usageExact"] is True


@pytest.mark.parametrize("content", ["", "x", "1 2 3\n", "1 2 3 4 5\n-1 2 3 4\n", "\n" * 5000, "9" * 400 + " 1 1 1\n"])
def test_broken_usage_cache_is_begun_anew(redd, content):
    make("web", {"bin/big": b"x" * 100_000})
    CACHE.parent.mkdir(mode=0o755, exist_ok=True)
    CACHE.write_text(content)
    assert listed(redd)["web"]["usage"] is None
    redd("image-status", "web")
    assert listed(redd)["web"]["usage"] >= 100_000


def test_hard_links_count_once(redd):
    root = make("web", {"a": b"x" * 1_000_000})
    for i in range(10):
        os.link(root / "a", root / f"b{i}")
    redd("image-status", "web")
    assert listed(redd)["web"]["usage"] < 1_200_000


# --- image-status


def test_status_page(redd):
    make("web", {"etc/os-release": 'ID=x\nPRETTY_NAME="An OS 1.0"\n', "etc/hostname": "host.example\n", "etc/machine-id": "ab" * 16 + "\n"})
    page = redd("image-status", "web").out
    assert page.splitlines()[0] == "web"
    found = dict(re.findall(r"^ *([\w ]+): (.*)$", page, re.M))
    assert found["Type"] == "directory" and found["Path"] == "/var/lib/machines/web" and found["RO"] == "writable"
    assert found["OS"] == "An OS 1.0" and found["Hostname"] == "host.example" and found["Machine ID"] == "ab" * 16
    assert re.fullmatch(rf"{STAMP}; .+ ago", found["Created"])
    assert all(line.index(":") == 16 for line in page.splitlines()[1:])


def test_status_json(redd):
    make("web", {"etc/os-release": "ID=x\nNAME='A b'\n"})
    make("other")
    one, two = redd("image-status", "web", "other", "--json=pretty").json()
    assert one["osRelease"] == {"ID": "x", "NAME": "A b"} and one["usage"] > 0
    assert two["name"] == "other" and two["osRelease"] == {}


def test_status_of_nixos_links(redd):
    root = make("nixos", {"nix/store/os/os-release": 'PRETTY_NAME="NixOS"\n'})
    (root / "etc/static").symlink_to("/nix/store/os")
    (root / "etc/os-release").symlink_to("/etc/static/os-release")
    assert "OS: NixOS\n" in redd("image-status", "nixos").out


def test_missing_and_bad_names(redd):
    make("webserver")
    result = redd.fails("image-status", "websever", says="there is no image 'websever'")
    assert "did you mean 'webserver'?" in result.err
    assert "list-images" in redd.fails("remove", "something-else").err
    for name in ("../etc", ".", "..", "a/b", "", ".hidden", "a\nb"):
        redd.fails("image-status", name, says="can't be the name of an image")
        redd.fails("remove", name, says="can't be the name of an image")


# --- hostile images: P10, P11

CANARY = "canary-of-the-host"


def _fifo(path):
    os.mkfifo(path)


def _link(target):
    return lambda path: os.symlink(target, path)


def _sparse(path):
    with open(path, "wb") as file:
        file.truncate(4 << 30)


def _bytes(data):
    return lambda path: path.write_bytes(data)


HOSTILE = {
    "fifo": _fifo,
    "socket": lambda path: os.mknod(path, 0o140644),
    "device": lambda path: os.mknod(path, 0o020644, os.makedev(1, 5)),
    "directory": lambda path: path.mkdir(),
    "absolute link": _link("/run/canary"),
    "relative link": _link("../../../../../../run/canary"),
    "proc link": _link("/proc/self/root/run/canary"),
    "fd link": _link("/proc/self/fd/0"),
    "link to itself": _link("os-release"),
    "4 GB": _sparse,
    "NUL bytes": _bytes(b"PRETTY_NAME=\0\0\0x\n"),
    "a line of 1 MB": _bytes(b"PRETTY_NAME=" + b"x" * (1 << 20)),
    "a line of 60 KB": _bytes(b"PRETTY_NAME=" + b"x" * 60_000),
    "escapes": _bytes(b'PRETTY_NAME="\x1b]0;title\x07\x1b[31m\r\x9b5n\xc2\x9b5n\xe2\x80\xae"\n'),
    "broken UTF-8": _bytes(b"PRETTY_NAME=\xff\xfe\xc3\xed\xa0\x80\n"),
    "open quote": _bytes(b'PRETTY_NAME="abc\nID=x\n'),
    "a shell": _bytes(b"PRETTY_NAME=$(touch /run/pwned)`touch /run/pwned`\n"),
}
COMMANDS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@row("P10")
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("file", ["etc/os-release", "usr/lib/os-release", "etc/hostname"])
def test_hostile_files_of_images(redd, kind, file):
    Path("/run/canary").write_text(f"PRETTY_NAME={CANARY}\n")
    try:
        path = make("evil") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        HOSTILE[kind](path)
        argvs = ["image-status", "evil"], ["image-status", "--json=short", "evil"], ["list-images"]
        results = [redd(*argv, timeout=10) for argv in argvs]
        for result in results:
            assert CANARY not in result.out + result.err
            assert not COMMANDS.search(result.out + result.err)
        assert json.loads(results[1].out)[0]["name"] == "evil"
        assert not Path("/run/pwned").exists()
    finally:
        Path("/run/canary").unlink()


@row("P11")
def test_hostile_names_in_the_pool(redd):
    for name in (b"\x1b]0;x\x07", b"a\rb", b"a\nb", b"\xff\xfe", b"\xc2\x9b5n", "\u202etxt".encode()):
        os.mkdir(os.fsencode(POOL) + b"/" + name)
    make("good")
    text = redd("list-images")
    assert not COMMANDS.search(text.out) and "good" in text.out
    assert {"good", "\u202etxt"} == set(listed(redd))
    assert not COMMANDS.search(redd("list-images", "--json=short").out)


# --- remove


def test_remove_takes_image_and_settings(redd):
    make("web", {"a/b/c/d": "x"})
    make("other")
    (POOL / "disk.raw").write_bytes(b"x")
    made = [folder for folder in SETTINGS if not folder.exists()]
    for folder in SETTINGS:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "web.nspawn").write_text("[Exec]\n")
        (folder / "other.nspawn").write_text("[Exec]\n")
    result = redd("remove", "web", "disk")
    assert "removed image 'web'" in result.err and "removed image 'disk'" in result.err
    assert not any((folder / "web.nspawn").exists() for folder in SETTINGS)
    assert all((folder / "other.nspawn").exists() for folder in SETTINGS)
    redd("remove", "-q", "other")
    assert list(POOL.iterdir()) == []
    for folder in made:
        with contextlib.suppress(OSError):
            folder.rmdir()


def test_remove_goes_on_after_a_failure(redd):
    make("a")
    make("b")
    result = redd.fails("remove", "a", "nope", "b")
    assert "there is no image 'nope'" in result.err and list(listed(redd)) == []


def test_remove_immutable_files(redd):
    root = make("nixos", {"var/empty/.keep": "", "a/log": ""})
    subprocess.run(["chattr", "+i", root / "var/empty", root / "var/empty/.keep"], check=True)
    subprocess.run(["chattr", "+a", root / "a/log"], check=True)
    subprocess.run(["chattr", "+i", root], check=True)
    redd("remove", "nixos")
    assert list(POOL.iterdir()) == []


@row("S12", "removal of a tree that has mounts or links in it", "a tree with a mount is refused, and the mount stays; links are never followed")
def test_remove_does_not_follow_links(redd):
    outside = Path("/run/outside")
    outside.mkdir()
    (outside / "kept").write_text("x")
    try:
        root = make("web")
        (root / "out").symlink_to(outside)
        (root / "etc/out").symlink_to(outside / "kept")
        os.link(outside / "kept", outside / "second")
        redd("remove", "web")
        assert (outside / "kept").read_text() == "x"
    finally:
        shutil.rmtree(outside)


@row("S12")
@pytest.mark.parametrize("where", ["", "mnt", "a place/with blanks"])
def test_remove_refuses_mounts(redd, where):
    root = make("web", {"kept": "x"})
    point = root / where
    point.mkdir(parents=True, exist_ok=True)
    with mounted("-t", "tmpfs", "t", point):
        (point / "of the mount").write_text("x")
        result = redd.fails("remove", "web", says="a file system is mounted on " + str(point))
        assert "umount" in result.err and (point / "of the mount").exists()
    assert (root / "kept").exists()
    redd("remove", "web")


def test_remove_refuses_images_in_use(redd):
    root = make("web")
    st = root.stat()
    locks = Path("/run/systemd/nspawn/locks")
    locks.mkdir(parents=True, exist_ok=True)
    for path in (POOL / ".#web.lck", locks / f"inode-{st.st_dev}:{st.st_ino}"):
        for kind in (fcntl.F_WRLCK, fcntl.F_RDLCK):
            with ofd_lock(path, kind):
                assert "redd stop" in redd.fails("remove", "web", says="it is in use").err
                assert root.is_dir() and path.exists()
    redd("remove", "web")


def test_leftovers_of_the_dead_go_and_of_the_living_stay(redd):
    for name in (".#remove-dead.00000001", ".#remove-alive.00000002"):
        make(name, {"a/b": "x"})
    (POOL / ".#dead.lck").touch()
    alive = os.open(POOL / ".#remove-alive.00000002", os.O_RDONLY)
    fcntl.flock(alive, fcntl.LOCK_EX)
    with ofd_lock(POOL / ".#alive.lck"):
        redd("list-images")
        assert {path.name for path in POOL.iterdir()} == {".#remove-alive.00000002", ".#alive.lck"}
    os.close(alive)
    redd("list-images")
    assert list(POOL.iterdir()) == []


@pytest.mark.parametrize("delay_ms", [0, 1, 2, 4, 8, 15, 30])
def test_killed_removal_is_whole_or_gone(redd, delay_ms):
    root = make("web")
    for i in range(40):
        (root / f"d{i}").mkdir()
        for k in range(50):
            (root / f"d{i}/f{k}").touch()
    before = sum(1 for _ in root.rglob("*"))
    process = redd.start("remove", "web")
    time.sleep(delay_ms / 1000)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if root.exists():
        assert sum(1 for _ in root.rglob("*")) == before
        assert "web" in listed(redd)
        redd("remove", "web")
    redd("list-images")
    assert list(POOL.iterdir()) == []


def test_two_removals_at_once(redd):
    make("web", {f"d{i}/f": "x" for i in range(300)})
    both = [redd.start("remove", "web") for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    assert sum(process.returncode == 0 for process in both) == 1, errors
    assert list(POOL.iterdir()) == []


def test_nobody_may_do_this_but_root(redd):
    make("web")
    program = Path("/run/redd-copy")
    shutil.copy(redd.path, program)
    program.chmod(0o755)
    POOL.chmod(0o700)
    try:
        for arguments in (["list-images"], ["image-status", "web"], ["remove", "web"]):
            done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", program, *arguments], capture_output=True, text=True, check=False)
            assert done.returncode == 1 and "Permission denied" in done.stderr
    finally:
        program.unlink()
    assert (POOL / "web").is_dir()


# --- btrfs


@pytest.fixture
def btrfs():
    if not shutil.which("mkfs.btrfs") or "btrfs" not in Path("/proc/filesystems").read_text():
        pytest.skip("needs btrfs and btrfs-progs")
    disk = Path("/run/btrfs.img")
    with open(disk, "wb") as file:
        file.truncate(200 << 20)
    subprocess.run(["mkfs.btrfs", "-q", disk], check=True, capture_output=True)
    with mounted("-o", "loop", disk, POOL):
        yield lambda *args: subprocess.run(["btrfs", *map(str, args)], check=True, capture_output=True)
    disk.unlink()


def test_btrfs_subvolumes(redd, btrfs):
    btrfs("subvolume", "create", POOL / "web")
    (POOL / "web/big").write_bytes(os.urandom(5 << 20))
    btrfs("subvolume", "create", POOL / "web/nested")
    btrfs("subvolume", "create", POOL / "frozen")
    btrfs("property", "set", POOL / "frozen", "ro", "true")
    make("plain")
    rows = listed(redd)
    assert {name: (row["type"], row["readOnly"]) for name, row in rows.items()} == {
        "web": ("subvolume", False), "frozen": ("subvolume", True), "plain": ("directory", False),
    }
    os.sync()
    btrfs("quota", "enable", POOL)
    btrfs("quota", "rescan", "-w", POOL)
    row = listed(redd)["web"]
    assert row["usageExact"] and 5 << 20 <= row["usage"] < 6 << 20
    redd("remove", "web", "frozen", "plain")
    assert list(POOL.iterdir()) == []


# --- how fast


def test_a_thousand_images(redd, capsys):
    names = [f"image-{i}" for i in range(1000)]
    for name in names:
        make(name)
    redd("image-status", *names)
    times_ms = []
    for _ in range(15):
        begin = time.perf_counter()
        lines = redd("list-images").out.splitlines()
        times_ms.append((time.perf_counter() - begin) * 1000)
    assert lines[-1] == "1000 images listed."
    with capsys.disabled():
        print(f"\n    1,000 images listed in {statistics.median(times_ms):.1f} ms (least {min(times_ms):.1f}); machinectl takes 13")
    redd("remove", "-q", *names)
