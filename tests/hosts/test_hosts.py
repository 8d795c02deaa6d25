# SPDX-License-Identifier: LGPL-2.1-or-later
"""
redd on other hosts than this one, in virtual machines: Debian trixie with systemd, where all controllers are in one cgroup2
tree and mounts are shared; and the same without systemd, with no control groups mounted at all. Both run at once and take two
to four minutes; files/trial is what they do. Needs root, QEMU and a static build as $REDD.

    REDD=build/src/redd /usr/bin/python3 -m pytest tests/hosts
"""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
HOSTS = ("systemd", "plain")
# Enough for a busy machine: alone on two processors it takes less than half of this.
TIMEOUT_S = 480
# Steps of files/trial: if there are fewer, it was cut short.
LEAST_STEPS = 27

pytestmark = pytest.mark.slow


def why_not(program):
    if os.geteuid() != 0:
        return "needs root: the image of the host is made from packages"
    for name in ("qemu-system-x86_64", "mmdebstrap", "mke2fs"):
        if not shutil.which(name):
            return f"{name} is not installed"
    if not program.exists():
        return f"no redd at {program}: build it, or set REDD"
    headers = subprocess.run(["readelf", "-lW", program], capture_output=True, text=True, check=True).stdout
    if "INTERP" in headers:
        return "needs a static build: the hosts have none of redd's libraries (meson setup -Dstatic=true)"
    return None


@pytest.fixture(scope="module")
def trials():
    program = Path(os.environ.get("REDD") or HERE.parents[1] / "build/src/redd").resolve()
    reason = why_not(program)
    if reason:
        pytest.skip(reason)
    # Made once, before both runs use it.
    subprocess.run([HERE / "make-image"], check=True, stdout=subprocess.DEVNULL)
    env = {**os.environ, "REDD_HOST_TIMEOUT": str(TIMEOUT_S)}
    started = {
        host: subprocess.Popen([HERE / "try", host, program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)  # fmt: skip
        for host in HOSTS
    }
    yield started
    for process in started.values():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


@pytest.mark.parametrize("host", HOSTS)
def test_guests_live_on(trials, host):
    out, err = trials[host].communicate(timeout=TIMEOUT_S + 60)
    first = re.search(r"^trial: begin (\S+)", out, re.M)
    assert first, f"it did not begin\n{out}{err}"
    assert (first.group(1) == "systemd") == (host == "systemd")
    assert "trial: failed" not in out, out
    assert re.search(r"^trial: end$", out, re.M), f"it did not end\n{out}{err}"
    assert len(re.findall(r"^trial: ok ", out, re.M)) >= LEAST_STEPS, out
