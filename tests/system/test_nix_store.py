# SPDX-License-Identifier: LGPL-2.1-or-later
"""
src/nix together with a real Nix: what a SYSTEM is, closures, generations, roots and the garbage collector, packing and
copying. Only the round trip of a packed system runs a machine. nix_tool (tests/unit/nix/tool.c) calls what
`redd nix create` and `update` call.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from helpers import command, nixhost
from helpers.machines import tarball

PROFILES = "nix/var/nix/profiles/per-container"
ROOTS = "nix/var/nix/gcroots/redd"
TOOL = command.program().parents[1] / "tests/unit/nix_tool"

if not nixhost.is_possible():
    pytest.skip("no nix-store here (package nix-bin)", allow_module_level=True)
if not TOOL.exists():
    pytest.skip(f"no {TOOL}: REDD is not in a build folder", allow_module_level=True)


class Host(nixhost.NixHost):
    def redd(self, *args, **options):
        return self(command.program(), *args, **options)

    def fails(self, *args, code=1, says=None, **options):
        result = self(command.program(), *args, code=code, **options)
        assert says is None or says in result.err, f"no {says!r} in the message\n{result}"
        return result

    def tool(self, *args, **options):
        return self(TOOL, *args, **options)

    def profile(self, name):
        return self.folder / PROFILES / name

    def current(self, name):
        """(number, store path) of the profile, read from its links only."""
        link = os.readlink(self.profile(name) / "system")
        return int(link.split("-")[1]), os.readlink(self.profile(name) / link)

    def numbers(self, name):
        rows = self.redd("nix", "generations", name, "--json=short").json()
        return [row["generation"] for row in rows]

    def forget_all(self):
        for path in (self.folder / PROFILES, self.folder / ROOTS):
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    host = Host(tmp_path_factory.mktemp("nixhost"))
    host.systems = host.build()
    keep = host.nix / "var/nix/gcroots/test"
    keep.mkdir()
    for name, path in host.systems.items():
        (keep / name).symlink_to(path)
    yield host
    host.close()


@pytest.fixture
def host(built):
    """A host with the built systems, which are pinned, and without profiles."""
    yield built
    built.forget_all()


@contextlib.contextmanager
def unpinned(host, *names):
    """A host where only redd pins paths; collected systems are built again afterwards."""
    keep = host.nix / "var/nix/gcroots/test"
    for name in names:
        (keep / name).unlink()
    yield
    assert host.build() == host.systems
    for name in names:
        (keep / name).symlink_to(host.systems[name])


@contextlib.contextmanager
def locked(path):
    """Locks a file as Nix does."""
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def said_soon(process, text):
    """Waits for the line of stderr with this text; the process goes on."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        line = process.stderr.readline()
        assert line, f"it ended without saying {text!r}"
        if text in line:
            return line
    raise AssertionError(f"it did not say {text!r}")


# What a SYSTEM is


def test_store_path_link_and_profile_lead_to_the_system(host):
    one = host.systems["one"]
    host.tool("set", "m", one)
    (host.folder / "result").unlink(missing_ok=True)
    (host.folder / "result").symlink_to(one)
    (host.folder / "relative").unlink(missing_ok=True)
    (host.folder / "relative").symlink_to("result")
    for text in (one, one + "/", "result", "./relative", "/" + PROFILES + "/m/system", "/" + PROFILES + "/m/system-1-link"):
        assert host.tool("find", text).out == one + "\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("missing", "there is no 'missing'"),
        ("/etc", "not in /nix/store"),
        ("outside", "leads to /etc"),
        ("loop", "Too many levels"),
        ("dangling", "which is gone"),
        ("-x", "is no system"),
        ("/nix/store", "not in /nix/store"),
    ],
)
def test_what_is_no_system_is_named(host, text, says):
    links = {"outside": "/etc", "loop": "loop", "dangling": "/nix/store/00000000000000000000000000000000-gone"}
    for name, target in links.items():
        if not os.path.islink(host.folder / name):
            (host.folder / name).symlink_to(target)
    assert says in host.tool("find", text, code=1).err


def test_a_store_path_that_is_no_system(host):
    assert "no 'init'" in host.tool("find", host.systems["other"], code=1).err
    inside = host.systems["one"] + "/etc/os-release"
    assert "inside a store path" in host.tool("find", inside, code=1).err


def fake_system(host, name, system, init=True):
    path = host.nix / "store" / name
    path.mkdir()
    if init:
        (path / "init").write_text("")
    if system is not None:
        (path / "system").write_text(system)
    return f"/nix/store/{name}"


