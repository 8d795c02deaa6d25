# SPDX-License-Identifier: LGPL-2.1-or-later
"""
NixOS systems straight from the host's store: made, booted, updated while they run, rolled back, collected, removed; and
what the guest can do to the store (nothing). It is a real store of the session, with Debian's Nix (helpers/nix.py).
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from helpers import console, kernel, nix, session
from helpers.security import row
from helpers.waiting import wait_until

SETTINGS = Path("/etc/systemd/nspawn")
GOOD = Path("/var/lib/redd/nix")
HOST_NETWORK = "[Network]\nVirtualEthernet=no\n"
BASH = "/run/current-system/sw/bin/bash"
# An init that stays, and never reports that it is ready.
SLEEPS = "#!@out@/bin/sh\nexec @out@/bin/sleep 1000\n"


@pytest.fixture
def generations(nix_store):
    """The store paths of two generations that differ in one page."""
    return nix_store.generations()


@pytest.fixture
def make(machines, redd, nix_store):
    """make(system, mode="closure", settings="") makes a Machine by `redd nix create`."""
    made = []

    def create(system, mode="closure", settings="", name=None):
        machine = machines.claim(name or machines.fresh_name("nix"))
        made.append(machine.name)
        if settings:
            (SETTINGS / f"{machine.name}.nspawn").write_text(settings)
        redd("nix", "create", machine, system, f"--store={mode}")
        return machine

    yield create
    machines.close()
    for name in made:
        nix.forget(name)


def page():
    done = subprocess.run(["curl", "-s", "--max-time", "5", "http://127.0.0.1:8888/"], capture_output=True, text=True, check=False)
    return done.stdout


def wait_for_page(text):
    wait_until(lambda: page() == text, f"the page is {text!r}")


def inside(machine, script, code=0):
    done = machine.redd("exec", machine, BASH, "-c", f". /etc/profile; {script}", code=code)
    return done.out.replace("\r\n", "\n").rstrip("\n")


def info(machine):
    return machine.redd("status", machine, "--json=short").json()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["closure", "whole"])
def test_whole_life(redd, make, generations, nix_store, mode):
    first, second = generations
    machine = make(first, mode, HOST_NETWORK)
    usage = sum(path.lstat().st_blocks * 512 for path in machine.root.rglob("*"))
    assert usage < 64 * 1024
    machine.start()
    wait_for_page(nix.PAGES[0])

    seen = inside(machine, "ls /nix/store").split()
    paths = [path.rpartition("/")[2] for path in nix_store.closure(first)]
    assert sorted(seen) == sorted(paths) if mode == "closure" else set(seen) >= set(paths)
    assert inside(machine, "findmnt -n -o OPTIONS /nix/store").startswith("ro,nosuid,nodev")
    # Stage 2 has not mounted anything over it.
    assert inside(machine, "grep -c ' /nix/store ' /proc/self/mountinfo") == "1"
    assert inside(machine, "stat -c %U:%G /nix/store/*-bash").startswith("root:root")
    assert inside(machine, "systemctl is-system-running --wait") == "running"
    assert inside(machine, "readlink /nix/var/nix/profiles/system") == first

    leader, started = machine.leader(), inside(machine, "systemctl show -p ActiveEnterTimestampMonotonic systemd-journald")
    updated = redd("nix", "update", machine, second)
    assert "running activation script" in updated.out + updated.err
    assert "generation 2" in updated.err
    wait_for_page(nix.PAGES[1])
    assert machine.leader() == leader
    assert inside(machine, "systemctl show -p ActiveEnterTimestampMonotonic systemd-journald") == started
    assert inside(machine, "readlink /nix/var/nix/profiles/system") == second
    assert nix.current(machine.name) == second
    state = info(machine)
    assert (state["system"], state["generation"], state["bootedGeneration"], state["store"]) == (second, 2, 1, mode)
    assert state["nixosVersion"] == "23.11.guest" and state["problems"] == []

    # Both are kept: the profile refers to one, and the other has booted.
    nix_store.collect_garbage()
    assert nix_store.is_valid(first) and nix_store.is_valid(second)
    machine.stop()
    machine.start()
    wait_for_page(nix.PAGES[1])
    machine.stop()
    redd("remove", machine)
    assert not (nix.PROFILES / machine.name).exists() and not (nix.ROOTS / machine.name).exists()
    assert not (SETTINGS / f"{machine.name}.nspawn").exists()
    nix_store.collect_garbage()
    assert not nix_store.is_valid(first) and not nix_store.is_valid(second)


@pytest.mark.slow
def test_login(redd, make, generations):
    machine = make(generations[0], settings=HOST_NETWORK).start()
    child = redd.spawn("login", machine)
    console.log_in(child)
    code, output = console.run_inside(child, "cat /etc/os-release | head -1; systemctl is-active nginx")
    assert code == 0 and output.endswith("active")
    console.leave(child)


# What root of the machine can try, with all its capabilities.
ATTEMPTS = """
cd /tmp; mkdir -p here
for path in /nix/store {path}; do
    mount -o remount,rw,bind $path && echo "remounted $path"
    mount --bind $path here && mount -o remount,rw,bind here && echo "remounted a bind of $path"
    mount -o remount,rw $path 2>/dev/null; touch $path/new && echo "wrote $path"
    umount here
