# SPDX-License-Identifier: LGPL-2.1-or-later
"""redd's main use case, command by command: from a NixOS tarball to a web page served by the machine."""

import subprocess
import time
from pathlib import Path

import pytest
from helpers import console, machines as pool
from helpers.waiting import wait_until

NAME = "nginx-test"
PAGE = "hello from the container!"
SETTINGS = Path(f"/etc/systemd/nspawn/{NAME}.nspawn")

pytestmark = pytest.mark.slow


def fetch(address="127.0.0.1"):
    done = subprocess.run(
        ["curl", "-fsS", "--max-time", "5", f"http://{address}:8888"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture
def nginx(machines):
    """The image, imported as in the story."""
    machine = machines.claim(NAME)
    machine.guest = "nixos"
    machines.redd("import-tar", pool.tarball("nixos", ".tar.xz"), NAME, timeout=300)
    return machine


def test_story(redd, nginx):
    assert NAME in redd("list-images").out
    redd("start", NAME, timeout=120)
    assert "OS: NixOS" in redd("status", NAME).out
    assert not fetch(), "with a network of its own, the host's loopback does not reach it"
    child = redd.spawn("login", NAME)
    console.log_in(child)
    assert console.run_inside(child, "curl -s 127.0.0.1:8888") == (0, PAGE)
    console.leave(child)
    SETTINGS.write_text("[Network]\nVirtualEthernet=no\n")
    redd("stop", NAME, timeout=120)
    redd("start", NAME, timeout=120)
    assert wait_until(fetch, "the page on the host's loopback") == PAGE
    redd("stop", NAME, timeout=120)
    redd("remove", NAME)


def test_three_slow_escapes_do_not_leave(redd, nginx):
    nginx.start()
    child = redd.spawn("login", nginx)
    console.log_in(child)
    for _ in range(3):
        child.send(console.ESCAPE)
        time.sleep(0.6)
    child.send("\x15")
    assert child.isalive()
    console.leave(child)
    assert nginx.is_running()


@pytest.mark.parametrize("suffix", [".tar", ".index.tar.xz", ".T0.tar.xz"])
def test_each_tarball_gives_the_same_tree(redd, nginx, machines, suffix):
    other = machines.claim(machines.fresh_name("nixos"))
    redd("import-tar", pool.tarball("nixos", suffix), other, timeout=300)
    done = subprocess.run(["diff", "-r", "--no-dereference", nginx.root, other.root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[:2000]


def test_second_boot_finds_its_registration_used(redd, nginx):
    nginx.start()
    count = int(nginx.shell("/run/current-system/sw/bin/nix-store -qR /run/current-system | wc -l"))
    assert count == len(list((nginx.root / "nix/store").glob("[!.]*")))  # .links belongs to Nix
    assert not (nginx.root / "nix-path-registration").exists()
    nginx.stop().start()
    assert nginx.shell("systemctl is-system-running") == "running"