@pytest.mark.parametrize(("system", "code", "says"), [("riscv64-linux", 1, "is a system for riscv64-linux"), ("i686-linux", 0, "32-bit"), (None, 1, "no file 'system'"), ("\x1b[31m", 1, "\\x1b")])
def test_the_architecture_is_checked(host, system, code, says):
    path = fake_system(host, f"{'7' * 32}-fake", system)
    try:
        assert says in host.tool("find", path, code=code).err
    finally:
        shutil.rmtree(host.nix / "store" / Path(path).name)


def test_a_flake_reference_is_built(host):
    flake = host.folder / "flake"
    flake.mkdir(exist_ok=True)
    (flake / "x.nix").write_text(nixhost.EXPRESSION)
    (flake / "flake.nix").write_text('{ outputs = { self }: let all = import ./x.nix; in { inherit (all) one; broken = throw "as asked"; }; }')
    assert host.tool("find", f"path:{flake}#one").out.strip() == host.systems["one"]
    failed = host.tool("find", f"path:{flake}#broken", code=1)
    assert "as asked" in failed.err and "exit code 1" in failed.err


def test_without_nix_a_flake_is_refused_with_words(host):
    empty = host.folder / "empty"
    empty.mkdir(exist_ok=True)
    assert "no program 'nix'" in host.tool("find", ".#x", code=1, env={"PATH": str(empty)}).err


# Closures


def closure(host, path, **options):
    return [f"/nix/store/{name}" for name in host.tool("closure", path, **options).out.split()]


def test_the_closure_is_what_nix_says(host):
    for path in host.systems.values():
        assert closure(host, path) == host.requisites(path)


def test_a_closure_of_600_paths(host):
    paths = host.register_many(600)
    assert closure(host, paths[0]) == sorted(paths)
    assert closure(host, paths[-1]) == [paths[-1]]


def test_an_unknown_path_is_refused(host):
    assert "is not in the store" in host.tool("closure", "/nix/store/" + "0" * 31 + "1-unknown", code=1).err
    assert "is no store path" in host.tool("closure", "/nix/store/../etc", code=1).err


def test_a_path_that_is_gone_is_named(host):
    lib = next(path for path in host.requisites(host.systems["one"]) if path.endswith("-lib-1"))
    aside = host.folder / "aside"
    (host.nix / lib[5:]).rename(aside)
    try:
        assert f"needs {lib}, which is gone" in host.tool("closure", host.systems["one"], code=1).err
    finally:
        aside.rename(host.nix / lib[5:])


@contextlib.contextmanager
def changed_db(host, change):
    db = host.nix / "var/nix/db"
    saved = host.folder / "saved-db"
    shutil.copytree(db, saved)
    try:
        change(db)
        yield
    finally:
        shutil.rmtree(db)
        saved.rename(db)


def test_a_damaged_database_is_told_and_nix_store_asked(host, tmp_path):
    """Here Nix can't read it either, so a wrapper plays one that can."""
    one = host.systems["one"]
    expected = host.requisites(one)
    wrapper = host.folder / "wrapper"
    wrapper.mkdir(exist_ok=True)
    (wrapper / "nix-store").write_text("#!/bin/sh\nprintf '%s\\n' " + " ".join(reversed(expected)) + "\n")
    (wrapper / "nix-store").chmod(0o755)

    def damage(db):
        (db / "db.sqlite").write_bytes(b"not a database, " * 1000)

    with changed_db(host, damage):
        result = host.tool("closure", one, env={"PATH": f"{wrapper}:{os.environ['PATH']}"})
        assert [f"/nix/store/{name}" for name in result.out.split()] == expected
        assert "it is damaged" in result.err
        failed = host.tool("closure", one, code=1)
        assert "nix-store doesn't know" in failed.err
        alone = host.tool("closure", one, code=1, env={"PATH": str(host.folder / "empty")})
        assert "it is damaged" in alone.err and "nix-store" in alone.err


def test_an_unknown_schema_is_not_guessed_at(host):
    with changed_db(host, lambda db: (db / "schema").write_text("99")):
        assert "its version is unknown" in host.tool("closure", host.systems["one"], code=1, env={"PATH": "/nowhere"}).err


def test_a_read_only_store_is_read(host):
    script = "mount --bind /nix /nix && mount -o remount,ro,bind /nix && exec \"$@\""
    done = host("unshare", "--mount", "sh", "-euc", script, "x", TOOL, "closure", host.systems["one"])
    assert [f"/nix/store/{name}" for name in done.out.split()] == host.requisites(host.systems["one"])


# In the middle of a transaction, with its log beside the file.
WRITER = """
import sqlite3, sys
db = sqlite3.connect('/nix/var/nix/db/db.sqlite', isolation_level=None)
db.execute('begin immediate')
db.execute("insert into ValidPaths (path, hash, registrationTime) values ('/nix/store/x', 'x', 1)")
print('ready', flush=True)
sys.stdin.read()
"""