done
mount --rbind /nix/store here && mount -o remount,rw,bind here && echo "remounted an rbind"
umount -R here
unshare -m mount -o remount,rw,bind /nix/store && echo "remounted in a namespace"
unshare -Ur mount -o remount,rw,bind /nix/store && echo "remounted as another root"
chmod 777 {path} && echo "changed the mode"
rm -rf {path} && echo "removed"
chattr +i {path} && echo "made immutable"
umount {path} && ls {path} | grep . && echo "uncovered $(ls {path})"
umount /nix/store && ls /nix/store | grep -v . && echo "uncovered the store"
true
"""


@row("NX01", "the guest changes the shared store",
     "mounted read-only; the kernel locks the flags, as in a copy across a user namespace, even if the guest has none")  # fmt: skip
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["closure", "whole"])
@pytest.mark.parametrize("users", ["pick", "no"])
@pytest.mark.parametrize("is_live", [False, True])
def test_the_store_is_read_only_for_everybody(redd, make, generations, mode, users, is_live):
    """Also if root inside is the host's root with CAP_SYS_ADMIN; and for paths that were added while it ran."""
    first, second = generations
    grant = "Capability=CAP_SYS_ADMIN\n" if users == "no" else ""
    machine = make(first, mode, f"{HOST_NETWORK}[Exec]\nPrivateUsers={users}\n{grant}").start()
    path = first
    if is_live:
        redd("nix", "update", machine, second)
        path = second
    before = _stamp(path)
    output = redd("exec", machine, BASH, "-c", ". /etc/profile;" + ATTEMPTS.format(path=path)).out
    assert not [line for line in output.splitlines() if line.startswith(("remounted", "wrote", "changed", "removed", "made", "uncovered"))]
    assert _stamp(path) == before


def _stamp(path):
    st = os.stat(path)
    return (st.st_mode, st.st_uid, st.st_ctime_ns, sorted(os.listdir(path)))


@row("NX02", "the guest reads what others have in the store",
     "the guest sees only the closure, in a separate view; its names come from the host's database and profile, never from the guest")  # fmt: skip
@pytest.mark.slow
def test_no_path_of_the_host_is_seen(make, generations, nix_store):
    """Only the closure is visible: another user's secret is not there, even if the guest knows its name."""
    secret = nix_store.build_small("secret", salt="s")
    machine = make(generations[0], settings=HOST_NETWORK).start()
    assert inside(machine, f"test -e {secret} || echo hidden") == "hidden"
    assert nix_store.is_valid(secret)


