# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A guest that outlives its supervisor: PID 1 clears its parent-death signal, and the supervisor is killed. Until the next
command the machine is as confined as before; that command first ends it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from helpers import cgroups, frames, processes, session, trees
from helpers.netns import network_of
from helpers.packetfilter import KERNELS
from helpers.security import row
from helpers.waiting import wait_until

UDP_PORT = 9999
# PID 1 without parent-death signal, and three children: in another session, stopped, and in a frozen cgroup.
INIT = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd >= 0) (void)!write(fd, text, 1);
}

int main(void)
{
	for (int i = 1; i < NSIG; i++) signal(i, SIG_IGN);
	for (int i = 0; i < 3; i++) {
		if (fork() != 0) continue;
		setsid();
		if (i == 1) kill(getpid(), SIGSTOP);
		if (i == 2) {
			mkdir("/sys/fs/cgroup/cold", 0755);
			put("/sys/fs/cgroup/cold/cgroup.procs", "0");
			put("/sys/fs/cgroup/cold/cgroup.freeze", "1");
		}
		for (;;) pause();
	}
	prctl(PR_SET_PDEATHSIG, 0);
	for (;;) pause();
}
"""


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def pids_inside(leader):
    """All processes in the machine's pid namespace."""
    namespace, found = os.readlink(f"/proc/{leader}/ns/pid"), set()
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                found.add(int(entry))
        except OSError:
            pass
    return found


class Orphan:
    """A machine whose supervisor can be killed, and what the host sees of it."""

    def __init__(self, machine, kernel=()):
        self.machine, self.redd = machine, machine.redd
        subprocess.run([*kernel, self.redd.path, "start", str(machine)], timeout=60, check=True)
        self.supervisor, self.leader = int(machine.property("Supervisor")), machine.leader()
        self.link = machine.property("NetworkInterface")
        wait_until(lambda: len(pids_inside(self.leader)) == 4, "its processes run")
        self.pids = pids_inside(self.leader)

    def lose_supervisor(self):
        os.kill(self.supervisor, signal.SIGKILL)
        wait_until(lambda: is_gone(self.supervisor), "the supervisor's end")
        assert not any(is_gone(pid) for pid in self.pids), "the machine runs on"

    def is_gone(self):
        return all(is_gone(pid) for pid in self.pids)

    def addresses(self):
        """The hardware and IPv4 addresses of host0, then of the host's end."""
        found = []
        for enter, name in ((["nsenter", f"--net=/proc/{self.leader}/ns/net"], "host0"), ([], self.link)):
            done = subprocess.run([*enter, "ip", "-json", "addr", "show", "dev", name], capture_output=True, text=True, check=True)
            link = json.loads(done.stdout)[0]
            found += [link["address"], next(info["local"] for info in link["addr_info"] if info["family"] == "inet")]
        return found

    def reaches_loopback(self):
        """Whether forged frames of the guest reach a socket of the host on 127.0.0.1."""
        assert Path(f"/proc/sys/net/ipv4/conf/{self.link}/route_localnet").read_text() == "1\n", "else the kernel itself drops them"
        mac, address, host_mac, gate = self.addresses()
        packets = [(gate, b"good"), ("127.0.0.1", b"bad"), ("127.1.2.3", b"bad"), (gate, b"last")]
        with network_of(self.leader):
            near = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with near, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            near.bind(("host0", 0))
            far.bind(("", UDP_PORT))
            far.settimeout(10)
            for to, payload in packets:
                near.send(frames.ether(mac, host_mac, 0x0800, frames.udp(address, to, 9, UDP_PORT, payload)))
            heard = [far.recv(16)]
            while heard[-1] != b"last":
                heard.append(far.recv(16))
        return b"bad" in heard


@pytest.fixture
def images(machines, tmp_path):
    """images() makes a machine with such an init, without starting it."""
    init = trees.compile_static(INIT, tmp_path / "init")

    def make():
        machine = machines.claim(machines.fresh_name("o"))
        trees.make_busybox(machine.root)
        (machine.root / "sbin").mkdir()
        shutil.copy(init, machine.root / "sbin/init")
        Path(f"/etc/systemd/nspawn/{machine}.nspawn").write_text("[Network]\nVirtualEthernet=yes\nPort=45990:80\n")
        return machine

    return make