def test_while_nix_writes_the_database_is_read(host):
    writer = host.start("/usr/bin/python3", "-c", WRITER, stdin=subprocess.PIPE)
    try:
        assert writer.stdout.readline() == "ready\n"
        assert len(closure(host, host.systems["one"])) == 4
    finally:
        writer.kill()
        writer.communicate()


# Generations


def test_generations_are_those_of_nix_env(host):
    one, two = host.systems["one"], host.systems["two"]
    assert host.tool("set", "m", one).out == "1\n"
    assert host.tool("set", "m", two).out == "2\n"
    assert host.tool("set", "m", two).out == "2\n"
    listed = host("nix-env", "-p", "/" + PROFILES + "/m/system", "--list-generations").out.splitlines()
    rows = host.redd("nix", "generations", "m", "--json=short").json()
    assert [line.split()[0] for line in listed] == [str(row["generation"]) for row in rows] == ["1", "2"]
    assert "(current)" in listed[1] and [row["current"] for row in rows] == [False, True]
    assert [row["version"] for row in rows] == ["23.11", "24.05"]
    assert [row["path"] for row in rows] == [one, two]
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(rows[0]["created"] / 1e6))
    assert shown in listed[0]


def test_nix_env_and_redd_change_the_same_profile(host):
    one, two, three = (host.systems[name] for name in ("one", "two", "three"))
    profile = "/" + PROFILES + "/m/system"
    host.tool("set", "m", one)
    host("nix-env", "-p", profile, "--set", two)
    assert host.current("m") == (2, two)
    assert host.tool("set", "m", three).out == "3\n"
    host.redd("nix", "rollback", "m")
    assert host.current("m") == (2, two)
    host("nix-env", "-p", profile, "--rollback")
    assert host.current("m") == (1, one)
    # Setting the path of the last generation again makes no new one, as with nix-env.
    assert host.tool("set", "m", three).out == "3\n"
    host("nix-env", "-p", profile, "--delete-generations", "2")
    assert host.numbers("m") == [1, 3]
    host.redd("nix", "delete-generations", "m", "1")
    assert "1 " not in host("nix-env", "-p", profile, "--list-generations").out.split("\n")[0][:5]
    assert sorted(path.name for path in host.profile("m").iterdir()) == ["system", "system-3-link"]


def test_rollback_goes_back_and_to_a_number(host):
    for name in ("one", "two", "three"):
        host.tool("set", "m", host.systems[name])
    assert "generation 1" in host.redd("nix", "rollback", "m", "1").err
    assert host.current("m") == (1, host.systems["one"])
    host.fails("nix", "rollback", "m", says="no generation before the current one")
    host.fails("nix", "rollback", "m", "9", says="no generation 9")
    host.fails("nix", "rollback", "m", "x", code=2, says="no number")
    host.fails("nix", "rollback", "nobody", says="has no Nix generations")
    assert host.current("m") == (1, host.systems["one"])


def test_rollback_to_what_is_gone_leaves_the_profile(host):
    host.tool("set", "m", host.systems["one"])
    (host.profile("m") / "system-7-link").symlink_to("/nix/store/" + "0" * 32 + "-gone")
    host.fails("nix", "rollback", "m", "7", says="is not in the store")
    assert host.current("m") == (1, host.systems["one"])
    assert host.redd("nix", "generations", "m", "--json=short").json()[1]["exists"] is False


def test_deleting_spares_the_current_and_the_booted_one(host):
    for name in ("one", "two", "three"):
        host.tool("set", "m", host.systems[name])
    host.tool("booted", "m", host.systems["two"])
    rows = host.redd("nix", "generations", "m", "--json=short").json()
    assert [row["booted"] for row in rows] == [False, True, False]
    host.fails("nix", "delete-generations", "m", "3", says="is the current one")
    host.fails("nix", "delete-generations", "m", "2", says="is what it booted")
    host.fails("nix", "delete-generations", "m", "8", says="no generation 8")
    host.fails("nix", "delete-generations", "m", "latest", code=2, says="does not name a generation")
    assert host.numbers("m") == [1, 2, 3]
    assert "generation 2 is kept" in host.redd("nix", "delete-generations", "m", "old").err
    assert host.numbers("m") == [2, 3]


def test_a_path_that_is_not_valid_makes_no_generation(host):
    gone = "/nix/store/" + "0" * 32 + "-gone"
    assert "is not in the store" in host.tool("set", "m", gone, code=1).err
    assert list(host.profile("m").iterdir()) == []
    # In the folder but not in the database: unfinished, or a leftover.
    (host.nix / "store" / Path(gone).name).mkdir()
    try:
        host.tool("set", "m", gone, code=1)
    finally:
        (host.nix / "store" / Path(gone).name).rmdir()
    host.tool("set", "../x", host.systems["one"], code=1)
    host.tool("set", "m", "/etc", code=1)