@pytest.mark.slow
def test_roll_back_while_it_runs(redd, make, generations):
    first, second = generations
    machine = make(first, settings=HOST_NETWORK).start()
    redd("nix", "update", machine, second)
    wait_for_page(nix.PAGES[1])
    leader = machine.leader()
    redd("nix", "rollback", machine)
    wait_for_page(nix.PAGES[0])
    assert machine.leader() == leader and nix.current(machine.name) == first
    # The paths of the generation in between stay visible until the next boot: a service may still use them.
    assert inside(machine, f"test -e {second} && echo there") == "there"


@pytest.mark.slow
def test_paths_come_back_after_an_umount(redd, make, generations):
    """Root inside can unmount the later view, to its own loss; the next update repairs that."""
    machine = make(generations[0], settings=HOST_NETWORK).start()
    redd("nix", "update", machine, generations[1])
    inside(machine, f"umount -l /nix/store; test -e {generations[1]} && echo there; true")
    redd("nix", "update", machine, generations[1])
    wait_for_page(nix.PAGES[1])
    assert inside(machine, f"test -e {generations[1]} && echo there") == "there"


@pytest.mark.slow
def test_two_machines_share_a_closure(redd, make, generations, nix_store):
    first, second = generations
    one, two = make(first, settings=HOST_NETWORK), make(first)
    one.start(), two.start()
    redd("nix", "update", two, second)
    two.stop()
    redd("remove", two)
    nix_store.collect_garbage()
    assert nix_store.is_valid(first) and not nix_store.is_valid(second)
    assert page() == nix.PAGES[0]
    assert inside(one, "systemctl is-system-running --wait") == "running"
    one.stop().start()
    wait_for_page(nix.PAGES[0])


@pytest.mark.slow
def test_update_for_the_next_boot(redd, make, generations):
    first, second = generations
    machine = make(first, settings=HOST_NETWORK).start()
    redd("nix", "update", "--boot", machine, second)
    assert page() == nix.PAGES[0] and inside(machine, f"test -e {second} || echo hidden") == "hidden"
    leader = machine.leader()
    redd("restart", machine)
    machine.wait_for_new_leader(leader)
    wait_for_page(nix.PAGES[1])
    assert info(machine)["bootedGeneration"] == 2


@row("NX03", "a garbage collection deletes what a machine needs",
     "profile and booted system are roots; the root is taken before the path is checked")  # fmt: skip
@pytest.mark.slow
def test_what_runs_is_kept_until_the_next_boot(redd, make, generations, nix_store):
    """A system that is neither the current generation nor the booted one, but one it was switched to while it ran."""
    first, second = generations
    machine = make(first, settings=HOST_NETWORK).start()
    redd("nix", "update", machine, second)
    wait_for_page(nix.PAGES[1])
    # The profile drops it: the next boot is the first system again.
    redd("nix", "update", "--boot", machine, first)
    redd("nix", "delete-generations", machine, "2")
    nix_store.collect_garbage()
    assert nix_store.is_valid(second) and page() == nix.PAGES[1]
    assert inside(machine, "systemctl restart nginx && systemctl is-system-running") == "running"
    leader = machine.leader()
    redd("restart", machine)
    machine.wait_for_new_leader(leader)
    wait_for_page(nix.PAGES[0])
    nix_store.collect_garbage()
    assert not nix_store.is_valid(second) and nix_store.is_valid(first)


def test_update_of_a_machine_that_is_down(redd, make, generations):
    first, second = generations
    machine = make(first)
    assert "boots at the next start" in redd("nix", "update", machine, second).err
    assert nix.current(machine.name) == second
    # The same system again makes no new generation.
    assert "generation 2" in redd("nix", "update", machine, second).err
    assert sorted(path.name for path in (nix.PROFILES / machine.name).iterdir()) == ["system", "system-1-link", "system-2-link"]


def test_update_without_a_system(redd, make, generations, tmp_path):
    """It evaluates again what `create` was given, here a `result` link."""
    first, second = generations
    link = tmp_path / "result"
    link.symlink_to(first)
    machine = make(link)
    link.unlink()
    link.symlink_to(second)
    redd("nix", "update", machine)
    assert nix.current(machine.name) == second