@pytest.fixture(params=KERNELS)
def orphan(images, request):
    return Orphan(images(), KERNELS[request.param])


def tables():
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout


@row("X14", "PID 1 clears its parent-death signal, and the supervisor is killed",
     "the machine stays as confined until the next command, which ends it before anything else")  # fmt: skip
def test_an_orphan_stays_confined_and_is_ended_by_the_next_command(orphan):
    assert not orphan.reaches_loopback()
    orphan.lose_supervisor()
    assert not orphan.reaches_loopback()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 45990), timeout=10)
    assert not orphan.reaches_loopback(), "also when the kernel has removed what belonged to the supervisor"
    orphan.redd("list")
    assert orphan.is_gone() and orphan.link not in os.listdir("/sys/class/net") and "redd-" not in tables()
    assert not [path for path in cgroups.folders() if str(orphan.machine) in path]


@row("X14")
@pytest.mark.parametrize("verb", ["status", "stop", "exec", "remove", "clean", "network"])
def test_whatever_the_next_command_is(images, verb):
    orphan = Orphan(images())
    orphan.lose_supervisor()
    words = {"exec": ["/bin/true"], "clean": None, "network": None}.get(verb, [])
    orphan.redd.run(verb, *([] if words is None else [orphan.machine, *words]))
    assert orphan.is_gone() and orphan.link not in os.listdir("/sys/class/net") and "redd-" not in tables()


@row("X14")
@pytest.mark.parametrize("how", ["another", "itself"])
def test_a_start_ends_an_orphan_first(images, how):
    """The new machine gets the orphan's users, image or addresses."""
    orphan = Orphan(images())
    orphan.lose_supervisor()
    again = Orphan(orphan.machine if how == "itself" else images())
    assert orphan.is_gone()
    assert not again.reaches_loopback()
    if how == "another":
        assert str(orphan.machine) not in tables() and orphan.link not in os.listdir("/sys/class/net")


@row("X14")
def test_an_orphan_that_is_in_no_cgroup_is_ended(images):
    """As on a host whose kernel has no cgroups that redd can use."""
    orphan = Orphan(images())
    for pid in orphan.pids:
        for top in cgroups.hierarchies():
            (top / "cgroup.procs").write_text(str(pid))
    orphan.lose_supervisor()
    orphan.redd("list")
    assert orphan.is_gone()


# --- when memory runs out

# Uses memory that belongs to no process. Its child is smaller than the supervisor, PID 1 even smaller. Frees all when the child was killed.
HOG = r"""
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char block[600000];

int main(int argc, char *argv[])
{
	int fd = argc > 1 ? open("/proc/self/oom_score_adj", O_WRONLY) : -1;
	if (fd >= 0) (void)!write(fd, argv[1], 1);
	prctl(PR_SET_PDEATHSIG, 0);
	mkdir("/mnt", 0755);
	mount("t", "/mnt", "tmpfs", 0, "size=100%");
	(void)!write(1, "up\n", 3);
	if (fork() == 0) {
		for (unsigned i = 0; i < sizeof block; i++) block[i] = 1;
		fd = open("/mnt/f", O_CREAT | O_WRONLY, 0600);
		for (;;) if (write(fd, block, sizeof block) <= 0) usleep(100000);
	}
	wait(0);
	truncate("/mnt/f", 0);
	for (;;) pause();
}
"""


@pytest.fixture
def little_memory():
    """The path of cgroup.procs of a memory cgroup (v1) of 96 MB."""
    top = Path("/sys/fs/cgroup/memory")
    if not (top / "memory.limit_in_bytes").exists():
        pytest.skip("no memory controller of cgroup v1")
    folder = top / f"{session.tag}-little"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("96M")
    yield folder / "cgroup.procs"
    (folder / "memory.force_empty").write_text("1")
    folder.rmdir()