def test_a_profile_of_a_nixos_container_is_not_taken(host):
    config = Path("/etc/nixos-containers/taken.conf")
    config.parent.mkdir(exist_ok=True)
    config.write_text("")
    try:
        assert "belongs to a nixos-container" in host.tool("set", "taken", host.systems["one"], code=1).err
        host.profile("taken").mkdir(parents=True)
        (host.profile("taken") / "system").symlink_to("system-1-link")
        host.tool("forget", "taken")
        assert (host.profile("taken") / "system").is_symlink()
    finally:
        shutil.rmtree(config.parent)


def test_diff_names_what_changed(host):
    for name in ("one", "two"):
        host.tool("set", "m", host.systems[name])
    text = host.redd("nix", "diff", "m").out
    rows = {row["package"]: row for row in host.redd("nix", "diff", "m", "--json=short").json()}
    assert rows["server"]["change"] == "version" and (rows["server"]["from"], rows["server"]["to"]) == (["1.0"], ["2.0"])
    assert rows["extra"]["change"] == "added" and rows["etc"]["change"] == "rebuilt"
    assert rows["nixos-system-web"]["to"] == ["24.05"] and "lib" not in rows
    assert "server" in text and "rebuilt with the versions that they had" in text and "etc" not in text.split()
    back = {row["package"]: row for row in host.redd("nix", "diff", "m", "2", "1", "--json=short").json()}
    assert back["extra"]["change"] == "removed" and back["extra"]["size"] == -rows["extra"]["size"]
    host.fails("nix", "diff", "m", "1", "5", says="no generation 5")


# Garbage collection and interruptions


def test_gc_keeps_what_a_machine_needs_and_frees_the_rest(host):
    with unpinned(host, "one", "two", "three"):
        one, two, three = (host.systems[name] for name in ("one", "two", "three"))
        needs = {path: host.requisites(path) for path in (one, two)}
        for path in (one, two):
            host.tool("set", "m", path)
        host.tool("booted", "m", one)
        host.collect()
        assert all(host.has(path) for path in needs[one] + needs[two])
        assert not host.has(three)
        # The profile no longer has it, but the machine runs it.
        os.unlink(host.profile("m") / "system-1-link")
        host.collect()
        assert all(host.has(path) for path in needs[one])
        host.tool("booted", "m", two)
        host.collect()
        assert not host.has(one) and all(host.has(path) for path in needs[two])
        host.tool("forget", "m")
        assert not host.profile("m").exists() and not (host.folder / ROOTS / "m").exists()
        host.collect()
        assert not host.has(two)
        host.tool("forget", "m")


def test_two_machines_share_a_closure(host):
    with unpinned(host, "one"):
        one = host.systems["one"]
        host.tool("set", "a", one)
        host.tool("set", "b", one)
        host.tool("forget", "a")
        host.collect()
        assert all(host.has(path) for path in host.requisites(one))


def test_a_collection_is_waited_for(host):
    with locked(host.nix / "var/nix/gc.lock"):
        process = host.start(TOOL, "set", "m", host.systems["one"])
        said_soon(process, "a garbage collection runs")
        assert process.poll() is None and not (host.profile("m") / "system").is_symlink()
    assert process.wait(60) == 0
    process.communicate()
    assert host.current("m") == (1, host.systems["one"])


def test_the_lock_of_nix_env_is_waited_for(host):
    host.tool("set", "m", host.systems["one"])
    with locked(host.profile("m") / "system.lock"):
        process = host.start(command.program(), "nix", "rollback", "m", "1")
        said_soon(process, "somebody else changes the profile")
    assert process.wait(60) == 0
    process.communicate()
    # Lock files are removed, as Nix does.
    assert not (host.profile("m") / "system.lock").exists()