@pytest.mark.slow
@pytest.mark.parametrize("code, says", [(4, "units failed"), (100, "redd restart"), (77, "exit code 77")])
def test_exit_codes_are_passed_on(redd, make, generations, nix_store, code, says):
    """The system's switch-to-configuration does nothing but exit."""
    script = nix_store.build_small(f"fails-{code}", init="#!@out@/bin/sh\nexit 0\n", salt=str(code))
    broken = _with_switch(nix_store, script, code)
    machine = make(generations[0], settings=HOST_NETWORK).start()
    redd.fails("nix", "update", machine, broken, code=code, says=says)
    assert nix.current(machine.name) == broken and page() == nix.PAGES[0]
    redd("nix", "update", machine, generations[1])
    wait_for_page(nix.PAGES[1])


def _with_switch(nix_store, system, code):
    """The same system with this switch-to-configuration."""
    expression = f"""derivation {{
      name = "nixos-system-switch-{code}"; system = builtins.currentSystem; builder = "/bin/bash"; PATH = "/usr/bin:/bin";
      args = [ "-euc" "cp -r ${{builtins.storePath {system}}} $out; chmod -R u+w $out; printf '#!%s/bin/sh\\nexit {code}\\n' $out >$out/bin/switch-to-configuration; chmod 555 $out/bin/switch-to-configuration; exit 0" ];
    }}"""
    return nix_store.run("nix-build", "--no-out-link", "-E", expression).split()[-1]


@pytest.mark.slow
def test_update_killed_at_any_instant(redd, make, generations):
    """Whenever it dies, the profile is valid, the machine runs, and the next update works."""
    first, second = generations
    machine = make(first, settings=HOST_NETWORK).start()
    begun = time.monotonic()
    redd("nix", "update", machine, second)
    span = time.monotonic() - begun
    leader = machine.leader()
    for i in range(12):
        wanted = generations[i % 2]
        child = redd.start("nix", "update", machine, wanted)
        time.sleep(span * i / 10)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert nix.current(machine.name) in generations
        assert machine.leader() == leader and inside(machine, "echo alive") == "alive"
        redd("nix", "update", machine, wanted)
        wait_for_page(nix.PAGES[i % 2])
    assert inside(machine, "systemctl is-system-running --wait") == "running"


def test_create_killed_at_any_instant(redd, machines, generations):
    """Its leftovers belong to no machine, and the next `create` takes the name."""
    machine = machines.claim(machines.fresh_name("nix"))
    begun = time.monotonic()
    redd("nix", "create", machine, generations[0])
    span = time.monotonic() - begun
    for i in range(12):
        redd("remove", machine)
        child = redd.start("nix", "create", machine, generations[0])
        time.sleep(span * i / 10)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        if not machine.root.exists():
            redd("nix", "create", machine, generations[0])
        assert nix.current(machine.name) == generations[0]
        assert (machine.root / "nix/store").is_dir()


@pytest.mark.slow
def test_path_deleted_under_a_running_machine(redd, make, generations, nix_store):
    first, second = generations
    machine = make(second, settings=HOST_NETWORK).start()
    victim = next(path for path in nix_store.closure(second) if path.endswith("-www"))
    nix_store.delete_path(victim)
    assert any(victim in problem for problem in info(machine)["problems"])
    assert victim in redd("status", machine).out
    leader = machine.leader()
    redd.fails("nix", "update", machine, second, says=victim)
    assert machine.leader() == leader and nix.current(machine.name) == second
    machine.stop()
    redd.fails("start", machine, says=victim)
    assert any(victim in problem for problem in redd("image-status", machine, "--json=short").json()[0]["problems"])
    # Like `nix-store --verify --repair`, with the archive as substituter.
    nix_store.run("nix-store", "--delete", "--ignore-liveness", second, victim, *_referrers(nix_store, victim))
    nix_store.generations()
    machine.start()
    wait_for_page(nix.PAGES[1])


