# SPDX-License-Identifier: LGPL-2.1-or-later
"""
import-tar: compressions detected by content, the same result as GNU tar's, hostile archives (A01-A12), bad input, and
what kills, full disks and races leave behind (A18, F01, F04).
"""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import random
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from helpers import processes
from helpers.security import row

POOL = Path("/var/lib/machines")
MTIME = 1_600_000_000


@pytest.fixture(autouse=True)
def pool():
    """The session's pool of images, empty before and after."""
    yield POOL
    empty_pool()


def empty_pool():
    subprocess.run(["chattr", "-R", "-f", "-i", "-a", str(POOL)], check=False, capture_output=True)
    for path in POOL.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.fixture
def canary(tmp_path):
    """A folder outside that no archive may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("untouched")
    before = listing(folder)
    yield folder
    assert listing(folder) == before


def member(name, kind=tarfile.REGTYPE, link="", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mtime = kind, link, MTIME
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def pack(*members, kind=tarfile.PAX_FORMAT):
    """Makes an archive; a member is a TarInfo or (TarInfo, bytes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind, errors="surrogateescape") as archive:
        for one in members:
            info, data = one if isinstance(one, tuple) else (one, b"")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def file(name, data=b"content", **fields):
    return (member(name, **fields), data)


def folder(name, **fields):
    return member(name, tarfile.DIRTYPE, **fields)


def system(*more):
    """Members that make an archive look like a system, so that its top folder isn't stripped."""
    return (folder("etc"), folder("usr"), file("etc/hostname", b"host\n"), *more)


@pytest.fixture
def archive(tmp_path):
    def write(data, name="image.tar"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def listing(top):
    """{path: all metadata except atime and ctime}."""
    found = {}
    for path, dirs, files in os.walk(os.fsencode(top)):
        for name in [b"", *dirs, *files]:
            full = os.path.join(path, name) if name else path
            st = os.lstat(full)
            kind = stat.S_IFMT(st.st_mode)
            extra = os.readlink(full) if stat.S_ISLNK(st.st_mode) else None
            if stat.S_ISREG(st.st_mode):
                extra = Path(os.fsdecode(full)).read_bytes()
            elif kind in (stat.S_IFCHR, stat.S_IFBLK):
                extra = st.st_rdev
            xattrs = {} if stat.S_ISLNK(st.st_mode) else {x: os.getxattr(full, x, follow_symlinks=False) for x in os.listxattr(full, follow_symlinks=False)}
            found[os.path.relpath(full, os.fsencode(top))] = (
                kind, stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns, st.st_nlink, extra, xattrs,
            )
    return found


def visible():
    return sorted(path.name for path in POOL.iterdir() if not path.name.endswith(".lck"))


def nothing_imported():
    assert visible() == []


def sample_system():
    noise = random.Random(7)
    many = [file(f"usr/share/f{n}", noise.randbytes(noise.randrange(9000))) for n in range(300)]
    return pack(*system(folder("usr/share"), *many, member("usr/link", tarfile.SYMTYPE, "share/f1")))


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, capture_output=True, check=True).stdout


def xz(data, *options):
    return subprocess.run(["xz", "-c", "-1", *options], input=data, capture_output=True, check=True).stdout


def pixz(data, tmp_path, *options):
    source, target = tmp_path / "in.tar", tmp_path / "out.xz"
    source.write_bytes(data)
    subprocess.run(["pixz", "-1", *options, source, target], check=True)
    return target.read_bytes()