def system_calls(host, *argv):
    """{name: number of calls} of a successful run."""
    trace = host.folder / "trace"
    host("strace", "-qq", "-o", trace, *argv)
    counts = {}
    for line in trace.read_text(errors="replace").splitlines():
        name = line.split("(")[0].strip()
        if name.isidentifier() and name not in ("execve", "exit_group"):
            counts[name] = counts.get(name, 0) + 1
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["set", "rollback"])
def test_killed_at_any_system_call_the_profile_is_the_old_or_the_new(host, verb):
    one, two = host.systems["one"], host.systems["two"]
    argv = {"set": [TOOL, "set", "m", two], "rollback": [command.program(), "nix", "rollback", "m", "1"]}[verb]

    def arrange():
        host.forget_all()
        host.tool("set", "m", one)
        if verb == "rollback":
            host.tool("set", "m", two)

    # Skip the dynamic loader's calls: they change nothing.
    boring = {"mmap", "munmap", "mprotect", "brk", "read", "pread64", "fstat", "close", "access", "getpid", "arch_prctl", "newfstatat", "fcntl", "lseek", "getdents64"}
    arrange()
    counts = {name: count for name, count in system_calls(host, *argv).items() if name not in boring}
    assert counts["symlink" if "symlink" in counts else "symlinkat"] >= 1 and counts["flock"] >= 1
    seen = set()
    for name, count in counts.items():
        for number in range(1, count + 1):
            arrange()
            before = host.current("m")
            killed = host.run("strace", "-qq", "-o", "/dev/null", "-e", f"inject={name}:signal=KILL:when={number}", *argv)
            assert killed.code in (137, -9, 0), killed
            current = host.current("m")
            seen.add(current == before)
            assert current[1] in (one, two)
            for path in host.profile("m").glob("system-*-link"):
                assert os.readlink(path) in (one, two)
            assert "(current)" in host("nix-env", "-p", "/" + PROFILES + "/m/system", "--list-generations").out
            # Leftovers are no obstacle, and are removed.
            host(*argv)
            assert host.current("m")[1] == (two if verb == "set" else one)
            assert {path.name for path in host.profile("m").iterdir()} <= {"system", "system-1-link", "system-2-link", "system-3-link"}
    assert seen == {True, False}, "no kill came before, or none after the switch"


# Packing


def make_tarball_as_nixpkgs(host, system, target):
    """Does what make-system-tarball.sh does, with GNU tar."""
    tree = host.folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("nix/store", "nix/var/nix/profiles", "sbin", "etc", "srv/www"):
        (tree / name).mkdir(parents=True)
    for path in host.requisites(system):
        subprocess.run(["cp", "-a", host.nix / path[5:], tree / "nix/store/"], check=True)
    dump = host("nix-store", "--dump-db", *host.requisites(system)).out
    records = [line if not line.endswith(".drv") else "" for line in dump.splitlines()]
    (tree / "nix-path-registration").write_text("\n".join(records) + "\n")
    (tree / "etc/os-release").write_text(host("cat", f"{system}/etc/os-release").out)
    (tree / "nix/var/nix/profiles/system").symlink_to(system)
    (tree / "sbin/init").symlink_to("/nix/var/nix/profiles/system/init")
    (tree / "srv/www/index.html").write_text("hello\n")
    (tree / "srv/www/long").symlink_to("x" * 150)
    (tree / "srv/www" / ("y" * 120)).write_text("")
    (tree / "srv/link").symlink_to("www")
    command_line = 'tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner -cf "$0" -- *'
    subprocess.run(["sh", "-c", command_line, target], cwd=tree, check=True, env={**os.environ, "LC_ALL": "C"})
    return tree


def odd_derivation(host):
    """Names and links about as long as tar's header can hold."""
    script = "mkdir -p $out/a; for n in 1 20 60 61 62 63 64 65 90 100 101 200 255; do w=$(printf %0${n}d 0); echo $n >$out/a/$w; ln -s $w $out/a/l$n; done; " \
        "mkdir $out/$(printf %0100d 1) $out/B $out/b-b $out/b; echo x >$out/b/x; echo x >$out/b.x; : >$out/empty; head -c 512 /dev/zero >$out/block; ln $out/block $out/hard"
    expression = f"""{{ odd = derivation {{ name = "nixos-system-odd-1"; system = "x86_64-linux"; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
        args = [ "-euc" ''{script}; printf x86_64-linux >$out/system; : >$out/init; chmod 755 $out/init; mkdir $out/etc; echo ID=odd >$out/etc/os-release; exit 0'' ]; }}; }}"""
    return host.build(expression.replace("${n}", "''${n}"))["odd"]


def pack(host, system, target, *options, **more):
    return host.redd("nix", "pack", system, "-o", target, *options, **more)