def _referrers(nix_store, path):
    return nix_store.run("nix-store", "--query", "--referrers-closure", path).split()


def test_root_missing(redd, make, generations):
    machine = make(generations[0]).start()
    (nix.ROOTS / machine.name / "booted").unlink()
    assert any("root" in problem for problem in info(machine)["problems"])


@pytest.fixture
def database(nix_store):
    """The path of Nix's database, which is restored afterwards."""
    folder = Path("/nix/var/nix/db")
    sqlite3.connect(folder / "db.sqlite").execute("pragma wal_checkpoint(truncate)")
    aside = folder.parent / "db-aside"
    shutil.copytree(folder, aside)
    yield folder / "db.sqlite"
    shutil.rmtree(folder)
    aside.rename(folder)


def test_corrupt_database(redd, make, generations, database):
    """redd reports it and doesn't start half a machine; running machines go on."""
    machine = make(generations[0], settings=HOST_NETWORK).start()
    for path in database.parent.glob("db.sqlite-*"):
        path.unlink()
    database.write_bytes(b"not a database" * 1000)
    assert info(machine)["problems"]
    assert inside(machine, "echo alive") == "alive"
    machine.stop()
    redd.fails("start", machine)
    assert redd("image-status", machine, "--json=short").json()[0]["problems"]


def test_create_refuses(redd, machines, make, generations, nix_store, tmp_path):
    machine = make(generations[0])
    redd.fails("nix", "create", machine, generations[0], says="already")
    name = machines.claim(machines.fresh_name("nix"))
    redd.fails("nix", "create", name, tmp_path / "missing")
    redd.fails("nix", "create", name, generations[0], "--store=own", code=2, says="import-tar")
    redd.fails("nix", "create", name, generations[0], "--store=much", code=2, says="closure, whole or daemon")
    redd.fails("nix", "create", "-x-", generations[0], code=2)
    redd.fails("nix", "creat", name, code=2, says="did you mean 'nix create'?")
    (SETTINGS / f"{name}.nspawn").write_text("[X-Nix]\nSystem=/nix/store/other\n")
    redd.fails("nix", "create", name, generations[0], says="says something else")
    assert (SETTINGS / f"{name}.nspawn").read_text() == "[X-Nix]\nSystem=/nix/store/other\n"
    (SETTINGS / f"{name}.nspawn").unlink()
    # A profile of that name that is not redd's: somebody's nixos-container.
    (nix.PROFILES / name.name).mkdir(parents=True)
    (nix.PROFILES / name.name / "system-1-link").symlink_to(generations[0])
    (nix.PROFILES / name.name / "system").symlink_to("system-1-link")
    redd.fails("nix", "create", name, generations[0], says="has not made")
    assert nix.current(name.name) == generations[0] and not name.root.exists()
    nix.forget(name.name)


def test_a_settings_file_is_kept(redd, make, generations):
    machine = make(generations[0], settings="# mine\n[Network]\nVirtualEthernet=no")
    text = (SETTINGS / f"{machine}.nspawn").read_text()
    assert text.startswith("# mine\n[Network]\nVirtualEthernet=no\n") and text.count("[X-Nix]") == 1
    assert f"System={nix.PROFILES}/{machine}/system\nStore=closure\n" in text


def test_list_images(redd, make, generations):
    machine = make(generations[0], "whole")
    row = next(row for row in redd("list-images", "--json=short").json() if row["name"] == machine.name)
    assert (row["system"], row["nixosVersion"], row["generation"], row["store"]) == (generations[0], "23.11.guest", 1, "whole")
    assert "nixos-system-guest-23.11" in redd("list-images").out
    assert "nixos-system-guest-23.11 (23.11.guest)" in redd("image-status", machine).out