def two_members(compress):
    return lambda data: compress(data[: len(data) // 2]) + compress(data[len(data) // 2 :])


COMPRESSIONS = {
    "none": lambda data: data,
    "gzip": gzip.compress,
    "gzip, two members": two_members(gzip.compress),
    "gzip, zeros behind": lambda data: gzip.compress(data) + bytes(512),
    "bzip2": bz2.compress,
    "bzip2, two streams": two_members(bz2.compress),
    "zstd": zstd,
    "zstd, two frames": two_members(zstd),
    "zstd, skippable frame first": lambda data: struct.pack("<II", 0x184D2A55, 4) + b"skip" + zstd(data),
    "zstd, long window": lambda data: zstd(data, "--long=27"),
    "xz, one block": lambda data: xz(data, "-T1"),
    "xz, blocks with sizes": lambda data: xz(data, "-T2", "--block-size=64KiB"),
    "xz, blocks without sizes": lambda data: xz(data, "-T1", "--block-size=64KiB"),
    "xz, two streams and padding": lambda data: two_members(lambda half: xz(half) + bytes(8))(data),
    "xz, sha256": lambda data: xz(data, "--check=sha256"),
    "xz, no check": lambda data: xz(data, "--check=none"),
    "xz, x86 filter": lambda data: xz(data, "--x86", "--lzma2=preset=1"),
}


@pytest.mark.parametrize("source", ["file", "pipe"])
@pytest.mark.parametrize("name", COMPRESSIONS)
def test_compressions_by_content(redd, archive, name, source):
    data = sample_system()
    path = archive(COMPRESSIONS[name](data), "misleading.suffix")
    feed_and_compare(redd, path, data, source)


@pytest.mark.parametrize("options", [[], ["-t"]], ids=["file index behind the archive", "-t"])
def test_pixz(redd, archive, tmp_path, options):
    data = sample_system()
    path = archive(pixz(data, tmp_path, *options))
    feed_and_compare(redd, path, data, "file")
    empty_pool()
    feed_and_compare(redd, path, data, "pipe")


def feed_and_compare(redd, path, data, source):
    if source == "file":
        redd("-q", "import-tar", path, "image")
    else:
        with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as cat:
            redd("-q", "import-tar", "-", "image", stdin=cat.stdout)
    with tarfile.open(fileobj=io.BytesIO(data)) as expected:
        for info in expected:
            there = POOL / "image" / info.name
            if info.isfile():
                assert there.read_bytes() == expected.extractfile(info).read()
    assert visible() == ["image"]


def test_name_from_the_file(redd, archive):
    data = pack(*system())
    for name, image in {"debian.tar": "debian", "a-b.tar.xz": "a-b", "x.tgz": "x", "v1.2.tar.gz": "v1.2"}.items():
        redd("-q", "import-tar", archive(data, name))
        assert (POOL / image / "etc/hostname").exists()


def test_stdin_needs_a_name(redd):
    redd.fails("import-tar", "-", says="no name")


@row("A17", "names of images that lead elsewhere", "letters, digits, dots and dashes; no path, no hidden name")
@pytest.mark.parametrize("name", ["..", "a/b", ".host", "", "x-", "a" * 65, "a..b", "\x1b[31m", "ä"])
def test_bad_names(redd, archive, name):
    redd.fails("import-tar", archive(pack(*system())), name, says="hint")
    nothing_imported()


def same_as_gnu_tar(redd, path, tmp_path, *tar_options):
    reference = tmp_path / "reference"
    reference.mkdir()
    subprocess.run(["tar", "-C", reference, "--numeric-owner", "-p", *tar_options, "-xf", path], check=True)
    redd("-q", "import-tar", path, "image")
    theirs, ours = listing(reference), listing(POOL / "image")
    for found in (theirs, ours):
        del found[b"."]
    assert ours == theirs


@pytest.mark.parametrize("kind", ["gnu", "posix", "ustar", "v7", "oldgnu"])
def test_tree_as_gnu_tar_unpacks_it(redd, tmp_path, kind):
    top = tmp_path / "tree"
    for path in ("etc", "usr/bin", "usr/share", "var/empty", "tmp"):
        (top / path).mkdir(parents=True)
    (top / "usr/bin/su").write_bytes(b"#!")
    os.chown(top / "usr/bin/su", 0, 42)
    os.chmod(top / "usr/bin/su", 0o6755)
    os.chmod(top / "tmp", 0o1777)
    os.chmod(top / "var/empty", 0o555)
    os.chown(top / "usr/share", 1000, 1001)
    os.chmod(top / "usr/share", 0o2775)
    (top / "usr/share/a").write_text("a")
    os.link(top / "usr/share/a", top / "etc/a-again")
    os.symlink("/etc/nowhere", top / "etc/absolute")
    os.symlink("x" * 90, top / "etc/long")
    os.lchown(top / "etc/long", 7, 8)
    os.link(top / "etc/absolute", top / "usr/linked-link", follow_symlinks=False)
    os.mkfifo(top / "tmp/fifo", 0o600)
    os.mknod(top / "tmp/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "tmp/block", stat.S_IFBLK | 0o660, os.makedev(254, 0))
    (top / "usr/share/empty").touch()
    for path, _, files in os.walk(top, topdown=False):
        for name in files:
            os.utime(os.path.join(path, name), ns=(0, MTIME * 10**9), follow_symlinks=False)
        os.utime(path, ns=(0, 10**9))
    path = tmp_path / "a.tar"
    # v7 has no devices and fifos: tar skips them with a message.
    subprocess.run(["tar", "-C", top, f"--format={kind}", "--sort=name", "-cf", path, "."], check=kind != "v7")
    same_as_gnu_tar(redd, path, tmp_path)


def test_nix_store_paths(redd, archive):
    """As made by make-system-tarball: long names, read-only directories, mtime 1, and directories after their content."""
    store = "nix/store/" + "a" * 32 + "-name-" + "b" * 120
    data = pack(
        folder("nix", mode=0o755), folder("nix/store", mode=0o555), folder(store, mode=0o555, mtime=1),
        file(store + "/" + "c" * 100, b"x", mode=0o444, mtime=1), file("usr/a"), folder("usr", mode=0o500, mtime=1),
        kind=tarfile.GNU_FORMAT,
    )
    redd("-q", "import-tar", archive(data), "image")
    st = os.stat(POOL / "image" / store)
    assert (stat.S_IMODE(st.st_mode), st.st_mtime) == (0o555, 1)
    assert os.stat(POOL / "image" / store / ("c" * 100)).st_mtime == 1
    assert stat.S_IMODE(os.stat(POOL / "image/usr").st_mode) == 0o500


def test_nanoseconds_and_odd_times(redd, archive):
    times = {"a": "1600000000.123456789", "b": "-5", "c": "5000000000"}
    members = [file(f"etc/{name}", pax_headers={"mtime": text}) for name, text in times.items()]
    redd("-q", "import-tar", archive(pack(*system(*members))), "image")
    assert os.stat(POOL / "image/etc/a").st_mtime_ns == 1_600_000_000_123_456_789
    assert os.stat(POOL / "image/etc/b").st_mtime == -5
    assert os.stat(POOL / "image/etc/c").st_mtime == 5_000_000_000


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_in_spite_of_the_umask(redd, archive, umask):
    path = archive(pack(*system(file("etc/a", mode=0o666), folder("etc/d", mode=0o777), file("below/made", b""))))
    old = os.umask(umask)
    try:
        redd("-q", "import-tar", path, "image")
    finally:
        os.umask(old)
    modes = {name: stat.S_IMODE(os.stat(POOL / "image" / name).st_mode) for name in ("etc/a", "etc/d", "below", ".")}
    assert modes == {"etc/a": 0o666, "etc/d": 0o777, "below": 0o755, ".": 0o755}


@row("A06", "attributes that the kernel obeys: trusted.*, overlayfs, labels",
     "an allow-list: user.*, security.capability, ACLs; the others are dropped and counted")  # fmt: skip
def test_extended_attributes_by_allow_list(redd, archive):
    capability = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
    raw = {
        "user.kept": b"value", "security.capability": capability, "trusted.overlay.opaque": b"y",
        "trusted.x": b"1", "user.overlay.redirect": b"/etc", "security.selinux": b"a:b:c", "security.ima": b"x",
    }
    headers = {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in raw.items()}
    data = pack(*system(file("usr/ping", pax_headers=headers), folder("usr/d", pax_headers={"SCHILY.xattr.user.d": "1"})))
    result = redd("import-tar", archive(data), "image")
    found = {name: os.getxattr(POOL / "image/usr/ping", name) for name in os.listxattr(POOL / "image/usr/ping")}
    assert found == {"user.kept": b"value", "security.capability": capability}
    assert os.getxattr(POOL / "image/usr/d", "user.d") == b"1"
    assert "5 extended attributes" in result.err


def test_capabilities_and_acls_as_tar_writes_them(redd, tmp_path):
    top = tmp_path / "tree"
    (top / "usr/d").mkdir(parents=True)
    (top / "etc").mkdir()
    (top / "usr/ping").write_text("x")
    subprocess.run(["setcap", "cap_net_raw+ep", top / "usr/ping"], check=True)
    subprocess.run(["setfacl", "-m", "u:1234:rw,g:55:r", top / "usr/ping"], check=True)
    subprocess.run(["setfacl", "-m", "u:9:rwx,d:u:9:rwx", top / "usr/d"], check=True)
    (top / "usr/d/file").write_text("must not inherit")
    subprocess.run(["setfacl", "-b", top / "usr/d/file"], check=True)
    path = tmp_path / "a.tar"
    options = ["--xattrs", "--xattrs-include=*", "--acls"]
    subprocess.run(["tar", "-C", top, *options, "--numeric-owner", "-cf", path, "."], check=True)
    same_as_gnu_tar(redd, path, tmp_path, *options)


PASSWD = "root:x:0:0:root:/root:/bin/sh\nbroken\n:x:3:\nnews:y:70000\ndaemon:x:4711:4711::/:/bin/sh\ndaemon:x:99:99::/:/bin/sh\n"
GROUP = "root:x:0:\nfar:x:4294967295:\nstaff:x:815:root,daemon\n"


def numeric_acl(path):
    done = subprocess.run(["getfacl", "-cpnE", path], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("top", [".", "lone"])
def test_names_in_acls_are_those_of_the_image(redd, tmp_path, top):
    """As stored by tar --acls; the image's /etc, which has the users, comes after the files that name them."""
    tree = tmp_path / "tree"
    inner = tree / top
    (inner / "usr/d").mkdir(parents=True)
    (inner / "usr/a").write_text("x")
    (inner / "etc").mkdir()
    (inner / "etc/passwd").write_text(PASSWD)
    (inner / "etc/group").write_text(GROUP)
    subprocess.run(["setfacl", "-m", "u:daemon:rw,g:staff:r,u:4000:r", inner / "usr/a"], check=True)
    subprocess.run(["setfacl", "-m", "u:daemon:rwx,d:g:staff:rx", inner / "usr/d"], check=True)
    for path in ("usr/a", "usr/d", "usr"):
        os.utime(inner / path, (MTIME, MTIME))
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", "-C", tree, "--acls", "-cf", archive, f"{top}/usr", f"{top}/etc"], check=True)
    assert b"user:daemon:rw-" in archive.read_bytes()
    result = redd("import-tar", archive, "image")
    assert "ACL" not in result.err
    assert numeric_acl(POOL / "image/usr/a") == ["user::rw-", "user:4000:r--", "user:4711:rw-", "group::r--", "group:815:r--", "mask::rw-", "other::r--"]
    found = numeric_acl(POOL / "image/usr/d")
    assert "user:4711:rwx" in found and "default:group:815:r-x" in found
    assert all((POOL / "image" / path).stat().st_mtime == MTIME for path in ("usr/a", "usr/d", "usr"))


def test_acl_of_an_unknown_name(redd, archive):
    """A warning names it; the ACL's other entries stay, so that nobody gains access."""
    acl = "user::rw-,user:daemon:rwx,user:news:rwx,user:root:r--,group::r--,group:far:r--,mask::rwx,other::r--"
    members = [file("etc/a", mode=0o674, pax_headers={"SCHILY.acl.access": acl}), file("etc/group", GROUP.encode())]
    result = redd("import-tar", archive(pack(*system(*members))), "image")
    assert numeric_acl(POOL / "image/etc/a") == ["user::rw-", "user:0:r--", "group::r--", "mask::rwx", "other::r--"]
    for word in ("'etc/a'", "user 'daemon'", "user 'news'", "group 'far'", "/etc/passwd", "/etc/group"):
        assert word in result.err


def test_many_unknown_names_are_counted(redd, archive):
    acl = "user::rw-,user:no\x1b[31mbody:rwx,group::r--,mask::rwx,other::r--"
    members = [file(f"etc/{n}", pax_headers={"SCHILY.acl.access": acl}) for n in range(30)]
    result = redd("import-tar", archive(pack(*system(*members))), "image")
    assert result.err.count("warning") < 12 and "22 more" in result.err and "\x1b" not in result.err


@pytest.mark.parametrize("etc", ["link", "fifo", "loop", "large", "device"])
def test_acl_names_with_a_hostile_etc(redd, archive, canary, etc):
    """redd doesn't read files of the host instead of the image's, and doesn't block."""
    passwd = {
        "link": member("etc/passwd", tarfile.SYMTYPE, "/../../../../../../etc/passwd"),
        "fifo": member("etc/passwd", tarfile.FIFOTYPE),
        "loop": member("etc/passwd", tarfile.SYMTYPE, "passwd"),
        "large": file("etc/passwd", b"a:x:1:\n" * 200_000),
        "device": member("etc/passwd", tarfile.CHRTYPE, devmajor=1, devminor=5),
    }[etc]
    acl = "user::rw-,user:daemon:rwx,group::r--,mask::rwx,other::r--"
    result = redd("import-tar", archive(pack(*system(passwd, file("etc/a", pax_headers={"SCHILY.acl.access": acl})))), "image")
    assert "user 'daemon'" in result.err and "user:1:" not in " ".join(numeric_acl(POOL / "image/etc/a"))


def test_acl_goes_to_no_replacement(redd, archive):
    acl = "user::rw-,user:root:rwx,group::r--,mask::rwx,other::r--"
    named = {"SCHILY.acl.access": acl}
    members = [file("usr/a", pax_headers=named), file("usr/a", b"again"), file("usr/b", pax_headers=named), member("usr/b", tarfile.FIFOTYPE)]
    redd("-q", "import-tar", archive(pack(*system(*members))), "image")
    assert os.listxattr(POOL / "image/usr/a") == [] and stat.S_ISFIFO((POOL / "image/usr/b").lstat().st_mode)


def test_chattr_flags(redd, archive):
    data = pack(
        *system(
            folder("var", pax_headers={"SCHILY.fflags": "schg"}), file("var/a", b"a"),
            file("etc/b", pax_headers={"SCHILY.fflags": "nodump"}), member("etc/c", tarfile.LNKTYPE, "var/a"),
        )
    )
    redd("-q", "import-tar", archive(data), "image")
    flags = subprocess.run(["lsattr", "-d", POOL / "image/var", POOL / "image/etc/b"], capture_output=True, text=True, check=True)
    first, second = flags.stdout.splitlines()
    assert "i" in first.split()[0] and "d" in second.split()[0]


@row("A09", "sparse files of any size", "holes stay holes; only data is written and counts")
@pytest.mark.parametrize("kind", [["--format=gnu"], ["--format=posix", "--sparse-version=0.0"], ["--format=posix", "--sparse-version=0.1"], ["--format=posix", "--sparse-version=1.0"]], ids=lambda options: options[-1])
def test_sparse_files_keep_their_holes(redd, tmp_path, kind):
    (tmp_path / "tree/etc").mkdir(parents=True)
    (tmp_path / "tree/usr").mkdir()
    with open(tmp_path / "tree/etc/sparse", "wb") as sparse:
        for at in (5_000_000, 50_000_000, 90_000_000):
            sparse.seek(at)
            sparse.write(b"data" * 1000)
        sparse.truncate(100_000_000)
    path = tmp_path / "a.tar"
    subprocess.run(["tar", "-C", tmp_path / "tree", "-S", *kind, "-cf", path, "."], check=True)
    redd("-q", "import-tar", path, "image")
    there = POOL / "image/etc/sparse"
    assert os.stat(there).st_blocks * 512 < 1_000_000
    subprocess.run(["cmp", there, tmp_path / "tree/etc/sparse"], check=True)


@pytest.mark.parametrize("lone,lifted", [("mysystem", True), ("./mysystem", True), ("usr", False), ("nix", False)])
def test_lone_folder_is_lifted(redd, archive, lone, lifted):
    bare = lone.removeprefix("./")
    name = bare if bare == "mysystem" else "share"
    data = pack(folder(lone, mode=0o750, mtime=77), folder(f"{lone}/etc", mtime=78), file(f"{lone}/{name}/x"))
    redd("-q", "import-tar", archive(data), "image")
    root = POOL / "image" if lifted else POOL / "image" / lone
    assert sorted(path.name for path in root.iterdir()) == sorted(["etc", name])
    assert os.stat(root / "etc").st_mtime == 78
    if lifted:
        assert stat.S_IMODE(os.stat(root).st_mode) == 0o755


@row("A11")
@pytest.mark.parametrize("mode", [0o000, 0o4777, 0o700, 0o1777])
def test_root_can_be_entered_whatever_its_entry_says(redd, archive, mode):
    data = pack(folder("./", mode=mode, uid=1000, gid=1000), *system())
    redd("-q", "import-tar", archive(data), "image")
    st = os.stat(POOL / "image")
    assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid) == (0o755, 0, 0)


ODD_NAMES = [b"new\nline", b"-rf", b"back\\slash", b"*?[x]", b"not \xff utf-8", b"a" * 255, "ünï".encode(), b"tab\t", b"\x1b[31m"]


@row("A12", "names that aren't text", "bytes in, bytes out; no shell anywhere")
@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_names_are_bytes(redd, archive, kind):
    members = [file("etc/" + os.fsdecode(name), name) for name in ODD_NAMES]
    redd("-q", "import-tar", archive(pack(*system(*members), kind=kind)), "image", env={"LC_ALL": "C"})
    found = set(os.listdir(os.fsencode(POOL / "image/etc"))) - {b"hostname"}
    assert found == set(ODD_NAMES)


# name: (members, part of the message); each is refused, and nothing is imported
REFUSED = {
    "dot dot": (lambda out: [file("../escaped")], "'..'"),
    "dot dot inside": (lambda out: [file("etc/../../escaped")], "'..'"),
    "dot dot at the end": (lambda out: [folder("etc/..")], "'..'"),
    "absolute dot dot": (lambda out: [file("/../escaped")], "'..'"),
    "through a link": (lambda out: [member("a", tarfile.SYMTYPE, str(out)), file("a/secret", b"gone")], "'a/secret'"),
    "through a relative link": (lambda out: [member("etc/a", tarfile.SYMTYPE, "../" * 30 + str(out)), file("etc/a/b/new")], "symbolic link"),
    "through a link to dot": (lambda out: [member("dot", tarfile.SYMTYPE, "."), file("dot/x")], "symbolic link"),
    "through a loop": (lambda out: [member("loop", tarfile.SYMTYPE, "loop"), file("loop/x")], "symbolic link"),
    "below a file": (lambda out: [file("etc/hostname/below")], "Not a directory"),
    "hard link outside": (lambda out: [member("h", tarfile.LNKTYPE, str(out / "secret"))], "link to"),
    "hard link by dot dot": (lambda out: [member("h", tarfile.LNKTYPE, "../../../../etc/passwd")], "link to"),
    "hard link through a link": (lambda out: [member("s", tarfile.SYMTYPE, str(out)), member("h", tarfile.LNKTYPE, "s/secret")], "link to"),
    "hard link to nothing": (lambda out: [member("h", tarfile.LNKTYPE, "later"), file("later")], "link to"),
    "hard link to a directory": (lambda out: [member("h", tarfile.LNKTYPE, "etc")], "link to"),
    "file over a full directory": (lambda out: [file("etc", b"x")], "not empty"),
    "link over a full directory": (lambda out: [member("etc", tarfile.SYMTYPE, str(out)), file("etc/x")], "not empty"),
    "name of 5000 bytes": (lambda out: [file("d/" * 2500 + "x")], "File name too long"),
    "part of 300 bytes": (lambda out: [file("etc/" + "x" * 300)], "File name too long"),
    "deep": (lambda out: [file("d/" * 50_000 + "x")], "File name too long"),
    "huge uid": (lambda out: [file("etc/a", pax_headers={"uid": "4294967295"})], "etc/a"),
    "negative gid": (lambda out: [file("etc/a", pax_headers={"gid": "-1"})], "etc/a"),
    "root is a link": (lambda out: [member("./", tarfile.SYMTYPE, str(out))], "root"),
}


@row("A01", "`..`, absolute names, odd slashes", "`..` is refused and named; the rest is cleaned and taken below the tree's descriptor")
@row("A02", "a link, then an entry through it", "no link is followed on the way: refused and named; a link is replaced, never written through")
@row("A03", "hard links to outside, through links, to nothing", "the target is looked up in the tree without following a link")
@row("A07", "headers that lie: sizes, owners, lengths, sparse maps",
     "libarchive for headers only; owners and names are checked; truncation is found; fuzzed")  # fmt: skip
@row("A10", "deep folders, endless names", "bounded names; one folder at a time is open")
@row("A11", "entries that replace others, an odd entry of the root",
     "the last one counts, never through a link; the tree's root belongs to root, mode 0755")  # fmt: skip
@pytest.mark.parametrize("shape", REFUSED)
def test_hostile_archives_are_refused(redd, archive, canary, shape):
    members, says = REFUSED[shape]
    redd.fails("import-tar", archive(pack(*system(*members(canary)))), "image", says=says)
    nothing_imported()


# name: (members, path in the image, its content, or None if it must not be a file)
CONTAINED = {
    "absolute": (lambda out: [file(f"{out}/secret", b"in")], lambda out: f"{out}/secret", b"in"),
    "slashes and dots": (lambda out: [file("//etc/././/odd", b"in")], lambda out: "etc/odd", b"in"),
    "absolute hard link": (lambda out: [member("h", tarfile.LNKTYPE, "/etc/hostname")], lambda out: "h", b"host\n"),
    "hard link to a link": (lambda out: [member("s", tarfile.SYMTYPE, str(out / "secret")), member("h", tarfile.LNKTYPE, "s")], lambda out: "h", None),
    "hard link to itself": (lambda out: [member("etc/hostname", tarfile.LNKTYPE, "etc/hostname")], lambda out: "etc/hostname", b"host\n"),
    "file over a link": (lambda out: [member("s", tarfile.SYMTYPE, str(out / "secret")), file("s", b"in")], lambda out: "s", b"in"),
    "directory over a link": (lambda out: [member("s", tarfile.SYMTYPE, str(out)), folder("s"), file("s/x", b"in")], lambda out: "s/x", b"in"),
    "file over a hard link": (lambda out: [member("h", tarfile.LNKTYPE, "etc/hostname"), file("h", b"in")], lambda out: "h", b"in"),
    "last one counts": (lambda out: [file("d", b"1"), file("d", b"22"), file("d", b"in")], lambda out: "d", b"in"),
    "file, directory, file": (lambda out: [file("d", b"1"), folder("d"), file("d", b"in")], lambda out: "d", b"in"),
    "link over an empty directory": (lambda out: [folder("d"), member("d", tarfile.SYMTYPE, str(out))], lambda out: "d", None),
    "whiteout": (lambda out: [member("w", tarfile.CHRTYPE, devmajor=0, devminor=0)], lambda out: "w", None),
}


@row("A01")
@row("A02")
@row("A03")
@row("A11")
@pytest.mark.parametrize("shape", CONTAINED)
def test_hostile_archives_are_contained(redd, archive, canary, shape):
    members, where, content = CONTAINED[shape]
    redd("-q", "import-tar", archive(pack(*system(*members(canary)))), "image")
    there = POOL / "image" / where(canary).lstrip("/")
    assert os.path.lexists(there)
    if content is None:
        assert not stat.S_ISREG(os.lstat(there).st_mode)
    else:
        assert there.read_bytes() == content
    assert (POOL / "image/etc/hostname").read_bytes() == b"host\n"


@pytest.mark.parametrize(
    "data,says",
    [
        (b"", "empty"), (b"hello, world\n" * 100, "no tar archive"), (bytes(10240), "no files"),
        (gzip.compress(b"text" * 1000), "no tar archive"), (b"PK\x03\x04" + bytes(100), "zip"),
        (b"\xfd7zXZ\x00", "truncated"), (b"\x1f\x8b" + bytes(40), "gzip"), (random.Random(1).randbytes(5000), "no tar archive"),
    ],
    ids=["empty", "text", "only zeros", "gzip of text", "zip", "xz magic", "gzip magic", "noise"],
)
def test_no_tarball(redd, archive, data, says):
    redd.fails("import-tar", archive(data), "image", says=says)
    nothing_imported()


def test_missing_file_and_directory(redd, tmp_path):
    redd.fails("import-tar", tmp_path / "nowhere.tar", says="No such file")
    redd.fails("import-tar", tmp_path, "image", says="is a directory")


@row("A07")
@pytest.mark.parametrize("name", ["none", "gzip", "bzip2", "zstd", "xz, one block", "xz, blocks with sizes", "xz, blocks without sizes"])
def test_truncated(redd, archive, name):
    """Cut at sampled places, and where a cut is hard to detect: at ends of entries and blocks, at the last byte."""
    plain = pack(*system(file("usr/a", b"a" * 1024), file("usr/zeros", bytes(1024)), folder("usr/last")))
    plain = plain[: plain.rstrip(b"\0").__len__() // 512 * 512 + 512 + 1024]
    data = COMPRESSIONS[name](plain)
    sample = random.Random(3)
    cuts = {1, 5, len(data) - 1, len(data) - 4, len(data) - 12, *(sample.randrange(len(data)) for _ in range(8))}
    if name == "none":
        cuts = {*range(512, len(data) - 1024, 512), *range(1, len(data) - 1024, 700), len(data) - 1025}
    for cut in sorted(cut for cut in cuts if 0 < cut < len(data)):
        result = redd.fails("-q", "import-tar", archive(data[:cut]), "image")
        assert visible() == [], f"cut at {cut} of {len(data)}: {result}"


@row("A07")
@pytest.mark.parametrize("name", ["gzip", "bzip2", "zstd checked", "xz, one block", "xz, blocks with sizes", "xz, sha256"])
def test_damaged(redd, archive, name):
    plain = sample_system()
    data = zstd(plain, "--check") if name == "zstd checked" else COMPRESSIONS[name](plain)
    sample = random.Random(5)
    for at in [len(data) // 2, len(data) - 20, *(sample.randrange(20, len(data)) for _ in range(3))]:
        if "zstd" in name and at >= len(data) - 4:
            continue
        damaged = bytearray(data)
        damaged[at] ^= 0x55
        result = redd.run("-q", "import-tar", archive(damaged), "image")
        # Damage to gzip's file name or to padding may go unnoticed; but content may never differ.
        if result.code == 0:
            assert (POOL / "image/usr/share/f0").stat().st_size < 9000
            shutil.rmtree(POOL / "image")
            pytest.fail(f"damage at byte {at} of {len(data)} was not noticed")
        assert result.code == 1 and visible() == []


def test_damage_behind_the_archive_is_found(redd, archive):
    """pixz puts a file index there; the stream is still checked to its end."""
    data = xz(pack(*system()) + random.Random(2).randbytes(300_000), "-T1", "--block-size=64KiB")
    redd("-q", "import-tar", archive(data), "good")
    damaged = bytearray(data)
    damaged[-5000] ^= 1
    redd.fails("import-tar", archive(damaged), "bad", says="damaged")
    assert visible() == ["good"]


def test_wrong_check_in_xz(redd, archive):
    data = xz(sample_system(), "-T2", "--block-size=128KiB", "--check=crc64")
    filters = lzma.LZMADecompressor()
    filters.decompress(data)
    damaged = bytearray(data)
    # The index and footer are correct; only the check of the last block, just before the index, isn't.
    index = struct.unpack("<I", data[-8:-4])[0] * 4 + 4
    damaged[len(data) - 12 - index - 1] ^= 0xFF
    redd.fails("import-tar", archive(damaged), "image", says="checksum")
    nothing_imported()


def test_name_exists(redd, archive):
    path = archive(pack(*system()))
    redd("-q", "import-tar", path, "image")
    before = listing(POOL / "image")
    redd.fails("import-tar", path, "image", says="--force")
    assert listing(POOL / "image") == before and visible() == ["image"]


@pytest.mark.parametrize("read_only", [False, True])
def test_force_replaces(redd, archive, read_only):
    redd("-q", *(["--read-only"] if read_only else []), "import-tar", archive(pack(*system(file("etc/old")))), "image")
    redd("-q", "--force", "import-tar", archive(pack(*system(file("etc/new")))), "image")
    assert sorted(os.listdir(POOL / "image/etc")) == ["hostname", "new"]
    assert visible() == ["image"]


def test_force_keeps_the_old_one_on_failure(redd, archive):
    redd("-q", "import-tar", archive(pack(*system(file("etc/old")))), "image")
    redd.fails("--force", "import-tar", archive(pack(*system(file("../x")))), "image")
    assert sorted(os.listdir(POOL / "image/etc")) == ["hostname", "old"]


def test_read_only(redd, archive):
    redd("-q", "--read-only", "import-tar", archive(pack(*system())), "image")
    with pytest.raises(PermissionError):
        (POOL / "image/new").touch()


def test_json(redd, archive):
    lines = redd("--json=short", "import-tar", archive(sample_system()), "image").out.splitlines()
    result = json.loads(lines[-1])
    assert (result["type"], result["name"], result["path"]) == ("result", "image", "/var/lib/machines/image")
    assert result["entries"] == 305
    assert all(json.loads(line)["type"] == "progress" for line in lines[:-1])


def test_progress_on_a_terminal(redd, tmp_path):
    """From a slow pipe it shows bytes and rate; the line is erased when the import is done."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = redd.spawn("import-tar", fifo, "image")
    data = sample_system()
    with open(fifo, "wb", buffering=0) as out:
        out.write(data[:100_000])
        child.expect(r"image: .* read, .*/s")
        out.write(data[100_000:])
    child.expect("imported image: 305 entries")
    child.expect_exact(["\r\n"])
    child.wait()


@contextlib.contextmanager
def half_an_import(redd, tmp_path, **options):
    """An import that waits for the second half of its archive."""
    fifo = tmp_path / "half"
    os.mkfifo(fifo)
    running = redd.start("-q", "import-tar", fifo, "image", stdin=subprocess.DEVNULL, **options)
    data = sample_system()
    with open(fifo, "wb", buffering=0) as out:
        out.write(data[: len(data) // 2])
        wait_for(lambda: any(POOL.glob(".#import-*/tree/usr/share/f9")))
        yield running, out, data[len(data) // 2 :]
    if running.poll() is None:
        running.kill()
    running.communicate()


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelled_by_a_signal(redd, tmp_path, number):
    with half_an_import(redd, tmp_path) as (running, _, _rest):
        running.send_signal(number)
        assert running.wait(10) == 1
        assert "cancelled" in running.stderr.read()
        nothing_imported()


def test_goes_on_when_the_terminal_goes_away(redd, tmp_path):
    with half_an_import(redd, tmp_path) as (running, out, rest):
        running.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        out.write(rest)
        out.close()
        assert running.wait(20) == 0
    assert visible() == ["image"]


@row("A05", "local users reach a half imported image, or its setuid files", "a hidden folder of mode 0700 in a pool of mode 0700")
def test_hidden_and_private_meanwhile(redd, tmp_path):
    """A05: other users can't reach a half imported image, and its name does not exist yet."""
    with half_an_import(redd, tmp_path) as (running, _, _rest):
        (hidden,) = POOL.iterdir()
        assert hidden.name.startswith(".#import-image.")
        assert stat.S_IMODE(hidden.stat().st_mode) == 0o700
        running.terminate()
        running.wait(10)


@row("F01", "kill -9 of an import at any call",
     "hidden folder with a lock, synced, renamed without replacing; leftovers removed by the next command")  # fmt: skip
def test_killed_and_cleaned_by_the_next(redd, tmp_path, archive):
    with half_an_import(redd, tmp_path) as (running, _, _rest):
        running.kill()
        running.wait()
        assert len(visible()) == 1
        (tmp_path / "half").unlink()
        # The worker dies with its parent, which releases the lock.
        wait_for(lambda: redd("-q", "--force", "import-tar", archive(pack(*system())), "other") and visible() == ["other"])


def test_worker_killed(redd, tmp_path):
    with half_an_import(redd, tmp_path) as (running, _, _rest):
        (worker,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        assert running.wait(10) == 1
        assert "killed by signal 9" in running.stderr.read()
    nothing_imported()


@row("A18", "two imports to one name, a clean-up during an import", "a lock for each hidden folder, renamed without replacing")
def test_a_running_import_is_not_cleaned_up(redd, tmp_path, archive):
    with half_an_import(redd, tmp_path) as (running, out, rest):
        redd("-q", "import-tar", archive(pack(*system())), "other")
        out.write(rest)
        out.close()
        assert running.wait(20) == 0
    assert visible() == ["image", "other"]


@row("A18")
def test_two_imports_to_one_name(redd, archive):
    path = archive(sample_system())
    running = [redd.start("-q", "import-tar", path, "image", stdin=subprocess.DEVNULL) for _ in range(6)]
    ends = [(one.communicate()[1], one.returncode) for one in running]
    assert sorted(code for _, code in ends) == [0, 1, 1, 1, 1, 1]
    assert all("exists already" in text for text, code in ends if code)
    assert visible() == ["image"] and len(os.listdir(POOL / "image/usr/share")) == 300


@row("F01")
@pytest.mark.parametrize("call", ["renameat2", "syncfs", "mkdirat", "openat", "write", "utimensat", "close", "fsync", "linkat"])
def test_killed_at_sampled_system_calls(redd, archive, call):
    """F01: if any process dies at any time, the image is absent or complete; the next import cleans up."""
    data = pack(*system(file("usr/a", b"a" * 100), member("usr/h", tarfile.LNKTYPE, "usr/a")))
    path = archive(data)
    for when in (1, 2, 3, 5, 9):
        argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={when}", redd.path]
        subprocess.run([*argv, "-q", "import-tar", path, "image"], capture_output=True, timeout=30, check=False)
        if (POOL / "image").exists():
            assert (POOL / "image/usr/h").read_bytes() == b"a" * 100
        wait_for(lambda: redd("-q", "--force", "import-tar", path, "image") and visible() == ["image"])
        empty_pool()


@contextlib.contextmanager
def small_pool(tmp_path, size, *mkfs):
    disk = tmp_path / "disk"
    with open(disk, "wb") as image:
        image.truncate(size)
    subprocess.run([*mkfs, disk], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", disk, POOL], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", POOL], check=True)


@row("F04", "a full disk, no inodes", "the import fails completely and leaves nothing; a machine goes on if its state or log can't be written")
def test_disk_full(redd, archive, tmp_path):
    big = archive(pack(*system(file("usr/big", random.Random(1).randbytes(30_000_000)))))
    with small_pool(tmp_path, 16 << 20, "mkfs.ext4", "-q"):
        redd.fails("import-tar", big, "image", says="No space left")
        assert set(os.listdir(POOL)) == {"lost+found"}


@row("F04")
def test_inodes_used_up(redd, archive):
    path = archive(pack(*system(*(file(f"usr/{n}", b"") for n in range(500)))))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=200", "tmpfs", POOL], check=True)
    try:
        redd.fails("import-tar", path, "image", says="No space left")
        assert os.listdir(POOL) == []
    finally:
        subprocess.run(["umount", POOL], check=True)


@pytest.mark.skipif(not shutil.which("mkfs.btrfs"), reason="no mkfs.btrfs")
def test_btrfs_subvolume(redd, archive, tmp_path):
    lone = archive(pack(folder("top"), folder("top/etc"), file("top/etc/a")))
    with small_pool(tmp_path, 200 << 20, "mkfs.btrfs", "-q"):
        redd("-q", "--read-only", "import-tar", lone, "image")
        assert os.stat(POOL / "image").st_ino == 256
        assert (POOL / "image/etc/a").exists()
        with pytest.raises(OSError):
            (POOL / "image/new").touch()
        redd("-q", "--force", "import-tar", lone, "image")
        assert visible() == ["image"]


@row("A08", "decompression bombs", "decoders' memory is bounded, and files stay sparse; on a full disk the import fails and leaves nothing")
def test_bomb_takes_little_memory(redd, tmp_path):
    """A08: 2 GiB of zeros in a few hundred kilobytes; files are written sparse, so that the disk doesn't fill up."""
    inner = io.BytesIO()
    head = pack(*system())[: 4 * 512]
    huge = member("usr/huge")
    huge.size = 1 << 31
    with gzip.GzipFile(fileobj=inner, mode="wb", compresslevel=1) as out:
        out.write(head.rstrip(b"\0").ljust(2048, b"\0"))
        out.write(huge.tobuf())
        for _ in range(64):
            out.write(bytes(1 << 24))
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(inner.getvalue())
    with small_pool(tmp_path, 64 << 20, "mkfs.ext4", "-q"):
        before = peak_of_children()
        redd.fails("import-tar", path, "image", says="No space left")
        assert max(0, peak_of_children() - before) < 100_000
        assert set(os.listdir(POOL)) == {"lost+found"}


def peak_of_children():
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def test_pool_with_set_gid_and_default_acl(redd, archive):
    """Special attributes of the pool must not affect an image."""
    subprocess.run(["setfacl", "-m", "d:u:9:rwx", POOL], check=True)
    os.chown(POOL, 0, 50)
    os.chmod(POOL, 0o2700)
    try:
        redd("-q", "import-tar", archive(pack(*system(file("etc/x", mode=0o640)))), "image")
        for path in (".", "etc", "etc/x"):
            st = os.lstat(POOL / "image" / path)
            assert (st.st_uid, st.st_gid) == (0, 0) and os.listxattr(POOL / "image" / path) == []
        assert stat.S_IMODE(os.stat(POOL / "image/etc").st_mode) == 0o755
    finally:
        subprocess.run(["setfacl", "-b", POOL], check=True)
        os.chown(POOL, 0, 0)
        os.chmod(POOL, 0o700)


def test_nothing_written_outside_the_pool(redd, archive, tmp_path):
    """A trace of the worker: it opens only paths below the hidden folder for writing."""
    trace = tmp_path / "trace"
    calls = "openat,openat2,mkdirat,linkat,symlinkat,mknodat,unlinkat,renameat2,open,creat,mkdir,unlink,rename"
    data = pack(*system(file("/etc/absolute"), member("usr/s", tarfile.SYMTYPE, "/etc")))
    subprocess.run(["strace", "-f", "-qq", "-o", trace, "-e", f"trace={calls}", redd.path, "-q", "import-tar", archive(data), "image"], check=True, capture_output=True)
    for line in trace.read_text().splitlines():
        writes = "O_WRONLY" in line or "O_RDWR" in line or "O_CREAT" in line
        if writes and '"/' in line:
            assert any(known in line for known in ("/dev/null", "/var/cache/redd", "/run/", "/dev/tty")), line


@row("F05", "EIO when a name is synced", "the image is kept and the error is reported")
@pytest.mark.parametrize(("error", "says"), [("EIO", "power cut"), ("EINVAL", "")])
def test_name_that_can_not_be_synced(redd, archive, error, says):
    """The image is complete, so it is no failure, but redd warns, unless the file system doesn't support the sync."""
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=fsync:error={error}:when=1", redd.path, "-q", "import-tar", archive(pack(*system())), "image"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert says in done.stderr and bool(done.stderr) == bool(says), done
    assert visible() == ["image"]


@row("A07")
@row("A23", "code run by a hostile archive in the unpacking process",
     "it keeps seven capabilities, three descriptors, some sixty system calls, its folder (landlock) and a limit of memory")  # fmt: skip
def test_confined(redd, tmp_path):
    """The worker has only capabilities to make files, no other descriptors, few system calls, and a memory limit."""
    with half_an_import(redd, tmp_path) as (running, _, _rest):
        (worker,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines() if ":\t" in line)
        allowed = sum(1 << bit for bit in (0, 1, 3, 4, 9, 27, 31))
        for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
            assert int(status[name], 16) & ~allowed == 0, name
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "2"
        limit = next(line.split() for line in Path(f"/proc/{worker}/limits").read_text().splitlines() if line.startswith("Max data size"))
        assert limit[3] == limit[4] and int(limit[3]) < 1 << 31
        targets = processes.descriptors(worker)
        assert targets
        strangers = [t for t in targets if not t.startswith(("/dev/null", "pipe:", str(POOL), str(tmp_path)))]
        assert strangers == []
        running.terminate()
        running.wait(10)


@row("A23")
def test_confined_before_the_first_byte(redd, archive, tmp_path):
    """The kernel reports Landlock and the filter as active in the worker before it reads from the archive."""
    trace, path = tmp_path / "trace", archive(pack(*system()))
    calls = "landlock_restrict_self,prctl,read,seccomp"
    subprocess.run(["strace", "-f", "-y", "-qq", "-o", trace, "-e", f"trace={calls}", redd.path, "-q", "import-tar", path, "image"], check=True, capture_output=True)
    lines = trace.read_text().splitlines()
    first = next(at for at, line in enumerate(lines) if f"<{path}>" in line and "read(" in line)
    before = [line for line in lines[:first] if line.split()[0] in {lines[first].split()[0], *(one.split()[0] for one in lines[:first] if "landlock" in one)}]
    assert any("landlock_restrict_self" in line and line.endswith("= 0") for line in before), before
    assert any("PR_SET_SECCOMP" in line and line.endswith("= 0") for line in before), before


@row("F01")
def test_no_image_that_is_not_on_disk(redd, archive):
    """The tree is synced before it gets its name: if that fails, there is no image."""
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=syncfs:error=EIO", redd.path, "-q", "import-tar", archive(pack(*system())), "image"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Input/output error" in done.stderr
    nothing_imported()


def records(**fields):
    """A pax header with records that tarfile would not write."""
    body = b""
    for key, value in fields.items():
        line = b" " + key.replace("__", ".").encode() + b"=" + value + b"\n"
        length = len(line)
        while len(str(length)) + len(line) != length:
            length = len(str(length)) + len(line)
        body += str(length).encode() + line
    head = member("pax", tarfile.XHDTYPE)
    head.size = len(body)
    return head.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


def head(name, kind=tarfile.REGTYPE, size=0, link=""):
    info = member(name, kind, link)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def same_directory_with_attributes():
    one = records(SCHILY__xattr__user__1=b"A" * 60_000) + head("d", tarfile.DIRTYPE)
    return (one for _ in range(8_000))


def directories_with_attributes():
    return (records(SCHILY__xattr__user__1=b"A" * 60_000) + head(f"d{n}", tarfile.DIRTYPE) for n in range(8_000))


def flagged_then_repeated():
    yield records(SCHILY__fflags=b"nodump") + head("flagged")
    yield from (head("etc", tarfile.DIRTYPE) for _ in range(100_000))
    yield from (head("x") for _ in range(20_000))


def directory_and_file_in_turn():
    return (head("d", tarfile.DIRTYPE) + head("d") for _ in range(20_000))


def hard_links():
    yield head("f")
    yield from (head(f"h{n}", tarfile.LNKTYPE, link="f") for n in range(30_000))


def sparse_map_without_end():
    yield records(GNU__sparse__major=b"1", GNU__sparse__minor=b"0", GNU__sparse__name=b"s", GNU__sparse__realsize=b"1")
    pieces = 20_000_000
    first = f"{pieces}\n".encode()
    yield head("s", size=len(first) + 4 * pieces + 512) + first
    yield from (b"0\n0\n" * 100_000 for _ in range(pieces // 100_000))
    yield bytes(2048)


def long_headers():
    return (records(comment=b"x" * 900_000) + head(f"f{n}") for n in range(60))


def long_names():
    name = b"d/" * 400_000 + b"\0"
    return (head("././@LongLink", b"L", len(name)) + name + bytes(-len(name) % 512) + head(f"f{n}") for n in range(20))


def deep_paths():
    return (records(path=f"{n}/".encode() + b"d/" * 2000 + b"x") + head("f") for n in range(5))


# name: (archive, part of the message, or None if it is accepted)
WORST = {
    "one directory, attributes again and again": (same_directory_with_attributes, None),
    "directories with large attributes": (directories_with_attributes, "take more than 256 MiB"),
    "repeated after a flag": (flagged_then_repeated, None),
    "directory and file in turn": (directory_and_file_in_turn, None),
    "hard links": (hard_links, None),
    "sparse map without end": (sparse_map_without_end, "memory"),
    "long pax headers": (long_headers, None),
    "long GNU names": (long_names, "too"),
    "deep paths": (deep_paths, None),
}
# The unpacker's limits for gzip, in MiB: decoder 32, deferred metadata 256, libarchive and the rest 128.
WORST_MEMORY_KIB = (32 + 256 + 128 + 16) << 10


@pytest.fixture
def pool_in_memory():
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1G,mode=700", "tmpfs", POOL], check=True)
    yield
    subprocess.run(["umount", POOL], check=True)


def import_and_measure(redd, path):
    """(exit code, stderr, peak of the unpacking process in KiB, its processor time in seconds)"""
    running = subprocess.Popen([redd.path, "-q", "import-tar", path, "image"], stderr=subprocess.PIPE, text=True)
    peak = seconds = 0
    while running.poll() is None:
        with contextlib.suppress(OSError, IndexError):
            worker = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()[0]
            lines = Path(f"/proc/{worker}/status").read_text().splitlines()
            peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
            ticks = Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
            seconds = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        time.sleep(0.02)
    return running.returncode, running.stderr.read(), peak, seconds


@row("A25", "an archive of kilobytes whose metadata, headers or maps take gigabytes or hours to unpack",
     "one record per inode, limited in bytes; RLIMIT_DATA; no linear searches; processor time is bounded by bytes and entries")  # fmt: skip
@pytest.mark.usefixtures("pool_in_memory")
@pytest.mark.parametrize("shape", WORST)
def test_worst_archives(redd, tmp_path, shape):
    make, says = WORST[shape]
    path = tmp_path / "worst.tar.gz"
    with gzip.open(path, "wb", 1) as out:
        out.write(head("./", tarfile.DIRTYPE) + head("usr", tarfile.DIRTYPE) + head("etc", tarfile.DIRTYPE))
        for piece in make():
            out.write(piece)
        out.write(bytes(1024))
    code, stderr, peak, seconds = import_and_measure(redd, path)
    print(f"{shape}: {path.stat().st_size >> 10} KiB, peak {peak >> 10} MiB, {seconds} s of processor time")
    assert peak < WORST_MEMORY_KIB
    if says:
        assert code == 1 and says in stderr, stderr
        assert os.listdir(POOL) == []
    else:
        assert (code, stderr) == (0, "")


@row("A25")
@pytest.mark.usefixtures("pool_in_memory")
def test_headers_that_take_for_ever_end(redd, tmp_path):
    """libarchive compares each entry of an ACL with all others: without the limit of time, hours for a few kilobytes."""
    entries = b",".join([b"user:1:rwx:--:allow"] * 45_000)
    one = records(SCHILY__acl__ace=entries) + head("etc/f")
    path = tmp_path / "slow.tar.gz"
    with gzip.open(path, "wb", 1) as out:
        out.write(head("./", tarfile.DIRTYPE) + head("etc", tarfile.DIRTYPE) + one * 40)
    code, stderr, _, seconds = import_and_measure(redd, path)
    assert code == 1 and "far more processor time" in stderr, stderr
    assert seconds < 60
    assert os.listdir(POOL) == []


@row("A24", "an archive fills the disk of the host, with bytes or with files",
     "--max-size=, by default what the file system can spare, in blocks and inodes; a part stays free")  # fmt: skip
@pytest.mark.parametrize("kind", ["bytes", "files", "set by a person"])
def test_the_disk_is_not_filled(redd, archive, kind):
    options = []
    if kind == "bytes":
        data, says = pack(*system(*(file(f"usr/{n}", bytes(1 << 20)) for n in range(80)))), "can spare"
    elif kind == "files":
        data, says = pack(*system(*(file(f"usr/{n}", b"") for n in range(2_000)))), "can spare"
    else:
        data, says, options = pack(*system(file("usr/a", bytes(3 << 20)))), "the limit that was set", ["--max-size=2M"]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M,nr_inodes=1500,mode=700", "tmpfs", POOL], check=True)
    try:
        least = []
        running = subprocess.Popen([redd.path, "-q", *options, "import-tar", archive(data), "image"], stderr=subprocess.PIPE, text=True)
        while running.poll() is None:
            fs = os.statvfs(POOL)
            least.append((fs.f_bavail * fs.f_frsize, fs.f_favail))
        stderr = running.stderr.read()
        assert running.returncode == 1 and says in stderr and "--max-size" in stderr, stderr
        assert min(one[0] for one in least) >= 3 << 20 and min(one[1] for one in least) >= 60
        assert os.listdir(POOL) == []
        redd("-q", "--max-size=40M", "import-tar", archive(pack(*system(file("usr/a", bytes(3 << 20))))), "image")
    finally:
        subprocess.run(["umount", POOL], check=True)


@pytest.mark.parametrize("size", ["0", "much", "-1", ""])
def test_bad_size(redd, archive, size):
    redd.fails(f"--max-size={size}", "import-tar", archive(pack(*system())), "image", says="--max-size", code=2)


def odd_archives():
    """Archives whose entries of the same name differ in type, owner and mode."""
    def kinds(name):
        return [folder(name, uid=1000, mode=0o700), folder(name, mode=0o1777), file(name, b"x", uid=5, mode=0o4755), member(name, tarfile.SYMTYPE, "etc"), file(name, b"long" * 200)]

    for first in range(5):
        for second in range(5):
            for third in (None, 0):
                members = [kinds("usr/odd")[first], kinds("usr/odd")[second]]
                yield members + ([kinds("usr/odd")[third]] if third is not None else [])


def as_unpacked(top):
    found = {}
    for path in sorted(Path(top).rglob("*")):
        st = path.lstat()
        mode = None if stat.S_ISLNK(st.st_mode) else stat.S_IMODE(st.st_mode)
        found[str(path.relative_to(top))] = (stat.S_IFMT(st.st_mode), mode, st.st_uid, st.st_size if stat.S_ISREG(st.st_mode) else 0)
    return found


@pytest.mark.skipif(not shutil.which("bsdtar"), reason="no bsdtar")
@pytest.mark.usefixtures("pool_in_memory")
def test_the_last_entry_wins_as_with_tar_and_bsdtar(redd, archive, tmp_path):
    for number, members in enumerate(odd_archives()):
        path = archive(pack(*system(*members)))
        redd("-q", "import-tar", path, f"odd{number}")
        others = []
        for name, argv in {"gnu": ["tar", "--numeric-owner", "-xpf"], "bsd": ["bsdtar", "--numeric-owner", "-xpf"]}.items():
            where = tmp_path / f"{name}{number}"
            where.mkdir()
            done = subprocess.run([*argv, path, "-C", where], capture_output=True, check=False)
            others += [as_unpacked(where)] if done.returncode == 0 else []
        assert others and as_unpacked(POOL / f"odd{number}") in others, (number, members)


def test_sockets_are_kept_out_of_the_way(redd, tmp_path):
    """tar skips sockets; an archive with a fifo, made from a tree with a socket, is imported."""
    (tmp_path / "t/etc").mkdir(parents=True)
    (tmp_path / "t/run").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "t/run/s"))
        subprocess.run(["tar", "-C", tmp_path / "t", "-cf", tmp_path / "a.tar", "."], check=True, capture_output=True)
    redd("-q", "import-tar", tmp_path / "a.tar", "image")
    assert visible() == ["image"]