@pytest.mark.parametrize("which", ["two", "odd"])
def test_the_archive_is_gnu_tars_byte_for_byte(host, which):
    system = odd_derivation(host) if which == "odd" else host.systems[which]
    reference, packed = host.folder / "reference.tar", host.folder / "packed.tar"
    tree = make_tarball_as_nixpkgs(host, system, reference)
    pack(host, system, packed, "--add", f"{tree}/srv:/srv")
    if which == "odd":
        # Hard links depend on whether the store was optimised; redd stores plain files.
        subprocess.run(["sh", "-c", "rm nix/store/*odd-1/hard && cp -a nix/store/*odd-1/block nix/store/*odd-1/hard"], cwd=tree, check=False)
        subprocess.run(["chmod", "-R", "u+w", tree / "nix/store"], check=True)
        odd = tree / system[1:]
        (odd / "hard").unlink(missing_ok=True)
        shutil.copyfile(odd / "block", odd / "hard")
        subprocess.run(["sh", "-c", "find nix/store -mindepth 1 -type d -exec chmod 555 {} +; find nix/store -type f -exec chmod a-w {} +; chmod 755 nix/store"], cwd=tree, check=True)
        subprocess.run(["sh", "-c", 'tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner -cf "$0" -- *', reference],
                       cwd=tree, check=True, env={**os.environ, "LC_ALL": "C"})  # fmt: skip
    assert subprocess.run(["cmp", reference, packed], capture_output=True, text=True, check=False).stdout == ""


@pytest.mark.parametrize(("suffix", "unpack"), [(".tar", "cat"), (".tar.xz", "xz -dc"), (".tar.zst", "zstd -qdc"), (".tar.gz", "gzip -dc")])
def test_each_compression_holds_the_same_archive_every_time(host, suffix, unpack):
    two = host.systems["two"]
    plain, first, second = (host.folder / f"{name}{end}" for name, end in (("plain", ".tar"), ("first", suffix), ("second", suffix)))
    pack(host, two, plain)
    pack(host, two, first)
    subprocess.run([*host.prefix(), "taskset", "-c", "0", command.program(), "-q", "nix", "pack", two, "-o", second], env=host.environment(), check=True)
    assert first.read_bytes() == second.read_bytes()
    unpacked = subprocess.run(f"{unpack} {first}", shell=True, stdout=subprocess.PIPE, check=True).stdout
    assert unpacked == plain.read_bytes()
    piped = host.run(command.program(), "nix", "pack", two, "-o", "-", "--compress", {".tar": "none", ".tar.zst": "zstd", ".tar.gz": "gzip"}.get(suffix, "xz"), text=False)
    assert piped.out == first.read_bytes()


def test_the_registration_is_taken_by_nix(host, tmp_path):
    two = host.systems["two"]
    pack(host, two, host.folder / "p.tar")
    other = Host(tmp_path)
    try:
        subprocess.run(["tar", "-xf", host.folder / "p.tar", "-C", tmp_path], check=True)
        other("nix-store", "--load-db", stdin=(tmp_path / "nix-path-registration").read_text())
        assert other.requisites(two) == host.requisites(two)
        other("nix-store", "--verify", "--check-contents")
        # If the database can't be read, the data comes from nix-store, and the bytes are the same.
        assert pack(other, two, tmp_path / "again.tar") and (tmp_path / "again.tar").read_bytes() == (host.folder / "p.tar").read_bytes()
        with changed_db(other, lambda db: (db / "schema").write_text("99")):
            fake = tmp_path / "bin"
            fake.mkdir()
            listed, dumped = tmp_path / "listed", tmp_path / "dumped"
            listed.write_text("\n".join(host.requisites(two)) + "\n")
            dumped.write_text(host("nix-store", "--dump-db", *host.requisites(two)).out)
            (fake / "nix-store").write_text(f"#!/bin/sh\ncase $1 in --query) cat {listed} ;; --dump-db) cat {dumped} ;; esac\n")
            (fake / "nix-store").chmod(0o755)
            told = pack(other, two, tmp_path / "third.tar", env={"PATH": f"{fake}:{os.environ['PATH']}"})
            assert "its version is unknown" in told.err
        assert (tmp_path / "third.tar").read_bytes() == (host.folder / "p.tar").read_bytes()
    finally:
        other.close()