@pytest.mark.slow
@pytest.mark.parametrize("init, says", [("#!@out@/bin/sh\nexit 3\n", "did not become ready"), (SLEEPS, "not become ready within")])
def test_roll_back_on_failure(redd, make, generations, nix_store, init, says):
    """If a generation's init dies or never gets ready, redd goes back to the last good generation and boots that."""
    machine = make(generations[0], settings=HOST_NETWORK + "[X-Redd]\nReadyTimeoutSec=30\n")
    settings = SETTINGS / f"{machine}.nspawn"
    settings.write_text(settings.read_text() + "RollbackOnFailure=yes\n")
    machine.start().stop()
    assert (GOOD / machine.name / "good").read_text() == generations[0] + "\n"
    bad = nix_store.build_small("bad", init=init, salt=says)
    redd("nix", "update", machine, bad)
    started = redd("start", machine, timeout=120)
    assert says in started.err and "rolled back to generation 1" in started.err
    wait_for_page(nix.PAGES[0])
    assert nix.current(machine.name) == generations[0]
    assert "rolled back to generation 1" in redd("logs", machine).out
    assert info(machine)["generation"] == 1


@pytest.mark.slow
def test_nothing_to_roll_back_to(redd, make, nix_store):
    bad = nix_store.build_small("bad-from-the-start")
    machine = make(bad)
    settings = SETTINGS / f"{machine}.nspawn"
    settings.write_text(settings.read_text() + "RollbackOnFailure=yes\n")
    redd.fails("start", machine, says="no generation to roll back to")


@pytest.mark.slow
@pytest.mark.parametrize("users", ["pick", "no"])
def test_closure_of_600_paths(redd, nix_store, tmp_path, users):
    """With files and links among the paths, as seen by a command inside."""
    system = nix_store.build_small("many", count=600)
    root = tmp_path / session.own_name("tree")
    (root / "etc").mkdir(parents=True)
    output = redd("run", "-q", "-D", root, "-M", "many", f"--private-users={users}", f"--nix-system={system}", f"{system}/bin/sh", "-c",
                  f"{system}/bin/ls -lL /nix/store 2>&1; {system}/bin/cat /nix/store/*-many-p0; exec {system}/bin/ls -l /nix/store").out  # fmt: skip
    lines = output.splitlines()
    assert lines.count("file") == 1
    assert sum("-many" in line for line in lines[lines.index("file") :]) == 601
    assert any(line.endswith("-> /nowhere") for line in lines)
    plan = redd("run", "--explain", "-q", "-D", root, "-M", "many", f"--nix-system={system}", "x").out
    assert "entries=601" in plan and len(plan.splitlines()) < 200, "not an operation for each path"


@pytest.fixture
def on_other_store(nix_store):
    """on_other_store(system, type, options) copies the closure to a separate file system, mounted at /nix/store."""
    mounted = []

    def mount(system, kind):
        closure = nix_store.closure(system)
        aside = session.folder / "other-store"
        for name in ("upper", "work"):
            (aside / name).mkdir(parents=True)
        options = f"lowerdir=/nix/store,upperdir={aside}/upper,workdir={aside}/work" if kind == "overlay" else "mode=1775"
        if kind == "overlay":
            kernel.mount("other", "/nix/store", kind, 0, options)
        else:
            kernel.mount("other", aside / "upper", kind, 0, options)
            subprocess.run(["cp", "-a", *closure, aside / "upper"], check=True)
            kernel.mount(aside / "upper", "/nix/store", None, kernel.MS_BIND)
            mounted.append(str(aside / "upper"))
        mounted.append("/nix/store")

    yield mount
    for path in reversed(mounted):
        kernel.umount(path)
    shutil.rmtree(session.folder / "other-store")


@pytest.mark.slow
def test_store_on_tmpfs(redd, make, nix_store, generations, on_other_store):
    machine = make(generations[0], settings=HOST_NETWORK)
    on_other_store(generations[0], "tmpfs")
    machine.start()
    wait_for_page(nix.PAGES[0])
    assert inside(machine, "stat -c %U /nix/store/*-bash") == "root"
    assert any("another file system" in problem for problem in info(machine)["problems"])
    machine.stop()


