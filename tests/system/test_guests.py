# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole life of every guest: import, start, status, login, shell, reboot, stop, start again, remove."""

import re

import pytest
from helpers import console, guests
from helpers.waiting import wait_until

pytestmark = pytest.mark.slow
LEAST_SHIFT = 524288


@pytest.fixture(params=guests.ALL)
def machine(request, guest):
    """Imported, not started."""
    return guest(request.param)


@pytest.fixture
def running(machine):
    return machine.start()


def facts(machine):
    return guests.ALL[machine.guest]


def test_import_lists_the_image(redd, machine):
    row = next(line for line in redd("list-images", "--no-legend").out.splitlines() if line.startswith(machine.name))
    assert row.split()[1] == "directory"
    redd("remove", machine)
    assert machine.name not in redd("list-images").out
    assert not machine.root.exists()


def test_start_returns_when_ready(redd, running):
    assert running.is_running()
    assert running.leader() > 1
    assert running.shell("cat /proc/1/comm") == facts(running).init
    check_status(redd, running)
    check_users_are_shifted(running)
    check_console(redd, running)


def check_status(redd, machine):
    out = redd("status", machine).out
    assert machine.name in out.splitlines()[0]
    for pattern in (r"Since: \w", rf"Leader: {machine.leader()} \(", rf"Root: .*/{machine}\b", rf"OS: {facts(machine).os}"):
        assert re.search(pattern, out), f"no {pattern!r} in\n{out}"


def check_users_are_shifted(machine):
    with open(f"/proc/{machine.leader()}/uid_map", encoding="ascii") as file:
        inside, shift, count = map(int, file.read().split())
    assert (inside, count) == (0, 65536) and shift >= LEAST_SHIFT and shift % 65536 == 0
    assert machine.shell("stat -c %u /etc/passwd /home/alice") == "0\n1000"


def check_console(redd, machine):
    child = redd.spawn("console", machine)
    child.send("\r")
    child.expect("login:", timeout=60)
    console.leave(child)
    # A prompt has no end of line, so the log gets it when no more output comes.
    wait_until(lambda: "login" in redd("logs", machine).out, "the prompt in the log")


def test_systemd_is_content(running):
    """No unit may fail because the container lacks something."""
    if not facts(running).systemd:
        pytest.skip("a guest without systemd has no failed units to list")
    assert running.shell("systemctl is-system-running --wait || systemctl --failed --no-legend") == "running"


def test_ways_in(redd, running):
    check_login(redd, running)
    check_login_as_user(redd, running)
    check_wrong_password(redd, running)
    check_shell(redd, running)
    check_shell_on_terminal(redd, running)
    assert running.is_running()


def check_login(redd, machine):
    child = redd.spawn("login", machine)
    console.log_in(child)
    assert console.run_inside(child, "id -un; cat /proc/1/comm") == (0, "root\n" + facts(machine).init)
    assert console.run_inside(child, "tty")[1].startswith("/dev/")
    console.leave(child)


def check_login_as_user(redd, machine):
    child = redd.spawn("login", machine)
    console.log_in(child, "alice")
    assert console.run_inside(child, "id -u; pwd") == (0, "1000\n/home/alice")
    console.leave(child)


def check_wrong_password(redd, machine):
    child = redd.spawn("login", machine)
    with pytest.raises(AssertionError, match="refused root"):
        console.log_in(child, password="salmon")
    console.leave(child)


def check_shell(redd, machine):
    assert machine.shell("exit 7", code=7) == ""
    assert machine.shell("cat", stdin="through a pipe\n") == "through a pipe"
    assert machine.shell("id -un; cd; pwd", user="alice") == "alice\n/home/alice"
    assert redd("exec", machine, "/bin/sh", "-c", "exit 3", code=3).out == ""


def check_shell_on_terminal(redd, machine):
    child = redd.spawn("shell", machine)
    child.expect(console.PROMPT)
    assert console.run_inside(child, "test -t 0 && id -un") == (0, "root")
    child.send("exit 5\r")
    assert console.closed(child) == 5


def test_reboot_from_inside_and_outside(redd, running):
    old = running.wait_for_prompt().leader()
    redd.run("shell", f"root@{running}", "/bin/sh", "-c", facts(running).reboot)
    assert running.wait_for_new_leader(old) != old
    assert running.wait_for_prompt().shell("echo back") == "back"
    old = running.leader()
    redd("restart", running, timeout=120)
    running.wait_for_new_leader(old)
    running.stop()
    assert not running.is_running()


def test_poweroff_from_inside(redd, running):
    running.wait_for_prompt()
    redd.run("shell", f"root@{running}", "/bin/sh", "-c", facts(running).poweroff)
    wait_until(lambda: not running.is_running(), f"{running} went down", timeout_s=60)


def test_stop_is_clean_twice(redd, machine):
    for _ in range(2):
        machine.start().wait_for_prompt()
        redd("stop", machine, timeout=120)
        assert not machine.is_running()
        log = redd("logs", machine).out
        assert "did not stop" not in log and "killed" not in log, log
    redd("remove", machine)
    assert not machine.root.exists()


def test_stop_during_boot_is_clean(redd, running):
    """Most inits lose a signal that comes too early, so redd has to repeat it."""
    redd("stop", running, timeout=120)
    assert not running.is_running()
    assert "did not stop" not in redd("logs", running).out