def test_contents_and_links_are_added(host):
    extra = host.folder / "extra"
    shutil.rmtree(extra, ignore_errors=True)
    (extra / "deep").mkdir(parents=True)
    (extra / "deep/tool").write_text("#!/bin/sh\n")
    (extra / "deep/tool").chmod(0o4755)
    (extra / ".hidden").write_text("x")
    target = host.folder / "added.tar"
    pack(host, host.systems["one"], target, "--add", f"{extra}:/opt/x", "--add", f"{extra}/deep/tool:etc/motd", "--symlink", "/opt/x:/srv/here", "--symlink", "../x:/etc/os-release")
    with tarfile.open(target) as archive:
        members = {member.name: member for member in archive}
    assert members["opt/x/deep/tool"].mode == 0o4755 and members["opt/x/.hidden"].isreg() and members["opt"].mode == 0o755
    assert members["etc/motd"].size == 10 and members["srv/here"].linkname == "/opt/x" and members["etc/os-release"].linkname == "../x"
    assert list(members) == sorted(members, key=lambda name: [part.encode() for part in name.split("/")])
    assert all((member.uid, member.gid, member.mtime, member.uname) == (0, 0, 1, "") for member in members.values())


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("-o", "x.zip"), 2, "cannot tell the compression"),
        (("-o", "x", "--compress=lzip"), 2, "no such compression"),
        (("-o", "x", "--compress=xz:10"), 2, "no such level"),
        ((), 2, "missing output"),
        (("-o", "-", "--json=short"), 2, "both write to standard output"),
        (("-o", "missing/x.tar"), 1, "No such file"),
        (("-o", "."), 2, "cannot tell the compression"),
        (("-o", "/etc/", "--compress=none"), 1, "Is a directory"),
        (("-o", "/dev/full", "--compress=xz:0"), 1, "No space left"),
        (("-o", "x.tar", "--add", "nocolon"), 1, "SOURCE:TARGET"),
        (("-o", "x.tar", "--add", "/missing:/x"), 1, "/missing"),
        (("-o", "x.tar", "--add", "/etc/hostname:../x"), 1, "no place in an archive"),
        (("-o", "x.tar", "--add", "/etc/hostname:/"), 1, "no place in an archive"),
        (("-o", "x.tar", "--add", "/dev/null:/x"), 1, "no file, folder or link"),
        (("-o", "x.tar", "--symlink", "a:/sbin/init/x"), 1, "Not a directory"),
    ],
)
def test_what_can_not_be_packed_is_said_and_leaves_nothing(host, options, code, says):
    before = set(os.listdir(host.folder))
    host.fails("nix", "pack", host.systems["one"], *options, code=code, says=says)
    assert set(os.listdir(host.folder)) == before


def test_an_interrupted_packing_keeps_the_old_file(host):
    """Packs a big system, slowly."""
    big = host.folder / "big"
    big.write_bytes(os.urandom(64 << 20))
    target = host.folder / "kept.tar.xz"
    target.write_text("old")
    before = set(os.listdir(host.folder))
    for number in (signal.SIGINT, signal.SIGKILL):
        process = host.start(command.program(), "nix", "pack", host.systems["one"], "-o", target, "--add", f"{big}:/big", "--compress=xz:9")
        time.sleep(0.7)
        assert process.poll() is None
        # No garbage collection may begin meanwhile.
        with open(host.nix / "var/nix/gc.lock", encoding="utf-8") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == (1 if number == signal.SIGINT else -9)
        assert "cancelled" in err or number == signal.SIGKILL
        assert target.read_text() == "old" and set(os.listdir(host.folder)) == before
    big.unlink()


def test_a_reader_that_goes_away_is_an_error(host):
    line = f"{command.program()} nix pack {host.systems['one']} -o - --compress=none | head -c 100 >/dev/null; echo ${{PIPESTATUS[0]}}"
    big = host.folder / "big"
    big.write_bytes(bytes(8 << 20))
    result = host("bash", "-c", line.replace("-o -", f"--add {big}:/big -o -"))
    big.unlink()
    assert result.out == "1\n" and "Broken pipe" in result.err


def test_progress_as_json(host):
    target = host.folder / "j.tar.zst"
    rows = [json.loads(line) for line in pack(host, host.systems["one"], target, "--json=short").out.splitlines()]
    assert rows[-1]["type"] == "result" and rows[-1]["bytesWritten"] == target.stat().st_size
    assert rows[-1]["name"] == "nixos-system-web-23.11"


@pytest.mark.slow
def test_a_packed_system_is_imported_and_boots(host, machines, redd):
    """The NixOS-like guest: unpacked into a store, registered, and packed again by redd."""
    source = tarball("nixos")
    subprocess.run(["tar", "-xf", source, "-C", host.folder, "nix/store", "nix-path-registration"], check=True)
    host("nix-store", "--load-db", stdin=(host.folder / "nix-path-registration").read_text())
    with tarfile.open(source) as archive:
        system = archive.getmember("nix/var/nix/profiles/system").linkname
    target = host.folder / "guest.tar.zst"
    pack(host, system, target, timeout=300)
    machine = machines.claim(machines.fresh_name("packed"))
    redd("import-tar", target, machine, timeout=300)
    machine.start()
    assert machine.shell("cat /etc/os-release").startswith("ID=nixos") or "NixOS" in machine.shell("cat /etc/os-release")
    assert machine.shell("readlink /run/current-system") == system
    machine.stop()


# Copying


FAKE_SSH = """#!/bin/sh
# As ssh hands the command to a login shell of the other host.
echo "$*" >>{log}
[ "$1" = -- ] && shift
[ "$1" = root@there ] || exit 255
shift
exec {prefix} env PATH={bin}:$PATH NIX_CONF_DIR={folder}/etc sh -c "$*"
"""