def test_store_that_cannot_be_mapped(redd, make, generations, on_other_store):
    """overlayfs has no mapped mounts: the start fails with a clear message; without a user namespace it works."""
    machine = make(generations[0], settings=HOST_NETWORK)
    on_other_store(generations[0], "overlay")
    redd.fails("start", machine, says="the file system of /nix/store can't map users")
    root = machine.root.parent / f"{machine}-tree"
    root.mkdir()
    shell = f"{generations[0]}/sw/bin/sh"
    assert redd("run", "-q", "-D", root, "--private-users=no", f"--nix-system={generations[0]}", shell, "-c", "echo runs").out == "runs\n"
    shutil.rmtree(root)


def test_roots_of_a_run_without_a_profile(redd, nix_store, tmp_path):
    """The root exists while it runs and is removed afterwards; the next command removes what a kill left."""
    system = nix_store.build_small("rooted", init=SLEEPS)
    root = tmp_path / "rooted"
    (root / "etc").mkdir(parents=True)
    for ending in (signal.SIGTERM, signal.SIGKILL):
        child = redd.start("run", "-b", "-D", root, "-M", "rooted", f"--nix-system={system}")
        wait_until(lambda: redd.run("show", "rooted", "-PLeader").out.strip() not in ("", "0"), "it runs")
        nix_store.collect_garbage()
        assert nix_store.is_valid(system)
        if ending == signal.SIGTERM:
            redd("terminate", "rooted")
        else:
            child.send_signal(ending)
        child.communicate()
        redd.run("status", "rooted")
        assert not (nix.ROOTS / "rooted").exists()
    nix_store.collect_garbage()
    assert not nix_store.is_valid(system)


@row("NX04", "root inside builds as root outside", "only with `Store=daemon` without a user namespace; that must be asked for, and each start warns")
@pytest.mark.slow
def test_build_through_the_daemon(redd, make, generations, nix_store):
    """Store=daemon: the database, a socket, and a profile of its own; the host's daemon treats it as an untrusted user."""
    # Otherwise the daemon's files would be left behind.
    daemon = subprocess.Popen(["nix-daemon"], env={**os.environ, "NIX_REMOTE": ""}, stderr=subprocess.DEVNULL)
    try:
        wait_until(Path("/nix/var/nix/daemon-socket/socket").is_socket, "the daemon listens")
        machine = make(generations[0], "daemon", HOST_NETWORK)
        assert "as good as root" not in redd("start", machine).err
        query = "NIX_REMOTE=daemon nix-store -qR /run/current-system | wc -l"
        assert int(inside(machine, query)) == len(nix_store.closure(generations[0]))
        assert inside(machine, "readlink -f /nix/var/nix/profiles/system") == generations[0]
        inside(machine, "ln -s /nix/store /nix/var/nix/gcroots/x && touch /nix/var/nix/profiles/y")
        assert inside(machine, "touch /nix/var/nix/db/x 2>/dev/null || echo refused") == "refused"
        machine.stop()
        redd("remove", machine)
        assert not (nix.ROOTS / machine.name).exists() and not (nix.PROFILES / machine.name).exists()
    finally:
        daemon.kill()
        daemon.wait()
        shutil.rmtree("/nix/var/nix/daemon-socket", ignore_errors=True)


@row("NX04")
@pytest.mark.slow
@pytest.mark.parametrize("mode, is_warned", [("daemon", True), ("closure", False)])
def test_root_that_the_daemon_trusts_is_warned_of(redd, make, generations, mode, is_warned):
    """Without a user namespace root inside is root for the daemon; each start warns, even if it was asked for."""
    machine = make(generations[0], mode, f"[Exec]\nPrivateUsers=no\nCapability=all\n{HOST_NETWORK}")
    assert ("as good as root of the host" in redd("start", machine).err) == is_warned


def test_json_of_other_machines_is_as_before(redd, guest):
    machine = guest("busybox").start()
    state = json.loads(redd("status", machine, "--json=short").out)
    assert "system" not in state and state["nixSystem"] is None
