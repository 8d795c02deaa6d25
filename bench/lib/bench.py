# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benchmarks share: a world of their own, the stopwatch, peers that may be absent, tables."""

import atexit
import contextlib
import dataclasses
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
POOL = Path("/var/lib/machines")
_OWN_WORLD = "REDD_BENCH_WORLD"
# What redd and its peers write to; the benchmarks' own copies are empty and go away with them.
_PRIVATE = ("/run/redd", "/run/crun", "/run/runc", "/run/systemd", "/var/log/redd", "/etc/systemd/nspawn", "/var/lib/redd")


def program():
    """The redd to measure, or None."""
    path = Path(os.environ.get("REDD") or TREE / "build/src/redd").resolve()
    return str(path) if os.access(path, os.X_OK) else None


def own_world():
    """Goes on in private mount and network namespaces; the pool of images is a folder on the root disk, removed at the end."""
    if os.geteuid() != 0:
        sys.exit("run as root: benchmarks make namespaces and mounts")
    if os.environ.get(_OWN_WORLD):
        _arrange(Path(os.environ[_OWN_WORLD]))
        return
    made = [path for path in (*_PRIVATE, str(POOL)) if not os.path.exists(path)]
    folder = tempfile.mkdtemp(prefix="redd-bench.", dir="/var/tmp")
    os.chmod(folder, 0o755)
    command = ["unshare", "--mount", "--net", "--propagation", "private", sys.executable, *sys.argv]
    code = subprocess.run(command, env={**os.environ, _OWN_WORLD: folder}, check=False).returncode
    subprocess.run(["chattr", "-R", "-i", folder], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)
    for path in made:
        with contextlib.suppress(OSError):
            os.rmdir(path)
    sys.exit(code)


def _arrange(folder):
    # Links, addresses and forwarding of machines are none of this computer's.
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for path in map(Path, _PRIVATE):
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path], check=True)
    POOL.mkdir(parents=True, exist_ok=True)
    (folder / "pool").mkdir()
    subprocess.run(["mount", "--bind", folder / "pool", POOL], check=True)


def scratch():
    return Path(os.environ[_OWN_WORLD])


def compile_c(source, *options):
    """A static program from one C file of the tree."""
    target = scratch() / Path(source).stem
    subprocess.run(["gcc", "-O2", "-static", "-D_GNU_SOURCE", "-o", target, TREE / "bench" / source, *options], check=True)
    return str(target)


def make_tree(folder):
    """The least tree every contender accepts, with a static /bin/true."""
    for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/lib", "usr/bin", "var"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "usr/lib/os-release").write_text("ID=bench\nPRETTY_NAME=Bench\n")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    source = "int main(void) { return 0; }"
    subprocess.run(["gcc", "-O2", "-static", "-x", "c", "-", "-o", folder / "bin/true"], input=source, text=True, check=True)
    return folder


@dataclass
class Contender:
    """A command that may not work here: `missing` says why, and it is left out."""

    name: str
    argv: list
    note: str = ""
    missing: str = ""
    world: int = 0  # pid of a process in whose mount namespace it runs; 0: this one
    times_ms: list = field(default_factory=list)

    def __post_init__(self):
        self.argv = [str(word) for word in self.argv]
        found = self.argv and shutil.which(self.argv[0])
        if not found:
            self.missing = self.missing or "not installed"
        else:
            self.argv[0] = found

    def command(self):
        """As the stopwatch takes it."""
        return [f"@/proc/{self.world}/ns/mnt", *self.argv] if self.world else self.argv

    def try_once(self):
        if self.missing:
            return
        argv = [word.replace("{}", f"t{random.randrange(10**6)}") for word in self.argv]
        if self.world:
            argv = ["nsenter", f"--mount=/proc/{self.world}/ns/mnt", *argv]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            self.missing = "does not come back"
            return
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
            self.missing = lines[-1][:100]


def world_without_cgroup2():
    """A mount namespace with v1 hierarchies only, which crun and runc ask for; the pid that keeps it."""
    unified = Path("/sys/fs/cgroup/unified")
    if not unified.is_dir():
        return 0
    script = f"umount -l {unified}; echo; exec sleep infinity"
    keeper = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], stdout=subprocess.PIPE)
    keeper.stdout.readline()
    atexit.register(keeper.kill)
    return keeper.pid


def rounds(contenders, count, stopwatch, rest_ms=0):
    """Fills times_ms of all that work, interleaved in random order; each rest_ms after the one before."""
    working = [one for one in contenders if not one.missing]
    command = [stopwatch, "rounds", str(count), str(random.randrange(10**6)), str(rest_ms)]
    for one in working:
        command += ["---", *one.command()]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        index, nanoseconds, code = map(int, line.split())
        if code:
            working[index].missing = f"failed with exit code {code} once"
        working[index].times_ms.append(nanoseconds / 1e6)


def flood(contender, count, at_once, stopwatch):
    """Milliseconds for `count` of it, or None when one failed."""
    command = [stopwatch, "flood", str(count), str(at_once), "---", *contender.command()]
    _, nanoseconds, code = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    return None if code else nanoseconds / 1e6


def heading(text):
    print(f"\n## {text}\n", flush=True)


def table(headers, rows):
    print("| " + " | ".join(headers) + " |")
    print("|" + "---|" * len(headers))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    sys.stdout.flush()


def report_times(contenders, base=0):
    """Medians, ratios to contenders[base], and who was left out and why."""
    ours = [one for one in contenders if one.times_ms and not one.missing]
    floor = statistics.median(contenders[base].times_ms) if contenders[base].times_ms else None
    rows = []
    for one in sorted(ours, key=lambda one: statistics.median(one.times_ms)):
        median = statistics.median(one.times_ms)
        tenth = statistics.quantiles(one.times_ms, n=10)[8] if len(one.times_ms) > 1 else median
        ratio = f"{median / floor:.1f}" if floor else "-"
        rows.append((one.name, f"{median:.2f}", ratio, f"{tenth:.2f}", one.note))
    table(("", "median ms", f"x {contenders[base].name}", "9 in 10 within ms", "note"), rows)
    for one in contenders:
        if one.missing:
            print(f"\nleft out: {one.name}: {one.missing}")