FAKE_REDD = """#!/bin/sh
echo "$*" >>{log}
case "$2" in
generations) [ -e {folder}/made ] ;;
create) : >{folder}/made ;;
esac
"""


@pytest.fixture
def there(host, tmp_path):
    """Another host, reached by a fake ssh. Its redd only records its command lines."""
    other = Host(tmp_path)
    (tmp_path / "bin").mkdir()
    ssh, redd = host.folder / "ssh-bin/ssh", tmp_path / "bin/redd"
    ssh.parent.mkdir(exist_ok=True)
    ssh.write_text(FAKE_SSH.format(log=tmp_path / "ssh.log", prefix=" ".join(other.prefix()), bin=tmp_path / "bin", folder=tmp_path))
    redd.write_text(FAKE_REDD.format(log=tmp_path / "redd.log", folder=tmp_path))
    for file in (ssh, redd):
        file.chmod(0o755)
    other.path = {"PATH": f"{ssh.parent}:{os.environ['PATH']}"}
    yield other
    other.close()


def asked(there):
    return (there.folder / "redd.log").read_text().splitlines()


def test_copying_sends_what_is_missing(host, there):
    one, two = host.systems["one"], host.systems["two"]
    host.tool("set", "web", one)
    first = host.redd("nix", "copy-to", "root@there", "web", env=there.path)
    assert f"lacks 4 of 4 paths" in first.err
    assert there.requisites(one) == host.requisites(one)
    there("nix-store", "--verify", "--check-contents")
    assert asked(there)[-1] == f"nix create web {one}"
    host.tool("set", "web", two)
    second = host.redd("nix", "copy-to", "root@there", "web", env=there.path)
    shared = len(set(host.requisites(one)) & set(host.requisites(two)))
    assert shared > 0 and f"lacks {len(host.requisites(two)) - shared} of" in second.err
    assert there.requisites(two) == host.requisites(two)
    assert asked(there)[-1] == f"nix update web {two}"
    third = host.redd("nix", "copy-to", "root@there", "web", env=there.path)
    assert "lacks 0 of" in third.err and "--import" not in (there.folder / "ssh.log").read_text().splitlines()[-3]


def test_copying_fails_with_words(host, there):
    host.fails("nix", "copy-to", "root@there", "nobody", says="has no Nix generations", env=there.path)
    host.tool("set", "web", host.systems["one"])
    host.fails("nix", "copy-to", "elsewhere", "web", says="ssh to elsewhere failed", env=there.path)
    host.fails("nix", "copy-to", "--", "-oProxyCommand=x", "web", says="is no host", env=there.path)
    (there.folder / "bin/redd").write_text("#!/bin/sh\nexit 3\n")
    host.fails("nix", "copy-to", "root@there", "web", says="failed (exit code 3)", env=there.path)
    (there.folder / "bin/nix-store").write_text("#!/bin/sh\n[ $1 != --import ] || { echo no room >&2; exit 1; }\nexec /usr/bin/nix-store \"$@\"\n")
    (there.folder / "bin/nix-store").chmod(0o755)
    host.tool("set", "web", host.systems["three"])
    failed = host.fails("nix", "copy-to", "root@there", "web", says="nix-store --import on root@there failed", env=there.path)
    assert "no room" in failed.err


# Verbs of two words


def test_verbs_of_two_words(redd):
    listed = redd("nix", "--help").out
    assert "nix generations NAME" in listed and "nix pack" in listed and "import-tar" not in listed
    assert "nix generations NAME" in redd("--help").out
    assert "--symlink" in redd("nix", "pack", "--help").out and "--symlink" not in redd("nix", "diff", "--help").out
    assert "did you mean 'nix generations'?" in redd.fails("nix", "generation", code=2).err
    assert "missing subcommand" in redd.fails("nix", code=2).err
    assert "nix diff: too few arguments" in redd.fails("nix", "diff", code=2).err
    assert "no such verb: 'generations'" in redd.fails("generations", "x", code=2).err


def completed(*words):
    """bash's completions of the last word."""
    line = " ".join(f"'{word}'" for word in words)
    script = f". {TOOL.parents[2]}/dist/redd; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _redd; echo ${{COMPREPLY[*]}}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_completion_knows_both_words():
    assert "nix" in completed("redd", "n") and "generations" not in completed("redd", "g")
    assert completed("redd", "nix", "d") == ["delete-generations", "diff"]
    assert completed("redd", "--json=short", "nix", "pa") == ["pack"]
    assert "/etc/passwd" in completed("redd", "nix", "pack", "/etc/passw")
    assert "--symlink" in completed("redd", "nix", "diff", "--sy")