def run_hog(redd, root, procs, *words):
    trees.compile_static(HOG, root / "hog")
    process = redd.start("run", "-q", "-D", root, "-M", "hog", "-n", "--console=pipe", "/hog", *words,
                         preexec_fn=lambda: procs.write_text(str(os.getpid())))  # fmt: skip
    assert process.stdout.readline() == "up\n"
    return process


def end_of(leader):
    """Whether memory has run out: one of the machine's two processes or the supervisor is gone."""
    return lambda: is_gone(leader) or len(pids_inside(leader)) < 2


@row("K17", "memory that belongs to no process makes the kernel end the supervisor",
     "its oom_score_adj is as low as allowed, the machine's above it, with a floor where CAP_SYS_RESOURCE can set one")  # fmt: skip
def test_a_machine_is_ended_before_its_supervisor(redd, tmp_path, little_memory):
    root = trees.make_busybox(tmp_path / session.own_name("tree"))
    process = run_hog(redd, root, little_memory)
    leader = int(redd("show", "hog").out.split("Leader=")[1].split()[0])
    wait_until(end_of(leader), "memory runs out", 60)
    assert is_gone(leader) or process.poll() is None, "a process of the machine was ended, the supervisor was not"
    redd.run("terminate", "hog")
    process.communicate(timeout=30)
    assert process.returncode >= 0, "nor later"


@row("K17")
def test_a_machine_that_asks_for_its_supervisor_s_score(redd, tmp_path, little_memory):
    """Without CAP_SYS_RESOURCE it gets it, and the kernel may end the supervisor: the machine stays confined."""
    orphan = Orphan.__new__(Orphan)
    process = run_hog(redd, trees.make_busybox(tmp_path / session.own_name("tree")), little_memory, "0")
    shown = redd("show", "hog").out
    orphan.leader = int(shown.split("Leader=")[1].split()[0])
    orphan.link = shown.split("NetworkInterface=")[1].split()[0]
    wait_until(end_of(orphan.leader), "memory runs out", 60)
    if process.poll() is not None and not is_gone(orphan.leader):
        assert not processes.can_lower_oom_score()
        assert not orphan.reaches_loopback()
    redd.run("terminate", "hog")
    redd("list")
    process.communicate(timeout=30)
    assert is_gone(orphan.leader) and orphan.link not in os.listdir("/sys/class/net")


@row("K17")
def test_scores(redd, images):
    machine = Orphan(images())
    score = lambda pid: Path(f"/proc/{pid}/oom_score_adj").read_text().strip()
    inside = redd("exec", machine.machine, "cat", "/proc/self/oom_score_adj").out.strip()
    assert {score(pid) for pid in machine.pids} | {inside} == {processes.oom_score_of_machines()}
    assert int(score(machine.supervisor)) == (-1000 if processes.can_lower_oom_score() else int(Path("/proc/self/oom_score_adj").read_text()))
    lower = redd.run("exec", machine.machine, "sh", "-c", "echo -1 > /proc/self/oom_score_adj")
    assert lower.code != 0 or int(Path("/proc/self/oom_score_adj").read_text()) < 0


@row("K18", "a guest fills file systems in memory",
     "each that redd makes has limits of size and number of files; so has --tmpfs= unless limits are given")  # fmt: skip
@pytest.mark.parametrize("users", ["pick", "no"])
def test_limits_of_file_systems_in_memory(redd, tmp_path, users):
    root = trees.make_busybox(tmp_path / session.own_name("tree"))
    script = "grep -E ' (tmpfs) ' /proc/mounts"
    out = redd("run", "-q", "-D", root, f"--private-users={users}", "--tmpfs=/a", "--tmpfs=/b:size=1m", "--tmpfs=/c:mode=0700,nr_inodes=5", "/bin/sh", "-c", script).out
    mounts = {line.split()[1]: line.split()[3].split(",") for line in out.splitlines()}
    assert {"/dev", "/dev/shm", "/run", "/tmp", "/run/host", "/a", "/b", "/c"} <= mounts.keys()
    for path, options in mounts.items():
        assert [word for word in options if word.startswith("size=")] and [word for word in options if word.startswith("nr_inodes=")], (path, options)
    assert "size=1024k" in mounts["/b"] and "nr_inodes=5" in mounts["/c"] and "size=1024k" not in mounts["/a"]
